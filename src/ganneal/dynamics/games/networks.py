"""Critics and generators of a few numbers each, in float64."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ganneal.dynamics.games.quadrature import F64


def numbers(values: Tensor) -> nn.Parameter:
    """Parameters in float64."""
    return nn.Parameter(values.to(F64))


class LinearCritic(nn.Module):
    """y = psi . x on [B, d]."""

    def __init__(self, dim: int = 1):
        super().__init__()
        self.psi = numbers(torch.zeros(dim))

    def forward(self, x: Tensor) -> Tensor:
        """[B]."""
        return x @ self.psi


class PowerCritic(nn.Module):
    """y = psi x^2 on [B, 1]."""

    def __init__(self) -> None:
        super().__init__()
        self.w = numbers(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        """[B]."""
        return (x.square() * self.w).sum(1)


class QuadraticCritic(nn.Module):
    """y = x' W x + w . x on [B, d]; W is not made symmetric, so its antisymmetric part is neutral."""

    def __init__(self, dim: int = 1):
        super().__init__()
        self.W, self.w = numbers(torch.zeros(dim, dim)), numbers(torch.zeros(dim))

    def forward(self, x: Tensor) -> Tensor:
        """[B]."""
        return ((x @ self.W) * x).sum(1) + x @ self.w


class Shift(nn.Module):
    """x = frequencies * theta + scale z: a point, or a Gaussian that can only move."""

    frequencies: Tensor

    def __init__(self, frequencies: Sequence[float], at: Sequence[float], scale: float = 0.0):
        super().__init__()
        self.theta, self.scale = numbers(torch.tensor(list(at))), scale
        self.register_buffer("frequencies", torch.tensor(list(frequencies), dtype=F64))

    def forward(self, z: Tensor) -> Tensor:
        """[B, d]."""
        return self.frequencies * self.theta + self.scale * z


class Stretch(nn.Module):
    """x = a z on [B, 1]."""

    def __init__(self, a: float = 1.0):
        super().__init__()
        self.a = numbers(torch.tensor([a]))

    def forward(self, z: Tensor) -> Tensor:
        """[B, 1]."""
        return self.a * z


class AffineGenerator(nn.Module):
    """x = A z + b on [B, d]."""

    def __init__(self, a: Tensor, b: Tensor):
        super().__init__()
        self.A, self.b = numbers(a.clone()), numbers(b.clone())

    def forward(self, z: Tensor) -> Tensor:
        """[B, d]."""
        return z @ self.A.T + self.b
