"""Members of a population are independent games: each is the single run with its seed."""

from typing import Any

import pytest
import torch
from torch import Tensor

from ganneal.data import open_source
from ganneal.engine import checkpoint
from ganneal.engine.blocks import BLOCK
from ganneal.engine.config import complete
from ganneal.engine.trainer import Trainer

STEPS = 35


def trained(steps: int = STEPS, source: str = "ring8", **options: Any) -> Trainer:
    """A training in memory, in double precision, after some steps."""
    opened = open_source(source)
    given = {
        "source": source,
        "batch": 8,
        "steps": STEPS,
        "precision": "float64",
        "network": "mlp(width=16, depth=2)",
        **options,
    }
    trainer = Trainer(complete(given, opened.kind), opened)
    trainer.advance(trainer.warmup + steps)
    return trainer


def tensors(trainer: Trainer) -> dict[str, Tensor]:
    return checkpoint.flatten(trainer.snapshot()[0])


EACH = ("-0.5", "1e-300", "linear(0.5->-0.5)")  # with 0 alone a game has no score player, so it draws other noise
CASES: dict[str, tuple[dict[str, Any], tuple[dict[str, Any], ...]]] = {
    "r1r2": ({"penalty": "r1r2(gamma=0.1)"}, ({}, {}, {})),
    "lazy gradient penalty": ({"penalty": "gp(every=3)"}, ({}, {}, {})),
    "spectral": ({"penalty": "spectral", "objective": "hinge"}, ({}, {}, {})),
    "clip and rmsprop": ({"penalty": "clip", "objective": "wasserstein", "optimizer": "rmsprop"}, ({}, {}, {})),
    "momentum": ({"optimizer": "sgd(momentum=0.5)", "lr_critic": 0.01}, ({}, {}, {})),
    "annealed with dsm": (
        {"lambda_likelihood": "linear(-0.8->0, hold=0.2)", "score": "dsm(sigmas=0.1->1, at=0.3)", "score_warmup": 40},
        ({}, {}, {}),
    ),
    "entropy clock": ({"recipe": "annealed-entropy"}, ({}, {}, {})),
    "a lambda each": (
        {"lambda_likelihood": f"each({', '.join(EACH)})"},
        tuple({"lambda_likelihood": text} for text in EACH),
    ),
    "a learning rate each": (
        {"lr_generator": [0.001, 0.002, 0.004]},
        tuple({"lr_generator": lr} for lr in (0.001, 0.002, 0.004)),
    ),
    "a penalty each": (
        {"penalty": "r1r2(gamma=each(0.01, 0.1, 1), every=2)"},
        tuple({"penalty": f"r1r2(gamma={g}, every=2)"} for g in (0.01, 0.1, 1)),
    ),
    "simultaneous": ({"solver": "simultaneous"}, ({}, {}, {})),
    "five critic steps": ({"solver": "alternating(n_critic=5)"}, ({}, {}, {})),
    "finite data": ({"source": "digits", "score_warmup": 16}, ({}, {}, {})),
    "batch norm": ({"source": "digits", "recipe": "image", "network": "dcgan(width=4)"}, ({}, {}, {})),
    "more members than a block": ({"penalty": "r1r2(gamma=0.1)"}, ({},) * (BLOCK + 1)),
    "noise on both laws": ({"noise": "geometric(0.5->0.1)"}, ({}, {}, {})),
}


@pytest.mark.parametrize("case", CASES)
def test_a_member_is_the_single_run_with_its_seed(case: str) -> None:
    shared, own = CASES[case]
    population = tensors(trained(population=len(own), seed=4, **shared))
    for k, differing in enumerate(own):
        single = tensors(trained(seed=4 + k, **{**shared, **differing}))
        assert single.keys() <= population.keys()
        for name, value in single.items():
            if name.startswith("streams"):
                kind = name.rpartition(".")[0]
                assert torch.equal(value, population[f"{kind}.{k}"]), name
            else:
                member = population[name] if population[name].dim() == value.dim() else population[name][k]
                torch.testing.assert_close(
                    member, value, rtol=1e-5, atol=1e-5, msg=lambda m, name=name, k=k: f"{name}, member {k}: {m}"
                )


def test_a_population_of_chosen_seeds_has_their_runs() -> None:
    population = tensors(trained(population=2, seeds=(7, 3)))
    for k, seed in enumerate((7, 3)):
        single = tensors(trained(seed=seed))["params/generator/body.layers.0.weight"]
        torch.testing.assert_close(population["params/generator/body.layers.0.weight"][k], single, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "options", [{}, {"population": 3}, {"source": "digits", "recipe": "digits", "score_warmup": 64}]
)
def test_the_same_seed_gives_the_same_bits_and_another_seed_other_ones(options: dict[str, Any]) -> None:
    one, same, other = (tensors(trained(10, precision="float32", **options, seed=seed)) for seed in (1, 1, 2))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not any(torch.equal(one[name], other[name]) for name in one if name.startswith(("params", "streams/noise")))


def test_two_members_of_one_seed_are_twins() -> None:
    twins = tensors(trained(population=3, seeds=(5, 1, 5)))
    for name, value in twins.items():
        if name.startswith("params"):
            torch.testing.assert_close(value[0], value[2], rtol=1e-9, atol=1e-9)
            assert not torch.allclose(value[0], value[1])
