"""Two interleaved half circles with Gaussian noise: the density of the data source of the same name."""

import math

import numpy as np
import torch
from torch import Tensor

from ganneal.errors import UsageError
from ganneal.targets.arguments import named, positive
from ganneal.targets.target import Target


@named
def moons(noise: float = 0.1) -> Target:
    """With t uniform on [0, pi] and e ~ N(0, noise^2 I), half of the mass each:

        upper  (cos t, sin t) + e,    lower  (1 - cos t, 1/2 - sin t) + e

    log Z = 0: the density is an average of Gaussians over the arc, here over Gauss-Legendre nodes that lie closer than
    noise / 1.6, which is exact to 1e-8. One evaluation costs 20 / noise Gaussians.
    """
    s = positive("moons", "noise", noise)
    if s < 0.01:
        raise UsageError(f"moons: noise must be at least 0.01, got {noise:g}")
    nodes, weights = (torch.from_numpy(v) for v in np.polynomial.legendre.leggauss(max(24, math.ceil(10 / s))))
    t = math.pi * (nodes + 1) / 2
    arcs = torch.stack([_upper(t), _lower(t)])
    constant = (weights / 4).log() - math.log(2 * math.pi * s * s)

    def terms(x: Tensor) -> Tensor:
        """log of half the density of each arc [..., 2]."""
        away = (x[..., None, None, :] - arcs.to(x)).square().sum(-1)
        return (constant.to(x) - away / (2 * s * s)).logsumexp(-1)

    def draw(n: int, generator: torch.Generator) -> Tensor:
        u = torch.rand(2, n, generator=generator, dtype=torch.float64, device=generator.device)
        z = torch.randn(n, 2, generator=generator, dtype=torch.float64, device=generator.device)
        return torch.where(u[0, :, None] < 0.5, _upper(math.pi * u[1]), _lower(math.pi * u[1])) + s * z

    mean = torch.tensor([0.5, 0.25], dtype=torch.float64)
    variance = torch.tensor([0.75, 0.5625 - 1 / math.pi], dtype=torch.float64) + s * s
    return Target(
        name="moons", dim=2, log_prob=lambda x: terms(x).logsumexp(-1), log_z=0.0, mean=mean, variance=variance,
        membership=lambda x: terms(x).softmax(-1), shares=torch.tensor([0.5, 0.5], dtype=torch.float64),
        members=("upper", "lower"), draw=draw, centre=mean, scale=variance.sqrt(),
    )  # fmt: skip


def _upper(t: Tensor) -> Tensor:
    return torch.stack([t.cos(), t.sin()], -1)


def _lower(t: Tensor) -> Tensor:
    return torch.stack([1 - t.cos(), 0.5 - t.sin()], -1)
