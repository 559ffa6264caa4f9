"""The Fokker-Planck solver: mass, positivity, exact stationarity, closed forms, and the specification's tables."""

import math

import pytest
import torch
from diffusion_laws import F64, ClosedWell, LogDensity, double_well, far_modes, kidney, seeded

from ganneal.diffusion import (
    Box,
    cumulated,
    fokker_planck,
    gaussian_cells,
    gibbs,
    kolmogorov_distance,
    langevin,
    log_partition,
    moments,
    potential,
    relative_entropy,
)
from ganneal.errors import UsageError

LINE = Box((-8.0,), (8.0,), (400,))
PLANE = Box((-5.0, -4.0), (5.0, 4.0), (48, 40))
RAMP = "linear(0.05->1, hold=0.2)"


def well_on(box: Box) -> torch.Tensor:
    return potential(LogDensity(double_well), box)


@pytest.mark.parametrize("box", [LINE, PLANE], ids=["line", "plane"])
@pytest.mark.parametrize("clock", ["entropy", "likelihood"])
@pytest.mark.parametrize("beta", [0.3, 1.0, 2.0])
def test_the_gibbs_law_does_not_move(box: Box, clock: str, beta: float) -> None:
    psi = well_on(box) if len(box.cells) == 1 else potential(LogDensity(kidney), box)
    law = gibbs(psi, box, beta)
    after = fokker_planck(psi, box, law, beta, 2.0, 0.1, clock=clock).final
    assert float((after - law).abs().max()) < 1e-12
    other = gibbs(psi, box, 1.3 * beta)
    moved = fokker_planck(psi, box, other, beta, 2.0, 0.1, clock=clock).final
    assert float((moved - other).abs().max()) > 1e-3


@pytest.mark.parametrize("box", [LINE, PLANE], ids=["line", "plane"])
@pytest.mark.parametrize("dt", [1e-3, 1.0])
def test_mass_is_kept_and_the_density_stays_positive(box: Box, dt: float) -> None:
    psi = well_on(box)
    rho = gaussian_cells(box, [-1] * len(box.cells), [0.2] * len(box.cells))
    flow = fokker_planck(psi, box, rho, "linear(3->0.1)", 20 * dt, dt, record=(0.0, 3 * dt))
    assert flow.times == pytest.approx((0.0, 3 * dt, 20 * dt))
    assert bool((flow.rho >= 0).all())
    for field in flow.rho:
        assert float(field.sum()) * box.volume == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize(
    ("clock", "beta", "k"), [("entropy", 1.0, 1.0), ("likelihood", 2.0, 1.0), ("entropy", 0.5, 2.0)]
)
def test_ornstein_uhlenbeck(clock: str, beta: float, k: float) -> None:
    """Mean m0 e^-at, variance v + (v0 - v) e^-2at, v = 1/(beta k), a = k or beta k; from N(3, 2^2). The first two rows
    are affine generators from a = 2, b = 3 under RKL with lambda_L = 0 and 1: mean 1.10364 and .40601, variance 1.40601
    and .56411 at t = 1."""
    box = Box((-14.0,), (14.0,), (1400,))
    flow = fokker_planck(k * box.axes[0] ** 2 / 2, box, gaussian_cells(box, [3], [2]), beta, 1.0, 5e-4, clock=clock)
    rate, v = (k if clock == "entropy" else beta * k), 1 / (beta * k)
    mean, variance = moments(flow.final, box)
    assert float(mean) == pytest.approx(3 * math.exp(-rate), abs=2e-3)
    assert float(variance) == pytest.approx(v + (4 - v) * math.exp(-2 * rate), abs=3e-3)
    if k == 1:
        expected = {1.0: (1.10364, 1.40601), 2.0: (0.40601, 0.56411)}[beta]
        assert (float(mean), float(variance)) == pytest.approx(expected, abs=3e-3)


