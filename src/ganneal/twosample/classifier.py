"""Classifier two-sample test: train a classifier to tell x from y, test it on examples it has not seen
(Lopez-Paz and Oquab 2017; the logit statistic: Cheng and Cloninger 2022, Liu et al. 2020, C2ST-L).

    sign:  T = held-out balanced accuracy      logit:  T = mean f(x_te) - mean f(y_te)

Good where a difference can be learnt but no kernel or distance fits: images, tables, features. It tells how far the
samples can be told apart (accuracy) and which examples give them away, and costs the examples that train it.

Whatever the classifier learnt, under the null the labels of the held-out part are exchangeable given the training part,
so that relabeling the held-out predictions has the exact level. The training part has equally many examples of both
samples, so that a classifier that only counts classes learns nothing; in the published protocol the split ignores the
labels, training and held-out counts then are negatively dependent, and the majority rule scores below 1/2.
"""

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import torch
from torch import Tensor

from ganneal.errors import UsageError, nearest
from ganneal.twosample.energy import ROUNDING, SHOWN, check_range
from ganneal.twosample.learners import Learner, learner_for
from ganneal.twosample.permutation import permutation_test, strata_groups
from ganneal.twosample.result import TestResult
from ganneal.twosample.samples import LEAST, as_pair, check_request

SMALLEST = sys.float_info.min
"""A p-value in closed form may be smaller than any number a float can hold; it is never reported as 0."""
NULLS = ("permutation", "hypergeometric", "binomial")
Indices = tuple[Tensor, Tensor]
"""Positions of examples of x and of y."""


def c2st_test(
    x: Any, y: Any, classifier: Any = "network", statistic: str = "logit", folds: int | None = None,
    permutations: int = 1000, seed: int = 0, level: float = 0.05, null: str = "permutation", *, strata: Any = None,
    exceedances: int | None = None,
) -> TestResult:  # fmt: skip
    """Can a classifier tell x [m, ...] from y [n, ...] on examples that it was not trained on?

    classifier   "network" (20 hidden ReLU units), "logistic", "forest", "knn" (k = sqrt of the training examples), or a
                 scikit-learn classifier, which is cloned
    statistic    "logit": the difference of mean logits, usually the more powerful; "sign": accuracy, which looks at
                 right or wrong only
    folds        None: train on one half, test on the other. K: cut both samples into K folds, test on fold k = 2 ... K
                 the classifier trained on the folds before it, and combine the K - 1 p-values by Fisher's -2 sum log p,
                 which is chi2 with 2 (K - 1) degrees. All examples are used, and the level is exact: given the folds
                 before, p_k is uniform (or larger), so that the p-values are jointly at least independent uniforms.
                 Relabeling the predictions of ordinary cross-validation is not exact: each held-out label also trained
                 the classifiers of the other folds (a linear rule in 20 columns rejects 10 % at level 5 %). Nor is
                 adding up the statistics of the folds before relabeling: the law of a later one depends on the earlier
                 labels
    null         "permutation"; for "sign" also two in closed form. "hypergeometric": the law under all relabelings at
                 once, given how many were called x (Fisher's exact test). "binomial": #right ~ Bin(n_te, 1/2), for
                 equally many held-out examples of both only; #right is a sum of unequal coins with mean n_te / 2, whose
                 upper tail is at most binomial (Hoeffding 1956), so the level holds, exactly where the rule says x and
                 y equally often
    strata       labels of the pooled sample, x first: relabel within equal labels only
    exceedances  stop once so many relabelings have reached the observed value

    `effect` is the held-out balanced accuracy; `tested` counts the held-out examples. `details`: accuracy on each
    sample, and `confident_x`, the held-out examples of x that were most clearly told from y, with their logits, and the
    same for y. `power` is an estimate; with folds there is none.

    Raises UsageError for unknown words, for fewer than 4 examples of each sample in a part, and where scikit-learn is
    needed but not installed.
    """
    x, y = as_pair(x, y)
    check_request(permutations, level)
    check_range(x, y)
    m, n = len(x), len(y)
    _check(statistic, null, strata, m, n)
    strata_groups(strata, m, n)
    labels = None if strata is None else torch.as_tensor(strata).flatten()
    learner = learner_for(classifier)
    generator = torch.Generator().manual_seed(seed)
    rounds = [
        _round(learner, x, y, train, test, statistic, null, labels, permutations, exceedances, level, generator)
        for train, test in _splits(m, n, folds, generator)
    ]
    accuracy_x, accuracy_y = (float(torch.cat([r.right[side] for r in rounds]).mean()) for side in (0, 1))
    tested = (sum(len(r.test[0]) for r in rounds), sum(len(r.test[1]) for r in rounds))
    details = {"accuracy_x": accuracy_x, "accuracy_y": accuracy_y, **_confident(rounds)}
    common: dict[str, Any] = {
        "name": "c2st", "level": level, "m": m, "n": n, "seed": seed, "tested": tested,
        "permutations": sum(r.permutations for r in rounds), "effect": (accuracy_x + accuracy_y) / 2,
        "effect_name": "accuracy",
    }  # fmt: skip
    if folds is None:
        only = rounds[0]
        return TestResult(
            statistic=only.statistic, pvalue=only.pvalue, null=only.null, power=only.power, detectable=only.detectable,
            details=details, **common,
        )  # fmt: skip
    combined, pvalue = fisher([r.pvalue for r in rounds])
    details |= {"fold_statistics": [r.statistic for r in rounds], "fold_pvalues": [r.pvalue for r in rounds]}
    return TestResult(
        statistic=combined, pvalue=pvalue, null=f"chi2({2 * len(rounds)}) of {len(rounds)} fold p-values",
        details=details, **common,
    )  # fmt: skip


