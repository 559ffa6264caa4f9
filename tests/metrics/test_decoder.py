"""Annealed importance sampling of decoders: exact log p(x) of linear ones lies between the bounds, weights are unbiased
both ways, and curved decoders agree with quadrature."""

import json
import math

import pytest
import torch

from ganneal.errors import RunError, UsageError
from ganneal.metrics.decoder import DecoderLikelihood, bidirectional, decoder_log_likelihood, power_path

WEIGHT = torch.randn(3, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
BIAS = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)


def linear(z: torch.Tensor) -> torch.Tensor:
    return z @ WEIGHT.T + BIAS


def linear_log_density(x: torch.Tensor, sigma: float) -> torch.Tensor:
    covariance = WEIGHT @ WEIGHT.T + sigma**2 * torch.eye(3, dtype=torch.float64)
    return torch.distributions.MultivariateNormal(BIAS, covariance).log_prob(x)


def simulated(decoder, n: int, k: int, sigma: float, generator: torch.Generator) -> tuple:
    z = torch.randn(n, k, dtype=torch.float64, generator=generator)
    image = decoder(z)
    return image + sigma * torch.randn(image.shape, dtype=torch.float64, generator=generator), z


@pytest.mark.parametrize(("sigma", "temperatures", "off"), [(1.0, 60, 0.05), (0.4, 150, 0.1)])
def test_the_exact_value_lies_between_the_bounds(sigma: float, temperatures: int, off: float) -> None:
    """A linear decoder, 40 examples: means of lower <= exact <= upper up to their noise (three standard errors), and
    both within `off`."""
    generator = torch.Generator().manual_seed(0)
    x, z = simulated(linear, 40, 2, sigma, generator)
    found = decoder_log_likelihood(linear, x, 2, sigma, generator, temperatures=temperatures, leaps=5, exact=z)
    below, above = found.lower - linear_log_density(x, sigma), found.upper - linear_log_density(x, sigma)
    assert -off < float(below.mean()) < 3 * float(below.std()) / math.sqrt(40)
    assert off > float(above.mean()) > -3 * float(above.std()) / math.sqrt(40)
    assert 0.5 < found.acceptance < 0.85
    assert float(below.std()) == pytest.approx(float(found.error.square().mean().sqrt()), rel=0.5)
    assert found.gap == pytest.approx(found.mean_upper - found.mean)


def test_short_paths_keep_the_order_and_show_the_gap() -> None:
    """Five temperatures at a small sigma: far apart, on the right sides."""
    generator = torch.Generator().manual_seed(0)
    x, z = simulated(linear, 40, 2, 0.2, generator)
    found = decoder_log_likelihood(linear, x, 2, 0.2, generator, chains=2, temperatures=5, leaps=5, exact=z)
    exact = float(linear_log_density(x, 0.2).mean())
    assert found.mean < exact - 0.5
    assert found.mean_upper > exact + 0.5


def test_weights_are_unbiased_forward_and_inverse_weights_backward() -> None:
    """20,000 copies of one x with three temperatures: E w = p(x) and, from exact posterior samples, E 1/w = 1/p(x).
    Five standard errors."""
    n, sigma, generator = 20_000, 1.0, torch.Generator().manual_seed(0)
    x = torch.tensor([[1.6, -1.0, 0.2]], dtype=torch.float64)
    precision = torch.eye(2, dtype=torch.float64) + WEIGHT.T @ WEIGHT / sigma**2
    mean = torch.linalg.solve(precision, WEIGHT.T @ (x - BIAS)[0] / sigma**2)
    law = torch.distributions.MultivariateNormal(mean, precision_matrix=precision)
    exact = mean + torch.randn(n, 2, generator=generator, dtype=torch.float64) @ law.scale_tril.T
    found = decoder_log_likelihood(
        linear, x.expand(n, 3), 2, sigma, generator, chains=1, temperatures=3, leaps=3, exact=exact
    )  # fmt: skip
    truth = float(linear_log_density(x, sigma))
    for ratio in ((found.lower - truth).exp(), (truth - found.upper).exp()):
        assert abs(float(ratio.mean()) - 1) < 5 * float(ratio.std()) / math.sqrt(n) < 0.06
        assert float(ratio.std()) > 0.1  # or there is nothing to see
    assert bool(found.error.isnan().all())


