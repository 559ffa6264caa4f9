"""A GAN on a finite sample space as a convex programme: the discriminator is the primal variable, the generator's
probabilities are the multipliers, and subgradient steps on them converge.

    maximise sum_i p_i log D_i  subject to  log 2(1 - D_i) >= 0,
    L(D, q) = sum_i p_i log D_i + sum_i q_i log 2(1 - D_i)                          (Chen, Wang, Ge 2018, section 3)

with optimum D = 1/2 and multipliers q = p. A point without mass is seen by its constraint at once, where a generator
that follows the discriminator's gradient cannot create mass at a far mode.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ganneal.errors import UsageError

Vector = NDArray[np.float64]
CLIP = 1e-6
"""Discriminators stay this far from 1, so that a constraint is at least log 2e-6."""


@dataclass(frozen=True)
class Path:
    """Multipliers [steps + 1, n] from the start on, and the discriminators [steps, n] that answered them."""

    multipliers: Vector
    discriminators: Vector

    @property
    def last(self) -> Vector:
        """The multipliers at the end, [n]; at the optimum the data's probabilities, normalised by themselves."""
        found: Vector = self.multipliers[-1]
        return found


def best_response(p: Vector, q: Vector) -> Vector:
    """argmax_D L(D, q) = p / (p + q), clipped to [1e-6, 1 - 1e-6], [n]."""
    return np.clip(p / np.maximum(p + q, 1e-300), CLIP, 1 - CLIP)


def constraint(discriminator: Vector) -> Vector:
    """f1(D) = log 2(1 - D), [n]: negative where the discriminator is above 1/2, that is, where mass is missing."""
    found: Vector = np.log(2 * (1 - discriminator))
    return found


def dual_value(p: Vector, q: Vector) -> float:
    """max_D L(D, q), convex in q; 2 JSD(p||q) - log 2 for probabilities q."""
    p, q = np.asarray(p, float), np.asarray(q, float)
    total = p + q
    first = np.where(p > 0, p * np.log(np.where(p > 0, p, 1) / np.where(p > 0, total, 1)), 0)
    second = np.where(q > 0, q * np.log(2 * np.where(q > 0, q, 1) / np.where(q > 0, total, 1)), 0)
    return float((first + second).sum())


def factors(p: Vector, rate: float) -> Vector:
    """What is left of a small error of every coordinate after a step, 1 - rate/(2 p_i), [n]: stable for rate <
    4 min p_i, oscillating from 2 p_i on."""
    return 1 - rate / (2 * np.asarray(p, float))


def primal_dual(p: Vector, start: Vector, rate: float, steps: int, ascents: int = 0, ascent_rate: float = 0.1) -> Path:
    """Iterate q_i <- [q_i - rate f1(D_i)]_+ from `start` (Chen, Wang, Ge 2018, Algorithm 1, on probabilities).

    p, start   probabilities of the data and first multipliers, [n]; multipliers need not sum to 1
    rate       step of the multipliers; converges for rate < 4 min p_i
    ascents    discriminator steps on its logits before every dual step, from where it was; 0 for the best response
               itself

    Raises `UsageError` for shapes that differ, a rate that is not positive, or negative numbers.
    """
    p, q = np.asarray(p, float), np.asarray(start, float)
    if p.ndim != 1 or p.shape != q.shape:
        raise UsageError(f"primal_dual: p and start must be vectors of one length, got shapes {p.shape} and {q.shape}")
    if (p <= 0).any() or (q < 0).any():
        raise UsageError("primal_dual: probabilities must be above 0 and multipliers not below; leave empty atoms out")
    if rate <= 0 or steps < 1 or ascents < 0:
        raise UsageError(
            f"primal_dual: rate and steps must be positive and ascents not negative, got {rate}, {steps}, {ascents}"
        )
    logits = np.zeros_like(p)
    multipliers, discriminators = [q], []
    for _ in range(steps):
        if ascents:
            for _ in range(ascents):
                d = 1 / (1 + np.exp(-logits))
                logits = logits + ascent_rate * (p * (1 - d) - q * d) / (p + q)
            d = np.clip(1 / (1 + np.exp(-logits)), CLIP, 1 - CLIP)
        else:
            d = best_response(p, q)
        q = np.maximum(q - rate * constraint(d), 0)
        multipliers.append(q)
        discriminators.append(d)
    return Path(np.stack(multipliers), np.stack(discriminators))
