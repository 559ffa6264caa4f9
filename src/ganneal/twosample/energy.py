"""Energy distance: E^2 = 2 E|x - y| - E|x - x'| - E|y - y'| (Szekely and Rizzo 2013, eq. 5), tested by permutation.

Zero only for equal laws, nothing to choose, and it sees first what moves whole samples: a shift, a scale. It equals
2 MMD^2 with the kernel (|x| + |y| - |x - y|) / 2 (Sejdinovic et al. 2013, theorem 22); the terms |x| and |y| cancel, so
the kernel -|x - y| / 2 gives the same and needs no origin.
"""

from typing import Any

import torch
from torch import Tensor

from ganneal.errors import UsageError
from ganneal.twosample.gram import Gram, mmd_of, sums
from ganneal.twosample.kernels import base_matrix, centred, distance
from ganneal.twosample.permutation import BLOCK_BYTES, permutation_test
from ganneal.twosample.result import TestResult
from ganneal.twosample.samples import as_pair, check_request

DIRECT = 64
"""Up to so many numbers in an example, distances come from differences at once: it costs no more."""
CLOSE = 1e-3
"""A pair whose squared distance is below this share of |x|^2 + |y|^2 loses too many digits to inner products."""
LARGEST = 1e150
"""Beyond it squares overflow."""
SHOWN = 10
ROUNDING = 1e-12


def euclidean(x: Tensor, y: Tensor) -> Tensor:
    """Distances |x_i - y_j| [m, n] of x [m, d] and y [n, d], right to about 1e-12 of each one, 0 for equal points.

    With many coordinates |x|^2 + |y|^2 - 2 x'y is much quicker than differences but loses the digits of small
    distances between large vectors; those are made anew from differences.
    """
    if x.shape[1] <= DIRECT:
        return torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist")
    squared = base_matrix("squared", x, y)
    close = squared < CLOSE * (x.square().sum(1, keepdim=True) + y.square().sum(1))
    rows, columns = close.nonzero(as_tuple=True)
    if len(rows) > squared.numel() / 10:
        return torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist")
    for piece in torch.arange(len(rows)).split(max(1, BLOCK_BYTES // (8 * x.shape[1]))):
        i, j = rows[piece], columns[piece]
        squared[i, j] = (x[i] - y[j]).square().sum(1)
    return squared.sqrt_()


def pooled(x: Tensor, y: Tensor) -> Tensor:
    """x [m, d] above y [n, d], moved to their median. Raises UsageError where distances would overflow."""
    check_range(x, y)
    return centred(torch.cat([x, y]))


def check_range(x: Tensor, y: Tensor) -> None:
    """Raises UsageError for numbers whose squares overflow."""
    largest = max(float(x.abs().max()), float(y.abs().max()))
    if largest > LARGEST:
        raise UsageError(f"x and y: got a number of size {largest:.2g}; allowed: up to {LARGEST:g}, squares overflow")


def mean_distance(x: Tensor, y: Tensor) -> float:
    """Mean of |x_i - y_j| over all pairs of x [m, d] and y [n, d], made block by block."""
    rows = max(1, BLOCK_BYTES // (8 * len(y)))
    return sum(float(euclidean(part, y).sum()) for part in x.split(rows)) / (len(x) * len(y))


def energy_distance(x: Any, y: Any) -> float:
    """Unbiased estimate of 2 E|x - y| - E|x - x'| - E|y - y'| from x [m, ...] and y [n, ...]; may be negative."""
    x, y = as_pair(x, y)
    pool = pooled(x, y)
    m, n = len(x), len(y)
    x, y = pool[:m], pool[m:]
    return 2 * mean_distance(x, y) - mean_distance(x, x) * m / (m - 1) - mean_distance(y, y) * n / (n - 1)


class Distances(Gram):
    """The matrix -|x - y| / 2 of a pool [N, d], in tiles, from distances that keep their digits."""

    def __init__(self, pool: Tensor):
        super().__init__(pool, [distance()])

    def tile(self, rows: slice, columns: slice) -> list[Tensor]:
        """A tile [r, c] of the matrix."""
        return [euclidean(self.pool[rows], self.pool[columns]).mul_(-0.5)]


def energy_test(
    x: Any, y: Any, permutations: int = 1000, seed: int = 0, level: float = 0.05, *, strata: Any = None,
    exceedances: int | None = None,
) -> TestResult:  # fmt: skip
    """Are x [m, ...] and y [n, ...] from the same distribution? The unbiased energy distance, null by permutation.

    strata       labels of the pooled sample, x first: relabel within equal labels only
    exceedances  stop once so many relabelings have reached the observed value

    `effect` is the energy coefficient E^2 / (2 E|x - y|), between 0 (equal laws) and 1 (two different constants),
    which has no unit (Rizzo and Szekely 2016). `details`: the examples of x that lie most where y is rare, and of y
    where x is rare, with their witness E|v - y| - E|v - x|. Memory does not grow with the square of the sample.

    Raises UsageError for samples that do not fit each other or hold numbers above 1e150.
    """
    x, y = as_pair(x, y)
    check_request(permutations, level)
    m, n = len(x), len(y)
    gram = Distances(pooled(x, y))
    across = mean_distance(gram.pool[:m], gram.pool[m:])
    witness: list[Tensor] = []

    def statistic(labels: Tensor) -> Tensor:
        found = sums(gram, labels)
        if not witness:  # the first labeling is the observed one
            witness.append(_witness(found.rows[0], found.rows_first[0], m, n))
        return 2 * mmd_of(found, m, n)[0]

    block = (
        250 if exceedances is not None else max(1, 4 * BLOCK_BYTES // (8 * (m + n)))
    )  # each is a pass over the pairs
    permuted = permutation_test(
        statistic, m, n, permutations, torch.Generator().manual_seed(seed), strata=strata, exceedances=exceedances,
        rounding=ROUNDING * across, block=block,
    )  # fmt: skip
    return TestResult(
        name="energy", statistic=permuted.observed, pvalue=permuted.pvalue, level=level, m=m, n=n,
        permutations=len(permuted.values), seed=seed, null=permuted.null,
        effect=max(0.0, permuted.observed / (2 * across)) if across > 0 else 0.0, effect_name="energy coefficient",
        details=_extremes(witness[0], m),
    )  # fmt: skip


def _witness(rows: Tensor, rows_first: Tensor, m: int, n: int) -> Tensor:
    """E|v - y| - E|v - x| [N] at each point of the pool without itself, from sums of -|v - .| / 2 (a constant that was
    taken off cancels)."""
    own = torch.zeros(m + n, dtype=torch.float64)
    own[:m] = 1
    to_x = rows_first / (m - own)
    to_y = (rows - rows_first) / (n - 1 + own)
    return 2 * (to_x - to_y)


def _extremes(witness: Tensor, m: int) -> dict[str, Any]:
    top, low = witness[:m].topk(min(SHOWN, m)), witness[m:].topk(min(SHOWN, len(witness) - m), largest=False)
    return {
        "typical_x": top.indices.tolist(),
        "typical_x_witness": top.values.tolist(),
        "typical_y": low.indices.tolist(),
        "typical_y_witness": low.values.tolist(),
    }
