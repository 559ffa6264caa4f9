"""First passage between wells: quadrature against the specification, Kramers, and simulation."""

import math

import pytest
import torch
from diffusion_laws import F64, ClosedWell, LogDensity, far_modes, seeded
from torch import Tensor

from ganneal.diffusion import kramers_time, mean_passage_time, simulate_passage
from ganneal.errors import RunError, UsageError


def psi(x: Tensor) -> Tensor:
    return 3 * (x**2 - 1) ** 2


@pytest.mark.parametrize(
    ("beta", "time", "limit"),
    [(0.5, 2.078, 1.66), (1.0, 8.880, 7.44), (2.0, 161.8, 149.4), (3.0, 3148.0, 3000.0)],
)
def test_the_table_of_section_3(beta: float, time: float, limit: float) -> None:
    assert mean_passage_time(psi, -1, 1, beta) == pytest.approx(time, rel=3e-4)
    assert mean_passage_time(psi, 1, -1, beta) == pytest.approx(time, rel=3e-4)
    assert kramers_time(3.0, 24.0, -12.0, beta) == pytest.approx(limit, rel=1e-3)


def test_two_far_modes() -> None:
    """Mean first passage from -4 to 4 at beta = 1: 3230."""
    assert mean_passage_time(lambda x: -far_modes(x), -4, 4) == pytest.approx(3230, rel=1e-3)


@pytest.mark.parametrize("beta", [0.5, 2.0])
def test_closed_form_of_free_motion(beta: float) -> None:
    """psi = 0 with a reflecting wall at 0, from 0 to L: beta L^2 / 2. A uniform force f towards the goal from the wall:
    L / f - (1 - e^(-beta f L)) / (beta f^2)."""
    assert mean_passage_time(torch.zeros_like, 0.0, 3.0, beta, wall=0.0) == pytest.approx(beta * 4.5, rel=1e-6)
    expected = 3 / 2 - (1 - math.exp(-beta * 6)) / (beta * 4)
    assert mean_passage_time(lambda x: -2 * x, 0.0, 3.0, beta, wall=0.0) == pytest.approx(expected, rel=1e-6)
    assert mean_passage_time(lambda x: 2 * x, 0.0, -3.0, beta, wall=0.0) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(("beta", "expected"), [(0.5, 2.078), (1.0, 8.880)])
def test_simulated_passage(beta: float, expected: float) -> None:
    """4000 paths: times are nearly exponential, so the standard error of the mean is 1.6 %; bounds 5 %."""
    found = simulate_passage(ClosedWell(), torch.full((4000, 1), -1.0, dtype=F64), 1.0, seeded(1), beta=beta, dt=4e-3)
    assert found.mean == pytest.approx(expected, rel=0.05)
    assert found.error == pytest.approx(expected / math.sqrt(4000), rel=0.25)
    assert float((found.times / 4e-3).sum()) == pytest.approx(found.evaluations, rel=1e-3)


@pytest.mark.slow
def test_simulated_passage_of_the_specification() -> None:
    """dt = 1e-3, 4000 paths, beta = 1, from right to left: 8.88 within 5 %."""
    x0 = torch.full((4000, 1), 1.0, dtype=F64)
    assert simulate_passage(ClosedWell(), x0, -1.0, seeded(2)).mean == pytest.approx(8.88, rel=0.05)


def test_crossings_between_steps_are_seen() -> None:
    """Free motion from -2 to 0 in a parabola of stiffness 1 with a coarse step, dt = .05: without the bridge the mean
    would be 20 % too long. 20000 paths: standard error 1 %."""
    density = LogDensity(lambda x: -x.square().sum(1) / 2)
    found = simulate_passage(density, torch.full((20_000, 1), -2.0, dtype=F64), 0.5, seeded(), dt=0.05)
    assert found.mean == pytest.approx(mean_passage_time(lambda x: x**2 / 2, -2.0, 0.5), rel=0.04)


def test_errors() -> None:
    with pytest.raises(RunError, match=r"particles have not reached 1 by time 0\.01"):
        simulate_passage(ClosedWell(), torch.full((5, 1), -1.0), 1.0, seeded(), limit=0.01)
    with pytest.raises(UsageError, match="begin at the goal 1"):
        simulate_passage(ClosedWell(), torch.ones(5, 1), 1.0, seeded())
    with pytest.raises(UsageError, match="does not rise on the far side"):
        mean_passage_time(torch.zeros_like, 0.0, 1.0)
    with pytest.raises(UsageError, match="other side of the start"):
        mean_passage_time(psi, -1, 1, wall=0.5)
    with pytest.raises(UsageError, match="beta > 0"):
        mean_passage_time(psi, -1, 1, beta=0.0)
