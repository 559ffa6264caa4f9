"""Free energy, relative entropy and Fisher information of a density on cells, consistent with the scheme of
`fokker_planck`.

    F(rho; beta) = beta E_rho psi + E_rho log rho = KL(rho || mu_beta) - log Z_beta
    I(rho | mu_beta) = E_rho |grad log(rho / mu_beta)|^2,   dF/dt = -(1/beta) I on the entropy clock, -I on the other

Along the scheme, continuous in time, the discrete dissipation is d KL / dt = -b sum of J (g_i - g_(i+1)) over faces,
g = log(rho / mu_beta) and J the Scharfetter-Gummel flux: `fisher_information` is that sum, so the identity holds
exactly in space, and what is left is the error of steps in time (Jordan, Kinderlehrer and Otto 1998 for the flow).
"""

import torch
from jaxtyping import Float
from torch import Tensor

from ganneal.diffusion.fokker_planck import Box, bernoulli, log_partition, normalised
from ganneal.errors import UsageError

TINY = 1e-300
"""Below this a cell counts as this: rho log rho is 0 there to any precision."""


def free_energy(rho: Float[Tensor, "*cells"], psi: Float[Tensor, "*cells"], box: Box, beta: float = 1.0) -> float:
    """F(rho; beta) = beta E_rho psi + E_rho log rho; its least value is -log Z_beta, at mu_beta."""
    rho = normalised(rho, box)
    return float((rho * (beta * psi.double() + rho.clamp_min(TINY).log())).sum()) * box.volume


def relative_entropy(rho: Float[Tensor, "*cells"], psi: Float[Tensor, "*cells"], box: Box, beta: float = 1.0) -> float:
    """KL(rho || mu_beta) = F(rho; beta) + log Z_beta >= 0."""
    rho = normalised(rho, box)
    return float((rho * _log_ratio(rho, psi, box, beta)).sum()) * box.volume


def fisher_information(
    rho: Float[Tensor, "*cells"], psi: Float[Tensor, "*cells"], box: Box, beta: float = 1.0
) -> float:
    """I(rho | mu_beta) = E_rho |grad log(rho / mu_beta)|^2, as the dissipation of the scheme."""
    rho = normalised(rho, box)
    ratio, total = _log_ratio(rho, psi, box, beta), 0.0
    for axis, width in enumerate(box.widths):
        step = beta * psi.double().diff(dim=axis)
        n = box.cells[axis] - 1
        out, back = (torch.from_numpy(bernoulli(s.numpy())) for s in (step, -step))
        flux = out * rho.narrow(axis, 0, n) - back * rho.narrow(axis, 1, n)
        total -= float((flux * ratio.diff(dim=axis)).sum()) / width**2
    return total * box.volume


def moments(rho: Float[Tensor, "*cells"], box: Box) -> tuple[Float[Tensor, " d"], Float[Tensor, " d"]]:
    """Mean and variance of each coordinate."""
    mass = (normalised(rho, box) * box.volume).flatten()[:, None]
    mean = (mass * box.centres).sum(0)
    return mean, (mass * (box.centres - mean).square()).sum(0)


def cumulated(rho: Float[Tensor, " n"], box: Box, x: Float[Tensor, " m"]) -> Float[Tensor, " m"]:
    """Distribution function in one dimension, rho constant on each cell.

    Raises `UsageError` on a box of two dimensions.
    """
    if len(box.cells) != 1:
        raise UsageError(f"distribution function: got a box of {len(box.cells)} dimensions; allowed: 1")
    steps = torch.cat([torch.zeros(1, dtype=torch.float64), normalised(rho, box).cumsum(0) * box.volume])
    place = ((x.double() - box.low[0]) / box.widths[0]).clamp(0, box.cells[0])
    left = place.floor().long().clamp(max=box.cells[0] - 1)
    return steps[left] + (place - left) * (steps[left + 1] - steps[left])


def kolmogorov_distance(samples: Float[Tensor, " m"], rho: Float[Tensor, " n"], box: Box) -> float:
    """sup |F_samples - F_rho| in one dimension. For samples of rho it exceeds c with chance below 2 exp(-2 m c^2)."""
    x = samples.double().flatten().sort().values
    exact = cumulated(rho, box, x)
    ranks = torch.arange(len(x) + 1, dtype=torch.float64) / len(x)
    return float(torch.maximum((ranks[1:] - exact).abs().max(), (ranks[:-1] - exact).abs().max()))


def _log_ratio(rho: Tensor, psi: Tensor, box: Box, beta: float) -> Tensor:
    return rho.clamp_min(TINY).log() + beta * psi.double() + log_partition(psi, box, beta)
