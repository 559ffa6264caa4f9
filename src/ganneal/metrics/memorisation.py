"""Is the model copying its training data? Samples are closer to training records than fresh data are.

The reference is held-out data of the same law: some fresh records lie close to training records by chance. With L(z)
the distance of z to the nearest training record,

    C_T     the z-score of the Mann-Whitney count of pairs with L(sample) > L(held-out); far below zero: data copying
            (Meehan, Chaudhuri and Dasgupta 2020, section 3.1); it sees a shift of all distances
    share   of samples closer than the alpha quantile of the held-out distances; it sees a few exact copies

Both are one-sided, and both hold their level without any assumption on the law: given the training records, distances
of samples and of held-out records have one law if samples and held-out records have. Ranks of such distances, and the
number of samples below the r-th smallest of n held-out distances, which is beta-binomial (m, r, n - r + 1), then have
known laws. (A binomial law would take the quantile for known, and reject too often.)

A model that leaves out hard regions also is closer to the training data than fresh data, without copying anything.
With `cells` > 1 samples are compared with held-out records of the same k-means cell of the training data only, so that
how often a cell is visited no longer counts (section 3.2 there; the cells are joined by van Elteren's weights).
"""

import math
import sys
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ganneal.errors import UsageError
from ganneal.metrics.distances import nearest
from ganneal.twosample.samples import as_samples


@dataclass(frozen=True)
class Memorisation:
    """How close samples are to the training data, compared with held-out data.

    pvalue         of "samples are no closer than fresh data are": twice the smaller of the next two
    rank_pvalue    of all distances, by c_t
    share_pvalue   of the closest ones, by share
    c_t            z-score; negative where samples are closer to the training data than held-out data are
    cell_c_t       the same in each cell, None where a cell has no samples or no held-out records
    share          of samples closer than the alpha quantile of held-out distances; share_expected for a perfect model
    median, median_heldout   of the distances to the nearest training record
    pairs          the closest ones: (number of the sample, number of the training record, distance), closest first
    """

    pvalue: float
    rank_pvalue: float
    share_pvalue: float
    level: float
    c_t: float
    cell_c_t: tuple[float | None, ...]
    share: float
    share_expected: float
    median: float
    median_heldout: float
    pairs: tuple[tuple[int, int, float], ...]
    samples: int
    heldout: int
    training: int

    @property
    def copied(self) -> bool:
        """pvalue <= level."""
        return self.pvalue <= self.level

    def sentence(self) -> str:
        """The outcome in plain words."""
        numbers = (
            f"p = {self.pvalue:.2g}; {self.share:.1%} of {self.samples} samples are as close to the training data as "
            f"the closest {self.share_expected:.1%} of {self.heldout} held-out records"
        )
        if self.copied:
            return f"Samples are closer to the training data than fresh data are ({numbers})."
        return f"No sign of copying the training data at level {self.level:g} ({numbers})."

    def to_dict(self) -> dict[str, Any]:
        """Every field and `copied`, ready for strict JSON."""
        told = {f.name: getattr(self, f.name) for f in fields(self)}
        return {**told, "cell_c_t": list(self.cell_c_t), "pairs": [list(p) for p in self.pairs], "copied": self.copied}


