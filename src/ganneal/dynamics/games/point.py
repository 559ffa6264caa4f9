"""Games of a linear critic: a point that looks for a point, and Gaussians that can only move.

dirac     D = psi x, data at 0, model at theta (Mescheder, Geiger, Nowozin 2018). At (0, 0), with f1 = f'(0):
            plain +-i f1;  R1 or R2 -g/2 +- sqrt(g^2/4 - f1^2), critical at g = 2 f1;  R1 + R2 -g +- sqrt(g^2 - f1^2);
            instance noise s: s^2 f2 +- sqrt(s^4 f2^2 - f1^2);  NK -eta f1^2 +- f1 sqrt(eta^2 f1^2 - 1);
            consensus and JARE -g f1^2 +- i f1;  Roth -g/4 +- sqrt(g^2/16 - f1^2)
bilinear  several of them, x_k = w_k theta_k: eigenvalues +-i w_k f1 of the plain game
affine    data N(mu, s^2 I), model N(theta, s^2 I) (Nie and Patel 2018): P = (s^2 I + mu mu')/2 and B = I/2 for logistic
            critics, one slow mode along mu and rotation across it
"""

import math
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from ganneal.dynamics.games.networks import LinearCritic, Shift
from ganneal.dynamics.games.quadrature import F64, several
from ganneal.dynamics.games.small import Blueprint, Law
from ganneal.errors import UsageError

SIGNS = torch.tensor([-1.0, 1.0], dtype=F64)
"""Two nodes with the mean and the variance of N(0, 1): all that linear critics see."""


def _of_linear_critics(
    name: str, frequencies: Sequence[float], mean: Sequence[float], scale: float, offset: Tensor, names: tuple[str, ...]
) -> Blueprint:
    dim = len(frequencies)
    centre = torch.tensor(list(mean), dtype=F64)
    z = several(SIGNS, dim) if scale else torch.zeros(1, dim, dtype=F64)
    eye = torch.eye(dim, dtype=F64)
    return Blueprint(
        name=name,
        critic=partial(LinearCritic, dim),
        generator=partial(Shift, frequencies, (centre / torch.tensor(list(frequencies))).tolist(), scale),
        data=Law(centre, torch.outer(centre, centre) + scale**2 * eye),
        rules={"real": centre + scale * z, "z": z, "noise": several(SIGNS, dim)},
        features=lambda x: x,
        slopes=lambda law: eye,
        response=torch.diag(torch.tensor(list(frequencies), dtype=F64)),
        offset=offset,
        names=names,
        invariant=None if scale or any(mean) else partial(_energy, torch.tensor(list(frequencies), dtype=F64)),
    )


def _energy(frequencies: Tensor, w: Tensor) -> Tensor:
    """|psi|^2 + |theta|^2, which the field of the Wasserstein game leaves as it is."""
    return w.square().sum(-1)


def dirac() -> Blueprint:
    """A point at theta that looks for the point 0, and a critic psi x."""
    return _of_linear_critics(
        "dirac", (1.0,), (0.0,), 0.0, torch.tensor([0.0, 1.0], dtype=F64), ("psi", "theta")
    )  # fmt: skip


def bilinear(frequencies: list | float = 1.0) -> Blueprint:
    """min over y, max over x of sum_k w_k x_k y_k: the critic's sign, psi, turns with theta at the frequencies w_k."""
    values = [float(w) for w in (frequencies if isinstance(frequencies, list) else [frequencies])]
    if not values or not all(math.isfinite(w) and w > 0 for w in values) or len(values) > 10:
        raise UsageError(f"bilinear: frequencies must be one to ten numbers above 0, got {frequencies}")
    dim = len(values)
    offset = torch.cat([torch.zeros(dim, dtype=F64), torch.ones(dim, dtype=F64)])
    number = [""] if dim == 1 else [str(k + 1) for k in range(dim)]
    names = tuple(f"{p}{k}" for p in ("psi", "theta") for k in number)
    return _of_linear_critics("bilinear", values, (0.0,) * dim, 0.0, offset, names)


def affine(std: float = 0.7, mean: float = 2.0, dim: int = 2) -> Blueprint:
    """Data N(mu, std^2 I) with mu = (0, ..., mean), a model that can only move, and a linear critic."""
    if not 1 <= dim <= 5 or not std > 0:
        raise UsageError(f"affine: std must be above 0 and dim from 1 to 5, got std={std}, dim={dim}")
    centre = [0.0] * (dim - 1) + [mean]
    offset = torch.zeros(2 * dim, dtype=F64)
    offset[dim:] = 0.5
    names = tuple(f"{p}{k + 1}" for p in ("psi", "theta") for k in range(dim))
    return _of_linear_critics("affine", (1.0,) * dim, centre, std, offset, names)
