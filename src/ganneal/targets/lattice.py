"""Scalar field theory on a periodic square lattice."""

import math

import torch
from torch import Tensor

from ganneal.errors import UsageError
from ganneal.targets.arguments import named, number, whole
from ganneal.targets.target import Target


@named
def phi4(side: int = 8, mass: float = -4.0, coupling: float = 6.008) -> Target:
    """log u(phi) = -S(phi) with the action of Albergo, Kanwar and Shanahan (2019, eq. 9), L = side, m^2 = mass:

        S = sum_x [ sum_{mu = 1, 2} (phi(x + mu) - phi(x))^2 + m^2 phi(x)^2 + coupling phi(x)^4 ]

    on L x L sites with periodic boundaries; phi is flattened row by row, d = L^2. They pair m^2 = -4 with coupling
    6.975, 6.008, 5.550, 5.276, 5.113 for L = 6, 8, 10, 12, 14 so that the correlation length is L / 4. `shares` are
    those of the sign of the mean field, equal by symmetry. Without coupling (and m^2 > 0) it is a Gaussian, and log Z
    and variance are exact.
    """
    n, m, g = whole("phi4", "side", side, 2, 256), number("phi4", "mass", mass), number("phi4", "coupling", coupling)
    if g < 0 or (g == 0 and m <= 0):
        raise UsageError(f"phi4: coupling must be above 0, or 0 with mass above 0; got coupling={g:g}, mass={m:g}")

    def log_prob(x: Tensor) -> Tensor:
        field = x.unflatten(-1, (n, n))
        bonds = sum((field.roll(-1, axis) - field).square() for axis in (-1, -2))
        square = field.square()
        return -(bonds + m * square + g * square.square()).flatten(-2).sum(-1)

    def gradient(x: Tensor) -> Tensor:
        field = x.unflatten(-1, (n, n))
        around = sum(field.roll(step, axis) for step in (-1, 1) for axis in (-1, -2))
        return (2 * around - (8 + 2 * m) * field - 4 * g * field.pow(3)).flatten(-2)

    def membership(x: Tensor) -> Tensor:
        return torch.stack([x.mean(-1) < 0, x.mean(-1) >= 0], -1).to(x)

    d, log_z, variance = n * n, None, None
    if g == 0:
        wave = 4 * (torch.arange(n, dtype=torch.float64) * (math.pi / n)).sin().square()
        precision = 2 * (wave[:, None] + wave + m)
        log_z = float(((2 * math.pi) / precision).log().sum() / 2)
        variance = (1 / precision).mean().expand(d).clone()
    zero = torch.zeros(d, dtype=torch.float64)
    rough = torch.full((d,), 0.6, dtype=torch.float64) if variance is None else variance.sqrt()
    return Target(
        name="phi4", dim=d, log_prob=log_prob, gradient=gradient, log_z=log_z, mean=zero, variance=variance,
        membership=membership, shares=torch.tensor([0.5, 0.5], dtype=torch.float64), members=("negative", "positive"),
        centre=zero, scale=rough,
    )  # fmt: skip
