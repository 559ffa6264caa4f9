"""Iterate averaging: the mean of where a solver has been."""

from dataclasses import dataclass
from typing import Any

import torch

from ganneal.solvers.arguments import whole
from ganneal.solvers.around import Around
from ganneal.solvers.gradient import Alternating
from ganneal.solvers.optimizers import per_member
from ganneal.solvers.play import ByPlayer, Play, Solver, State, counter


@dataclass(frozen=True)
class Averaging(Around):
    """Another solver's steps, and beside them the uniform mean of its iterates, m_t = m_{t-1} + (w_t - m_{t-1}) / t.

    The steps are unchanged, so it stabilises nothing; but the means of iterates that circle an equilibrium go to it as
    1/t (for convex-concave games: Nemirovski 2004; for GANs: Yazici et al. 2019). Samples, the verdict and the report
    are those of the averaged generator, in place of the exponential average of `ema`. Costs a copy of the parameters,
    no gradients.

    solver   makes the steps
    after    steps that are left out at the beginning; until then the mean is the newest iterate
    """

    after: int = 0

    def start(self, play: Play, state: State) -> dict[str, Any]:
        mean = {p: {name: x.clone() for name, x in params.items()} for p, params in state.params.items()}
        return {"mean": mean, "steps": counter(play, state), **super().start(play, state)}

    def iterate(self, state: State) -> ByPlayer:
        """The averaged parameters of all players."""
        found: ByPlayer = state.memory["mean"]
        return found

    @torch.no_grad()
    def after_step(self, play: Play, state: State) -> None:
        steps = state.memory["steps"]
        steps.add_(1)
        counted = (steps - self.after).clamp(min=1)
        generator = play.players[-1]
        for player in play.players:
            served = state.averages.get(player) if player == generator else None
            for name, x in state.params[player].items():
                mean = state.memory["mean"][player][name]
                mean.add_((x - mean) / (per_member(counted, x) if play.population else counted))
                if served is not None:
                    served[name].copy_(mean)


def averaging(solver: Solver | None = None, after: int = 0) -> Averaging:
    """The uniform mean of the iterates of `solver` (alternating by default), from step `after` on.

    Raises `UsageError` for a negative number of steps.
    """
    return Averaging(solver or Alternating(), whole("averaging", "after", after, 0, 1_000_000_000))
