"""The energy distance against its identity with MMD, scipy, enumeration, and its promises: digits, level, power."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy import stats

from ganneal.errors import UsageError
from ganneal.twosample.energy import Distances, energy_distance, energy_test, euclidean
from ganneal.twosample.gram import sums


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def mmd_squared(x: np.ndarray, y: np.ndarray) -> float:
    """Unbiased MMD^2 with k = (|x| + |y| - |x - y|) / 2, term by term."""

    def k(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        lengths = np.linalg.norm(a, axis=1)[:, None] + np.linalg.norm(b, axis=1)
        return (lengths - np.linalg.norm(a[:, None] - b, axis=2)) / 2

    kxx, kyy = k(x, x), k(y, y)
    m, n = len(x), len(y)
    within = (kxx.sum() - kxx.trace()) / (m * (m - 1)) + (kyy.sum() - kyy.trace()) / (n * (n - 1))
    return within - 2 * k(x, y).mean()


@pytest.mark.parametrize(("m", "n", "d"), [(20, 20, 3), (15, 40, 1), (30, 8, 100)])
def test_it_is_twice_mmd_with_the_distance_kernel(m: int, n: int, d: int) -> None:
    x, y = rng().normal(size=(m, d)), rng(1).normal(0.3, 1.2, size=(n, d))
    expected = 2 * mmd_squared(x, y)
    assert energy_distance(x, y) == pytest.approx(expected, abs=1e-12 * d)
    assert energy_test(x, y, permutations=19).statistic == pytest.approx(expected, abs=1e-12 * d)


def test_agrees_with_scipy_in_one_dimension() -> None:
    """scipy gives the square root of the biased estimate, whose self-distances count."""
    x, y = rng().normal(size=30), rng(1).exponential(size=50)
    biased = stats.energy_distance(x, y) ** 2
    selves = np.abs(x[:, None] - x).mean() / 29 + np.abs(y[:, None] - y).mean() / 49
    assert energy_distance(x, y) == pytest.approx(biased - selves, abs=1e-12)


def test_it_is_unbiased() -> None:
    """Enumeration of all samples of 4 and 4 from two laws on {0, 1}: E^2 = 2 (p - q)^2."""
    p, q, mean = 0.3, 0.8, 0.0
    for points in itertools.product((0.0, 1.0), repeat=8):
        first, second = sum(points[:4]), sum(points[4:])
        weight = p**first * (1 - p) ** (4 - first) * q**second * (1 - q) ** (4 - second)
        mean += weight * energy_distance(np.array(points[:4]), np.array(points[4:]))
    assert mean == pytest.approx(2 * (p - q) ** 2, abs=1e-12)


def test_the_distance_of_two_normal_laws() -> None:
    """2 E|N(t, 2)| - 2 E|N(0, 2)|; its standard error here is about 0.005."""
    t = 1.0
    folded = 2 / math.sqrt(math.pi) * math.exp(-t * t / 4) + t * math.erf(t / 2)
    found = energy_distance(rng(3).normal(size=3000), rng(4).normal(t, 1, size=3000))
    assert found == pytest.approx(2 * folded - 4 / math.sqrt(math.pi), abs=0.06)


@pytest.mark.parametrize("d", [2, 64, 65, 300])
@pytest.mark.parametrize("spread", [1.0, 1e-7])
def test_distances_keep_their_digits(d: int, spread: float) -> None:
    """Two tight groups far apart: inner products alone would lose every digit of the small distances."""
    x = rng().normal(size=(40, d)) * spread
    x[20:] += 1000.0
    x[7] = x[3]
    exact = np.sqrt(((x[:, None].astype(np.longdouble) - x) ** 2).sum(2)).astype(float)
    found = euclidean(torch.tensor(x), torch.tensor(x)).numpy()
    np.testing.assert_allclose(found, exact, rtol=3e-12, atol=0)
    assert found[7, 3] == 0
    assert np.all(found.diagonal() == 0)


def test_moving_turning_and_stretching_both_samples() -> None:
    x, y = rng().normal(size=(30, 3)), rng(1).normal(0.5, 1, size=(25, 3))
    turn, _ = np.linalg.qr(rng(2).normal(size=(3, 3)))
    base = energy_distance(x, y)
    assert energy_distance(x @ turn + 5, y @ turn + 5) == pytest.approx(base, rel=1e-10)
    assert energy_distance(7 * x, 7 * y) == pytest.approx(7 * base, rel=1e-10)
    small, large = (energy_test(s * x, s * y, permutations=99) for s in (1e-9, 1e9))
    assert small.pvalue == large.pvalue
    assert small.effect == pytest.approx(large.effect, rel=1e-9)


def test_agrees_with_scipy_on_all_permutations() -> None:
    x, y = rng(3).normal(size=5), rng(4).normal(1, 1, size=4)

    def statistic(a: np.ndarray, b: np.ndarray) -> float:
        return energy_distance(a, b)

    oracle = stats.permutation_test((x, y), statistic, alternative="greater", n_resamples=np.inf, vectorized=False)
    assert energy_test(x, y, permutations=20000).pvalue == pytest.approx(float(oracle.pvalue), abs=0.015)


def test_tiles_do_not_change_the_sums() -> None:
    gram = Distances(torch.tensor(rng().normal(size=(50, 3))))
    labels = torch.zeros(50, 2, dtype=torch.float64)
    labels[:20, 0] = labels[30:, 1] = 1
    one, many = sums(gram, labels), sums(gram, labels, tile=7)
    whole = -torch.cdist(gram.pool, gram.pool) / 2
    for found in (one, many):  # without the constant that is taken off every entry
        inside = found.within[0] + 20 * 19 * found.shift[0]
        expected = torch.stack([whole[:20, :20].sum(), whole[30:, 30:].sum()])
        torch.testing.assert_close(inside, expected, rtol=1e-10, atol=1e-10)


def test_size_under_the_null() -> None:
    results = [
        energy_test(g.normal(size=(m, 2)), g.normal(size=(n, 2)), permutations=99, seed=s).pvalue
        for g in [rng(7)]
        for m, n in ((30, 30), (100, 60))
        for s in range(250)
    ]
    rejections = sum(p <= 0.05 for p in results)
    interval = stats.binomtest(rejections, 500).proportion_ci(0.995, method="wilson")
    assert interval.low <= 0.05 <= interval.high


def test_effect_runs_from_none_to_all() -> None:
    apart = energy_test(np.zeros(10), np.ones(12) * 4, permutations=99)
    assert apart.statistic == pytest.approx(8, abs=1e-12)
    assert (apart.effect, apart.pvalue) == (pytest.approx(1), 0.01)
    same = energy_test(np.ones((9, 2)), np.ones((9, 2)), permutations=99)
    assert (same.statistic, same.effect, same.pvalue) == (0, 0, 1)


def test_it_names_examples_that_the_other_sample_lacks() -> None:
    """Ten points of x lie where y is rare, and ten of y where x is."""
    x, y = rng().normal(size=(200, 2)), rng(1).normal(size=(150, 2))
    x[40:50] += 6
    y[5:15] -= 6
    result = energy_test(x, y, permutations=99)
    assert set(result.details["typical_x"]) == set(range(40, 50))
    assert set(result.details["typical_y"]) == set(range(5, 15))
    i, j = result.details["typical_x"][0], result.details["typical_y"][0]
    others = np.delete(x, i, axis=0)
    expected = np.linalg.norm(x[i] - y, axis=1).mean() - np.linalg.norm(x[i] - others, axis=1).mean()
    assert result.details["typical_x_witness"][0] == pytest.approx(expected, abs=1e-10)
    others = np.delete(y, j, axis=0)
    expected = np.linalg.norm(y[j] - others, axis=1).mean() - np.linalg.norm(y[j] - x, axis=1).mean()
    assert result.details["typical_y_witness"][0] == pytest.approx(expected, abs=1e-10)


def test_labels_that_explain_the_difference() -> None:
    """More of one label in x than in y: a difference, but none within labels."""
    x_labels, y_labels = np.repeat([0, 1], [80, 20]), np.repeat([0, 1], [20, 80])
    x, y = rng().normal(size=100) + 3 * x_labels, rng(1).normal(size=100) + 3 * y_labels
    strata = np.concatenate([x_labels, y_labels])
    assert energy_test(x, y, permutations=99).rejected
    assert not energy_test(x, y, permutations=99, strata=strata).rejected


def test_early_stop_and_seeds() -> None:
    x, y = rng().normal(size=40), rng(1).normal(size=50)
    early = energy_test(x, y, exceedances=10, permutations=2000)
    assert early.null == "permutation, stopped early"
    assert early.permutations < 2000
    assert energy_test(x, y, seed=3) == energy_test(torch.tensor(x), y, seed=3)
    assert energy_test(x, y, seed=3).pvalue != energy_test(x, y, seed=4).pvalue


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"x": [1e200, 1, 2, 3]}, "overflow"),
        ({"x": [math.inf, 1, 2, 3]}, "infinity"),
        ({"x": [1.0, 2, 3]}, "at least 4"),
        ({"x": np.eye(5)}, "5 and 1"),
        ({"permutations": 5}, "at least 19"),
        ({"level": 0}, "between 0 and 1"),
        ({"strata": [1, 2]}, "one for each"),
    ],
)
def test_wrong_requests_are_named(change: dict, words: str) -> None:
    arguments = {"x": np.arange(6.0), "y": np.arange(6.0), **change}
    with pytest.raises(UsageError, match=words):
        energy_test(arguments.pop("x"), arguments.pop("y"), **arguments)
