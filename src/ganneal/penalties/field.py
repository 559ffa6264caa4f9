"""Penalties on the field of the game: squared gradients of one player's loss, in the parameters of that player.

With V the value that the critic (parameters psi) ascends and the generator (theta) descends, the linearised game at an
equilibrium is x'' + C x' + B B^T x = 0 in the critic's displacement x, with B the coupling of the players. An
unpenalised Wasserstein critic has C = 0 and rotates for ever. Penalties on the input gradient add a damping that is
the same for all frequencies; those here add 2 eta B B^T, which is strongest where the rotation is fastest. The two
complement each other and may be combined (on D = psi x: damping rho + 2 eta, stiffness 1 + 2 eta rho).

All gradients are of the plain objective: other penalties and regularisers are left out of them. A minibatch gradient
squared, |g|^2, has the mean |E g|^2 + tr Cov(g) / B; the second term depends on theta and moves the fixed point, so
that by default the product <g1, g2> of gradients on two independent batches is taken, which has no such term. (Stored
examples are drawn without replacement within an epoch: on n of them a bias of -Var(g) / (n - 1) is left, B / (n - 1) of
that of one batch. Sources with unlimited draws have none.) Cost: one
gradient in the parameters for every batch, and its derivative, about three times the plain step of the player that is
penalised.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ganneal.errors import UsageError
from ganneal.penalties.input_gradient import Weight, weight_of, whole
from ganneal.schedules import Each, Schedule


@dataclass(frozen=True)
class FieldPenalty:
    """weight * factor * sum over q of <g_q(batch 1), g_q(batch 2)>, g_q the gradient of the loss of q in its own
    parameters.

    weight        the coefficient, a schedule (its factor 1/2, where there is one, is `factor`)
    reads         for each penalised player, the players q whose gradients it is penalised with
    independent   two independent batches; otherwise |g|^2 on one batch, biased by the variance of g
    every         applied on every k-th step, k times as strongly
    """

    name: str
    weight: Schedule | Each
    reads: tuple[tuple[str, tuple[str, ...]], ...]
    factor: float
    independent: bool = True
    every: int = 1

    def of(self, player: str) -> tuple[str, ...]:
        """The players whose gradients `player` is penalised with."""
        return dict(self.reads).get(player, ())


def _penalty(
    name: str, reads: Mapping[str, tuple[str, ...]], factor: float, weight: Any, independent: Any, every: Any
) -> FieldPenalty:
    if not isinstance(independent, bool):
        raise UsageError(f"{name}: independent must be true or false, got {independent!r}")
    return FieldPenalty(
        name, weight_of(name, weight), tuple(reads.items()), factor, independent, whole(name, "every", every)
    )


def nk(eta: Weight = 0.5, independent: bool = True, every: int = 1) -> FieldPenalty:
    """The generator also minimises eta |grad_psi V|^2, V minus the critic's objective; the critic's loss is as it was
    (Nagarajan, Kolter 2017, section 4; no factor 1/2).

    It makes the Wasserstein game locally exponentially stable for every eta > 0 (eigenvalues -eta w^2 +- i w
    sqrt(1 - eta^2 w^2) at the frequency w; critical damping at eta w = 1) and is k = eta / alpha steps of unrolling a
    critic of rate alpha, to first order. Large values are slow, -1 / (2 eta). Costs a mixed second derivative on two
    batches, on the generator's steps only; with independent=false (as published) one batch, and a bias.
    """
    return _penalty("nk", {"generator": ("critic",)}, 1.0, eta, independent, every)


def jare(gamma: Weight = 10.0, independent: bool = True, every: int = 1) -> FieldPenalty:
    """Jacobian regularisation: each player also minimises (gamma/2) |grad_other L_other|^2, the squared gradient of the
    other's loss in the other's parameters (Nie, Patel 2018, eq. 7).

    Damps rotation and evens out the conditioning: on the affine GAN the slowest rate is nine times that without. Costs
    a mixed second derivative on the steps of both players.
    """
    reads = {"critic": ("generator",), "generator": ("critic",)}
    return _penalty("jare", reads, 0.5, gamma, independent, every)


def consensus(gamma: Weight = 1.0, independent: bool = True, every: int = 1) -> FieldPenalty:
    """Consensus optimisation: both players also minimise (gamma/2) |v|^2, v = (grad_psi L_critic, grad_theta
    L_generator) the whole field (Mescheder, Nowozin, Geiger 2017, eq. 10).

    Damps rotation, and stiffens both players' own curvature. Any stationary point attracts, bad ones too, and a biased
    minibatch estimate moves it (independent=false, as published). Costs second derivatives of both losses on the steps
    of both players.
    """
    both = ("critic", "generator")
    return _penalty("consensus", {"critic": both, "generator": both}, 0.5, gamma, independent, every)
