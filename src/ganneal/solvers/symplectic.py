"""Symplectic gradient adjustment: the rotating part of the game turned into descent."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ganneal.game import Game
from ganneal.solvers.arguments import real
from ganneal.solvers.joint import Joint, combined, dot
from ganneal.solvers.play import Batch, ByPlayer, Coefficients, Play, Solver, State, examples_only

EPSILON = 0.1
"""Keeps the sign of the adjustment positive where the alignment says nothing (Balduzzi et al. 2018, Algorithm 1)."""


@dataclass(frozen=True)
class Symplectic(Solver):
    """All players at once along xi + strength A^T xi, with xi the players' own gradients, H = D xi and A = (H - H^T)/2
    (Balduzzi et al. 2018, Algorithm 1).

    Stabilises rotation: the eigenvalues -+ i w of a bilinear game become -strength w^2 -+ i w, those of pure descent
    (A = 0) stay. In a zero-sum game with players' own curvatures 0 it is consensus optimisation. Costs three gradients
    per player and step: H xi forwards and H^T xi backwards through the gradients. With several processes each adjusts
    the gradient of its own share of the batch.

    strength   the size of the adjustment
    align      flip its sign by sign(<xi, H^T xi> <A^T xi, H^T xi>/d + 1/10), so that it pulls towards stable and
               pushes away from unstable fixed points
    """

    strength: float = 1.0
    align: bool = True

    def plan(self, players: tuple[str, ...]) -> tuple[str, ...]:
        return players

    def evaluations(self, players: tuple[str, ...]) -> int:
        return 3 * len(players)

    def check(self, game: Game) -> None:
        examples_only("symplectic", game, "it needs second derivatives of the loss")

    def step(
        self, play: Play, state: State, batches: tuple[Batch, ...], coefficients: Coefficients
    ) -> dict[str, Tensor]:
        given = {p: dict(batch) for p, batch in zip(play.players, batches, strict=True)}
        params = {p: state.params[p] for p in play.players}
        with play.autocast(params[play.players[0]]):
            adjusted, losses = play.each(
                lambda *arguments: self._adjusted(play, *arguments),
                params,
                {p: state.averages[p] for p in play.game.averaged},
                state.buffers,
                given,
                dict(coefficients),
            )
        for player in play.players:
            names = list(adjusted[player])
            losses[player], gradients = play.reduced(losses[player], [adjusted[player][n] for n in names])
            play.descend(player, state, dict(zip(names, gradients, strict=True)), coefficients)
        return {player: losses[player] for player in play.players}

    def _adjusted(
        self,
        play: Play,
        w: ByPlayer,
        averages: ByPlayer,
        buffers: ByPlayer,
        batches: dict[str, Batch],
        coefficients: Coefficients,
    ) -> tuple[ByPlayer, dict[str, Tensor]]:
        """(xi + strength A^T xi, losses) of one member."""
        joint = Joint(play, averages, buffers, batches, coefficients)
        xi, pull, losses = torch.func.vjp(joint.with_losses, w, has_aux=True)  # type: ignore[misc]
        backwards = pull(xi)[0]  # H^T xi
        forwards = torch.func.jvp(joint, (w,), (xi,))[1]  # H xi
        turn = combined(backwards, forwards, -1.0)  # 2 A^T xi
        strength: Tensor | float = self.strength / 2
        if self.align:
            d = sum(x.numel() for params in w.values() for x in params.values())
            strength = strength * torch.sign(dot(xi, backwards) * dot(turn, backwards) / (2 * d) + EPSILON)
        return combined(xi, turn, strength), losses


def symplectic(strength: float = 1.0, align: bool = True) -> Symplectic:
    """Symplectic gradient adjustment of a given `strength`, its sign aligned with stable fixed points.

    Raises `UsageError` for a strength that is not positive.
    """
    return Symplectic(real("symplectic", "strength", strength, 1e-12, 1e6), align)
