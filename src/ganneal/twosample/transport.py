"""Optimal transport between samples: how far must x be moved to become y?

    W_p(x, y)^p = min over couplings of E|x - y|^p      exact: a linear programme; one column: sorted values
    sliced:  the mean of W_p^p over random directions, where it is that of one column (Bonneel et al. 2015)

In the unit of the data. Exact transport needs samples exponentially large in the dimension, n^(-1/d); sliced
does not. Both are tested by permutation. The smooth relative is in `sinkhorn`.
"""

import math
from typing import Any

import torch
from torch import Tensor

from ganneal.errors import RunError, UsageError
from ganneal.twosample.energy import ROUNDING, SHOWN, euclidean, pooled
from ganneal.twosample.permutation import BLOCK_BYTES, Permuted, observed_labels, permutation_test
from ganneal.twosample.result import TestResult
from ganneal.twosample.samples import as_pair, check_request

MOST = 1000
"""Examples of x and y together up to which every relabeling is transported exactly."""


def wasserstein(x: Any, y: Any, p: float = 2.0) -> float:
    """W_p of x [m, ...] and y [n, ...] with Euclidean distances; exact.

    One column takes O(n log n). Otherwise the time grows like the cube of the sample, and unequal sizes need POT.
    """
    x, y = as_pair(x, y)
    pool = prepared(x, y, p)
    if x.shape[1] == 1:
        return float(_Line(pool[:, 0], len(x), len(y), p).cost(observed_labels(len(x), len(y)))[0]) ** (1 / p)
    return _transport(euclidean(pool[: len(x)], pool[len(x) :]).pow(p))[0] ** (1 / p)


def sliced_wasserstein(x: Any, y: Any, p: float = 2.0, directions: int = 128, seed: int = 0) -> float:
    """(mean over random directions u of W_p(u'x, u'y)^p)^(1/p) of x [m, ...] and y [n, ...]."""
    x, y = as_pair(x, y)
    lines, _ = _lines(prepared(x, y, p), len(x), p, directions, torch.Generator().manual_seed(seed))
    labels = observed_labels(len(x), len(y))
    return (sum(float(line.cost(labels)[0]) for line in lines) / len(lines)) ** (1 / p)


def wasserstein_test(
    x: Any, y: Any, p: float = 2.0, method: str = "auto", directions: int = 128, permutations: int = 200, seed: int = 0,
    level: float = 0.05, *, strata: Any = None, exceedances: int | None = None,
) -> TestResult:  # fmt: skip
    """Are x [m, ...] and y [n, ...] from the same distribution? W_p, null by permutation.

    method       "exact", "sliced", or "auto": exact for one column and for up to 1,000 examples together, else sliced
    directions   random ones, where sliced
    strata       labels of the pooled sample, x first: relabel within equal labels only
    exceedances  stop once so many relabelings have reached the observed value

    Every relabeling is a linear programme of its own (10 to 100 ms at 500 against 500). `details` names the `method`
    and, where exact, the examples of x and y that are moved farthest, with the mean distance of each.
    """
    x, y = as_pair(x, y)
    check_request(permutations, level)
    m, n = len(x), len(y)
    if method not in ("auto", "exact", "sliced"):
        raise UsageError(f"method: got {method!r}; allowed: 'auto', 'exact', 'sliced'")
    if method == "sliced" or (method == "auto" and x.shape[1] > 1 and m + n > MOST):
        return sliced_wasserstein_test(
            x, y, p, directions, permutations, seed, level, strata=strata, exceedances=exceedances, name="wasserstein"
        )
    pool = prepared(x, y, p)
    details: dict[str, Any] = {"method": "exact", "p": float(p)}
    if x.shape[1] == 1:
        line = _Line(pool[:, 0], m, n, p)
        statistic, scale = line.cost, float(pool.max() - pool.min())
    else:
        cost = euclidean(pool, pool).pow_(p)
        details |= _moved(cost[:m, m:], p)
        scale = float(cost.max()) ** (1 / p)

        def statistic(labels: Tensor) -> Tensor:
            first, second = _members(labels)
            values = [_transport(cost[a][:, b])[0] for a, b in zip(first, second, strict=True)]
            return torch.tensor(values, dtype=torch.float64)

    found = permutation_test(
        statistic, m, n, permutations, torch.Generator().manual_seed(seed), strata=strata, exceedances=exceedances,
        rounding=ROUNDING * scale**p, block=None if x.shape[1] == 1 or exceedances is None else 20,
    )  # fmt: skip
    return result("wasserstein", found, found.observed ** (1 / p), m, n, seed, level, details)


