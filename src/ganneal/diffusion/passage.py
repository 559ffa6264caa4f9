"""First passage: how long Langevin motion needs from one well to another.

For dX = -psi' dt + sqrt(2/beta) dW in one dimension (entropy clock), started at a < b with nothing to the left but the
wall of psi,

    E tau = beta int_a^b e^(beta psi(y)) int_(-inf)^y e^(-beta psi(z)) dz dy

and as beta grows (Kramers 1940) E tau ~ 2 pi e^(beta (psi(top) - psi(a))) / sqrt(psi''(a) |psi''(top)|), the minimum
being at a. On the likelihood clock times are shorter by the factor beta.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ganneal.diffusion.langevin import Density
from ganneal.diffusion.paths import score_function
from ganneal.errors import RunError, UsageError

Potential = Callable[[Tensor], Tensor]
"""psi: points [n] -> values [n]."""


def mean_passage_time(
    psi: Potential, start: float, goal: float, beta: float = 1.0, *, wall: float | None = None, nodes: int = 200_000
) -> float:
    """E tau from `start` to `goal` by quadrature (trapezia, in the log domain).

    wall   where the inner integral begins, on the far side of start: reflecting there. By default so far out that
           beta psi lies 40 above its least value between start and goal
    Raises `UsageError` if beta is not positive, start equals goal, or psi does not rise on the far side.
    """
    if not beta > 0 or start == goal or nodes < 2:
        raise UsageError(f"got beta={beta}, start={start}, goal={goal}; allowed: beta > 0 and start unlike goal")
    sign = 1.0 if goal > start else -1.0
    a, b = sign * start, sign * goal
    far = _far(psi, sign, a, b, beta) if wall is None else sign * wall
    if not far <= a:
        raise UsageError(f"wall: got {wall}; allowed: on the other side of the start than the goal")
    y = torch.linspace(far, b, nodes + 1, dtype=torch.float64)
    energy = beta * psi(sign * y).double()
    log_h = math.log((b - far) / nodes)
    # trapezia of the inner integral: log of cumulated (f_k + f_(k+1)) h / 2
    pieces = torch.logaddexp(-energy[1:], -energy[:-1]) + log_h - math.log(2)
    inner = torch.cat([torch.tensor([-math.inf], dtype=torch.float64), pieces.logcumsumexp(0)])
    outer = energy + inner
    first = round((a - far) / (b - far) * nodes)
    halves = torch.logaddexp(outer[first + 1 :], outer[first:-1]) + log_h - math.log(2)
    return beta * float(halves.logsumexp(0).exp())


def kramers_time(barrier: float, curvature_well: float, curvature_top: float, beta: float = 1.0) -> float:
    """2 pi e^(beta barrier) / sqrt(psi''(well) |psi''(top)|), the limit of E tau from well to well for large beta."""
    return 2 * math.pi * math.exp(beta * barrier) / math.sqrt(curvature_well * abs(curvature_top))


@dataclass(frozen=True)
class Passage:
    """times [n] of first passage; mean with standard error; evaluations of u."""

    times: Float[Tensor, " n"]
    mean: float
    error: float
    evaluations: int


def simulate_passage(
    density: Density, x0: Float[Tensor, "n 1"], goal: float, generator: torch.Generator, *, beta: float = 1.0,
    dt: float = 1e-3, limit: float = math.inf,
) -> Passage:  # fmt: skip
    """First-passage times of n particles from x0 to `goal` in one dimension, by Euler-Maruyama.

    Between two points on the near side the path is a Brownian bridge, which touches the goal with chance
    exp(-beta d d' / dt), d and d' their distances from it: drawing that event removes the error of order sqrt(dt)
    which looking at the points alone would leave (Gobet 2000).
    Raises `RunError` if some particle has not arrived by `limit`, `UsageError` for shapes and numbers out of range.
    """
    if x0.ndim != 2 or x0.shape[1] != 1 or not (beta > 0 and dt > 0):
        raise UsageError(f"got x0 {tuple(x0.shape)}, beta={beta}, dt={dt}; allowed: [n, 1], positive, positive")
    gap = goal - x0[:, 0]
    sign = gap.sign()
    if bool((sign == 0).any()):
        raise UsageError(f"x0: {int((sign == 0).sum())} particles begin at the goal {goal:g}; allowed: elsewhere")
    times, alive = torch.full((len(x0),), math.nan, dtype=torch.float64), torch.arange(len(x0))
    x, gap, gradient, evaluations, k = x0.detach().clone(), gap.abs(), score_function(density), 0, 0
    scale = math.sqrt(2 * dt / beta)
    while len(alive):
        if k * dt >= limit:
            raise RunError(f"{len(alive)} of {len(x0)} particles have not reached {goal:g} by time {limit:g}")
        evaluations, k = evaluations + len(x), k + 1
        x = x + dt * gradient(x) + scale * torch.randn(x.shape, generator=generator, dtype=x.dtype)
        ahead = sign * (goal - x[:, 0])
        touched = torch.rand(len(x), generator=generator, dtype=x.dtype) < (-beta * gap * ahead / dt).exp()
        arrived = (ahead <= 0) | touched
        gap = ahead
        if bool(arrived.any()):
            times[alive[arrived]] = (k - 0.5) * dt
            rest = ~arrived
            x, gap, sign, alive = x[rest], gap[rest], sign[rest], alive[rest]
    spread = float(times.std()) / math.sqrt(len(times)) if len(times) > 1 else math.nan
    return Passage(times, float(times.mean()), spread, evaluations)


def _far(psi: Potential, sign: float, a: float, b: float, beta: float) -> float:
    """The nearest of a, a - L, a - 2 L, a - 4 L, ... where beta psi has risen by 40 above its least value so far."""
    span, low = b - a, float(psi(sign * torch.linspace(a, b, 1001, dtype=torch.float64)).min())
    for k in range(60):
        far = a - span * 2.0**k / 8
        row = psi(sign * torch.linspace(far, a, 1001, dtype=torch.float64))
        low = min(low, float(row.min()))
        if beta * (float(row[0]) - low) > 40:
            return far
    raise UsageError("psi does not rise on the far side of the start; give the place of a reflecting wall")
