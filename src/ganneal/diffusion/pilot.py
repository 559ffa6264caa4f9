"""A short annealed run that finds where a density lies: the frame in which a sampler starts."""

import math

import torch
from torch import Tensor

from ganneal.diffusion.annealed import smc
from ganneal.diffusion.gaussian_base import GaussianBase, gaussian_base
from ganneal.errors import RunError
from ganneal.targets import Frame, Target

PARTICLES = 512
START = 3.0
"""Standard deviation of the Gaussian from which the pilot starts, in the units of the user's density."""
WIDTHS = 2.0
"""Of the Gaussian around a mode, in units of its own widths."""
TOLERABLE = 300.0
"""Spread of log u over draws of the first Gaussian beyond which annealing from there costs more than a search."""
ITERATIONS = 300
OCTAVES = 60


def pilot(target: Target, generator: torch.Generator) -> tuple[Frame, int]:
    """(frame, evaluations): mean and covariance of the target, from sequential Monte Carlo with few particles.

    It starts from N(0, 3^2 I), or from a Gaussian around a mode where log u varies by hundreds of nats over that one
    (mass far away, or on another scale). Only a unit of length is taken from it: an error of a factor in the covariance
    costs training time, not exactness. Modes that neither start sees are missed.
    Raises `RunError` where the density gives weights that are not finite.
    """
    base, spent = _start(target, generator)
    run = smc(target, base, PARTICLES, generator, share=0.7, moves=3, islands=2)
    x, weights = run.particles.x.double(), run.particles.weights[:, None]
    mean = (weights * x).sum(0)
    covariance = (weights * (x - mean)).mT @ (x - mean)
    shrink = min(0.5, 2 * target.dim / max(run.ess * PARTICLES, 1.0))
    mixed = (1 - shrink) * covariance + shrink * torch.diag(covariance.diagonal())
    factor, failed = torch.linalg.cholesky_ex(mixed)
    if bool(failed):
        raise RunError(f"{target.name}: the pilot run collapsed; rescale its coordinates to widths of about 1")
    return Frame(mean, factor), run.evaluations + spent


def _start(target: Target, generator: torch.Generator) -> tuple[GaussianBase, int]:
    zero, one = torch.zeros(target.dim, dtype=torch.float64), torch.ones(target.dim, dtype=torch.float64)
    centre = zero if target.centre is None else target.centre.double()
    scale = one if target.scale is None else target.scale.double()
    wide = gaussian_base(centre, START * scale)
    x = wide.draw(PARTICLES, generator)
    value = target.value_and_score(x)[0].double()
    fine = value.isfinite()
    if int(fine.sum()) > 1 and float(value[fine].quantile(0.75) - value[fine].quantile(0.25)) < TOLERABLE:
        return wide, PARTICLES
    best = x[value.nan_to_num(-math.inf, -math.inf, -math.inf).argmax()]
    mode, climbed = _climb(target, best)
    widths, measured = _widths(target, mode)
    return gaussian_base(mode, WIDTHS * widths), PARTICLES + climbed + measured


def _climb(target: Target, x: Tensor) -> tuple[Tensor, int]:
    """A mode near x by quasi-Newton steps (L-BFGS with strong Wolfe conditions), and the evaluations it took."""
    place, spent = x.clone().requires_grad_(), [0]
    optimizer = torch.optim.LBFGS([place], max_iter=ITERATIONS, history_size=20, line_search_fn="strong_wolfe")

    def closure() -> float:
        spent[0] += 1
        value, score = target.value_and_score(place.detach()[None])
        place.grad = -score[0].double()
        return -float(value[0])

    optimizer.step(closure)
    found = place.detach()
    return (found if bool(found.isfinite().all()) else x), spent[0]


def _widths(target: Target, mode: Tensor) -> tuple[Tensor, int]:
    """For each coordinate the distance from the mode at which log u has fallen by 1/2 (a standard deviation, if it is
    Gaussian and the other coordinates stand still), by bisection over sixty octaves."""
    d = target.dim
    top = float(target.log_prob(mode[None])[0])
    low, high = torch.full((2, d), OCTAVES / 2, dtype=torch.float64) * torch.tensor([[-1.0], [1.0]])
    eye, spent = torch.eye(d, dtype=torch.float64), 1
    for _ in range(OCTAVES // 2):
        middle = (low + high) / 2
        steps = eye * middle.exp2()[:, None]
        fall = top - torch.minimum(target.log_prob(mode + steps), target.log_prob(mode - steps)).double()
        spent += 2 * d
        near = ~(fall > 0.5)
        low, high = torch.where(near, middle, low), torch.where(near, high, middle)
    return ((low + high) / 2).exp2(), spent
