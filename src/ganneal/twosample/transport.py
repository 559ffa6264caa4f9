"""Optimal transport between samples: how far must x be moved to become y?

    W_p(x, y)^p = min over couplings of E|x - y|^p      exact: a linear programme; one column: sorted values
    sliced:  the mean of W_p^p over random directions, where it is that of one column (Bonneel et al. 2015)
    Sinkhorn divergence:  S = OT_e(x, y) - OT_e(x, x) / 2 - OT_e(y, y) / 2,
        OT_e = min E|x - y|^p + e KL(coupling | product)   (Genevay et al. 2018; Feydy et al. 2019, eq. 3)

In the unit of the data. Exact transport needs samples exponentially large in the dimension, n^(-1/d); sliced and
Sinkhorn do not, and as e grows Sinkhorn becomes MMD with the kernel -|x - y|^p. All three are tested by permutation.
"""

import math
from typing import Any

import torch
from torch import Tensor

from ganneal.errors import RunError, UsageError
from ganneal.twosample.energy import ROUNDING, SHOWN, euclidean, pooled
from ganneal.twosample.kernels import median_distance
from ganneal.twosample.permutation import BLOCK_BYTES, Permuted, observed_labels, permutation_test
from ganneal.twosample.result import TestResult
from ganneal.twosample.samples import as_pair, check_request

MOST = 1000
"""Examples of x and y together up to which every relabeling is transported exactly."""
WIDTH = 0.05
"""Entropic regularisation e in units of (median distance)^p."""
LEAST = 1e-200
"""Of a kernel in `sinkhorn_test`: a cost that is some 460 e above the potentials counts as that, so that no outlier
costs all of the digits."""
MOST_SINKHORN = 4000
LOOSE, TIGHT = 1e-2, 1e-8
"""Error of the marginals, as a share, at which Sinkhorn stops in a test and in `sinkhorn_divergence`; the error of the
value is about the square of that."""
STEPS = 5_000


def wasserstein(x: Any, y: Any, p: float = 2.0) -> float:
    """W_p of x [m, ...] and y [n, ...] with Euclidean distances; exact.

    One column takes O(n log n). Otherwise the time grows like the cube of the sample, and unequal sizes need POT.
    """
    x, y = as_pair(x, y)
    pool = _prepared(x, y, p)
    if x.shape[1] == 1:
        return float(_Line(pool[:, 0], len(x), len(y), p).cost(observed_labels(len(x), len(y)))[0]) ** (1 / p)
    return _transport(euclidean(pool[: len(x)], pool[len(x) :]).pow(p))[0] ** (1 / p)


def sliced_wasserstein(x: Any, y: Any, p: float = 2.0, directions: int = 128, seed: int = 0) -> float:
    """(mean over random directions u of W_p(u'x, u'y)^p)^(1/p) of x [m, ...] and y [n, ...]."""
    x, y = as_pair(x, y)
    lines, _ = _lines(_prepared(x, y, p), len(x), p, directions, torch.Generator().manual_seed(seed))
    labels = observed_labels(len(x), len(y))
    return (sum(float(line.cost(labels)[0]) for line in lines) / len(lines)) ** (1 / p)


def sinkhorn_divergence(x: Any, y: Any, epsilon: float | None = None, p: float = 2.0) -> float:
    """OT_e(x, y) - OT_e(x, x) / 2 - OT_e(y, y) / 2 of x [m, ...] and y [n, ...], cost |x - y|^p; in units of that cost.

    epsilon   e; None: 0.05 (median distance of the pool)^p. Small: near W_p^p, slow; large: half of an MMD^2

    Raises RunError where an epsilon is too small to converge.
    """
    x, y = as_pair(x, y)
    pool, m = _prepared(x, y, p), len(x)
    cost, e = euclidean(pool, pool).pow_(p), _epsilon(pool, epsilon, p)
    across, _ = _entropic(cost[:m, m:], e, TIGHT)
    within = [_entropic(part, e, TIGHT, symmetric=True)[0] for part in (cost[:m, :m], cost[m:, m:])]
    return across - sum(within) / 2


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
    pool = _prepared(x, y, p)
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
    return _result("wasserstein", found, found.observed ** (1 / p), m, n, seed, level, details)


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
    pool = _prepared(x, y, p)
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
    return _result(
        name, found, found.observed ** (1 / p), m, n, seed, level, {**details, "along_direction": each[worst]}
    )


