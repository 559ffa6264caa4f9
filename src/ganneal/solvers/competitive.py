"""Competitive gradient descent: both players move to the equilibrium of the game's bilinear approximation."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ganneal.errors import UsageError
from ganneal.game import Game, Tensors
from ganneal.objectives import Objective
from ganneal.solvers.arguments import whole
from ganneal.solvers.joint import Joint, combined, dot
from ganneal.solvers.play import Batch, ByPlayer, Coefficients, Play, Solver, State, examples_only, need

PROBE = (-1.7, -0.6, 0.4, 1.3)
"""Critic outputs at which an objective is asked whether it is zero-sum."""


@dataclass(frozen=True)
class Competitive(Solver):
    """The step (dx, dy) of generator x and critic y that is the Nash equilibrium of the game linear in either step and
    bilinear in both (Schafer and Anandkumar 2019, eqs. 2-4, for zero-sum f = L_G):

        dx = -h (1 + h k M M^T)^{-1} (grad_x f - k M grad_y L_C),   dy = -k (grad_y L_C - M^T dx),   M = D_xy f,

    with h, k the learning rates. Each player answers the answer of the other, so that rotation is stabilised at any
    step: the bilinear game contracts by 1/sqrt(1 + h^2). Penalties of the critic enter by its own gradient. The inverse
    is `iterations` of conjugate gradients, exact after as many as M has different singular values. Costs 2 iterations +
    4 gradients a step. Exact with sgd; other optimizers are given the same step over the learning rate as gradients.

    Zero-sum objectives only, with a generator and a critic.
    """

    iterations: int = 5

    def plan(self, players: tuple[str, ...]) -> tuple[str, ...]:
        return players

    def evaluations(self, players: tuple[str, ...]) -> int:
        return 2 * self.iterations + 4

    def check(self, game: Game) -> None:
        examples_only("competitive", game, "it needs second derivatives of the loss")
        need("competitive", game, ("critic", "generator"), "use symplectic or extragradient")
        if more := [p for p in game.players if p not in ("critic", "generator")]:
            raise UsageError(
                f"competitive: plays a critic and a generator only, this game has also {', '.join(more)}; "
                "use symplectic or extragradient"
            )
        if field := getattr(game, "field", ()):
            raise UsageError(
                f"competitive: needs a zero-sum game, which {field[0].name} undoes; leave {field[0].name} out, or use "
                "extragradient"
            )
        objective = getattr(game, "objective", None)
        if objective is not None and not zero_sum(objective):
            raise UsageError(
                f"competitive: needs a zero-sum objective, got {objective.name}; use jsd or wasserstein, or solver "
                "symplectic"
            )

    def step(
        self, play: Play, state: State, batches: tuple[Batch, ...], coefficients: Coefficients
    ) -> dict[str, Tensor]:
        given = {p: dict(batch) for p, batch in zip(play.players, batches, strict=True)}
        params = {p: state.params[p] for p in play.players}
        with play.autocast(params["generator"]):
            moves, losses = play.each(
                lambda *arguments: self._moves(play, *arguments), params, state.buffers, given, dict(coefficients)
            )
        for player in play.players:
            names = list(moves[player])
            losses[player], gradients = play.reduced(losses[player], [moves[player][n] for n in names])
            play.descend(player, state, dict(zip(names, gradients, strict=True)), coefficients)
        return {player: losses[player] for player in play.players}

    def _moves(
        self, play: Play, w: ByPlayer, buffers: ByPlayer, batches: dict[str, Batch], coefficients: Coefficients
    ) -> tuple[ByPlayer, dict[str, Tensor]]:
        """(-dx/h and -dy/k, losses) of one member."""
        joint = Joint(play, {}, buffers, batches, coefficients)
        x, y = w["generator"], w["critic"]
        h, k = coefficients["lr.generator"], coefficients["lr.critic"]

        def slope(y: Tensors) -> tuple[Tensors, Tensor]:
            return joint.gradient("generator", {"generator": x, "critic": y})

        gx, pull, loss = torch.func.vjp(slope, y, has_aux=True)  # type: ignore[misc]
        gy, critic_loss = joint.gradient("critic", w)

        def across(v: Tensors) -> Tensors:
            """M v: from steps of the critic to gradients of the generator."""
            pushed: Tensors = torch.func.jvp(lambda y: slope(y)[0], (y,), (v,))[1]
            return pushed

        def system(u: Tensors) -> Tensors:
            return combined(u, across(pull(u)[0]), h * k)

        own = conjugate_gradients(system, combined(gx, across(gy), -k), self.iterations)
        answer = combined(gy, pull(own)[0], h)
        return {"generator": own, "critic": answer}, {"generator": loss, "critic": critic_loss}


def conjugate_gradients(system: Callable[[Tensors], Tensors], b: Tensors, iterations: int) -> Tensors:
    """Solve system(u) = b, a positive definite linear map, in a fixed number of steps from u = 0; a residual of 0 stays
    where it is."""
    u = {name: torch.zeros_like(x) for name, x in b.items()}
    r = p = b
    size = dot(r, r)
    for _ in range(iterations):
        image = system(p)
        along = dot(p, image)
        a = torch.where(along > 0, size / torch.where(along > 0, along, 1.0), 0.0)
        u, r = combined(u, p, a), combined(r, image, -a)
        last, size = size, dot(r, r)
        p = combined(r, p, torch.where(last > 0, size / torch.where(last > 0, last, 1.0), 0.0))
    return u


def zero_sum(objective: Objective) -> bool:
    """Whether the two losses of an objective add up to what does not depend on the samples."""
    real = torch.tensor(PROBE, dtype=torch.float64)

    def total(fake: Tensor) -> Tensor:
        return objective.critic_loss(real, fake) + objective.generator_loss(real, fake)

    return bool(torch.func.grad(total)(real.flip(0)).abs().max() < 1e-9)


def competitive(iterations: int = 5) -> Competitive:
    """Competitive gradient descent with so many iterations of conjugate gradients.

    Raises `UsageError` for fewer than 1.
    """
    return Competitive(whole("competitive", "iterations", iterations, 1, 1000))
