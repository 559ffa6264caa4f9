"""Penalties and constraints on the critic."""

from ganneal.parts import Registry
from ganneal.penalties.input_gradient import InputGradientPenalty, gp, r1, r1r2, r2, sgp
from ganneal.penalties.lipschitz import Clip, Spectral, clip, spectral

Penalty = InputGradientPenalty | Spectral | Clip

PENALTIES: Registry[Penalty] = Registry("penalty", {f.__name__: f for f in (r1, r2, r1r2, gp, sgp, spectral, clip)})

__all__ = [
    "PENALTIES",
    "Clip",
    "InputGradientPenalty",
    "Penalty",
    "Spectral",
    "clip",
    "gp",
    "r1",
    "r1r2",
    "r2",
    "sgp",
    "spectral",
]
