"""A training that was interrupted and resumed has the same bits as one that was not."""

from typing import Any

import numpy as np
import pytest

from ganneal.engine.blocks import BLOCK
from ganneal.engine.config import recipes

RNG = np.random.default_rng(0)
PICTURES = {size: RNG.integers(0, 256, (24, size, size, 3), dtype=np.uint8) for size in (8, 16, 32)}
ROWS = RNG.normal(size=(60, 3))

TOY: dict[str, Any] = {"source": "ring8", "batch": 16, "steps": 40, "log_every": 16, "at": 20}
LGAN = {
    "source": PICTURES[32],
    "batch": 4,
    "steps": 2,
    "log_every": 1,
    "at": 1,
    "checkpoint_every": 1000,
    "sample_every": 1000,
    "score": "dae(sigma=1, network=published, depth=2)",
}
SMALL: dict[str, dict[str, Any]] = {
    "annealed": {**TOY, "score_warmup": 160},
    "annealed-entropy": TOY,
    "digits": {**TOY, "source": "digits", "score_warmup": 160},
    "image": {"source": PICTURES[16], "batch": 4, "steps": 24, "log_every": 11, "at": 13, "network": "dcgan(width=8)"},
    "lgan-jsd": LGAN,
    "lgan-rkl": LGAN,
    "lgan-wgan-gp": LGAN,
    "table": {**TOY, "source": ROWS},
    "target": {**TOY, "source": "target:kidney"},
    "target-reference": {**TOY, "source": "target:kidney"},
    "toy": TOY,
    "wgan-clip": {**TOY, "network": "mlp(width=16, depth=2)"},
}
"""What makes a recipe small enough for a test; a recipe that is not here is tested on a toy."""

OTHER: dict[str, dict[str, Any]] = {
    "momentum": {"optimizer": "sgd(momentum=0.5)"},
    "plain-sgd-has-no-slots": {"optimizer": "sgd"},
    "rmsprop-and-clipping": {"optimizer": "rmsprop", "penalty": "clip", "objective": "wasserstein"},
    "spectral-has-buffers": {"penalty": "spectral", "objective": "hinge"},
    "lazy-penalty": {"penalty": "r1r2(gamma=0.1, every=7)"},
    "simultaneous": {"solver": "simultaneous"},
    "five-critic-steps": {"solver": "alternating(n_critic=5)"},
    "float64": {"precision": "float64"},
    "moving-everything": {
        "lr_critic": "cosine(0.01->0.001)",
        "noise": "geometric(0.5->0.1)",
        "lambda_entropy": "linear(0.5->0)",
    },
    "population": {"population": 3},
    "population-in-blocks": {"population": BLOCK + 1},
    "annealed-population": {
        "recipe": "annealed",
        "beta": "each(1, linear(0.2->1), 0.5)",
        "score_warmup": 160,
        "seeds": (5, 1, 5),
    },
    "stopped-in-the-warm-up": {"recipe": "annealed", "score_warmup": 480},
    "residual": {
        "source": PICTURES[8],
        "network": "residual(width=8)",
        "batch": 4,
        "steps": 12,
        "log_every": 5,
        "at": 6,
    },
    "image-population": {
        "source": PICTURES[8],
        "network": "dcgan(width=8)",
        "batch": 4,
        "steps": 12,
        "log_every": 5,
        "at": 6,
        "population": 2,
    },
    "score-of-features": {
        "source": "digits",
        "score_warmup": 160,
        "score_space": "features",
        "score": "dsm(sigmas=0.2->1, at=0.5)",
    },
    "as-published-but-small": {
        "source": PICTURES[8],
        "network": "dcgan(width=8, batchnorm=true)",
        "batch": 4,
        "steps": 12,
        "log_every": 5,
        "at": 6,
        "latent_law": "uniform",
        "ema": 0,
        "score_space": "features",
        "score": "dae(sigma=1, network=published, depth=2)",
        "lambda_likelihood": "oscillating(-0.01)",
        "objective": "jsd",
        "penalty": "none",
    },
}


def check(train: Any, interrupted: Any, assert_same_bits: Any, options: dict[str, Any]) -> None:
    options = dict(options)
    at = options.pop("at")
    whole = train("whole", **options)
    resumed = interrupted("resumed", at=at, **options)
    assert not resumed.finished
    assert resumed.resume().finished
    assert_same_bits(whole, resumed)


@pytest.mark.parametrize(
    "recipe", [pytest.param(r, marks=[pytest.mark.slow] * r.startswith("lgan")) for r in sorted(recipes())]
)  # the published networks make checkpoints of 230 MB
def test_every_recipe_resumes_to_the_same_bits(
    recipe: str, train: Any, interrupted: Any, assert_same_bits: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ganneal.engine.trainer.REFERENCE", 8)
    check(train, interrupted, assert_same_bits, {"recipe": recipe, **SMALL.get(recipe, TOY)})


@pytest.mark.parametrize("case", OTHER)
def test_every_kind_of_state_resumes_to_the_same_bits(
    case: str, train: Any, interrupted: Any, assert_same_bits: Any
) -> None:
    check(train, interrupted, assert_same_bits, {**TOY, **OTHER[case]})
