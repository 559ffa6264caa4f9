"""Rankings of made-up scores, against closed forms."""

import math

import numpy as np
import pytest
from scipy import stats

from ganneal.comparing import standings


def test_the_interval_is_that_of_student() -> None:
    values = [1.0, 2.0, 4.0, 5.0]
    (found,) = standings({"a": values})
    low, high = stats.t.interval(0.95, 3, loc=3.0, scale=stats.sem(values))
    assert (found.low, found.high) == pytest.approx((low, high), rel=1e-12)


def test_differences_are_paired_by_seed() -> None:
    """A shift far below the spread between seeds, and seen at every one of them, is no noise."""
    rng = np.random.default_rng(0)
    base = 10 * rng.normal(size=8)
    worse = base + 0.1 + 0.01 * rng.normal(size=8)
    best, other = standings({"worse": worse.tolist(), "best": base.tolist()})
    assert (best.key, other.key, other.tied) == ("best", "worse", False)
    assert other.p == pytest.approx(2 * stats.ttest_rel(worse, base).pvalue, rel=1e-9)
    assert other.difference == pytest.approx(float((worse - base).mean()))
    assert stats.ttest_ind(worse, base).pvalue > 0.9
    assert other.places == (2, 2)


def test_worse_at_every_seed_is_no_noise_even_where_some_seeds_collapse() -> None:
    """A t test alone is blinded by its two outliers; all eight signs agree, which chance does once in 128."""
    good = [0.004, 0.005, 0.003, 0.004, 0.006, 0.005, 0.004, 0.005]
    bad = [0.02, 4.5, 0.03, 0.02, 0.03, 4.5, 0.02, 0.03]
    other = standings({"good": good, "bad": bad})[1]
    assert other.p == pytest.approx(2 * 2 / 256)
    assert not other.tied
    assert stats.ttest_rel(good, bad).pvalue > 0.1


def test_noise_is_called_noise() -> None:
    """Of methods that are all alike, chance calls the best better than another in a few of a hundred at most."""
    rng = np.random.default_rng(1)
    wrong = 0
    for _ in range(200):
        found = standings({str(k): rng.normal(size=8).tolist() for k in range(2)})
        wrong += not found[1].tied
    assert wrong <= 20  # 5 % of 200 are 10, and 3.2 standard deviations of the count
    found = standings({str(k): rng.normal(size=8).tolist() for k in range(6)})
    assert found[0].places[0] == 1
    assert found[0].places[1] > 1


def test_more_is_better_where_it_is() -> None:
    found = standings({"a": [1.0, 1.0], "b": [2.0, 3.0]}, lower=False)
    assert [s.key for s in found] == ["b", "a"]
    assert found[1].difference == -1.5


def test_a_single_seed_tells_nothing() -> None:
    found = standings({"a": [1.0], "b": [2.0]})
    assert [(s.low, s.p, s.tied) for s in found] == [(None, None, True)] * 2


def test_equal_scores_are_tied_and_a_constant_gap_is_not() -> None:
    """Equal gaps leave the t test without a spread: what is left is the share of sign flips, 2 / 2^10, times 2 for the
    pairs (a, c) and (b, c); at three seeds it is 1/4, and nothing can be told."""
    for seeds, told in ((10, True), (3, False)):
        scores = [float(k) for k in range(seeds)]
        found = standings({"a": scores, "b": scores, "c": [s + 1 for s in scores]})
        assert [(s.key, s.tied) for s in found] == [("a", True), ("b", True), ("c", not told)]
        assert found[2].p == pytest.approx(2 / 2**seeds)
        assert found[0].best_share == pytest.approx(0.5)


def test_a_seed_that_failed_counts_as_the_worst() -> None:
    found = standings({"a": [0.0, None, math.inf], "b": [1.0, 5.0, 1.0]})
    assert [(s.key, s.imputed) for s in found] == [("b", 0), ("a", 2)]
    assert found[1].mean == pytest.approx(10 / 3)
