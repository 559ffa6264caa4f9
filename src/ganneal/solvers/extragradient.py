"""Extragradient: the gradient of where a step would lead, applied from where one stands."""

from dataclasses import dataclass

from torch import Tensor

from ganneal.game import Game
from ganneal.solvers.gradient import Simultaneous
from ganneal.solvers.play import Batch, Coefficients, Play, Solver, State, examples_only


@dataclass(frozen=True)
class Extragradient(Solver):
    """w' = w + h v(w), then w <- w + h v(w'), with v the game's field (Korpelevich 1976; Gidel et al. 2019, Algorithms
    2 and 4).

    Stabilises rotation: on the bilinear game it contracts by sqrt(1 - h^2 + h^4), best .8660 at h = .7071, for h < 1,
    where simultaneous steps expand by sqrt(1 + h^2). Costs two gradients per player and step.

    resample   a batch of its own for either gradient (Gidel et al. 2019, Algorithm 4); otherwise one for both
    shared     optimizers with moments take both gradients into the same moments (as their ExtraAdam does); otherwise
               the moments of the look ahead are forgotten
    """

    resample: bool = True
    shared: bool = True

    def plan(self, players: tuple[str, ...]) -> tuple[str, ...]:
        return players * 2 if self.resample else players

    def evaluations(self, players: tuple[str, ...]) -> int:
        return 2 * len(players)

    def check(self, game: Game) -> None:
        if not self.resample:
            examples_only("extragradient(resample=false)", game, "it would evaluate them twice", "use extragradient")

    def step(
        self, play: Play, state: State, batches: tuple[Batch, ...], coefficients: Coefficients
    ) -> dict[str, Tensor]:
        n = len(play.players)
        ahead = state.clone()
        if self.shared:
            ahead.slots = state.slots
        Simultaneous().step(play, ahead, batches[:n], coefficients)
        return play.descend_all(state, play.gradients(ahead, batches[-n:], coefficients), coefficients)


def extragradient(resample: bool = True, shared: bool = True) -> Extragradient:
    """The gradient of where a step would lead; `resample` draws a batch for either gradient, `shared` keeps one set of
    moments for both."""
    return Extragradient(resample, shared)
