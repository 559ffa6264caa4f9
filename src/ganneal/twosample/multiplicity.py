"""Several tests of one question: p-values that stay honest together."""

import math
from collections.abc import Sequence


def holm(pvalues: Sequence[float]) -> list[float]:
    """Adjusted p-values (Holm 1979): the chance of any false rejection stays at the level, whatever the dependence.

        p~_(k) = max over j <= k of min(1, (K - j + 1) p_(j)),   p_(1) <= p_(2) <= ...

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    order = sorted(range(len(pvalues)), key=lambda i: pvalues[i])
    adjusted, highest = [0.0] * len(pvalues), 0.0
    for rank, i in enumerate(order):
        highest = max(highest, min(1.0, (len(pvalues) - rank) * pvalues[i]))
        adjusted[i] = highest
    return adjusted


def wilson(hits: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """The interval of Wilson (1927) for a share: every share that a normal test at that confidence would not reject.

    >>> [round(v, 3) for v in wilson(5, 100)]
    [0.022, 0.112]
    """
    from statistics import NormalDist

    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    share, square = hits / trials, z * z / trials
    middle = (share + square / 2) / (1 + square)
    half = z * math.sqrt(share * (1 - share) / trials + square / (4 * trials)) / (1 + square)
    return max(0.0, middle - half), min(1.0, middle + half)
