"""Penalties and constraints on the critic."""

from typing import Protocol, runtime_checkable

from ganneal.parts import Registry
from ganneal.penalties.input_gradient import InputGradientPenalty, gp, r1, r1r2, r2, sgp
from ganneal.penalties.lipschitz import Clip, Spectral, clip, spectral
from ganneal.schedules import Each, Schedule


@runtime_checkable
class Weighted(Protocol):
    """A penalty with a coefficient: a schedule of its weight, applied on every k-th step with k times the weight."""

    name: str
    weight: Schedule | Each
    every: int


Penalty = InputGradientPenalty | Spectral | Clip

PENALTIES: Registry[Penalty] = Registry("penalty", {f.__name__: f for f in (r1, r2, r1r2, gp, sgp, spectral, clip)})

__all__ = [
    "PENALTIES",
    "Clip",
    "InputGradientPenalty",
    "Penalty",
    "Spectral",
    "Weighted",
    "clip",
    "gp",
    "r1",
    "r1r2",
    "r2",
    "sgp",
    "spectral",
]
