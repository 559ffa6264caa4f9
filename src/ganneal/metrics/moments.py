"""Means and standard deviations of samples against the truth, in units that do not depend on the target.

mean error       root mean square over coordinates of (mean - true mean) / true deviation
its floor        1 / sqrt(n) for n independent exact samples; sqrt(1 / n + 1 / m) against a reference of m
deviation ratio  deviation / true deviation, the least and the greatest over coordinates
"""

import math
from dataclasses import asdict, dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Moments:
    """Moments of n samples against the truth.

    mean_error, mean_floor    as above
    least_ratio, most_ratio   of standard deviations: below 1 means that the samples are too narrow
    least_at, most_at         the coordinates of those
    coordinates               how many have a finite true variance; the others are left out
    exact                     the truth is known and not that of a reference sample
    """

    mean_error: float
    mean_floor: float
    least_ratio: float
    most_ratio: float
    least_at: int
    most_at: int
    coordinates: int
    exact: bool

    def to_dict(self) -> dict[str, Any]:
        """Every field."""
        return asdict(self)


def moments(
    samples: Float[Tensor, "n d"],
    mean: Float[Tensor, " d"] | None,
    variance: Float[Tensor, " d"] | None,
    reference: Float[Tensor, "m d"] | None = None,
) -> Moments | None:
    """Moments of samples against the known ones, or else those of the reference; None where there is neither, or no
    coordinate with a finite mean and a finite variance above 0."""
    exact, m = mean is not None and variance is not None, math.inf
    if mean is None or variance is None:
        if reference is None:
            return None
        # a known infinite variance must not be replaced by that of a sample
        endless = torch.zeros(samples.shape[1]) if variance is None else torch.where(variance.isfinite(), 0.0, math.inf)
        mean, variance, m = reference.mean(0), reference.var(0) + endless.to(reference), len(reference)
    mean, variance = mean.to(samples), variance.to(samples)
    used = (mean.isfinite() & variance.isfinite() & (variance > 0)).nonzero()[:, 0]
    if len(used) == 0:
        return None
    deviation = variance[used].sqrt()
    error = (samples[:, used].mean(0) - mean[used]) / deviation
    ratio = samples[:, used].std(0) / deviation
    return Moments(
        mean_error=float(error.square().mean().sqrt()), mean_floor=math.sqrt(1 / len(samples) + 1 / m),
        least_ratio=float(ratio.min()), most_ratio=float(ratio.max()), least_at=int(used[ratio.argmin()]),
        most_at=int(used[ratio.argmax()]), coordinates=len(used), exact=exact,
    )  # fmt: skip
