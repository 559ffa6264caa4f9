"""The Fokker-Planck equation on a box in one or two dimensions, d_t rho = div(a rho grad psi) + b Lap rho, a / b =
beta, no flux through the walls.

Finite volumes with the exponentially fitted flux of Scharfetter and Gummel (1969) between neighbouring cells,

    J = (b / dx) (B(D) rho_i - B(-D) rho_(i+1)),   D = beta (psi_(i+1) - psi_i),   B(z) = z / (e^z - 1)

As B(-D) = e^D B(D), every flux vanishes at rho ~ exp(-beta psi): mu_beta (its values at the cell centres) is exactly
stationary. Steps in time are implicit Euler, (I - dt A) rho' = rho, with an M-matrix whose columns sum to 1: rho stays
positive and keeps its mass for any dt; the error is of first order in dt. In two dimensions one step is half a step
along x, one along y, half along x (Strang): each solve is tridiagonal, along all lines at once, and mu_beta is
stationary for each of them, hence for their product, also when beta changes every step and no factorisation of a
two-dimensional operator could be kept.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ganneal.diffusion.langevin import Density, check_clock
from ganneal.diffusion.paths import beta_steps
from ganneal.errors import UsageError

Array = np.ndarray


@dataclass(frozen=True)
class Box:
    """[low, high] per axis, cut into equal cells: Box((-8,), (8,), (800,)) or Box((-4, -4), (4, 4), (256, 256)).

    Raises `UsageError` unless it has one or two axes with low < high and at least 3 cells.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]
    cells: tuple[int, ...]

    def __post_init__(self) -> None:
        if not (len(self.low) == len(self.high) == len(self.cells) in (1, 2)):
            raise UsageError(f"box: got {len(self.low)}, {len(self.high)}, {len(self.cells)} axes; allowed: 1 or 2")
        if not all(a < b and n >= 3 for a, b, n in zip(self.low, self.high, self.cells, strict=True)):
            raise UsageError(f"box: got {self}; allowed: low < high, at least 3 cells per axis")

    @property
    def widths(self) -> tuple[float, ...]:
        """dx per axis."""
        return tuple((b - a) / n for a, b, n in zip(self.low, self.high, self.cells, strict=True))

    @property
    def volume(self) -> float:
        """Of one cell."""
        return math.prod(self.widths)

    @property
    def axes(self) -> tuple[Float[Tensor, " n"], ...]:
        """Cell centres along each axis, float64."""
        return tuple(
            a + w * (torch.arange(n, dtype=torch.float64) + 0.5)
            for a, w, n in zip(self.low, self.widths, self.cells, strict=True)
        )

    @property
    def centres(self) -> Float[Tensor, "cells d"]:
        """All cell centres, as rows; `view(*cells)` turns values at them into a field."""
        return torch.cartesian_prod(*self.axes).view(-1, len(self.cells))


@dataclass(frozen=True)
class Flow:
    """times [k] and cell densities [k, *cells] at them, float64; the last is the end."""

    times: tuple[float, ...]
    rho: Float[Tensor, "k *cells"]

    @property
    def final(self) -> Float[Tensor, "*cells"]:
        """The density at the end."""
        return self.rho[-1]


def potential(density: Density, box: Box) -> Float[Tensor, "*cells"]:
    """psi = -log u at the cell centres."""
    return -density.value_and_score(box.centres)[0].double().view(box.cells)


def normalised(rho: Float[Tensor, "*cells"], box: Box) -> Float[Tensor, "*cells"]:
    """rho / (sum of rho times the cell volume). Raises `UsageError` if it is negative, not finite, or all zero."""
    rho = torch.as_tensor(rho).double()
    if tuple(rho.shape) != box.cells or not bool((rho >= 0).all()) or not 0 < float(rho.sum()) < math.inf:
        raise UsageError(f"density: expected {box.cells} values, none negative, not all 0; got {tuple(rho.shape)}")
    return rho / (rho.sum() * box.volume)


def gaussian_cells(box: Box, mean: Sequence[float], sd: Sequence[float]) -> Float[Tensor, "*cells"]:
    """Product of normal laws as a density on the cells, by the exact mass of each cell, so narrow laws keep theirs."""
    field = torch.ones(box.cells, dtype=torch.float64)
    for axis, (m, s) in enumerate(zip(mean, sd, strict=True)):
        edges = torch.linspace(box.low[axis], box.high[axis], box.cells[axis] + 1, dtype=torch.float64)
        mass = torch.special.ndtr((edges - m) / s).diff()
        field = field * mass.view([-1 if i == axis else 1 for i in range(len(box.cells))])
    return normalised(field, box)


