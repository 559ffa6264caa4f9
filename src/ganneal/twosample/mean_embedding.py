"""ME: mean embeddings compared at a few locations, which say where the samples differ (Chwialkowski, Ramdas,
Sejdinovic, Gretton 2015; locations that are learned: Jitkrittum, Szabo, Chwialkowski, Gretton 2016).

    T = n zbar' (S + g I)^-1 zbar,     z_ij = k(x_i, v_j) - k(y_i, v_j),  k(a, b) = exp(-|a - b|^2 / (2 s^2))

zbar and S (with n - 1) are the mean and the covariance of the z_i, g = 1e-5. Locations v_j and width s ascend T on one
part of the pairs, which ascends the power as well; the other part decides. Linear in n, and all that is found is a
handful of points.

Under the null T is asymptotically chi2 with J degrees of freedom, but with few pairs it is far larger: it is
Hotelling's T^2, for normal z a multiple (n - 1) J / (n - J) of an F. So the default null is exact instead. With
independent samples of one law nothing changes if x_i and y_i are exchanged, which turns the sign of z_i: all 2^n sign
patterns are equally likely given the rest. And T need not be made anew for each: with M = mean z_i z_i', which no sign
changes,

    T = (n - 1) q / (1 - q),     q = zbar' (M + g (n - 1)/n I)^-1 zbar                  (by Sherman and Morrison)
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ganneal.errors import UsageError, nearest
from ganneal.twosample.kernels import base_matrix, median_distance
from ganneal.twosample.permutation import permutation_pvalue
from ganneal.twosample.result import TestResult
from ganneal.twosample.samples import as_pair, check_request, halves

RIDGE = 1e-5
NULLS = ("signs", "chi2")
CANDIDATES = 1000
"""Points of the training part that are tried as locations, at most, at each of four widths."""
SIGNS_AT_ONCE = 2**22
ROUNDING = 1e-9
"""Of q, which comes from a linear system whose condition number is at most some 1e6."""

Pair = tuple[Tensor, Tensor]
Differences = Callable[[list[Tensor], Tensor, Tensor], Tensor]
"""Parameters, x [n, d], y [n, d] -> z [n, J], whose sign turns when x and y are exchanged."""


def me_test(
    x: Any, y: Any, locations: int = 5, permutations: int = 1000, seed: int = 0, level: float = 0.05, *,
    share: float = 0.5, steps: int = 200, null: str = "signs",
) -> TestResult:  # fmt: skip
    """Are x [n, ...] and y [n, ...] from the same law? Mean embeddings at learned locations; x_i and y_i make a pair.

    locations     J, how many
    permutations  random sign patterns
    share         of the pairs that train, between 0 and 1, in `steps` steps of Adam
    null          "signs": exact at every n, and for pairs that are dependent but exchangeable; "chi2": chi2_J as
                  published, kept for comparison, which rejects too often unless n >> J (measured at level .05, J = 5:
                  .19 of null cases with 30 pairs, .06 with 100, .05 with 500; half of them test)

    details, in order of falling |score|: `locations` [J][d] in data units; `differences` [J], zbar_j, positive where x
    has more mass near v_j; `scores` [J], zbar_j over its standard error. `bandwidth` is s, in units of each column's
    spread in the training part.

    Raises UsageError for samples of different sizes, for fewer than 8 pairs, and otherwise as `mmd_test` does.
    """
    train, test, generator = paired_parts(x, y, permutations, seed, level, share)
    check_choice(locations, "locations", null, locations, len(test[0]))
    middle, unit = standard_units(torch.cat(train))
    a, b = ((part - middle) * unit for part in train)
    both = torch.cat([a, b])
    median, starts = math.log(median_distance(both)), []
    candidates = both[torch.randperm(len(both), generator=generator)[:CANDIDATES]]
    for shift in (-3, -2, -1, 0):
        width = torch.tensor(median + shift * math.log(2), dtype=torch.float64)
        z = _differences([candidates, width], a[: len(a) // 2], b[: len(b) // 2])
        starts.append([candidates[best_of_groups(standard_scores(z)[0].abs(), locations)], width])
    best = ascend(_differences, starts, a, b, steps)
    z = _differences(best, *((part - middle) * unit for part in test))
    scores, order = standard_scores(z)
    data_units = torch.where(unit > 0, best[0] / unit.where(unit > 0, torch.ones_like(unit)), 0.0) + middle
    details = {
        "locations": data_units[order].tolist(),
        "differences": z.mean(0)[order].tolist(),
        "scores": scores[order].tolist(),
    }
    statistic, pvalue, told = decide(z, null, permutations, generator)
    return TestResult(
        name="me", statistic=statistic, pvalue=pvalue, level=level, m=len(x), n=len(y), seed=seed, null=told,
        permutations=permutations if null == "signs" else 0, bandwidth=(float(best[1].exp()),),
        tested=(len(z), len(z)), details=details,
    )  # fmt: skip


def _differences(parameters: list[Tensor], x: Tensor, y: Tensor) -> Tensor:
    points, log_width = parameters
    factor = -0.5 * torch.exp(-2 * log_width)
    first, second = (torch.exp(factor * base_matrix("squared", sample, points)) for sample in (x, y))
    return first - second


def paired_parts(
    x: Any, y: Any, permutations: int, seed: int, level: float, share: float
) -> tuple[Pair, Pair, torch.Generator]:
    """The request checked, and pairs cut at random into a training and a test part. Raises UsageError."""
    x, y = as_pair(x, y, paired=True)
    check_request(permutations, level)
    if not 0 < share < 1:
        raise UsageError(f"share: got {share}; allowed: between 0 and 1")
    generator = torch.Generator().manual_seed(seed)
    places = torch.arange(len(x))
    train, _, test, _ = halves(places, places, generator, share)
    return (x[train], y[train]), (x[test], y[test]), generator


def check_choice(count: int, name: str, null: str, freedom: int, pairs: int) -> None:
    """Raises UsageError for a number of locations or frequencies that is none, an unknown null, and for chi2 with more
    degrees of freedom than pairs."""
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise UsageError(f"{name}: got {count}; allowed: a whole number from 1")
    if null not in NULLS:
        raise UsageError(f"null: got {null!r}; {nearest(str(null), NULLS)}")
    if null == "chi2" and pairs <= freedom:
        raise UsageError(f"null chi2: got {pairs} pairs to test with; allowed: more than {freedom}, or null='signs'")


def standard_units(pool: Tensor) -> Pair:
    """Mean and 1 / spread of every column of a pool [N, d]; 0 for a column that does not vary."""
    middle, spread = pool.mean(0), pool.std(0)
    varies = spread > 1e-12 * pool.abs().amax(0)
    return middle, torch.where(varies, 1 / spread.where(varies, torch.ones_like(spread)), 0.0)


def best_of_groups(scores: Tensor, count: int) -> Tensor:
    """Places [count] of the best of every `count`-th candidate: good, and yet not all from one spot."""
    if len(scores) < count:
        return torch.arange(count) % len(scores)
    return torch.stack([k + count * scores[k::count].argmax() for k in range(count)])


def hotelling(z: Tensor, signs: Tensor | None = None) -> Tensor:
    """q = zbar' (M + g (n - 1)/n I)^-1 zbar of z [n, J], in [0, 1); for sign patterns [n, b], of each: [b]."""
    n = len(z)
    ridge = RIDGE * (n - 1) / n * torch.eye(z.shape[1], dtype=z.dtype)
    root = torch.linalg.cholesky(z.T @ z / n + ridge)
    means = (z.mean(0, keepdim=True).T if signs is None else z.T @ signs / n).contiguous()
    return torch.linalg.solve_triangular(root, means, upper=False).square().sum(0).clamp(max=1 - 2**-50)