def c2st_power(effect: float, n: float, level: float = 0.05) -> float:
    """Chance that a classifier of accuracy 1/2 + e, e = effect, is found better than chance on n held-out examples.

    Phi((e sqrt(n) - z / 2) / sqrt(1/4 - e^2)),   z the 1 - level quantile of N(0, 1)   (Lopez-Paz and Oquab 2017,
    theorem 1), half of the examples from each sample.

    >>> round(c2st_power(0.05, 1000), 3)
    0.936
    """
    _positive(n, "n")
    _in_range(effect, level)
    normal = NormalDist()
    over = effect * math.sqrt(n) - normal.inv_cdf(1 - level) / 2
    spread = math.sqrt(0.25 - effect**2)
    return normal.cdf(over / spread) if spread > 0 else float(over > 0)


def c2st_sample_size(effect: float, power: float = 0.8, level: float = 0.05) -> int:
    """Held-out examples, both samples together, that find accuracy 1/2 + effect with the given power.

    n = ((z / 2 + z_power sqrt(1/4 - e^2)) / e)^2, rounded up: the inverse of c2st_power

    >>> c2st_sample_size(0.05, power=0.8)
    617
    """
    _in_range(effect, level)
    if effect <= 0 or not level < power < 1:
        raise UsageError(f"effect and power: got {effect} and {power}; allowed: above 0, and between level and 1")
    normal = NormalDist()
    root = (normal.inv_cdf(1 - level) / 2 + normal.inv_cdf(power) * math.sqrt(0.25 - effect**2)) / effect
    return math.ceil(root**2)


def c2st_detectable(n: float, power: float = 0.8, level: float = 0.05) -> float:
    """The accuracy minus 1/2 that n held-out examples find with the given power: c2st_power solved for e, at most 1/2.

    (e sqrt(n) - z / 2)^2 = z_power^2 (1/4 - e^2), the larger root where power > 1/2
    """
    _positive(n, "n")
    z, q = NormalDist().inv_cdf(1 - level), NormalDist().inv_cdf(power)
    inside = n * z * z - (n + q * q) * (z * z - q * q)
    return min(0.5, (z * math.sqrt(n) + math.copysign(math.sqrt(max(0.0, inside)), q)) / (2 * (n + q * q)))


def fisher(pvalues: Sequence[float]) -> tuple[float, float]:
    """-2 sum log p and its p-value among chi2 with two degrees for each of k independent p-values (Fisher 1925).

    The tail has the closed form e^-h sum_(j < k) h^j / j!, h half the statistic.
    """
    half = -sum(math.log(p) for p in pvalues)
    if half <= 0:
        return 0.0, 1.0
    tail = sum(math.exp(j * math.log(half) - half - math.lgamma(j + 1)) for j in range(len(pvalues)))
    return 2 * half, min(1.0, max(tail, SMALLEST))


@dataclass(frozen=True, eq=False)
class _Round:
    """One trained classifier on its held-out part: logits and right answers (of x, of y), and what they say."""

    test: Indices
    logits: Indices
    right: Indices
    statistic: float
    pvalue: float
    null: str
    permutations: int
    power: float | None
    detectable: float | None


