"""The Sinkhorn divergence between samples: optimal transport made smooth by entropy.

    S = OT_e(x, y) - OT_e(x, x) / 2 - OT_e(y, y) / 2,   OT_e = min E|x - y|^p + e KL(coupling | product)
    (Genevay et al. 2018; Feydy et al. 2019, eq. 3)

It needs no sample exponentially large in the dimension, unlike exact transport, and as e grows it becomes half of MMD^2
with the kernel -|x - y|^p. Tested by permutation.
"""

import math
from typing import Any

import torch
from torch import Tensor

from ganneal.errors import RunError, UsageError
from ganneal.twosample.energy import ROUNDING, euclidean
from ganneal.twosample.kernels import median_distance
from ganneal.twosample.permutation import permutation_test
from ganneal.twosample.result import TestResult
from ganneal.twosample.samples import as_pair, check_request
from ganneal.twosample.transport import prepared, result

WIDTH = 0.05
"""Entropic regularisation e in units of (median distance)^p."""
SMALLEST_KERNEL = 1e-200
"""Of a kernel in `sinkhorn_test`: a cost that is some 460 e above the potentials counts as that, so that no outlier
costs all of the digits."""
MOST = 4000
LOOSE, TIGHT = 1e-2, 1e-8
"""Error of the marginals, as a share, at which Sinkhorn stops in a test and in `sinkhorn_divergence`; the error of the
value is about the square of that."""
STEPS = 5_000


def sinkhorn_divergence(x: Any, y: Any, epsilon: float | None = None, p: float = 2.0) -> float:
    """OT_e(x, y) - OT_e(x, x) / 2 - OT_e(y, y) / 2 of x [m, ...] and y [n, ...], cost |x - y|^p; in units of that cost.

    epsilon   e; None: 0.05 (median distance of the pool)^p. Small: near W_p^p, slow; large: half of an MMD^2

    Raises RunError where an epsilon is too small to converge.
    """
    x, y = as_pair(x, y)
    pool, m = prepared(x, y, p), len(x)
    cost, e = euclidean(pool, pool).pow_(p), _epsilon(pool, epsilon, p)
    across, _ = _entropic(cost[:m, m:], e, TIGHT)
    within = [_entropic(part, e, TIGHT, symmetric=True)[0] for part in (cost[:m, :m], cost[m:, m:])]
    return across - sum(within) / 2


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
    if m + n > MOST:
        raise UsageError(
            f"x and y: got {m + n} examples together; allowed: up to {MOST}; take a random part, or a sliced test"
        )
    pool = prepared(x, y, p)
    cost, e, scale = euclidean(pool, pool).pow_(p), _epsilon(pool, epsilon, p), _epsilon(pool, None, p)
    if e < scale / 5:
        raise UsageError(
            f"epsilon: got {e:g}; allowed in a test: from {scale / 5:.3g}, a fifth of what None stands for"
        )
    _, potential = _entropic(cost, e, LOOSE, symmetric=True)
    kernel = cost.neg_().add_(potential).add_(potential[:, None]).div_(e).exp_().clamp_(min=SMALLEST_KERNEL)

    def solve(labels: Tensor) -> Tensor:
        a, b = labels / m, (1 - labels) / n
        across = _scaled(kernel, a, b, iterations)
        return e * (across - _scaled(kernel, a, a, iterations) / 2 - _scaled(kernel, b, b, iterations) / 2)

    found = permutation_test(
        solve, m, n, permutations, torch.Generator().manual_seed(seed), strata=strata, exceedances=exceedances,
        rounding=ROUNDING * scale / WIDTH,
    )  # fmt: skip
    return result("sinkhorn", found, found.observed, m, n, seed, level, {"epsilon": e, "p": float(p)})


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


def _epsilon(pool: Tensor, epsilon: float | None, p: float) -> float:
    if epsilon is None:
        return WIDTH * median_distance(pool) ** p
    if not (math.isfinite(epsilon) and epsilon > 0):
        raise UsageError(f"epsilon: got {epsilon}; allowed: above 0")
    return float(epsilon)
