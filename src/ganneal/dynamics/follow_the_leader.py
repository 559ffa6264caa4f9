"""Mixed equilibria by two learners without regret: the generator follows the leader, the discriminator a regularised
one, and the uniform mixtures of what they played are an equilibrium as 1/sqrt T.

    u_t = argmin_u sum_{s<t} M(u, v_s)
    v_t = argmax_{v in K} sum_{s<t} grad g_s(v_s)'v - (sqrt T / (2 eta)) |v|^2
        = Proj_K[(eta / sqrt T) sum_{s<t} grad g_s(v_s)]

with g_s(v) = M(u_s, v) concave, eta = d / (sqrt 2 L), d the diameter of K and L a Lipschitz constant of M in v
(Grnarova et al. 2018, Algorithm 1 and Theorem 1). The oracle for u needs small games: here finitely many generators.
That of training with networks, `ganneal.solvers.Chekhov`, is another algorithm without that guarantee.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ganneal.errors import UsageError

Vector = NDArray[np.float64]


class ConvexGame(ABC):
    """min over finitely many generators u, max over v in a convex set K, of M(u, v), concave in v.

    generators, size     number of generators; length of v
    lipschitz, diameter  L of M in v, and d of K
    """

    generators: int
    size: int
    lipschitz: float
    diameter: float

    @abstractmethod
    def payoffs(self, v: Vector) -> Vector:
        """M(u, v) of every generator, [m]."""

    @abstractmethod
    def slope(self, u: int, v: Vector) -> Vector:
        """grad_v M(u, v), [d]."""

    @abstractmethod
    def project(self, v: Vector) -> Vector:
        """The nearest point of K, [d]."""

    @abstractmethod
    def best(self, weights: Vector) -> float:
        """max_v sum_u weights_u M(u, v): what a mixture of generators is worth at its worst."""

    def pure(self) -> float:
        """min_u max_v M(u, v): the best that one generator can do."""
        return min(self.best(row) for row in np.eye(self.generators))


@dataclass(frozen=True)
class Bilinear(ConvexGame):
    """M = u v on [-1, 1]^2. Generators are the ends of the interval, of which every leader is one; value 0."""

    generators = 2
    size = 1
    lipschitz = 1.0
    diameter = 2.0

    def payoffs(self, v: Vector) -> Vector:
        return np.array([-v[0], v[0]])

    def slope(self, u: int, v: Vector) -> Vector:
        return np.array([2.0 * u - 1.0])

    def project(self, v: Vector) -> Vector:
        return np.clip(v, -1.0, 1.0)

    def best(self, weights: Vector) -> float:
        return float(abs(weights[1] - weights[0]))


@dataclass(frozen=True)
class ThreeMoves(ConvexGame):
    """M(u, v) = v's mean win against u, v a mixture of the three moves: a pure generator loses 1, a mixed one 0."""

    generators = 3
    size = 3
    lipschitz = math.sqrt(2.0)
    diameter = math.sqrt(2.0)
    wins = ((0.0, 1.0, -1.0), (-1.0, 0.0, 1.0), (1.0, -1.0, 0.0))
    """wins[u][v]: paper (1) beats rock (0), scissors (2) beat paper, rock beats scissors."""

    def payoffs(self, v: Vector) -> Vector:
        return np.array(self.wins) @ v

    def slope(self, u: int, v: Vector) -> Vector:
        return np.array(self.wins[u])

    def project(self, v: Vector) -> Vector:
        """Onto the simplex (Held, Wolfe, Crowder 1974)."""
        ordered = np.sort(v)[::-1]
        excess = (np.cumsum(ordered) - 1) / np.arange(1, len(v) + 1)
        return np.maximum(v - excess[np.nonzero(ordered > excess)[0][-1]], 0)

    def best(self, weights: Vector) -> float:
        return float((weights @ np.array(self.wins)).max())


