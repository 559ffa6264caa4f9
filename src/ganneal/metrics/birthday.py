"""The birthday test: how large is the support of a law, if some draws of it are nearly equal?

Among s independent draws of a law on N equally likely values, s (s - 1) / (2 N) pairs are equal on average; so many
equal pairs estimate N (Arora and Zhang 2018, section 2, who look at the closest pairs by eye). Here two examples are
equal if they are within a radius, and the number that is estimated is 1 / P(two draws are equal), which is 1 / sum p^2
for values with chances p: frequent values count, rare ones do not. It does not depend on the number of draws.

What it means is seen beside the same number for real data, with the same radius.
"""

import math
from dataclasses import dataclass, fields
from typing import Any

import torch

from ganneal.errors import UsageError
from ganneal.metrics.distances import lower_bounds, nearest, within
from ganneal.twosample.samples import as_samples


@dataclass(frozen=True)
class Birthday:
    """Near-duplicates among samples.

    pairs      of `samples` examples that are within `radius` of each other
    support    samples (samples - 1) / (2 pairs), inf where there is no pair
    low, high  interval that covers it in about 1 - level of the cases; high is inf where there is no pair
    """

    pairs: int
    support: float
    low: float
    high: float
    level: float
    radius: float
    samples: int

    def sentence(self) -> str:
        """The outcome in plain words."""
        told = f"{self.pairs} near-duplicate pairs (closer than {self.radius:.3g}) among {self.samples} samples"
        if not self.pairs:
            return f"{told}: at least {self.low:.3g} different ones at confidence {1 - self.level:.0%}."
        return f"{told}: as if about {self.support:.3g} different ones existed ({self.low:.3g} to {self.high:.3g})."

    def to_dict(self) -> dict[str, Any]:
        """Every field, ready for strict JSON: what is infinite becomes None."""
        told = {f.name: getattr(self, f.name) for f in fields(self)}
        return {key: None if isinstance(v, float) and math.isinf(v) else v for key, v in told.items()}


def birthday(x: Any, radius: float, level: float = 0.05) -> Birthday:
    """Near-duplicate pairs among x [s, ...] and the size of the support that they tell of.

    radius  pairs at this distance or closer count; see `duplicate_radius`; 0 counts exact duplicates

    The interval is the exact one of a Poisson number of pairs, widened where pairs come in clumps: with c_i partners of
    example i the variance of the number W of pairs is about f W, f = 1 + 2 (sum_i c_i (c_i - 1) / 2 - 2 W^2 / s) / W,
    at least 1. Raises UsageError for values that are not finite and for a radius below 0.
    """
    from scipy.stats import chi2

    values = as_samples(x, "x")
    if not (math.isfinite(radius) and radius >= 0) or not 0 < level < 1:
        raise UsageError(f"radius, level: got {radius}, {level}; allowed: at least 0, between 0 and 1")
    partners = torch.zeros(len(values), dtype=torch.float64)
    for rows, bounds in lower_bounds(values, values):
        close = within(values[rows], values, bounds, torch.tensor(radius**2, dtype=torch.float64))
        partners[rows] = close.sum(1).double() - 1  # each is within any radius of itself
    s, pairs = len(values), int(partners.sum()) // 2
    possible = s * (s - 1) / 2
    if not pairs:
        return Birthday(0, math.inf, -possible / math.log(level / 2), math.inf, level, float(radius), s)
    clumped = float((partners * (partners - 1)).sum()) / 2 - 2 * pairs**2 / s
    factor = max(1.0, 1 + 2 * clumped / pairs)
    most = factor * float(chi2.ppf(1 - level / 2, 2 * pairs / factor + 2)) / 2
    least = factor * float(chi2.ppf(level / 2, 2 * pairs / factor)) / 2
    return Birthday(
        pairs, possible / pairs, max(1.0, possible / most), max(1.0, possible / least), level, float(radius), s
    )


def duplicate_radius(reference: Any, quantile: float = 0.01) -> float:
    """A radius for near-duplicates: the distance to the nearest other example that this share of real data [n, ...]
    stays below."""
    values = as_samples(reference, "reference")
    if not 0 <= quantile <= 1:
        raise UsageError(f"quantile: got {quantile}; allowed: between 0 and 1")
    return float(nearest(values, values, others=True)[0][:, 0].quantile(quantile))
