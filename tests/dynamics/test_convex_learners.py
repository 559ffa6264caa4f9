"""Learners with guarantees on small games: mixtures that become equilibria as 1/sqrt T, and multipliers that become
the data's probabilities."""

import math

import numpy as np
import pytest

from ganneal.dynamics.follow_the_leader import (
    Bilinear,
    ConvexGame,
    PointGenerators,
    ThreeMoves,
    follow_the_leader,
)
from ganneal.dynamics.primal_dual import best_response, constraint, dual_value, factors, primal_dual
from ganneal.errors import UsageError

ROUNDS = (25, 100, 400, 1600, 6400)


def circle(n: int) -> np.ndarray:
    """Fourier features of order 2 with a constant, of n points on a circle, [n, 5]."""
    t = 2 * np.pi * np.arange(n) / n
    return np.stack([np.ones(n), np.cos(t), np.sin(t), np.cos(2 * t), np.sin(2 * t)], 1)


POINTS = PointGenerators(circle(8), circle(40), radius=2.0)
"""Eight data points, forty generators that are points, eight of them on the data."""
GAMES: dict[str, ConvexGame] = {"bilinear": Bilinear(), "moves": ThreeMoves(), "points": POINTS}


def test_bilinear_gap() -> None:
    """gap sqrt T is about 1.4, far below the bound 4.24 of L = 1 and d = 2."""
    for rounds in (100, 200, 400, 1600, 3200):
        found = follow_the_leader(Bilinear(), rounds)
        assert 1.3 < found.gap * math.sqrt(rounds) < 1.5
        assert found.bound * math.sqrt(rounds) == pytest.approx(4.2426, abs=1e-4)
        assert found.lower <= 0 <= found.upper


@pytest.mark.parametrize("name", GAMES)
def test_gaps_shrink_within_the_bound(name: str) -> None:
    """At every T below the bound, with a slope of at least 1/2 in logarithms where rounding of T is left out."""
    gaps = [follow_the_leader(GAMES[name], rounds) for rounds in ROUNDS]
    assert all(0 <= found.gap < found.bound for found in gaps)
    slope = np.polyfit(np.log(ROUNDS), np.log([found.gap for found in gaps]), 1)[0]
    assert slope < -0.49


def test_a_mixture_of_points_wins_where_one_point_loses() -> None:
    """Any single generator is told apart, -.338; the mixture goes to the data and to the value -log 2."""
    assert POINTS.pure() == pytest.approx(-0.338, abs=1e-3)
    found = follow_the_leader(POINTS, 1600)
    assert -math.log(2) - 1e-9 < found.upper < -math.log(2) + 0.003
    assert found.lower <= -math.log(2) + 1e-9
    mass = np.bincount(found.played, minlength=40) / 1600
    assert np.abs((mass @ circle(40))[1:]).max() < 0.05  # moments of the data, which is all that a critic sees


def test_rock_paper_scissors() -> None:
    """One move loses 1; the mixture's worst loss goes to 0, and v's answers are mixtures too."""
    game = ThreeMoves()
    assert game.pure() == 1.0
    for rounds in ROUNDS:
        found = follow_the_leader(game, rounds)
        assert 0 <= found.upper * math.sqrt(rounds) < 1.5
        np.testing.assert_allclose(found.answers.sum(1), 1)
        assert (found.answers >= 0).all()
    assert (game.wins[1][0], game.wins[0][1]) == (-1, 1)  # paper against rock


@pytest.mark.parametrize("name", GAMES)
def test_pieces_of_a_game(name: str) -> None:
    """Slopes are those of payoffs, bounded by L; projections are nearest points; `best` beats every v."""
    game, rng = GAMES[name], np.random.default_rng(0)
    weights = rng.dirichlet(np.ones(game.generators))
    best = game.best(weights)
    reached = []
    for _ in range(50):
        far = 3 * rng.normal(size=game.size)
        v = game.project(far)
        np.testing.assert_allclose(game.project(v), v, atol=1e-12)
        other = game.project(rng.normal(size=game.size))
        assert (far - v) @ (other - v) <= 1e-12
        u = int(rng.integers(game.generators))
        d = 1e-6 * rng.normal(size=game.size)
        change = (game.payoffs(v + d) - game.payoffs(v - d))[u] / 2
        assert change == pytest.approx(game.slope(u, v) @ d, rel=1e-6, abs=1e-14)
        assert np.linalg.norm(game.slope(u, v)) <= game.lipschitz + 1e-12
        assert np.linalg.norm(v - other) <= game.diameter + 1e-12
        reached.append(weights @ game.payoffs(v))
    assert max(reached) <= best + 1e-9


