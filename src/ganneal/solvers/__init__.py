"""Solvers: how the players' losses become steps."""

from ganneal.parts import Registry
from ganneal.solvers.gradient import Alternating, Simultaneous, alternating, simultaneous
from ganneal.solvers.optimizers import OPTIMIZERS, SGD, Adam, Optimizer, RMSprop
from ganneal.solvers.play import Play, Solver, State

SOLVERS: Registry[Solver] = Registry("solver", {"alternating": alternating, "simultaneous": simultaneous})

__all__ = [
    "OPTIMIZERS",
    "SGD",
    "SOLVERS",
    "Adam",
    "Alternating",
    "Optimizer",
    "Play",
    "RMSprop",
    "Simultaneous",
    "Solver",
    "State",
]
