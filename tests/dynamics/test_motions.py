"""Motions of exactly solvable games: conserved quantities, measured decay beside predicted, cycles of clipped and
norm-penalised critics."""

import math

import pytest
import torch
from exact_games import F64, game

from ganneal.dynamics import decay, field_spectrum, integrate, play_out
from ganneal.dynamics.games import SmallGame
from ganneal.dynamics.spectrum import jacobian, path
from ganneal.dynamics.trajectory import amplitude
from ganneal.solvers import SOLVERS


def measured(made: SmallGame, start: torch.Tensor, until: float, points: int = 400) -> float:
    """The rate at which the nonlinear motion's slowest mode decays."""
    times = torch.linspace(0, until, points, dtype=F64)
    centre, spectrum = made.problem.flat(), field_spectrum(made.problem)
    along = amplitude(integrate(made.problem, start, times, 1e-9), centre, jacobian(made.problem)[0], spectrum.slowest)
    return decay(times, along)


def test_the_uniform_toy_turns_for_ever() -> None:
    """H = w^2 + a^2/2 - ln a stays .75 on the orbit through (.5, 1), on which a runs over [.5493, 1.5355]."""
    made = game("lq_uniform")
    orbit = integrate(made.problem, torch.tensor([0.5, 1.0], dtype=F64), torch.linspace(0, 80, 801, dtype=F64), 1e-8)
    assert made.conserved is not None
    assert (made.conserved(orbit) - 0.75).abs().max() < 1e-6
    assert abs(orbit[:, 1].min().item() - 0.5493) < 2e-4
    assert abs(orbit[:, 1].max().item() - 1.5355) < 2e-4


CONSERVED = {"dirac": 1e-8, "bilinear(frequencies=[2, 0.5])": 1e-8, "lq_wgan(std=1.3)": 1e-8, "lq_wgan(dim=2)": 1e-8}


@pytest.mark.parametrize("name", CONSERVED)
def test_wasserstein_games_conserve(name: str) -> None:
    made = game(name)
    assert made.conserved is not None
    found = made.conserved(integrate(made.problem, made.start, torch.linspace(0, 10, 101, dtype=F64)))
    assert (found - found[0]).abs().max() < CONSERVED[name]
    assert game(name, "wasserstein", "r1").conserved is None


RATES: dict[str, tuple[str, str, tuple[str, ...], float, float]] = {
    "NK .25": ("lq_uniform", "wasserstein", ("nk(eta=0.25)",), -0.1111, 60),
    "NK .5": ("lq_uniform", "wasserstein", ("nk(eta=0.5)",), -0.2222, 60),
    "NK 1": ("lq_uniform", "wasserstein", ("nk(eta=1)",), -0.4444, 30),
    "NK 3, slow": ("lq_uniform", "wasserstein", ("nk(eta=3)",), -0.1786, 60),
    "logistic": ("lq_uniform", "jsd", (), -0.05, 110),
    "R1": ("dirac", "jsd", ("r1(gamma=0.5)",), -0.25, 60),
    "consensus": ("dirac", "jsd", ("consensus(gamma=1)",), -0.25, 40),
    "SGP midpoint": ("lq_uniform", "wasserstein", ("sgp(rho=1, measure=midpoint)",), -1 / 3, 45),
}


@pytest.mark.parametrize("case", RATES)
def test_measured_rates_are_the_predicted_ones(case: str) -> None:
    name, objective, penalties, expected, until = RATES[case]
    made = game(name, objective, *penalties)
    assert abs(measured(made, made.start, until) / expected - 1) < 0.02
    assert abs(field_spectrum(made.problem).abscissa / expected - 1) < 2e-3


def test_nk_is_critical_at_three_halves() -> None:
    """Nagarajan and Kolter's penalty on the uniform toy: rotation below eta = 1.5, none above."""
    turning = [field_spectrum(game("lq_uniform", "wasserstein", f"nk(eta={eta})").problem).rotation
               for eta in (1.499, 1.501)]  # fmt: skip
    assert turning[0] > 0.01
    assert turning[1] == 0


def test_decay_of_a_known_motion() -> None:
    """A pure exponential to rounding, also where it drowns in noise; fewer than two points say nothing."""
    times = torch.linspace(0, 100, 500, dtype=F64)
    assert abs(decay(times, (-0.7 * times).exp() + 1e-16) + 0.7) < 1e-3
    assert math.isnan(decay(times[:1], times[:1]))


# ---- cycles


