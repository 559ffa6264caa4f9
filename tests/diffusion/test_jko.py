"""Steps of least transport cost: closed forms for Gaussians, descent, and the Fokker-Planck equation as tau -> 0."""

import itertools
import math

import pytest
import torch
from diffusion_laws import F64, LogDensity, double_well
from torch import Tensor

from ganneal.diffusion import (
    Box,
    cumulated,
    fokker_planck,
    free_energy_of_quantiles,
    gaussian_cells,
    gibbs,
    jko_flow,
    jko_step,
    kolmogorov_distance,
    normal_quantiles,
    potential,
    wasserstein_line,
)
from ganneal.errors import RunError, UsageError


def well(x: Tensor) -> Tensor:
    return 3 * (x**2 - 1) ** 2


@pytest.mark.parametrize(("k", "beta", "tau"), [(1.0, 1.0, 0.1), (2.0, 0.5, 0.3), (0.5, 3.0, 1.0)])
def test_a_step_between_gaussians(k: float, beta: float, tau: float) -> None:
    """Mean m / (1 + k tau); standard deviation the root of s' (1 + k tau) - tau / (beta s') = s."""
    x = jko_step(normal_quantiles(4000, 3.0, 2.0), lambda q: k * q**2 / 2, beta, tau)
    grown = 1 + k * tau
    sd = (2 + math.sqrt(4 + 4 * grown * tau / beta)) / (2 * grown)
    assert float(x.mean()) == pytest.approx(3 / grown, abs=1e-6)
    assert float(x.std()) == pytest.approx(sd, rel=2e-3)
    assert x[500:3500] == pytest.approx(normal_quantiles(4000, 3 / grown, sd)[500:3500], abs=3e-3)


def test_a_step_lowers_the_free_energy_by_at_least_its_cost() -> None:
    """F(X')/beta + W2^2 / (2 tau) <= F(X)/beta, and the gradient of the sum is 0: perturbed quantiles cost more."""
    rows = jko_flow(normal_quantiles(300, -0.5, 0.4), well, 1.5, 0.02, 10)
    for old, new in itertools.pairwise(rows):
        paid = wasserstein_line(old, new) ** 2 / 0.04

        def total(x: Tensor, old: Tensor = old) -> float:
            return wasserstein_line(old, x) ** 2 / 0.04 + free_energy_of_quantiles(x, well, 1.5)

        assert paid > 0
        assert total(new) <= free_energy_of_quantiles(old, well, 1.5)
        noise = torch.randn(300, generator=torch.Generator().manual_seed(0), dtype=F64)
        for size in (1e-4, -1e-4):
            assert total(new + size * noise * new.diff().min()) > total(new) - 1e-10


def test_the_steps_follow_the_fokker_planck_equation() -> None:
    """Double well, beta = 1.5, from N(-.5, .4^2) to t = .2: Kolmogorov distance below .01 at tau = .005, and half at
    half of tau (first order)."""
    box = Box((-3.0,), (3.0,), (600,))
    psi = potential(LogDensity(double_well), box)
    law = fokker_planck(psi, box, gaussian_cells(box, [-0.5], [0.4]), 1.5, 0.2, 2e-4).final
    distances = [
        kolmogorov_distance(jko_flow(normal_quantiles(1000, -0.5, 0.4), well, 1.5, tau, round(0.2 / tau))[-1], law, box)
        for tau in (0.02, 0.01, 0.005)
    ]
    assert distances[2] < 0.01
    assert distances[0] / distances[1] == pytest.approx(2, rel=0.3)
    for wrong in (0.75, 3.0):
        other = jko_flow(normal_quantiles(1000, -0.5, 0.4), well, wrong, 0.01, 20)[-1]
        assert kolmogorov_distance(other, law, box) > 0.02


def test_it_ends_at_the_gibbs_law() -> None:
    box = Box((-3.0,), (3.0,), (600,))
    psi = potential(LogDensity(double_well), box)
    x = jko_flow(normal_quantiles(500, 0.0, 1.0), well, 1.0, 0.07, 150)[-1]
    levels = cumulated(gibbs(psi, box), box, x)
    assert levels == pytest.approx((torch.arange(500, dtype=F64) + 0.5) / 500, abs=5e-3)


def test_errors() -> None:
    with pytest.raises(UsageError, match="strictly increasing"):
        jko_step(torch.zeros(5), well, 1.0, 0.1)
    with pytest.raises(UsageError, match="positive numbers"):
        jko_step(normal_quantiles(5), well, 1.0, 0.0)
    with pytest.raises(RunError, match="take tau smaller"):
        jko_step(normal_quantiles(50, 0.0, 0.3), lambda x: -5 * x**2, 1.0, 1.0)
