"""Unrolled GAN: the generator differentiates through the critic's answer to it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from ganneal.errors import UsageError
from ganneal.game import Game, Tensors
from ganneal.solvers.arguments import choice, real, whole
from ganneal.solvers.optimizers import Adam, Slots
from ganneal.solvers.play import Batch, ByPlayer, Coefficients, Loss, Play, Solver, State, examples_only, need

SINGULAR = 1e-16
"""Added under Adam's root: the derivative of sqrt at a second moment of 0 is not finite."""


@dataclass(frozen=True)
class Unrolled(Solver):
    """The generator descends f_K(theta) = V(theta, psi_K(theta)), with psi_0 = psi and psi_{k+1} = psi_k - lr
    grad_psi L_C(psi_k, theta), on one fixed batch (Metz et al. 2017, eqs. 4-8):

        d f_K = grad_theta L_G(theta, psi_K) + (d psi_K / d theta)' grad_psi V(theta, psi_K)

    V is the whole value, minus the critic's loss without its penalties: its gradient in psi vanishes where model and
    data agree, which that of its generated half alone does not. In a zero-sum game L_G is V but for a constant;
    elsewhere, as in the non-saturating game, the first term is that of the generator's own loss.

    Only the generator's gradient changes: the critic makes one ordinary step from psi on the same batch, other players
    theirs, all at once, and psi_K is discarded. To first order in lr it is the gradient penalty of Nagarajan and
    Kolter (2017) with eta = K lr, exactly so on the Dirac WGAN: it damps rotation and spreads a generator that would
    otherwise run after the critic. Costs K + 2 gradients a step, those of the chain differentiated twice, and the
    memory of K critic steps.

    steps          K, at least 1
    inner          how the critic is unrolled: "sgd", or "adam", which starts from a copy of the critic's own moments
                   where its optimizer is adam
    lr             rate of the unrolled steps; None for the critic's own
    second_term    differentiate psi_K in theta; False is a look ahead at a critic that is taken for fixed, which damps
                   the Dirac GAN half as much
    """

    steps: int = 5
    inner: Literal["sgd", "adam"] = "sgd"
    lr: float | None = None
    second_term: bool = True

    def plan(self, players: tuple[str, ...]) -> tuple[str, ...]:
        return players

    def evaluations(self, players: tuple[str, ...]) -> int:
        return self.steps + len(players)

    def check(self, game: Game) -> None:
        examples_only("unrolled", game, "it would differentiate them twice")
        need("unrolled", game, ("critic", "generator"))
        if hasattr(game, "components"):
            raise UsageError("unrolled: unrolls one critic, and system mix has several; use system gan, or alternating")
        if "critic" in game.averaged:
            raise UsageError("unrolled: the generator sees this critic through an average; use alternating")

    def step(
        self, play: Play, state: State, batches: tuple[Batch, ...], coefficients: Coefficients
    ) -> dict[str, Tensor]:
        given = dict(zip(play.players, batches, strict=True))
        # the same latents and data for every unrolled step and for what the generator makes of the last one
        fixed = {**given["generator"], **given["critic"]}
        slots = state.slots["critic"] if self._continues(play) else {}
        moved = play.gradient("generator", state, fixed, coefficients, self.objective(play), (slots,))
        others = [p for p in play.players if p != "generator"]
        moves = {p: play.gradient(p, state, given[p], coefficients) for p in others} | {"generator": moved}
        return play.descend_all(state, moves, coefficients)

    def objective(self, play: Play) -> Loss:
        """f_K of one member, as a function of (params, buffers, batch, coefficients, the critic's optimizer slots)."""
        generator, critic = play.loss_of("generator"), play.loss_of("critic")
        adam = play.optimizers["critic"]
        adam = adam if isinstance(adam, Adam) else Adam()

        def f(params: ByPlayer, buffers: ByPlayer, batch: Batch, coefficients: Coefficients, slots: Slots) -> Tensor:
            lr: Any = coefficients["lr.critic"] if self.lr is None else self.lr
            fixed = {p: params[p] if self.second_term else _detached(params[p]) for p in params}

            def slope(psi: Tensors) -> Tensors:
                return torch.func.grad(lambda at: critic({**fixed, "critic": at}, buffers, batch, coefficients))(psi)

            psi = params["critic"]
            psi = (
                _sgd(psi, slope, self.steps, lr)
                if self.inner == "sgd"
                else _adam(psi, slope, self.steps, lr, adam, slots)
            )
            loss = generator({**params, "critic": _detached(psi)}, buffers, batch, coefficients)
            if not self.second_term:
                return loss
            others = {p: _detached(params[p]) for p in params}
            value = -critic({**others, "critic": psi}, buffers, batch, _unpenalised(play.game, coefficients))
            return loss + (value - value.detach())

        return f

    def _continues(self, play: Play) -> bool:
        return self.inner == "adam" and isinstance(play.optimizers["critic"], Adam)


def _unpenalised(game: Game, coefficients: Coefficients) -> Coefficients:
    """Without the weights of the game's penalties, which switches them off."""
    names = {penalty.name for kind in ("penalties", "field") for penalty in getattr(game, kind, ())}
    return {name: value for name, value in coefficients.items() if name not in names}


def _detached(params: Tensors) -> Tensors:
    return {name: x.detach() for name, x in params.items()}


def _sgd(psi: Tensors, slope: Callable[[Tensors], Tensors], steps: int, lr: Any) -> Tensors:
    """psi after so many gradient steps, as a differentiable function."""
    for _ in range(steps):
        g = slope(psi)
        psi = {name: x - lr * g[name] for name, x in psi.items()}
    return psi


def _adam(psi: Tensors, slope: Callable[[Tensors], Tensors], steps: int, lr: Any, adam: Adam, slots: Slots) -> Tensors:
    """psi after so many steps of Adam, as a differentiable function that leaves the slots alone."""
    if slots:
        mean, square, count = dict(slots["mean"]), dict(slots["square"]), slots["count"]["steps"]
    else:
        mean, square = ({name: torch.zeros_like(x) for name, x in psi.items()} for _ in range(2))
        count = next(iter(psi.values())).new_zeros(())
    for _ in range(steps):
        g, count = slope(psi), count + 1
        mean = {name: adam.beta1 * m + (1 - adam.beta1) * g[name] for name, m in mean.items()}
        square = {name: adam.beta2 * s + (1 - adam.beta2) * g[name].square() for name, s in square.items()}
        first, second = 1 - adam.beta1**count, 1 - adam.beta2**count
        psi = {
            name: x - lr * (mean[name] / first) / ((square[name] / second + SINGULAR).sqrt() + adam.eps)
            for name, x in psi.items()
        }
    return psi


def unrolled(steps: int = 5, inner: str = "sgd", lr: float | None = None, second_term: bool = True) -> Unrolled:
    """The generator's loss at the critic that `steps` more of its own steps would make, differentiated through them.

    Raises `UsageError` for a depth below 1, an unknown inner optimizer, and a rate that is not positive.
    """
    if type(steps) is int and steps == 0:
        raise UsageError("unrolled: unroll depth of 0: use alternating or simultaneous")
    whole("unrolled", "steps", steps, 1, 100)
    choice("unrolled", "inner", inner, ("sgd", "adam"))
    if lr is not None:
        real("unrolled", "lr", lr, 1e-12, 1e6)
    return Unrolled(steps, "sgd" if inner == "sgd" else "adam", lr, second_term)
