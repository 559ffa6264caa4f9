"""Lookahead: slow weights that go part of the way to where fast ones have gone."""

from dataclasses import dataclass
from typing import Any

import torch

from ganneal.solvers.arguments import real, whole
from ganneal.solvers.around import Around
from ganneal.solvers.gradient import Alternating
from ganneal.solvers.optimizers import per_member
from ganneal.solvers.play import Play, Solver, State, counter


@dataclass(frozen=True)
class Lookahead(Around):
    """Every k steps of another solver all players go back together: w <- s + a (w - s), and s <- w (Zhang et al. 2019;
    Chavdarova et al. 2021, Algorithm 1, for games).

    Stabilises rotation: k steps of a map that turns by an angle and hardly shrinks are averaged with where they began,
    so that eigenvalues z of one step become 1 - a + a z^k. It contracts where the steps only rotate, unless z^k is
    back at 1. Costs a copy of the parameters, no gradients.

    solver   makes the fast steps
    every    k
    toward   a in (0, 1]; 1 leaves the solver as it is
    """

    every: int = 5
    toward: float = 0.5

    def start(self, play: Play, state: State) -> dict[str, Any]:
        slow = {p: {name: x.clone() for name, x in params.items()} for p, params in state.params.items()}
        return {"slow": slow, "steps": counter(play, state), **super().start(play, state)}

    @torch.no_grad()
    def after_step(self, play: Play, state: State) -> None:
        steps = state.memory["steps"]
        steps.add_(1)
        due = steps % self.every == 0
        for player in play.players:
            for name, x in state.params[player].items():
                slow = state.memory["slow"][player][name]
                now = per_member(due, x) if play.population else due
                x.copy_(torch.where(now, slow + self.toward * (x - slow), x))
                slow.copy_(torch.where(now, x, slow))


def lookahead(solver: Solver | None = None, every: int = 5, toward: float = 0.5) -> Lookahead:
    """Slow weights follow `solver` (alternating by default) every so many steps, by the fraction `toward`.

    Raises `UsageError` for fewer than 1 step and for a fraction outside (0, 1].
    """
    whole("lookahead", "every", every, 1, 1_000_000)
    real("lookahead", "toward", toward, 1e-6, 1)
    return Lookahead(solver or Alternating(), every, float(toward))