def sinkhorn_test(
    x: Any, y: Any, epsilon: float | None = None, p: float = 2.0, permutations: int = 200, seed: int = 0,
    level: float = 0.05, *, iterations: int = 200, strata: Any = None, exceedances: int | None = None,
) -> TestResult:  # fmt: skip
    """Are x [m, ...] and y [n, ...] from the same distribution? Debiased Sinkhorn divergence, null by permutation.

    epsilon      None: 0.05 (median distance of the pool)^p
    iterations   at most, for each relabeling; the potentials start at those of the pool against itself. The level is
                 exact whether or not they have converged
    strata       labels of the pooled sample, x first: relabel within equal labels only
    exceedances  stop once so many relabelings have reached the observed value

    All relabelings share matrix products with one kernel. Its entries are kept above 1e-200: a cost of more than about
    460 e counts as that, so that the statistic is below `sinkhorn_divergence` where a few points lie far outside.
    For up to 4,000 examples together. Raises UsageError for more.
    """
    x, y = as_pair(x, y)
    check_request(permutations, level)
    m, n = len(x), len(y)
    if m + n > MOST_SINKHORN:
        raise UsageError(
            f"x and y: got {m + n} examples together; allowed: up to {MOST_SINKHORN}; take a random part, or "
            "a sliced test"
        )
    pool = _prepared(x, y, p)
    cost, e, scale = euclidean(pool, pool).pow_(p), _epsilon(pool, epsilon, p), _epsilon(pool, None, p)
    if e < scale / 5:
        raise UsageError(
            f"epsilon: got {e:g}; allowed in a test: from {scale / 5:.3g}, a fifth of what None stands for"
        )
    _, potential = _entropic(cost, e, LOOSE, symmetric=True)
    kernel = cost.neg_().add_(potential).add_(potential[:, None]).div_(e).exp_().clamp_(min=LEAST)

    def solve(labels: Tensor) -> Tensor:
        a, b = labels / m, (1 - labels) / n
        across = _scaled(kernel, a, b, iterations)
        return e * (across - _scaled(kernel, a, a, iterations) / 2 - _scaled(kernel, b, b, iterations) / 2)

    found = permutation_test(
        solve, m, n, permutations, torch.Generator().manual_seed(seed), strata=strata, exceedances=exceedances,
        rounding=ROUNDING * scale / WIDTH,
    )  # fmt: skip
    return _result("sinkhorn", found, found.observed, m, n, seed, level, {"epsilon": e, "p": float(p)})


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