class PointGenerators(ConvexGame):
    """Generators that are points, against a logistic discriminator h_v(x) = sigmoid(v'f(x)) with |v| <= radius:

        M(u, v) = 1/2 mean_i log h_v(x_i) + 1/2 log(1 - h_v(g_u)).

    data     features of the data, [n, d]
    points   features of the generators' points, [m, d]
    """

    def __init__(self, data: Vector, points: Vector, radius: float):
        if data.ndim != 2 or points.ndim != 2 or data.shape[1] != points.shape[1]:
            raise UsageError(
                f"PointGenerators: data and points must be [n, d] and [m, d], got {data.shape} and {points.shape}"
            )
        if not radius > 0:
            raise UsageError(f"PointGenerators: radius must be above 0, got {radius}")
        self.data, self.points, self.radius = np.asarray(data, float), np.asarray(points, float), radius
        self.generators, self.size = points.shape
        longest = np.linalg.norm(np.concatenate([self.data, self.points]), axis=1).max()
        self.lipschitz, self.diameter = float(longest), 2.0 * radius
        self._curvature = float(longest) ** 2 / 4

    def payoffs(self, v: Vector) -> Vector:
        return -(softplus(-self.data @ v).mean() + softplus(self.points @ v)) / 2

    def slope(self, u: int, v: Vector) -> Vector:
        found: Vector = (
            sigmoid(-self.data @ v) @ self.data / len(self.data) - sigmoid(self.points[u] @ v) * self.points[u]
        ) / 2
        return found

    def project(self, v: Vector) -> Vector:
        return v * min(1.0, self.radius / max(float(np.linalg.norm(v)), 1e-300))

    def best(self, weights: Vector) -> float:
        """By accelerated projected gradients (Beck and Teboulle 2009), restarted where they turn back."""
        used = np.nonzero(weights)[0]
        w, points = weights[used], self.points[used]

        def rise(v: Vector) -> Vector:
            found: Vector = (
                sigmoid(-self.data @ v) @ self.data / len(self.data) - (w * sigmoid(points @ v)) @ points
            ) / 2
            return found

        v = ahead = np.zeros(self.size)
        momentum = 1.0
        for _ in range(3000):
            new = self.project(ahead + rise(ahead) / self._curvature)
            if (ahead - new) @ (new - v) > 0:
                momentum = 1.0
            grown = (1 + math.sqrt(1 + 4 * momentum**2)) / 2
            ahead = new + (momentum - 1) / grown * (new - v)
            if np.abs(new - v).max() < 1e-13:
                break
            v, momentum = new, grown
        return float(weights @ self.payoffs(v))


def sigmoid(t: Vector) -> Vector:
    """1 / (1 + e^-t)."""
    found: Vector = np.exp(-softplus(-t))
    return found


def softplus(t: Vector) -> Vector:
    """log(1 + e^t)."""
    found: Vector = np.logaddexp(0.0, t)
    return found


@dataclass(frozen=True)
class Mixtures:
    """What T rounds played: uniform mixtures of the generators `played` [T] and of the discriminators `answers`
    [T, d].

    upper   max_v of the mixed generator's mean payoff: its value at worst
    lower   min_u of the mixed discriminator's: the value of the game is between the two
    bound   what `gap` is at most, (sqrt 2 + 1/sqrt 2) L d / sqrt T, up to O(1/T)
    """

    played: NDArray[np.int64]
    answers: Vector
    upper: float
    lower: float
    bound: float

    @property
    def gap(self) -> float:
        """upper - lower, the distance from a mixed equilibrium."""
        return self.upper - self.lower


def follow_the_leader(game: ConvexGame, rounds: int) -> Mixtures:
    """Play so many rounds; the number must be known in advance, because the regularisation is sqrt T.

    Raises `UsageError` for less than one round.
    """
    if rounds < 1:
        raise UsageError(f"follow_the_leader: rounds must be at least 1, got {rounds}")
    rate = game.diameter / (math.sqrt(2) * game.lipschitz) / math.sqrt(rounds)
    total, slopes = np.zeros(game.generators), np.zeros(game.size)
    played, answers = np.zeros(rounds, dtype=np.int64), np.zeros((rounds, game.size))
    for t in range(rounds):
        u, v = int(np.argmin(total)), game.project(rate * slopes)  # before anything was played: the first, and 0
        played[t], answers[t] = u, v
        total += game.payoffs(v)
        slopes += game.slope(u, v)
    weights = np.bincount(played, minlength=game.generators) / rounds
    bound = (math.sqrt(2) + math.sqrt(0.5)) * game.lipschitz * game.diameter / math.sqrt(rounds)
    return Mixtures(played, answers, game.best(weights), float(total.min() / rounds), bound)
