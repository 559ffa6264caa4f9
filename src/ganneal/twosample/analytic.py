"""What the ME and SCF tests share: laws compared through a few numbers of each example (Chwialkowski et al. 2015;
Jitkrittum et al. 2016).

    z_i = f(x_i) - f(y_i) in R^q,   T^2 = n zbar'(S + g I)^-1 zbar,   S the covariance of z, g = 1e-5

What f looks at (locations, frequencies, a width) is chosen on a training half by ascending T^2, which ascends the power.

T^2 is chi2 with q degrees for many examples. For few it is not: with n = 30 given and 15 to test on, 5 locations reject
in 18 % of the cases at level 5 %, 5 frequencies in 72 %. The default null is exact instead. Exchanging x_i and y_i, allowed under the null, changes the sign of
z_i; the second moment M = Z'Z/n stays, and T^2 grows with T_u = n zbar'(M + g I)^-1 zbar, so that T_u among its values
under random signs gives the p-value. With g = 0, T^2 = (n - 1) T_u / (n - T_u).
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from ganneal.errors import UsageError
from ganneal.twosample.permutation import permutation_pvalue
from ganneal.twosample.result import TestResult
from ganneal.twosample.samples import as_pair, check_request, halves

RIDGE = 1e-5
BATCH = 1000
"""Pairs that a step of training looks at, at most."""
STARTS = 8
NULLS = ("signs", "chi2")

Differences = Callable[[Tensor, Tensor, Sequence[Tensor]], Tensor]
"""(x [n, d], y [n, d], parameters) -> z [n, q], differentiable in the parameters."""


def analytic_test(
    name: str, x: Any, y: Any, differences: Differences, start: Callable[[Tensor, torch.Generator], list[Tensor]],
    told: Callable[[list[Tensor], Tensor, Tensor], dict[str, Any]], *, permutations: int, seed: int, level: float,
    null: str, steps: int,
) -> TestResult:  # fmt: skip
    """Train on a random half of the pairs, test on the rest.

    start   draws parameters for a pooled training sample; the best of several draws is ascended
    told    details from the parameters (moved back to the units of the data), zbar, and the middle of the data
    """
    x, y = as_pair(x, y, paired=True)
    check_request(permutations, level)
    if null not in NULLS:
        raise UsageError(f"null: got {null!r}; allowed: {', '.join(NULLS)}")
    generator = torch.Generator().manual_seed(seed)
    middle = torch.cat([x, y]).median(0).values
    x_train, y_train, x_test, y_test = halves(x - middle, y - middle, generator)
    parameters = ascend(x_train[:BATCH], y_train[:BATCH], differences, start, steps, generator)
    z = differences(x_test, y_test, parameters)
    n, q = z.shape
    if n <= q + 1:
        raise UsageError(
            f"x and y: {n} pairs are left to test {q} numbers of each; allowed: more pairs than numbers (more examples, "
            "or fewer locations)"
        )
    uncentred = squared_length(z, torch.ones(n, 1, dtype=torch.float64))
    statistic = float(hotelling(z))
    if null == "chi2":
        from scipy.stats import chi2

        pvalue, drawn, said = max(float(chi2.sf(statistic, q)), 1e-300), 0, f"chi2({q})"
    else:
        signs = 2 * torch.randint(0, 2, (n, permutations), generator=generator).to(torch.float64) - 1
        values = squared_length(z, signs)
        pvalue, drawn, said = permutation_pvalue(float(uncentred[0]), values, 1e-9), permutations, "random signs"
    return TestResult(
        name=name, statistic=statistic, pvalue=pvalue, level=level, m=len(x), n=len(y), permutations=drawn, seed=seed,
        null=said, tested=(n, n), power=_power(statistic, q, level), details=told(parameters, z.mean(0), middle),
    )  # fmt: skip


def hotelling(z: Tensor) -> Tensor:
    """T^2 of differences z [n, q], a scalar; differentiable."""
    mean, covariance = z.mean(0), torch.atleast_2d(torch.cov(z.T))
    ridge = RIDGE * torch.eye(z.shape[1], dtype=z.dtype)
    return len(z) * (mean @ torch.linalg.solve(covariance + ridge, mean))


def squared_length(z: Tensor, signs: Tensor) -> Tensor:
    """T_u [b] of z [n, q] under sign columns [n, b]."""
    n, q = z.shape
    moment = z.T @ z / n + RIDGE * torch.eye(q, dtype=z.dtype)
    means = z.T @ signs / n
    return n * (means * torch.linalg.solve(moment, means)).sum(0)


def ascend(
    x: Tensor, y: Tensor, differences: Differences, start: Callable[[Tensor, torch.Generator], list[Tensor]],
    steps: int, generator: torch.Generator,
) -> list[Tensor]:  # fmt: skip
    """Parameters of a large T^2 on the training part: the best of several starts, then Adam."""
    pool = torch.cat([x, y])
    draws = [start(pool, generator) for _ in range(STARTS)]
    parameters = [p.clone().requires_grad_() for p in max(draws, key=lambda p: float(hotelling(differences(x, y, p))))]
    spread = float(pool.std(0).mean()) or 1.0
    rates = [0.05 * (spread if p.ndim else 1.0) for p in parameters]
    optimizer = torch.optim.Adam([{"params": [p], "lr": r} for p, r in zip(parameters, rates, strict=True)])
    best, kept = -1.0, [p.detach().clone() for p in parameters]
    for _ in range(steps):
        value = hotelling(differences(x, y, parameters))
        if float(value.detach()) > best:
            best, kept = float(value.detach()), [p.detach().clone() for p in parameters]
        optimizer.zero_grad()
        (-torch.log(value.clamp(min=1e-12))).backward()
        optimizer.step()
    return kept


def _power(statistic: float, q: int, level: float) -> float:
    """Of fresh pairs: noncentral chi2 with the noncentrality T^2 - q, at least 0."""
    from scipy.stats import chi2, ncx2

    critical, away = float(chi2.isf(level, q)), max(0.0, statistic - q)
    return float(ncx2.sf(critical, q, away)) if away > 0 else level
