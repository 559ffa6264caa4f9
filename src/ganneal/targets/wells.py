"""Wells with barriers between them: one pair of wells, and many independent pairs."""

import math

import torch
from torch import Tensor

from ganneal.errors import UsageError
from ganneal.targets.arguments import named, number, positive, whole
from ganneal.targets.line import Line
from ganneal.targets.target import Target

HALF_LOG_TWO_PI = math.log(2 * math.pi) / 2


@named
def double_well(dim: int = 1, height: float = 3.0, tilt: float = 0.0) -> Target:
    """log u(x) = -height (x1^2 - 1)^2 + tilt x1 - sum_{i >= 2} x_i^2 / 2.

    Wells near x1 = -1 and x1 = +1 with a barrier of `height` between them; a positive tilt favours the right one. The
    mean first passage from -1 to +1 by Langevin dynamics takes 8.88 for height 3, and 161.8 at beta = 2.
    """
    d, h, t = whole("double_well", "dim", dim), positive("double_well", "height", height), number(
        "double_well", "tilt", tilt
    )  # fmt: skip

    def first(v: Tensor) -> Tensor:
        return t * v - h * (v.square() - 1).square()

    def log_prob(x: Tensor) -> Tensor:
        return first(x[..., 0]) - x[..., 1:].square().sum(-1) / 2

    def gradient(x: Tensor) -> Tensor:
        v = x[..., :1]
        return torch.cat([t - 4 * h * v * (v.square() - 1), -x[..., 1:]], -1)

    reach = math.sqrt(1 + math.sqrt(800 / h)) + (abs(t) / h) ** (1 / 3)
    line = Line(first, -reach, reach)

    def draw(n: int, generator: torch.Generator) -> Tensor:
        rest = torch.randn(n, d - 1, generator=generator, dtype=torch.float64, device=generator.device)
        return torch.cat([line.draw((n, 1), generator), rest], 1)

    mean, variance = torch.zeros(d, dtype=torch.float64), torch.ones(d, dtype=torch.float64)
    mean[0], variance[0] = line.mean, line.variance
    modes = torch.zeros(2, d, dtype=torch.float64)
    modes[:, 0] = torch.tensor([line.peak(-reach, 0), line.peak(0, reach)])
    right = line.above(0.0)
    return Target(
        name="double_well", dim=d, log_prob=log_prob, gradient=gradient,
        log_z=line.log_z + (d - 1) * HALF_LOG_TWO_PI, mean=mean, variance=variance,
        membership=lambda x: torch.stack([x[..., 0] < 0, x[..., 0] >= 0], -1).to(x),
        shares=torch.tensor([1 - right, right], dtype=torch.float64), members=("left", "right"), modes=modes, draw=draw,
        centre=mean, scale=variance.sqrt(),
    )  # fmt: skip


@named
def many_well(dim: int = 32) -> Target:
    """dim / 2 independent copies of

        log u(x, y) = -x^4 + 6 x^2 + x / 2 - y^2 / 2,

    x and y being the coordinates 2k - 1 and 2k (Noe et al. 2019; Midgley et al. 2023). Each x has wells at -1.711 and
    1.753, the right one with mass .84431: a sampler that gives all 2^(dim / 2) modes the same mass is wrong. log Z =
    164.69568 for dim = 32. `shares` are the masses of x > 0, one for each copy.
    """
    d = whole("many_well", "dim", dim, 2)
    if d % 2:
        raise UsageError(f"many_well: dim must be even, got {d}; allowed: {d - 1}, {d + 1}")

    def first(v: Tensor) -> Tensor:
        return -v.pow(4) + 6 * v.square() + v / 2

    def log_prob(x: Tensor) -> Tensor:
        return first(x[..., ::2]).sum(-1) - x[..., 1::2].square().sum(-1) / 2

    def gradient(x: Tensor) -> Tensor:
        v = x[..., ::2]
        return torch.stack([-4 * v.pow(3) + 12 * v + 0.5, -x[..., 1::2]], -1).flatten(-2)

    line = Line(first, -7.0, 7.0)

    def draw(n: int, generator: torch.Generator) -> Tensor:
        y = torch.randn(n, d // 2, generator=generator, dtype=torch.float64, device=generator.device)
        return torch.stack([line.draw((n, d // 2), generator), y], -1).flatten(1)

    mean = torch.tensor([line.mean, 0.0], dtype=torch.float64).repeat(d // 2)
    variance = torch.tensor([line.variance, 1.0], dtype=torch.float64).repeat(d // 2)
    return Target(
        name="many_well", dim=d, log_prob=log_prob, gradient=gradient, log_z=d // 2 * (line.log_z + HALF_LOG_TWO_PI),
        mean=mean, variance=variance, membership=lambda x: (x[..., ::2] > 0).to(x),
        shares=torch.full((d // 2,), line.above(0.0), dtype=torch.float64),
        members=tuple(f"x{2 * k + 1} > 0" for k in range(d // 2)), draw=draw, centre=mean, scale=variance.sqrt(),
    )  # fmt: skip
