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

FULL = 1500
"""Parameters up to which the full Jacobian is computed."""
CHUNK = 256
"""Rows of the Jacobian that are computed together."""
NEUTRAL = 1e-9
"""Singular values of the Jacobian below this share of the largest are neutral directions."""
AGREEMENT = 1e-3
"""Largest relative error of automatic derivatives against differences; losses with stopped gradients exceed it."""
NUDGE = 1e-6


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Eigenvalues of the Jacobian of a field.

    eigenvalues   complex [k], the rightmost first; without those of neutral directions
    neutral       how many directions were left out because the field does not change along them
    size          number of parameters
    complete      whether these are all; otherwise the rightmost and the largest
    automatic     whether derivatives are automatic; otherwise central differences, which losses with stopped gradients
                  need
    norm          |v| at the point; a spectrum speaks of convergence where this is nearly 0
    """

    eigenvalues: Tensor
    neutral: int
    size: int
    complete: bool
    automatic: bool
    norm: float

    @property
    def abscissa(self) -> float:
        """The largest real part: the game settles like exp(abscissa * t) if it is negative."""
        return float(self.eigenvalues.real.max()) if len(self.eigenvalues) else -math.inf

    @property
    def slowest(self) -> complex:
        """The rightmost eigenvalue; of a pair the upper one."""
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
            "abscissa": self.abscissa,
            "rotation": self.rotation if math.isfinite(self.rotation) else None,
            "damping": self.damping,
        }


def field_spectrum(problem: Problem, count: int = 12) -> Spectrum:
    """The spectrum at the problem's point: complete up to 1500 parameters, by Arnoldi's method beyond, which finds
    `count` of the rightmost and `count` of the largest eigenvalues."""
    if problem.size > FULL:
        return _arnoldi(problem, count)
    found, automatic = jacobian(problem)
    values, neutral = eigenvalues(found)
    return Spectrum(values, neutral, problem.size, True, automatic, float(problem.field(problem.flat()).norm()))


def jacobian(problem: Problem) -> tuple[Tensor, bool]:
    """(J [n, n], whether it was differentiated automatically): the derivative of the field at the problem's point."""
    w = problem.flat()
    if _automatic(problem, w):
        found: Tensor = torch.func.jacrev(problem.field, chunk_size=CHUNK)(w)
        return found.detach(), True
    columns = [_difference(problem, w, e) for e in torch.eye(len(w), dtype=w.dtype)]
    return torch.stack(columns, 1), False


def eigenvalues(matrix: Tensor, neutral: float = NEUTRAL) -> tuple[Tensor, int]:
    """(eigenvalues [n - k], the rightmost first; k): those of a matrix on its range, where the k neutral directions in
    which it is 0 are projected out.

    The range is invariant, and the matrix has the same eigenvalues on it but for the zeros of its null space.
    """
    left, singular, _ = torch.linalg.svd(matrix)
    rank = int((singular > neutral * singular.max().clamp(min=1e-300)).sum())
    if singular.max() == 0:
        return torch.zeros(0, dtype=torch.complex128), len(matrix)
    basis = left[:, :rank]
    values = torch.linalg.eigvals(basis.T @ matrix @ basis)
    return values[_order(values)], len(matrix) - rank


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


def _difference(problem: Problem, w: Tensor, direction: Tensor) -> Tensor:
    """J v by central differences, v scaled to a small nudge."""
    size = NUDGE * max(1.0, float(w.abs().max())) / max(float(direction.norm()), 1e-300)
    ahead, behind = (problem.field(w + s * size * direction).detach() for s in (1, -1))
    return (ahead - behind) / (2 * size)


def _forward(problem: Problem, w: Tensor, direction: Tensor) -> Tensor:
    found: Tensor = torch.func.jvp(problem.field, (w,), (direction,))[1]
    return found.detach()


def _automatic(problem: Problem, w: Tensor) -> bool:
    """Whether automatic derivatives of the field are those of its differences, in a random direction."""
    direction = torch.randn(len(w), generator=torch.Generator().manual_seed(0), dtype=w.dtype)
    exact, measured = _forward(problem, w, direction), _difference(problem, w, direction)
    return bool((exact - measured).norm() <= AGREEMENT * measured.norm() + 1e-8)


def _arnoldi(problem: Problem, count: int) -> Spectrum:
    from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigs

    w = problem.flat()
    automatic = _automatic(problem, w)
    product = _forward if automatic else _difference

    def apply(v: np.ndarray) -> np.ndarray:
        return product(problem, w, torch.from_numpy(np.ascontiguousarray(v.reshape(-1))).to(w.dtype)).numpy()

    n = len(w)
    operator = LinearOperator((n, n), matvec=apply, dtype=np.float64)
    first = np.random.default_rng(0).standard_normal(n)
    found: list[complex] = []
    for which in ("LR", "LM"):
        try:
            values = eigs(operator, count, which=which, v0=first, tol=1e-6, maxiter=30, ncv=4 * count + 1,
                          return_eigenvectors=False)  # fmt: skip
        except ArpackNoConvergence as partial:
            values = partial.eigenvalues
        found += [complex(z) for z in values]
    scale = max((abs(z) for z in found), default=1.0)
    distinct: list[complex] = []
    for z in found:
        if all(abs(z - other) > 1e-6 * scale for other in distinct):
            distinct.append(z)
    values = torch.tensor(distinct, dtype=torch.complex128)
    kept = values[values.abs() > 1e-8 * scale]
    return Spectrum(
        kept[_order(kept)], len(values) - len(kept), n, False, automatic, float(problem.field(w).detach().norm())
    )
