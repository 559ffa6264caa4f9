"""Neighbour tests against scikit-learn, a spanning tree by hand, enumeration, and on data full of ties."""

import itertools

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.model_selection import LeaveOneOut, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors

from ganneal.errors import UsageError
from ganneal.twosample import neighbours
from ganneal.twosample.neighbours import leave_one_out, nearest_edges, nn_test, tree_edges


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def same_sample_share(pool: np.ndarray, m: int, k: int) -> tuple[float, float]:
    """Shares of the k neighbours of x that are of x, and of y that are of y, by scikit-learn."""
    found = NearestNeighbors(n_neighbors=k).fit(pool).kneighbors(return_distance=False)
    return float((found[:m] < m).mean()), float((found[m:] >= m).mean())


@pytest.mark.parametrize("k", [1, 3, 7])
@pytest.mark.parametrize(("m", "n"), [(20, 20), (30, 12)])
def test_shares_of_neighbours_are_those_of_scikit_learn(k: int, m: int, n: int) -> None:
    x, y = rng().normal(size=(m, 3)), rng(1).normal(0.5, 1, size=(n, 3))
    of_x, of_y = same_sample_share(np.concatenate([x, y]), m, k)
    balanced = nn_test(x, y, k=k, permutations=19)
    assert balanced.statistic == pytest.approx((of_x + of_y) / 2, abs=1e-12)
    assert balanced.effect == pytest.approx((of_x + of_y) / 2, abs=1e-12)
    assert balanced.details["accuracy_x"] == pytest.approx(of_x, abs=1e-12)
    assert balanced.details["accuracy_y"] == pytest.approx(of_y, abs=1e-12)
    published = nn_test(x, y, k=k, permutations=19, balanced=False)
    assert published.statistic == pytest.approx((m * of_x + n * of_y) / (m + n), abs=1e-12)


def test_leave_one_out_is_that_of_scikit_learn() -> None:
    x, y = rng().normal(size=(40, 2)), rng(1).normal(0.7, 1, size=(25, 2))
    pool, labels = np.concatenate([x, y]), np.repeat([1, 0], [40, 25])
    right = cross_val_predict(KNeighborsClassifier(1), pool, labels, cv=LeaveOneOut()) == labels
    found = leave_one_out(x, y)
    assert found == pytest.approx({"x": right[:40].mean(), "y": right[40:].mean(), "total": right.mean()}, abs=1e-12)
    assert nn_test(x, y, balanced=False, permutations=19).statistic == pytest.approx(found["total"], abs=1e-12)


def test_a_memoriser_stays_below_one_half() -> None:
    train = rng().normal(size=(60, 5))
    copies = train + 1e-6 * rng(1).normal(size=(60, 5))
    assert leave_one_out(train, copies) == {"x": 0, "y": 0, "total": 0}
    assert nn_test(train, copies, permutations=99, alternative="less").pvalue == 0.01
    assert nn_test(train, copies, permutations=99).pvalue == 1
    fresh = leave_one_out(train, rng(2).normal(size=(60, 5)))
    assert 0.3 < fresh["total"] < 0.7


def test_equal_neighbours_share_the_vote() -> None:
    """All points equal: each has the 5 + 3 - 1 others as neighbours. On a grid, rounding must not decide."""
    found = leave_one_out(np.ones((5, 2)), np.ones((4, 2)))
    assert found == pytest.approx({"x": 4 / 8, "y": 3 / 8, "total": (5 * 4 / 8 + 4 * 3 / 8) / 9}, abs=1e-12)
    x, y = np.array([0.1, 0.3, 0.5, 0.7]), np.array([0.2, 0.4, 0.6, 0.8])
    assert leave_one_out(x, y) == {"x": 0, "y": 0, "total": 0}
    x, y = np.array([0.0, 0.1, 0.4, 0.5]), np.array([0.2, 0.3, 0.6, 0.7])  # inner points have one neighbour of each
    assert leave_one_out(x, y)["total"] == pytest.approx((1 + 0.5 * 6 + 1) / 8)


