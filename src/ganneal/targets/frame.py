"""The coordinates in which a sampler works: x = centre + factor y, so that y is about standard normal."""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ganneal.errors import UsageError
from ganneal.targets.target import Target

FAR = 1000.0
"""Widths between the centre and 0 beyond which positions are worked out in float64."""


@dataclass(frozen=True, eq=False)
class Frame:
    """An affine change of coordinates: centre [d], factor [d, d] lower triangular with a positive diagonal, float64.

    log_det    log |det factor|: a density of x is divided by this factor's exponential to become one of x from one of y
    far        whether positions need more digits than float32 has: the centre is many widths away from 0
    Both are numbers made once, since a compiled step cannot read one out of a tensor.
    """

    centre: Tensor
    factor: Tensor
    log_det: float = field(init=False)
    far: bool = field(init=False)

    def __post_init__(self) -> None:
        widths = self.factor.diagonal()
        object.__setattr__(self, "log_det", float(widths.log().sum()))
        object.__setattr__(self, "far", bool((self.centre.abs() > FAR * widths).any()))

    def outward(self, y: Tensor) -> Tensor:
        """The target's coordinates x [b, d] of y [b, d]."""
        return self.centre.to(y) + y @ self.factor.to(y).mT

    def inward(self, x: Tensor) -> Tensor:
        """The frame's coordinates y [b, d] of x [b, d]."""
        return torch.linalg.solve_triangular(self.factor.to(x), (x - self.centre.to(x)).mT, upper=False).mT


def frame_of(target: Target) -> Frame:
    """The frame that a target declares. Raises `UsageError` if it declares none."""
    if target.centre is None or target.scale is None:
        raise UsageError(f"{target.name}: declares no centre and scale; find them by a pilot run")
    return Frame(target.centre.double(), torch.diag(target.scale.double()))


@dataclass(frozen=True, eq=False)
class Framed:
    """A target seen from a frame: log u(x(y)) + log |dx/dy|, with the same log Z. Calls a black box once for a whole
    population."""

    target: Target
    frame: Frame

    def value_and_score(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """log density [b] and its gradient [b, d] in the frame's coordinates, both constants."""
        x = self.frame.outward(y.detach().double() if self.frame.far else y.detach())
        value, score = _BlackBox.apply(x, self.target) if self.target.opaque else self.target.value_and_score(x)
        return value.to(y) + self.frame.log_det, score.to(y) @ self.frame.factor.to(y)


class _BlackBox(torch.autograd.Function):
    """A function of unknown inside: one call on all rows, also under vmap; what comes out is constant."""

    @staticmethod
    def forward(x: Tensor, target: Target) -> tuple[Tensor, Tensor]:
        return target.value_and_score(x)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.mark_non_differentiable(*output)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, None]:
        return None, None

    @staticmethod
    def vmap(info: Any, in_dims: Any, x: Tensor, target: Target) -> Any:
        x = x.movedim(in_dims[0], 0)
        value, score = target.value_and_score(x.reshape(-1, x.shape[-1]))
        return (value.reshape(x.shape[:-1]), score.reshape(x.shape)), (0, 0)
