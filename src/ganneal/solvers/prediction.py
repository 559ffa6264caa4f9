"""The prediction method: the second player answers where the first is going."""

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from ganneal.game import Tensors
from ganneal.solvers.arguments import opener
from ganneal.solvers.play import Batch, Coefficients, Play, Solver, State


@dataclass(frozen=True)
class Prediction(Solver):
    """u+ = u - h g_u(u, v), then v+ = v - h g_v(2 u+ - u, v) (Yadav et al. 2018, eq. 5): alternating steps in which
    the second side sees the first one's move continued.

    Stabilises rotation: on the bilinear game it contracts by exactly sqrt(1 - h^2), reaches the equilibrium in two
    steps at h = 1, and is stable for h < 2/sqrt(3). Costs one gradient per player and step.

    first   the side that moves first: "critic" (all players but the generator, which then sees them predicted; as in
            the published code for GANs) or "generator"
    """

    first: Literal["critic", "generator"] = "critic"

    def plan(self, players: tuple[str, ...]) -> tuple[str, ...]:
        return players if self.first == "critic" else players[-1:] + players[:-1]

    def step(
        self, play: Play, state: State, batches: tuple[Batch, ...], coefficients: Coefficients
    ) -> dict[str, Tensor]:
        order = self.plan(play.players)
        split = len(order) - 1 if self.first == "critic" else 1
        losses: dict[str, Tensor] = {}
        before = {p: {name: x.clone() for name, x in state.params[p].items()} for p in order[:split]}
        for player, batch in zip(order[:split], batches[:split], strict=True):
            losses[player], gradients = play.gradient(player, state, batch, coefficients)
            play.descend(player, state, gradients, coefficients)
        predicted = {p: _continued(before[p], state.params[p]) for p in order[:split]}
        for player, batch in zip(order[split:], batches[split:], strict=True):
            seen = replace(state, params={**state.params, **predicted})
            losses[player], gradients = play.gradient(player, seen, batch, coefficients)
            play.descend(player, state, gradients, coefficients)
        return losses


@torch.no_grad()
def _continued(before: Tensors, after: Tensors) -> Tensors:
    """2 after - before."""
    return {name: 2 * x - before[name] for name, x in after.items()}


def prediction(first: str = "critic") -> Prediction:
    """Alternating steps in which the second side sees the first one's move continued; `first` is critic or
    generator."""
    return Prediction(opener("prediction", first))
