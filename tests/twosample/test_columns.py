"""Kolmogorov-Smirnov by column against scipy, enumeration, and its promises: joint level, names, ties."""

import itertools

import numpy as np
import pytest
import torch
from scipy import stats

from ganneal.errors import UsageError
from ganneal.twosample.columns import ks_test


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize(("m", "n"), [(20, 20), (31, 17)])
@pytest.mark.parametrize("ties", [False, True])
def test_statistics_are_those_of_scipy(m: int, n: int, ties: bool) -> None:
    x, y = rng().normal(size=(m, 4)), rng(1).normal(0.5, 1, size=(n, 4))
    if ties:
        x, y = x.round(), y.round()
    result = ks_test(x, y, permutations=19)
    for c in range(4):
        oracle = stats.ks_2samp(x[:, c], y[:, c])
        assert result.details["statistics"][c] == pytest.approx(oracle.statistic, abs=1e-12)
        assert result.details["pvalues"][c] == pytest.approx(oracle.pvalue, rel=1e-9)
        gap = (x[:, c] <= result.details["at"][c]).mean() - (y[:, c] <= result.details["at"][c]).mean()
        assert gap * result.details["direction"][c] == pytest.approx(oracle.statistic, abs=1e-12)
    assert result.statistic == max(result.details["statistics"]) == result.effect


@pytest.mark.parametrize("ties", [False, True])
def test_one_column_has_the_exact_permutation_law(ties: bool) -> None:
    x, y = rng(3).normal(size=6), rng(4).normal(1.2, 1, size=5)
    if ties:
        x, y = x.round(), y.round()
    pool = np.concatenate([x, y])
    values = [
        stats.ks_2samp(pool[list(chosen)], np.delete(pool, chosen)).statistic
        for chosen in itertools.combinations(range(11), 6)
    ]
    exact = np.mean(np.array(values) >= values[0] - 1e-12)
    assert ks_test(x, y, permutations=20000).pvalue == pytest.approx(exact, abs=0.015)
    if not ties:
        assert exact == pytest.approx(stats.ks_2samp(x, y, method="exact").pvalue, abs=1e-12)


def test_the_joint_pvalue_knows_that_columns_hang_together() -> None:
    """Ten copies of one column: the same p-value as the column alone, where Holm pays tenfold."""
    x, y = rng().normal(size=(60, 1)), rng(1).normal(0.6, 1, size=(50, 1))
    alone, copies = ks_test(x, y), ks_test(np.repeat(x, 10, 1), np.repeat(y, 10, 1))
    assert copies.pvalue == alone.pvalue
    assert copies.details["joint"] == [alone.pvalue] * 10
    assert copies.details["holm"][0] == pytest.approx(10 * alone.details["pvalues"][0])


def test_it_names_the_column() -> None:
    x, y = rng().normal(size=(100, 5)), rng(1).normal(size=(120, 5))
    y[:, 3] += 1
    result = ks_test(x, y, names=["a", "b", "c", "d", "e"])
    assert result.rejected
    assert result.details["column"] == "d"
    assert result.details["names"] == ["a", "b", "c", "d", "e"]
    assert result.details["direction"][3] == 1  # more of x lies below: x is the smaller one
    assert 0 < result.details["at"][3] < 1
    assert result.details["holm"][3] < 0.01
    assert min(result.details["joint"]) == result.details["joint"][3] == result.pvalue
    assert all(p > 0.05 for c, p in enumerate(result.details["joint"]) if c != 3)
    assert ks_test(y, x).details["direction"][3] == -1


def test_constant_columns() -> None:
    x, y = rng().normal(size=(30, 3)), rng(1).normal(size=(30, 3))
    x[:, 1] = y[:, 1] = 0.1
    result = ks_test(x, y)
    told = [result.details[key][1] for key in ("statistics", "pvalues", "holm", "joint", "direction", "at")]
    assert told == [0, 1, 1, 1, 0, 0.1]
    assert result.pvalue == ks_test(x[:, [0, 2]], y[:, [0, 2]]).pvalue
    assert ks_test(np.ones((5, 2)), np.ones((6, 2))).pvalue == 1
    apart = ks_test(np.zeros((8, 2)), np.ones((8, 2)), permutations=99)
    assert (apart.statistic, apart.pvalue) == (1, 0.01)


def test_size_under_the_null() -> None:
    """Dependent columns, some rounded: p-values are discrete, so the size is at most the level."""
    g, pvalues = rng(5), []
    for m, n in ((30, 30), (100, 60)):
        for seed in range(150):
            both = g.normal(size=(m + n, 1)) + g.normal(size=(m + n, 4))
            both[:, 2:] = both[:, 2:].round()
            pvalues.append(ks_test(both[:m], both[m:], permutations=99, seed=seed).pvalue)
    hits = sum(p <= 0.05 for p in pvalues)
    assert stats.binomtest(hits, 300, 0.05, alternative="greater").pvalue > 0.005
    assert stats.binomtest(hits, 300, 0.02, alternative="less").pvalue > 0.005


def test_increasing_functions_of_a_column_change_nothing() -> None:
    x, y = rng().normal(size=(40, 2)), rng(1).normal(0.4, 1, size=(30, 2))
    first, second = ks_test(x, y), ks_test(np.exp(3 * x), np.exp(3 * y))
    assert (first.pvalue, first.statistic) == (second.pvalue, second.statistic)
    assert ks_test(x * 1e200, y * 1e200).pvalue == first.pvalue


def test_strata_early_stop_and_seeds() -> None:
    x_labels, y_labels = np.repeat([0, 1], [80, 20]), np.repeat([0, 1], [20, 80])
    x, y = rng().normal(size=100) + 3 * x_labels, rng(1).normal(size=100) + 3 * y_labels
    assert ks_test(x, y).rejected
    assert not ks_test(x, y, strata=np.concatenate([x_labels, y_labels])).rejected
    same = rng(2).normal(size=(50, 2)), rng(3).normal(size=(50, 2))
    early = ks_test(*same, permutations=5000, exceedances=10)
    assert early.permutations < 5000
    assert min(early.details["joint"]) == pytest.approx(early.pvalue, abs=1e-12)
    assert ks_test(*same, seed=3) == ks_test(torch.tensor(same[0]), same[1], seed=3)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"names": ["a"]}, "got 1; allowed: one for each of the 2"),
        ({"x": np.eye(3)}, "at least 4"),
        ({"x": np.full((5, 2), np.nan)}, "NaN"),
        ({"permutations": 3}, "at least 19"),
        ({"level": 2}, "between 0 and 1"),
    ],
)
def test_wrong_requests_are_named(change: dict, words: str) -> None:
    arguments = {"x": np.zeros((5, 2)), "y": np.zeros((5, 2)), **change}
    with pytest.raises(UsageError, match=words):
        ks_test(arguments.pop("x"), arguments.pop("y"), **arguments)
