"""Multipliers and stability thresholds of solvers on exactly solvable games, against published closed forms."""

import math
from collections.abc import Callable

import pytest
import torch
from exact_games import game

from ganneal.dynamics import field_spectrum, play_out, solver_spectrum, stable_rate
from ganneal.dynamics.multipliers import period_of, settled_after
from ganneal.solvers import OPTIMIZERS, SGD, SOLVERS

# ---- largest stable rates: (game, objective, penalties, solver, expected)

THRESHOLDS: dict[str, tuple[str, str, tuple[str, ...], str, float]] = {
    "plain": ("dirac", "wasserstein", (), "simultaneous", 0.0),
    "R1 .1": ("dirac", "wasserstein", ("r1(gamma=0.1)",), "simultaneous", 0.1),
    "R1 .5": ("dirac", "wasserstein", ("r1(gamma=0.5)",), "simultaneous", 0.5),
    "R1 1": ("dirac", "wasserstein", ("r1(gamma=1)",), "simultaneous", 1.0),
    "R1 logistic": ("dirac", "jsd", ("r1(gamma=0.5)",), "simultaneous", 2.0),
    "NK .1": ("dirac", "wasserstein", ("nk(eta=0.1)",), "simultaneous", 0.2),
    "NK .3": ("dirac", "wasserstein", ("nk(eta=0.3)",), "simultaneous", 0.6),
    "consensus .5": ("dirac", "wasserstein", ("consensus(gamma=0.5)",), "simultaneous", 2 * 0.5 / 1.25),
    "consensus, logistic": ("dirac", "jsd", ("consensus(gamma=1)",), "simultaneous", 2 / 1.25),
    "alternating": ("dirac", "wasserstein", (), "alternating", 2.0),
    "alternating, slow turn": ("bilinear(frequencies=0.5)", "wasserstein", (), "alternating", 4.0),
    "alternating, four critic steps": ("dirac", "wasserstein", (), "alternating(n_critic=4)", 1.0),
    "extragradient": ("dirac", "wasserstein", (), "extragradient", 1.0),
    "optimistic": ("dirac", "wasserstein", (), "optimistic", 1 / math.sqrt(3)),
    "prediction": ("dirac", "wasserstein", (), "prediction", 2 / math.sqrt(3)),
}


@pytest.mark.parametrize("case", THRESHOLDS)
def test_largest_stable_rate(case: str) -> None:
    name, objective, penalties, solver, expected = THRESHOLDS[case]
    if solver.partition("(")[0] not in SOLVERS:
        pytest.skip(f"there is no {solver}")
    problem = game(name, objective, *penalties).problem
    found = stable_rate(problem, SOLVERS.build(solver), digits=3)
    assert abs(found - expected) < 0.01 * max(expected, 1e-3)
    if solver == "simultaneous" and penalties:
        assert abs(field_spectrum(problem).euler - expected) < 1e-6


MOMENTUM = {(-0.5, -0.5): 1.0, (-0.5, 0.0): math.sqrt(2)}


@pytest.mark.parametrize("pair", MOMENTUM)
def test_negative_momentum(pair: tuple[float, float], monkeypatch: pytest.MonkeyPatch) -> None:
    """Gidel et al. 2019: alternating steps with momentum (-1/2, -1/2) contract the bilinear game for h < 1, with
    (-1/2, 0) for h < 1.414."""
    from ganneal.dynamics.problem import Problem
    from ganneal.solvers import Play

    problem = game("bilinear").problem

    def play(self: Problem, optimizer: object = None) -> Play:
        return Play(self.game, dict(zip(self.players, map(SGD, pair), strict=True)))

    monkeypatch.setattr(Problem, "play", play)
    assert abs(stable_rate(problem, SOLVERS.build("alternating"), digits=3) / MOMENTUM[pair] - 1) < 0.01


# ---- radii: a function of h

