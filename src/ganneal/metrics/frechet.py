"""Frechet distance: the squared 2-Wasserstein distance between the Gaussians with the moments of two samples.

d^2 = |mu1 - mu2|^2 + tr S1 + tr S2 - 2 tr (S1^1/2 S2 S1^1/2)^1/2     (Dowson and Landau 1982; FID: Heusel et al. 2017,
on Inception features)

It is exact for Gaussians, blind to everything beyond two moments, and **biased upwards by an amount that shrinks like
1/n**: compare only numbers of equal n, and with the floor.
"""

from typing import Any

import torch
from torch import Tensor

from ganneal.errors import UsageError


def frechet_distance(x_features: Any, y_features: Any) -> float:
    """Frechet distance between features x [m, d] and y [n, d], in float64 with unbiased covariances.

    Raises UsageError for fewer than 2 examples, different d or values that are not finite.
    """
    moments = []
    for name, features in (("x_features", x_features), ("y_features", y_features)):
        values = torch.as_tensor(features).to(torch.float64).flatten(1)
        if values.shape[0] < 2 or not bool(values.isfinite().all()):
            raise UsageError(
                f"{name}: got shape {tuple(values.shape)}; allowed: at least 2 examples, all numbers finite"
            )
        moments.append((values.mean(0), torch.atleast_2d(torch.cov(values.T))))
    return frechet_from_moments(*moments[0], *moments[1])


def frechet_from_moments(mean1: Any, covariance1: Any, mean2: Any, covariance2: Any) -> float:
    """Frechet distance between N(mean1 [d], covariance1 [d, d]) and N(mean2, covariance2).

    With factors S = F F' from symmetric eigen-decompositions, the trace of the root is the sum of the singular values
    of F1' F2: no complex numbers and no loss of half the digits for singular covariances, unlike the root of the
    product S1 S2.
    """
    values = [torch.as_tensor(value).to(torch.float64) for value in (mean1, covariance1, mean2, covariance2)]
    d = values[0].numel()
    if [tuple(v.shape) for v in values] != [(d,), (d, d), (d,), (d, d)]:
        raise UsageError(f"moments: got shapes {[tuple(v.shape) for v in values]}; allowed: [d], [d, d], [d], [d, d]")
    m1, s1, m2, s2 = values
    root = torch.linalg.svdvals(_factor(s1).T @ _factor(s2)).sum()
    return max(0.0, float((m1 - m2).square().sum() + s1.trace() + s2.trace() - 2 * root))


def frechet_floor(d: int, m: int, n: int) -> float:
    """What two perfect samples of sizes m and n score to first order, for whitened features (covariance I, Gaussian)
    in d dimensions.

    (1/m + 1/n) (d + d (d + 1) / 4): the error of the mean, and a quarter of the squared error |S1 - S2|_F^2 of the
    covariances. Own derivation, checked by simulation; for other features give `frechet_distance` two halves of the
    data.
    """
    return (1 / m + 1 / n) * (d + d * (d + 1) / 4)


def _factor(covariance: Tensor) -> Tensor:
    eigenvalues, vectors = torch.linalg.eigh((covariance + covariance.T) / 2)
    return vectors * eigenvalues.clamp(min=0).sqrt()
