"""Copies of the training data are found, fresh draws are not: ranks against scipy, levels by simulation."""

import json
import sys

import numpy as np
import pytest
import torch
from scipy.stats import binomtest, hypergeom, kstest, mannwhitneyu

from ganneal.errors import UsageError
from ganneal.metrics import memorisation
from ganneal.metrics.distances import nearest
from ganneal.metrics.memorisation import _stratified_ranks


def draw(rng: np.random.Generator, n: int, d: int = 3) -> np.ndarray:
    return rng.normal(size=(n, d))


def zeros(n: int) -> torch.Tensor:
    return torch.zeros(n, dtype=torch.long)


@pytest.mark.parametrize("shift", [-1.0, 0.0, 0.7])
def test_ranks_with_ties_against_scipy(shift: float) -> None:
    rng = np.random.default_rng(0)
    x, y = np.round(rng.normal(size=40) + shift, 1), np.round(rng.normal(size=55), 1)
    z, pvalue, cells = _stratified_ranks(torch.from_numpy(x), torch.from_numpy(y), zeros(40), zeros(55), 1)
    expected = mannwhitneyu(x, y, alternative="less", method="asymptotic")
    assert pvalue == pytest.approx(expected.pvalue, rel=1e-10)
    assert cells == (pytest.approx(z),)
    assert np.sign(z) == np.sign(expected.statistic - 40 * 55 / 2)


def test_normal_law_of_ranks_is_near_the_exact_one() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        x, y = rng.normal(size=8) - 0.8, rng.normal(size=9)
        pvalue = _stratified_ranks(torch.from_numpy(x), torch.from_numpy(y), zeros(8), zeros(9), 1)[1]
        assert pvalue == pytest.approx(mannwhitneyu(x, y, alternative="less", method="exact").pvalue, abs=0.006)


