"""Toy distributions against closed forms."""

import math

import pytest
import torch
from torch.func import grad, vmap

from ganneal.data import open_source

WITH_DENSITY = [
    "ring8(std=0.3)",
    "grid25(std=0.5)",
    "gaussian(mean=1, std=2, dim=3)",
    "gaussian(mean=[1, -2], std=[0.5, 2])",
    "mixture",
    "mixture(means=[[0, 0], [3, 3]], stds=[1, 0.5], weights=[0.3, 0.7])",
]
ALL = [*WITH_DENSITY, "ring8", "grid25", "spiral", "moons", "dirac", "gaussian"]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("text", ALL)
def test_every_toy_keeps_the_contract(text):
    source = open_source(text)
    assert (source.kind, source.size, source.columns, source.labels) == ("toy", None, None, None)
    x = source.sample(50, generator())
    assert x.shape == (50, *source.shape)
    assert x.dtype == torch.float32
    assert torch.equal(x, source.sample(50, generator()))
    assert torch.equal(source.heldout(5000)[:10], source.heldout(10))
    assert torch.equal(source.heldout(10), open_source(text).heldout(10))
    assert (source.decode(x) == x.numpy()).all()
    if text != "dirac":
        assert not torch.equal(source.heldout(50), open_source(text, seed=1).heldout(50))
        assert not torch.equal(source.heldout(50), x)


@pytest.mark.parametrize("text", WITH_DENSITY)
def test_score_is_the_gradient_of_log_density(text):
    source = open_source(text)
    x = source.sample(64, generator(1)).double() + 0.1
    expected = vmap(grad(lambda row: source.log_density(row)))(x)
    torch.testing.assert_close(source.score(x), expected, rtol=1e-9, atol=1e-9)
    stacked = x.view(4, 16, -1)
    torch.testing.assert_close(vmap(source.score)(stacked).view_as(x), expected, rtol=1e-9, atol=1e-9)
    assert source.log_density(x).shape == (64,)
    assert source.score(x.float()).dtype == torch.float32


@pytest.mark.parametrize("text", [t for t in WITH_DENSITY if "dim=3" not in t])
def test_density_integrates_to_one(text):
    source = open_source(text)
    axis = torch.linspace(-16, 16, 1601, dtype=torch.float64)
    grid = axis[:, None] if source.shape == (1,) else torch.cartesian_prod(axis, axis)
    cell = 0.02 ** source.shape[0]
    total = sum(source.log_density(part).exp().sum() for part in grid.split(200_000)) * cell
    assert abs(float(total) - 1) < 1e-6


def test_gaussian_log_density_in_closed_form():
    source = open_source("gaussian(mean=1, std=2)")
    x = torch.tensor([[3.0]], dtype=torch.float64)
    assert source.log_density(x).item() == pytest.approx(-0.5 - math.log(2 * math.sqrt(2 * math.pi)), abs=1e-12)
    assert source.score(x).item() == pytest.approx(-0.5, abs=1e-12)


def test_ring_has_eight_distinct_modes_at_equal_distances():
    modes = open_source("ring8").modes
    assert modes.shape == (8, 2)
    torch.testing.assert_close(modes.norm(dim=1), torch.full((8,), 2.0))
    distances = torch.cdist(modes, modes) + 10 * torch.eye(8)
    torch.testing.assert_close(distances.min(1).values, torch.full((8,), 4 * math.sin(math.pi / 8)))


def test_grid_modes():
    source = open_source("grid25")
    assert {tuple(m) for m in source.modes.tolist()} == {(2.0 * i, 2.0 * j) for i in range(-2, 3) for j in range(-2, 3)}
    assert source.spread == 0.05


@pytest.mark.parametrize(
    ("text", "mean", "var"),
    [
        ("ring8(std=0.3)", [0, 0], [2.09, 2.09]),
        ("grid25", [0, 0], [8.0025, 8.0025]),
        ("gaussian(mean=[1, -2], std=[0.5, 3])", [1, -2], [0.25, 9]),
        ("mixture(means=[-4, 4], stds=[1, 2], weights=[1, 3])", [2], [0.25 + 3 + 12]),
        ("dirac", [0], [0]),
    ],
)
def test_sample_moments(text, mean, var):
    x = open_source(text).sample(200_000, generator(3)).double()
    mean, var = (torch.tensor(v, dtype=torch.float64) for v in (mean, var))
    assert ((x.mean(0) - mean).abs() <= 5 * (var / len(x)).sqrt()).all()
    torch.testing.assert_close(x.var(0), var, rtol=0.03, atol=1e-12)


def test_curves_lie_where_they_should():
    moons = open_source("moons(noise=0.0001)").sample(2000, generator()).double()
    outer, inner = moons.norm(dim=1) - 1, (moons - torch.tensor([1, 0.5])).norm(dim=1) - 1
    assert torch.minimum(outer.abs(), inner.abs()).max() < 1e-3
    spiral = open_source("spiral(noise=0.0001)").sample(2000, generator()).double()
    turn = torch.atan2(spiral[:, 1], spiral[:, 0]) - 1.5 * math.pi * spiral.norm(dim=1)
    away = spiral.norm(dim=1) > 0.1  # the angle means nothing near the centre
    assert torch.remainder(turn + 1, 2 * math.pi)[away].sub(1).abs().max() < 0.01


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("ring8", "ring8"),
        (" ring8(2, std=0.02) ", "ring8"),
        ("ring8(3)", "ring8(radius=3)"),
        ("mixture(means=[[0, 0], [3, 3]])", "mixture(means=[[0, 0], [3, 3]])"),
    ],
)
def test_names_are_canonical_and_open_again(text, name):
    source = open_source(text)
    assert source.name == name
    assert open_source(source.name).name == name
    assert repr(source).startswith(f"<{name}: toy")


def test_modes_and_spread():
    mixture = open_source("mixture(means=[-1, 0, 1], stds=[1, 2, 1])")
    assert mixture.modes.tolist() == [[-1], [0], [1]]
    assert mixture.spread is None
    assert open_source("mixture(stds=0.5)").spread == 0.5
    assert open_source("dirac").modes.tolist() == [[0]]
    assert open_source("moons").modes is None
    assert open_source("moons").log_density is None
