"""Mixtures of Gaussians with known weights: few modes on a ring or a grid, and the forty of the sampling benchmarks."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ganneal.errors import UsageError
from ganneal.targets.arguments import array, named, number, positive, vector, whole
from ganneal.targets.target import Target

SOFTPLUS_ONE = math.log1p(math.e)


@named
def mixture(means: Any = (-4.0, 4.0), std: float | Sequence[float] = 1.0, weights: Any = None,
            log_z: float = 0.0) -> Target:  # fmt: skip
    """log u(x) = log sum_k w_k N(x; m_k, s_k^2 I) + log_z.

    means    [k, d], or k numbers in one dimension
    std      one number, or one for each component
    weights  k numbers above 0, divided by their sum; equal by default
    """
    centres = array("mixture", "means", means)
    centres = centres[:, None] if centres.dim() == 1 else centres
    if centres.dim() != 2 or 0 in centres.shape:
        raise UsageError(f"mixture: means must be k points of d numbers each, got shape {list(centres.shape)}")
    k = len(centres)
    spread = vector("mixture", "std", std, k)
    share = torch.ones(k, dtype=torch.float64) if weights is None else vector("mixture", "weights", weights, k)
    positive("mixture", "std", float(spread.min()))
    positive("mixture", "weights", float(share.min()))
    return _gaussians(centres, spread, share / share.sum(), number("mixture", "log_z", log_z))


@named
def ring(modes: int = 8, radius: float = 4.0, std: float = 0.3) -> Target:
    """Equal Gaussians at equal angles on a circle in the plane, the first at (radius, 0)."""
    angle = torch.arange(whole("ring", "modes", modes, 1, 1000), dtype=torch.float64) * (2 * math.pi / modes)
    means = positive("ring", "radius", radius) * torch.stack([angle.cos(), angle.sin()], 1)
    return _equal(means, positive("ring", "std", std))


@named
def grid(side: int = 5, spacing: float = 2.0, std: float = 0.3) -> Target:
    """side x side equal Gaussians on a square grid around 0 in the plane."""
    n = whole("grid", "side", side, 1, 50)
    axis = (torch.arange(n, dtype=torch.float64) - (n - 1) / 2) * positive("grid", "spacing", spacing)
    return _equal(torch.cartesian_prod(axis, axis), positive("grid", "std", std))


@named
def gmm40(std: float = SOFTPLUS_ONE) -> Target:
    """Forty equal Gaussians in the plane with means uniform on [-40, 40]^2: those of `torch.manual_seed(0)`.

    Midgley et al. (2023, FAB) and Akhound-Sadegh et al. (2024, iDEM; they divide the coordinates by 50). The standard
    deviation is softplus(1) = 1.31326, although the option it comes from is called log_var. Not `gmm40_blessing`.
    """
    uniform = torch.rand(40, 2, generator=torch.Generator().manual_seed(0)).double()
    return _equal((uniform - 0.5) * 2 * 40, positive("gmm40", "std", std))


@named
def gmm40_blessing(dim: int = 50, seed: int = 0) -> Target:
    """Forty equal Gaussians with standard deviation 1 and means uniform on [-40, 40]^dim (Blessing et al. 2024).

    The benchmark draws its means with the random numbers of jax. These are drawn by torch from `seed`: the same law of
    problems, not the same problem, so numbers agree with published ones only on average over seeds.
    """
    d = whole("gmm40_blessing", "dim", dim)
    generator = torch.Generator().manual_seed(whole("gmm40_blessing", "seed", seed, 0, 2**31))
    return _equal(80 * torch.rand(40, d, generator=generator, dtype=torch.float64) - 40, 1.0)


def _equal(means: Tensor, std: float) -> Target:
    k = len(means)
    return _gaussians(means, torch.full((k,), std, dtype=torch.float64), torch.full((k,), 1 / k, dtype=torch.float64))


def _gaussians(means: Tensor, std: Tensor, weights: Tensor, log_z: float = 0.0) -> Target:
    """From means [k, d], standard deviations [k] and weights [k] that sum to 1."""
    k, d = means.shape
    constant = weights.log() - d * std.log() - d / 2 * math.log(2 * math.pi)

    def terms(x: Tensor) -> tuple[Tensor, Tensor]:
        away = (means.to(x) - x.unsqueeze(-2)) / std.to(x)[:, None]
        return constant.to(x) - away.square().sum(-1) / 2, away

    def gradient(x: Tensor) -> Tensor:
        logits, away = terms(x)
        return ((logits.softmax(-1) / std.to(x)).unsqueeze(-1) * away).sum(-2)

    def draw(n: int, generator: torch.Generator) -> Tensor:
        device = generator.device
        which = torch.multinomial(weights.to(device), max(n, 1), replacement=True, generator=generator)[:n]
        z = torch.randn(n, d, generator=generator, dtype=torch.float64, device=device)
        return means.to(device)[which] + std.to(device)[which, None] * z

    mean = weights @ means
    variance = weights @ (means - mean).square() + weights @ std.square()
    return Target(
        name="mixture", dim=d, log_prob=lambda x: terms(x)[0].logsumexp(-1) + log_z, gradient=gradient, log_z=log_z,
        mean=mean, variance=variance, membership=lambda x: terms(x)[0].softmax(-1), shares=weights,
        members=tuple(f"mode {i + 1}" for i in range(k)), modes=means, draw=draw, centre=mean, scale=variance.sqrt(),
    )  # fmt: skip