def sliced_wasserstein_test(
    x: Any, y: Any, p: float = 2.0, directions: int = 128, permutations: int = 1000, seed: int = 0, level: float = 0.05,
    *, strata: Any = None, exceedances: int | None = None, name: str = "sliced",
) -> TestResult:  # fmt: skip
    """Are x [m, ...] and y [n, ...] from the same distribution? Sliced W_p, null by permutation, the same directions
    for all of them; much quicker than exact transport.

    `details`: the direction along which the samples differ most, as one number a column, and W_p along it.
    """
    x, y = as_pair(x, y)
    check_request(permutations, level)
    m, n = len(x), len(y)
    generator = torch.Generator().manual_seed(seed)
    pool = prepared(x, y, p)
    lines, axes = _lines(pool, m, p, directions, generator)
    found = permutation_test(
        lambda labels: sum((line.cost(labels) for line in lines[1:]), lines[0].cost(labels)) / len(lines), m, n,
        permutations, generator, strata=strata, exceedances=exceedances,
        rounding=ROUNDING * float(pool.norm(dim=1).max() * 2) ** p,
        block=max(1, BLOCK_BYTES // (32 * (m + n))),
    )  # fmt: skip
    each = [float(line.cost(observed_labels(m, n))[0]) ** (1 / p) for line in lines]
    worst = max(range(len(each)), key=each.__getitem__)
    details = {"method": "sliced", "p": float(p), "directions": len(lines), "direction": axes[worst].tolist()}
    return result(
        name, found, found.observed ** (1 / p), m, n, seed, level, {**details, "along_direction": each[worst]}
    )


class _Line:
    """W_p^p on a line for many labelings of one pool [m + n]: sorted x against sorted y, at the shares i/m and j/n
    where either steps (for m = n: in pairs). Where these are does not depend on the labeling."""

    def __init__(self, pool: Tensor, m: int, n: int, p: float):
        self.values, self.order = pool.sort()
        # the steps in units of 1 / (mn) are whole numbers
        steps = torch.cat([torch.arange(1, m + 1) * n, torch.arange(1, n + 1) * m]).unique()
        self.weights = torch.diff(steps, prepend=steps.new_zeros(1)).to(torch.float64) / (m * n)
        self.of_x, self.of_y = (steps - 1) // n, (steps - 1) // m
        self.p = p

    def cost(self, labels: Tensor) -> Tensor:
        """W_p^p [b] for labelings [m + n, b]."""
        first, second = _members(labels[self.order])
        return (self.values[first[:, self.of_x]] - self.values[second[:, self.of_y]]).abs().pow(self.p) @ self.weights


def _members(labels: Tensor) -> tuple[Tensor, Tensor]:
    """Positions of the first sample [b, m] and of the second [b, n], in order, for labelings [m + n, b]."""
    first = labels.T > 0.5
    b = len(first)
    return first.nonzero()[:, 1].view(b, -1), (~first).nonzero()[:, 1].view(b, -1)


def _lines(
    pool: Tensor, m: int, p: float, directions: int, generator: torch.Generator
) -> tuple[list[_Line], Tensor]:  # fmt: skip
    """The pool along random unit vectors [directions, d]; one column has one direction."""
    if isinstance(directions, bool) or not isinstance(directions, int) or directions < 1:
        raise UsageError(f"directions: got {directions}; allowed: whole numbers from 1")
    count = 1 if pool.shape[1] == 1 else directions
    axes = torch.randn(count, pool.shape[1], dtype=torch.float64, generator=generator)
    axes /= axes.norm(dim=1, keepdim=True)
    return [_Line(pool @ axis, m, len(pool) - m, p) for axis in axes], axes


def _transport(cost: Tensor) -> tuple[float, Tensor]:
    """The least mean cost of a coupling of uniform weights for a matrix [m, n], and the coupling [m, n]."""
    m, n = cost.shape
    if m == n:
        from scipy.optimize import linear_sum_assignment

        rows, columns = (torch.from_numpy(index) for index in linear_sum_assignment(cost.numpy()))
        plan = torch.zeros_like(cost)
        plan[rows, columns] = 1 / m
        return float(cost[rows, columns].mean()), plan
    try:
        import ot
    except ImportError as error:
        raise UsageError(
            'wasserstein: exact transport between unequally many examples needs POT; pip install "ganneal[twosample]"'
        ) from error
    coupling, log = ot.emd([], [], cost.contiguous().numpy(), numItermax=10_000_000, log=True)
    if log["warning"] is not None:
        raise RunError(f"wasserstein: the linear programme failed ({log['warning']})")
    plan = torch.from_numpy(coupling)
    return float((plan * cost).sum()), plan


def _moved(cost: Tensor, p: float) -> dict[str, Any]:
    """Examples that the best coupling moves farthest, and the mean distance of each."""
    plan = _transport(cost)[1] * cost.pow(1 / p)
    told: dict[str, Any] = {}
    for name, far in (("x", plan.sum(1) * len(cost)), ("y", plan.sum(0) * cost.shape[1])):
        top = far.topk(min(SHOWN, len(far)))
        told |= {f"moved_{name}": top.indices.tolist(), f"moved_{name}_distance": top.values.tolist()}
    return told


def prepared(x: Tensor, y: Tensor, p: float) -> Tensor:
    """Both samples in one pool [m + n, d]. Raises `UsageError` where p, or a distance to its power, is out of range."""
    if not 1 <= p <= 10:
        raise UsageError(f"p: got {p}; allowed: from 1 to 10")
    pool = pooled(x, y)
    if p * math.log10(max(1.0, float(pool.norm(dim=1).max()))) > 150:
        raise UsageError(f"x and y: distances to the power {p:g} overflow; allowed: up to 1e150")
    return pool


def result(
    name: str, found: Permuted, value: float, m: int, n: int, seed: int, level: float, details: dict[str, Any]
) -> TestResult:  # fmt: skip
    """The outcome of a permutation test of one of the distances."""
    return TestResult(
        name=name, statistic=value, pvalue=found.pvalue, level=level, m=m, n=n, permutations=len(found.values),
        seed=seed, null=found.null, details=details,
    )  # fmt: skip