def _entropic(cost: Tensor, e: float, tolerance: float, *, symmetric: bool = False) -> tuple[float, Tensor]:
    """OT_e of uniform weights for a cost matrix [m, n], and the potential g [n] of the columns.

    Block ascent of the dual mean f + mean g in the log domain, f_i = -e log mean_j exp((g_j - C_ij) / e), then the same
    for g; every tenth step is one of Newton, where that lowers the error, because ascent alone may crawl. `symmetric`,
    for one sample against itself: f = g, g <- (g + step of g) / 2, quick by itself (Feydy et al. 2019). Ends when the
    marginals of the coupling are right to `tolerance`. Begins with larger e, for which this is easy. Raises RunError
    where the last takes more than STEPS.
    """
    g, wide = cost.new_zeros(cost.shape[1]), float(cost.max())
    while wide > 4 * e:
        g = _ascent(cost, g, wide, LOOSE, STEPS // 50, symmetric)[1]
        wide /= 4
    value, g, error = _ascent(cost, g, e, tolerance, STEPS, symmetric)
    if error > tolerance * e:
        raise RunError(f"sinkhorn: not converged after {STEPS} steps with epsilon {e:g}; allowed: a larger epsilon")
    return value, g


def _ascent(
    cost: Tensor, g: Tensor, e: float, tolerance: float, steps: int, symmetric: bool
) -> tuple[float, Tensor, float]:  # fmt: skip
    """The dual value, the potential and its error after at most so many steps from g."""
    across, error = cost.T.contiguous(), math.inf
    f = _step(cost, g, e)
    for count in range(1, steps + 1):
        better = f if symmetric else _step(across, f, e)  # the marginal of column j is exp((g_j - better_j) / e) / n
        error = float((g - better).abs().max())
        if error <= tolerance * e:
            break
        if symmetric:
            better = (g + better) / 2
        elif count % 10 == 0:
            tried = _newton(cost, f, g, e)
            if float((tried - _step(across, _step(cost, tried, e), e)).abs().max()) < error:
                better = tried
        g, f = better, _step(cost, better, e)
    return float(f.mean() + g.mean()), g, error


def _newton(cost: Tensor, f: Tensor, g: Tensor, e: float) -> Tensor:
    """g after a step of Newton on the dual as a function of g alone, whose gradient is 1 / n - c, c = P'1, and whose
    Hessian is -(diag c - m P'P) / e; it is blind to a constant, which the matrix of ones fixes."""
    m, n = cost.shape
    plan = ((f[:, None] + g - cost) / e).exp_() / (m * n)
    columns = plan.sum(0)
    hessian = columns.diag() - m * plan.T @ plan + 1 / n**2
    step, failed = torch.linalg.solve_ex(hessian, 1 / n - columns)
    return g if int(failed) else g + e * step


def _scaled(kernel: Tensor, a: Tensor, b: Tensor, iterations: int) -> Tensor:
    """OT_e / e of weights a [N, k] and b [N, k], up to a term linear in the weights, which cancels in a divergence.

    Sinkhorn's scaling, u = 1 / K(b v) and v = 1 / K(a u), for all columns by one matrix product; the kernel is that of
    the pool, scaled by its own potentials so that it starts near the solution. a = b: u <- sqrt(u / K(a u)).
    """
    symmetric, log_v = a is b, torch.zeros_like(b)
    running, from_, to, now = torch.arange(b.shape[1]), a, b, log_v.clone()
    for _ in range(iterations):
        v = now.exp()
        step = (
            -(kernel @ (from_ / (kernel @ (to * v)))).log() if not symmetric else (now - (kernel @ (to * v)).log()) / 2
        )
        going = ((step - now).abs() * (to > 0)).amax(0) > LOOSE
        now = step
        log_v[:, running] = now
        if not bool(going.all()):
            running, from_, to, now = running[going], from_[:, going], to[:, going], now[:, going]
        if len(running) == 0:
            break
    log_u = -(kernel @ (b * log_v.exp())).log()
    return (a * log_u).sum(0) + (b * log_v).sum(0)


def _step(cost: Tensor, g: Tensor, e: float) -> Tensor:
    """-e log mean_j exp((g_j - C_ij) / e) [m]."""
    return -e * ((g - cost).div_(e).logsumexp(1) - math.log(cost.shape[1]))


def _prepared(x: Tensor, y: Tensor, p: float) -> Tensor:
    if not 1 <= p <= 10:
        raise UsageError(f"p: got {p}; allowed: from 1 to 10")
    pool = pooled(x, y)
    if p * math.log10(max(1.0, float(pool.norm(dim=1).max()))) > 150:
        raise UsageError(f"x and y: distances to the power {p:g} overflow; allowed: up to 1e150")
    return pool


def _epsilon(pool: Tensor, epsilon: float | None, p: float) -> float:
    if epsilon is None:
        return WIDTH * median_distance(pool) ** p
    if not (math.isfinite(epsilon) and epsilon > 0):
        raise UsageError(f"epsilon: got {epsilon}; allowed: above 0")
    return float(epsilon)


def _result(
    name: str, found: Permuted, value: float, m: int, n: int, seed: int, level: float, details: dict[str, Any]
) -> TestResult:  # fmt: skip
    return TestResult(
        name=name, statistic=value, pvalue=found.pvalue, level=level, m=m, n=n, permutations=len(found.values),
        seed=seed, null=found.null, details=details,
    )  # fmt: skip