def memorisation(
    samples: Any, training: Any, heldout: Any, alpha: float = 0.05, cells: int = 1, pairs: int = 16,
    level: float = 0.05, seed: int = 0,
) -> Memorisation:  # fmt: skip
    """Are samples [m, ...] closer to training records [t, ...] than held-out records [n, ...] are?

    alpha  of the share; the quantile is the r-th smallest held-out distance, r = floor(alpha (n + 1)), at least 1
    cells  k-means cells of the training data within which distances are compared
    pairs  how many of the closest pairs to return
    seed   of the k-means cells

    Samples must be fresh draws: the training records that a model was conditioned on or started from are none. Raises
    UsageError for values that are not finite or do not fit, and for numbers out of range.
    """
    from scipy.special import logsumexp
    from scipy.stats import betabinom

    x, train, fresh = (
        as_samples(v, name) for v, name in ((samples, "samples"), (training, "training"), (heldout, "heldout"))
    )
    if not x.shape[1] == train.shape[1] == fresh.shape[1]:
        raise UsageError(
            f"samples, training, heldout: got examples of {x.shape[1]}, {train.shape[1]} and {fresh.shape[1]} numbers; "
            "allowed: equal"
        )
    if not (0 < alpha < 1 and 0 < level < 1 and pairs >= 0 and 1 <= cells <= len(train) // 2):
        raise UsageError(
            f"alpha, level, pairs, cells: got {alpha}, {level}, {pairs}, {cells}; allowed: between 0 and 1 (the first "
            f"two), at least 0, from 1 to {len(train) // 2}"
        )
    m, n = len(x), len(fresh)
    (near, which), (near_fresh, _) = nearest(x, train), nearest(fresh, train)
    distances, reference = near[:, 0], near_fresh[:, 0]
    x_cells, fresh_cells = _cells(train, (x, fresh), cells, seed)
    c_t, rank_pvalue, scores = _stratified_ranks(distances, reference, x_cells, fresh_cells, cells)
    r = max(1, math.floor(alpha * (n + 1)))
    closer = int((distances < reference.kthvalue(r).values).sum())
    tail = betabinom.logpmf(np.arange(closer, m + 1), m, r, n - r + 1)  # scipy's sf loses tails below 1e-12
    share_pvalue = min(1.0, max(float(np.exp(logsumexp(tail))), sys.float_info.min))
    order = distances.argsort()[:pairs]
    return Memorisation(
        pvalue=min(1.0, 2 * min(rank_pvalue, share_pvalue)), rank_pvalue=rank_pvalue, share_pvalue=share_pvalue,
        level=level, c_t=c_t, cell_c_t=scores, share=closer / m, share_expected=r / (n + 1),
        median=float(distances.median()), median_heldout=float(reference.median()),
        pairs=tuple((int(i), int(which[i, 0]), float(distances[i])) for i in order),
        samples=m, heldout=n, training=len(train),
    )  # fmt: skip


def _stratified_ranks(
    x: Tensor, y: Tensor, x_cells: Tensor, y_cells: Tensor, cells: int
) -> tuple[float, float, tuple[float | None, ...]]:
    """Over the cells, (U - E U) / (N + 1) summed, in units of its standard deviation (van Elteren 1960); the one-sided
    p-value of a small one; and the z-score of each cell. U counts pairs with x > y, ties half.

    Normal law with a correction for continuity; the variance counts ties.
    """
    total, variance, step, floor = 0.0, 0.0, math.inf, 0.0
    scores: list[float | None] = []
    for cell in range(cells):
        a, b = x[x_cells == cell], y[y_cells == cell]
        m, n = len(a), len(b)
        if not m or not n:
            scores.append(None)
            continue
        size = m + n
        ordered = b.sort().values
        below, upto = torch.searchsorted(ordered, a), torch.searchsorted(ordered, a, right=True)
        excess = float((below + upto).sum()) / 2 - m * n / 2
        ties = torch.cat([a, b]).unique(return_counts=True)[1].double()
        spread = m * n / 12 * (size + 1 - float((ties**3 - ties).sum()) / (size * (size - 1)))
        scores.append(excess / math.sqrt(spread) if spread > 0 else 0.0)
        total, variance = total + excess / (size + 1), variance + spread / (size + 1) ** 2
        step = min(step, 0.5 / (size + 1))
        floor += math.lgamma(m + 1) + math.lgamma(n + 1) - math.lgamma(size + 1)
    if not variance > 0:
        return 0.0, 1.0, tuple(scores)
    pvalue = 0.5 * math.erfc(-(total + step) / math.sqrt(2 * variance))
    smallest = math.exp(max(floor, math.log(sys.float_info.min)))  # one ordering of all: no p-value is less
    return total / math.sqrt(variance), max(pvalue, smallest), tuple(scores)


def _cells(train: Tensor, sides: tuple[Tensor, ...], cells: int, seed: int) -> list[Tensor]:
    """The nearest of the k-means centres of the training data, for each side."""
    if cells == 1:
        return [torch.zeros(len(side), dtype=torch.long) for side in sides]
    from scipy.cluster.vq import kmeans2

    centres, _ = kmeans2(train.numpy(), cells, minit="++", rng=np.random.default_rng(seed))
    return [nearest(side, torch.from_numpy(centres))[1][:, 0] for side in sides]