def test_cells_are_joined_by_van_elteren() -> None:
    """sum_c (U_c - E U_c)/(N_c + 1) over its standard deviation, no ties; a cell without a partner says nothing."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=30), rng.normal(size=40)
    a, b = np.arange(30) % 4, np.arange(40) % 3
    z, _, cells = _stratified_ranks(*(torch.from_numpy(v) for v in (x, y, a, b)), 4)
    top, bottom = 0.0, 0.0
    for c in range(3):
        u = (x[a == c][:, None] > y[b == c]).sum()
        m, n = int((a == c).sum()), int((b == c).sum())
        variance = m * n * (m + n + 1) / 12
        assert cells[c] == pytest.approx((u - m * n / 2) / variance**0.5)
        top, bottom = top + (u - m * n / 2) / (m + n + 1), bottom + variance / (m + n + 1) ** 2
    assert z == pytest.approx(top / bottom**0.5)
    assert cells[3] is None


@pytest.mark.parametrize(("m", "n", "cells"), [(30, 30, 1), (100, 60, 1), (100, 100, 5)])
def test_fresh_draws_are_not_accused(m: int, n: int, cells: int) -> None:
    rng, reps = np.random.default_rng(0), 300
    found = [memorisation(draw(rng, m), draw(rng, 150), draw(rng, n), cells=cells, seed=i) for i in range(reps)]
    for values in ([f.pvalue for f in found], [f.rank_pvalue for f in found], [f.share_pvalue for f in found]):
        for level in (0.05, 0.2):
            assert binomtest(sum(v <= level for v in values), reps, level, alternative="greater").pvalue > 1e-3
    assert kstest([f.rank_pvalue for f in found], "uniform").pvalue > 1e-3
    assert np.mean([f.share for f in found]) == pytest.approx(found[0].share_expected, abs=0.012)
    assert abs(np.mean([f.c_t for f in found])) < 0.25


def test_the_law_of_the_share() -> None:
    """At least k of m = 20 distances below the fourth of n = 39 others: at least k among the k + 3 smallest of all."""
    rng, m, n = np.random.default_rng(0), 20, 39
    found = [memorisation(draw(rng, m), draw(rng, 5), draw(rng, n), alpha=0.1) for _ in range(40)]
    assert found[0].share_expected == pytest.approx(0.1)
    for f in found:
        closer = round(f.share * m)
        assert f.share_pvalue == pytest.approx(hypergeom.sf(closer - 1, m + n, m, closer + 3), rel=1e-9)


def test_a_memoriser_is_caught_and_its_sources_are_named() -> None:
    rng = np.random.default_rng(0)
    train = draw(rng, 200)
    picked = rng.permutation(200)[:100]
    found = memorisation(train[picked] + 1e-4 * draw(rng, 100), train, draw(rng, 100))
    assert found.pvalue < 1e-20
    assert found.copied
    assert found.c_t < -8
    assert found.share == 1
    assert found.median < 1e-3 < found.median_heldout
    assert all(picked[sample] == source for sample, source, _ in found.pairs)
    distances = [distance for _, _, distance in found.pairs]
    assert len(distances) == 16
    assert distances == sorted(distances)
    assert found.sentence().startswith("Samples are closer to the training data than fresh data are (p = ")
    fresh = memorisation(draw(rng, 100), train, draw(rng, 100))
    assert not fresh.copied
    assert fresh.sentence().startswith("No sign of copying")


def test_a_few_copies_are_seen_by_the_share() -> None:
    rng, caught = np.random.default_rng(0), 0
    for _ in range(40):
        train = draw(rng, 200)
        found = memorisation(np.vstack([train[:20], draw(rng, 80)]), train, draw(rng, 100))
        caught += found.copied
    assert caught >= 38


def test_exact_copies_have_distance_zero_and_p_is_never_zero() -> None:
    rng = np.random.default_rng(0)
    train = 1e3 + draw(rng, 300, 20)
    found = memorisation(train, train, 1e3 + draw(rng, 3000, 20))
    assert found.pairs[0][2] == 0
    assert found.median == 0
    assert found.pvalue >= sys.float_info.min
    same = memorisation(np.ones((10, 2)), np.ones((20, 2)), np.ones((10, 2)))
    assert same.pvalue == 1


def test_too_far_is_not_copying() -> None:
    rng = np.random.default_rng(0)
    found = memorisation(5 * draw(rng, 100), draw(rng, 200), draw(rng, 100))
    assert found.c_t > 5
    assert found.pvalue > 0.9


def test_cells_forgive_modes_that_are_left_out() -> None:
    """A dense and a wide cluster; the model makes the dense one only, without copying. All together it looks like a
    copier; within the clusters it does not."""
    rng = np.random.default_rng(0)

    def dense(n: int) -> np.ndarray:
        return 0.1 * draw(rng, n)

    def both(n: int) -> np.ndarray:
        return np.vstack([dense(n), 20 + 3 * draw(rng, n)])

    train, fresh, samples = both(200), both(100), dense(150)
    assert memorisation(samples, train, fresh).pvalue < 1e-4
    found = memorisation(samples, train, fresh, cells=2)
    assert found.pvalue > 0.05 or found.rank_pvalue > 0.05
    assert sorted(score is None for score in found.cell_c_t) == [False, True]


def test_nearest_against_numpy() -> None:
    rng = np.random.default_rng(0)
    x, y = torch.from_numpy(draw(rng, 20)), torch.from_numpy(draw(rng, 30))
    table = (x[:, None] - y).norm(dim=2)
    distances, indices = nearest(x, y, 4)
    assert torch.equal(distances, table.gather(1, indices))
    torch.testing.assert_close(distances, table.sort(1).values[:, :4])
    own, which = nearest(x, x, 1, others=True)
    assert bool((which[:, 0] != torch.arange(20)).all())
    assert float(own.min()) > 0


def test_plain_numbers_and_bad_requests() -> None:
    rng = np.random.default_rng(0)
    x, train, fresh = draw(rng, 10), draw(rng, 20), draw(rng, 10)
    told = json.loads(json.dumps(memorisation(x, train, fresh, cells=3).to_dict(), allow_nan=False))
    assert told["copied"] is False
    assert memorisation(x, train, fresh, cells=3) == memorisation(x, train, fresh, cells=3)
    images = memorisation(x.reshape(10, 1, 1, 3), train.reshape(20, 1, 1, 3), fresh.reshape(10, 1, 1, 3))
    assert images == memorisation(x, train, fresh)
    for wrong, message in (
        ({"samples": x[:, :2]}, "got examples of 2, 3 and 3 numbers"),
        ({"heldout": fresh * np.nan}, "heldout: 10 of 10"),
        ({"alpha": 0.0}, "alpha"),
        ({"cells": 0}, "from 1 to 10"),
        ({"cells": 11}, "from 1 to 10"),
        ({"pairs": -1}, "pairs"),
    ):
        with pytest.raises(UsageError, match=message):
            memorisation(**{"samples": x, "training": train, "heldout": fresh, **wrong})
