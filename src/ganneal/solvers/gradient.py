"""Gradient descent in games: players move in turn, or all at once."""

from dataclasses import dataclass

from torch import Tensor

from ganneal.errors import UsageError
from ganneal.solvers.play import Batch, Coefficients, Play, Solver, State


@dataclass(frozen=True)
class Alternating(Solver):
    """Every other player n_critic times, then the generator, each against the others' newest parameters.

    One gradient evaluation per player and move. Two time scales come from the players' learning rates (Heusel et al.
    2017).
    """

    n_critic: int = 1

    def plan(self, players: tuple[str, ...]) -> tuple[str, ...]:
        return players[:-1] * self.n_critic + players[-1:]

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
        moves = {
            player: play.gradient(player, state, batch, coefficients)
            for player, batch in zip(play.players, batches, strict=True)
        }
        for player, (_, gradients) in moves.items():
            play.descend(player, state, gradients, coefficients)
        return {player: loss for player, (loss, _) in moves.items()}


def alternating(n_critic: int = 1) -> Alternating:
    """Players in turn; `n_critic` moves of the others for each of the generator."""
    if not isinstance(n_critic, int) or not 1 <= n_critic <= 1000:
        raise UsageError(f"alternating: n_critic must be a whole number from 1 to 1000, got {n_critic!r}")
    return Alternating(n_critic)


def simultaneous() -> Simultaneous:
    """All players at once."""
    return Simultaneous()