RADII: dict[str, tuple[str, tuple[str, ...], str, Callable[[float], float]]] = {
    "simultaneous": ("bilinear", (), "simultaneous", lambda h: 1 + h * h),
    "alternating": ("bilinear", (), "alternating", lambda h: 1.0),
    "alternating R1": ("dirac", ("r1(gamma=0.4)",), "alternating", lambda h: 1 - 0.4 * h),
    "alternating NK": ("dirac", ("nk(eta=0.4)",), "alternating", lambda h: 1 - 0.8 * h),
    "extragradient": ("bilinear", (), "extragradient", lambda h: 1 - h * h + h**4),
    "prediction": ("bilinear", (), "prediction", lambda h: 1 - h * h),
}


@pytest.mark.parametrize("h", [0.05, 0.2])
@pytest.mark.parametrize("case", RADII)
def test_squared_radius(case: str, h: float) -> None:
    name, penalties, solver, expected = RADII[case]
    found = solver_spectrum(game(name, "wasserstein", *penalties).problem, SOLVERS.build(solver), h)
    assert abs(found.radius**2 - expected(h)) < 1e-6
    assert abs(found.distance - (1 - math.sqrt(expected(h)))) < 1e-6


def test_optimistic_steps_have_lag_one() -> None:
    """At h = .1 the squared radius is .98990; .96894 would be a lag of two, 1.01 plain simultaneous descent."""
    found = solver_spectrum(game("bilinear").problem, SOLVERS.build("optimistic"), 0.1)
    assert abs(found.radius**2 - 0.98990) < 1e-5


def test_extragradient_is_best_at_one_over_root_two() -> None:
    problem, solver = game("bilinear").problem, SOLVERS.build("extragradient")
    radii = {h: solver_spectrum(problem, solver, h).radius for h in (0.68, math.sqrt(0.5), 0.735)}
    assert min(radii, key=radii.__getitem__) == math.sqrt(0.5)
    assert abs(radii[math.sqrt(0.5)] - math.sqrt(0.75)) < 1e-6


# ---- what the map is made of


def test_multipliers_of_a_field_step_are_one_plus_h_lambda() -> None:
    """Euler's method, on every kind of game, neutral directions included."""
    for name, objective, penalties in (
        ("lq_wgan(dim=2)", "wasserstein", ("r1(gamma=0.5)",)),
        ("affine", "jsd", ()),
        ("rock_paper_scissors", None, ()),
    ):
        problem = game(name, objective, *penalties).problem
        field = field_spectrum(problem)
        found = solver_spectrum(problem, SOLVERS.build("simultaneous"), 0.07)
        assert found.neutral == field.neutral
        expected = (1 + 0.07 * field.eigenvalues).abs().sort(descending=True).values
        torch.testing.assert_close(found.multipliers.abs(), expected, rtol=0, atol=1e-6)


def test_rates_of_players_differ() -> None:
    """Two time scales: on the bilinear game only the product of the rates counts."""
    problem, solver = game("bilinear").problem, SOLVERS.build("simultaneous")
    found = solver_spectrum(problem, solver, {"critic": 0.4, "generator": 0.1})
    assert abs(found.radius**2 - (1 + 0.04)) < 1e-8
    assert abs(stable_rate(problem, SOLVERS.build("alternating"), {"critic": 4.0, "generator": 1.0}) - 1) < 1e-2


def test_momentum_is_part_of_the_map() -> None:
    """Heavy ball on a game that settles: two multipliers more, and positive momentum turns it faster outward."""
    problem, solver = game("bilinear").problem, SOLVERS.build("simultaneous")
    plain, heavy = (
        solver_spectrum(problem, solver, 0.1, OPTIMIZERS.build(text)) for text in ("sgd", "sgd(momentum=0.5)")
    )
    assert (len(plain.multipliers), len(heavy.multipliers)) == (2, 4)
    assert heavy.radius > plain.radius > 1


def test_memory_that_only_looks_on_is_left_out() -> None:
    """A running average of the iterates changes nothing of what is played."""
    if "averaging" not in SOLVERS:
        pytest.skip("there is no averaging")
    problem = game("dirac", "wasserstein", "r1(gamma=0.5)").problem
    found = [solver_spectrum(problem, SOLVERS.build(s), 0.1).radius for s in ("averaging", "alternating")]
    assert found[0] == pytest.approx(found[1], abs=1e-9)


