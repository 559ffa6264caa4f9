"""Small exact pieces that the theory tests share: equally weighted quantiles, quadratic critics, affine generators,
quadrature."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ganneal.game import Tensors
from ganneal.objectives import OBJECTIVES
from ganneal.systems.gan import GAN

F64 = torch.float64
NORMAL_ENTROPY = 0.5 * math.log(2 * math.pi)


def quantiles(n: int) -> Tensor:
    """[n, 1] midpoint quantiles of N(0, 1), scaled to second moment exactly 1: an equally weighted quadrature rule."""
    q = math.sqrt(2) * torch.erfinv(2 * (torch.arange(n, dtype=F64) + 0.5) / n - 1)
    return (q / q.square().mean().sqrt())[:, None]


class Quadratic(nn.Module):
    """Critic y = c + w.x + x'Ax/2 on [B, d]."""

    def __init__(self, d: int = 1):
        super().__init__()
        self.c = nn.Parameter(torch.zeros((), dtype=F64))
        self.w = nn.Parameter(torch.zeros(d, dtype=F64))
        self.q = nn.Parameter(torch.zeros(d, d, dtype=F64))

    def forward(self, x: Tensor, features: bool = False) -> Any:
        y = self.c + x @ self.w + ((x @ self.q) * x).sum(1) / 2
        return (y, x) if features else y


class Affine(nn.Module):
    """Generator x = a z + b, a one number."""

    def __init__(self, a: float = 1.0, b: float = 0.0, d: int = 1):
        super().__init__()
        self.a = nn.Parameter(torch.tensor(a, dtype=F64))
        self.b = nn.Parameter(torch.full((d,), b, dtype=F64))

    def forward(self, z: Tensor) -> Tensor:
        return self.a * z + self.b


class Particles(nn.Module):
    """Generator x_i = z_i + shift_i: minus B times its loss gradient is the force on each particle."""

    def __init__(self, n: int, d: int = 1):
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(n, d, dtype=F64))

    def forward(self, z: Tensor) -> Tensor:
        return z + self.shift


class Function(nn.Module):
    """A network without parameters: a known function."""

    def __init__(self, function: Callable[..., Tensor]):
        super().__init__()
        self.function = function

    def forward(self, x: Tensor, *more: Tensor) -> Tensor:
        return self.function(x, *more)


def gan(objective: str, critic: nn.Module, generator: nn.Module, d: int = 1, **more: Any) -> GAN:
    """A game of two networks on tables of d columns; `more` as in `GAN`, `nets` adds score players."""
    nets = {"critic": critic, **more.pop("nets", {}), "generator": generator}
    penalties = more.pop("penalties", ())
    return GAN(
        architectures=nets, objective=OBJECTIVES.build(objective), penalties=penalties, shape=(d,), latent=d, **more
    )


def numbers(**values: float) -> Tensors:
    """Coefficients as 0-d tensors, with both lambdas 0 unless given."""
    given = {"lambda_likelihood": 0.0, "lambda_entropy": 0.0, **values}
    return {name: torch.tensor(value, dtype=F64) for name, value in given.items()}


def own(net: nn.Module) -> Tensors:
    """A copy of a network's parameters."""
    return {name: p.detach().clone() for name, p in net.named_parameters()}


def all_own(game: GAN) -> dict[str, Tensors]:
    """A copy of everybody's parameters."""
    return {player: own(game.nets[player]) for player in game.players}


def expected(loss: Callable[[Tensor, Tensor], Tensor], y: Tensor, mu: Tensor, rho: Tensor) -> Tensor:
    """E_{x~mu, x'~rho} loss([y(x)], [y(x')]) for probabilities mu, rho [n] on n points: exact for separable and for
    paired losses."""
    single = torch.vmap(torch.vmap(lambda r, f: loss(r[None], f[None]), (None, 0)), (0, None))
    return mu @ single(y, y) @ rho


def normal(x: Tensor, m: Any = 0.0, s: Any = 1.0) -> Tensor:
    """Log-density of N(m, s^2)."""
    s = torch.as_tensor(s, dtype=F64)
    return -0.5 * ((x - m) / s).square() - s.log() - NORMAL_ENTROPY


def weights(log_density: Tensor) -> Tensor:
    """Probabilities on a grid, proportional to a density."""
    return torch.softmax(log_density, 0)


def slopes(function: Callable[[Tensor], Tensor], at: Tensor, h: float = 1e-5) -> Tensor:
    """Central finite differences of a scalar function of a flat vector."""
    steps = h * torch.eye(at.numel(), dtype=F64)
    return torch.stack([(function(at + e) - function(at - e)) / (2 * h) for e in steps]).detach()
