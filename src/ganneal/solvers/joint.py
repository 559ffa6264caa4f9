"""Everybody's gradient as one function of everybody's parameters, of one member: what second-order solvers
differentiate."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ganneal.game import Tensors
from ganneal.solvers.play import Batch, ByPlayer, Coefficients, Play


class Joint:
    """xi(w) = (grad_p L_p(w))_p of one member on fixed batches.

    Players that the others see through averages are constants in the others' losses.
    """

    def __init__(
        self,
        play: Play,
        averages: ByPlayer,
        buffers: ByPlayer,
        batches: Mapping[str, Batch],
        coefficients: Coefficients,
    ):
        self.play, self.averages, self.buffers = play, averages, buffers
        self.batches, self.coefficients = batches, coefficients

    def loss(self, player: str, w: ByPlayer) -> Tensor:
        """The loss of `player` at w."""
        seen = {p: self.averages[p] if p in self.play.game.averaged and p != player else w[p] for p in w}
        return self.play.loss_of(player)(seen, self.buffers, self.batches[player], self.coefficients)

    def gradient(self, player: str, w: ByPlayer) -> tuple[Tensors, Tensor]:
        """(gradient of `player` in its own parameters, its loss)."""
        found = torch.func.grad_and_value(lambda own: self.loss(player, {**w, player: own}))(w[player])
        return found[0], found[1]

    def __call__(self, w: ByPlayer) -> ByPlayer:
        return {p: self.gradient(p, w)[0] for p in w}

    def with_losses(self, w: ByPlayer) -> tuple[ByPlayer, dict[str, Tensor]]:
        """(xi(w), losses by player)."""
        found = {p: self.gradient(p, w) for p in w}
        return {p: g for p, (g, _) in found.items()}, {p: loss for p, (_, loss) in found.items()}


def dot(a: Any, b: Any) -> Tensor:
    """The inner product of two dictionaries of tensors, nested alike; summed in the order of names, which a checkpoint
    does not keep."""
    products = [dot(a[k], b[k]) if isinstance(a[k], dict) else (a[k] * b[k]).sum() for k in sorted(a)]
    return torch.stack(products).sum()


def combined(a: Any, b: Any, factor: Any) -> Any:
    """a + factor b, for dictionaries of tensors nested alike."""
    return {k: combined(a[k], b[k], factor) if isinstance(a[k], dict) else a[k] + factor * b[k] for k in a}