@pytest.mark.parametrize(("m", "n", "k"), [(4, 4, 1), (4, 5, 2)])
def test_the_law_under_relabeling(m: int, n: int, k: int) -> None:
    """The mean accuracy is (m - 1 + n - 1) / (2 (N - 1)) exactly, and the p-value is that of all relabelings."""
    x, y = rng(5).normal(size=(m, 2)), rng(6).normal(0.8, 1, size=(n, 2))
    pool = np.concatenate([x, y])
    found = NearestNeighbors(n_neighbors=k).fit(pool).kneighbors(return_distance=False)
    values = []
    for chosen in itertools.combinations(range(m + n), m):
        mine = np.isin(np.arange(m + n), chosen)
        same = (mine[found] == mine[:, None]).mean(1)
        values.append((same[mine].mean() + same[~mine].mean()) / 2)
    assert np.mean(values) == pytest.approx((m + n - 2) / (2 * (m + n - 1)), abs=1e-12)
    exact = np.mean(np.array(values) >= values[0] - 1e-12)
    assert nn_test(x, y, k=k, permutations=20000).pvalue == pytest.approx(exact, abs=0.015)


def spanning_tree(points: np.ndarray) -> set[frozenset[int]]:
    """Prim: add the nearest point outside until all are in."""
    distances = np.linalg.norm(points[:, None] - points, axis=2)
    inside, edges = {0}, set()
    while len(inside) < len(points):
        i, j = min(((i, j) for i in inside for j in set(range(len(points))) - inside), key=lambda e: distances[e])
        edges.add(frozenset((i, j)))
        inside.add(j)
    return edges


def test_the_spanning_tree() -> None:
    points = rng().normal(size=(25, 2))
    [(start, end)] = tree_edges(torch.tensor(points), torch.Generator().manual_seed(0))
    tree = spanning_tree(points)
    assert {frozenset(edge) for edge in zip(start.tolist(), end.tolist(), strict=True)} == tree
    within_x = sum(max(edge) < 10 for edge in tree)
    within_y = sum(min(edge) >= 10 for edge in tree)
    published = nn_test(points[:10], points[10:], graph="mst", permutations=19, balanced=False)
    assert published.statistic == pytest.approx((within_x + within_y) / 24, abs=1e-12)
    balanced = nn_test(points[:10], points[10:], graph="mst", permutations=19)
    assert balanced.statistic == pytest.approx((within_x / 10 + within_y / 15) * 25 / 48, abs=1e-12)


def test_a_tree_spans_duplicates_too() -> None:
    points = torch.tensor(np.repeat(rng().normal(size=(6, 2)), 5, axis=0))
    [(start, end)] = tree_edges(points, torch.Generator().manual_seed(0))
    assert len(start) == 29
    reached = torch.arange(30)
    for i, j in zip(start.tolist(), end.tolist(), strict=True):
        reached[reached == reached[i]] = int(reached[j])
    assert len(reached.unique()) == 1
    lengths = (points[start] - points[end]).norm(dim=1)
    assert int((lengths == 0).sum()) == 24


def test_ties_are_broken_at_random() -> None:
    """All points equal: each neighbour is uniform among the others, whatever the order of the pool."""
    counts = np.zeros((8, 8))
    for seed in range(1500):
        [(start, end)] = nearest_edges(torch.zeros(8, 2), 1, torch.Generator().manual_seed(seed))
        np.add.at(counts, (start.numpy(), end.numpy()), 1)
    assert np.all(counts.diagonal() == 0)
    first_half = counts[:4, :4].sum() / counts[:4].sum()
    assert first_half == pytest.approx(3 / 7, abs=0.06)
    assert counts[~np.eye(8, dtype=bool)].min() > 0


def test_ties_in_a_tree_are_broken_at_random() -> None:
    """All points equal: of 28 pairs, 6 lie in the first half and 16 across, and so do the edges on average."""
    first, across = 0, 0
    for seed in range(600):
        [(start, end)] = tree_edges(torch.zeros(8, 2), torch.Generator().manual_seed(seed))
        first += int(((start < 4) & (end < 4)).sum())
        across += int(((start < 4) != (end < 4)).sum())
    assert first / (600 * 7) == pytest.approx(6 / 28, abs=0.03)
    assert across / (600 * 7) == pytest.approx(16 / 28, abs=0.03)