P = np.array([0.1, 0.2, 0.3, 0.4])
ONE = np.array([1.0, 0.0, 0.0, 0.0])


@pytest.mark.parametrize("rate", [0.05, 0.2, 0.39])
def test_multipliers_become_the_data(rate: float) -> None:
    """From all mass on one atom, for rate < 4 min p; the sum is 1 by itself, the discriminator 1/2."""
    found = primal_dual(P, ONE, rate, 4000)
    np.testing.assert_allclose(found.last, P, atol=1e-6)
    np.testing.assert_allclose(found.discriminators[-1], 0.5, atol=1e-6)


def test_contraction_of_every_coordinate() -> None:
    """A small error shrinks by 1 - rate/(2 p_i) a step."""
    start = P * (1 + 1e-5 * np.array([1, -1, 1, -1]))
    found = primal_dual(P, start, 0.15, 1)
    np.testing.assert_allclose((found.last - P) / (start - P), factors(P, 0.15), rtol=1e-4)


def test_too_large_a_rate_oscillates_on_the_smallest_atom_only() -> None:
    found = primal_dual(P, P * 1.01, 0.45, 3000).multipliers[-200:]
    spread = np.ptp(found, axis=0)
    assert spread[0] > 0.02
    np.testing.assert_allclose(spread[1:], 0, atol=1e-9)
    assert factors(P, 0.45)[0] == pytest.approx(-1.25)


def test_an_empty_atom_is_seen_at_once() -> None:
    """Without mass D is 1 but for the clip, and one step brings rate log(1/2e-6) of mass."""
    assert best_response(P, ONE)[1] == 1 - 1e-6
    first = primal_dual(P, ONE, 0.01, 1).last
    np.testing.assert_allclose(first[1:], -0.01 * np.log(2e-6))
    assert first[0] == pytest.approx(1 - 0.01 * np.log(2 * (1 - 0.1 / 1.1)))
    assert constraint(np.array([0.5]))[0] == 0


def test_dual_function() -> None:
    """2 JSD(p||q) - log 2 for probabilities; its slope is the constraint at the best response; smallest at p."""
    rng = np.random.default_rng(1)
    for _ in range(5):
        q = rng.dirichlet(np.ones(4))
        m = (P + q) / 2
        jsd = ((P * np.log(P / m)).sum() + (q * np.log(q / m)).sum()) / 2
        assert dual_value(P, q) == pytest.approx(2 * jsd - math.log(2), abs=1e-12)
        d = 1e-6 * rng.normal(size=4)
        change = (dual_value(P, q + d) - dual_value(P, q - d)) / 2
        assert change == pytest.approx(constraint(best_response(P, q)) @ d, rel=1e-5)
    assert dual_value(P, P) == pytest.approx(-math.log(2))


def test_discriminator_by_ascents() -> None:
    """Steps on the discriminator in place of its best response end at the same place."""
    found = primal_dual(P, np.full(4, 0.25), 0.02, 6000, ascents=5, ascent_rate=0.5)
    np.testing.assert_allclose(found.last, P, atol=1e-4)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: follow_the_leader(Bilinear(), 0), "rounds must be at least 1, got 0"),
        (lambda: PointGenerators(circle(8), circle(4), 0.0), "radius must be above 0"),
        (lambda: PointGenerators(circle(8), np.ones((4, 2)), 1.0), r"must be \[n, d\] and \[m, d\]"),
        (lambda: primal_dual(P, ONE[:3], 0.1, 5), "vectors of one length"),
        (lambda: primal_dual(P, ONE, -0.1, 5), "must be positive"),
        (lambda: primal_dual(ONE, P, 0.1, 5), "probabilities must be above 0"),
    ],
)
def test_what_cannot_be_played(call: object, text: str) -> None:
    with pytest.raises(UsageError, match=text):
        call()  # type: ignore[operator]
