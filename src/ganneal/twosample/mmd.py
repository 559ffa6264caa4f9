"""Maximum mean discrepancy: MMD^2 = E k(x,x') + E k(y,y') - 2 E k(x,y) (Gretton et al. 2012, lemma 6), tested by
permutation.

Good first choice for any two sets of vectors. It sees all differences in the limit, but in many dimensions a Gaussian
kernel on raw coordinates needs many samples to see small ones.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ganneal.errors import UsageError, nearest
from ganneal.twosample.permutation import permutation_test
from ganneal.twosample.result import TestResult

SCALES = {"median": (1.0,), "multiscale": (1.0, 0.5, 0.25, 0.125)}
MAX_POINTS = 20_000  # the Gram matrix of the pooled sample is then 3 GiB


def mmd_test(
    x: Any, y: Any, kernel: str | float | Sequence[float] = "median", permutations: int = 1000, seed: int = 0,
    level: float = 0.05, generator: torch.Generator | None = None,
) -> TestResult:  # fmt: skip
    """Are x [m, ...] and y [n, ...] from the same distribution? Unbiased MMD^2, kernels exp(-d^2 / (2 s^2)).

    x, y       arrays or tensors, the first axis is the example, the rest is flattened; one axis means examples of one
               number
    kernel     "median": s is the median distance in the pooled sample (a function of the pool only, so the level stays
               exact); "multiscale": the mean of kernels at 1, 1/2, 1/4 and 1/8 of the median, which also sees
               differences that are small beside the spread of the data; a number: s; several numbers: the mean of
               their kernels
    seed       of the relabelings; a `generator` replaces it

    Raises UsageError for samples that are not finite, have different shapes or fewer than 2 examples, and for fewer
    than 19 permutations (with fewer, p <= 0.05 cannot happen).
    """
    x, y = as_samples(x, "x"), as_samples(y, "y")
    m, n = len(x), len(y)
    if x.shape[1] != y.shape[1]:
        raise UsageError(f"x and y: got examples of {x.shape[1]} and {y.shape[1]} numbers; allowed: equal")
    if m + n > MAX_POINTS:
        raise UsageError(
            f"x and y: got {m + n} examples together; allowed: at most {MAX_POINTS}, take a random part of them"
        )
    if permutations < 19:
        raise UsageError(f"permutations: got {permutations}; allowed: at least 19")
    if not 0 < level < 1:
        raise UsageError(f"level: got {level}; allowed: between 0 and 1")
    squared = squared_distances(torch.cat([x, y]))
    bandwidths = _bandwidths(kernel, squared)
    gram = gaussian_gram(squared, bandwidths)
    generator = generator or torch.Generator().manual_seed(seed)
    statistic, permuted, pvalue = permutation_test(gram, m, permutations, generator)
    critical = float(torch.quantile(permuted, 1 - level))
    return TestResult(
        name="mmd", statistic=statistic, pvalue=pvalue, level=level, rejected=pvalue <= level, m=m, n=n,
        permutations=permutations, seed=seed, bandwidth=bandwidths, power=_power(gram, m, statistic, critical),
        detectable=_detectable(critical, float(permuted.std())),
    )  # fmt: skip


def as_samples(x: Any, name: str) -> Tensor:
    """Finite float64 [n, d] with n >= 2 from an array or tensor [n] or [n, ...]."""
    try:
        values = x.detach().cpu() if isinstance(x, Tensor) else torch.as_tensor(np.asarray(x))
    except (TypeError, ValueError) as error:
        raise UsageError(f"{name}: got {type(x).__name__}; allowed: an array of numbers ({error})") from error
    if values.ndim == 0 or values.is_complex() or len(values) < 2 or values.numel() == 0:
        raise UsageError(
            f"{name}: got {values.dtype} of shape {tuple(values.shape)}; allowed: at least 2 examples of real numbers"
        )
    values = values.to(torch.float64).reshape(len(values), -1)
    if not bool(values.isfinite().all()):
        bad = int((~values.isfinite().all(1)).sum())
        raise UsageError(f"{name}: {bad} of {len(values)} examples hold NaN or infinity; allowed: finite numbers")
    return values


def squared_distances(pool: Tensor) -> Tensor:
    """|p_i - p_j|^2 [N, N] of points [N, d], symmetric, zero on the diagonal.

    One matrix product on points moved to their median: the rounding error of a pair is then relative to the distances
    of its own two points from the middle, and one outlier does not cost the others their digits.
    """
    pool = pool - pool.median(0).values
    norms = pool.square().sum(1)
    squared = (norms[:, None] + norms[None, :] - 2 * (pool @ pool.T)).clamp_(min=0)
    return ((squared + squared.T) / 2).fill_diagonal_(0)


def median_distance(squared: Tensor) -> float:
    """Median over i < j of the distances behind squared distances [N, N]. Where most points coincide: the mean of the
    positive ones, or 1."""
    upper = squared[torch.ones_like(squared, dtype=torch.bool).triu_(1)].sqrt()
    median = float(np.median(upper.numpy()))
    if median > 0:
        return median
    positive = upper[upper > 0]
    return float(positive.mean()) if len(positive) else 1.0


def gaussian_gram(squared: Tensor, bandwidths: Sequence[float]) -> Tensor:
    """Mean over s of exp(-d^2 / (2 s^2)), [N, N], from squared distances [N, N]."""
    return torch.stack([torch.exp(squared / (-2 * s * s)) for s in bandwidths]).mean(0)


def _bandwidths(kernel: str | float | Sequence[float], squared: Tensor) -> tuple[float, ...]:
    if isinstance(kernel, str):
        if kernel not in SCALES:
            raise UsageError(f"kernel: unknown {kernel!r}; {nearest(kernel, SCALES)}, or bandwidths as numbers")
        median = median_distance(squared)
        return tuple(median * scale for scale in SCALES[kernel])
    values = tuple(np.atleast_1d(np.asarray(kernel, dtype=np.float64)).ravel().tolist())
    if not values or not all(math.isfinite(s) and s > 0 for s in values):
        raise UsageError(f"kernel: got bandwidths {list(values)}; allowed: positive numbers")
    return values


def _power(gram: Tensor, m: int, statistic: float, critical: float) -> float | None:
    """Phi((MMD^2 - c) / sqrt V), V = s2 / m with the plug-in variance of Liu et al. 2020, eq. 5, on pairs; None unless
    m = n.

    s2 = 4/m^3 sum_i (sum_j H_ij)^2 - 4/m^4 (sum_ij H_ij)^2 + 1e-8,   H_ij = k(x_i,x_j) + k(y_i,y_j) - k(x_i,y_j) -
    k(x_j,y_i).
    """
    if 2 * m != len(gram):
        return None
    rows = (gram[:m, :m] + gram[m:, m:] - gram[:m, m:] - gram[m:, :m]).sum(1)
    variance = 4 / m**3 * float(rows.square().sum()) - 4 / m**4 * float(rows.sum()) ** 2 + 1e-8
    return 0.5 * math.erfc(-(statistic - critical) / math.sqrt(2 * variance / m))


def _detectable(critical: float, spread: float) -> float:
    """The MMD^2 d that is found four times in five: d = c + z sd(d), z = 0.84, sd(d)^2 = s^2 + 2 sqrt(2) s d.

    s is the standard deviation of the permuted statistics. The term in d is that of a difference along the leading
    eigenfunction of the kernel, where the statistic is l ((a + Z)^2 - E Z^2): s = sqrt(2) l Var Z, d = l a^2. Own
    derivation, conservative when other eigenvalues contribute to s.
    """
    z = 0.84
    half = critical + math.sqrt(2) * z * z * spread
    return max(0.0, half + math.sqrt(max(0.0, half * half - critical**2 + (z * spread) ** 2)))
