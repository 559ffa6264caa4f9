"""How many examples does a test need?

For a classifier two-sample test the law of its power is known, and is solved for n in `classifier.c2st_sample_size`.
For MMD there is no closed form: the power of a test at n against n examples,

    Phi( sqrt(n) d / s  -  c / (sqrt(n) s) ),   d = MMD^2,  s^2 = n Var T,  c = n (critical value)

(Sutherland et al. 2017, equation 3), is solved for n with d, s and c taken from a pilot pair of samples.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import torch

from ganneal.errors import UsageError
from ganneal.twosample.gram import Gram
from ganneal.twosample.kernels import kernel_for
from ganneal.twosample.mmd import gram_test
from ganneal.twosample.samples import as_pair

MOST = 10**9


@dataclass(frozen=True)
class Plan:
    """n examples on each side give `power` at `level`; low and high where the pilot's MMD^2 is one standard error
    larger or smaller (None: none can be told); `pilot_power` is that of the pilot's own size."""

    n: int
    power: float
    level: float
    effect: float
    low: int
    high: int | None
    pilot_power: float


def plan_mmd(
    x: Any, y: Any, power: float = 0.8, kernel: Any = "median", level: float = 0.05, permutations: int = 1000,
    seed: int = 0,
) -> Plan:  # fmt: skip
    """The sample size on each side at which MMD finds a difference as large as that of the pilot x [m, ...], y [n,
    ...].

    The answer is as uncertain as the pilot is, hence the range. Raises UsageError where the pilot's own test does not
    reject: then no number of examples follows from it.
    """
    x, y = as_pair(x, y)
    check_power(power, level)
    pool, size = torch.cat([x, y]), 2 / (1 / len(x) + 1 / len(y))
    found, variance = gram_test(
        Gram(pool, [kernel_for(kernel, pool)]), len(x), permutations, torch.Generator().manual_seed(seed)
    )
    d, c = found.observed, size * found.critical(level)
    if not (d > 0 and variance > 0 and found.pvalue <= level):
        raise UsageError(
            f"pilot: {len(x)} and {len(y)} examples show no difference to plan for (p = {found.pvalue:.2g}); allowed: "
            "a larger pilot, or --effect"
        )
    s, error = math.sqrt(size * variance), math.sqrt(variance)
    n = _solve(d, s, c, power)
    if n is None:
        raise UsageError(f"pilot: more than {MOST:,} examples would be needed; allowed: a larger effect")
    most = _solve(d - error, s, c, power) if d > error else None
    return Plan(n, power, level, d, _solve(d + error, s, c, power) or n, most, _power(size, d, s, c))


def _power(n: float, d: float, s: float, c: float) -> float:
    return NormalDist().cdf((math.sqrt(n) * d - c / math.sqrt(n)) / s)


def _solve(d: float, s: float, c: float, power: float) -> int | None:
    """The smallest n of at least 4 with that power; None above `MOST`."""
    low, high = 3, 4
    while _power(high, d, s, c) < power:
        low, high = high, 2 * high
        if high > MOST:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _power(middle, d, s, c) >= power else (middle, high)
    return high


def check_power(power: float, level: float) -> None:
    """Raises UsageError unless level < power < 1."""
    if not 0 < level < power < 1:
        raise UsageError(f"power, level: got {power:g}, {level:g}; allowed: 0 < level < power < 1")
