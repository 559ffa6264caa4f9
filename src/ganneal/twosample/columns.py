"""Which columns differ? The two-sample Kolmogorov-Smirnov statistic of each column, and one p-value for all of them.

    D_c = max over t of |F_x(t) - F_y(t)|, F the shares of values of column c up to t (Smirnov 1939)

The test's statistic is the largest D_c. Its null relabels whole examples, so that it is exact however the columns hang
together (Westfall and Young 1993, the max-T method), and ties cost nothing. First choice for tables: it names the
columns. It sees the columns' own laws only, never how they hang together.
"""

import sys
import warnings
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ganneal.errors import UsageError
from ganneal.twosample.multiplicity import holm
from ganneal.twosample.permutation import Permuted, observed_labels, permutation_test
from ganneal.twosample.result import TestResult
from ganneal.twosample.samples import as_pair, check_request

EXACT_PAIRS = 10**6
"""Up to so many pairs of examples, the p-value of one column comes from the exact law of D."""
ROUNDING = 1e-12


def ks_test(
    x: Any, y: Any, permutations: int = 1000, seed: int = 0, level: float = 0.05, *, names: Sequence[str] | None = None,
    strata: Any = None, exceedances: int | None = None,
) -> TestResult:  # fmt: skip
    """Are all columns of x [m, ...] and y [n, ...] distributed alike? The largest Kolmogorov-Smirnov distance.

    names        of the columns, d texts; otherwise their numbers
    strata       labels of the pooled sample, x first: relabel within equal labels only
    exceedances  stop once so many relabelings have reached the observed value

    `details`, lists over the columns: `names`, `statistics` D_c, `at` (the value where the two shares are farthest
    apart), `direction` (+1 where more of x than of y lies up to there, so that x is the smaller one), `pvalues` of each
    column alone (scipy's ks_2samp, conservative under ties), `holm` (those, adjusted for their number by Holm 1979) and
    `joint` (adjusted by the relabelings, so that the smallest of them is the test's own p-value); `column`, the name
    of the column that differs most.

    Raises UsageError for samples that do not fit each other and for names that do not fit the columns.
    """
    x, y = as_pair(x, y)
    check_request(permutations, level)
    m, n, d = len(x), len(y), x.shape[1]
    told = [str(column) for column in range(d)] if names is None else [str(name) for name in names]
    if len(told) != d:
        raise UsageError(f"names: got {len(told)}; allowed: one for each of the {d} columns")
    columns = [_Column(values, m, n) for values in torch.cat([x, y]).T]

    def statistic(labels: Tensor) -> Tensor:
        rows = labels.T.contiguous()
        largest = torch.zeros(len(rows), dtype=torch.float64)
        for column in columns:
            torch.maximum(largest, column.gaps(rows).abs().amax(1), out=largest)
        return largest

    permuted = permutation_test(
        statistic, m, n, permutations, torch.Generator().manual_seed(seed), strata=strata, exceedances=exceedances,
        rounding=ROUNDING,
    )  # fmt: skip
    gaps = [column.gaps(observed_labels(m, n).T)[0] for column in columns]
    places = [int(gap.abs().argmax()) for gap in gaps]
    distances = [float(gap[place].abs()) for gap, place in zip(gaps, places, strict=True)]
    alone = _alone(x, y, distances)
    worst = distances.index(max(distances))
    return TestResult(
        name="ks", statistic=permuted.observed, pvalue=permuted.pvalue, level=level, m=m, n=n,
        permutations=len(permuted.values), seed=seed, null=permuted.null, effect=distances[worst],
        effect_name="Kolmogorov-Smirnov distance",
        details={
            "column": told[worst],
            "names": told,
            "statistics": distances,
            "at": [float(column.values[place]) for column, place in zip(columns, places, strict=True)],
            "direction": [int(gap[place].sign()) for gap, place in zip(gaps, places, strict=True)],
            "pvalues": alone,
            "holm": holm(alone),
            "joint": _joint(permuted, distances),
        },
    )  # fmt: skip


class _Column:
    """One column [m + n] of the pool, sorted once; `values` are its different values, in order."""

    def __init__(self, pool: Tensor, m: int, n: int):
        ordered, self.order = pool.sort()
        last = torch.cat([ordered[1:] != ordered[:-1], torch.tensor([True])])
        self.ends = last.nonzero().flatten()
        self.values = ordered[self.ends]
        self.m, self.n = m, n

    def gaps(self, labels: Tensor) -> Tensor:
        """F_x - F_y [b, values] for labelings [b, m + n]: (c N - m k) / (mn), c of the first k being of x; the
        numerator is a whole number, so nothing is rounded before the division."""
        below = labels[:, self.order].cumsum(1)[:, self.ends]
        return (below * (self.m + self.n) - self.m * (self.ends + 1)) / (self.m * self.n)


def _alone(x: Tensor, y: Tensor, distances: Sequence[float]) -> list[float]:
    """P(D >= D_c) for each column by itself. Without ties this depends on D_c and the sizes only, so columns with equal
    distances share one look-up."""
    from scipy import stats

    method = "exact" if len(x) * len(y) <= EXACT_PAIRS else "asymp"
    known: dict[float, float] = {}
    for column, distance in enumerate(distances):
        if distance not in known:
            with warnings.catch_warnings():  # near p = 1 the exact law may lose its digits; scipy then takes the other
                warnings.simplefilter("ignore", RuntimeWarning)
                found = stats.ks_2samp(x[:, column].numpy(), y[:, column].numpy(), method=method)
            known[distance] = max(float(found.pvalue), sys.float_info.min)
    return [known[distance] for distance in distances]


def _joint(permuted: Permuted, distances: Sequence[float]) -> list[float]:
    """p-values of the columns among the largest distances of the relabelings: how often any column reached this one."""
    reached = (permuted.values >= torch.tensor(distances, dtype=torch.float64)[:, None] - ROUNDING).sum(1).double()
    drawn = len(permuted.values)
    return (reached / drawn if permuted.stopped else (1 + reached) / (drawn + 1)).tolist()
