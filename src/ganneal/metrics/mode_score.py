"""MODE score: are samples sharp to a classifier, and do they use its classes as the training data do?

    MODE = exp( E_x KL(p(y|x) || p*(y)) - KL(p*(y) || p(y)) )     (Che, Li, Jacob, Bengio, Li 2017, section 4.2.1)

with p* the label marginal of the training data and p that of the samples. Unlike the Inception score it falls when a
class that the data have is missing, to 0 where one is missing altogether.

A variant in surveys, exp( E_x KL(p(y|x) || p*) - KL(p(y) || p*) ), is the Inception score for every p*, since
E KL(p(y|x) || q) = I(x; y) + KL(p || q) (own derivation): it does not see the training data at all.
"""

import math
from typing import Any

import torch
from torch import Tensor

from ganneal.errors import UsageError


def mode_score(probabilities: Any, marginal: Any) -> float:
    """MODE score of samples' class probabilities [n, classes] against the label marginal of the training data
    [classes].

    With an even p* at most the number of classes, reached where p is even too and every sample is sure; with an uneven
    one it may be larger (samples of a rare class count for much). 1 where all samples look like p*.
    Comparable only under one classifier. Raises UsageError for rows that are no probabilities and for a marginal of
    other length or without mass on a class that samples have.
    """
    p, q = (_probabilities(name, v) for name, v in (("probabilities", probabilities), ("marginal", marginal)))
    if p.ndim != 2 or q.ndim != 1 or p.shape[-1] != q.shape[-1]:
        raise UsageError(
            f"marginal: got shapes {tuple(p.shape)} and {tuple(q.shape)}; allowed: [n, classes] and [classes]"
        )
    if bool(((q == 0) & (p.sum(0) > 0)).any()):
        raise UsageError("marginal: a class that the classifier gives to samples has no mass in it; drop that class")
    sharp = float(divergence(p, q).mean())
    return math.exp(sharp - float(divergence(q, p.mean(0))))


def divergence(p: Tensor, q: Tensor) -> Tensor:
    """KL(p || q) over the last axis; infinite where q has no mass and p has."""
    ratio = torch.where(p > 0, p.log() - q.log(), torch.zeros_like(p + q))
    return (p * ratio).sum(-1)


def _probabilities(name: str, value: Any) -> Tensor:
    p = torch.as_tensor(value).to(torch.float64)
    if not p.numel() or not p.ndim or not bool((p >= 0).all()) or float((p.sum(-1) - 1).abs().max()) > 1e-3:
        raise UsageError(f"{name}: got shape {tuple(p.shape)}; allowed: rows that are not negative and sum to 1")
    return p / p.sum(-1, keepdim=True)
