"""MMD in linear time: the mean of a kernel of two pairs over disjoint pairs (Gretton et al. 2012, lemma 14).

    T = (2/m) sum_i h(x_2i, x_2i+1, y_2i, y_2i+1),   h = k(x,x') + k(y,y') - k(x,y') - k(x',y)

One pass, no Gram matrix, millions of examples. The price is power: it uses m/2 of the m^2 pairs. Under the null h is
symmetric about zero (exchanging x' and y' alone changes its sign), so that random signs give an exact p-value at any m;
above `EXACT` pairs the normal law, with variance Var(h) / (m/2), is as good.
"""

import math
from statistics import NormalDist
from typing import Any

import torch

from ganneal.twosample.kernels import kernel_for
from ganneal.twosample.permutation import permutation_pvalue
from ganneal.twosample.result import TestResult
from ganneal.twosample.samples import as_pair, check_request
from ganneal.twosample.variance import mmd_power

EXACT = 10_000


def mmd_linear_test(
    x: Any, y: Any, kernel: Any = "median", permutations: int = 1000, seed: int = 0, level: float = 0.05
) -> TestResult:
    """The linear-time test of x [m, ...] against y [m, ...], equally many; the order of the examples must be random.

    `permutations` counts the random signs of the exact null. Raises UsageError as `mmd_test` does, and for m != n.
    """
    x, y = as_pair(x, y, paired=True)
    check_request(permutations, level)
    found = kernel_for(kernel, torch.cat([x, y]))
    pairs = len(x) // 2
    a, b, c, d = x[: 2 * pairs : 2], x[1 : 2 * pairs : 2], y[: 2 * pairs : 2], y[1 : 2 * pairs : 2]

    def k(p: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
        if found.base == "squared":
            return found.of((p - q).square().sum(1))
        if found.base == "l1":
            return found.of((p - q).abs().sum(1))
        return found.of((p * q).sum(1))

    h = k(a, b) + k(c, d) - k(a, d) - k(b, c)
    statistic, deviation = float(h.mean()), float(h.std()) / math.sqrt(pairs)
    exact, normal = pairs <= EXACT, NormalDist()
    if exact:
        generator = torch.Generator().manual_seed(seed)
        signs = torch.randint(0, 2, (permutations, pairs), generator=generator).to(torch.float64) * 2 - 1
        pvalue = permutation_pvalue(statistic, signs @ h / pairs, 1e-13 * float(h.abs().mean()))
    else:
        pvalue = max(normal.cdf(-statistic / deviation), 1e-300) if deviation > 0 else 1.0
    return TestResult(
        name="mmd_linear", statistic=statistic, pvalue=pvalue, level=level, m=len(x), n=len(y),
        permutations=permutations if exact else 0, seed=seed, null="random signs" if exact else "normal",
        bandwidth=found.bandwidth, power=mmd_power(statistic, deviation**2, normal.inv_cdf(1 - level) * deviation),
    )  # fmt: skip
