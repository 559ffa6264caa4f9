"""Clusters of particles with pair energies, in coordinates without the centre of mass.

Positions X [n, k] of n particles with sum_i X_i = 0 are X = H' Y for coordinates Y [n - 1, k], with H the n - 1
orthonormal rows of Helmert's matrix, which are orthogonal to (1, ..., 1). The density is taken with respect to Lebesgue
measure of Y, so log Z is that of the zero-centre subspace. `embed` returns X, `coordinates` takes positions to Y.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from ganneal.errors import UsageError
from ganneal.targets.arguments import named, positive
from ganneal.targets.target import Target

CORE = 0.4


def helmert(n: int) -> Tensor:
    """n - 1 orthonormal rows [n - 1, n], float64, each of them with sum 0."""
    rows = torch.zeros(n - 1, n, dtype=torch.float64)
    for i in range(1, n):
        rows[i - 1, :i] = (i * (i + 1)) ** -0.5
        rows[i - 1, i] = -i * (i * (i + 1)) ** -0.5
    return rows


def coordinates(positions: Tensor, particles: int) -> Tensor:
    """Positions [b, n k] or [b, n, k] -> coordinates [b, (n - 1) k] of the subspace with the centre of mass at 0.

    Raises `UsageError` where the number of columns is not a multiple of the number of particles.
    """
    flat = positions.reshape(len(positions), -1)
    if flat.shape[1] % particles:
        raise UsageError(f"positions: got {flat.shape[1]} columns; allowed: a multiple of {particles} particles")
    return (helmert(particles).to(flat) @ flat.reshape(len(flat), particles, -1)).flatten(1)


@named
def dw4() -> Target:
    """Four particles in the plane, each pair once, with the energy of distance r

        0.9 (r - 4)^4 - 4 (r - 4)^2,

    wells at r = 4 -+ 1.4907 of depth 4.444 (Koehler, Klein and Noe 2020). Six dimensions.
    """

    def pair(squared: Tensor) -> Tensor:
        away = (squared + 1e-12).sqrt() - 4
        return 0.9 * away.pow(4) - 4 * away.square()

    return _cluster("dw4", 4, 2, pair, 0.0, 2.1)


@named
def lj13(strength: float = 1.0, trap: float = 1.0) -> Target:
    """Thirteen particles in space with the Lennard-Jones energy r^-12 - 2 r^-6, and a harmonic trap:

        -log u = strength sum_{i != j} (r_ij^-12 - 2 r_ij^-6) + trap / 2 sum_i |X_i|^2,   sum_i X_i = 0

    The sum is over ordered pairs: each pair counts twice, as in the data of Klein, Kraemer and Noe (2023) and of iDEM;
    older sets count each once, which is strength = 1/2. Thirty-six dimensions.

    Below r = 0.4 the pair energy goes on along its tangent, so that values and forces stay finite; the density there is
    below e^-50000 of its maximum either way.
    """
    weight, spring = positive("lj13", "strength", strength), positive("lj13", "trap", trap)
    height, slope = CORE**-12 - 2 * CORE**-6, -12 * (CORE**-13 - CORE**-7)

    def pair(squared: Tensor) -> Tensor:
        outside = squared.clamp(min=CORE**2).pow(-3)
        inside = height + slope * ((squared + 1e-12).sqrt() - CORE)
        return 2 * weight * torch.where(squared < CORE**2, inside, outside * (outside - 2))

    return _cluster("lj13", 13, 3, pair, spring, 0.75)


def _cluster(name: str, n: int, k: int, pair: Callable[[Tensor], Tensor], trap: float, scale: float) -> Target:
    """From the energy of an unordered pair as a function of its squared distance."""
    basis = helmert(n)
    first, second = torch.triu_indices(n, n, 1)
    # differences of pairs straight from the coordinates
    differences = basis.mT[first] - basis.mT[second]

    def log_prob(x: Tensor) -> Tensor:
        y = x.unflatten(-1, (n - 1, k))
        squared = (differences.to(x) @ y).square().sum(-1)
        return -pair(squared).sum(-1) - trap / 2 * x.square().sum(-1)

    def embed(x: Tensor) -> Tensor:
        return (basis.mT.to(x) @ x.unflatten(-1, (n - 1, k))).flatten(-2)

    d = (n - 1) * k
    zero = torch.zeros(d, dtype=torch.float64)
    return Target(
        name=name, dim=d, log_prob=log_prob, mean=zero, embed=embed, centre=zero,
        scale=torch.full((d,), scale, dtype=torch.float64),
    )  # fmt: skip
