"""A short annealed run that finds where a density lies: the frame in which a sampler starts."""

import torch

from ganneal.diffusion.annealed import smc
from ganneal.diffusion.gaussian_base import gaussian_base
from ganneal.targets import Frame, Target

PARTICLES = 512
START = 3.0
"""Standard deviation of the Gaussian from which the pilot starts, in the units of the user's density."""


def pilot(target: Target, generator: torch.Generator) -> tuple[Frame, int]:
    """(frame, evaluations): mean and covariance of the target, from sequential Monte Carlo with few particles.

    Only a unit of length is taken from it: an error of a factor in the covariance costs training time, not exactness.
    Raises `RunError` where the density gives weights that are not finite.
    """
    scale = torch.ones(target.dim, dtype=torch.float64) if target.scale is None else target.scale.double()
    centre = torch.zeros(target.dim, dtype=torch.float64) if target.centre is None else target.centre.double()
    run = smc(target, gaussian_base(centre, START * scale), PARTICLES, generator, share=0.7, moves=3, islands=2)
    x, weights = run.particles.x.double(), run.particles.weights[:, None]
    mean = (weights * x).sum(0)
    covariance = (weights * (x - mean)).mT @ (x - mean)
    shrink = min(0.5, 2 * target.dim / max(run.ess * PARTICLES, 1.0))
    mixed = (1 - shrink) * covariance + shrink * torch.diag(covariance.diagonal())
    return Frame(mean, torch.linalg.cholesky(mixed + 1e-12 * mixed.diagonal().max() * torch.eye(target.dim))), (
        run.evaluations
    )