def _round(
    learner: Learner, x: Tensor, y: Tensor, train: Indices, test: Indices, statistic: str, null: str,
    strata: Tensor | None, permutations: int, exceedances: int | None, level: float, generator: torch.Generator,
) -> _Round:  # fmt: skip
    fitted = torch.cat([x[train[0]], y[train[1]]])
    classes = torch.cat([torch.ones(len(train[0])), torch.zeros(len(train[1]))]).to(torch.float64)
    m, n = len(test[0]), len(test[1])
    logits = learner(fitted, classes, torch.cat([x[test[0]], y[test[1]]]), generator)
    called_x = (logits > 0).to(torch.float64)
    right = (called_x[:m], 1 - called_x[m:])
    accuracy = float(right[0].mean() + right[1].mean()) / 2
    # either statistic is linear in the labels: the difference of means of a score, halved and raised for the accuracy
    score, factor, offset = (logits, 1.0, 0.0) if statistic == "logit" else (called_x, 0.5, 0.5)
    total = score.sum()

    def of(labels: Tensor) -> Tensor:
        first = score @ labels
        return offset + factor * (first / m - (total - first) / n)

    drawn, name, critical, spread = 0, null, 0.0, 0.0
    if null == "permutation":
        held_out = None if strata is None else torch.cat([strata[: len(x)][test[0]], strata[len(x) :][test[1]]])
        found = permutation_test(
            of, m, n, permutations, generator, strata=held_out, exceedances=exceedances,
            rounding=ROUNDING * max(1.0, float(score.abs().max())),
        )  # fmt: skip
        observed, pvalue, drawn, name = found.observed, found.pvalue, len(found.values), found.null
        critical = found.critical(level)
    else:
        observed = accuracy
        pvalue = _closed_form(null, int(called_x[:m].sum()), int(right[1].sum()), m, n)
    size = 4 * m * n / (m + n)  # as many equally divided examples as have the variance of this balanced accuracy
    if statistic == "sign":
        power, least = c2st_power(accuracy - 0.5, size, level), 0.5 + c2st_detectable(size, level=level)
    else:
        spread = math.sqrt(float(logits[:m].var() / m + logits[m:].var() / n))
        power = NormalDist().cdf((observed - critical) / spread) if spread > 0 else float(observed > critical)
        least = max(0.0, critical + NormalDist().inv_cdf(0.8) * spread)
    return _Round(test, (logits[:m], logits[m:]), right, observed, pvalue, name, drawn, power, least)


def _closed_form(null: str, right_x: int, right_y: int, m: int, n: int) -> float:
    from scipy import stats

    if null == "binomial":
        return max(SMALLEST, float(stats.binom.sf(right_x + right_y - 1, m + n, 0.5)))
    called_x = right_x + n - right_y
    return max(SMALLEST, float(stats.hypergeom.sf(right_x - 1, m + n, called_x, m)))


def _splits(m: int, n: int, folds: int | None, generator: torch.Generator) -> list[tuple[Indices, Indices]]:
    """(train, test) positions; both classes are equally large in every training part."""
    orders = torch.randperm(m, generator=generator), torch.randperm(n, generator=generator)
    if folds is None:
        half = min(m, n) // 2
        if half < LEAST:
            raise UsageError(f"x and y: got {m} and {n} examples; allowed: at least {2 * LEAST}, half of them train")
        return [((orders[0][:half], orders[1][:half]), (orders[0][half:], orders[1][half:]))]
    if isinstance(folds, bool) or not isinstance(folds, int) or not 2 <= folds <= min(m, n) // LEAST:
        raise UsageError(
            f"folds: got {folds} for {m} and {n} examples; allowed: whole numbers from 2 to {min(m, n) // LEAST}, so "
            f"that each fold has {LEAST} examples of both"
        )
    pieces = [order.tensor_split(folds) for order in orders]
    splits = []
    for k in range(1, folds):
        seen_x, seen_y = torch.cat(pieces[0][:k]), torch.cat(pieces[1][:k])
        size = min(len(seen_x), len(seen_y))
        splits.append(((seen_x[:size], seen_y[:size]), (pieces[0][k], pieces[1][k])))
    return splits


def _confident(rounds: Sequence[_Round]) -> dict[str, Any]:
    told: dict[str, Any] = {}
    for side, name in enumerate("xy"):
        logits, positions = (torch.cat([part[side] for part in parts]) for parts in _columns(rounds))
        top = logits.topk(min(SHOWN, len(logits)), largest=side == 0)
        told |= {f"confident_{name}": positions[top.indices].tolist(), f"confident_{name}_logits": top.values.tolist()}
    return told


def _columns(rounds: Sequence[_Round]) -> tuple[list[Indices], list[Indices]]:
    return [r.logits for r in rounds], [r.test for r in rounds]


def _check(statistic: str, null: str, strata: Any, m: int, n: int) -> None:
    if statistic not in ("logit", "sign"):
        raise UsageError(f"statistic: got {statistic!r}; {nearest(str(statistic), ('logit', 'sign'))}")
    if null not in NULLS:
        raise UsageError(f"null: got {null!r}; {nearest(str(null), NULLS)}")
    if null != "permutation" and (statistic != "sign" or strata is not None):
        raise UsageError(f"null: got {null!r}; allowed: with statistic='sign' and without strata, else 'permutation'")
    if null == "binomial" and m != n:
        raise UsageError(f"null: got 'binomial' for {m} and {n} examples; allowed: equally many, else 'hypergeometric'")


def _positive(value: float, name: str) -> None:
    if not value > 0:
        raise UsageError(f"{name}: got {value}; allowed: above 0")


def _in_range(effect: float, level: float) -> None:
    if not -0.5 <= effect <= 0.5:
        raise UsageError(f"effect: got {effect}; allowed: accuracy minus 1/2, from -0.5 to 0.5")
    if not 0 < level < 1:
        raise UsageError(f"level: got {level}; allowed: between 0 and 1")
