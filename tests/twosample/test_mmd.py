"""The MMD permutation test against enumeration, scipy and its promises: level, power, p-values never zero."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy import stats

from ganneal.errors import UsageError
from ganneal.twosample import (
    Given,
    Gram,
    TestResult,
    gram_test,
    median_distance,
    mmd_test,
    permutation_pvalue,
    permutation_test,
)
from ganneal.twosample.gram import mmd_of, sums
from ganneal.twosample.kernels import KERNELS, base_matrix, centred, gaussian, kernel_for
from ganneal.twosample.permutation import observed_labels, relabelings, strata_groups

KERNEL = np.array([[1, 0.3, 0.7], [0.3, 0.8, 0.1], [0.7, 0.1, 1.2]])
P, Q = np.array([0.2, 0.5, 0.3]), np.array([0.4, 0.1, 0.5])


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def by_hand(gram: np.ndarray, first: list[int]) -> float:
    second = [i for i in range(len(gram)) if i not in first]
    m, n = len(first), len(second)
    xx = sum(gram[i, j] for i in first for j in first if i != j) / (m * (m - 1))
    yy = sum(gram[i, j] for i in second for j in second if i != j) / (n * (n - 1))
    return xx + yy - 2 * sum(gram[i, j] for i in first for j in second) / (m * n)


def random_gram(size: int, seed: int = 0) -> torch.Tensor:
    points = torch.randn(size, 2, dtype=torch.float64, generator=generator(seed))
    return gaussian(1.0).gram(points, points)


@pytest.mark.parametrize(("m", "n"), [(2, 2), (2, 3), (3, 2)])
def test_the_u_statistic_is_unbiased(m: int, n: int) -> None:
    """Enumeration of all samples on a space of three points: the mean of the statistic is MMD^2 exactly."""
    mean = 0.0
    for points in itertools.product(range(3), repeat=m + n):
        weight = math.prod(P[list(points[:m])]) * math.prod(Q[list(points[m:])])
        gram = torch.tensor(KERNEL[np.ix_(points, points)])
        mean += weight * gram_test(gram, m, 1, generator())[0].observed
    assert mean == pytest.approx((P - Q) @ KERNEL @ (P - Q), abs=1e-13)


@pytest.mark.parametrize(("m", "n"), [(3, 4), (4, 3), (2, 5)])
def test_random_relabelings_have_the_law_of_all_relabelings(m: int, n: int) -> None:
    gram = random_gram(m + n)
    found, _ = gram_test(gram, m, 20000, generator())
    observed, permuted, pvalue = found.observed, found.values, found.pvalue
    everything = np.array([by_hand(gram.numpy(), list(c)) for c in itertools.combinations(range(m + n), m)])
    assert observed == pytest.approx(by_hand(gram.numpy(), list(range(m))), abs=1e-13)
    nearest = np.abs(permuted.numpy()[:, None] - everything).argmin(1)
    assert np.abs(permuted.numpy() - everything[nearest]).max() < 1e-12
    frequencies = np.bincount(nearest, minlength=len(everything))
    assert stats.chisquare(frequencies).pvalue > 1e-3  # every relabeling is equally likely
    exact = (everything >= observed - 1e-12).mean()
    assert pvalue == pytest.approx(exact, abs=4 * math.sqrt(exact * (1 - exact) / 20000) + 1e-4)


def test_agrees_with_scipy_on_all_permutations() -> None:
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=4), rng.normal(1, 1, size=5)
    points = torch.tensor(np.concatenate([x, y]))[:, None]
    gram = gaussian(0.8).gram(points, points).numpy()
    pool = list(np.concatenate([x, y]))

    def statistic(a: np.ndarray, b: np.ndarray) -> float:
        return by_hand(gram, [pool.index(value) for value in a])

    oracle = stats.permutation_test((x, y), statistic, alternative="greater", n_resamples=np.inf, vectorized=False)
    ours = mmd_test(x, y, kernel=0.8, permutations=20000)
    assert ours.statistic == pytest.approx(float(oracle.statistic), abs=1e-12)
    assert ours.pvalue == pytest.approx(float(oracle.pvalue), abs=0.015)


@pytest.mark.parametrize("block", [1, 7, 100, 1000])
def test_blocks_do_not_change_the_result(block: int) -> None:
    gram = Given(random_gram(9))
    labels = [relabelings(4, 5, min(block, 100 - k), g) for g in [generator(5)] for k in range(0, 100, block)]
    torch.testing.assert_close(torch.cat(labels, 1), relabelings(4, 5, 100, generator(5)), rtol=0, atol=0)

    def statistic(columns: torch.Tensor) -> torch.Tensor:
        return mmd_of(sums(gram, columns), 4, 5)[0]

    blocked = permutation_test(statistic, 4, 5, 100, generator(5), block=block)
    whole, _ = gram_test(gram, 4, 100, generator(5))
    torch.testing.assert_close(blocked.values, whole.values, rtol=0, atol=1e-14)


@pytest.mark.parametrize("tile", [1, 3, 8, 100])
@pytest.mark.parametrize("kernel", ["multiscale", "laplace", "polynomial", "energy", "rq(0.5)"])
def test_tiles_give_what_the_whole_matrix_gives(kernel: str, tile: int) -> None:
    m, n = 9, 11
    pool = torch.randn(m + n, 3, dtype=torch.float64, generator=generator(1))
    gram = Gram(pool, [kernel_for(kernel, pool)])
    whole = gram.kernels[0].gram(pool, pool)
    labels = torch.cat([observed_labels(m, n), relabelings(m, n, 7, generator(2))], 1)
    found = sums(gram, labels, moments=True, tile=tile)
    for b in range(8):
        first = labels[:, b].nonzero().flatten().tolist()
        assert float(mmd_of(found, m, n)[0, b]) == pytest.approx(by_hand(whole.numpy(), first), abs=1e-12)
    off = whole - torch.diag(whole.diagonal())
    if tile == 100:  # the shift that is taken off is then the mean of the whole matrix
        off = torch.where(torch.eye(m + n) == 1, 0.0, whole - off.sum() / ((m + n) * (m + n - 1)))
        squares = [off[:m, :m].square().sum(), off[m:, m:].square().sum(), off[:m, m:].square().sum()]
        torch.testing.assert_close(found.squares[0], torch.stack(squares))


def test_strata_keep_their_numbers() -> None:
    labels = torch.tensor([0, 1, 0, 1, 1, 2, 0, 1, 0, 0])
    groups = strata_groups(labels, 5, 5)
    drawn = relabelings(5, 5, 200, generator(), groups=groups)
    for value in (0, 1, 2):
        assert (drawn[labels == value].sum(0) == int((labels[:5] == value).sum())).all()
    assert drawn[labels == 0].mean(1).numpy() == pytest.approx([2 / 5] * 5, abs=0.15)
    with pytest.raises(UsageError, match="nothing to compare"):
        strata_groups(torch.arange(10), 5, 5)
    with pytest.raises(UsageError, match="one for each of the 10"):
        strata_groups(labels[:5], 5, 5)


def test_early_stopping_is_quick_and_keeps_the_level() -> None:
    rng = np.random.default_rng(4)
    found = [
        mmd_test(rng.normal(size=(20, 1)), rng.normal(size=(20, 1)), permutations=999, seed=s, exceedances=10)
        for s in range(300)
    ]
    for level in (0.05, 0.2, 0.5):
        share = np.mean([r.pvalue <= level for r in found])
        assert share <= level + 3 * math.sqrt(level * (1 - level) / 300)
    assert np.median([r.permutations for r in found]) < 100
    assert {r.null for r in found} == {"permutation", "permutation, stopped early"}
    stopped = [r for r in found if r.null != "permutation"]
    assert all(r.pvalue == 10 / r.permutations for r in stopped)
    assert all(r.power is None and r.detectable is None for r in stopped)
    with pytest.raises(UsageError, match="exceedances: got 0"):
        mmd_test(np.zeros(5), np.ones(5), exceedances=0)
    clear = mmd_test(rng.normal(size=(20, 1)), 5 + rng.normal(size=(20, 1)), permutations=999, exceedances=10)
    assert (clear.pvalue, clear.permutations, clear.null) == (1 / 1000, 999, "permutation")


def test_size_under_the_null() -> None:
    """300 tests of equal laws at level 0.05: the share of rejections is compatible with 0.05."""
    rng = np.random.default_rng(0)
    results = [
        mmd_test(rng.normal(size=(30, 2)), rng.normal(size=(30, 2)), permutations=199, seed=s) for s in range(300)
    ]
    rejections = sum(result.rejected for result in results)
    interval = stats.binomtest(rejections, 300).proportion_ci(0.99, method="wilson")
    assert interval.low <= 0.05 <= interval.high
    assert stats.kstest([result.pvalue for result in results], "uniform").pvalue > 0.001


def test_power_for_a_shift_and_its_estimate() -> None:
    """A shift of 0.4 is usually found; the plug-in power is near the share of rejections."""
    rng = np.random.default_rng(1)
    results = [
        mmd_test(rng.normal(size=(100, 2)), rng.normal((0.4, 0), size=(100, 2)), permutations=199, seed=s)
        for s in range(60)
    ]
    found = np.mean([result.rejected for result in results])
    assert 0.4 < found < 0.95
    assert np.mean([result.power or 0 for result in results]) == pytest.approx(found, abs=0.15)


def test_the_detectable_effect_is_found_four_times_in_five() -> None:
    rng = np.random.default_rng(2)
    null = mmd_test(rng.normal(size=(100, 1)), rng.normal(size=(100, 1)), kernel=1.0, permutations=999)
    assert null.detectable is not None
    # MMD^2 of N(0, 1) against N(t, 1) with s = 1 is 2 (1 - exp(-t^2 / 6)) / sqrt 3
    shift = math.sqrt(-6 * math.log(1 - null.detectable * math.sqrt(3) / 2))
    found = np.mean(
        [
            mmd_test(rng.normal(size=100), rng.normal(shift, 1, 100), kernel=1.0, permutations=99).rejected
            for _ in range(80)
        ]
    )
    assert 0.7 < found < 0.97


def test_pvalue_is_never_zero_and_ties_count_against_rejection() -> None:
    assert mmd_test(np.zeros((20, 1)), np.ones((20, 1)) * 9, permutations=99).pvalue == 1 / 100
    assert mmd_test(np.ones((5, 3)), np.ones((5, 3)), permutations=99).pvalue == 1
    assert permutation_pvalue(2.0, torch.tensor([1.0, 2.0, 3.0])) == 0.75
    assert permutation_pvalue(1.0, torch.full((99,), 1.0 - 1e-15, dtype=torch.float64), 1e-12) == 1
    gram = random_gram(4)  # with 2 vs 2 there are 3 distinct values, each reached by two relabelings
    values = sorted({round(by_hand(gram.numpy(), list(c)), 12) for c in itertools.combinations(range(4), 2)})
    assert len(values) == 3
    assert gram_test(gram, 2, 9999, generator())[0].pvalue > 0.3


def test_images_tensors_and_single_numbers_are_samples() -> None:
    x, y = torch.randn(12, 3, 4, 4, generator=generator()), np.random.default_rng(0).normal(size=(15, 3, 4, 4))
    result = mmd_test(x, y, permutations=19, kernel=[1.0, 2.0, 4.0])
    assert (result.m, result.n, result.bandwidth) == (12, 15, (1.0, 2.0, 4.0))
    assert mmd_test(list(range(5)), np.arange(5, dtype=np.uint8), permutations=19).m == 5


def test_same_seed_same_result() -> None:
    x, y = torch.randn(20, 2, generator=generator(1)), torch.randn(30, 2, generator=generator(2))
    assert mmd_test(x, y, seed=4) == mmd_test(x, y, seed=4)
    assert mmd_test(x, y, seed=4).pvalue != mmd_test(x, y, seed=5).pvalue


def test_median_bandwidth() -> None:
    rng = np.random.default_rng(0)
    pool = rng.normal(size=(21, 3)) + 5
    distances = [np.linalg.norm(a - b) for a, b in itertools.combinations(pool, 2)]
    result = mmd_test(pool[:10], pool[10:], permutations=19)
    assert result.bandwidth[0] == pytest.approx(np.median(distances), rel=1e-12)
    assert median_distance(torch.zeros(4, 4, dtype=torch.float64)) == 1.0
    assert median_distance(torch.tensor([[0.0]] * 9 + [[2.0]], dtype=torch.float64)) == 2.0


@pytest.mark.parametrize("kernel", list(KERNELS))
def test_bandwidths_depend_on_the_pool_as_a_set_only(kernel: str) -> None:
    """Otherwise the statistic of relabeled data is another statistic, and the level is not exact."""
    pool = torch.randn(2500, 2, dtype=torch.float64, generator=generator()).mul_(torch.linspace(1, 3, 2500)[:, None])
    shuffled = pool[torch.randperm(2500, generator=generator(1))]
    first, second = (KERNELS.build(kernel)(points) for points in (pool, shuffled))
    assert first.bandwidth == pytest.approx(second.bandwidth, rel=1e-9)


def test_kernels_have_their_formulas() -> None:
    x, y = torch.tensor([[1.0, 2.0]], dtype=torch.float64), torch.tensor([[0.5, -1.0]], dtype=torch.float64)
    squared, l1, dot = 0.25 + 9, 0.5 + 3, 0.5 - 2
    pool = torch.cat([x, y])
    for text, value in {
        "gaussian(1.5)": math.exp(-squared / (2 * 1.5**2)),
        "laplace(1.5)": math.exp(-l1 / 1.5),
        "rq(2)": np.mean([(1 + squared / (2 * a * 4)) ** -a for a in (0.2, 0.5, 1, 2, 5)]),
        "polynomial(3)": (dot / 2 + 1) ** 3,
        "energy": -math.sqrt(squared) / 2,
        "median": math.exp(-0.5),
    }.items():
        assert float(kernel_for(text, pool).gram(x, y)) == pytest.approx(value, rel=1e-12), text


def test_an_outlier_does_not_cost_the_others_their_digits() -> None:
    pool = torch.randn(50, 2, dtype=torch.float64, generator=generator())
    pool[0] = 1e9
    exact = torch.cdist(pool, pool, compute_mode="donot_use_mm_for_euclid_dist")
    moved = centred(pool)
    squared = base_matrix("squared", moved, moved).fill_diagonal_(0)
    torch.testing.assert_close(squared[1:, 1:].sqrt(), exact[1:, 1:], rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"x": [[0.0, math.nan], [1, 2], [3, 4], [5, 6]]}, "1 of 4 examples hold NaN"),
        ({"x": np.zeros((4, 3))}, "3 and 4 numbers"),
        ({"y": np.zeros((3, 4))}, "at least 4 examples"),
        ({"y": np.zeros((4, 4), dtype=complex)}, "real numbers"),
        ({"x": "abc"}, "array of numbers"),
        ({"permutations": 18}, "at least 19"),
        ({"level": 5}, "between 0 and 1"),
        ({"kernel": "medan"}, "did you mean 'median'"),
        ({"kernel": [1.0, -1.0]}, "positive"),
        ({"kernel": "laplace(-1)"}, "positive"),
        ({"kernel": "polynomial(0.5)"}, "whole number"),
        ({"kernel": object()}, "allowed: median"),
    ],
)
def test_wrong_requests_are_named(change: dict, words: str) -> None:
    arguments = {"x": np.eye(4), "y": np.eye(4), **change}
    with pytest.raises(UsageError, match=words):
        mmd_test(arguments.pop("x"), arguments.pop("y"), **arguments)


def test_sentences_are_honest() -> None:
    rng = np.random.default_rng(0)
    same = mmd_test(rng.normal(size=(50, 1)), rng.normal(size=(60, 1)))
    assert "No difference found at level 0.05 with 50 vs 60 samples" in same.sentence()
    assert "not proof of equality" in same.sentence()
    assert "MMD =" in same.sentence()
    differ = mmd_test(rng.normal(size=(50, 1)), 3 + rng.normal(size=(50, 1)))
    assert differ.sentence() == "The samples differ (p = 0.001 at level 0.05, 50 vs 50 samples)."
    assert differ.to_dict()["bandwidth"] == list(differ.bandwidth)
    told = differ.to_dict()
    assert told.pop("rejected") is True
    assert TestResult(**{**told, "bandwidth": differ.bandwidth}) == differ
