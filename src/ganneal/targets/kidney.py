"""Two facing crescents, the `kidney` on which Tao et al. (2019) show training from an unnormalised density."""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from ganneal.errors import UsageError
from ganneal.targets.arguments import named, positive
from ganneal.targets.line import Line
from ganneal.targets.target import Target


@named
def kidney(radius: float = 2.0, width: float = 0.4, lobe: float = 0.6) -> Target:
    """With R = radius, s = width, w = lobe:

        log u(x) = -(|x| - R)^2 / (2 s^2) + log( exp(-(x1 - R)^2 / (2 w^2)) + exp(-(x1 + R)^2 / (2 w^2)) )

    Potential 1 of Rezende and Mohamed (2015, table 1) is (2, .4, .6), the default; other authors use (3, .4, .6) and
    (3, .5, .5). Which of them Tao et al. drew is not known. The halves x1 < 0 and x1 > 0 have equal mass by symmetry.
    Draws are exact: radius by inverse CDF, uniform angle, and rejection by the lobes.
    """
    r, s, w = (positive("kidney", k, v) for k, v in (("radius", radius), ("width", width), ("lobe", lobe)))
    if min(s, w) < r / 100:
        raise UsageError(f"kidney: width and lobe must be at least radius / 100 = {r / 100:g}, got {min(s, w):g}")

    def lobes(first: Tensor) -> Tensor:
        return torch.logaddexp(-((first - r) / w).square() / 2, -((first + r) / w).square() / 2)

    def log_prob(x: Tensor) -> Tensor:
        # a floor inside the root keeps the gradient finite at 0
        distance = (x.square().sum(-1) + 1e-30).sqrt()
        return lobes(x[..., 0]) - ((distance - r) / s).square() / 2

    ray = Line(lambda v: v.log() - ((v - r) / s).square() / 2, max(0.0, r - 12 * s), r + 12 * s)
    bound = math.log1p(math.exp(-((r / w) ** 2) / 2))

    def draw(n: int, generator: torch.Generator) -> Tensor:
        device, found, count = generator.device, [torch.empty(0, 2, dtype=torch.float64, device=generator.device)], 0
        while count < n:
            distance = ray.draw((2 * n + 64,), generator)
            u = torch.rand(2, len(distance), generator=generator, dtype=torch.float64, device=device)
            x = torch.stack([(2 * math.pi * u[0]).cos(), (2 * math.pi * u[0]).sin()], 1) * distance[:, None]
            found.append(x[u[1].log() < lobes(x[:, 0]) - bound])
            count += len(found[-1])
        return torch.cat(found)[:n]

    log_z, second = _polar(r, s, lobes)
    half = torch.tensor([0.5, 0.5], dtype=torch.float64)
    return Target(
        name="kidney", dim=2, log_prob=log_prob, log_z=log_z, mean=torch.zeros(2, dtype=torch.float64),
        variance=second, membership=lambda x: torch.stack([x[..., 0] < 0, x[..., 0] >= 0], -1).to(x), shares=half,
        members=("left", "right"), modes=torch.tensor([[-r, 0.0], [r, 0.0]], dtype=torch.float64), draw=draw,
        centre=torch.zeros(2, dtype=torch.float64), scale=second.sqrt(),
    )  # fmt: skip


def _polar(r: float, s: float, lobes: Callable[[Tensor], Tensor]) -> tuple[float, Tensor]:
    """log Z and E x_i^2 [2] by Gauss-Legendre nodes along the radius and equal angles around."""
    nodes, weights = (torch.from_numpy(v) for v in np.polynomial.legendre.leggauss(256))
    low, high = max(0.0, r - 12 * s), r + 12 * s
    distance = low + (high - low) * (nodes + 1) / 2
    angle = torch.arange(2048, dtype=torch.float64) * (2 * math.pi / 2048)
    x, y = distance[:, None] * angle.cos(), distance[:, None] * angle.sin()
    log_u = lobes(x) - ((distance - r) / s).square()[:, None] / 2
    mass = log_u.exp() * (distance * weights * (high - low) / 2)[:, None] * (2 * math.pi / 2048)
    z = mass.sum()
    return float(z.log()), torch.stack([(mass * x.square()).sum(), (mass * y.square()).sum()]) / z