def test_the_affine_generator_follows_it() -> None:
    """b' = -(1 + l) b / s^2, (a^2)' = 2 - 2 (1 + l) a^2 / s^2, integrated by fine Euler steps: the same numbers."""
    for extra, expected in ((0.0, (1.10364, 1.40601)), (1.0, (0.40601, 0.56411))):
        mean, variance, h = 3.0, 4.0, 1e-5
        for _ in range(100_000):
            mean, variance = mean - h * (1 + extra) * mean, variance + h * (2 - 2 * (1 + extra) * variance)
        assert (mean, variance) == pytest.approx(expected, abs=5e-5)


def test_both_axes_of_the_plane_move_independently() -> None:
    """Product law in, product law out: each axis is the one-dimensional solution with its own stiffness."""
    box = Box((-6.0, -5.0), (6.0, 5.0), (120, 160))
    x, y = box.axes
    psi = x[:, None] ** 2 / 2 + 1.5 * y[None, :] ** 2
    flow = fokker_planck(psi, box, gaussian_cells(box, [2, -1], [0.8, 1]), 0.7, 0.5, 1e-3)
    mean, variance = moments(flow.final, box)
    for axis, (m, v0, k) in enumerate(((2.0, 0.64, 1.0), (-1.0, 1.0, 3.0))):
        v = 1 / (0.7 * k)
        assert float(mean[axis]) == pytest.approx(m * math.exp(-0.5 * k), abs=2e-3)
        assert float(variance[axis]) == pytest.approx(v + (v0 - v) * math.exp(-k), rel=0.015)


@pytest.mark.parametrize(
    ("beta", "clock", "right", "divergence"),
    [
        (1, "entropy", 0.0062, 0.6557),
        (RAMP, "likelihood", 0.0970, 0.3747),
        (RAMP, "entropy", 0.3357, 0.0550),
        ("linear(2->1, hold=0.2)", "likelihood", 0.0020, 0.6795),
    ],
)
def test_what_annealing_does_on_two_far_modes(beta: object, clock: str, right: float, divergence: float) -> None:
    """Table 3.2: mass right of 0 and KL to mu at T = 20 from the left mode. The box reaches 15: hot laws are wide."""
    box = Box((-15.0,), (15.0,), (1200,))
    psi = -far_modes(box.axes[0])
    law = fokker_planck(psi, box, gaussian_cells(box, [-4], [1]), beta, 20.0, 0.01, clock=clock).final
    assert float(law[600:].sum()) * box.volume == pytest.approx(right, abs=max(1e-4, 2e-3 * right))
    assert relative_entropy(law, psi, box) == pytest.approx(divergence, abs=2e-4)


@pytest.mark.parametrize(("time", "right"), [(5.0, 0.0148), (20.0, 0.0749), (80.0, 0.2201)])
def test_slower_is_better_until_the_mass_freezes(time: float, right: float) -> None:
    """.8 N(-4, 1) + .2 N(4, 1) on the likelihood clock; at T = 80 more than .2 has crossed."""
    box = Box((-15.0,), (15.0,), (1200,))
    psi = -far_modes(box.axes[0], 0.8)
    law = fokker_planck(psi, box, gaussian_cells(box, [-4], [1]), RAMP, time, time / 2000, clock="likelihood").final
    assert float(law[600:].sum()) * box.volume == pytest.approx(right, abs=1e-4)


def test_the_kidney_and_its_left_mass() -> None:
    """log Z and moments by the cells' sum; left mass at T = 10 from the right lobe: .061 at beta = 1 (section 8; 20000
    particles, standard error .0017)."""
    box = Box((-6.0, -6.0), (6.0, 6.0), (128, 128))
    psi = potential(LogDensity(kidney), box)
    assert log_partition(psi, box) == pytest.approx(1.87750, abs=1e-4)
    mean, variance = moments(gibbs(psi, box), box)
    assert mean.tolist() == pytest.approx([0, 0], abs=1e-12)
    assert variance.tolist() == pytest.approx([3.30350, 1.39528], abs=1e-3)
    law = fokker_planck(psi, box, gaussian_cells(box, [2, 0], [0.3, 0.3]), 1, 10.0, 0.05).final
    assert float(law[:64].sum()) * box.volume == pytest.approx(0.061, abs=0.004)