def test_a_curved_decoder_by_quadrature() -> None:
    """G(z) = (z, sin 2z, z^2 / 2), any x: the lower bound is close to the integral over z."""

    def curve(z: torch.Tensor) -> torch.Tensor:
        return torch.cat([z, torch.sin(2 * z), z.square() / 2], 1)

    generator = torch.Generator().manual_seed(0)
    x, _ = simulated(curve, 20, 1, 0.5, generator)
    x[:5] += 1  # points that the decoder would not make
    grid = torch.linspace(-8, 8, 20_001, dtype=torch.float64)[:, None]
    square = torch.cdist(x, curve(grid)).square() / 0.25 + grid.T.square()
    expected = (-square / 2).logsumexp(1) + math.log(16 / 20_000) - 3 * math.log(0.5) - 2 * math.log(2 * math.pi)
    found = decoder_log_likelihood(curve, x, 1, 0.5, generator, chains=64, temperatures=100, leaps=5)
    assert ((found.lower - expected).abs() < 5 * found.error).all()
    assert abs(float((found.lower - expected).mean())) < 0.05
    assert found.error.median() < 0.12
    assert found.upper is None
    assert "a lower bound of unknown gap, at sigma = 0.5" in found.sentence()


def test_networks_simulate_for_themselves_and_repeat() -> None:
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Linear(2, 8), torch.nn.Tanh(), torch.nn.Linear(8, 6), torch.nn.Unflatten(1, (2, 3))
    )

    def run(seed: int) -> DecoderLikelihood:
        return bidirectional(
            network, 6, 2, 0.3, torch.Generator().manual_seed(seed), chains=8, temperatures=60, leaps=4
        )

    found = run(0)
    assert found.lower.dtype == found.upper.dtype == torch.float64
    assert -0.3 < found.gap < 1.0
    assert torch.equal(found.lower, run(0).lower)
    assert not torch.equal(found.lower, run(1).lower)
    # pilot with 4 chains: 60 moves; forward and reverse with 8: 59; each walk looks once at its start
    assert found.evaluations == 6 * (4 * (1 + 60 * 4) + 2 * 8 * (1 + 59 * 4))
    assert all(p.grad is None for p in network.parameters())
    assert json.loads(json.dumps(found.to_dict()))["gap"] == found.gap
    assert " above (on average), at sigma = 0.3." in found.sentence()


def test_the_path_is_increasing_with_its_ends() -> None:
    assert power_path(4).tolist() == [0, 1 / 256, 1 / 16, 81 / 256, 1]
    assert power_path(2, 1.0).tolist() == [0, 0.5, 1]


def test_weights_that_are_not_finite_stop_the_run() -> None:
    def broken(z: torch.Tensor) -> torch.Tensor:
        return torch.where(z > 0, math.nan, z)

    with pytest.raises(RunError, match="weights of 3 of 3 examples are not finite"):
        decoder_log_likelihood(broken, torch.zeros(3, 1), 1, 0.5, torch.Generator().manual_seed(0), temperatures=3)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"sigma": 0.0}, "sigma: got 0.0"),
        ({"latent": 0}, "got 0, 16, 10, 5"),
        ({"chains": 0}, "got 2, 0, 10, 5"),
        ({"temperatures": 0}, "temperatures: got 0"),
        ({"betas": torch.tensor([0.0, 0.5, 0.4, 1.0])}, "increasing numbers from 0 to 1"),
        ({"betas": torch.tensor([0.1, 1.0])}, "increasing numbers from 0 to 1"),
        ({"exact": torch.zeros(5, 3)}, r"exact: got shape \(5, 3\); allowed: \(5, 2\)"),
        ({"x": torch.full((5, 3), math.nan).double()}, "x: holds NaN"),
        ({"x": torch.zeros(5, 4).double()}, "got examples of 4 numbers; allowed: 3"),
    ],
)
def test_wrong_requests_are_named(change: dict, words: str) -> None:
    arguments = {
        "decoder": linear, "x": torch.zeros(5, 3).double(), "latent": 2, "sigma": 0.5,
        "generator": torch.Generator(), **change,
    }  # fmt: skip
    with pytest.raises(UsageError, match=words):
        decoder_log_likelihood(**arguments)


def test_nothing_is_simulated_for_nobody() -> None:
    with pytest.raises(UsageError, match="n, latent: got 0, 2"):
        bidirectional(linear, 0, 2, 0.5, torch.Generator())
