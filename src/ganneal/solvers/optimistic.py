"""Optimistic steps: the last step is subtracted from twice the present one, so that the game is met where it will
be."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ganneal.game import Tensors
from ganneal.solvers.play import Batch, Coefficients, Play, Solver, State


@dataclass(frozen=True)
class Optimistic(Solver):
    """w <- w + 2 d_t - d_{t-1}, with d_t the step that the optimizer makes of the gradient at w, and d_{-1} = 0.

    With sgd this is optimistic mirror descent, w <- w - 2 h g_t + h g_{t-1} (Daskalakis et al. 2018, eq. 5), which is
    the past extragradient of Popov (1980) read at its leading points; with adam it is optimistic Adam (ibid.,
    Algorithm 1, with the lag of one step of its text). All players move at once.

    Stabilises rotation: on the bilinear game the factor per step is about sqrt(1 - h^2), best .7071 at h = .5, for
    h < 1/sqrt(3). Costs one gradient per player and step, half an extragradient, and the memory of one step.
    """

    def plan(self, players: tuple[str, ...]) -> tuple[str, ...]:
        return players

    def start(self, play: Play, state: State) -> dict[str, Any]:
        return {p: {name: torch.zeros_like(x) for name, x in state.params[p].items()} for p in play.players}

    def step(
        self, play: Play, state: State, batches: tuple[Batch, ...], coefficients: Coefficients
    ) -> dict[str, Tensor]:
        moves = play.gradients(state, batches, coefficients)
        for player, (_, gradients) in moves.items():
            params, last = state.params[player], state.memory[player]
            before = {name: x.clone() for name, x in params.items()}
            play.optimizers[player].descend(params, gradients, state.slots[player], coefficients[f"lr.{player}"])
            _ahead(params, before, last)
            play.settle(player, state, coefficients)
        return {player: loss for player, (loss, _) in moves.items()}


@torch.no_grad()
def _ahead(params: Tensors, before: Tensors, last: Tensors) -> None:
    """params <- before + 2 d - last and last <- d, in place, with d = params - before. Steps are kept by value: a kept
    reference to a gradient or a moment would be the present one by the next step."""
    for name, x in params.items():
        d = x - before[name]
        x.add_(d - last[name])
        last[name].copy_(d)


def optimistic() -> Optimistic:
    """Twice the present step minus the last one, with any optimizer."""
    return Optimistic()
