"""The spectrum of a game's field: how fast a game settles near a point, and how much it turns.

Near a stationary point w' = v(w) is w' = J (w - w*). The game settles if every eigenvalue of J has a negative real
part (Nagarajan and Kolter 2017; Mescheder, Nowozin, Geiger 2017), at the rate of the rightmost one; imaginary parts are
rotation, which no single loss could have. Parameters that the losses do not see (a constant added to logits, hidden
units that swap) give neutral directions, in which J is 0: they are projected out and counted, for they are no failure
to converge.

Costs: a full Jacobian takes as many field evaluations as there are parameters, in one batch; Arnoldi's method (large
games) about a hundred Jacobian-vector products for its few eigenvalues, and no matrix.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ganneal.dynamics.problem import Problem
from ganneal.errors import UsageError

FULL = 1500
"""Parameters up to which the full Jacobian is computed."""
CHUNK = 256
"""Rows of the Jacobian that are computed together."""
NEUTRAL, ROUGHLY = 1e-13, 1e-10
"""Singular values below this share of the largest are neutral directions: of automatic derivatives, and of differences.
Slow modes of stiff games have small ones too, but not as small as rounding."""
AGREEMENT = 1e-3
"""Largest relative error of automatic derivatives against differences; losses with stopped gradients exceed it."""
STILL = 1e-8
"""Eigenvalues below this share of the largest are not told from 0 by Arnoldi's method."""
NUDGE, PUSH = 1e-6, 1e-4
"""Two sizes of differences: where the field jumps, the smaller one makes the quotient a hundred times as large."""


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Eigenvalues of the Jacobian of a field.

    eigenvalues   complex [k], the rightmost first; without those of neutral directions
    neutral       how many directions were left out because the field does not change along them; None where not all
                  eigenvalues are known, and with them not how many are 0
    size          number of parameters
    complete      whether these are all; otherwise the rightmost and the largest
    rightmost     whether the rightmost one is among them; where not, `abscissa` and what follows from it are nan
    automatic     whether derivatives are automatic; otherwise central differences, which losses with stopped gradients
                  need
    norm          |v| at the point; a spectrum speaks of convergence where this is nearly 0
    """

    eigenvalues: Tensor
    neutral: int | None
    size: int
    complete: bool
    automatic: bool
    norm: float
    rightmost: bool = True

    @property
    def abscissa(self) -> float:
        """The largest real part: the game settles like exp(abscissa * t) if it is negative; nan if it is not known."""
        if not self.rightmost:
            return math.nan
        return float(self.eigenvalues.real.max()) if len(self.eigenvalues) else -math.inf

    @property
    def slowest(self) -> complex:
        """The rightmost eigenvalue; of a pair the upper one."""
        if not self.rightmost:
            return complex(math.nan)
        if not len(self.eigenvalues):
            return complex(-math.inf)
        near = self.eigenvalues[self.eigenvalues.real > self.abscissa - 1e-9 * self.scale]
        return complex(near[near.imag.argmax()])

    @property
    def scale(self) -> float:
        """The largest modulus."""
        return float(self.eigenvalues.abs().max()) if len(self.eigenvalues) else 0.0

    @property
    def rotation(self) -> float:
        """The largest |Im| / |Re|: 0 for a potential, infinite for a game that only turns."""
        still = 1e-9 * self.scale
        ratios = [
            math.inf if abs(z.real) <= still else abs(z.imag / z.real)
            for z in self.eigenvalues.tolist()
            if abs(z.imag) > still
        ]
        return max(ratios, default=0.0)

    @property
    def damping(self) -> float:
        """The smallest -Re / |z|: 1 without rotation, 0 for pure rotation, negative for growth."""
        return min((-z.real / abs(z) for z in self.eigenvalues.tolist() if abs(z) > 1e-9 * self.scale), default=1.0)

    @property
    def euler(self) -> float:
        """Largest stable step of simultaneous gradient descent, min of 2 |Re| / |z|^2; 0 if there is none."""
        if not self.rightmost:
            return math.nan
        if not len(self.eigenvalues) or self.abscissa >= -1e-12 * self.scale:
            return 0.0 if len(self.eigenvalues) else math.inf
        return min(-2 * z.real / abs(z) ** 2 for z in self.eigenvalues.tolist())

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain numbers."""
        return {
            "eigenvalues": [[z.real, z.imag] for z in self.eigenvalues.tolist()],
            "neutral": self.neutral,
            "size": self.size,
            "complete": self.complete,
            "automatic": self.automatic,
            "field_norm": self.norm,
            "abscissa": self.abscissa if math.isfinite(self.abscissa) else None,
            "rotation": self.rotation if math.isfinite(self.rotation) else None,
            "damping": self.damping,
        }


