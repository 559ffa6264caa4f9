"""Which method is best, and which cannot be told from it: intervals over seeds, and differences paired by seed.

Every method plays the same seeds (the same data order and, where shapes agree, the same initial networks), so methods
are compared by their differences seed by seed. The mean difference to the best has a t interval (Student 1908), and
its p-value also looks at the signs alone; the p-values of all comparisons are corrected together (Holm 1979). The place
of a method is uncertain too: its interval comes from drawing whole seeds anew (the bootstrap, Efron 1979), all methods
at once.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy import stats

from ganneal.twosample.multiplicity import holm

LEVEL = 0.05
RESAMPLES = 2000
EXACT = 12
"""Seeds up to which all sign flips are made."""
ENOUGH = 2
"""Seeds below which nothing can be told."""


@dataclass(frozen=True)
class Standing:
    """Where a method stands by one score.

    place               1 for the best mean
    mean, low, high     over seeds, with its t interval; the latter None for a single seed
    places              the interval of its place
    best_share          how often it is the best when seeds are drawn anew
    difference          mean of its score minus that of the best, paired by seed, and its interval
    p, adjusted         of no difference; None for the best and where nothing can be told
    tied                not distinguishable from the best
    imputed             seeds without a score (they failed), counted as the worst score of all
    """

    key: str
    place: int
    mean: float
    low: float | None
    high: float | None
    places: tuple[int, int]
    best_share: float
    difference: float
    difference_low: float | None
    difference_high: float | None
    p: float | None
    adjusted: float | None
    tied: bool
    seeds: int
    imputed: int

    def to_dict(self) -> dict[str, Any]:
        """Every field, for JSON."""
        return {**asdict(self), "places": list(self.places)}


def standings(
    scores: Mapping[str, Sequence[float | None]], lower: bool = True, level: float = LEVEL, seed: int = 0
) -> list[Standing]:
    """Methods from best to worst, by their scores seed by seed (all methods in the same order of seeds).

    lower    whether less is better

    A seed without a score counts as the worst score that any method had.
    """
    names = list(scores)
    table, imputed = _table(scores, lower)
    signed = table if lower else -table
    means = signed.mean(1)
    order = sorted(range(len(names)), key=lambda k: (means[k], k))
    best, size = order[0], table.shape[1]
    lows, highs, firsts = _places(signed, level, seed)
    # the best was chosen by these scores, so that its comparisons are corrected for those of all pairs
    pairs = {(a, b): _paired(signed[a] - signed[b]) for a, b in itertools.combinations(order, 2)}
    known = {pair: p for pair, p in pairs.items() if p is not None}
    corrected = dict(zip(known, holm(list(known.values())), strict=True))
    pvalues = {k: pairs[best, k] for k in order[1:]}
    adjusted = {k: corrected[best, k] for k in order[1:] if (best, k) in corrected}
    found = []
    for place, k in enumerate(order):
        low, high = _interval(table[k], level)
        gap = table[k] - table[best]
        gap_low, gap_high = (None, None) if k == best else _interval(gap, level)
        found.append(
            Standing(
                key=names[k], place=place + 1, mean=float(table[k].mean()), low=low, high=high,
                places=(int(lows[k]), int(highs[k])), best_share=float(firsts[k]), difference=float(gap.mean()),
                difference_low=gap_low, difference_high=gap_high, p=pvalues.get(k), adjusted=adjusted.get(k),
                tied=k == best or adjusted.get(k) is None or adjusted[k] > level, seeds=size, imputed=imputed[names[k]],
            )
        )  # fmt: skip
    return found


def _table(scores: Mapping[str, Sequence[float | None]], lower: bool) -> tuple[np.ndarray, dict[str, int]]:
    """[methods, seeds] with the worst score in the place of those that are missing, and how many were missing."""
    known = [v for values in scores.values() for v in values if v is not None and math.isfinite(v)]
    worst = (max if lower else min)(known, default=0.0)
    rows, imputed = [], {}
    for name, values in scores.items():
        held = [v if v is not None and math.isfinite(v) else None for v in values]
        imputed[name] = sum(v is None for v in held)
        rows.append([worst if v is None else v for v in held])
    return np.array(rows, dtype=np.float64), imputed


def _interval(values: np.ndarray, level: float) -> tuple[float | None, float | None]:
    """Mean -+ t_{n-1, 1 - level/2} s / sqrt(n)."""
    if len(values) < ENOUGH:
        return None, None
    half = float(stats.t.ppf(1 - level / 2, len(values) - 1) * values.std(ddof=1) / math.sqrt(len(values)))
    return float(values.mean()) - half, float(values.mean()) + half


def _paired(differences: np.ndarray) -> float | None:
    """Two-sided p-value of no difference: twice the smaller of a paired t test and of the test that flips signs (Fisher
    1935), which needs no normal law and so finds a method that is worse at every seed however much worse it is at some.
    None for a single seed."""
    if len(differences) < ENOUGH:
        return None
    spread = differences.std(ddof=1)
    if spread <= 1e-12 * np.abs(differences).max(initial=0.0):  # the same difference at every seed
        return _flips(differences)
    statistic = differences.mean() / (spread / math.sqrt(len(differences)))
    student = float(2 * stats.t.sf(abs(statistic), len(differences) - 1))
    return min(1.0, 2 * min(student, _flips(differences)))


def _flips(differences: np.ndarray) -> float:
    """Share of the sign flips of the differences whose mean is as far from 0: all of them, or 4,096 at random."""
    n = len(differences)
    if n <= EXACT:
        signs = 1 - 2 * ((np.arange(2**n)[:, None] >> np.arange(n)) & 1)
    else:
        signs = 1 - 2 * np.random.default_rng(0).integers(2, size=(2**EXACT, n))
        signs[0] = 1
    means = np.abs(signs @ differences)
    return float((means >= means[0] * (1 - 1e-12)).mean())


def _places(signed: np.ndarray, level: float, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lowest and highest place of each method, and its share of first places, when seeds are drawn anew."""
    size = signed.shape[1]
    draws = np.random.default_rng(seed).integers(size, size=(RESAMPLES, size))
    means = signed[:, draws].mean(2)
    places = 1 + (means[None] < means[:, None]).sum(1)  # how many are strictly better, and one
    firsts = (places == 1) / (places == 1).sum(0)
    low, high = np.quantile(places, [level / 2, 1 - level / 2], axis=1, method="closest_observation")
    return low, high, firsts.mean(1)