def test_particles_follow_the_equation() -> None:
    """1e5 Langevin paths of the double well, at three times and beta moving, on both clocks: Kolmogorov distance below
    .01. For exact samples that fails with chance 2 exp(-20) = 4e-9; the step takes .002 of it."""
    box = Box((-4.0,), (4.0,), (800,))
    density = ClosedWell()
    x0 = -1 + 0.3 * torch.randn(100_000, 1, generator=seeded(), dtype=F64)
    for clock in ("entropy", "likelihood"):
        at = (0.1, 0.3, 0.6)
        flow = fokker_planck(
            potential(density, box), box, gaussian_cells(box, [-1], [0.3]), "linear(0.3->2)", 0.6, 1e-3, clock=clock,
            record=at,
        )  # fmt: skip
        paths = langevin(density, x0, "linear(0.3->2)", 0.6, 5e-4, seeded(1), clock=clock, record=at)
        for law, x in zip(flow.rho, paths.x, strict=True):
            assert kolmogorov_distance(x, law, box) < 0.01
        assert kolmogorov_distance(paths.x[0], flow.rho[2], box) > 0.02


def test_the_error_is_of_second_order_in_the_cells_and_first_in_time() -> None:
    def solve(cells: int, dt: float) -> float:
        box = Box((-6.0,), (6.0,), (cells,))
        psi = -far_modes(1.5 * box.axes[0])
        law = fokker_planck(psi, box, gaussian_cells(box, [-1], [0.7]), 1.0, 0.5, dt).final
        return float(moments(law, box)[1])

    space = [solve(cells, 1e-3) for cells in (60, 120, 240)]
    assert (space[0] - space[1]) / (space[1] - space[2]) == pytest.approx(4, rel=0.15)
    steps = [solve(240, dt) for dt in (0.02, 0.01, 0.005)]
    assert (steps[0] - steps[1]) / (steps[1] - steps[2]) == pytest.approx(2, rel=0.1)


def test_the_distribution_function() -> None:
    box = Box((0.0,), (1.0,), (4,))
    rho = torch.tensor([1.0, 1.0, 0.0, 2.0], dtype=F64)
    x = torch.tensor([-1.0, 0.0, 0.125, 0.5, 0.6, 0.875, 1.0, 3.0], dtype=F64)
    assert cumulated(rho, box, x).tolist() == pytest.approx([0, 0, 0.125, 0.5, 0.5, 0.75, 1, 1])
    assert kolmogorov_distance(torch.full((1,), 0.125), rho, box) == pytest.approx(0.875)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Box((0.0,), (1.0,), (2,)), "at least 3 cells"),
        (lambda: Box((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (4, 4, 4)), "1 or 2"),
        (lambda: fokker_planck(torch.full((400,), math.inf), LINE, torch.ones(400), 1, 1, 0.1), "all finite"),
        (lambda: fokker_planck(torch.zeros(400), LINE, -torch.ones(400), 1, 1, 0.1), "none negative"),
        (lambda: fokker_planck(torch.zeros(400), LINE, torch.ones(400), 0, 1, 0.1), "beta: reaches 0"),
        (lambda: fokker_planck(torch.zeros(400), LINE, torch.ones(400), 1, 1, 0.1, clock="x"), "clock: got 'x'"),
        (lambda: cumulated(torch.ones(48, 40), PLANE, torch.ones(1)), "2 dimensions; allowed: 1"),
    ],
)
def test_errors(call: object, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        call()  # type: ignore[operator]
