"""Free energy, relative entropy and Fisher information: identities, closed forms, and the rate at which F falls."""

import math

import pytest
import torch
from diffusion_laws import LogDensity, double_well, double_well_log_z

from ganneal.diffusion import (
    Box,
    fisher_information,
    fokker_planck,
    free_energy,
    gaussian_cells,
    gibbs,
    log_partition,
    normalised,
    potential,
    relative_entropy,
)

BOX = Box((-3.0,), (3.0,), (600,))
PSI = potential(LogDensity(double_well), BOX)
NORMAL = Box((-12.0,), (12.0,), (1200,))


@pytest.mark.parametrize("beta", [0.5, 1.0, 1.5])
def test_the_gibbs_law_is_the_minimum(beta: float) -> None:
    """min F = -log Z_beta (quadrature), F - min = KL, and exponentiated gradient descent of F arrives there."""
    least = -log_partition(PSI, BOX, beta)
    assert least == pytest.approx(-double_well_log_z(beta), abs=1e-6)
    assert free_energy(gibbs(PSI, BOX, beta), PSI, BOX, beta) == pytest.approx(least, abs=1e-12)
    assert relative_entropy(gibbs(PSI, BOX, beta), PSI, BOX, beta) == pytest.approx(0, abs=1e-12)
    other = gaussian_cells(BOX, [0.2], [0.7])
    gap = free_energy(other, PSI, BOX, beta) - least
    assert gap > 0.05
    assert relative_entropy(other, PSI, BOX, beta) == pytest.approx(gap, abs=1e-12)
    for _ in range(60):
        other = normalised(other * (-0.3 * (beta * PSI + other.clamp_min(1e-300).log() + 1)).exp(), BOX)
    assert float((other - gibbs(PSI, BOX, beta)).abs().max()) < 1e-6


@pytest.mark.parametrize(("mean", "sd", "beta"), [(0.5, 0.8, 1.0), (1.0, 1.3, 2.0)])
def test_closed_forms_between_gaussians(mean: float, sd: float, beta: float) -> None:
    """KL(N(m, s^2) || N(0, v)) = (s^2/v + m^2/v - 1 - log(s^2/v)) / 2 and I = s^2 (1/v - 1/s^2)^2 + m^2/v^2, with
    v = 1/beta; the first row is KL = .16814 of section 2."""
    psi, v, s2 = NORMAL.axes[0] ** 2 / 2, 1 / beta, sd**2
    rho = gaussian_cells(NORMAL, [mean], [sd])
    kl = ((s2 + mean**2) / v - 1 - math.log(s2 / v)) / 2
    assert relative_entropy(rho, psi, NORMAL, beta) == pytest.approx(kl, rel=1e-3)
    fisher = s2 * (1 / v - 1 / s2) ** 2 + mean**2 / v**2
    assert fisher_information(rho, psi, NORMAL, beta) == pytest.approx(fisher, rel=1e-3)
    if beta == 1:
        assert kl == pytest.approx(0.16814, abs=1e-5)


def slopes(psi: torch.Tensor, box: Box, rho: torch.Tensor, beta: float, time: float, clock: str) -> tuple[float, float]:
    """d KL / dt by central difference, and I, at `time`."""
    h = 1e-3
    flow = fokker_planck(psi, box, rho, beta, time + h, h / 10, clock=clock, record=(time - h, time))
    before, _, after = (relative_entropy(law, psi, box, beta) for law in flow.rho)
    return (after - before) / (2 * h), fisher_information(flow.rho[1], psi, box, beta)


@pytest.mark.parametrize(("time", "expected"), [(0.1, -0.13204), (0.5, -0.12677)])
def test_free_energy_falls_at_the_rate_of_fisher_information(time: float, expected: float) -> None:
    """Claim 10: 3 (x^2 - 1)^2, beta = 1.5, from N(-1, .2^2) on the entropy clock: d KL/dt = -I / beta."""
    slope, fisher = slopes(PSI, BOX, gaussian_cells(BOX, [-1], [0.2]), 1.5, time, "entropy")
    assert slope == pytest.approx(-fisher / 1.5, rel=1e-3)
    assert slope == pytest.approx(expected, rel=2e-3)


def test_on_the_likelihood_clock_the_rate_is_fisher_information_itself() -> None:
    slope, fisher = slopes(PSI, BOX, gaussian_cells(BOX, [-1], [0.2]), 1.5, 0.1 / 1.5, "likelihood")
    assert slope == pytest.approx(-fisher, rel=1e-3)
    assert slope == pytest.approx(-0.13204 * 1.5, rel=2e-3)


def test_the_rate_in_two_dimensions() -> None:
    """On the plane splitting adds an error of order dt^2 only: the same identity within 1 %."""
    box = Box((-3.0, -3.0), (3.0, 3.0), (64, 64))
    psi = potential(LogDensity(double_well), box)
    slope, fisher = slopes(psi, box, gaussian_cells(box, [-1, 1], [0.2, 0.3]), 1.5, 0.03, "entropy")
    assert slope == pytest.approx(-fisher / 1.5, rel=0.01)


@pytest.mark.parametrize("beta", [0.5, 1.0, 2.0])
@pytest.mark.parametrize(("mean", "sd", "rate"), [(1.0, 1.0, 2.0), (0.0, 0.6, 4.0)])
def test_relaxation_of_a_parabola(beta: float, mean: float, sd: float, rate: float) -> None:
    """psi = k x^2/2, k = 1: log KL falls with slope 2k where the mean is off, 4k where only the variance is, for every
    beta; and always KL <= exp(-2 a t) KL_0."""
    box = Box((-7.0 / math.sqrt(beta),), (7.0 / math.sqrt(beta),), (500,))
    psi, sd = box.axes[0] ** 2 / 2, sd / math.sqrt(beta)
    flow = fokker_planck(psi, box, gaussian_cells(box, [mean], [sd]), beta, 2.0, 1e-3, record=(0.0, 1.5))
    first, middle, last = (relative_entropy(law, psi, box, beta) for law in flow.rho)
    assert math.log(middle / last) / 0.5 == pytest.approx(rate, rel=0.03)
    assert last <= math.exp(-4) * first * 1.01
