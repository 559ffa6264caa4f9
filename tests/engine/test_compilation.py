"""A compiled step computes what the step computes, is compiled once for each set of coefficients, and belongs to its
training. In processes of their own, where no shape checks are hooked into the imports."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

PRELUDE = """
import json
from pathlib import Path
import torch
from torch._dynamo.utils import counters
from ganneal.data import open_source
from ganneal.engine import checkpoint
from ganneal.engine.config import complete
from ganneal.engine.blocks import BLOCK
from ganneal.engine.trainer import Trainer

def trainer(**options):
    if "sampler" in options:
        options = {"source": "target:kidney", "batch": 16, "steps": 40, "latent": 2, **options}
        return Trainer(complete(options, "target-reference"), open_source("target:kidney"))
    source = open_source("ring8")
    options = {"source": "ring8", "batch": 16, "steps": 40, "network": "mlp(width=16, depth=1)", **options}
    return Trainer(complete(options, "toy"), source)

def difference(one, other):
    '''Largest difference of any tensor, relative to its largest entry.'''
    a, b = (checkpoint.flatten(t.snapshot()[0]) for t in (one, other))
    pairs = [(a[k].double(), b[k].double()) for k in a]
    return max(((x - y).abs().max() / x.abs().max().clamp(min=1e-30)).item() for x, y in pairs)

def compared(**options):
    before = counters["stats"]["unique_graphs"]
    plain, fast = trainer(compile="off", **options), trainer(compile="on", **options)
    assert fast.compiled and not plain.compiled
    plain.advance(20), fast.advance(20)
    graphs = counters["stats"]["unique_graphs"] - before
    worst = difference(plain, fast)
    torch._dynamo.config.error_on_recompile = True
    fast.advance(20)
    torch._dynamo.config.error_on_recompile = False
    return {"worst": worst, "graphs": graphs}

def resumed(folder, **options):
    whole, first, second = (trainer(compile="on", **options) for _ in range(3))
    whole.advance(30), first.advance(13)
    second.restore(*checkpoint.read(checkpoint.write(Path(folder), 13, *first.snapshot())))
    second.advance(17)
    return difference(whole, second)
"""


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compiler's results, kept from one process to the next."""
    return tmp_path_factory.mktemp("inductor")


def result(code: str, cache: Path) -> Any:
    """The value of an expression, computed in a new process."""
    done = subprocess.run(
        [sys.executable, "-c", f"{PRELUDE}\nprint(json.dumps({code}))"],
        env={**os.environ, "OMP_NUM_THREADS": "1", "TORCHINDUCTOR_CACHE_DIR": str(cache)},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("options", "graphs"),
    [
        ("penalty='r1r2(gamma=0.1)'", 1),
        ("penalty='r1r2(gamma=0.1, every=4)'", 2),
        ("population=3", 1),
        ("population=BLOCK + 1", 2),
        ("lambda_likelihood='linear(-0.5->0)', score_warmup=32", 1),
    ],
    ids=["single", "lazy penalty", "population", "population in two sizes of blocks", "annealed"],
)
def test_a_compiled_step_is_the_step_and_is_compiled_once(options: str, graphs: int, cache: Path) -> None:
    found = result(f"compared({options})", cache)
    assert found["worst"] < 1e-4
    assert found["graphs"] == graphs


@pytest.mark.parametrize("sampler", ["reference", "weighted", "score"])
def test_a_compiled_sampler_of_a_density_is_the_sampler(sampler: str, cache: Path) -> None:
    """The frame, the density and its score are inside the step."""
    assert result(f"compared(sampler={sampler!r})", cache)["worst"] < 1e-3


def test_a_training_never_gets_the_step_of_another_one(cache: Path) -> None:
    found = result("[compared(), compared(objective='jsd'), compared(latent=3), compared(batch=8)]", cache)
    assert [case["graphs"] for case in found] == [1, 1, 1, 1]
    assert max(case["worst"] for case in found) < 1e-4


def test_a_compiled_training_resumes_to_the_same_bits(cache: Path, tmp_path: Path) -> None:
    assert result(f"[resumed({str(tmp_path)!r}), resumed({str(tmp_path)!r}, population=3)]", cache) == [0, 0]
