"""A game at a point, with batches held fixed: what a spectrum, a trajectory and a portrait are computed from."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from ganneal import game as games
from ganneal.game import Game
from ganneal.solvers import SGD, Optimizer, Play, Solver, State
from ganneal.solvers.play import Batch, ByPlayer


@dataclass(frozen=True, eq=False)
class Problem:
    """A game whose batches do not change, at given parameters: then its field is one function of one vector.

    game            players and losses
    params          the point, by player; a flat vector holds the players in their order, their parameters in theirs
    buffers         by player
    batches         what each player's loss reads; where batch means are exact expectations, so is the field
    coefficients    by name, 0-d: weights of penalties, noise; learning rates are the solver's matter
    names           of the coordinates, for games of a few
    """

    game: Game
    params: ByPlayer
    buffers: ByPlayer
    batches: Mapping[str, Batch]
    coefficients: Mapping[str, Tensor] = field(default_factory=dict)
    names: tuple[str, ...] = ()

    @property
    def players(self) -> tuple[str, ...]:
        """In the order in which they move."""
        return self.game.players

    @property
    def size(self) -> int:
        """How many parameters all players have together."""
        return sum(p.numel() for player in self.players for p in self.params[player].values())

    def flat(self, params: ByPlayer | None = None) -> Tensor:
        """The point, or other parameters, as one vector [size]."""
        values = self.params if params is None else params
        return torch.cat([p.reshape(-1) for player in self.players for p in values[player].values()])

    def unflat(self, vector: Tensor) -> ByPlayer:
        """A vector [size] as parameters by player."""
        found: ByPlayer = {}
        start = 0
        for player in self.players:
            found[player] = {}
            for name, like in self.params[player].items():
                found[player][name] = vector[start : start + like.numel()].reshape(like.shape)
                start += like.numel()
        return found

    def field(self, vector: Tensor) -> Tensor:
        """w' = v(w): minus every player's gradient of its own loss in its own parameters, [size]. Written with
        `torch.func`, so that it can be differentiated."""
        made = games.field(self.game, self.unflat(vector), self.buffers, self.batches, self.coefficients)
        return self.flat(made)

    def part(self, player: str) -> slice:
        """Where a player's parameters are in the vector."""
        sizes = [sum(p.numel() for p in self.params[name].values()) for name in self.players]
        start = sum(sizes[: self.players.index(player)])
        return slice(start, start + sizes[self.players.index(player)])

    def moved(self, vector: Tensor) -> "Problem":
        """The same game at another point."""
        return replace(self, params={p: {n: t.clone() for n, t in v.items()} for p, v in self.unflat(vector).items()})

    def weighted(self, **values: float) -> "Problem":
        """The same game with other coefficients."""
        like = self.flat()
        changed = {name: torch.as_tensor(value, dtype=like.dtype) for name, value in values.items()}
        return replace(self, coefficients={**self.coefficients, **changed})

    def play(self, optimizer: Optimizer | None = None) -> Play:
        """The game as a solver plays it: with plain gradient steps, unless another optimizer is given."""
        return Play(self.game, {player: optimizer or SGD() for player in self.players})

    def start(self, solver: Solver, play: Play) -> State:
        """A state at the point, with the memory of a solver that begins there."""
        params = {player: {n: t.detach().clone() for n, t in own.items()} for player, own in self.params.items()}
        buffers = {p: {n: t.clone() for n, t in self.buffers.get(p, {}).items()} for p in self.players}
        state = play.start(params, buffers)
        state.memory = solver.start(play, state)
        return state

    def step(self, solver: Solver, play: Play, state: State, rates: Mapping[str, float]) -> None:
        """One step of a solver, in place. `rates` are learning rates by player."""
        like = next(iter(state.params[self.players[0]].values()))
        lr = {f"lr.{player}": torch.tensor(rates[player], dtype=like.dtype) for player in self.players}
        average = {"average": torch.zeros((), dtype=like.dtype)}
        batches = tuple(self.batches[player] for player in solver.plan(self.players))
        solver.step(play, state, batches, {**average, **self.coefficients, **lr})
