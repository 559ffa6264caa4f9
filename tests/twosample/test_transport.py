"""Optimal transport against POT, scipy and closed forms, and its tests' promises."""

import itertools
import math

import numpy as np
import ot
import pytest
import torch
from scipy import stats

from ganneal.errors import RunError, UsageError
from ganneal.twosample import sinkhorn, transport
from ganneal.twosample.sinkhorn import sinkhorn_divergence, sinkhorn_test
from ganneal.twosample.transport import (
    sliced_wasserstein,
    sliced_wasserstein_test,
    wasserstein,
    wasserstein_test,
)

SIZES = [(20, 20), (15, 24), (9, 31)]


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def pair(m: int, n: int, d: int, shift: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    return rng(m).normal(size=(m, d)), rng(n + 100).normal(shift, 1.3, size=(n, d))


@pytest.mark.parametrize(("m", "n"), SIZES)
@pytest.mark.parametrize("p", [1.0, 2.0, 3.5])
def test_one_column(m: int, n: int, p: float) -> None:
    x, y = pair(m, n, 1)
    expected = ot.emd2([], [], np.abs(x - y.T) ** p) ** (1 / p)
    assert wasserstein(x, y, p) == pytest.approx(expected, rel=1e-9)
    if p == 1:
        assert wasserstein(x, y, 1) == pytest.approx(stats.wasserstein_distance(x[:, 0], y[:, 0]), rel=1e-12)
    if m == n:
        pairs = np.abs(np.sort(x, 0) - np.sort(y, 0)) ** p
        assert wasserstein(x, y, p) == pytest.approx(pairs.mean() ** (1 / p), rel=1e-12)


@pytest.mark.parametrize(("m", "n"), SIZES)
@pytest.mark.parametrize("p", [1.0, 2.0])
def test_many_columns(m: int, n: int, p: float) -> None:
    x, y = pair(m, n, 3)
    expected = ot.emd2([], [], ot.dist(x, y, metric="euclidean") ** p) ** (1 / p)
    assert wasserstein(x, y, p) == pytest.approx(expected, rel=1e-9)
    assert wasserstein(y, x, p) == pytest.approx(expected, rel=1e-9)
    assert wasserstein_test(x, y, p, permutations=19).statistic == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("d", [1, 3, 100])
@pytest.mark.parametrize("p", [1.0, 2.0])
def test_a_moved_sample_is_as_far_as_it_was_moved(d: int, p: float) -> None:
    x, t = rng().normal(size=(30, d)), rng(1).normal(size=d)
    assert wasserstein(x, np.flip(x, 0) + t, p) == pytest.approx(np.linalg.norm(t), rel=1e-12)
    assert wasserstein(x, x + 0 * t, p) == 0


def test_sliced_is_that_of_pot_along_the_same_directions() -> None:
    for m, n in SIZES:
        x, y = pair(m, n, 4)
        _, axes = transport._lines(torch.zeros(m + n, 4).double(), m, 2, 50, torch.Generator().manual_seed(7))
        np.testing.assert_allclose(axes.norm(dim=1), 1, rtol=1e-12)
        for p in (1, 2):
            oracle = ot.sliced_wasserstein_distance(x, y, projections=axes.T.numpy(), p=p)
            assert sliced_wasserstein(x, y, p, directions=50, seed=7) == pytest.approx(float(oracle), rel=1e-9)
            result = sliced_wasserstein_test(x, y, p, directions=50, seed=7, permutations=19)
            assert result.statistic == pytest.approx(float(oracle), rel=1e-9)


def test_sliced_distance_of_a_moved_sample() -> None:
    """The mean over directions of (u't)^2 is |t|^2 / d."""
    x, t = rng().normal(size=(20, 3)), np.array([3.0, 0, 4])
    assert sliced_wasserstein(x, x + t, directions=4000) == pytest.approx(5 / math.sqrt(3), rel=0.03)
    assert sliced_wasserstein(x[:, :1], x[:, :1] + 2) == pytest.approx(2, rel=1e-12)


def test_relabelings_on_a_line() -> None:
    """Every labeling at once gives what each pair of samples gives by itself."""
    for m, n in SIZES:
        pool = torch.tensor(rng().normal(size=m + n)).round(decimals=1)
        labels = torch.zeros(m + n, 6, dtype=torch.float64)
        for b in range(6):
            labels[rng(b).permutation(m + n)[:m], b] = 1
        found = transport._Line(pool, m, n, 2.0).cost(labels)
        for b in range(6):
            first = labels[:, b] == 1
            assert float(found[b]) == pytest.approx(wasserstein(pool[first], pool[~first]) ** 2, rel=1e-10)


def test_agrees_with_scipy_on_all_permutations() -> None:
    x, y = rng(3).normal(size=(5, 2)), rng(4).normal(1, 1, size=(4, 2))
    pool = np.concatenate([x, y])
    for distance, found in (
        (wasserstein, wasserstein_test(x, y, permutations=3000)),
        (sinkhorn_divergence, sinkhorn_test(x, y, permutations=3000)),
    ):
        e = {"epsilon": found.details["epsilon"]} if "epsilon" in found.details else {}
        values = [distance(pool[list(c)], np.delete(pool, c, axis=0), **e) for c in itertools.combinations(range(9), 5)]
        exact = np.mean(np.array(values) >= values[0] - 1e-9)
        assert found.pvalue == pytest.approx(exact, abs=0.04)


def entropic(x: np.ndarray, y: np.ndarray, e: float, p: float) -> float:
    cost = ot.dist(x, y, metric="euclidean") ** p
    return float(ot.solve(cost, reg=e, reg_type="KL", tol=1e-8, max_iter=100_000).value)


@pytest.mark.parametrize(("m", "n"), SIZES)
@pytest.mark.parametrize(("e", "p"), [(0.5, 1.0), (2.0, 2.0), (10.0, 2.0)])
def test_sinkhorn_is_that_of_pot(m: int, n: int, e: float, p: float) -> None:
    x, y = pair(m, n, 2)
    expected = entropic(x, y, e, p) - entropic(x, x, e, p) / 2 - entropic(y, y, e, p) / 2
    assert sinkhorn_divergence(x, y, e, p) == pytest.approx(expected, rel=1e-6)
    assert sinkhorn_test(x, y, e, p, permutations=19).statistic == pytest.approx(expected, rel=2e-3)


def test_sinkhorn_of_a_moved_sample() -> None:
    """With squared distances S = |t|^2 at every e: moving y adds a linear term to the cost, which debiasing leaves."""
    x, t = rng().normal(size=(25, 3)), np.array([1.0, 2, 2])
    for e in (None, 0.3, 30.0):
        assert sinkhorn_divergence(x, x + t, e) == pytest.approx(9, rel=1e-7)
        assert sinkhorn_divergence(x, np.flip(x, 0).copy(), e) == pytest.approx(0, abs=1e-7)


def test_sinkhorn_between_its_limits() -> None:
    """Small e: W_2^2. Large e: E C(x, y) - E C(x, x') / 2 - E C(y, y') / 2, diagonals included."""
    x, y = pair(15, 24, 2)
    assert sinkhorn_divergence(x, y, 0.02) == pytest.approx(wasserstein(x, y) ** 2, rel=0.02)
    for p in (1.0, 2.0):
        xy, xx, yy = (ot.dist(a, b, metric="euclidean") ** p for a, b in ((x, y), (x, x), (y, y)))
        assert sinkhorn_divergence(x, y, 1e7, p) == pytest.approx(xy.mean() - (xx.mean() + yy.mean()) / 2, rel=1e-4)


def test_sinkhorn_says_when_it_has_not_converged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sinkhorn, "STEPS", 5)
    with pytest.raises(RunError, match="after 5 steps"):
        sinkhorn_divergence(*pair(15, 24, 2), 0.01)