@pytest.mark.parametrize("request_", [{}, {"k": 5}, {"graph": "mst"}, {"alternative": "less"}])
def test_size_with_ties(request_: dict) -> None:
    """Points on a 3 x 3 grid, 30 or so on each place or two: the level holds (p-values are discrete, so from above)."""
    g, hits, trials = rng(11), 0, 0
    for m, n, count in ((30, 45, 150), (100, 100, 100)):
        for seed in range(count):
            x, y = g.integers(0, 3, size=(m, 2)), g.integers(0, 3, size=(n, 2))
            hits += nn_test(x, y, permutations=99, seed=seed, **request_).rejected
            trials += 1
    assert stats.binomtest(hits, trials, 0.05, alternative="greater").pvalue > 0.005
    assert stats.binomtest(hits, trials, 0.02, alternative="less").pvalue > 0.005


def test_size_without_ties() -> None:
    g = rng(12)
    hits = sum(
        nn_test(g.normal(size=(m, 2)), g.normal(size=(n, 2)), k=3, permutations=99, seed=s).rejected
        for m, n in ((30, 30), (100, 60))
        for s in range(200)
    )
    assert stats.binomtest(hits, 400, 0.05, alternative="greater").pvalue > 0.005
    assert stats.binomtest(hits, 400, 0.02, alternative="less").pvalue > 0.005


@pytest.mark.parametrize("request_", [{}, {"k": 5}, {"graph": "mst"}])
def test_a_hole_is_found(request_: dict) -> None:
    """y avoids the middle: equal means, no linear rule."""
    x, y = rng().normal(size=(150, 2)), rng(1).normal(size=(600, 2))
    y = y[np.linalg.norm(y, axis=1) > 1.2][:150]
    assert nn_test(x, y, permutations=99, **request_).pvalue == 0.01


def test_unequal_sizes_keep_power_when_balanced() -> None:
    """A tight group in a sample of 20 against 400: nearly every neighbour of the large sample is its own anyhow."""
    g = rng(3)
    found = {True: 0, False: 0}
    for seed in range(20):
        x, y = g.normal(1.0, 0.5, size=(20, 2)), g.normal(size=(400, 2))
        for balanced in found:
            found[balanced] += nn_test(x, y, k=5, permutations=99, seed=seed, balanced=balanced).rejected
    assert found[True] >= 15
    assert found[True] > found[False]


def test_it_names_examples_far_from_the_other_sample() -> None:
    x, y = rng().normal(size=(80, 2)), rng(1).normal(size=(70, 2))
    x[10:14] = [30, 0] + 0.01 * rng(2).normal(size=(4, 2))
    result = nn_test(x, y, permutations=19)
    assert set(result.details["apart_x"][:4]) == {10, 11, 12, 13}
    i = result.details["apart_x"][0]
    own = np.sort(np.linalg.norm(x[i] - x, axis=1))[1]
    assert result.details["apart_x_ratio"][0] == pytest.approx(np.linalg.norm(x[i] - y, axis=1).min() / own, rel=1e-10)


def test_blocks_do_not_change_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = rng().normal(size=(33, 3)), rng(1).normal(size=(28, 3))
    before = nn_test(x, y, k=3, permutations=99), leave_one_out(x, y)
    monkeypatch.setattr(neighbours, "BLOCK_BYTES", 8 * 61 * 5)
    assert (nn_test(x, y, k=3, permutations=99), leave_one_out(x, y)) == before


def test_units_and_seeds() -> None:
    x, y = rng().normal(size=(30, 2)), rng(1).normal(size=(35, 2))
    assert nn_test(x, y).pvalue == nn_test(1e6 * x + 3, 1e6 * y + 3).pvalue
    assert nn_test(x, y, seed=3) == nn_test(torch.tensor(x), y, seed=3)
    assert nn_test(x, y, seed=3).pvalue != nn_test(x, y, seed=4).pvalue


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"k": 0}, "from 1 to 11"),
        ({"k": 12}, "from 1 to 11"),
        ({"k": 1.5}, "whole numbers"),
        ({"graph": "tree"}, "'mst'"),
        ({"alternative": "two-sided"}, "'less'"),
        ({"x": [1.0, 2]}, "at least 4"),
        ({"x": [1e300, 1, 2, 3]}, "overflow"),
        ({"permutations": 1}, "at least 19"),
        ({"graph": "mst", "x": np.zeros(3000), "y": np.zeros(3000)}, "up to 5000"),
    ],
)
def test_wrong_requests_are_named(change: dict, words: str) -> None:
    arguments = {"x": np.arange(6.0), "y": np.arange(6.0), **change}
    with pytest.raises(UsageError, match=words):
        nn_test(arguments.pop("x"), arguments.pop("y"), **arguments)