def field_spectrum(problem: Problem, count: int = 12) -> Spectrum:
    """The spectrum at the problem's point: complete up to 1500 parameters, by Arnoldi's method beyond, which finds
    `count` of the rightmost and `count` of the largest eigenvalues.

    Raises UsageError where the field jumps, and has no derivative.
    """
    if not differentiable(problem):
        raise UsageError(
            "the field is not differentiable at this point and has no eigenvalues there: penalties on a norm, (|grad| "
            "- 1)^2 of gp and dragan, jump where the critic is flat; use sgp or r1, which are smooth"
        )
    if problem.size > FULL:
        return _arnoldi(problem, count)
    found, automatic = jacobian(problem)
    values, neutral = eigenvalues(found, NEUTRAL if automatic else ROUGHLY)
    return Spectrum(values, neutral, problem.size, True, automatic, float(problem.field(problem.flat()).norm()))


def jacobian(problem: Problem) -> tuple[Tensor, bool]:
    """(J [n, n], whether it was differentiated automatically): the derivative of the field at the problem's point."""
    w = problem.flat()
    found: Tensor = torch.func.jacrev(problem.field, chunk_size=CHUNK)(w).detach()
    direction = _general(w)
    if _agree(found @ direction, _difference(problem, w, direction)):
        return found, True
    columns = [_difference(problem, w, e) for e in torch.eye(len(w), dtype=w.dtype)]
    return torch.stack(columns, 1), False


def eigenvalues(matrix: Tensor, neutral: float = NEUTRAL, most: int | None = None) -> tuple[Tensor, int]:
    """(eigenvalues [n - k], the rightmost first; k): those of a matrix on its range, where the k neutral directions in
    which it is 0 are projected out, at most `most` of them.

    The range is invariant, and the matrix has the same eigenvalues on it but for the zeros of its null space.
    """
    basis = range_of(matrix, neutral, most)
    if not basis.shape[1]:
        return torch.zeros(0, dtype=torch.complex128), len(matrix)
    values = torch.linalg.eigvals(basis.T @ matrix @ basis if basis.shape[1] < len(matrix) else matrix)
    return values[_order(values)], len(matrix) - basis.shape[1]


def range_of(matrix: Tensor, neutral: float = NEUTRAL, most: int | None = None) -> Tensor:
    """[n, n - k]: an orthonormal basis of the range of a matrix, without the directions of singular values that are 0
    to the precision `neutral` (never finer than that of the matrix's own rounding), at most `most` of them."""
    left, singular, _ = torch.linalg.svd(matrix)
    precision = max(neutral, len(matrix) * torch.finfo(matrix.dtype).eps)
    lost = int((singular <= precision * singular.max()).sum())
    return left[:, : len(matrix) - (lost if most is None else min(lost, most))]


def differentiable(problem: Problem) -> bool:
    """Whether the field does not jump at the problem's point, nor is nan near it: differences of two sizes are of one
    order, in a random direction."""
    w = problem.flat()
    direction = _general(w)
    small, large = (_difference(problem, w, direction, size) for size in (NUDGE, PUSH))
    finite = bool(small.isfinite().all()) and bool(large.isfinite().all())
    return finite and bool(small.norm() <= 10 * large.norm() + 1e-7 * direction.norm())


