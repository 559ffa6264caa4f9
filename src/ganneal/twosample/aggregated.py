"""Many kernels at once, without a split: MMDAgg (Schrab et al. 2023) and MMD-FUSE (Biggs, Schrab and Gretton 2023).

MMDAgg rejects if any kernel's MMD^2 is too large for its own null, with one level for all that makes the whole test
exact. Here that level is not searched for by bisection over a second set of relabelings as published: the smallest
p-value of any kernel is itself a statistic, and its rank among the smallest p-values of all relabelings is an exact
p-value (Westfall and Young 1993). The rejections are those of MMDAgg up to Monte-Carlo error.

MMD-FUSE takes a soft maximum over kernels of MMD^2 on each kernel's own scale,

    F = (1/l) log mean_k exp(l MMD^2_k / sqrt N_k),   N_k = mean over pairs of k^2,   l = sqrt(n (n - 1)),  n the
    smaller sample

and compares it with its relabelings. Both use Gaussian and Laplace kernels of ten widths each, in geometric steps from
the typical distance to the nearest neighbour (or half the 5 % quantile of all distances, if that is smaller) to twice
the largest distance (MMDAgg) or twice the 95 % quantile (FUSE): functions of the pool as a set, so that the levels are
exact. Published code differs: that of MMDAgg takes distances between the first 500 of x and of y, which is no function
of the set; that of FUSE starts at half the 5 % quantile, which is wider than every mode of data with more than some
twenty modes, and goes in equal steps.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ganneal.errors import UsageError
from ganneal.twosample.gram import Gram, Sums, mmd_of, sums
from ganneal.twosample.kernels import Base, Kernel, base_matrix, centred, gaussian, laplace, some_of
from ganneal.twosample.mmd import ROUNDING
from ganneal.twosample.permutation import observed_labels, permutation_pvalue, relabelings
from ganneal.twosample.result import TestResult
from ganneal.twosample.samples import as_pair, check_request

Progress = Callable[[float], None] | None


def mmdagg_test(
    x: Any, y: Any, permutations: int = 2000, seed: int = 0, level: float = 0.05, *, widths: int = 10,
    progress: Progress = None,
) -> TestResult:  # fmt: skip
    """The aggregated test of x [m, ...] against y [n, ...], with `widths` Gaussian and as many Laplace kernels.

    `statistic` is minus the logarithm of the smallest p-value of any kernel; `details` holds every kernel with its
    MMD^2 and its own p-value: the smallest say at which scale the samples differ. Raises UsageError as `mmd_test` does,
    and for a number of widths outside 2 to 50.
    """
    x, y = as_pair(x, y)
    check_request(permutations, level)
    kernels = collection(torch.cat([x, y]), widths, top=1.0)
    m, n, found = len(x), len(y), _all(x, y, kernels, permutations, seed, progress)
    values = mmd_of(found, m, n)
    pvalues = _pvalues(values, ROUNDING * found.scale)
    smallest = pvalues.min(0).values
    extreme = smallest - _tie_break(values, pvalues, smallest) / (permutations + 2)
    return TestResult(
        name="mmdagg", statistic=-math.log(float(smallest[0])), level=level, m=m, n=n, permutations=permutations,
        seed=seed, pvalue=permutation_pvalue(-float(extreme[0]), -extreme[1:]), bandwidth=_widths(kernels),
        details=_told(kernels, values, pvalues),
    )  # fmt: skip


def mmd_fuse_test(
    x: Any, y: Any, permutations: int = 2000, seed: int = 0, level: float = 0.05, *, widths: int = 10,
    progress: Progress = None,
) -> TestResult:  # fmt: skip
    """The fused test of x [m, ...] against y [n, ...]; `statistic` is F. Arguments, `details` and errors as for
    `mmdagg_test`."""
    x, y = as_pair(x, y)
    check_request(permutations, level)
    kernels = collection(torch.cat([x, y]), widths, top=0.95)
    m, n, found = len(x), len(y), _all(x, y, kernels, permutations, seed, progress)
    values = mmd_of(found, m, n)
    sharpness = math.sqrt(min(m, n) * (min(m, n) - 1))
    scaled = values / _mean_square(found).sqrt()[:, None]
    fused = (torch.logsumexp(sharpness * scaled, 0) - math.log(len(kernels))) / sharpness
    return TestResult(
        name="mmd_fuse", statistic=float(fused[0]), level=level, m=m, n=n, permutations=permutations, seed=seed,
        pvalue=permutation_pvalue(float(fused[0]), fused[1:], ROUNDING), bandwidth=_widths(kernels),
        details=_told(kernels, values, _pvalues(values, ROUNDING * found.scale)),
    )  # fmt: skip


def collection(pool: Tensor, widths: int, top: float) -> list[Kernel]:
    """Gaussian and Laplace kernels whose widths grow geometrically, each in its own norm, from nearest neighbours to
    twice the `top` quantile of the pooled distances."""
    if not 2 <= widths <= 50:
        raise UsageError(f"widths: got {widths}; allowed: 2 to 50 of each kind of kernel")
    some = some_of(pool, 1000)
    kernels: list[Kernel] = []
    bases: tuple[tuple[Base, Callable[[float], Kernel]], ...] = (
        ("squared", lambda s: gaussian(s / math.sqrt(2))),
        ("l1", laplace),
    )
    for base, make in bases:
        distances = base_matrix(base, *(2 * [centred(some)]))
        distances = distances.sqrt() if base == "squared" else distances
        distances = distances.masked_fill(distances <= 1e-7 * distances.max(), torch.inf).fill_diagonal_(torch.inf)
        positive = distances[distances.isfinite()].sort().values
        positive = positive if len(positive) else torch.ones(1, dtype=torch.float64)
        nearest = distances.min(1).values
        nearest = nearest[nearest.isfinite()].median() if bool(nearest.isfinite().any()) else positive[0]
        low = min(float(nearest), float(positive[int(0.05 * (len(positive) - 1))]) / 2)
        high = 2 * float(positive[int(top * (len(positive) - 1))])
        kernels += [make(low * (high / low) ** (k / (widths - 1))) for k in range(widths)]
    return kernels


def _all(x: Tensor, y: Tensor, kernels: list[Kernel], permutations: int, seed: int, progress: Progress) -> Sums:
    labels = relabelings(len(x), len(y), permutations, torch.Generator().manual_seed(seed))
    labels = torch.cat([observed_labels(len(x), len(y)), labels], 1)
    return sums(Gram(torch.cat([x, y]), kernels), labels, moments=True, progress=progress)


def _pvalues(values: Tensor, rounding: Tensor) -> Tensor:
    """For each kernel the share of all labelings, the observed one among them, that reach each value: [k, b]."""
    size = values.shape[1]
    ordered = values.sort(1).values
    return (size - torch.searchsorted(ordered, values - rounding[:, None])).to(torch.float64) / size


def _tie_break(values: Tensor, pvalues: Tensor, smallest: Tensor) -> Tensor:
    """A number in (0, 1), [b], that orders labelings of equal smallest p-value by how far out that value lies. Made of
    all labelings alike, so that the level stays exact; without it, ties between kernels would cost power."""
    spread = values.std(1, keepdim=True)
    z = (values - values.mean(1, keepdim=True)) / torch.where(spread > 0, spread, 1.0)
    return torch.where(pvalues == smallest, z, -torch.inf).max(0).values.sigmoid()


def _mean_square(s: Sums) -> Tensor:
    """Mean of k^2 over pairs of different points, [k]: a function of the pool only."""
    size = s.rows.shape[1]
    centred = s.squares[:, 0] + s.squares[:, 1] + 2 * s.squares[:, 2]
    mean = s.total / (size * (size - 1))
    return centred / (size * (size - 1)) + 2 * s.shift * mean + s.shift**2


def _widths(kernels: list[Kernel]) -> tuple[float, ...]:
    return tuple(width for kernel in kernels for width in kernel.bandwidth)


def _told(kernels: list[Kernel], values: Tensor, pvalues: Tensor) -> dict[str, Any]:
    rows = zip(kernels, values[:, 0].tolist(), pvalues[:, 0].tolist(), strict=True)
    return {"kernels": [{"kernel": k.name, "width": k.bandwidth[0], "mmd2": t, "pvalue": p} for k, t, p in rows]}
