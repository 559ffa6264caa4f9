"""MMD with a Gaussian kernel that is chosen on one half of the samples and tested on the other half.

MMD-O chooses one width s, MMD-ARD a weight for every column ("automatic relevance determination"):

    k(a, b) = exp(-|a - b|^2 / (2 s^2)),        k(a, b) = exp(-sum_j w_j^2 (a_j - b_j)^2 / 2)

Both ascend T / sqrt V, which sets the power of the test to first order (Sutherland et al. 2017, equation 4; with the
variance of Liu et al. 2020, equation 5). The median distance is often far from the best width: it is that of the whole
cloud, while the difference may be in its details. The price is that half of the data does not take part in the test.

Widths and weights are positive and vary over orders of magnitude, so that steps are taken in their logarithms: in raw
squared units, as in published code, a thousand steps of Adam can move a width of hundreds by about one.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ganneal.errors import UsageError
from ganneal.twosample.gram import Gram
from ganneal.twosample.kernels import base_matrix, centred, gaussian, median_distance
from ganneal.twosample.mmd import gram_test
from ganneal.twosample.result import TestResult
from ganneal.twosample.samples import as_pair, check_request, halves
from ganneal.twosample.variance import mmd_power, power_criterion

BATCH = 500
"""Examples of each sample that a step of training looks at, at most."""
GRID = torch.arange(-7, 3.01, 0.5, dtype=torch.float64) * math.log(2)
"""Logarithms of the multiples of the median distance that are tried first: 1/128 to 8."""

Batch = tuple[Tensor, Tensor]


def mmd_o_test(
    x: Any, y: Any, permutations: int = 1000, seed: int = 0, level: float = 0.05, *, share: float = 0.5,
    steps: int = 40, exceedances: int | None = None,
) -> TestResult:  # fmt: skip
    """Are x [m, ...] and y [n, ...] from the same law? MMD with the Gaussian width of the largest T / sqrt V on a
    training part, tested on the rest by permutation.

    The width is the best of a grid of multiples of the median distance, refined by `steps` steps of Adam in log s.

    share        of the examples that train, between 0 and 1
    exceedances  stop early once so many relabelings have reached the observed value

    details: `median`, the width that the median heuristic would take; `criterion`, T / sqrt V in training with the
    chosen width, and `criterion_median` with that one. Raises UsageError as `mmd_test` does, and for fewer than 8
    examples.
    """
    train, test, generator = split(x, y, permutations, seed, level, share)
    median = median_distance(torch.cat(train))
    found = batches(*train, generator)
    squared = [_squared(torch.cat(pair)) for pair in found]

    def gram(k: int, log_width: Tensor) -> Tensor:
        return torch.exp(-0.5 * squared[k] * torch.exp(-2 * log_width))

    starts = [point + math.log(median) for point in GRID]
    best, value = choose(gram, found, starts, steps, rate=0.05)
    width = float(best.exp())
    at_median = _mean_criterion(gram, found, torch.tensor(math.log(median), dtype=torch.float64))
    details = {"median": median, "criterion": value, "criterion_median": at_median}
    pool = Gram(torch.cat(test), [gaussian(width)])
    return held_out_test("mmd_o", x, y, pool, test, permutations, generator, seed, level, exceedances, details, width)


def mmd_ard_test(
    x: Any, y: Any, permutations: int = 1000, seed: int = 0, level: float = 0.05, *, share: float = 0.5,
    steps: int = 100, exceedances: int | None = None,
) -> TestResult:  # fmt: skip
    """Are x [m, ...] and y [n, ...] from the same law, and which columns tell? MMD with one weight for every column
    (images are flattened), tested on the rest by permutation.

    Starts from columns of unit spread, with the common factor that is best on a grid, and takes `steps` steps of Adam
    in log w. Constant columns get weight 0.

    details: `weights`, w_j times the spread of column j, divided by their sum (a column's share of the kernel's
    resolution, free of units); `columns`, the columns by falling weight; `scales`, w_j in data units, 1 / w_j being the
    width along column j; `criterion`, T / sqrt V in training. Arguments and errors as in `mmd_o_test`.
    """
    train, test, generator = split(x, y, permutations, seed, level, share)
    spread = torch.cat(train).std(0)
    varies = spread > 1e-12 * torch.cat(train).abs().amax(0).clamp(min=1e-300)
    if not bool(varies.any()):
        varies, spread = torch.ones_like(varies), torch.ones_like(spread)
    unit = torch.where(varies, 1 / torch.where(varies, spread, 1.0), 0.0)
    found = batches(*train, generator)
    scaled = [centred(torch.cat(pair) * unit)[:, varies] for pair in found]

    def gram(k: int, log_weights: Tensor) -> Tensor:
        return torch.exp(-0.5 * _squared(scaled[k] * log_weights.exp()))

    flat = torch.zeros(int(varies.sum()), dtype=torch.float64)
    start = math.log(median_distance(torch.cat(train) * unit))
    best, value = choose(gram, found, [flat - start - point for point in GRID], steps, rate=0.1, refined=1)
    relative = torch.zeros(len(unit), dtype=torch.float64)
    relative[varies] = best.exp()
    weights = relative * unit
    details = {
        "weights": (relative / relative.sum()).tolist(),
        "columns": relative.argsort(descending=True, stable=True).tolist(),
        "scales": weights.tolist(),
        "criterion": value,
    }
    pool = Gram(torch.cat(test) * weights, [gaussian(1.0)])
    return held_out_test("mmd_ard", x, y, pool, test, permutations, generator, seed, level, exceedances, details)


def split(
    x: Any, y: Any, permutations: int, seed: int, level: float, share: float
) -> tuple[Batch, Batch, torch.Generator]:
    """The request checked, the samples as float64 [., d] cut into a training and a test part, and the generator that
    cut them. Raises UsageError."""
    x, y = as_pair(x, y)
    check_request(permutations, level)
    if not 0 < share < 1:
        raise UsageError(f"share: got {share}; allowed: between 0 and 1")
    generator = torch.Generator().manual_seed(seed)
    x_train, y_train, x_test, y_test = halves(x, y, generator, share)
    return (x_train, y_train), (x_test, y_test), generator


def batches(x: Tensor, y: Tensor, generator: torch.Generator, size: int = BATCH) -> list[Batch]:
    """Pairs of equally many examples of both (the variance needs pairs), which go through the larger sample once; one
    pair, all of the samples, where m = n <= size."""
    m, n = len(x), len(y)
    each = min(size, m, n)
    first, second = torch.randperm(m, generator=generator), torch.randperm(n, generator=generator)
    places = [k * each + torch.arange(each) for k in range(max(m, n) // each)]
    return [(x[first[p % m]], y[second[p % n]]) for p in places]


def choose(
    gram: Callable[[int, Tensor], Tensor], found: list[Batch], starts: list[Tensor], steps: int, rate: float,
    refined: int = 2,
) -> tuple[Tensor, float]:  # fmt: skip
    """The parameters with the largest mean over batches of T / sqrt V, and that value.

    Of all `starts`, in order along a line, the `refined` best local maxima are refined by Adam, whose rate falls to 0.
    gram(k, parameters) is the Gram matrix of batch k, x first.
    """
    values = [_mean_criterion(gram, found[:2], start) for start in starts]
    edged = [-math.inf, *values, -math.inf]
    peaks = [i for i in range(len(values)) if edged[i] <= values[i] >= edged[i + 2]]
    candidates: list[Tensor] = []
    for i in sorted(peaks, key=lambda i: -values[i])[:refined]:
        candidates.append(starts[i])
        moving = starts[i].clone().requires_grad_(True)
        optimiser = torch.optim.Adam([moving], lr=rate)
        for step in range(steps):
            optimiser.param_groups[0]["lr"] = rate * (1 - step / steps)
            optimiser.zero_grad()
            k = step % len(found)
            (-power_criterion(gram(k, moving), len(found[k][0]))).backward()
            optimiser.step()
        candidates.append(moving.detach())
    scored = [(_mean_criterion(gram, found, c), c) for c in candidates if bool(c.isfinite().all())]
    value, best = max(scored, key=lambda pair: pair[0])
    return best, value


def held_out_test(
    name: str, x: Any, y: Any, gram: Gram, test: Batch, permutations: int, generator: torch.Generator, seed: int,
    level: float, exceedances: int | None, details: dict[str, Any], *bandwidth: float,
) -> TestResult:  # fmt: skip
    """The permutation test of MMD^2 on the test part, with the Gram matrix of that part, which nothing of it has
    shaped."""
    m, n = len(test[0]), len(test[1])
    permuted, variance = gram_test(gram, m, permutations, generator, exceedances=exceedances)
    return TestResult(
        name=name, statistic=permuted.observed, pvalue=permuted.pvalue, level=level, m=len(x), n=len(y),
        permutations=len(permuted.values), seed=seed, null=permuted.null, bandwidth=bandwidth, tested=(m, n),
        power=mmd_power(permuted.observed, variance, permuted.critical(level)), details=details,
    )  # fmt: skip


def _squared(pool: Tensor) -> Tensor:
    """|p_i - p_j|^2 [N, N], differentiable."""
    pool = centred(pool)
    return base_matrix("squared", pool, pool)


@torch.no_grad()
def _mean_criterion(gram: Callable[[int, Tensor], Tensor], found: list[Batch], parameters: Tensor) -> float:
    values = [float(power_criterion(gram(k, parameters), len(pair[0]))) for k, pair in enumerate(found)]
    return sum(values) / len(values)
