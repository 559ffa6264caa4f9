"""Games that are solved exactly, each with its equilibrium, its Jacobian in closed form and what it conserves.

| name | parameters | what it shows |
|---|---|---|
| `dirac` | 2 | rotation, and what every penalty does to it |
| `bilinear(frequencies=[1, .5])` | 2 per frequency | what solvers do to rotations |
| `lq_uniform` | 2 | centres and spirals of a nonlinear game |
| `lq_wgan(dim=, std=, mean=)` | 4 or 12 | mean and covariance of a Gaussian; neutral directions |
| `affine(std=, mean=, dim=)` | 2 per dimension | one slow mode beside a rotation |
| `rock_paper_scissors` | 6 | a matrix game between softmax strategies |
"""

from collections.abc import Sequence
from typing import Any, Protocol

from ganneal.dynamics.games.linear import RESPONSES, Linear, linear
from ganneal.dynamics.games.point import affine, bilinear, dirac
from ganneal.dynamics.games.quadratic import lq_uniform, lq_wgan
from ganneal.dynamics.games.rock_paper_scissors import rock_paper_scissors
from ganneal.dynamics.games.small import Blueprint, SmallGame
from ganneal.parts import Registry


class Buildable(Protocol):
    """What the laboratory asks of a game."""

    @property
    def name(self) -> str: ...

    def build(
        self, objective: Any = None, penalties: Sequence[Any] = (), noise: Any = 0.0, progress: float = 1.0
    ) -> SmallGame:
        """The game with those parts, at its equilibrium."""
        ...


GAMES: Registry[Buildable] = Registry(
    "game", {f.__name__: f for f in (dirac, bilinear, lq_uniform, lq_wgan, affine, rock_paper_scissors)}
)

__all__ = ["GAMES", "RESPONSES", "Blueprint", "Linear", "SmallGame", "linear"]
