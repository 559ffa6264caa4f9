"""Penalties on the generator: it is to put mass where data are, and to keep distances of the latent space."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import softplus

from ganneal.errors import UsageError
from ganneal.objectives import Objective
from ganneal.parts import Part, Range
from ganneal.penalties.input_gradient import Weight, weight_of, whole
from ganneal.schedules import Each, Schedule

CERTAIN = math.log(1e6 - 1)
"""The logit at which the critic's probability is 1 - 1e-6, where the multiplier's step is held."""
TINY = 1e-16


def dual_slope(y: Tensor, objective: Objective) -> Tensor:
    """f1(D), the constraint of the critic's maximisation, whose multiplier is the model's density: log(2 (1 - D)) at D
    = sigmoid(y), or -y for a witness."""
    if objective.optimum == "witness":
        return -y
    return math.log(2) - softplus(y.clamp(max=CERTAIN))


def kernel_coverage(x: Tensor, at: Tensor, bandwidth: Tensor) -> Tensor:
    """p_hat(a_i) = mean_j exp(-|x_j - a_i|^2 / s^2), [A], of samples x [B, ...] at points [A, ...]."""
    x, at = x.flatten(1), at.flatten(1)
    squares = at.square().sum(1, keepdim=True) + x.square().sum(1) - 2 * at @ x.mT
    return torch.exp(-squares.clamp(min=0) / bandwidth.square()).mean(1)


@dataclass(frozen=True)
class Coverage:
    """weight * mean_i ( p~(x_i) - p_hat(x_i) )^2 at data x_i, with p_hat the kernel coverage of the samples and
    p~ = p_hat - alpha f1(D(x_i)) held fixed: one step of the multiplier that the model's density is.

    bandwidth   the kernel's s, a schedule
    """

    weight: Schedule | Each
    bandwidth: Schedule | Each
    alpha: float = 0.05
    every: int = 1
    name: str = "coverage"
    reads_real: ClassVar[bool] = True
    bandwidth_name: str = field(default="coverage.bandwidth", repr=False)

    @property
    def schedules(self) -> dict[str, Schedule | Each]:
        """Coefficients beside the weight."""
        return {self.bandwidth_name: self.bandwidth}

    def term(
        self,
        x: Tensor,
        z: Tensor,
        real: Tensor,
        critic: Callable[[Tensor], Tensor],
        objective: Objective,
        coefficients: Mapping[str, Tensor],
    ) -> Tensor:
        """The penalty without its weight, 0-d, of samples x [B, *shape] and data [A, *shape]."""
        found = kernel_coverage(x, real, coefficients[self.bandwidth_name])
        step = -self.alpha * dual_slope(critic(real).to(found.dtype), objective)
        return ((found + step).detach() - found).square().mean()


@dataclass(frozen=True)
class Isometry:
    """weight * mean over pairs of ( log|G(z) - G(z')| - log(scale |z - z'|) )^2; every latent row is paired with the
    next one."""

    weight: Schedule | Each
    scale: float = 1.0
    every: int = 1
    name: str = "isometry"
    reads_real: ClassVar[bool] = False

    def term(
        self,
        x: Tensor,
        z: Tensor,
        real: Tensor,
        critic: Callable[[Tensor], Tensor],
        objective: Objective,
        coefficients: Mapping[str, Tensor],
    ) -> Tensor:
        """The penalty without its weight, 0-d, of samples x [B, *shape] made from z [B, latent]."""
        return (_log_gap(x) - _log_gap(z) - math.log(self.scale)).square().mean()


def _log_gap(x: Tensor) -> Tensor:
    """log|x_i - x_{i+1}|, [B]; finite where two agree."""
    return ((x - x.roll(1, 0)).square().flatten(1).sum(1) + TINY).log() / 2


def _positive(name: str, argument: str, value: float) -> float:
    if not value > 0:
        raise UsageError(f"{name}: {argument} must be positive, got {value:g}")
    return float(value)


def coverage(
    alpha: float = 0.05,
    bandwidth: Weight = Part("geometric", (Range(1.0, 0.1),)),  # noqa: B008
    weight: Weight = 1.0,
    every: int = 1,
) -> Coverage:
    """Coverage targets of the primal-dual subgradient GAN (Chen, Wang, Ge 2018): data on which the critic is sure
    (D > 1/2) demand more samples nearby, D < 1/2 fewer. A gradient GAN moves the samples that it has along the critic's
    slope and cannot create mass at a far mode; this can, as far as the kernel reaches: its pull fades as exp(-d^2 /
    s^2), so anneal the bandwidth from the distance of modes to their width. Costs B^2 d operations and one critic pass
    a step of the generator."""
    values = weight_of("coverage", bandwidth, "bandwidth")
    for member in values.members if isinstance(values, Each) else (values,):
        if not all(member(t) > 0 for t in member.knots):
            raise UsageError("coverage: the bandwidth must be positive throughout; try geometric(1->0.1)")
    return Coverage(
        weight_of("coverage", weight), values, _positive("coverage", "alpha", alpha), whole("coverage", "every", every)
    )


def isometry(weight: Weight = 0.1, scale: float = 1.0, every: int = 1) -> Isometry:
    """The pairwise distances of samples are those of their latent coordinates times `scale`, in logarithms (Xiao,
    Zhong, Zheng 2018, BourGAN, eq. 5, with weight .1 in the authors' code). Keeps the generator from mapping far
    latents to one place; belongs to a latent law whose distances are those of the data. Costs next to nothing."""
    return Isometry(
        weight_of("isometry", weight), _positive("isometry", "scale", scale), whole("isometry", "every", every)
    )
