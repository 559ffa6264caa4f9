"""A Gaussian bent along a parabola."""

import math

import torch
from torch import Tensor

from ganneal.targets.arguments import named, number, positive, whole
from ganneal.targets.target import Target


@named
def banana(dim: int = 2, bend: float = 0.03, std: float = 10.0) -> Target:
    """x1 ~ N(0, std^2), x2 = z - bend (x1^2 - std^2) with z ~ N(0, 1), and all others N(0, 1): normalised, log Z = 0
    (Haario, Saksman and Tamminen 1999; `bend` .03 is their moderate, .1 their strong case).

    The mean is 0, the variance of x2 is 1 + 2 bend^2 std^4: 19 by default.
    """
    d, b, s = whole("banana", "dim", dim, 2), number("banana", "bend", bend), positive("banana", "std", std)
    constant = -d / 2 * math.log(2 * math.pi) - math.log(s)

    def straight(x: Tensor) -> Tensor:
        return x[..., 1] + b * (x[..., 0].square() - s * s)

    def log_prob(x: Tensor) -> Tensor:
        rest = x[..., 2:].square().sum(-1)
        return constant - ((x[..., 0] / s).square() + straight(x).square() + rest) / 2

    def gradient(x: Tensor) -> Tensor:
        z = straight(x)
        first = -x[..., 0] / (s * s) - 2 * b * x[..., 0] * z
        return torch.cat([first.unsqueeze(-1), -z.unsqueeze(-1), -x[..., 2:]], -1)

    def draw(n: int, generator: torch.Generator) -> Tensor:
        z = torch.randn(n, d, generator=generator, dtype=torch.float64, device=generator.device)
        first = s * z[:, :1]
        return torch.cat([first, z[:, 1:2] - b * (first.square() - s * s), z[:, 2:]], 1)

    zero, variance = torch.zeros(d, dtype=torch.float64), torch.ones(d, dtype=torch.float64)
    variance[0], variance[1] = s * s, 1 + 2 * b * b * s**4
    return Target(
        name="banana", dim=d, log_prob=log_prob, gradient=gradient, log_z=0.0, mean=zero, variance=variance, draw=draw,
        centre=zero, scale=variance.sqrt(),
    )  # fmt: skip