def test_a_solver_of_a_longer_period_is_judged_per_step() -> None:
    """Lookahead over k steps that meets half way: the multipliers are those of (1 + F^k) / 2, per step."""
    if "lookahead" not in SOLVERS:
        pytest.skip("there is no lookahead")
    problem = game("dirac", "wasserstein", "r1(gamma=0.5)").problem
    inner = solver_spectrum(problem, SOLVERS.build("alternating"), 0.1).multipliers
    found = solver_spectrum(problem, SOLVERS.build("lookahead(solver=alternating, every=4, toward=0.5)"), 0.1)
    assert found.steps == 4
    assert abs(found.radius - ((1 + inner**4) / 2).abs().max().item() ** 0.25) < 1e-7


PERIODS = {
    "alternating": 1,
    "averaging(lookahead(every=4))": 4,
    "lookahead(lookahead(every=3), every=4)": 12,
    "lookahead(chekhov(every=4), every=6)": 12,
}


@pytest.mark.parametrize("text", PERIODS)
def test_the_period_of_a_solver_in_a_solver(text: str) -> None:
    assert period_of(SOLVERS.build(text)) == PERIODS[text]


def test_an_average_around_a_lookahead_changes_nothing() -> None:
    problem = game("dirac", "wasserstein", "r1(gamma=0.5)").problem
    bare, inside = (
        solver_spectrum(problem, SOLVERS.build(text), 0.1)
        for text in ("lookahead(every=4)", "averaging(lookahead(every=4))")
    )
    assert inside.steps == bare.steps == 4
    assert inside.radius == pytest.approx(bare.radius, abs=1e-8)


def test_queues_are_full_before_they_are_judged() -> None:
    """Chekhov's step is a delay by the mean age of a full queue: its growth is that of a long run."""
    solver = SOLVERS.build("chekhov(opponents=6, every=5, weight=0)")
    assert settled_after(solver, 25) >= 30
    problem, h = game("bilinear").problem, 0.02
    found = solver_spectrum(problem, solver, h)
    assert found.steps == 5
    points = play_out(problem, solver, torch.tensor([0.0, 1e-3], dtype=torch.float64), h, 400)
    length = points.norm(dim=1).log()
    assert abs(math.log(found.radius) / ((length[-1] - length[-201]) / 200).item() - 1) < 0.03


def test_slow_games_are_looked_at_with_long_steps() -> None:
    """Simultaneous steps drive every rotation away, however slow; alternating ones hold up to 2/w."""
    problem = game("bilinear(frequencies=0.01)").problem
    assert stable_rate(problem, SOLVERS.build("simultaneous")) == 0
    assert abs(stable_rate(problem, SOLVERS.build("alternating"), digits=3) / 200 - 1) < 0.01


def test_a_slow_mode_of_a_stiff_game_is_no_neutral_direction() -> None:
    problem = game("dirac", "jsd", "r1(gamma=4000)").problem
    found = solver_spectrum(problem, SOLVERS.build("simultaneous"), 1e-4)
    assert found.neutral == 0
    slow, fast = (-2000 + sign * math.sqrt(2000**2 - 0.25) for sign in (1, -1))
    assert found.multipliers.abs().tolist() == pytest.approx([1 + 1e-4 * slow, 1 + 1e-4 * fast], abs=1e-10)


def test_members_of_a_population_are_single_steps() -> None:
    """The Jacobian of the map is that of steps made one by one."""
    problem = game("lq_uniform", "jsd", "r1(gamma=0.5)").problem
    solver, w = SOLVERS.build("extragradient"), problem.flat()
    columns = []
    for e in torch.eye(2, dtype=torch.float64):
        ends = [play_out(problem, solver, w + s * 1e-5 * e, 0.3, 1)[-1] for s in (1, -1)]
        columns.append((ends[0] - ends[1]) / 2e-5)
    expected = torch.linalg.eigvals(torch.stack(columns, 1)).abs().sort(descending=True).values
    found = solver_spectrum(problem, solver, 0.3)
    torch.testing.assert_close(found.multipliers.abs(), expected, rtol=0, atol=1e-9)
