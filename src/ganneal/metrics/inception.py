"""Inception score: are samples sharp to a classifier, and are its classes used evenly?

    IS = exp E KL(p(y|x) || p(y)),  p(y) = E p(y|x)     (Salimans et al. 2016, section 4)

It is exp of the mutual information of example and class, between 1 and the number of classes. It never looks at real
data (one perfect example of each class has the highest score), and the name belongs to the Inception network: with
another classifier it is a score of that classifier, comparable with nothing published.

p(y) is estimated from the same examples, which biases the score, mostly downwards and by about
    IS (Var KL - sum_y Var p(y|x) / p(y)) / (2 n)     for n examples in a part (own derivation, by the delta method)
so compare only equal n and equal splits, beside the real data's score.
"""

import math
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from ganneal.errors import UsageError


@dataclass(frozen=True)
class InceptionScore:
    """The mean score of disjoint parts, and its standard error (for one part: none).

    bias  to first order the mean of such scores less the score of infinitely many examples; mostly negative
    """

    score: float
    standard_error: float | None
    bias: float
    splits: int
    n: int
    classes: int

    def to_dict(self) -> dict[str, Any]:
        """Every field, ready for strict JSON."""
        return asdict(self)


def inception_score(probabilities: Any, splits: int = 10) -> InceptionScore:
    """Inception score of class probabilities [n, classes], in consecutive parts as published.

    The standard error is that of the mean of the parts; published tables give the standard deviation of the parts,
    which is sqrt(splits) times as large. Raises UsageError for rows that are no probabilities and for more parts than
    half the examples.
    """
    p = torch.as_tensor(probabilities).to(torch.float64)
    if p.ndim != 2 or not p.numel() or not bool((p >= 0).all()) or float((p.sum(1) - 1).abs().max()) > 1e-3:
        raise UsageError(
            f"probabilities: got shape {tuple(p.shape)}; allowed: [n, classes], rows that are not negative and sum to 1"
        )
    if isinstance(splits, bool) or not isinstance(splits, int) or not 1 <= splits <= max(1, len(p) // 2):
        raise UsageError(f"splits: got {splits}; allowed: whole numbers from 1 to {max(1, len(p) // 2)}")
    p = p / p.sum(1, keepdim=True)
    scores, biases = zip(*(_score(part) for part in p.tensor_split(splits)), strict=True)
    values = torch.tensor(scores, dtype=torch.float64)
    error = float(values.std()) / math.sqrt(splits) if splits > 1 else None
    return InceptionScore(float(values.mean()), error, sum(biases) / splits, splits, len(p), p.shape[1])


def _score(p: Tensor) -> tuple[float, float]:
    """exp mean_i KL_i, KL_i = sum_y p_iy log(p_iy / p_y), and its first-order bias."""
    marginal = p.mean(0)
    used = marginal > 0
    p, marginal = p[:, used], marginal[used]
    divergences = (torch.special.xlogy(p, p) - p * marginal.log()).sum(1)
    score = math.exp(float(divergences.mean()))
    if len(p) < 2:
        return score, 0.0
    return score, score * float(divergences.var() - (p.var(0) / marginal).sum()) / (2 * len(p))
