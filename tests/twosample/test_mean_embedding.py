"""ME: Hotelling's statistic by hand, the null of signs by enumeration, level, and locations at the difference."""

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from ganneal.errors import UsageError
from ganneal.twosample.mean_embedding import RIDGE, ascend, decide, hotelling, me_test, paired_parts, standard_scores


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=generator(seed))


def by_hand(z: np.ndarray) -> float:
    """n zbar' (S + g I)^-1 zbar, S with n - 1. (The code published with Liu et al. 2020 takes the scatter matrix,
    without 1 / (n - 1), in its deep ME: n - 1 times too small for chi2, as its own comment says of the result.)"""
    s = np.cov(z, rowvar=False).reshape(z.shape[1], -1)
    return float(len(z) * z.mean(0) @ np.linalg.solve(s + RIDGE * np.eye(len(s)), z.mean(0)))


@pytest.mark.parametrize(("n", "j"), [(7, 1), (7, 3), (6, 9)])
def test_every_sign_pattern_has_its_own_covariance(n: int, j: int) -> None:
    """(n - 1) q / (1 - q), made with one matrix for all patterns, is T with S made anew for each."""
    z = 0.3 * normal(n + j, n, j) + 0.1
    patterns = torch.tensor(list(itertools.product([1.0, -1.0], repeat=n)), dtype=torch.float64).T
    q = hotelling(z, patterns)
    fast = (n - 1) * q / (1 - q)
    slow = [by_hand((z * r[:, None]).numpy()) for r in patterns.T]
    assert np.allclose(fast, slow, rtol=1e-6)
    assert decide(z, "signs", 19, generator())[0] == pytest.approx(slow[0], rel=1e-6)
    exact = float((np.array(slow) >= slow[0] * (1 - 1e-7)).mean())
    assert decide(z, "signs", 20000, generator())[1] == pytest.approx(
        exact, abs=4 * math.sqrt(exact * (1 - exact) / 20000) + 1e-4
    )


def test_the_statistic_is_hotellings() -> None:
    """For normal z, T (n - J) / ((n - 1) J) has the law F(J, n - J): a factor n - 1 or a lost centring would show."""
    n, j = 20, 4
    scaled = []
    for seed in range(600):
        z = normal(seed, n, j) * torch.tensor([10.0, 20.0, 30.0, 40.0])
        statistic, pvalue, name = decide(z, "chi2", 19, generator())
        scaled.append(statistic * (n - j) / ((n - 1) * j))
        assert pvalue == pytest.approx(stats.chi2.sf(statistic, j))
        assert name == "chi2(4)"
    assert stats.kstest(scaled, stats.f(j, n - j).cdf).pvalue > 1e-3


def test_the_z_are_differences_of_kernels_in_data_units() -> None:
    """From what the result tells, the statistic made again: kernel exp(-d^2 / (2 s^2)), spread of the training part."""
    units = torch.tensor([1.0, 1e4, 1e-3], dtype=torch.float64)
    x, y = normal(0, 60, 3) * units, (normal(1, 60, 3) + 0.5) * units
    found = me_test(x, y, locations=3, seed=2)
    train, test, _ = paired_parts(x, y, 99, 2, 0.05, 0.5)
    spread = torch.cat(train).std(0)
    points = torch.tensor(found.details["locations"], dtype=torch.float64)
    first, second = (
        torch.exp(-0.5 * torch.cdist(part / spread, points / spread).square() / found.bandwidth[0] ** 2)
        for part in test
    )
    z = (first - second).numpy()
    assert found.statistic == pytest.approx(by_hand(z), rel=1e-6)
    assert np.allclose(found.details["differences"], z.mean(0), atol=1e-9)
    scores = z.mean(0) / z.std(0, ddof=1) * math.sqrt(len(z))
    assert np.allclose(found.details["scores"], scores, atol=1e-6)
    assert np.all(np.diff(np.abs(scores)) <= 1e-9)
    assert found.tested == (30, 30)


def test_it_points_to_where_the_samples_differ() -> None:
    """One example in eight of y lies around (3, 3), where x has next to nothing."""
    x, y = normal(0, 800, 2), normal(1, 800, 2)
    y[::8] = 3 + 0.3 * normal(2, 100, 2)
    found = me_test(x, y, locations=2)
    assert found.rejected
    assert found.pvalue == pytest.approx(1 / 1001)
    assert math.dist(found.details["locations"][0], (3, 3)) < 1.0
    assert found.details["differences"][0] < 0
    turned = me_test(y, x, locations=2)
    assert math.dist(turned.details["locations"][0], (3, 3)) < 1.0
    assert turned.details["differences"][0] > 0


