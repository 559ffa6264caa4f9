"""Solvers that let another one make the steps, and do something with where it has been."""

from abc import abstractmethod
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor

from ganneal.game import Game
from ganneal.solvers.gradient import Alternating
from ganneal.solvers.play import Batch, Coefficients, Play, Solver, State


@dataclass(frozen=True)
class Around(Solver):
    """Another solver's steps, batches, costs and refusals; `solver` makes the steps."""

    solver: Solver = field(default_factory=Alternating)

    def plan(self, players: tuple[str, ...]) -> tuple[str, ...]:
        return self.solver.plan(players)

    def evaluations(self, players: tuple[str, ...]) -> int:
        return self.solver.evaluations(players)

    def check(self, game: Game) -> None:
        self.solver.check(game)

    def start(self, play: Play, state: State) -> dict[str, Any]:
        inner = self.solver.start(play, state)
        return {"inner": inner} if inner else {}

    def step(
        self, play: Play, state: State, batches: tuple[Batch, ...], coefficients: Coefficients
    ) -> dict[str, Tensor]:
        inside = replace(state, memory=state.memory.get("inner", {}))
        losses = self.solver.step(play, inside, batches, coefficients)
        self.after_step(play, state)
        return losses

    @abstractmethod
    def after_step(self, play: Play, state: State) -> None:
        """What follows a step of the other solver, in place."""
