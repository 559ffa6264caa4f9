"""The pilot finds mass wherever it is, at a cost that does not grow with the distance."""

import math

import pytest
import torch

from ganneal.diffusion import gaussian_base, parallel_tempering
from ganneal.diffusion.pilot import pilot
from ganneal.targets import Target, open_target


@pytest.mark.parametrize(
    ("dim", "mean", "width"),
    [(3, 0.0, 1.0), (3, 300.0, 1.0), (3, 1e4, 0.01), (3, 1e6, 1.0), (3, 0.0, 1e-4), (10, 0.0, 1e-5), (2, 0.0, 1e4)],
)
def test_location_and_scale_do_not_matter(dim: int, mean: float, width: float) -> None:
    centre = torch.full((dim,), mean, dtype=torch.float64)
    target = Target(name="far", dim=dim, log_prob=lambda x: -((x - centre.to(x)) / width).square().sum(1) / 2)
    frame, evaluations = pilot(target, torch.Generator().manual_seed(0))
    assert ((frame.centre - centre) / width).abs().max() < 0.3
    assert (frame.factor.diagonal() / width - 1).abs().max() < 0.25
    assert evaluations < 100_000


def test_correlations_are_found() -> None:
    factor = torch.tensor([[1.0, 0.0], [3.0, 0.1]], dtype=torch.float64)
    target = Target(
        name="thin", dim=2,
        log_prob=lambda x: -torch.linalg.solve_triangular(factor.to(x), x.mT, upper=False).square().sum(0) / 2,
    )  # fmt: skip
    frame, _ = pilot(target, torch.Generator().manual_seed(1))
    found = frame.factor @ frame.factor.mT
    assert float(found[0, 1] / (found[0, 0] * found[1, 1]).sqrt()) > 0.9


def test_two_modes_within_reach_are_both_in_the_frame() -> None:
    target = open_target("mixture(means=[[-4, 0], [4, 0]])")
    blind = Target(name="blind", dim=2, log_prob=target.log_prob)
    frame, _ = pilot(blind, torch.Generator().manual_seed(0))
    assert float(frame.factor[0, 0]) == pytest.approx(math.sqrt(17), rel=0.2)


def test_tempering_knows_the_mass_of_the_base_where_the_density_is_not_zero() -> None:
    """u = exp(-x^2 / 2) on x > 0: log Z = log sqrt(pi / 2) = .2258; the lowest level sees half of its base."""
    target = Target(
        name="half", dim=1, log_prob=lambda x: torch.where(x[:, 0] > 0, -x.square().sum(1) / 2, -torch.inf), opaque=True
    )
    generator = torch.Generator().manual_seed(0)
    x0 = torch.rand(40, 1, generator=generator, dtype=torch.float64) + 0.1
    base = gaussian_base(torch.zeros(1, dtype=torch.float64), 2.0)
    run = parallel_tempering(target, x0, 300, generator, levels=5, base=base, warmup=100)
    assert run.log_z == pytest.approx(math.log(math.sqrt(math.pi / 2)), abs=0.06)  # four standard errors