def test_sinkhorn_with_points_far_outside() -> None:
    x, y = pair(30, 30, 2, shift=0)
    x[0], y[0] = [1e5, 0], [0, -1e5]
    result = sinkhorn_test(x, y, permutations=99)
    assert math.isfinite(result.statistic)
    assert 0.01 <= result.pvalue <= 1
    assert sinkhorn_test(np.ones((5, 2)), np.ones((6, 2)), permutations=19).pvalue == 1


TESTS = {
    "exact": lambda x, y, **kw: wasserstein_test(x, y, **kw),
    "sliced": lambda x, y, **kw: sliced_wasserstein_test(x, y, directions=16, **kw),
    "sinkhorn": lambda x, y, **kw: sinkhorn_test(x, y, **kw),
}


@pytest.mark.parametrize("name", TESTS)
def test_size_under_the_null(name: str) -> None:
    g, hits = rng(5), 0
    for m, n, count in ((30, 30, 100), (30, 20, 100)):
        hits += sum(
            TESTS[name](g.normal(size=(m, 2)), g.normal(size=(n, 2)), permutations=39, seed=s).rejected
            for s in range(count)
        )
    interval = stats.binomtest(hits, 200).proportion_ci(0.995, method="wilson")
    assert interval.low <= 0.05 <= interval.high


