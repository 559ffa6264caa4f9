"""Published levels and powers: T1 and T4 of the list of claims, and the laws of the published problems."""

import math

import numpy as np
import pytest
import torch

from ganneal.errors import UsageError
from ganneal.twosample.mmd import mmd_test
from ganneal.twosample.multiplicity import holm, wilson
from ganneal.twosample.problems import blob, blobs, hdgm


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_level_of_the_permutation_test() -> None:
    """T1: at most alpha; with B = 100 it is 5/101 = 4.95 %."""
    g = generator(1)
    hits = sum(
        mmd_test(*torch.randn(2, 20, 1, generator=g), kernel=1.0, permutations=100, seed=s).rejected
        for s in range(4000)
    )
    assert hits / 4000 == pytest.approx(5 / 101, abs=0.0105)  # three standard deviations


@pytest.mark.parametrize(("width", "power"), [(0.67, 0.96), (10.0, 0.10)])
def test_blobs_need_the_right_width(width: float, power: float) -> None:
    """T4: m = 500, level .1."""
    problem, g = blobs(6), generator()
    hits = sum(
        mmd_test(problem.p(500, g), problem.q(500, g), kernel=width, permutations=99, seed=s, level=0.1).rejected
        for s in range(100)
    )
    assert hits / 100 == pytest.approx(power, abs=0.07)


@pytest.mark.parametrize(
    ("problem", "accuracy"),
    [(blob(), 0.66), (blob(published=True), 0.66), (hdgm(3), 0.549), (hdgm(10), 0.564), (hdgm(20), 0.575)],
)
def test_oracle_accuracy(problem, accuracy: float) -> None:
    assert problem.oracle_accuracy(100_000, generator()) == pytest.approx(accuracy, abs=0.006)


def test_published_code_draws_other_marginal_variances() -> None:
    """.03 on both axes as described; off-diagonals c give .03 +- c^2/.03 as coded: .0433/.0167 in the first blob."""
    squares = np.mean([(0.02 + 0.002 * i) ** 2 for i in range(4)] * 2 + [0.0]) / 0.03
    for published, change in ((False, 0.0), (True, squares)):
        x = blob(published).q(400_000, generator())
        assert x.var(0).numpy() == pytest.approx([2 / 3 + 0.03 + change, 2 / 3 + 0.03 - change], abs=0.003)
    assert hdgm(4, published=True).p(10, generator()).shape == (10, 4)


def test_densities_of_the_problems_are_normalised() -> None:
    problem = hdgm(3)
    x = problem.p(400_000, generator())
    assert float((-problem.log_ratio(x)).exp().mean()) == pytest.approx(1, abs=0.02)  # E_p q/p


def test_holm_and_wilson() -> None:
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []
    from scipy import stats

    for hits, trials in ((0, 20), (3, 20), (20, 20), (101, 2000)):
        interval = stats.binomtest(hits, trials).proportion_ci(0.95, method="wilson")
        assert wilson(hits, trials) == pytest.approx((interval.low, interval.high), abs=1e-12)


@pytest.mark.parametrize(("make", "words"), [(lambda: blobs(0.5), "at least 1"), (lambda: hdgm(1), "at least 2")])
def test_wrong_requests_are_named(make, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        make()


def test_null_pvalues_are_uniform() -> None:
    g = generator(3)
    pvalues = np.sort(
        [mmd_test(*torch.randn(2, 30, 2, generator=g), permutations=199, seed=s).pvalue for s in range(400)]
    )
    grid = np.arange(1, 401) / 400
    assert np.abs(pvalues - grid).max() < 1.63 / math.sqrt(400) + 1 / 200  # Kolmogorov, 1 %
