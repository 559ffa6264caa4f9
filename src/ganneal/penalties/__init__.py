"""Penalties and constraints: on the critic, on the generator, and on the field of their game."""

from typing import Protocol, runtime_checkable

from ganneal.parts import Registry
from ganneal.penalties.coverage import Coverage, Isometry, coverage, isometry
from ganneal.penalties.field import FieldPenalty, consensus, jare, nk
from ganneal.penalties.input_gradient import InputGradientPenalty, dragan, gp, r1, r1r2, r2, roth, sgp
from ganneal.penalties.lecam import Anchors, LeCam, anchor_loss, lecam
from ganneal.penalties.lipschitz import Clip, Spectral, clip, spectral
from ganneal.schedules import Each, Schedule


@runtime_checkable
class Weighted(Protocol):
    """A penalty with a coefficient: a schedule of its weight, applied on every k-th step with k times the weight."""

    @property
    def name(self) -> str: ...

    @property
    def weight(self) -> Schedule | Each: ...

    @property
    def every(self) -> int: ...


Constraint = Spectral | Clip
"""Penalties that act on the critic's weights, between steps."""

GeneratorPenalty = Coverage | Isometry
"""Penalties in the generator's own loss."""

Penalty = InputGradientPenalty | LeCam | GeneratorPenalty | FieldPenalty | Constraint

PENALTIES: Registry[Penalty] = Registry(
    "penalty",
    {
        f.__name__: f
        for f in (r1, r2, r1r2, gp, sgp, roth, dragan, spectral, clip, lecam, nk, jare, consensus, coverage, isometry)
    },
)

__all__ = [
    "PENALTIES",
    "Anchors",
    "Clip",
    "Constraint",
    "Coverage",
    "FieldPenalty",
    "GeneratorPenalty",
    "InputGradientPenalty",
    "Isometry",
    "LeCam",
    "Penalty",
    "Spectral",
    "Weighted",
    "anchor_loss",
    "clip",
    "consensus",
    "coverage",
    "dragan",
    "gp",
    "isometry",
    "jare",
    "lecam",
    "nk",
    "r1",
    "r1r2",
    "r2",
    "roth",
    "sgp",
    "spectral",
]
