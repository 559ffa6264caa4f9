"""Chekhov GAN: every player answers a queue of its opponent's past."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ganneal.errors import UsageError
from ganneal.game import Game, Tensors
from ganneal.solvers.arguments import real, whole
from ganneal.solvers.optimizers import per_member
from ganneal.solvers.play import Batch, ByPlayer, Coefficients, Loss, Play, Solver, State, counter, examples_only, need

SIDES = {"critic": "generator", "generator": "critic"}
"""Each of the two and whose queue it plays against."""


@dataclass(frozen=True)
class Chekhov(Solver):
    """Both players descend their mean loss against K opponents (Grnarova et al. 2018, Algorithm 2):

        (1/|Q|) sum_{q in Q} L(own, q) + (C / sqrt t) |own|^2,

    with Q the snapshots of the other player, taken every m steps, the oldest dropped, m growing by `grow` at each; all
    players move at once. The critic's loss is minus the value, so that it ascends (the printed update has the other
    sign). The K opponents are one stacked evaluation.

    What it is for: mixtures of generators, less mode loss on their experiments. It is no stabiliser: on the bilinear
    game a queue of mean age tau is a delay, and iterates grow at a rate of about tau - 8/3 tau^3, where Algorithm 1
    with its averages converges (`ganneal.dynamics.follow_the_leader`). Judge `mixture` beside the last iterate. Costs
    K gradients for either player, each on 1/thin of the batch, and 2 K copies of the parameters.

    opponents   K, the present opponent among them
    every       m, steps between snapshots
    grow        what m grows by at each snapshot
    weight      C
    thin        every opponent is met on a part of the batch only, 1/thin of it, another one for each in turn, so that
                all examples are met equally often where thin divides K; batches that are no multiple of 16 thin are met
                whole
    current     the newest place in the queue is the opponent as it is now; otherwise as it was at the last snapshot,
                as published
    """

    opponents: int = 10
    every: int = 10
    grow: int = 0
    weight: float = 0.01
    thin: int = 2
    current: bool = True

    def plan(self, players: tuple[str, ...]) -> tuple[str, ...]:
        return players

    def evaluations(self, players: tuple[str, ...]) -> int:
        return sum(self.opponents if p in SIDES else 1 for p in players)

    def check(self, game: Game) -> None:
        examples_only("chekhov", game, "it would evaluate them for every opponent")
        need("chekhov", game, SIDES)
        if averaged := set(SIDES) & game.averaged:
            raise UsageError(f"chekhov: the {min(averaged)} is seen through an average; use alternating")

    def start(self, play: Play, state: State) -> dict[str, Any]:
        axis = 1 if play.population else 0

        def repeated(x: Tensor) -> Tensor:
            return torch.stack([x] * self.opponents, axis).contiguous()

        def queue(of: ByPlayer, player: str) -> dict[str, Tensors]:
            stacked = {name: repeated(x) for name, x in of.get(player, {}).items()}
            return {player: stacked} if stacked else {}

        zero = counter(play, state)
        memory: dict[str, Any] = {"steps": zero, "wait": zero.clone(), "period": zero + self.every}
        memory |= {"filled": zero.clone(), "queue": {}, "buffers": {}}
        for player in SIDES:
            memory["queue"] |= queue(state.params, player)
            memory["buffers"] |= queue(state.buffers, player)
        return memory

    def step(
        self, play: Play, state: State, batches: tuple[Batch, ...], coefficients: Coefficients
    ) -> dict[str, Tensor]:
        self._remember(play, state)
        given = dict(zip(play.players, batches, strict=True))
        moves = {}
        for player in play.players:
            if player not in SIDES:
                moves[player] = play.gradient(player, state, given[player], coefficients)
                continue
            against = SIDES[player]
            queue = {n: x.contiguous() for n, x in state.memory["queue"][against].items()}
            buffers = dict(state.memory.get("buffers", {}).get(against, {}))
            weights = self.weights(state.memory)
            loss, gradients = play.gradient(
                player, state, given[player], coefficients, self._against(play, player), (queue, buffers, weights)
            )
            moves[player] = loss, self._shrunk(play, state, player, gradients)
        return play.descend_all(state, moves, coefficients)

    def weights(self, memory: Mapping[str, Any]) -> Tensor:
        """Weights [K], or [N, K], of the places in the queue, newest first: equal on those that are filled, 0 on the
        others."""
        filled: Tensor = memory["filled"].unsqueeze(-1)
        places = torch.arange(self.opponents, device=filled.device)
        return (places < filled).double() / filled.clamp(min=1)

    def mixture(self, state: State, member: int | None = None) -> tuple[list[Tensors], list[float]]:
        """The generators of the queue that have been played, newest first, as parameters of their own, and their
        weights: sample from the mixture by drawing one of them for every sample.

        member   which one of a population; None for a single game
        """
        queue = state.memory["queue"]["generator"]
        weights = self.weights(state.memory)
        if member is not None:
            queue, weights = {name: x[member] for name, x in queue.items()}, weights[member]
        kept = [k for k, w in enumerate(weights.tolist()) if w > 0]
        return [{name: x[k].clone() for name, x in queue.items()} for k in kept], [weights[k].item() for k in kept]

    @torch.no_grad()
    def _remember(self, play: Play, state: State) -> None:
        """Before a step: snapshots where one is due, and the newest place brought up to date."""
        memory, axis = state.memory, 1 if play.population else 0
        due = memory["wait"] <= 0
        for kind, source in (("queue", state.params), ("buffers", state.buffers)):
            for player, stacked in memory.get(kind, {}).items():
                for name, x in stacked.items():
                    now = source[player][name].unsqueeze(axis)
                    here = per_member(due, x) if play.population else due
                    pushed = torch.cat([now, x.narrow(axis, 0, self.opponents - 1)], axis)
                    kept = torch.cat([now, x.narrow(axis, 1, self.opponents - 1)], axis) if self.current else x
                    x.copy_(torch.where(here, pushed, kept))
        memory["steps"].add_(1)
        memory["filled"].copy_((memory["filled"] + due).clamp(max=self.opponents))
        memory["period"].add_(due * self.grow)
        memory["wait"].copy_(torch.where(due, memory["period"] - self.grow, memory["wait"]) - 1)

    def _against(self, play: Play, player: str) -> Loss:
        """The mean loss of `player` over a stacked queue, of one member."""
        own, against = play.loss_of(player), SIDES[player]

        def mean(
            params: ByPlayer,
            buffers: ByPlayer,
            batch: Batch,
            coefficients: Coefficients,
            queue: Tensors,
            kept: Tensors,
            weights: Tensor,
        ) -> Tensor:
            def one(opponent: Tensors, its: Tensors, rows: Batch) -> Tensor:
                return own({**params, against: opponent}, {**buffers, against: its}, rows, coefficients)

            rows, axis = self._rows(batch)
            in_dims = (0, 0 if kept else None, axis)
            losses = torch.vmap(one, in_dims=in_dims, randomness="error")(queue, kept, rows)
            return (weights.to(losses.dtype) * losses).sum()

        return mean

    def _rows(self, batch: Batch) -> tuple[Batch, int | None]:
        """(the batch of every opponent, [K, B/thin, ...] each, and its axis of opponents), or (the batch, None)."""
        thin = min(self.thin, self.opponents)
        sizes = {len(x) for x in batch.values() if x.dim()}
        size = min(sizes, default=0)
        if thin == 1 or len(sizes) != 1 or size % (16 * thin):
            return batch, None
        starts = [k * size // self.opponents for k in range(self.opponents)]
        first = next(iter(batch.values()))
        places = torch.tensor(starts, device=first.device)[:, None] + torch.arange(size // thin, device=first.device)
        return {name: x[places % size] for name, x in batch.items()}, 0

    def _shrunk(self, play: Play, state: State, player: str, gradients: Tensors) -> Tensors:
        """Gradients with that of (C / sqrt t) |own|^2."""
        if not self.weight:
            return gradients
        params = state.params[player]
        first = next(iter(params.values()))
        rate = 2 * self.weight / state.memory["steps"].to(first.dtype).sqrt()
        return {
            name: g + (per_member(rate, params[name]) if play.population else rate) * params[name]
            for name, g in gradients.items()
        }


def chekhov(
    opponents: int = 10, every: int = 10, grow: int = 0, weight: float = 0.01, thin: int = 2, current: bool = True
) -> Chekhov:
    """Each player against `opponents` of the other's, one of them new every `every` steps (`grow` more each time).

    Raises `UsageError` for no opponents, a negative weight or growth, and a period or a thinning below 1.
    """
    if type(opponents) is int and opponents == 0:
        raise UsageError("chekhov: 0 opponents: use simultaneous or alternating")
    whole("chekhov", "opponents", opponents, 1, 1000)
    whole("chekhov", "every", every, 1, 1_000_000)
    whole("chekhov", "grow", grow, 0, 1_000_000)
    whole("chekhov", "thin", thin, 1, 1000)
    real("chekhov", "weight", weight, 0, 1e6)
    return Chekhov(opponents, every, grow, float(weight), thin, current)
