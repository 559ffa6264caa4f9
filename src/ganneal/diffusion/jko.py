"""The Jordan-Kinderlehrer-Otto step in one dimension: implicit Euler for the Wasserstein gradient flow (1998),

    rho_(k+1) = argmin over rho of W2^2(rho, rho_k) / (2 tau) + F(rho; beta) / beta

On the line W2 is the L2 distance of quantile functions, so a law is carried as n quantiles X_1 < ... < X_n at levels
(j - 1/2) / n, and the problem is, with gaps carrying mass 1/n each,

    (1/n) sum (X_j - X_j^k)^2 / (2 tau) + (1/n) sum psi(X_j) - (1/(n beta)) sum log(n (X_(j+1) - X_j))

which is convex for tau < 1 / max(-psi'') and is minimised by Newton's method with a tridiagonal Hessian. As tau -> 0
the steps follow the Fokker-Planck equation on the entropy clock. For psi = k x^2 / 2 and Gaussian laws one step maps
the mean m to m / (1 + k tau), and the standard deviation s to the positive root of s' = s - tau (k s' - 1 / (beta s')).
"""

import math
from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ganneal.errors import RunError, UsageError

Potential = Callable[[Tensor], Tensor]
"""psi: points [n] -> values [n], differentiable twice, each point by itself."""


def jko_step(
    quantiles: Float[Tensor, " n"], psi: Potential, beta: float, tau: float, *, tolerance: float = 1e-10,
    iterations: int = 100,
) -> Float[Tensor, " n"]:  # fmt: skip
    """One step from strictly increasing quantiles.

    tolerance   of the Newton decrement, relative to the objective's scale 1
    Raises `UsageError` for quantiles that do not increase or numbers out of range, `RunError` if Newton's method does
    not converge (tau too large for a psi that is not convex).
    """
    old = quantiles.detach().double()
    if old.ndim != 1 or len(old) < 3 or not bool((old.diff() > 0).all()):
        raise UsageError("quantiles: allowed: at least 3 numbers, strictly increasing")
    if not (beta > 0 and tau > 0):
        raise UsageError(f"got beta={beta}, tau={tau}; allowed: positive numbers")
    x = old.clone()
    for _ in range(iterations):
        value = _objective(x, old, psi, beta, tau)
        gradient, direction = _newton(x, old, psi, beta, tau)
        decrement = -float(gradient @ direction)
        if abs(decrement) < tolerance:
            return x
        shrink = float((direction.diff() / x.diff()).min())
        length = min(1.0, 0.99 / -shrink) if shrink < 0 else 1.0  # gaps stay positive
        while _objective(x + length * direction, old, psi, beta, tau) > value - 1e-4 * length * decrement:
            length /= 2
            if length < 1e-12:
                break
        if decrement < 0 or length < 1e-12:
            break
        x = x + length * direction
    raise RunError(f"the step did not converge: take tau smaller than {tau:g}")


def jko_flow(
    quantiles: Float[Tensor, " n"], psi: Potential, beta: float, tau: float, steps: int
) -> Float[Tensor, "k n"]:
    """Quantiles after 0, 1, ..., steps steps."""
    rows = [quantiles.detach().double()]
    for _ in range(steps):
        rows.append(jko_step(rows[-1], psi, beta, tau))
    return torch.stack(rows)


def normal_quantiles(n: int, mean: float = 0.0, sd: float = 1.0) -> Float[Tensor, " n"]:
    """Quantiles of N(mean, sd^2) at levels (j - 1/2) / n."""
    return mean + sd * torch.special.ndtri((torch.arange(n, dtype=torch.float64) + 0.5) / n)


def wasserstein_line(x: Float[Tensor, " n"], y: Float[Tensor, " n"]) -> float:
    """W2 of two laws given by quantiles at the same levels."""
    return math.sqrt(float((x - y).square().mean()))


def free_energy_of_quantiles(x: Float[Tensor, " n"], psi: Potential, beta: float) -> float:
    """F / beta = E psi + (1/beta) E log rho, with rho = 1 / (n gap) on each of the n - 1 gaps."""
    n = len(x)
    return float(psi(x).mean() - (n * x.diff()).log().sum() / (n * beta))


def _objective(x: Tensor, old: Tensor, psi: Potential, beta: float, tau: float) -> float:
    return float((x - old).square().mean()) / (2 * tau) + free_energy_of_quantiles(x, psi, beta)


def _newton(x: Tensor, old: Tensor, psi: Potential, beta: float, tau: float) -> tuple[Tensor, Tensor]:
    """Gradient and Newton direction, both [n], of n times the objective over n."""
    from scipy.linalg import solve_banded

    n = len(x)
    leaf = x.clone().requires_grad_()
    with torch.enable_grad():
        (slope,) = torch.autograd.grad(psi(leaf).sum(), leaf, create_graph=True)
        (curve,) = torch.autograd.grad(slope.sum(), leaf) if slope.requires_grad else (torch.zeros_like(x),)
    pull = 1 / (beta * x.diff())
    gradient = (x - old) / tau + slope.detach()
    gradient[:-1] += pull
    gradient[1:] -= pull
    stiff = beta * pull.square()
    main = 1 / tau + curve
    main[:-1] += stiff
    main[1:] += stiff
    bands = np.zeros((3, n))
    bands[0, 1:], bands[1], bands[2, :-1] = -stiff.numpy(), main.numpy(), -stiff.numpy()
    direction = -torch.from_numpy(solve_banded((1, 1), bands, gradient.numpy()))
    return gradient / n, direction