def gibbs(psi: Float[Tensor, "*cells"], box: Box, beta: float = 1.0) -> Float[Tensor, "*cells"]:
    """mu_beta = exp(-beta psi) / Z_beta on the cells."""
    return (-beta * psi - log_partition(psi, box, beta)).exp()


def log_partition(psi: Float[Tensor, "*cells"], box: Box, beta: float = 1.0) -> float:
    """log Z_beta = log of the sum of exp(-beta psi) times the cell volume."""
    return float((-beta * psi.double()).flatten().logsumexp(0)) + math.log(box.volume)


def fokker_planck(
    psi: Float[Tensor, "*cells"], box: Box, rho: Float[Tensor, "*cells"], beta: Any, time: float, dt: float,
    *, clock: str = "entropy", record: Sequence[float] = (),
) -> Flow:  # fmt: skip
    """Solve from rho for `time` in steps of about `dt`.

    psi, rho  values at the cell centres; rho is normalised first
    beta      a number, a schedule over progress in [0, 1], or its text
    clock     "entropy": a = 1, b = 1 / beta; "likelihood": a = beta, b = 1
    record    times at which the density is kept, rounded to the step
    Raises `UsageError` for shapes, times, clocks or a psi that is not finite.
    """
    betas, steps = beta_steps(beta, time, dt)
    check_clock(clock)
    psi = torch.as_tensor(psi).double()
    if tuple(psi.shape) != box.cells or not bool(psi.isfinite().all()):
        raise UsageError(f"psi: got shape {tuple(psi.shape)}; allowed: {box.cells}, all finite")
    if any(not 0 <= at <= time for at in record):
        raise UsageError(f"record: got {tuple(record)}; allowed: times from 0 to {time:g}")
    stops = sorted({*(round(at / time * steps) for at in record), steps})
    h, kept = time / steps, []
    field = normalised(rho, box).numpy()
    lines = [Lines(psi.numpy(), width, axis) for axis, width in enumerate(box.widths)]
    for k in range(steps + 1):
        if k in stops:
            kept.append(torch.from_numpy(field.copy()))
        if k == steps:
            break
        beta_now, noise = betas[k], 1 / betas[k] if clock == "entropy" else 1.0
        if len(lines) == 1:
            field = lines[0].solve(field, beta_now, noise * h)
        else:
            field = lines[0].solve(field, beta_now, noise * h / 2)
            field = lines[1].solve(field, beta_now, noise * h)
            field = lines[0].solve(field, beta_now, noise * h / 2)
    return Flow(tuple(k * h for k in stops), torch.stack(kept))


class Lines:
    """(I - t A) along one axis, for all lines of the field at once: one tridiagonal system without links between lines.

    The factorisation is kept as long as beta and t stay.
    """

    def __init__(self, psi: Array, width: float, axis: int):
        self.axis, self.width = axis, width
        self.steps = np.diff(np.moveaxis(psi, axis, -1), axis=-1)
        self.key: tuple[float, float] | None = None
        self.factors: tuple[Array, ...] = ()

    def solve(self, field: Array, beta: float, t: float) -> Array:
        """rho' with (I - t A) rho' = rho; field [*cells]."""
        from scipy.linalg import lapack

        if self.key != (beta, t):
            self.key, self.factors = (beta, t), lapack.dgttrf(*self._bands(beta, t))[:5]
        turned = np.moveaxis(field, self.axis, -1)
        solved, _ = lapack.dgttrs(*self.factors, turned.reshape(-1))
        return np.moveaxis(solved.reshape(turned.shape), -1, self.axis)

    def _bands(self, beta: float, t: float) -> tuple[Array, Array, Array]:
        """Lower, main and upper diagonal of I - t A."""
        rate = t / self.width**2
        out, back = bernoulli(beta * self.steps), bernoulli(-beta * self.steps)  # from i to i + 1, and back
        shape = (*self.steps.shape[:-1], self.steps.shape[-1] + 1)
        lower, main, upper = np.zeros(shape), np.ones(shape), np.zeros(shape)
        main[..., :-1] += rate * out
        main[..., 1:] += rate * back
        lower[..., :-1] = -rate * out
        upper[..., :-1] = -rate * back
        return lower.reshape(-1)[:-1], main.reshape(-1), upper.reshape(-1)[:-1]


def bernoulli(z: Array) -> Array:
    """B(z) = z / (e^z - 1), 1 at 0; 0 where e^z overflows."""
    z = np.asarray(z, dtype=np.float64)
    safe = np.where(np.abs(z) < 1e-12, 1.0, np.minimum(z, 700.0))
    return np.where(np.abs(z) < 1e-12, 1 - z / 2, safe / np.expm1(safe))
