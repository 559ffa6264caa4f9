"""What a solver needs to play a game, and nothing that it should not know: populations, precision and processes are
hidden here."""

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ganneal.errors import UsageError
from ganneal.game import Game, Tensors, bind
from ganneal.solvers.optimizers import Optimizer, Slots

Batch = Mapping[str, Tensor]
Coefficients = Mapping[str, Tensor]
ByPlayer = dict[str, Tensors]
Moves = dict[str, tuple[Tensor, Tensors]]
"""Loss and gradient by player."""
Loss = Callable[..., Tensor]
"""A loss of one member: of (params, buffers, batch, coefficients) and what else it is given."""


@dataclass
class State:
    """All of a game in progress that lives in tensors: per player its parameters, buffers, optimizer slots, and
    running averages; and what the solver remembers between steps. Every tensor of a population has the axis of members
    first."""

    params: ByPlayer
    buffers: ByPlayer
    slots: dict[str, Slots]
    averages: ByPlayer = field(default_factory=dict)
    memory: dict[str, Any] = field(default_factory=dict)

    def clone(self) -> "State":
        """A copy that shares nothing."""
        return self.map(Tensor.clone)

    def map(self, function: Callable[[Tensor], Tensor]) -> "State":
        """The state with `function` applied to every tensor."""
        parts = (self.params, self.buffers, self.slots, self.averages, self.memory)
        return State(*(_map(part, function) for part in parts))


def _map(tree: Any, function: Callable[[Tensor], Tensor]) -> Any:
    return {k: _map(v, function) for k, v in tree.items()} if isinstance(tree, dict) else function(tree)


def counter(play: "Play", state: State) -> Tensor:
    """A count of 0 for one game, 0-d, or for every member of a population, [N]."""
    first = next(iter(state.params[play.players[0]].values()))
    return torch.zeros((len(first),) if play.population else (), dtype=torch.int64, device=first.device)


def need(solver: str, game: Game, players: Iterable[str], instead: str = "use alternating or simultaneous") -> None:
    """Raise `UsageError` unless the game has these players."""
    if missing := [p for p in players if p not in game.players]:
        raise UsageError(
            f"{solver}: needs a {' and a '.join(missing)}, this game has {', '.join(game.players)}; {instead}"
        )


def examples_only(solver: str, game: Game, why: str, instead: str = "use alternating or extragradient") -> None:
    """Raise `UsageError` if the game is that of a density, whose evaluations are counted and whose log-density has one
    derivative."""
    if getattr(game, "evaluates", None):
        raise UsageError(f"{solver}: not for densities, {why}; {instead}")


class Solver(ABC):
    """Turns losses into steps."""

    @abstractmethod
    def plan(self, players: tuple[str, ...]) -> tuple[str, ...]:
        """The player of every batch that one step consumes, in order."""

    @abstractmethod
    def step(
        self, play: "Play", state: State, batches: tuple[Batch, ...], coefficients: Coefficients
    ) -> dict[str, Tensor]:
        """Move `state` in place; returns the losses by player, on the device, unread."""

    def start(self, play: "Play", state: State) -> dict[str, Any]:
        """What the solver remembers between steps, as nested dictionaries of tensors, before the first step."""
        return {}

    def evaluations(self, players: tuple[str, ...]) -> int:
        """Gradients of a loss on one batch that one step computes: what solvers are compared at. By default one for
        every batch."""
        return len(self.plan(players))

    def check(self, game: Game) -> None:
        """Raise `UsageError` if this solver cannot play that game, with the nearest combination that works."""
        return None


