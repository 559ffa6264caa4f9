"""Are the laws equal *given a label*? Sum over labels of the MMD^2 within each, relabeled within each.

T = sum_l w_l MMD^2(x | l, y | l),   w_l the share of the pooled examples that label l has

It asks whether a class-conditional generator is right in every class, whatever share of each class was drawn: a
difference in the shares alone is none. Relabeling the marginal MMD^2 within labels would keep the level as well, but
not the power: its value under the null is not near zero, and a difference within labels may lower it.
"""

from typing import Any

import numpy as np
import torch

from ganneal.errors import UsageError
from ganneal.twosample.gram import Gram, mmd_of, sums
from ganneal.twosample.kernels import kernel_for
from ganneal.twosample.mmd import ROUNDING
from ganneal.twosample.permutation import observed_labels, permutation_pvalue, relabelings
from ganneal.twosample.result import TestResult
from ganneal.twosample.samples import as_pair, check_request


def conditional_test(
    x: Any, y: Any, x_labels: Any, y_labels: Any, kernel: Any = "median", permutations: int = 1000, seed: int = 0,
    level: float = 0.05,
) -> TestResult:  # fmt: skip
    """Is y given its label distributed as x given its label? x [m, ...] with x_labels [m], y [n, ...] with y_labels
    [n].

    The kernel's width is that of the pooled sample; `m` and `n` count the examples of the labels compared. Labels with
    fewer than 2 examples on a side are left out and named in `details`; `details` also holds each label's own MMD^2 and
    p-value (not corrected for their number).

    Raises UsageError for labels that do not fit and where no label has 2 examples on both sides.
    """
    x, y = as_pair(x, y)
    check_request(permutations, level)
    a, b = _labels(x_labels, len(x), "x_labels"), _labels(y_labels, len(y), "y_labels")
    chosen = kernel_for(kernel, torch.cat([x, y]))
    generator = torch.Generator().manual_seed(seed)
    values, rounding, told, left_out = torch.zeros(permutations + 1, dtype=torch.float64), 0.0, [], []
    for label in np.unique(np.concatenate([a, b])).tolist():
        mine, theirs = x[torch.from_numpy(a == label)], y[torch.from_numpy(b == label)]
        m, n = len(mine), len(theirs)
        if min(m, n) < 2:
            left_out.append(label)
            continue
        labelings = torch.cat([observed_labels(m, n), relabelings(m, n, permutations, generator)], 1)
        found = sums(Gram(torch.cat([mine, theirs]), [chosen]), labelings)
        part, slack = mmd_of(found, m, n)[0], ROUNDING * float(found.scale[0])
        weight = (m + n) / (len(x) + len(y))
        values, rounding = values + weight * part, rounding + weight * slack
        pvalue = permutation_pvalue(float(part[0]), part[1:], slack)
        told.append({"label": label, "statistic": float(part[0]), "pvalue": pvalue, "m": m, "n": n})
    if not told:
        raise UsageError("labels: no label has 2 examples in both samples, so there is nothing to compare")
    observed = float(values[0])
    return TestResult(
        name="conditional", statistic=observed, pvalue=permutation_pvalue(observed, values[1:], rounding), level=level,
        m=sum(e["m"] for e in told), n=sum(e["n"] for e in told), permutations=permutations, seed=seed,
        null="permutation within labels", bandwidth=chosen.bandwidth, details={"labels": told, "left_out": left_out},
    )  # fmt: skip


def _labels(labels: Any, count: int, name: str) -> np.ndarray:
    values = np.asarray(labels.cpu() if isinstance(labels, torch.Tensor) else labels).ravel()
    if len(values) != count or values.dtype == object:
        raise UsageError(f"{name}: got {len(values)} labels of type {values.dtype}; allowed: one for each of {count}")
    return values