def test_training_ascends_and_does_not_look_at_the_rest() -> None:
    x, y = normal(0, 80, 2), normal(1, 80, 2) + 0.3
    train, _, _ = paired_parts(x, y, 99, 5, 0.05, 0.5)

    def shifted(parameters: list[Tensor], a: Tensor, b: Tensor) -> Tensor:
        return torch.tanh(a @ parameters[0]) - torch.tanh(b @ parameters[0])

    start = normal(3, 2, 1)
    best = ascend(shifted, [[start], [0 * start + 1e-3]], *train, 60)
    values = [float(hotelling(shifted([p], *train))[0]) for p in (start, best[0])]
    assert values[1] > values[0]
    places = paired_parts(torch.arange(80.0), torch.arange(80.0), 99, 5, 0.05, 0.5)[1][0].flatten().long()
    other = x.clone()
    other[places] += 5.0
    first, second = me_test(x, y, seed=5), me_test(other, y, seed=5)
    assert sorted(first.details["locations"]) == sorted(second.details["locations"])
    assert first.bandwidth == second.bandwidth
    assert first.pvalue > second.pvalue
    assert me_test(x, y, seed=5).to_dict() == first.to_dict()


def test_pairs_stay_pairs() -> None:
    """y_i hangs on x_i: a shift of a fifth of a spread shows in pairs and not in two unordered samples."""
    x = normal(0, 120, 1)
    y = x + 0.2 + 0.05 * normal(1, 120, 1)
    assert me_test(x, y, locations=2).rejected
    assert not me_test(x, y[torch.randperm(120, generator=generator())], locations=2).rejected
    swapped = torch.rand(120, 1, generator=generator(3)) < 0.5
    assert not me_test(torch.where(swapped, x, y), torch.where(swapped, y, x), locations=2).rejected


@pytest.mark.parametrize("n", [30, 100])
def test_level(n: int) -> None:
    """150 null pairs of samples with heavy tails, exact binomial: exceeds by chance once in a thousand."""
    hits = 0
    for s in range(150):
        x, y = normal(2 * s, n, 2) ** 3, normal(2 * s + 1, n, 2) ** 3
        hits += me_test(x, y, permutations=19, seed=s, steps=5).rejected
    assert hits <= 17


def test_chi2_does_not_hold_its_level_with_few_pairs() -> None:
    """Why it is not the default: for 15 normal z, Hotelling's law puts a third above the .95 quantile of chi2_5."""
    expected = stats.f.sf(stats.chi2.ppf(0.95, 5) * (15 - 5) / (14 * 5), 5, 10)
    hits = [me_test(normal(2 * s, 30, 2), normal(2 * s + 1, 30, 2), seed=s, steps=3, null="chi2") for s in range(100)]
    assert expected > 0.25
    assert np.mean([h.rejected for h in hits]) > 0.12
    assert (hits[0].null, hits[0].permutations) == ("chi2(5)", 0)


def test_equal_and_constant_samples_are_told_nothing() -> None:
    x = normal(0, 20, 2)
    for a, b in ((x, x), (np.ones((20, 2)), np.ones((20, 2)))):
        found = me_test(a, b, permutations=19)
        assert (found.statistic, found.pvalue) == (0.0, 1.0)
        assert found.details["scores"] == [0.0] * 5
    flat = x.clone()
    flat[:, 1] = 4.0
    assert {row[1] for row in me_test(flat, flat + torch.tensor([1.0, 0.0])).details["locations"]} == {4.0}
    scores, order = standard_scores(torch.tensor([[1.0, 0.0, -3.0], [2.0, 0.0, -4.0]], dtype=torch.float64))
    assert torch.allclose(scores, torch.tensor([3.0, 0.0, -7.0], dtype=torch.float64))
    assert order.tolist() == [2, 0, 1]


@pytest.mark.parametrize(
    ("n", "arguments", "words"),
    [
        (19, {}, "in pairs"),
        (20, {"locations": 0}, "whole number from 1"),
        (20, {"locations": 2.5}, "whole number from 1"),
        (20, {"null": "chi"}, "did you mean 'chi2'"),
        (20, {"null": "chi2", "locations": 10}, "more than 10"),
        (20, {"share": 0.0}, "between 0 and 1"),
        (20, {"permutations": 5}, "at least 19"),
    ],
)
def test_wrong_requests_are_named(n: int, arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        me_test(normal(0, 20, 2), normal(1, n, 2), **arguments)