class Play:
    """A game with its optimizers, for one member or for a stacked population.

    game          the losses
    optimizers    one per player
    population    whether parameters, batches and coefficients carry a leading axis of members
    reduce        averages (loss, gradients) over processes, in place; None for one process
    precision     torch.bfloat16 for autocast, or None
    """

    def __init__(
        self,
        game: Game,
        optimizers: Mapping[str, Optimizer],
        population: bool = False,
        reduce: Callable[[list[Tensor]], None] | None = None,
        precision: torch.dtype | None = None,
    ):
        self.game, self.optimizers, self.population = game, optimizers, population
        self.reduce, self.precision = reduce, precision

    @property
    def players(self) -> tuple[str, ...]:
        """The players in the order in which they move."""
        return self.game.players

    def start(self, params: ByPlayer, buffers: ByPlayer, averaged: tuple[str, ...] = ()) -> State:
        """A fresh state; `averaged` players get running averages, beside those that the game itself asks for."""
        first = next(iter(params[self.players[0]].values()))
        slots = {p: self.optimizers[p].start(params[p], len(first) if self.population else None) for p in self.players}
        averages = {p: _map(params[p], Tensor.clone) for p in self.players if p in averaged or p in self.game.averaged}
        return State(params, buffers, slots, averages)

    def each(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """`function` of one member's tensors; for a population of every member's, in one vectorised call."""
        return torch.vmap(function, randomness="error")(*arguments) if self.population else function(*arguments)

    def loss(
        self, player: str, params: ByPlayer, buffers: ByPlayer, batch: Batch, coefficients: Coefficients
    ) -> Tensor:
        """The player's loss, 0-d, or [N] for a population."""
        found: Tensor = self.each(self.loss_of(player), params, buffers, dict(batch), dict(coefficients))
        return found

    def loss_of(self, player: str) -> Loss:
        """The player's loss as a function of one member's (params, buffers, batch, coefficients)."""

        def one(params: ByPlayer, buffers: ByPlayer, batch: Batch, coefficients: Coefficients) -> Tensor:
            return self.game.loss(player, bind(self.game.nets, params, buffers), batch, coefficients)

        return one

    def seen(self, state: State) -> ByPlayer:
        """The parameters that others read: running averages where the game asks for them."""
        return {p: state.averages[p] if p in self.game.averaged else state.params[p] for p in self.players}

    def autocast(self, params: Tensors) -> AbstractContextManager[Any]:
        """The precision in which losses on these parameters are computed."""
        device = next(iter(params.values())).device.type
        return torch.autocast(device, self.precision) if self.precision else contextlib.nullcontext()

    def gradient(
        self,
        player: str,
        state: State,
        batch: Batch,
        coefficients: Coefficients,
        of: Loss | None = None,
        given: tuple[Any, ...] = (),
    ) -> tuple[Tensor, Tensors]:
        """Loss of `player` and the gradient in its own parameters, everybody else held fixed.

        of      another loss of one member, of (params, buffers, batch, coefficients, *given), in place of the player's
        given   what that loss reads besides: nested dictionaries of tensors, the axis of members first in a population
        """
        own = {name: p.detach().requires_grad_() for name, p in state.params[player].items()}
        params = {**self.seen(state), player: own}
        with torch.enable_grad(), self.autocast(own):
            loss = self.each(of or self.loss_of(player), params, state.buffers, dict(batch), dict(coefficients), *given)
            gradients = list(torch.autograd.grad(loss.sum(), list(own.values())))
        loss, gradients = self.reduced(loss.detach(), gradients)
        return loss, dict(zip(own, gradients, strict=True))

    def reduced(self, loss: Tensor, gradients: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Loss and gradients averaged over processes."""
        if self.reduce is not None:
            gradients = [g.contiguous() for g in gradients]
            self.reduce([loss, *gradients])
        return loss, gradients

    def gradients(self, state: State, batches: tuple[Batch, ...], coefficients: Coefficients) -> Moves:
        """Every player's loss and gradient at one place, with a batch for each."""
        pairs = zip(self.players, batches, strict=True)
        return {player: self.gradient(player, state, batch, coefficients) for player, batch in pairs}

    def descend_all(self, state: State, moves: Moves, coefficients: Coefficients) -> dict[str, Tensor]:
        """Move every player along minus its gradient; returns the losses."""
        for player, (_, gradients) in moves.items():
            self.descend(player, state, gradients, coefficients)
        return {player: loss for player, (loss, _) in moves.items()}

    def descend(self, player: str, state: State, gradients: Tensors, coefficients: Coefficients) -> None:
        """Move `player` along minus `gradients` with its optimizer, project, and follow with its running average."""
        self.optimizers[player].descend(
            state.params[player], gradients, state.slots[player], coefficients[f"lr.{player}"]
        )
        self.settle(player, state, coefficients)

    @torch.no_grad()
    def settle(self, player: str, state: State, coefficients: Coefficients) -> None:
        """What follows a move of `player`: project, and follow with its running average."""
        self.game.project(player, state.params[player], state.buffers[player])
        if player in state.averages:
            names = list(state.averages[player])
            toward = [state.params[player][n] for n in names]
            keep = coefficients["average"]
            weight = 1 - (keep if keep.dim() == 0 else keep[0])
            for average, value in zip((state.averages[player][n] for n in names), toward, strict=True):
                average.lerp_(value, weight.to(value.dtype))
