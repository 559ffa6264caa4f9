"""Objectives: what critic and generator minimise. Every critic is a logit or a witness, high on data, never a
probability."""

from ganneal.objectives.log_ratio import jsd, kl, nonsaturating, nwj, rkl
from ganneal.objectives.margin import hinge, least_squares, relativistic, wasserstein
from ganneal.objectives.objective import Objective
from ganneal.parts import Registry

OBJECTIVES: Registry[Objective] = Registry(
    "objective",
    {f.__name__: f for f in (rkl, nwj, jsd, nonsaturating, kl, least_squares, hinge, wasserstein, relativistic)},
)

__all__ = [
    "OBJECTIVES",
    "Objective",
    "hinge",
    "jsd",
    "kl",
    "least_squares",
    "nonsaturating",
    "nwj",
    "relativistic",
    "rkl",
    "wasserstein",
]
