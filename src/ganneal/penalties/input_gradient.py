"""Penalties on the critic's input gradient: E_m f(|grad_x y|^2) at points drawn from a measure m.

One forward pass with `ganneal.game.input_gradient` gives values and gradients, so a penalty at data or model points
shares the critic's own pass. Cost: one backward pass through the critic and its derivative, about twice a plain critic
step; with `every=k` the penalty is applied on each k-th step with k times the weight (Karras et al. 2020, "lazy
regularisation").
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ganneal.errors import UsageError, nearest
from ganneal.game import Draw
from ganneal.parts import Part, Range
from ganneal.schedules import Each, Schedule, schedule

Weight = float | Range | Part
"""A number, `a->b`, or a schedule that is not built yet."""
MEASURES = ("data", "model", "interpolate", "midpoint", "anchor")


@dataclass(frozen=True)
class InputGradientPenalty:
    """weight * sum over `measures` of E_m f(|grad_x y|^2).

    weight    the coefficient, a schedule (its factor 1/2, where there is one, is in f)
    norm      None: f(s) = s/2, zero-centred and smooth; a number c: f(s) = (sqrt(s) - c)^2
    every     applied on every k-th step, k times as strongly
    anchor    the fixed point of the anchor measure: a number for all coordinates, or one number per coordinate
    """

    name: str
    measures: tuple[str, ...]
    weight: Schedule | Each
    norm: float | None = None
    every: int = 1
    anchor: float | tuple[float, ...] = 0.0

    def draws(self) -> dict[str, Draw]:
        """Per-example mixing weights, for the measures that mix."""
        return {"penalty.alpha": Draw("uniform")} if {"interpolate", "anchor"} & {*self.measures} else {}

    def points(self, measure: str, real: Tensor, fake: Tensor, noise: Mapping[str, Tensor]) -> Tensor:
        """Points of a mixing measure, [B, *shape]: a x_data + (1-a) x_model, their midpoint, or a anchor + (1-a)
        x_model."""
        if measure == "midpoint":
            return (real + fake) / 2
        alpha = noise["penalty.alpha"].reshape(-1, *[1] * (real.dim() - 1))
        if measure == "interpolate":
            return alpha * real + (1 - alpha) * fake
        anchor = torch.as_tensor(self.anchor, dtype=fake.dtype, device=fake.device)
        return alpha * anchor + (1 - alpha) * fake

    def of(self, squared_norms: Tensor) -> Tensor:
        """f(|grad|^2), mean over the batch."""
        if self.norm is None:
            return squared_norms.mean() / 2
        # The norm has no gradient at 0; the offset keeps it finite there and changes no value above rounding.
        return ((squared_norms + 1e-16).sqrt() - self.norm).square().mean()


def _penalty(name: str, measures: tuple[str, ...], weight: Any, every: Any, **more: Any) -> InputGradientPenalty:
    if not isinstance(every, int) or isinstance(every, bool) or every < 1:
        raise UsageError(f"{name}: every must be a whole number of at least 1, got {every!r}")
    values = schedule(weight)
    for member in values.members if isinstance(values, Each) else (values,):
        if low := [member(t) for t in member.knots if member(t) < 0]:
            raise UsageError(f"{name}: the weight must not be negative, got {low[0]:g}")
    return InputGradientPenalty(name, measures, values, every=every, **more)


def r1(gamma: Weight = 1.0, every: int = 1) -> InputGradientPenalty:
    """R1: (gamma/2) E_mu |grad y|^2 (Mescheder et al. 2018, eq. 9; Roth et al. 2017). Damps the rotation of the game
    around its equilibrium and makes it locally convergent; costs a double backward on the data batch."""
    return _penalty("r1", ("data",), gamma, every)


def r2(gamma: Weight = 1.0, every: int = 1) -> InputGradientPenalty:
    """R2: (gamma/2) E_rho |grad y|^2 (Mescheder et al. 2018, eq. 10). As R1, at the model's samples."""
    return _penalty("r2", ("model",), gamma, every)


def r1r2(gamma: Weight = 1.0, every: int = 1) -> InputGradientPenalty:
    """R1 + R2 with one weight: (gamma/2) (E_mu + E_rho) |grad y|^2, which shares the critic's own forward pass.

    It flattens the critic, so that a regulariser weighs more beside it: near N(0, 1) the critic's response on Hermite
    order k shrinks by 1/(1 + 4 k gamma), and its largest pull on a far sample is .71, .49, .38, .11 for gamma = .01,
    .05, .1, 1 (quadratic critics). A negative lambda_likelihood whose push |lambda s| exceeds that pull drives samples
    away: keep gamma small or bound the score (`score_clip`) when annealing."""
    return _penalty("r1r2", ("data", "model"), gamma, every)


def gp(weight: Weight = 10.0, every: int = 1) -> InputGradientPenalty:
    """WGAN-GP: weight E (|grad y| - 1)^2 at random interpolates of data and model (Gulrajani et al. 2017, eq. 3).
    Not differentiable at the equilibrium: leaves a small limit cycle where `sgp` converges."""
    return _penalty("gp", ("interpolate",), weight, every, norm=1.0)


def sgp(
    rho: Weight = 1.0, measure: str = "midpoint", anchor: float | list = 0.0, every: int = 1
) -> InputGradientPenalty:
    """Simple gradient penalty of the mu-WGAN: (rho/2) E_m |grad y|^2 with m one of data, model, interpolate, midpoint,
    anchor (Kim, Park, Hwang 2018, Definition 4). Note rho = 2 LAMBDA of WGAN-GP code. Locally stable for every listed
    measure.

    Raises `UsageError` for an unknown measure.
    """
    if measure not in MEASURES:
        raise UsageError(f"sgp: unknown measure '{measure}': {nearest(str(measure), MEASURES)}")
    return _penalty("sgp", (measure,), rho, every, anchor=tuple(anchor) if isinstance(anchor, list) else anchor)
