"""Densities with known answers for the tests of this folder."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

F64 = torch.float64


class LogDensity:
    """log u and its gradient by automatic differentiation; counts the rows it was asked for."""

    def __init__(self, log_prob: Callable[[Tensor], Tensor]):
        self.log_prob, self.rows = log_prob, 0

    def value_and_score(self, x: Tensor) -> tuple[Tensor, Tensor]:
        self.rows += len(x)
        value, pull = torch.func.vjp(self.log_prob, x.detach())
        return value.detach(), pull(torch.ones_like(value))[0].detach()


def kidney(z: Tensor) -> Tensor:
    """Two facing crescents, (R, s, w) = (2, .4, .6): log Z 1.87750, second moments 3.30350 and 1.39528."""
    lobes = torch.logaddexp(-((z[:, 0] - 2) ** 2) / 0.72, -((z[:, 0] + 2) ** 2) / 0.72)
    return lobes - (z.norm(dim=1) - 2) ** 2 / 0.32


def double_well(x: Tensor) -> Tensor:
    """-log u = 3 (x^2 - 1)^2 in each coordinate."""
    return -3 * (x.square() - 1).square().sum(1)


def many_well(x: Tensor) -> Tensor:
    """-log u = sum over pairs of x^4 - 6 x^2 - x/2 + y^2/2: log Z = 10.29348 per pair, P(x > 0) = .84431."""
    a, b = x[:, 0::2], x[:, 1::2]
    return (-(a**4) + 6 * a**2 + 0.5 * a - b**2 / 2).sum(1)


class ClosedWell(LogDensity):
    """The double well with its gradient in closed form: several times faster."""

    def __init__(self) -> None:
        super().__init__(double_well)

    def gradient(self, x: Tensor) -> Tensor:
        return (1 - x.square()).mul_(x).mul_(12)


def far_modes(x: Tensor, left: float = 0.5) -> Tensor:
    """log of left N(-4, 1) + (1 - left) N(4, 1), at points [n]."""
    pair = torch.logaddexp(math.log(left) - (x + 4) ** 2 / 2, math.log(1 - left) - (x - 4) ** 2 / 2)
    return pair - 0.5 * math.log(2 * math.pi)


def double_well_log_z(beta: float = 1.0) -> float:
    """log of the integral of exp(-3 beta (x^2 - 1)^2), by trapezia: exact to rounding."""
    x = torch.linspace(-6, 6, 12001, dtype=F64)
    return float((-3 * beta * (x**2 - 1) ** 2).logsumexp(0)) + math.log(1e-3)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
