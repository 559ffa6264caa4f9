"""What `check` and `escape` refuse, and what they must let pass."""

import math

import numpy as np
import pytest
import torch

from ganneal.errors import UsageError
from ganneal.targets import Target, check, escape, open_target


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def norm(x: torch.Tensor) -> torch.Tensor:
    return (x.square().sum(-1) + 1e-12).sqrt()


# log u, dimensions, words of the message
IMPROPER = [
    (lambda x: 0 * x.sum(-1), 1, "along coordinate 1 log u is 0, 0, 0 at distances 100, 10000, 1e\\+06"),
    (lambda x: 0 * x.sum(-1), 5, "no finite integral"),
    (lambda x: (x**2).sum(-1), 2, "return its negative"),
    (lambda x: x.abs().sum(-1).exp(), 1, r"is \+inf|return its negative|no finite"),
    (lambda x: -torch.log1p(norm(x)) / 2, 1, "no finite integral"),
    (lambda x: -torch.log1p(norm(x)) / 2, 3, "no finite integral"),
    (lambda x: -torch.log1p(norm(x)), 1, "no finite integral"),
    (lambda x: -1.5 * torch.log1p(norm(x)), 2, "random direction.*-2 log"),
    (lambda x: -(x[:, 0] ** 2), 2, "coordinate 2"),
    (lambda x: -(x[:, :3] ** 2).sum(-1), 4, "coordinate 4"),
    (lambda x: -((x[:, 0] + x[:, 1]) ** 2), 2, "flattest direction"),
    (lambda x: -((x[:, 0] + x[:, 1] - 2 * x[:, 2]) ** 4) - (x[:, 0] - x[:, 1]) ** 2, 3, "flattest direction"),
    (lambda x: -100 * (x[:, 0] - x[:, 1]) ** 2 - 0.4 * torch.log1p((x[:, 0] + x[:, 1]) ** 2), 2, "flattest direction"),
    (lambda x: x[:, 0] - x[:, 0].abs() - x[:, 1] ** 2, 2, "along coordinate 1"),
    (lambda x: -torch.exp(x[:, 0]), 1, "minus coordinate 1"),
    (lambda x: torch.cos(x).sum(-1), 2, "no finite integral"),
    (lambda x: -torch.nn.functional.softplus(x).sum(-1), 3, "minus coordinate"),
]


@pytest.mark.parametrize(("function", "dim", "words"), IMPROPER, ids=range(len(IMPROPER)))
def test_improper_densities_are_refused(function, dim, words):
    target = open_target(function, dim)
    for seed in range(3):
        found = escape(target, generator(seed))
        assert found is not None
        assert float(found.direction.norm()) == pytest.approx(1)
        assert len(found.values) == len(found.distances) == 3
    with pytest.raises(UsageError, match=words):
        check(target, generator())


PROPER = [
    (lambda x: -x.abs().sum(-1), 3),
    (lambda x: -(x**4).sum(-1) * 1e-6, 3),
    (lambda x: -norm(x), 6),
    (lambda x: x[:, 0] - torch.exp(x[:, 0]), 1),
    (lambda x: -1.1 * torch.log1p(x.abs()).sum(-1), 4),
    (lambda x: -(4 + 1) / 2 * torch.log1p(x.square().sum(-1)), 4),
    (lambda x: -(x / 1e7).square().sum(-1), 4),
    (lambda x: -(x / 1e-7).square().sum(-1), 2),
    (lambda x: -((x - 1e6) ** 2).sum(-1) / 2, 2),
    (lambda x: -((x[:, 0] + x[:, 1]) ** 2) - 1e-8 * (x**2).sum(-1), 2),
    (lambda x: torch.where((x.abs() < 2).all(-1), -(x**2).sum(-1), -math.inf), 2),
    (lambda x: torch.log(torch.exp(-(x**2)).sum(-1)), 1),
    (lambda x: -(x.float() ** 2).sum(-1), 2),
    (lambda x: -((1 - x[:, 0]) ** 2) - 100 * (x[:, 1] - x[:, 0] ** 2) ** 2, 2),
]


@pytest.mark.parametrize(("function", "dim"), PROPER, ids=range(len(PROPER)))
def test_proper_densities_pass(function, dim):
    for seed in range(5):
        assert check(open_target(function, dim), generator(seed)) is None


