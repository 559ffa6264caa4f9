"""MMD-O and MMD-ARD: what they choose is what theory calls best, the test half shapes nothing, the level holds."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from ganneal.errors import UsageError
from ganneal.twosample.kernels import gaussian
from ganneal.twosample.learned import GRID, batches, choose, mmd_ard_test, mmd_o_test, split
from ganneal.twosample.mmd import mmd_test
from ganneal.twosample.samples import halves
from ganneal.twosample.variance import power_criterion


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=generator(seed))


def blobs(seed: int, n: int, ratio: float) -> Tensor:
    """The 5 x 5 blobs of Sutherland et al. 2017: spacing 10, correlation (ratio - 1) / (ratio + 1)."""
    z, rho = normal(seed, n, 2), (ratio - 1) / (ratio + 1)
    z[:, 1] = rho * z[:, 0] + math.sqrt(1 - rho**2) * z[:, 1]
    return z + 10.0 * torch.randint(0, 5, (n, 2), generator=generator(seed + 10**6))


def test_the_width_is_that_of_the_detail_not_of_the_cloud() -> None:
    """The best width on blobs is .67 (Sutherland et al. 2017); the median distance is near 24 and has no power."""
    x, y = blobs(0, 900, 1.0), blobs(1, 900, 6.0)
    found = mmd_o_test(x, y, permutations=199)
    assert 0.3 < found.bandwidth[0] < 1.5
    assert found.details["median"] > 15
    assert found.details["criterion"] > 3 * found.details["criterion_median"]
    assert found.rejected
    assert not mmd_test(x, y, permutations=199).rejected
    assert found.tested == (450, 450)
    assert found.power is not None
    assert found.power > 0.5


def test_the_width_is_the_maximiser_of_the_criterion() -> None:
    """Against a fine grid, on the very training half (which is one batch), and T / sqrt V made here by hand."""
    x, y = normal(0, 160, 2), 0.5 * normal(1, 160, 2)
    found = mmd_o_test(x, y, permutations=19, seed=3, steps=80)
    chance = generator(3)
    a, b, _, _ = halves(x, y, chance)
    (pair,) = batches(a, b, chance)  # the variance is one of pairs, so that their order matters
    pool, m = torch.cat(pair), len(a)

    def criterion(width: float) -> float:
        k = gaussian(width).gram(pool, pool).numpy()
        h = k[:m, :m] + k[m:, m:] - k[:m, m:] - k[:m, m:].T
        xx, yy = (g.sum() - np.trace(g) for g in (k[:m, :m], k[m:, m:]))
        t = (xx + yy) / (m * (m - 1)) - 2 * k[:m, m:].mean()
        s2 = 4 / m**3 * (h.sum(1) ** 2).sum() - 4 / m**4 * h.sum() ** 2
        return float(t / math.sqrt(s2 / m))

    best = max(criterion(w) for w in found.details["median"] * np.geomspace(1 / 128, 8, 600))
    assert criterion(found.bandwidth[0]) == pytest.approx(found.details["criterion"], rel=1e-6)
    assert found.details["criterion"] == pytest.approx(best, rel=1e-3)
    assert criterion(found.details["median"]) == pytest.approx(found.details["criterion_median"], rel=1e-6)


def test_widths_move_in_log_space() -> None:
    """Samples 1e6 times as large have a width 1e6 times as large and the very same p-value."""
    x, y = normal(0, 60, 2), normal(1, 60, 2) + 0.3
    small, large = (mmd_o_test(s * x, s * y, permutations=99) for s in (1.0, 1e6))
    assert large.bandwidth[0] == pytest.approx(1e6 * small.bandwidth[0], rel=1e-6)
    assert large.pvalue == small.pvalue


def test_weights_find_the_columns_whatever_their_units() -> None:
    units = torch.tensor([1e-3, 1.0, 1e4, 10.0, 1.0])
    x, y = normal(0, 700, 5), normal(1, 700, 5)
    y[:, 2] *= 1.6
    x[:, 4] = y[:, 4] = 7.0
    found = mmd_ard_test(x * units, y * units, permutations=199)
    weights = found.details["weights"]
    assert found.rejected
    assert found.details["columns"][0] == 2
    assert weights[2] > 0.5
    assert weights[4] == 0
    assert sum(weights) == pytest.approx(1)
    scales = torch.tensor(found.details["scales"]) * units * torch.cat([x, y]).std(0)
    assert torch.allclose(scales / scales.sum(), torch.tensor(weights, dtype=torch.float64), atol=0.01)
    plain = mmd_ard_test(x, y, permutations=199)
    assert plain.pvalue == found.pvalue
    assert np.allclose(plain.details["weights"], weights, atol=1e-6)


@pytest.mark.parametrize("test", [mmd_o_test, mmd_ard_test])
def test_the_test_half_shapes_nothing(test: Any) -> None:
    """Other examples in the test half: same choice, same training criterion."""
    x, y = normal(0, 50, 3), normal(1, 40, 3) + 0.2
    places = halves(torch.arange(50), torch.arange(40), generator(5))
    changed_x, changed_y = x.clone(), y.clone()
    changed_x[places[2]], changed_y[places[3]] = 100 + normal(2, 25, 3), -50 * normal(3, 20, 3)
    first, second = (test(a, b, permutations=19, seed=5) for a, b in ((x, y), (changed_x, changed_y)))
    assert first.details == second.details
    assert first.bandwidth == second.bandwidth
    assert first.pvalue > second.pvalue


@pytest.mark.parametrize(("test", "arguments"), [(mmd_o_test, {"steps": 3}), (mmd_ard_test, {"steps": 3})])
@pytest.mark.parametrize(("m", "n"), [(30, 30), (30, 100)])
def test_level(test: Any, arguments: dict[str, int], m: int, n: int) -> None:
    """120 null pairs, exact binomial: exceeds by chance once in a thousand. Longer runs: benchmarks."""
    hits = sum(
        test(normal(2 * s, m, 2), normal(2 * s + 1, n, 2), permutations=19, seed=s, **arguments).rejected
        for s in range(120)
    )
    assert hits <= 14


def test_same_seed_same_bits_and_early_stop() -> None:
    x, y = normal(0, 40, 2), normal(1, 60, 2)
    first, second = (mmd_ard_test(x, y, permutations=99, seed=4) for _ in range(2))
    assert first.to_dict() == second.to_dict()
    assert mmd_ard_test(x, y, permutations=99, seed=5).details != first.details
    stopped = mmd_o_test(x, y, permutations=5000, exceedances=5)
    assert stopped.null == "permutation, stopped early"
    assert stopped.permutations < 5000


def test_batches_are_pairs_that_go_through_the_larger_sample() -> None:
    x, y = torch.arange(23.0)[:, None], torch.arange(100.0)[:, None]
    found = batches(x, y, generator(), size=10)
    assert [(len(a), len(b)) for a, b in found] == [(10, 10)] * 10
    assert torch.cat([b for _, b in found]).unique().numel() == 100
    assert torch.cat([a for a, _ in found]).unique().numel() == 23
    (whole,) = batches(x, x, generator(), size=50)
    assert all(part.unique().numel() == 23 for part in whole)


def test_choose_finds_a_maximum_away_from_its_starts() -> None:
    """Two laws on a line whose criterion has one hump between two grid points."""
    pair = (normal(0, 80, 1), 0.4 * normal(1, 80, 1))
    pool = torch.cat(pair)

    def gram(k: int, log_width: Tensor) -> Tensor:
        return torch.exp(-0.5 * (pool - pool.T).square() * torch.exp(-2 * log_width))

    best, value = choose(gram, [pair], list(GRID[::6]), 200, rate=0.05)
    fine = [float(power_criterion(gram(0, w), 80)) for w in torch.linspace(-5, 2.1, 400)]
    assert value >= max(fine) * (1 - 1e-4)
    assert float(power_criterion(gram(0, best), 80)) == pytest.approx(value)


def test_constant_samples_are_told_nothing() -> None:
    for test in (mmd_o_test, mmd_ard_test):
        found = test(np.ones((10, 2)), np.ones((12, 2)), permutations=19)
        assert (found.statistic, found.pvalue) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("x", "arguments", "words"),
    [
        (np.zeros((7, 2)), {}, "at least 8"),
        (np.zeros((9, 3)), {}, "2 and 3|3 and 2"),
        (np.full((9, 2), np.nan), {}, "NaN"),
        (np.zeros((9, 2)), {"share": 1.0}, "between 0 and 1"),
        (np.zeros((9, 2)), {"permutations": 5}, "at least 19"),
        (np.zeros((9, 2)), {"level": 0.0}, "between 0 and 1"),
    ],
)
def test_wrong_requests_are_named(x: np.ndarray, arguments: dict[str, Any], words: str) -> None:
    for test in (mmd_o_test, mmd_ard_test):
        with pytest.raises(UsageError, match=words):
            test(x, np.random.default_rng(0).normal(size=(9, 2)), **arguments)


def test_split_cuts_by_share() -> None:
    train, test, _ = split(np.arange(40.0), np.arange(20.0), 99, 0, 0.05, 0.25)
    assert [len(part) for part in (*train, *test)] == [10, 5, 30, 15]