@pytest.mark.parametrize("name", TESTS)
def test_a_difference_in_spread_is_found(name: str) -> None:
    x, y = rng().normal(size=(60, 2)), rng(1).normal(0, 2, size=(50, 2))
    assert TESTS[name](x, y, permutations=99).pvalue == 0.01


def test_large_samples_are_sliced_and_lines_stay_exact() -> None:
    x, y = rng().normal(size=(600, 2)), rng(1).normal(size=(500, 2))
    assert wasserstein_test(x, y, permutations=19).details["method"] == "sliced"
    line = wasserstein_test(x[:, 0], y[:, 0], permutations=19)
    assert line.details["method"] == "exact"
    assert line.statistic == pytest.approx(wasserstein(x[:, 0], y[:, 0]), rel=1e-12)
    assert wasserstein_test(x[:30], y[:30], method="sliced", permutations=19).details["method"] == "sliced"


def test_it_names_what_moves_farthest_and_the_direction() -> None:
    x, y = rng().normal(size=(50, 3)), rng(1).normal(size=(50, 3))
    y[7:10, 1] += 20
    exact = wasserstein_test(x, y, permutations=19)
    assert set(exact.details["moved_y"][:3]) == {7, 8, 9}
    assert exact.details["moved_y_distance"][2] > 10 > exact.details["moved_y_distance"][3]
    other = wasserstein_test(y, x[:40], permutations=19)  # unequal sizes, and now it is the first that moves
    assert set(other.details["moved_x"][:3]) == {7, 8, 9}
    plan = ot.emd([], [], ot.dist(y, x[:40]))
    far = (plan * np.linalg.norm(y[:, None] - x[:40], axis=2)).sum(1) * 50
    np.testing.assert_allclose(other.details["moved_x_distance"], np.sort(far)[::-1][:10], rtol=1e-9)
    sliced = sliced_wasserstein_test(x, y, permutations=19)
    assert abs(sliced.details["direction"][1]) > 0.9
    along = np.array(sliced.details["direction"])
    assert sliced.details["along_direction"] == pytest.approx(wasserstein(x @ along, y @ along), rel=1e-9)


@pytest.mark.parametrize("name", TESTS)
def test_units_strata_and_seeds(name: str) -> None:
    test = TESTS[name]
    x, y = pair(30, 25, 2, shift=0.2)
    first, second = test(x, y, permutations=59), test(1e6 * x + 3, 1e6 * y + 3, permutations=59)
    assert first.pvalue == second.pvalue
    assert test(x, y, permutations=59, seed=5) == test(torch.tensor(x), y, permutations=59, seed=5)
    labels = np.repeat([0, 1, 0, 1], [24, 6, 5, 20])
    x, y = x + 6 * labels[:30, None], y / 1.3 + 6 * labels[30:, None]
    assert test(x, y, permutations=59).rejected
    assert not test(x, y, permutations=59, strata=labels).rejected
    assert test(x, np.flip(x, 0) + 0.0, permutations=500, exceedances=5).null == "permutation, stopped early"


@pytest.mark.parametrize(
    ("test", "change", "words"),
    [
        (wasserstein_test, {"p": 0.5}, "from 1 to 10"),
        (wasserstein_test, {"method": "fast"}, "'sliced'"),
        (sliced_wasserstein_test, {"directions": 0}, "from 1"),
        (sinkhorn_test, {"epsilon": -1.0}, "above 0"),
        (sinkhorn_test, {"epsilon": 1e-6}, "allowed in a test"),
        (sinkhorn_test, {"x": np.zeros(3000), "y": np.zeros(3000)}, "up to 4000"),
        (wasserstein_test, {"x": [1.0, 2]}, "at least 4"),
        (wasserstein_test, {"x": [1e100, 2, 3, 4]}, "overflow"),
        (sinkhorn_test, {"permutations": 1}, "at least 19"),
        (sliced_wasserstein_test, {"level": 1}, "between 0 and 1"),
    ],
)
def test_wrong_requests_are_named(test, change: dict, words: str) -> None:
    arguments = {"x": np.arange(6.0), "y": np.arange(6.0) + 1, **change}
    with pytest.raises(UsageError, match=words):
        test(arguments.pop("x"), arguments.pop("y"), **arguments)
