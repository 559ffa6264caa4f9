"""One motion told three times: the tellers agree, and what is estimated is right where it is known."""

import math
from typing import Any

import pytest
import torch

from ganneal.diffusion import Box, fisher_information, gaussian_cells, potential
from ganneal.dynamics import STARTS, Story, fisher_of_samples, fokker_planck_story, minus_log_density
from ganneal.dynamics.estimates import kernel_width
from ganneal.errors import UsageError
from ganneal.targets import Target, open_target

SMALL: dict[str, Any] = {"particles": 4000, "frames": 9, "examples": 5000}


@pytest.fixture(scope="module")
def well() -> Story:
    return fokker_planck_story("double_well", cells=300, seed=3, **SMALL)


@pytest.fixture(scope="module")
def plane() -> Story:
    return fokker_planck_story("double_well(dim=2)", cells=80, generator=False, **SMALL)


@pytest.mark.parametrize("name", ["well", "plane"])
def test_particles_follow_the_density(name: str, request: pytest.FixtureRequest) -> None:
    """Within four standard errors at nine times: by chance once in a thousand seeds."""
    story = request.getfixturevalue(name)
    for k in range(len(story.times)):
        error = story.particle.error[k] + 0.005  # what neighbours and the grid are off by
        assert story.particle.free_energy[k] == pytest.approx(story.density.free_energy[4 * k], abs=4 * error)
        mass = story.density.shares[4 * k][1]
        spread = math.sqrt(mass * (1 - mass) / story.particles.shape[1])
        assert story.particle.shares[k][1] == pytest.approx(mass, abs=4 * spread + 0.005)


@pytest.mark.parametrize("name", ["well", "plane"])
def test_fields_samples_and_curves_have_one_length(name: str, request: pytest.FixtureRequest) -> None:
    story = request.getfixturevalue(name)
    d = story.psi.dim()
    assert story.rho.shape == (9, *story.box.cells)
    assert story.particles.shape == (9, 4000, d)
    assert (story.generator is None) == (story.model is None) == (name == "plane")
    assert len(story.density.time) == len(story.floor) == 33
    assert len(story.particle.time) == len(story.beta) == len(story.log_z) == len(story.times) == 9
    assert torch.allclose(story.rho.flatten(1).sum(1) * story.box.volume, torch.ones(9).double())
    assert story.times[0] == 0
    assert (story.beta[0], story.beta[-1]) == (0.05, 1.0)
    assert all(f >= low - 1e-9 for f, low in zip(story.density.free_energy, story.floor, strict=True))


def test_the_floor_is_minus_log_z(well: Story) -> None:
    assert well.floor[-1] == pytest.approx(-float(open_target("double_well").log_z or 0), abs=1e-3)
    assert well.density.relative_entropy[-1] == pytest.approx(well.density.free_energy[-1] - well.floor[-1], abs=1e-12)


def test_free_energy_falls_at_a_fixed_beta_as_fast_as_the_fisher_information_says() -> None:
    """dF/dt = -(noise) I: on the entropy clock the noise is 1 / beta."""
    story = fokker_planck_story(
        "double_well", 2.0, clock="entropy", time=0.5, generator=False, particles=100, frames=41,
        start="gaussian(mean=-0.5, std=0.4)",
    )  # fmt: skip
    energy, time = torch.tensor(story.density.free_energy), torch.tensor(story.density.time)
    assert bool((energy.diff() < 0).all())
    rate = (energy[2:] - energy[:-2]) / (time[2:] - time[:-2])
    told = -torch.tensor(story.density.fisher)[1:-1] / 2.0
    assert torch.allclose(rate[20:], told[20:], rtol=0.02)


@pytest.mark.parametrize(("clock", "mass"), [("likelihood", 0.0970), ("entropy", 0.3357)])
def test_the_two_clocks_carry_different_mass(clock: str, mass: float) -> None:
    """Equal wells at -4 and 4, all starts in the left one, T = 20: the entropy clock is faster by 1 / beta."""
    story = fokker_planck_story(
        "mixture(means=[-4, 4])", clock=clock, time=20, start="gaussian(mean=-4, std=1)", generator=False,
        particles=100, frames=2,
    )  # fmt: skip
    assert story.density.shares[-1][1] == pytest.approx(mass, abs=5e-4)


def test_the_generator_learns_the_target(well: Story) -> None:
    story = fokker_planck_story("double_well", cells=300, particles=2000, frames=5, examples=60_000, seed=1)
    assert story.model is not None
    assert story.model.relative_entropy[-1] == pytest.approx(0, abs=0.05)
    assert abs(story.model.shares[-1][1] - 0.5) < 0.1
    assert story.model.relative_entropy[0] == pytest.approx(0.12, abs=0.05)  # near the Gaussian of its frame
    assert story.evaluations["generator"] >= 60_000


def test_the_same_seed_gives_the_same_story() -> None:
    first, second, third = (
        fokker_planck_story("double_well", particles=200, frames=3, examples=2000, cells=100, seed=s) for s in (5, 5, 6)
    )
    assert torch.equal(first.particles, second.particles)
    assert first.generator is not None
    assert second.generator is not None
    assert torch.equal(first.generator, second.generator)
    assert first.to_dict() == second.to_dict()
    assert torch.equal(first.rho, third.rho)
    assert not torch.equal(first.particles, third.particles)


