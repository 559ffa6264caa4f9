"""Tests by nearest neighbours: for equal laws it is chance alone whether a point's neighbours are of its own sample.

    1-NN leave-one-out accuracy (Lopez-Paz and Oquab 2017, section 3; Xu et al. 2018): above 1/2 where samples differ,
        below 1/2 where one sample holds near-copies of the other
    k nearest neighbours (Schilling 1986; Henze 1988): the share of neighbours of one's own sample
    minimal spanning tree (Friedman and Rafsky 1979): the share of its edges that join points of one sample

No width to choose, and local: sees copies and holes that means do not show; weak against a shift in many dimensions.
The graph depends on the pooled sample only and the null relabels its points, so the level is exact. Equal distances
are decided by a random order of the pool: by position in it, where x comes first, duplicates would break the level.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from ganneal.errors import UsageError
from ganneal.twosample.energy import ROUNDING, SHOWN, euclidean, pooled
from ganneal.twosample.permutation import BLOCK_BYTES, permutation_test
from ganneal.twosample.result import TestResult
from ganneal.twosample.samples import as_pair, check_request

TIE = 1e-9
"""Distances that differ by less than this share of themselves are equal up to rounding."""
MOST_FOR_TREE = 5000
"""Points of the pool for which the matrix of distances that the spanning tree needs is held."""

Edges = list[tuple[Tensor, Tensor]]
"""Edges of a graph on the pool, in lists of start points [e] and end points [e]."""


def leave_one_out(x: Any, y: Any) -> dict[str, float]:
    """Leave-one-out accuracy of the 1-NN rule that tells x [m, ...] from y [n, ...]: {"x": on x, "y": on y, "total"}.

    A point with several nearest neighbours counts with the share of them that are of its own sample. All three are
    about 1/2 for equal laws and sizes; a generator that memorised its training set stays below 1/2 against it.
    """
    x, y = as_pair(x, y)
    pool = pooled(x, y)
    m, n = len(x), len(y)
    right = torch.zeros(m + n, dtype=torch.float64)
    for rows, distances in _rows(pool):
        (nearest, second), (index, _) = (found.T for found in distances.topk(2, largest=False))
        right[rows] = ((index < m) == (rows < m)).double()
        tied = (second <= nearest * (1 + TIE)).nonzero().flatten()
        near = distances[tied] <= nearest[tied, None] * (1 + TIE)
        first, ties = near[:, :m].sum(1).double(), near.sum(1).double()
        right[rows[tied]] = torch.where(rows[tied] < m, first, ties - first) / ties
    return {"x": float(right[:m].mean()), "y": float(right[m:].mean()), "total": float(right.mean())}


def nn_test(
    x: Any, y: Any, k: int = 1, graph: str = "knn", permutations: int = 1000, seed: int = 0, level: float = 0.05, *,
    balanced: bool = True, alternative: str = "greater", strata: Any = None, exceedances: int | None = None,
) -> TestResult:  # fmt: skip
    """Are x [m, ...] and y [n, ...] from the same distribution? Do neighbours belong to the same sample?

    k            neighbours of each point; 1: the leave-one-out accuracy; more see weaker and less local differences
    graph        "knn": the k nearest neighbours; "mst": the minimal spanning tree, for at most 5,000 points in all
    balanced     with R_x the edges within x and R_y those within y, of E in all: the statistic is
                 (R_x / m + R_y / n) (m + n) / (2 E), for neighbours the mean of the accuracies on x and on y; with
                 very unequal sizes this has far more power (Chen, Chen and Su 2018). False: (R_x + R_y) / E, as first
                 published. For m = n they are equal
    alternative  "greater": more neighbours of the own sample than by chance; "less": fewer, which finds copies
    strata       labels of the pooled sample, x first: relabel within equal labels only
    exceedances  stop once so many relabelings have reached the observed value

    `effect` is the balanced accuracy. `details`: accuracy on x and on y, and the examples of either sample that are
    farthest from the other for how near their own sample is, with the ratio of the two distances.

    Raises UsageError for a k that is not smaller than the pool, for unknown words, and for too large a tree.
    """
    x, y = as_pair(x, y)
    check_request(permutations, level)
    m, n = len(x), len(y)
    if isinstance(k, bool) or not isinstance(k, int) or not 1 <= k < m + n:
        raise UsageError(f"k: got {k}; allowed: whole numbers from 1 to {m + n - 1}")
    if graph not in ("knn", "mst"):
        raise UsageError(f"graph: got {graph!r}; allowed: 'knn', 'mst'")
    if alternative not in ("greater", "less"):
        raise UsageError(f"alternative: got {alternative!r}; allowed: 'greater', 'less'")
    generator = torch.Generator().manual_seed(seed)
    pool = pooled(x, y)
    edges = nearest_edges(pool, k, generator) if graph == "knn" else tree_edges(pool, generator)
    sign = 1 if alternative == "greater" else -1
    share_x, share_y = (m + n) / (2 * m), (m + n) / (2 * n)
    weights = (share_x, share_y) if balanced else (1.0, 1.0)

    def statistic(labels: Tensor) -> Tensor:
        within_x, within_y = _within(edges, labels)
        return sign * (weights[0] * within_x + weights[1] * within_y)

    permuted = permutation_test(
        statistic, m, n, permutations, generator, strata=strata, exceedances=exceedances, rounding=ROUNDING
    )
    observed = torch.cat([torch.ones(m, 1), torch.zeros(n, 1)]).to(torch.float64)
    within_x, within_y = (float(w) for w in _within(edges, observed))
    accuracy_x, accuracy_y = 2 * share_x * within_x, 2 * share_y * within_y
    details: dict[str, Any] = {"graph": graph, "alternative": alternative, **_apart(pool, m)}
    if graph == "knn":
        details |= {"k": k, "accuracy_x": accuracy_x, "accuracy_y": accuracy_y}
    return TestResult(
        name="nn", statistic=sign * permuted.observed, pvalue=permuted.pvalue, level=level, m=m, n=n,
        permutations=len(permuted.values), seed=seed, null=permuted.null, effect=(accuracy_x + accuracy_y) / 2,
        effect_name="accuracy" if graph == "knn" else "share of edges", details=details,
    )  # fmt: skip


def nearest_edges(pool: Tensor, k: int, generator: torch.Generator) -> Edges:
    """From each point of the pool [N, d] an edge to each of its k nearest neighbours, ties in a random order."""
    order = torch.randperm(len(pool), generator=generator)
    found = torch.zeros(len(pool), k, dtype=torch.long)
    for rows, distances in _rows(pool[order]):
        found[rows] = distances.topk(k, largest=False).indices
    return [(order, order[found[:, i]]) for i in range(k)]


def tree_edges(pool: Tensor, generator: torch.Generator) -> Edges:
    """The N - 1 edges of a minimal spanning tree of the pool [N, d], ties in a random order."""
    from scipy.sparse.csgraph import minimum_spanning_tree

    if len(pool) > MOST_FOR_TREE:
        raise UsageError(
            f"x and y: got {len(pool)} examples together; allowed for graph='mst': up to {MOST_FOR_TREE}; take a "
            "random part of them, or graph='knn'"
        )
    order = torch.randperm(len(pool), generator=generator)
    distances = euclidean(pool[order], pool[order])
    positive = distances[distances > 0]
    smallest = float(positive.min()) if len(positive) else 1.0
    distances[distances == 0] = smallest / 2  # scipy takes a zero for "no edge"; a tree needs the order of lengths only
    start, end = minimum_spanning_tree(distances.numpy()).nonzero()
    return [(order[torch.from_numpy(start).long()], order[torch.from_numpy(end).long()])]


def _rows(pool: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Row numbers [r] and distances [r, N] to the pool, infinite to oneself, block by block."""
    for rows in torch.arange(len(pool)).split(max(1, BLOCK_BYTES // (8 * len(pool)))):
        distances = euclidean(pool[rows], pool)
        distances[torch.arange(len(rows)), rows] = torch.inf
        yield rows, distances


def _within(edges: Edges, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Shares [b] of edges within the first and within the second sample, for labelings [N, b]."""
    first = torch.zeros(labels.shape[1], dtype=torch.float64)
    second, count = first.clone(), 0
    for start, end in edges:
        a, b = labels[start], labels[end]
        both = (a * b).sum(0)
        first += both
        second += len(start) - a.sum(0) - b.sum(0) + both
        count += len(start)
    return first / count, second / count


def _apart(pool: Tensor, m: int) -> dict[str, Any]:
    """Examples of x, and of y, with the largest ratio of the distance to the other sample to that to their own."""
    own, other = torch.zeros(len(pool), dtype=torch.float64), torch.zeros(len(pool), dtype=torch.float64)
    for rows, distances in _rows(pool):
        to_x, to_y = distances[:, :m].min(1).values, distances[:, m:].min(1).values
        own[rows], other[rows] = torch.where(rows < m, to_x, to_y), torch.where(rows < m, to_y, to_x)
    tiny = torch.finfo(torch.float64).tiny
    ratio = torch.where((own == 0) & (other == 0), 1.0, other / own.clamp(min=tiny)).clamp(max=1e300)
    told: dict[str, Any] = {}
    for name, values in (("x", ratio[:m]), ("y", ratio[m:])):
        top = values.topk(min(SHOWN, len(values)))
        told |= {f"apart_{name}": top.indices.tolist(), f"apart_{name}_ratio": top.values.tolist()}
    return told
