"""Maximum mean discrepancy: MMD^2 = E k(x,x') + E k(y,y') - 2 E k(x,y) (Gretton et al. 2012, lemma 6), tested by
permutation.

Good first choice for any two sets of vectors. It sees all differences in the limit, but in many dimensions a Gaussian
kernel on raw coordinates needs many samples to see small ones.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ganneal.twosample.gram import TILE, Given, Gram, mmd_of, sums
from ganneal.twosample.kernels import kernel_for
from ganneal.twosample.permutation import (
    Permuted,
    observed_labels,
    permutation_pvalue,
    permutation_test,
    relabelings,
)
from ganneal.twosample.result import TestResult
from ganneal.twosample.samples import as_pair, check_request
from ganneal.twosample.variance import Blocks, mmd_power, mmd_variance

ROUNDING = 1e-13
"""Of a sum over a Gram matrix, relative to the mean size of its entries."""
BATCH = 250
"""Relabelings between two looks at whether to stop early."""


def mmd_test(
    x: Any, y: Any, kernel: Any = "median", permutations: int = 1000, seed: int = 0, level: float = 0.05,
    *, exceedances: int | None = None,
    progress: Callable[[float], None] | None = None,
) -> TestResult:  # fmt: skip
    """Are x [m, ...] and y [n, ...] from the same distribution? Unbiased MMD^2, null by permutation.

    x, y         arrays or tensors, the first axis is the example, the rest is flattened; one axis means examples of one
                 number
    kernel       "median": Gaussian, as wide as the median distance in the pooled sample (a function of the pool only,
                 so the level stays exact); "multiscale": the mean of Gaussian kernels at 1, 1/2, 1/4 and 1/8 of the
                 median; "gaussian", "laplace", "rq", "polynomial", "energy", with arguments as in "laplace(0.5)"; a
                 number: a Gaussian of that width; several numbers: the mean of their Gaussians; a `Kernel`
    seed         of the relabelings
    exceedances  stop early once so many relabelings have reached the observed value
    progress     is told the share of the work that is done

    The Gram matrix is never held, so that memory stays bounded: 20,000 against 20,000 examples take under a GiB.
    Raises UsageError for samples that are not finite, have different widths or fewer than 4 examples, and for fewer
    than 19 permutations (with fewer, p <= 0.05 cannot happen).
    """
    x, y = as_pair(x, y)
    check_request(permutations, level)
    m, n = len(x), len(y)
    pool = torch.cat([x, y])
    gram = Gram(pool, [kernel_for(kernel, pool)])
    generator = torch.Generator().manual_seed(seed)
    permuted, variance = gram_test(gram, m, permutations, generator, exceedances=exceedances, progress=progress)
    critical, whole = (
        permuted.critical(level),
        not permuted.stopped,
    )  # draws that a rule ended are no sample of the null
    return TestResult(
        name="mmd", statistic=permuted.observed, pvalue=permuted.pvalue, level=level, m=m, n=n,
        permutations=len(permuted.values), seed=seed, null=permuted.null, bandwidth=gram.kernels[0].bandwidth,
        power=mmd_power(permuted.observed, variance, critical) if whole else None,
        detectable=detectable(critical, float(permuted.values.std())) if whole else None,
    )  # fmt: skip


def gram_test(
    gram: Gram | Tensor, m: int, permutations: int, generator: torch.Generator, *,
    exceedances: int | None = None, progress: Callable[[float], None] | None = None,
) -> tuple[Permuted, float]:  # fmt: skip
    """The permutation test of the unbiased MMD^2 of a Gram matrix whose first m points are x, and the estimated
    variance of that statistic. All relabelings share one pass over the matrix; with `exceedances` there is one pass for
    every batch of them, so that a test can stop early."""
    gram = Given(gram) if isinstance(gram, Tensor) else gram
    n = gram.size - m
    first = observed_labels(m, n)
    if exceedances is None:
        first = torch.cat([first, relabelings(m, n, permutations, generator)], 1)
    s = sums(gram, first, moments=True, progress=progress)
    variance = float(mmd_variance(Blocks.of_sums(s, m))) if min(m, n) >= 4 else math.nan
    rounding = ROUNDING * float(s.scale[0])
    if exceedances is None:
        values = mmd_of(s, m, n)[0]
        pvalue = permutation_pvalue(float(values[0]), values[1:], rounding)
        return Permuted(float(values[0]), values[1:], pvalue), variance
    if gram.size <= TILE:
        gram = Given(gram.tile(slice(0, gram.size), slice(0, gram.size))[0])
    permuted = permutation_test(
        lambda batch: mmd_of(sums(gram, batch), m, n)[0], m, n, permutations, generator,
        exceedances=exceedances, rounding=rounding, block=BATCH,
    )  # fmt: skip
    return permuted, variance


def detectable(critical: float, spread: float) -> float:
    """The MMD^2 d that is found four times in five: d = c + z sd(d), z = 0.84, sd(d)^2 = s^2 + 2 sqrt(2) s d.

    s is the standard deviation of the permuted statistics. The term in d is that of a difference along the leading
    eigenfunction of the kernel, where the statistic is l ((a + Z)^2 - E Z^2): s = sqrt(2) l Var Z, d = l a^2. Own
    derivation, conservative when other eigenvalues contribute to s.
    """
    z = 0.84
    half = critical + math.sqrt(2) * z * z * spread
    return max(0.0, half + math.sqrt(max(0.0, half * half - critical**2 + (z * spread) ** 2)))