def ascend(
    z: Differences, starts: list[list[Tensor]], x: Tensor, y: Tensor, steps: int, rate: float = 0.05
) -> list[Tensor]:
    """Of all starts the one with the largest T on the second half of the pairs (the first may have made the starts),
    moved by Adam on log T of all pairs, whose rate falls to 0; of what was passed on the way, the best."""
    with torch.no_grad():
        start = max(starts, key=lambda s: float(hotelling(z(s, x[len(x) // 2 :], y[len(y) // 2 :]))[0]))
    moving = [p.clone().requires_grad_(True) for p in start]
    optimiser = torch.optim.Adam(moving, lr=rate)
    best, value = start, -math.inf
    for step in range(steps + 1):
        optimiser.param_groups[0]["lr"] = rate * (1 - step / (steps + 1))
        optimiser.zero_grad()
        q = hotelling(z(moving, x, y))[0]
        if q.item() > value:
            best, value = [p.detach().clone() for p in moving], q.item()
        (torch.log1p(-q) - q.clamp(min=1e-12).log()).backward()
        optimiser.step()
    return best


def decide(z: Tensor, null: str, permutations: int, generator: torch.Generator) -> tuple[float, float, str]:
    """T, its p-value, and the null's name, from z [n, J] that were not trained on."""
    n, freedom = z.shape
    q = float(hotelling(z)[0])
    statistic = (n - 1) * q / (1 - q)
    if null == "chi2":
        from scipy.stats import chi2

        return statistic, max(float(chi2.sf(statistic, freedom)), 1e-300), f"chi2({freedom})"
    block, parts = max(1, SIGNS_AT_ONCE // n), []
    for start in range(0, permutations, block):
        drawn = torch.randint(0, 2, (min(block, permutations - start), n), generator=generator)
        parts.append(hotelling(z, 2 * drawn.T.to(torch.float64) - 1))
    return statistic, permutation_pvalue(q, torch.cat(parts), ROUNDING * q), "sign flips"


def standard_scores(z: Tensor) -> Pair:
    """zbar_j over its standard error [J], and the order of falling size."""
    error = z.std(0) / math.sqrt(len(z))
    scores = torch.where(error > 0, z.mean(0) / error.where(error > 0, torch.ones_like(error)), 0.0)
    return scores, scores.abs().argsort(descending=True, stable=True)