def test_a_hot_start_is_equilibrium() -> None:
    story = fokker_planck_story("double_well", start="hot", generator=False, particles=5000, frames=3)
    assert story.density.relative_entropy[0] == pytest.approx(0, abs=1e-9)
    assert story.particle.relative_entropy[0] == pytest.approx(0, abs=5 * story.particle.error[0])
    assert all(s[1] == pytest.approx(0.5, abs=1e-9) for s in story.density.shares)


def test_the_left_start_is_the_well_as_a_gaussian(well: Story) -> None:
    assert well.start == "gaussian(mean=-1, std=0.204)"  # psi'' = 24
    assert float(well.particles[0].std()) == pytest.approx(1 / math.sqrt(24), rel=0.05)


@pytest.mark.parametrize("d", [1, 2])
def test_entropy_by_neighbours(d: int) -> None:
    """Of a normal law with sd 0.3: d/2 log(2 pi e 0.09). The standard error is sqrt(d / 2 n) = .007 for d = 1."""
    x = 0.3 * torch.randn(10_000, d, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    exact = d / 2 * math.log(2 * math.pi * math.e * 0.09)
    assert float(minus_log_density(x).mean()) == pytest.approx(exact, abs=0.04)


@pytest.mark.parametrize(("d", "shift"), [(1, 0.0), (1, 1.0), (2, 0.0), (2, 1.0)])
def test_fisher_information_from_samples(d: int, shift: float) -> None:
    """N(shift, 0.8^2 I) against N(0, I), both smoothed by a kernel of sd w: with a = .64 + w^2 and b = 1 + w^2,
    I = d ((shift / b)^2 + a (1 / a - 1 / b)^2), which is what the samples tell; w = 0 is the density's own."""
    box = Box((-6.0,) * d, (6.0,) * d, (160,) * d)
    psi = potential(open_target(f"gaussian(dim={d})"), box)
    generator = torch.Generator().manual_seed(1)
    x = shift + 0.8 * torch.randn(20_000, d, generator=generator, dtype=torch.float64)
    width = kernel_width(-minus_log_density(x), d)

    def exact(w: float) -> float:
        a, b = 0.64 + w**2, 1 + w**2
        return d * ((shift / b) ** 2 + a * (1 / a - 1 / b) ** 2)

    value, error = fisher_of_samples(x, psi, box, 1.0, width)
    assert value == pytest.approx(exact(width), abs=4 * error)  # by chance once in a hundred seeds (four groups)
    assert error < 0.06 * exact(width) ** 0.5
    assert value == pytest.approx(exact(0), rel=0.2)
    rho = gaussian_cells(box, [shift] * d, [0.8] * d)
    assert fisher_information(rho, psi, box) == pytest.approx(exact(0), rel=0.01)
    y = torch.randn(20_000, d, generator=generator, dtype=torch.float64)
    nothing, error = fisher_of_samples(y, psi, box, 1.0, width)
    assert nothing == pytest.approx(0, abs=max(4 * error, 0.01))


@pytest.mark.parametrize(
    ("target", "options", "said"),
    [
        ("gaussian(dim=3)", {}, "has 3 dimensions; a density is drawn in 1 or 2"),
        ("doublewell", {}, "did you mean 'double_well'"),
        ("double_well", {"clock": "entropie"}, "did you mean 'entropy'"),
        ("double_well", {"beta": "adaptive(0.05->1)"}, "adaptive waits for a generator"),
        ("double_well", {"beta": "each(1, 2)"}, "one schedule"),
        ("double_well", {"beta": "linear(0->1)"}, "beta: is 0 at progress 0; allowed: positive"),
        ("double_well", {"start": "lef"}, "unknown start 'lef': did you mean 'left'"),
        ("double_well", {"start": "gaussian(std=-1)"}, "start: std must be numbers above 0, got -1"),
        ("double_well", {"start": "gaussian(mean=[1, 2])"}, "start: mean must be one number or 1, got 2"),
        ("double_well", {"time": -1.0}, "time: got -1"),
        ("double_well", {"particles": 3}, "particles: got 3; allowed: 100 to"),
        ("double_well", {"frames": 1}, "frames: got 1; allowed: 2 to"),
        ("double_well", {"cells": 5}, "cells: got 5; allowed: 16 to"),
        ("double_well", {"examples": 5}, "examples: got 5; allowed: 1,000 to"),
        ("student(dim=1)", {}, "log u falls so slowly"),
    ],
)
def test_what_does_not_fit_is_said(target: str, options: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said.replace("(", r"\(").replace(")", r"\)")):
        fokker_planck_story(target, **options)


def test_a_density_of_ones_own_without_a_frame() -> None:
    made = Target(name="own", dim=1, log_prob=lambda x: -(x[:, 0] - 30).square() / 8, opaque=True)
    story = fokker_planck_story(made, 1.0, generator=False, particles=500, frames=2)
    assert story.box.low[0] < 25 < 35 < story.box.high[0]
    assert story.density.shares == [[]] * 5
    assert story.log_z[-1] == pytest.approx(math.log(2 * math.sqrt(2 * math.pi)), abs=1e-4)


def test_starts_are_parts() -> None:
    assert set(STARTS) == {"left", "hot", "gaussian"}
