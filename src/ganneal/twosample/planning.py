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
from ganneal.twosample.kernels import kernels_for
from ganneal.twosample.mmd import gram_test
from ganneal.twosample.samples import as_pair

MOST = 10**9


@dataclass(frozen=True)
class Plan:
    """n examples on each side give `power` at `level`; `pilot_power` is that of the pilot's own size."""

    n: int
    power: float
    level: float
    effect: float
    pilot_power: float | None = None


def plan_mmd(
    x: Any, y: Any, power: float = 0.8, kernel: Any = "median", level: float = 0.05, permutations: int = 1000,
    seed: int = 0,
) -> Plan:  # fmt: skip
    """The sample size on each side at which MMD finds a difference as large as that of the pilot x [m, ...], y [n,
    ...].

    Raises UsageError where the pilot shows no difference (its MMD^2 or the variance of that is not positive): then no
    number of examples follows from it.
    """
    x, y = as_pair(x, y)
    check_power(power, level)
    pool, size = torch.cat([x, y]), 2 / (1 / len(x) + 1 / len(y))
    found, variance = gram_test(
        Gram(pool, kernels_for(kernel, pool)), len(x), permutations, torch.Generator().manual_seed(seed)
    )
    d, c = found.observed, size * found.critical(level)
    if not (d > 0 and variance > 0):
        raise UsageError(
            f"pilot: MMD^2 is {d:.3g} with {len(x)} and {len(y)} examples, so no difference to plan for; allowed: a "
            "larger pilot, or --effect"
        )
    s = math.sqrt(size * variance)

    def reached(n: float) -> float:
        return NormalDist().cdf((math.sqrt(n) * d - c / math.sqrt(n)) / s)

    low, high = 4, 8
    while reached(high) < power:
        low, high = high, 2 * high
        if high > MOST:
            raise UsageError(f"pilot: more than {MOST:,} examples would be needed; allowed: a larger effect")
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if reached(middle) >= power else (middle, high)
    return Plan(high, power, level, d, reached(size))


def check_power(power: float, level: float) -> None:
    """Raises UsageError unless level < power < 1."""
    if not 0 < level < power < 1:
        raise UsageError(f"power, level: got {power:g}, {level:g}; allowed: 0 < level < power < 1")
