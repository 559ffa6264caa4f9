"""Solvers: how the players' losses become steps."""

from ganneal.parts import Registry
from ganneal.solvers.averaging import Averaging, averaging
from ganneal.solvers.chekhov import Chekhov, chekhov
from ganneal.solvers.competitive import Competitive, competitive
from ganneal.solvers.extragradient import Extragradient, extragradient
from ganneal.solvers.gradient import Alternating, Simultaneous, alternating, simultaneous
from ganneal.solvers.lookahead import Lookahead, lookahead
from ganneal.solvers.optimistic import Optimistic, optimistic
from ganneal.solvers.optimizers import OPTIMIZERS, SGD, Adam, Optimizer, RMSprop
from ganneal.solvers.play import Play, Solver, State
from ganneal.solvers.prediction import Prediction, prediction
from ganneal.solvers.symplectic import Symplectic, symplectic
from ganneal.solvers.unrolled import Unrolled, unrolled

SOLVERS: Registry[Solver] = Registry(
    "solver",
    {
        f.__name__: f
        for f in (
            alternating,
            simultaneous,
            extragradient,
            optimistic,
            prediction,
            unrolled,
            lookahead,
            averaging,
            symplectic,
            competitive,
            chekhov,
        )
    },
)

__all__ = [
    "OPTIMIZERS",
    "SGD",
    "SOLVERS",
    "Adam",
    "Alternating",
    "Averaging",
    "Chekhov",
    "Competitive",
    "Extragradient",
    "Lookahead",
    "Optimistic",
    "Optimizer",
    "Play",
    "Prediction",
    "RMSprop",
    "Simultaneous",
    "Solver",
    "State",
    "Symplectic",
    "Unrolled",
]
