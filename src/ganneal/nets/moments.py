"""The Gaussian with the moments of what it is shown, as a network without inputs."""

import torch
from jaxtyping import Float
from torch import Tensor, nn


class Moments(nn.Module):
    """() -> (mean [d], covariance [d, d]), the parameters themselves; they start at 0 and the unit matrix.

    Moment matching is a player of its own: with `moment_loss`, one step of plain gradient descent of rate a moves them
    to (1 - a) times the old plus a times the batch's moments, which is a running average. So the average is part of the
    game, and resumes, stacks and compiles as any other player does.
    """

    def __init__(self, dim: int):
        super().__init__()
        self.mean = nn.Parameter(torch.zeros(dim))
        self.covariance = nn.Parameter(torch.eye(dim))

    def forward(self) -> tuple[Float[Tensor, " d"], Float[Tensor, "d d"]]:
        return self.mean, self.covariance


def moment_loss(
    mean: Float[Tensor, " d"], covariance: Float[Tensor, "d d"], x: Float[Tensor, "b d"]
) -> Float[Tensor, ""]:
    """|m - mean(x)|^2 / 2 + |C - mean((x - m)(x - m)')|^2 / 2, the batch's moments held fixed."""
    x, off = x.detach(), x.detach() - mean.detach()
    return (mean - x.mean(0)).square().sum() / 2 + (covariance - off.mT @ off / len(x)).square().sum() / 2