CLIPPED: dict[str, tuple[str, float, float, int, float]] = {
    "alternating, from outside": ("alternating", 1.0, 0.300, 1200, 1e-3),
    "alternating, from inside": ("alternating", 0.2, 0.200, 300, 1e-3),
    "simultaneous, from outside": ("simultaneous", 0.5, 0.3248, 900, 1e-3),
    "simultaneous, from inside": ("simultaneous", 0.25, 0.3248, 900, 1e-3),
}


@pytest.mark.parametrize("case", CLIPPED)
def test_clipped_critics_keep_a_circle(case: str) -> None:
    """Weight clipping at c = .3 on the Dirac WGAN, steps of .1: orbits inside amplitude c are neutral, those outside
    come down to c, and simultaneous steps end a little above c wherever they start."""
    solver, start, expected, steps, tolerance = CLIPPED[case]
    made = game("dirac", "wasserstein", "clip(bound=0.3)")
    found = play_out(made.problem, SOLVERS.build(solver), torch.tensor([0.0, start], dtype=F64), 0.1, steps)
    assert abs(found[-steps // 3 :, 1].abs().max().item() - expected) < tolerance


@pytest.mark.parametrize(("strength", "expected"), [(0.05, 1.2735), (0.3, 1.2826), (1.0, 1.3896)])
def test_norm_penalties_leave_a_cycle(strength: float, expected: float) -> None:
    """WGAN-GP of weight g/2 on the Dirac game, psi' = -theta - g (|psi| - 1) sign psi, never converges: it comes to
    a cycle whose amplitude is 4/pi for small g."""
    made = game("dirac", "wasserstein", f"gp(weight={strength / 2})")
    times = torch.linspace(0, 15, 400, dtype=F64)
    for factor in (1.0, 0.9) if strength > 0.5 else (1.0,):
        start = torch.tensor([0.0, factor * expected], dtype=F64)
        found = integrate(made.problem, start, times, 1e-5)[-200:, 1].abs().max().item() / expected
        assert abs(found - 1) < (2e-3 if factor == 1 else 0.07)


def test_a_counterexample_does_not_reach_the_equilibrium() -> None:
    """Kim, Park, Hwang 2018, Lemma 3: D = psi x^2 at a point with the penalty on interpolates, psi' = -theta^2 - (4/3)
    rho psi theta^2, theta' = 2 psi theta. theta goes to 0 and psi stays below 0."""
    from ganneal.dynamics.games.networks import PowerCritic, Shift
    from ganneal.dynamics.games.quadrature import batches, unit_nodes
    from ganneal.dynamics.problem import Problem
    from ganneal.objectives import OBJECTIVES
    from ganneal.penalties import PENALTIES
    from ganneal.systems import GAN

    rho = 1.0
    nets = {"critic": PowerCritic(), "generator": Shift((1.0,), (0.0,))}
    gan = GAN(
        nets, OBJECTIVES.build("wasserstein"), (PENALTIES.build(f"sgp(rho={rho}, measure=interpolate)"),), (1,), 1
    )
    rules = {"real": torch.zeros(1, 1, dtype=F64), "z": torch.zeros(1, 1, dtype=F64), "penalty.alpha": unit_nodes()}
    params = {p: {n: t.detach() for n, t in net.named_parameters()} for p, net in nets.items()}
    buffers = {p: dict(net.named_buffers()) for p, net in nets.items()}
    problem = Problem(gan, params, buffers, batches(gan, rules), {"sgp": torch.tensor(rho, dtype=F64)})
    psi, theta = 0.4, -0.7
    expected = [-(theta**2) - 4 / 3 * rho * psi * theta**2, 2 * psi * theta]
    assert problem.field(torch.tensor([psi, theta], dtype=F64)).tolist() == pytest.approx(expected, abs=1e-12)
    end = integrate(problem, torch.tensor([0.5, 0.5], dtype=F64), torch.tensor([0.0, 60.0], dtype=F64), 1e-8)[-1]
    assert abs(end[1]) < 1e-4
    assert end[0] < -0.1


# ---- along a line


def test_path_angle() -> None:
    """Along the line to an equilibrium the angle jumps from +1 to -1 where the game settles straight, and is 0 where it
    only turns; the norm vanishes at the end."""
    for penalties, straight in (((), False), (("consensus(gamma=200)",), True)):
        problem = game("dirac", "wasserstein", *penalties).problem
        start = torch.tensor([0.6, 0.8], dtype=F64)
        place, cosine, norm = path(problem, start, problem.flat())
        before, after = cosine[place < 0.99], cosine[place > 1.01]
        if straight:
            assert before.min() > 0.99
            assert after.max() < -0.99
        else:
            assert before.abs().max() < 1e-12
        assert norm[(place - 1).abs().argmin()] < norm[0] / 30
