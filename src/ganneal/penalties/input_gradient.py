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
ROTH = Part("geometric", (Range(2.0, 0.02),))
"""The published annealing: from 2 to a hundredth of it."""
MEASURES = ("data", "model", "interpolate", "midpoint", "anchor")


@dataclass(frozen=True)
class InputGradientPenalty:
    """weight * sum over `measures` of E_m f(|grad_x y|^2).

    weight    the coefficient, a schedule (its factor 1/2, where there is one, is in f)
    norm      None: f(s) = s/2, zero-centred and smooth; a number c: f(s) = (sqrt(s) - c)^2
    doubt     every example weighs by the square of the probability that the critic, a logit, gives the other side
    scale     radius of the measure "around": data + alpha scale std u, alpha ~ U(0, 1), u ~ U(0, 1) per coordinate, and
              std over all numbers of the batch
    every     applied on every k-th step, k times as strongly
    anchor    the fixed point of the anchor measure: a number for all coordinates, or one number per coordinate
    """

    name: str
    measures: tuple[str, ...]
    weight: Schedule | Each
    norm: float | None = None
    every: int = 1
    anchor: float | tuple[float, ...] = 0.0
    doubt: bool = False
    scale: float = 0.5

    def draws(self, shape: tuple[int, ...]) -> dict[str, Draw]:
        """Per-example mixing weights for the measures that mix, and noise of the examples' shape for "around"."""
        mixes = {"interpolate", "anchor", "around"} & {*self.measures}
        found = {"penalty.alpha": Draw("uniform")} if mixes else {}
        return found | ({"penalty.around": Draw("uniform", shape)} if "around" in mixes else {})

    def points(self, measure: str, real: Tensor, fake: Tensor, noise: Mapping[str, Tensor]) -> Tensor:
        """Points of a mixing measure, [B, *shape]: a x_data + (1-a) x_model, their midpoint, a anchor + (1-a)
        x_model, or data disturbed. Where the critic judges packs there are fewer points than noise."""
        if measure == "midpoint":
            return (real + fake) / 2
        alpha = noise["penalty.alpha"][: len(real)].reshape(-1, *[1] * (real.dim() - 1))
        if measure == "interpolate":
            return alpha * real + (1 - alpha) * fake
        if measure == "around":
            u = noise["penalty.around"].reshape(-1)[: real.numel()].reshape(real.shape)
            return real + alpha * self.scale * real.std(correction=0) * u
        anchor = torch.as_tensor(self.anchor, dtype=fake.dtype, device=fake.device)
        return alpha * anchor + (1 - alpha) * fake

    def of(self, squared_norms: Tensor, y: Tensor | None = None, measure: str = "") -> Tensor:
        """f(|grad|^2) of squared norms [B] and outputs [B] at the points of a measure, mean over the batch. Raises
        `UsageError` if the penalty weighs by outputs and there are none."""
        if self.doubt:
            if y is None:
                raise UsageError(f"penalty: {self.name} weighs by a critic's logits, and this system has none: r1r2")
            squared_norms = squared_norms * torch.sigmoid(-y if measure == "data" else y).square()
        if self.norm is None:
            return squared_norms.mean() / 2
        # The norm has no gradient at 0; the offset keeps it finite there and changes no value above rounding.
        return ((squared_norms + 1e-16).sqrt() - self.norm).square().mean()


def whole(name: str, argument: str, value: Any) -> int:
    """A whole number of at least 1, or a `UsageError` that names the penalty and the argument."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise UsageError(f"{name}: {argument} must be a whole number of at least 1, got {value!r}")
    return value


def weight_of(name: str, value: Any, called: str = "weight") -> Schedule | Each:
    """The schedule of a weight, or a `UsageError` that names the penalty if it is negative anywhere."""
    values = schedule(value)
    for member in values.members if isinstance(values, Each) else (values,):
        if low := [member(t) for t in member.knots if member(t) < 0]:
            raise UsageError(f"{name}: the {called} must not be negative, got {low[0]:g}")
    return values


def _penalty(name: str, measures: tuple[str, ...], weight: Any, every: Any, **more: Any) -> InputGradientPenalty:
    whole(name, "every", every)
    return InputGradientPenalty(name, measures, weight_of(name, weight), every=every, **more)


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


def roth(gamma: Weight = ROTH, every: int = 1) -> InputGradientPenalty:
    """Regularisation of the Jensen-Shannon GAN as if data and samples carried noise of variance gamma: (gamma/2) ( E_mu
    (1 - s(y))^2 |grad y|^2 + E_rho s(y)^2 |grad y|^2 ), s the sigmoid and y the logit (Roth, Lucchi, Nowozin, Hofmann
    2017, eq. 21).

    Damps rotation by gamma/4 on D = psi x, as R1 of half the weight. By default gamma falls from 2 to .02, which trades
    the damping for sharpness: at the end it is .005. For logistic critics, best with `nonsaturating`; costs as `r1r2`.
    """
    return _penalty("roth", ("data", "model"), gamma, every, doubt=True)


def dragan(weight: Weight = 10.0, scale: float = 0.5, every: int = 1) -> InputGradientPenalty:
    """DRAGAN: weight E (|grad y| - 1)^2 around the data, at x + alpha scale std u with alpha and the coordinates of u
    from U(0, 1) and std that of the whole batch (Kodali, Abernethy, Hays, Kira 2017, algorithm 1 and the authors' code,
    whose noise is one-sided as here). Keeps the critic from sharp peaks on data; not smooth at the equilibrium, as
    `gp`. Costs a pass of its own with its double backward."""
    if not scale > 0:
        raise UsageError(f"dragan: scale must be positive, got {scale:g}")
    return _penalty("dragan", ("around",), weight, every, norm=1.0, scale=float(scale))


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
