"""Games of a quadratic critic: a width, or a whole Gaussian, to be learned (Nagarajan and Kolter 2017).

lq_uniform   D = w x^2, data U(-1, 1), model U(-a, a). The Wasserstein game turns for ever around (0, 1):
               w' = (1 - a^2)/3,  a' = 2 w a/3,  H = w^2 + a^2/2 - ln a constant,  eigenvalues +-2i/3
               NK: -4 eta/9 +- (2/3) sqrt(4 eta^2/9 - 1), critical at eta = 3/2
               SGP: -2 rho A2 +- sqrt(4 rho^2 A2^2 - 4/9), A2 the second moment of the penalty's measure
lq_wgan      D = x'Wx + w.x, data N(m, s^2 I), model A z + b:
               W' = S + mm' - AA' - bb', w' = m - b, A' = 2WA, b' = 2Wb + w; frequencies 2s and 1, and with m = 0 and
               b = w = 0 the constant H = tr W^2 + tr AA'/2 - (s^2/2) log det AA'
               From two dimensions on there are neutral directions: rotations of A, and the antisymmetric part of W
"""

from functools import partial

import torch
from torch import Tensor

from ganneal.dynamics.games.networks import AffineGenerator, PowerCritic, QuadraticCritic, Stretch
from ganneal.dynamics.games.quadrature import F64, normal_nodes, several, uniform_nodes
from ganneal.dynamics.games.small import Blueprint, Law
from ganneal.errors import UsageError


def lq_uniform() -> Blueprint:
    """Learn the width of U(-1, 1) with a critic w x^2."""
    u = uniform_nodes()[:, None]
    third = torch.full((1, 1), 1 / 3, dtype=F64)
    return Blueprint(
        name="lq_uniform",
        critic=PowerCritic,
        generator=Stretch,
        data=Law(torch.zeros(1, dtype=F64), third),
        rules={"real": u, "z": u, "noise": normal_nodes()[:, None]},
        features=lambda x: x.square(),
        slopes=lambda law: 4 * law.second,
        response=torch.full((1, 1), 2 / 3, dtype=F64),
        offset=torch.tensor([0.5, 0.0], dtype=F64),
        names=("w", "a"),
        invariant=lambda v: v[..., 0].square() + v[..., 1].square() / 2 - v[..., 1].log(),
    )


def lq_wgan(dim: int = 1, std: float = 1.0, mean: float = 0.0) -> Blueprint:
    """Learn mean and covariance of N(mean 1, std^2 I) with a quadratic critic; dim is 1 or 2."""
    if dim not in (1, 2) or not std > 0:
        raise UsageError(f"lq_wgan: dim must be 1 or 2 and std above 0, got dim={dim}, std={std}")
    z, centre = several(normal_nodes(), dim), torch.full((dim,), float(mean), dtype=F64)
    root = std * torch.eye(dim, dtype=F64)
    offset = torch.zeros(2 * (dim * dim + dim), dtype=F64)
    offset[: dim * dim] = 0.3 * torch.eye(dim, dtype=F64).reshape(-1)
    entries = [f"{i + 1}{j + 1}" for i in range(dim) for j in range(dim)] if dim > 1 else [""]
    places = [str(i + 1) for i in range(dim)] if dim > 1 else [""]
    sides = (("W", "w"), ("A", "b"))
    return Blueprint(
        name="lq_wgan",
        critic=partial(QuadraticCritic, dim),
        generator=partial(AffineGenerator, root, centre),
        data=Law(centre, torch.outer(centre, centre) + root @ root.T),
        rules={"real": centre + z @ root.T, "z": z, "noise": z},
        features=lambda x: torch.cat([(x[:, :, None] * x[:, None, :]).flatten(1), x], 1),
        slopes=_slopes,
        response=_response(root, centre),
        offset=offset,
        names=tuple(n for big, small in sides for n in [*(big + k for k in entries), *(small + k for k in places)]),
        invariant=partial(_invariant, dim, std) if mean == 0 else None,
    )


def _response(root: Tensor, centre: Tensor) -> Tensor:
    """d/d(A, b) of E[x x'] = AA' + bb' and E[x] = b."""
    d = len(centre)

    def moments(theta: Tensor) -> Tensor:
        a, b = theta[: d * d].reshape(d, d), theta[d * d :]
        return torch.cat([(a @ a.T + torch.outer(b, b)).reshape(-1), b])

    found: Tensor = torch.func.jacrev(moments)(torch.cat([root.reshape(-1), centre]))
    return found


def _slopes(law: Law) -> Tensor:
    """E[(d_x f)(d_x f)'] for f = (x_i x_j, x_i): sums over k of (d_ki x_j + x_i d_kj)(d_kl x_m + x_l d_km)."""
    m, s, d = law.mean, law.second, len(law.mean)
    eye = torch.eye(d, dtype=F64)
    pairs = [("il,jm->ijlm"), ("im,jl->ijlm"), ("jl,im->ijlm"), ("jm,il->ijlm")]
    top = sum(torch.einsum(p, eye, s) for p in pairs)
    side = torch.einsum("il,j->ijl", eye, m) + torch.einsum("jl,i->ijl", eye, m)
    assert isinstance(top, Tensor)
    top, side = top.reshape(d * d, d * d), side.reshape(d * d, d)
    return torch.cat([torch.cat([top, side], 1), torch.cat([side.T, eye], 1)])


def _invariant(dim: int, std: float, v: Tensor) -> Tensor:
    """tr W^2 + tr AA'/2 - (s^2/2) log det AA', for b = w = 0 and symmetric W."""
    critic, generator = v.split([dim * dim + dim] * 2, dim=-1)
    w, a = (part[..., : dim * dim].unflatten(-1, (dim, dim)) for part in (critic, generator))
    volume = torch.linalg.slogdet(a)[1]
    return (w @ w).diagonal(dim1=-2, dim2=-1).sum(-1) + a.square().sum((-2, -1)) / 2 - std**2 * volume