@pytest.mark.parametrize(
    "text",
    ["student(dim=50)", "student(dim=1, df=0.5)", "funnel(dim=50)", "gaussian(dim=300, std=1000)", "gaussian(std=1e9)",
     "lj13(trap=0.001)", "many_well(dim=250)", "gaussian(dim=20, correlation=0.9999)", "logistic(prior=none)"],
)  # fmt: skip
def test_heavy_wide_and_high_dimensional_targets_pass(text):
    assert check(open_target(text), generator()) is None


@pytest.mark.parametrize(
    ("text", "beta", "passes"),
    [("student(dim=3)", 0.5, True), ("student(dim=3)", 0.3, False), ("student(dim=3, df=9)", 0.12, True),
     ("student(dim=3, df=9)", 0.08, False), ("kidney", 0.001, True)],
)  # fmt: skip
def test_which_temperatures_are_integrable(text, beta, passes):
    """u^beta of a product of t(df) is integrable for beta > 1 / (df + 1)."""
    found = escape(open_target(text), generator(), beta)
    assert (found is None) is passes
    if found is not None:
        assert found.sentence().startswith(f"u^{beta:g} has no finite integral")


BROKEN = [
    (lambda x: -(x**2).sum(-1) + torch.randn(len(x)), "must not draw random numbers"),
    (lambda x: -((x - x.mean(0)) ** 2).sum(-1), "depends on the other rows"),
    (lambda x: torch.log(x[:, 0]) - (x**2).sum(-1), "is NaN at .* allowed: finite numbers"),
    (lambda x: torch.log(torch.exp(-((x - 100) ** 2) / 2).prod(-1)), "-inf at all 16"),
    (lambda x: (x**2).sum(-1).neg().exp().reciprocal().mul(torch.inf), r"is \+inf at"),
    (lambda x: -(x - x.detach()).abs().sqrt().sum(-1) - (x**2).sum(-1), "gradient is not finite"),
    (lambda x: (-(x.numpy() ** 2).sum(1), 2 * x.numpy()), "change its sign"),
    (lambda x: (-(np.asarray(x) ** 2).sum(1), -np.asarray(x)), "not the slope of log u"),
    (lambda x: (-(np.asarray(x) ** 2).sum(1), -2 * np.asarray(x)[:, ::-1]), "not the slope of log u"),
    (lambda x: (-(np.asarray(x) ** 2).sum(1), np.full(x.shape, np.nan)), "gradient is not finite"),
]


@pytest.mark.parametrize(("function", "words"), BROKEN, ids=range(len(BROKEN)))
def test_functions_that_open_but_are_wrong(function, words):
    with pytest.raises(UsageError, match=words):
        check(open_target(function, 2), generator())


def test_dropout_and_batch_norm():
    for layer, words in ((torch.nn.Dropout(0.5), "random"), (torch.nn.BatchNorm1d(2), "other rows|more than 1 value")):
        net = torch.nn.Sequential(torch.nn.Linear(2, 2), layer)
        target = open_target(lambda x, net=net: -(net(x) ** 2).sum(-1) - (x**2).sum(-1), 2)
        with pytest.raises(UsageError, match=words):
            check(target, generator())


def test_targets_written_by_hand():
    """A `Target` is not checked when it is made: `check` finds what is wrong with it."""
    cases = [
        (Target(name="mine", dim=2, log_prob=lambda x: -(x**2)), "mine: returned shape|raised"),
        (Target(name="mine", dim=2, log_prob=lambda x: -(x**2).sum()), "mine: returned shape|raised"),
        (
            Target(name="mine", dim=2, log_prob=lambda x: -(x**2).sum(-1), gradient=lambda x: -x[:, 0]),
            "gradient has|raised",
        ),
        (Target(name="mine", dim=2, log_prob=lambda x: -(x**2).sum(-1), gradient=lambda x: 2 * x), "change its sign"),
        (Target(name="mine", dim=2, log_prob=lambda x: x[:, 5]), "mine: raised IndexError"),
        (Target(name="mine", dim=2, log_prob=lambda x: x.sum(-1)), "mine: u has no finite integral"),
    ]
    for target, words in cases:
        with pytest.raises(UsageError, match=words):
            check(target, generator())
