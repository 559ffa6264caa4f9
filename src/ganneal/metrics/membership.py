"""Does a sampler visit each mode as often as it should? Shares of samples with exact intervals.

A target's `membership` gives each sample a number in [0, 1] for each mode (indicator of a well, responsibility of a
mixture component), whose mean under the target is known. For indicators n times the mean is binomial; for
responsibilities it is less spread out than a binomial of the same mean (Hoeffding 1963, section 3), so the interval of
Clopper and Pearson (1934) and its p-value are exact for the first and on the safe side for the second. For independent
samples: the states of a Markov chain are fewer than they look.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ganneal.errors import UsageError

SLACK = 1e-9
"""Rounding of a number in [0, 1]."""


@dataclass(frozen=True)
class Share:
    """The share of one mode: of the samples, with an interval that holds for all modes at once, and the true one."""

    name: str
    share: float
    low: float
    high: float
    truth: float
    pvalue: float

    @property
    def wrong(self) -> bool:
        """The interval does not hold the true share."""
        return not self.low <= self.truth <= self.high

    def to_dict(self) -> dict[str, Any]:
        """Every field and `wrong`."""
        return {**asdict(self), "wrong": self.wrong}


def shares(
    membership: Float[Tensor, "n k"], truth: Float[Tensor, " k"], names: Sequence[str] = (), level: float = 0.05
) -> tuple[Share, ...]:
    """The k shares, each with a Clopper-Pearson interval at level / k and a two-sided p-value (of that mode alone).

    membership  values in [0, 1] at n independent samples
    truth       their exact means
    names       of the modes; "1", "2", ... by default

    Raises `UsageError` for sizes that do not fit and for values outside [0, 1].
    """
    n, k = membership.shape
    if truth.shape != (k,) or (names and len(names) != k) or n < 1:
        raise UsageError(
            f"membership: got {n} x {k} values, {len(truth)} true shares and {len(names)} names; allowed: equally many"
        )
    if not bool(((membership >= -SLACK) & (membership <= 1 + SLACK)).all()):
        raise UsageError("membership: got values outside [0, 1]; allowed: indicators or responsibilities")
    counts = membership.to(torch.float64).sum(0).clamp(0, n).tolist()
    told = names or tuple(str(i + 1) for i in range(k))
    return tuple(
        Share(told[i], counts[i] / n, *_interval(counts[i], n, level / k), t, _pvalue(counts[i], n, t))
        for i, t in enumerate(truth.to(torch.float64).tolist())
    )


def shares_pvalue(found: Sequence[Share]) -> float:
    """p-value of "all shares are right": the smallest one times their number (Bonferroni)."""
    return min(1.0, len(found) * min(s.pvalue for s in found))


def total_variation(found: Sequence[Share]) -> float:
    """sum |share - truth| / 2: the probability that sits in wrong modes, where shares add up to 1."""
    return sum(abs(s.share - s.truth) for s in found) / 2


def _interval(count: float, n: int, level: float) -> tuple[float, float]:
    from scipy.special import betaincinv

    low = float(betaincinv(count, n - count + 1, level / 2)) if count > 0 else 0.0
    high = float(betaincinv(count + 1, n - count, 1 - level / 2)) if count < n else 1.0
    return low, high


def _pvalue(count: float, n: int, truth: float) -> float:
    """Twice the smaller tail of the binomial (n, truth) at `count`, which need not be whole."""
    from scipy.special import betainc, betaincc

    if truth <= 0 or truth >= 1:
        return 1.0 if math.isclose(count, n * truth, abs_tol=SLACK * n) else 0.0
    at_least = float(betainc(count, n - count + 1, truth)) if count > 0 else 1.0
    at_most = float(betaincc(count + 1, n - count, truth)) if count < n else 1.0
    return min(1.0, 2 * min(at_least, at_most))
