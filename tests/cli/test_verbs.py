"""From training to samples and report, as a person types it."""

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

import ganneal as gn
from ganneal.engine import checkpoint
from ganneal.engine.config import recipes

RNG = np.random.default_rng(0)


def a_table(folder: Path) -> str:
    rows = RNG.normal(3, 2, size=(60, 3))
    np.savetxt(folder / "rows.csv", rows, delimiter=",", header="height,width,depth", comments="")
    return "rows.csv"


def a_folder_of_pictures(folder: Path) -> str:
    (folder / "pictures").mkdir()
    for k in range(24):
        Image.fromarray(RNG.integers(0, 256, (10, 12, 3), dtype=np.uint8)).save(folder / "pictures" / f"{k}.jpg")
    return "pictures"


MLP = ("--network", "mlp(width=8, depth=1)")
KINDS: dict[str, tuple[Any, tuple[str, ...], tuple[int, ...], str]] = {
    "toy": (lambda folder: "ring8", MLP, (2,), "float"),
    "digits": (lambda folder: "digits", (*MLP, "--score-warmup", "16"), (8, 8), "uint8"),
    "table": (a_table, MLP, (3,), "float"),
    "images": (a_folder_of_pictures, ("--network", "dcgan(width=4)", "--size", "8"), (8, 8, 3), "uint8"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_from_training_to_report(kind: str, ganneal: Any, folder: Path) -> None:
    make, flags, shape, dtype = KINDS[kind]
    common = ("--batch", "8", "--steps", "4", "--permutations", "19", "--out", "run")
    said = ganneal("train", make(folder), *flags, *common)
    assert (said.code, said.complaint) == (0, "")
    assert "training on" in said.out
    assert "verdict: " in said.out
    assert "report:  run/report.html" in said.out
    assert sorted(p.name for p in (folder / "run").iterdir()) == [
        "checkpoints",
        "config.yaml",
        "events.jsonl",
        "report.html",
        "samples",
        "verdict.json",
    ]

    for suffix in ("npz", "npy", "csv", "png"):
        said = ganneal("sample", "run", "-n", "9", "-o", f"x.{suffix}", "--seed", "3")
        assert (said.code, said.complaint) == (0, "")
        assert said.out == f"9 samples of shape {shape} in x.{suffix}\n"
    x = np.load(folder / "x.npy")
    assert x.shape == (9, *shape)
    assert dtype in x.dtype.name
    assert np.array_equal(np.load(folder / "x.npz")["x"], x)
    with (folder / "x.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header == (["height", "width", "depth"] if kind == "table" else [f"x{k}" for k in range(x[0].size)])
    np.testing.assert_allclose(np.array(rows, float), x.reshape(9, -1), rtol=1e-6)
    with Image.open(folder / "x.png") as image:
        assert min(image.size) > 16
    assert np.array_equal(gn.Run("run").sample(9, seed=3), x)
    assert ganneal("sample", "run", "-n", "9", "-o", "x.npy", "--seed", "4", "--force").code == 0
    assert not np.array_equal(np.load(folder / "x.npy"), x)

    (folder / "run" / "report.html").unlink()
    assert ganneal("report", "run").out == "run/report.html\n"
    assert "<html" in (folder / "run" / "report.html").read_text()

    before = {path: path.read_bytes() for path in (folder / "run").rglob("*") if path.is_file()}
    said = ganneal("resume", "run")
    assert (said.code, said.complaint) == (0, "")
    assert "run: finished already, at 32 examples; nothing to do" in said.out
    assert "verdict: " in said.out
    assert {path: path.read_bytes() for path in (folder / "run").rglob("*") if path.is_file()} == before


def test_a_population(ganneal: Any, small: tuple[str, ...], folder: Path) -> None:
    said = ganneal("train", "ring8", *small, "--steps", "4", "--seeds", "4", "7", "--out", "run")
    assert "population of 2" in said.out
    assert "of 2 members differ from held-out data" in said.out
    for member in (0, 1):
        assert ganneal("sample", "run", "-o", f"{member}.npy", "--member", member).code == 0
    assert not np.array_equal(np.load(folder / "0.npy"), np.load(folder / "1.npy"))


def test_runs_are_numbered_where_no_folder_is_named(ganneal: Any, small: tuple[str, ...], folder: Path) -> None:
    for _ in range(2):
        assert ganneal("train", "ring8(std=0.1)", *small, "--steps", "2").code == 0
    assert sorted(p.name for p in (folder / "runs").iterdir()) == ["ring8-std-0-1-1", "ring8-std-0-1-2"]


def last(run: Path) -> dict[str, torch.Tensor]:
    return checkpoint.flatten(checkpoint.read(gn.Run(run).checkpoint())[0])


def test_a_configuration_given_back_reproduces_the_same_bits(
    ganneal: Any, small: tuple[str, ...], folder: Path
) -> None:
    flags = (
        "--lambda-likelihood",
        "linear(-0.5->0)",
        "--penalty",
        "r1(gamma=1)",
        "r2(gamma=0.5, every=2)",
        "--seed",
        "7",
    )
    assert ganneal("train", "ring8", *small, *flags, "--steps", "6", "--out", "one").code == 0
    assert ganneal("train", "ring8", "--config", "one/config.yaml", "--out", "two").code == 0
    one, two = (yaml.safe_load((folder / name / "config.yaml").read_text()) for name in ("one", "two"))
    assert {**one, "out": None} == {**two, "out": None}
    a, b = last(folder / "one"), last(folder / "two")
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert gn.Run("one").verdict == gn.Run("two").verdict


def test_flags_override_the_file_which_overrides_the_recipe(ganneal: Any, small: tuple[str, ...], folder: Path) -> None:
    (folder / "mine.yaml").write_text(
        "steps: 3\nlr_critic: 0.5\nseed: 4\npenalty: [r1]\nrecipe: annealed\nscore_warmup: 0\n"
    )
    assert ganneal("train", "ring8", *small, "--config", "mine.yaml", "--seed", "5", "--out", "run").code == 0
    config = gn.Run("run").config
    assert (config.seed, config.lr_critic, config.penalty, config.examples) == (5, "0.5", ("r1",), 24)
    assert (config.recipe, config.beta) == ("annealed", recipes()["annealed"]["beta"])


@pytest.mark.parametrize(
    ("recipe", "flag", "value", "dropped"),
    [("digits", "--beta", "linear(0.5->1)", "lambda_likelihood"), ("annealed", "--lambda-entropy", "0.5", "beta")],
)
def test_the_one_of_beta_and_lambdas_that_is_given_replaces_the_recipes(
    recipe: str, flag: str, value: str, dropped: str, ganneal: Any, small: tuple[str, ...]
) -> None:
    flags = ("--recipe", recipe, flag, value, "--steps", "2", "--score-warmup", "0", "--noise", "0.1", "--out", "run")
    assert ganneal("train", "ring8", *small, *flags).code == 0
    config = gn.Run("run").config
    assert getattr(config, flag.removeprefix("--").replace("-", "_")) == value
    assert getattr(config, dropped) in ("0", None)


def test_recipes_are_listed_and_shown(ganneal: Any) -> None:
    said = ganneal("recipes")
    assert said.code == 0
    for name, values in recipes().items():
        assert any(line.startswith(f"{name} ") for line in said.out.splitlines())
        assert yaml.safe_load(ganneal("recipes", name).out) == values
    assert json.loads(ganneal("recipes", "--json").out).keys() == recipes().keys()
    assert json.loads(ganneal("recipes", "digits", "--json").out) == recipes()["digits"]


def test_a_shown_recipe_can_be_trained_from(ganneal: Any, small: tuple[str, ...], folder: Path) -> None:
    text = ganneal("recipes", "toy").out
    (folder / "toy.yaml").write_text("\n".join(line for line in text.splitlines() if not line.startswith("about")))
    assert ganneal("train", "ring8", "--config", "toy.yaml", *small, "--steps", "2").code == 0


def test_info_names_all_parts(ganneal: Any) -> None:
    found = json.loads(ganneal("info", "--json").out)
    assert found["environment"]["ganneal"] == gn.__version__
    assert found["environment"]["torch"] == torch.__version__
    for kind, name in (("objectives", "rkl"), ("penalties", "r1r2"), ("sources", "digits"), ("solvers", "alternating")):
        assert name in found["parts"][kind]
    said = ganneal("info")
    assert (said.code, said.complaint) == (0, "")
    assert "objectives" in said.out


def test_a_name_in_brackets_is_shown_as_it_is(ganneal: Any, small: tuple[str, ...]) -> None:
    said = ganneal("train", "ring8", *small, "--steps", "2", "--out", "[bold]")
    assert "report:  [bold]/report.html" in said.out


def test_the_module_and_the_script_are_the_command(small: tuple[str, ...], folder: Path) -> None:
    module = [sys.executable, "-m", "ganneal", "train", "ring8", *small, "--steps", "2", "--out", "run"]
    done = subprocess.run(module, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "verdict: " in done.stdout
    script = [str(Path(sys.executable).with_name("ganneal")), "--version"]
    done = subprocess.run(script, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, f"ganneal {gn.__version__}\n")