def path(
    problem: Problem, start: Tensor, end: Tensor, points: int = 41, beyond: float = 0.2
) -> tuple[Tensor, Tensor, Tensor]:
    """(place [p], cosine [p], norm [p]): the angle between the field and the direction from `start` to `end`, and the
    field's norm, along the line through both (Berard, Gidel, Almahairi, Vincent, Lacoste-Julien 2020).

    place     0 at the start, 1 at the end; it goes on a little beyond
    cosine    a step from +1 to -1 at an attractive end without rotation; a bump around the end where it turns
    """
    toward = end - start
    place = torch.linspace(0, 1 + beyond, points, dtype=start.dtype)
    cosines, norms = [], []
    for t in place:
        v = problem.field(start + t * toward).detach()
        norms.append(v.norm())
        cosines.append(v @ toward / (v.norm() * toward.norm()).clamp(min=1e-300))
    return place, torch.stack(cosines), torch.stack(norms)


def _order(values: Tensor) -> Tensor:
    """Rightmost first; the upper of a pair before the lower, whatever the last bits say."""
    scale = max(float(values.abs().max()), 1e-300) if len(values) else 1.0
    keys = [(-round(z.real / scale, 9), -round(abs(z.imag) / scale, 9), -z.imag) for z in values.tolist()]
    return torch.tensor(sorted(range(len(keys)), key=keys.__getitem__), dtype=torch.long)


def _difference(problem: Problem, w: Tensor, direction: Tensor, nudge: float = NUDGE) -> Tensor:
    """J v by central differences, v scaled to a small nudge."""
    size = nudge * max(1.0, float(w.abs().max())) / max(float(direction.norm()), 1e-300)
    ahead, behind = (problem.field(w + s * size * direction).detach() for s in (1, -1))
    return (ahead - behind) / (2 * size)


def _forward(problem: Problem, w: Tensor, direction: Tensor) -> Tensor:
    found: Tensor = torch.func.jvp(problem.field, (w,), (direction,))[1]
    return found.detach()


def _general(w: Tensor) -> Tensor:
    """A direction in general position, always the same."""
    return torch.randn(len(w), generator=torch.Generator().manual_seed(0), dtype=w.dtype)


def _agree(exact: Tensor, measured: Tensor) -> bool:
    """Whether automatic derivatives of the field are those of its differences."""
    return bool((exact - measured).norm() <= AGREEMENT * measured.norm() + 1e-8)


def _arnoldi(problem: Problem, count: int) -> Spectrum:
    from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigs

    w = problem.flat()
    direction = _general(w)
    automatic = _agree(_forward(problem, w, direction), _difference(problem, w, direction))
    product = _forward if automatic else _difference

    def apply(v: np.ndarray) -> np.ndarray:
        return product(problem, w, torch.from_numpy(np.ascontiguousarray(v.reshape(-1))).to(w.dtype)).numpy()

    n = len(w)
    operator = LinearOperator((n, n), matvec=apply, dtype=np.float64)
    # what begins in the range of J stays there but for rounding: neutral directions, which may be many, crowd the right
    # edge less
    first = apply(apply(np.random.default_rng(0).standard_normal(n)))
    found: list[complex] = []
    edge: list[complex] = []
    for which, many, width in (("LM", count, 4 * count + 1), ("LR", count, 4 * count + 1), ("LR", 2, 12 * count)):
        if any(abs(z) > STILL * max(map(abs, found)) for z in edge):
            break
        try:
            values = eigs(operator, many, which=which, v0=first, tol=1e-6, maxiter=30, ncv=min(n - 1, width),
                          return_eigenvectors=False)  # fmt: skip
            edge = [complex(z) for z in values] if which == "LR" else edge
        except ArpackNoConvergence as partial:
            values = partial.eigenvalues
        found += [complex(z) for z in values]
    scale = max((abs(z) for z in found), default=1.0)
    still = STILL * scale
    distinct: list[complex] = []
    for z in found:
        if abs(z) > still and all(abs(z - other) > 1e-6 * scale for other in distinct):
            distinct.append(z)
    kept = torch.tensor(distinct, dtype=torch.complex128)
    known = any(abs(z) > still for z in edge)
    norm = float(problem.field(w).detach().norm())
    return Spectrum(kept[_order(kept)], None, n, False, automatic, norm, known)
