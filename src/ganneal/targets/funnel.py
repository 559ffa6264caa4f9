"""Neal's funnel: one coordinate sets the width of all others."""

import math

import torch
from torch import Tensor

from ganneal.targets.arguments import named, positive, whole
from ganneal.targets.target import Target

HALF_LOG_TWO_PI = math.log(2 * math.pi) / 2


@named
def funnel(dim: int = 10, std: float = 3.0) -> Target:
    """x1 ~ N(0, std^2), and x_i | x1 ~ N(0, e^{x1}) for i = 2 .. dim, normalised: log Z = 0 (Neal 2003, section 8).

    The variance of x_i is e^{std^2 / 2}, 90.02 for std = 3, and is carried by rare draws: its estimate from a sample is
    nearly always too small.
    """
    d, s = whole("funnel", "dim", dim, 2), positive("funnel", "std", std)
    variance = torch.full((d,), math.exp(min(s * s / 2, 700.0)), dtype=torch.float64)
    variance[0] = s * s

    def log_prob(x: Tensor) -> Tensor:
        neck, rest = x[..., 0], x[..., 1:]
        constant = -d * HALF_LOG_TWO_PI - math.log(s)
        return constant - (neck / s).square() / 2 - (d - 1) / 2 * neck - (-neck).exp() * rest.square().sum(-1) / 2

    def gradient(x: Tensor) -> Tensor:
        neck, rest = x[..., :1], x[..., 1:]
        narrow = (-neck).exp()
        first = narrow * rest.square().sum(-1, keepdim=True) / 2 - neck / (s * s) - (d - 1) / 2
        return torch.cat([first, -narrow * rest], -1)

    def draw(n: int, generator: torch.Generator) -> Tensor:
        z = torch.randn(n, d, generator=generator, dtype=torch.float64, device=generator.device)
        neck = s * z[:, :1]
        return torch.cat([neck, (neck / 2).exp() * z[:, 1:]], 1)

    zero = torch.zeros(d, dtype=torch.float64)
    return Target(
        name="funnel", dim=d, log_prob=log_prob, gradient=gradient, log_z=0.0, mean=zero, variance=variance, draw=draw,
        centre=zero, scale=variance.sqrt(),
    )  # fmt: skip
