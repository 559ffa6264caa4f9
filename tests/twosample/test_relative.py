"""The relative test: its statistic and variance by brute force, its level, and which way it points."""

import math

import numpy as np
import pytest
import torch

from ganneal.errors import UsageError
from ganneal.twosample.kernels import gaussian
from ganneal.twosample.mmd import mmd_test
from ganneal.twosample.relative import relative_test

GENERATOR = np.random.default_rng(0)


def test_the_difference_is_that_of_two_mmds() -> None:
    x, y, z = (GENERATOR.normal(k, 1, size=(n, 2)) for k, n in ((0, 12), (0.5, 9), (1, 15)))
    found = relative_test(x, y, z, kernel=1.3)
    first, second = (mmd_test(x, v, kernel=1.3, permutations=19).statistic for v in (y, z))
    assert found.effect == pytest.approx(first - second, abs=1e-13)
    assert (found.details["mmd2_y"], found.details["mmd2_z"]) == pytest.approx((first, second), abs=1e-13)


def test_the_variance_is_that_of_repeated_samples() -> None:
    """Projection against simulation at n large enough for first order to be all."""
    draws = [
        relative_test(
            *(GENERATOR.normal(k, 1, size=(n, 1)) for k, n in ((0, 150), (0.8, 100), (-1.2, 200))), kernel=1.0
        )
        for _ in range(400)
    ]
    assert np.mean([d.details["deviation"] for d in draws]) == pytest.approx(
        np.std([d.effect for d in draws]), rel=0.12
    )


@pytest.mark.parametrize("n", [30, 100])
def test_level_where_both_are_equally_far_and_where_both_are_right(n: int) -> None:
    for shift, most in ((0.7, 0.05 + 3 * math.sqrt(0.05 * 0.95 / 500)), (0.0, 0.03)):
        hits = 0
        for _ in range(500):
            x, y, z = GENERATOR.normal(size=(3, n, 2))
            hits += relative_test(x, y + np.array([shift, 0]), z - np.array([shift, 0])).rejected
        assert hits / 500 <= most


def test_it_points_at_the_closer_model() -> None:
    x, near, far = (GENERATOR.normal(k, 1, size=(200, 2)) for k in (0, 0.2, 1.0))
    toward_z = relative_test(x, far, near)
    assert (toward_z.details["closer"], toward_z.rejected) == ("z", True)
    toward_y = relative_test(x, near, far)
    assert (toward_y.details["closer"], toward_y.rejected) == ("y", False)
    assert toward_y.pvalue == pytest.approx(1 - toward_z.pvalue, abs=1e-9)
    same = relative_test(x, near, near)
    assert (same.details["closer"], same.pvalue) == ("undecided", 0.5)
    assert toward_z.sentence().startswith("z is closer than y (p = ")
    assert toward_y.sentence().startswith("y is closer than z (p = ")
    assert toward_z.details["pvalue_two_sided"] == pytest.approx(2 * toward_z.pvalue, rel=1e-6)
    assert not toward_z.details["degenerate"]


def test_where_both_are_right_it_says_that_the_distances_are_small() -> None:
    found = [relative_test(*GENERATOR.normal(size=(3, 100, 2))) for _ in range(100)]
    assert np.mean([f.details["degenerate"] for f in found]) > 0.8
    undecided = next(f for f in found if f.details["degenerate"] and f.details["closer"] == "undecided")
    assert undecided.sentence().endswith("small beside the error of their difference.")
    spread = np.std([f.statistic for f in found])
    assert spread == pytest.approx(math.sqrt(0.5), abs=0.15)  # V holds twice the variance


def test_far_from_the_origin_nothing_changes() -> None:
    x, y, z = (GENERATOR.normal(k, 1, size=(50, 3)) for k in (0, 0.3, 0.6))
    here, there = (relative_test(x + c, y + c, z + c) for c in (0.0, 1e6))
    assert there.statistic == pytest.approx(here.statistic, rel=1e-6)


def test_the_published_width() -> None:
    x, y, z = (torch.randn(20, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(k)) for k in range(3))
    medians = [torch.pdist(torch.cat([x, v])).median() for v in (y, 3 * z)]
    expected = float(sum(m / math.sqrt(2) for m in medians)) / 2
    assert relative_test(x, y, 3 * z).bandwidth[0] == pytest.approx(expected, rel=0.02)
    assert relative_test(x, y, z, kernel=gaussian(2.0)).bandwidth == (2.0,)


def test_wrong_requests_are_named() -> None:
    with pytest.raises(UsageError, match="x and z: got examples of 2 and 3"):
        relative_test(np.eye(4)[:, :2], np.eye(4)[:, :2], np.eye(4)[:, :3])
    with pytest.raises(UsageError, match="level"):
        relative_test(np.eye(4), np.eye(4), np.eye(4), level=1.5)
