"""Motions of a game: the field integrated, a solver played, and how fast either comes to rest.

What a spectrum predicts is checked here on the nonlinear motion: the deviation from the equilibrium is read in the
coordinate of the slowest mode, whose modulus decays as exp(Re lambda t) near the equilibrium whatever it does before.
"""

import math
from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor

from ganneal.dynamics.multipliers import rates_of
from ganneal.dynamics.problem import Problem
from ganneal.errors import RunError
from ganneal.solvers import Optimizer, Solver

LOST = 1e6
"""A solver whose parameters are this large has gone; its trajectory ends there."""


def integrate(
    problem: Problem, start: Tensor, times: Tensor, tolerance: float = 1e-10
) -> Tensor:  # fmt: skip
    """Parameters [t, n] at the given times of w' = v(w), w(times[0]) = start, by a Runge-Kutta method of order 8.

    Raises RunError where the motion blows up.
    """
    from scipy.integrate import solve_ivp

    field = recorded(problem, start)

    @torch.no_grad()
    def velocity(_: float, w: np.ndarray) -> np.ndarray:
        return field(torch.from_numpy(w)).numpy()

    found = solve_ivp(
        velocity, (float(times[0]), float(times[-1])), start.numpy(), "DOP853", times.numpy(), rtol=tolerance,
        atol=tolerance,
    )  # fmt: skip
    if not found.success:
        raise RunError(f"the field cannot be followed beyond time {found.t[-1] if len(found.t) else times[0]:.3g}")
    return torch.from_numpy(found.y.T.copy())


def recorded(problem: Problem, at: Tensor) -> Callable[[Tensor], Tensor]:
    """The field as the list of operations that it is made of: losses hold no control flow that depends on data, so what
    was recorded at one point holds at all of them, without the price of taking gradients anew."""
    from torch.fx.experimental.proxy_tensor import make_fx

    found: Callable[[Tensor], Tensor] = make_fx(lambda w: problem.field(w))(at)
    return found


def play_out(
    problem: Problem, solver: Solver, start: Tensor, rates: float | Mapping[str, float], steps: int,
    optimizer: Optimizer | None = None,
) -> Tensor:  # fmt: skip
    """Parameters [steps + 1, n] of a solver that starts at `start`; fewer where they leave every bound."""
    at, lr, play = problem.moved(start), rates_of(problem, rates), problem.play(optimizer)
    state = at.start(solver, play)
    found = [at.flat()]
    for _ in range(steps):
        at.step(solver, play, state, lr)
        now = at.flat(state.params).detach().clone()
        if not bool(torch.isfinite(now).all()) or now.abs().max() > LOST:
            break
        found.append(now)
    return torch.stack(found)


def amplitude(points: Tensor, centre: Tensor, matrix: Tensor, which: complex) -> Tensor:
    """|l . (w - w*)| [t] of points [t, n], l the left eigenvector of `matrix` [n, n] to the eigenvalue nearest to
    `which`."""
    values, vectors = torch.linalg.eig(matrix.T)
    nearest = int((values - which).abs().argmin())
    return ((points - centre).to(vectors.dtype) @ vectors[:, nearest]).abs()


def decay(times: Tensor, amplitudes: Tensor, floor: float = 1e-11) -> float:
    """The rate r of exp(r t), least squares in the logarithm over the later half of what is above `floor` times the
    first amplitude."""
    logs = amplitudes.clamp(min=1e-300).log()
    above = (logs > math.log(floor) + logs[0]).long().cumprod(0).bool()
    t, y = times[above], logs[above]
    t, y = t[len(t) // 2 :], y[len(y) // 2 :]
    if len(t) < 2:
        return math.nan
    t = t - t.mean()
    return float((t * (y - y.mean())).sum() / t.square().sum())
