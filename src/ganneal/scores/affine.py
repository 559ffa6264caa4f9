"""The score of the Gaussian that has the mean and the covariance of the samples."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ganneal.scores.estimator import Nonparametric, positive


@dataclass(frozen=True)
class Affine(Nonparametric):
    """The Gaussian fit, made by `affine`."""

    jitter: float

    def score(
        self,
        x: Float[Tensor, "b *shape"],
        *,
        net: Callable[..., Tensor] | None = None,
        samples: Float[Tensor, "m *shape"] | None = None,
    ) -> Float[Tensor, "b *shape"]:
        """-Sigma^{-1} (x - m); without `samples`, x are the samples."""
        y = (x if samples is None else samples).flatten(1)
        m = y.mean(0)
        centred = y - m
        covariance = centred.T @ centred / y.shape[0]
        size = self.jitter * covariance.diagonal().mean()
        covariance = covariance + size * torch.eye(y.shape[1], dtype=x.dtype, device=x.device)
        return -torch.linalg.solve(covariance, (x.flatten(1) - m).T).T.reshape(x.shape)

    def caution(self, shape: tuple[int, ...]) -> str | None:
        return "affine is the score of one fitted Gaussian: it sees neither modes nor tails"


def affine(jitter: float | int = 1e-6) -> Affine:
    """The score of a fitted Gaussian: `affine(jitter=1e-6)`.

        score(x) = -Sigma^{-1} (x - m),   m and Sigma the mean and (biased) covariance of the samples

    `jitter` times the mean variance is added to the diagonal, so that fewer samples than dimensions raise no error
    (they still give a useless estimate). On N(0, I) the relative root mean square error is sqrt((d + 2) / M).
    It is the linear score that score matching finds (Hyvarinen 2005, section 3.1). Cost: O(M d^2 + d^3).
    """
    positive("affine", jitter=jitter)
    return Affine(float(jitter))
