"""Gradient descent in games: players move in turn, or all at once."""

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from ganneal.solvers.arguments import opener, whole
from ganneal.solvers.play import Batch, Coefficients, Play, Solver, State


@dataclass(frozen=True)
class Alternating(Solver):
    """Every other player n_critic times and the generator once, each against the others' newest parameters.

    One gradient evaluation per player and move. Two time scales come from the players' learning rates (Heusel et al.
    2017). On the bilinear game the radius is 1 up to h sqrt(n_critic) = 2, where simultaneous steps diverge.

    first   who begins: "critic" (all others, then the generator; Goodfellow et al. 2014, Algorithm 1) or "generator"
    """

    n_critic: int = 1
    first: Literal["critic", "generator"] = "critic"

    def plan(self, players: tuple[str, ...]) -> tuple[str, ...]:
        others, generator = players[:-1] * self.n_critic, players[-1:]
        return others + generator if self.first == "critic" else generator + others

    def step(
        self, play: Play, state: State, batches: tuple[Batch, ...], coefficients: Coefficients
    ) -> dict[str, Tensor]:
        losses = {}
        for player, batch in zip(self.plan(play.players), batches, strict=True):
            losses[player], gradients = play.gradient(player, state, batch, coefficients)
            play.descend(player, state, gradients, coefficients)
        return losses


@dataclass(frozen=True)
class Simultaneous(Solver):
    """All players at once, each against the others' parameters of before the step: the Euler method for the game's
    field."""

    def plan(self, players: tuple[str, ...]) -> tuple[str, ...]:
        return players

    def step(
        self, play: Play, state: State, batches: tuple[Batch, ...], coefficients: Coefficients
    ) -> dict[str, Tensor]:
        return play.descend_all(state, play.gradients(state, batches, coefficients), coefficients)


def alternating(n_critic: int = 1, first: str = "critic") -> Alternating:
    """Players in turn; `n_critic` moves of the others for each of the generator, which moves last, or first.

    Raises `UsageError` for a number of moves below 1 and for a `first` that is neither critic nor generator.
    """
    return Alternating(whole("alternating", "n_critic", n_critic, 1, 1000), opener("alternating", first))


def simultaneous() -> Simultaneous:
    """All players at once."""
    return Simultaneous()
