"""The permutation test: exact level for every sample size, because under the null the labels are exchangeable.

One engine for all statistics. A statistic is a function of the labels alone, once the pooled sample is fixed, and it is
given many labelings at a time, as the columns of one matrix: sums over pairs then are matrix products.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ganneal.errors import UsageError

BLOCK_BYTES = 64 * 2**20

Statistic = Callable[[Tensor], Tensor]
"""Labelings [m + n, b] of float64 ones (first sample) and zeros -> values [b], large where the samples differ."""


@dataclass(frozen=True, eq=False)
class Permuted:
    """A statistic as observed, under random relabelings [drawn], and the p-value of the former among the latter."""

    observed: float
    values: Tensor
    pvalue: float
    stopped: bool = False

    @property
    def null(self) -> str:
        """How a result names this."""
        return "permutation, stopped early" if self.stopped else "permutation"

    def critical(self, level: float) -> float:
        """The (1 - level) quantile of the permuted values."""
        return float(torch.quantile(self.values, 1 - level))


def permutation_test(
    statistic: Statistic, m: int, n: int, permutations: int, generator: torch.Generator, *, strata: Any = None,
    exceedances: int | None = None, rounding: float = 0.0, block: int | None = None,
) -> Permuted:  # fmt: skip
    """Compare a statistic with its values under random relabelings of the pooled sample, the first m being x.

    strata       labels [m + n]: relabel within groups of equal label only, which tests equality of the conditional laws
                 given the label, whatever the label's own two laws are
    exceedances  stop when so many permuted values have reached the observed one (Besag and Clifford 1991): p = h / l
                 at the l-th draw, valid at every level, and quick where nothing is to be found
    rounding     values that differ by at most this much count as ties, and ties count against rejection
    block        relabelings done at a time (default: as many as fit 64 MiB)

    p = (1 + #{T_b >= T_0}) / (B + 1), valid at every level (Phipson and Smyth 2010; Lehmann and Romano 2005, theorem
    15.2.1). Raises UsageError for too small samples and for labels that do not fit.
    """
    if min(m, n) < 2:
        raise UsageError(f"samples: got {m} and {n} examples; allowed: at least 2 of each")
    if exceedances is not None and exceedances < 1:
        raise UsageError(f"exceedances: got {exceedances}; allowed: at least 1")
    groups = strata_groups(strata, m, n)
    block = block or max(1, BLOCK_BYTES // (8 * (m + n)))
    observed = float(statistic(observed_labels(m, n))[0])
    parts: list[Tensor] = []
    reached = 0
    for start in range(0, permutations, block):
        labels = relabelings(m, n, min(block, permutations - start), generator, groups=groups)
        values = statistic(labels)
        if exceedances is not None:
            hits = (values >= observed - rounding).cumsum(0)
            if reached + int(hits[-1]) >= exceedances:
                last = int((hits + reached < exceedances).sum()) + 1
                parts.append(values[:last])
                drawn = torch.cat(parts)
                return Permuted(observed, drawn, exceedances / len(drawn), stopped=True)
            reached += int(hits[-1])
        parts.append(values)
    drawn = torch.cat(parts)
    return Permuted(observed, drawn, permutation_pvalue(observed, drawn, rounding))


def permutation_pvalue(observed: float, permuted: Tensor, rounding: float = 0.0) -> float:
    """(1 + #{T_b >= T_0 - rounding}) / (B + 1). Ties, also those that rounding has split, count against rejection.

    >>> permutation_pvalue(2.0, torch.tensor([1.0, 2.0, 3.0]))
    0.75
    """
    return (1 + int((permuted >= observed - rounding).sum())) / (permuted.numel() + 1)


def observed_labels(m: int, n: int) -> Tensor:
    """The labeling [m + n, 1] that was observed: m ones, n zeros."""
    labels = torch.zeros(m + n, 1, dtype=torch.float64)
    labels[:m] = 1
    return labels


def relabelings(
    m: int, n: int, count: int, generator: torch.Generator, *, groups: list[Tensor] | None = None
) -> Tensor:
    """Uniformly random labelings [m + n, count] with m ones each; with groups of positions, each group keeps its own
    number of ones. The same generator gives the same labelings however they are cut into blocks."""
    labels = torch.zeros(count, m + n, dtype=torch.float64)
    if groups is None:
        ones = torch.stack([torch.randperm(m + n, generator=generator)[:m] for _ in range(count)])
        return labels.scatter_(1, ones, 1.0).T
    sizes = [int((group < m).sum()) for group in groups]
    for row in labels:
        for group, size in zip(groups, sizes, strict=True):
            row[group[torch.randperm(len(group), generator=generator)[:size]]] = 1
    return labels.T


def strata_groups(strata: Any, m: int, n: int) -> list[Tensor] | None:
    """Positions of equal label in the pooled sample, x first. Raises UsageError where there is nothing to relabel."""
    if strata is None:
        return None
    labels = torch.as_tensor(strata).flatten()
    if len(labels) != m + n:
        raise UsageError(f"strata: got {len(labels)} labels; allowed: one for each of the {m + n} examples, x first")
    groups = [(labels == label).nonzero().flatten() for label in labels.unique()]
    if not any(0 < int((group < m).sum()) < len(group) for group in groups):
        raise UsageError("strata: no label occurs in both samples, so there is nothing to compare")
    return groups
