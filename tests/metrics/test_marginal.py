"""The density of G(z) + sigma e: exact for linear G, by quadrature for curves and folds, the direction of the bias."""

import math

import pytest
import torch

from ganneal.errors import UsageError
from ganneal.metrics.importance import importance
from ganneal.metrics.marginal import _starts, marginal_log_density, marginal_log_weights


def made(network, n: int, k: int, sigma: float, seed: int = 0, dtype: torch.dtype = torch.float64) -> tuple:
    """x [n, d], z [n, k] and the generator after them."""
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(n, k, generator=generator, dtype=dtype)
    image = network(z)
    return image + sigma * torch.randn(image.shape, generator=generator, dtype=dtype), z, generator


def quadrature(network, x: torch.Tensor, sigma: float) -> torch.Tensor:
    """log q(x) for a latent of one dimension."""
    grid = torch.linspace(-8, 8, 20_001, dtype=torch.float64)[:, None]
    d = x.shape[1]
    square = torch.cdist(x, network(grid)).square() / sigma**2 + grid.T.square()
    return (
        (-square / 2).logsumexp(1)
        + math.log(16 / 20_000)
        - (d * math.log(sigma**2) + (d + 1) * math.log(2 * math.pi)) / 2
    )


def fold(z: torch.Tensor) -> torch.Tensor:
    return z.square()


def curve(z: torch.Tensor) -> torch.Tensor:
    return torch.cat([z, torch.sin(2 * z)], 1)


@pytest.mark.parametrize(("k", "d", "sigma"), [(1, 1, 0.5), (2, 2, 0.1), (3, 5, 1.0), (4, 2, 0.3)])
def test_linear_generators_are_exact(k: int, d: int, sigma: float) -> None:
    """q = N(b, A A' + sigma^2 I). One draw without the prior; with it, all draws of the posterior agree up to the
    prior's share."""
    weight, bias = torch.randn(2, d, k, dtype=torch.float64, generator=torch.Generator().manual_seed(k))

    def network(z: torch.Tensor) -> torch.Tensor:
        return z @ weight.T + bias[:, 0]

    x, z, generator = made(network, 20, k, sigma)
    law = torch.distributions.MultivariateNormal(
        bias[:, 0], weight @ weight.T + sigma**2 * torch.eye(d, dtype=torch.float64)
    )
    expected = law.log_prob(x)
    found = marginal_log_density(network, x, z, sigma, 1, generator, prior_share=0.0)
    torch.testing.assert_close(found, expected, atol=1e-9, rtol=0)
    from_zero = marginal_log_density(network, x, torch.zeros_like(z), sigma, 3, generator, prior_share=0.0, steps=1)
    torch.testing.assert_close(from_zero, expected, atol=1e-9, rtol=0)
    mixed = marginal_log_density(network, x, z, sigma, 2000, generator)
    assert (mixed - expected).abs().max() < 0.05


def test_a_curve_by_quadrature() -> None:
    x, z, generator = made(curve, 200, 1, 0.2)
    found = marginal_log_density(curve, x, z, 0.2, 400, generator)
    error = found - quadrature(curve, x, 0.2)
    assert error.abs().max() < 0.2
    assert error.abs().mean() < 0.02


def test_a_fold_needs_two_starts() -> None:
    """x = z^2 + e: z and -z. One start without the prior misses half of the probability, two find it."""
    x, z, generator = made(fold, 300, 1, 0.05)
    clear = x[:, 0] > 0.5
    expected = quadrature(fold, x, 0.05)
    half = marginal_log_density(fold, x, z, 0.05, 50, generator, prior_share=0.0) - expected
    assert (half[clear] + math.log(2)).abs().max() < 0.3
    both = marginal_log_density(fold, x, z, 0.05, 50, generator, starts=2, prior_share=0.0) - expected
    assert both[clear].abs().max() < 0.3
    assert abs(float(both[clear].mean())) < 0.02
    many = marginal_log_density(fold, x, z, 0.05, 1000, generator, starts=2) - expected
    assert many.abs().max() < 0.3


def test_starts_have_near_images_and_are_far_apart() -> None:
    z = torch.tensor([[0.0], [10.0], [4.0], [-1.0]])
    same = torch.zeros(4, 2, dtype=torch.float64)
    taken = torch.stack(_starts(same, z, same, 3))[:, 0, 0]
    assert taken.tolist() == [0, 10, 4]
    z = torch.linspace(-3, 3, 601, dtype=torch.float64)[:, None]
    first, second = _starts(z.square(), z, z.square(), 2)
    clear = z.abs() > 1
    assert torch.equal(first, z)
    assert (second + z)[clear].abs().max() < 0.2


def test_the_estimate_of_q_is_unbiased_and_that_of_its_log_too_small() -> None:
    """20,000 times one x, 4 draws each: five standard errors."""
    x = torch.tensor([[0.6, 0.8]], dtype=torch.float64).expand(20_000, 2)
    z = torch.full((20_000, 1), 0.5, dtype=torch.float64)
    found = marginal_log_density(curve, x, z, 0.3, 4, torch.Generator().manual_seed(0), prior_share=0.25)
    ratio = (found - quadrature(curve, x[:1], 0.3)).exp()
    assert abs(float(ratio.mean()) - 1) < 5 * float(ratio.std()) / math.sqrt(20_000) < 0.05
    assert float(ratio.log().mean()) < -0.01
    weights = marginal_log_weights(curve, x[:100], z[:100], 0.3, 40, torch.Generator().manual_seed(0))
    assert weights.shape == (40, 100)


def test_log_z_of_a_gaussian_by_a_generator() -> None:
    """Target e^2 N(0, I) by G(z) = 1.2 tanh-like curve of R^2: log Z within its interval, weights from estimates."""

    def network(z: torch.Tensor) -> torch.Tensor:
        return z + 0.3 * torch.sin(z.flip(1))

    x, z, generator = made(network, 2000, 2, 0.5)
    log_q = marginal_log_density(network, x, z, 0.5, 200, generator, starts=2)
    log_u = -x.square().sum(1) / 2 - math.log(2 * math.pi) + 2
    found = importance(log_u - log_q)
    assert found.trusted
    assert abs(found.log_z - 2) < 4 * found.standard_error + 0.01
    assert found.ess_share > 0.8


def test_networks_in_single_precision_and_with_image_shapes() -> None:
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Linear(3, 16), torch.nn.Tanh(), torch.nn.Linear(16, 8), torch.nn.Unflatten(1, (2, 4))
    )
    x, z, _ = made(network, 10, 3, 0.2, dtype=torch.float32)
    same = [
        marginal_log_density(network, x.detach().flatten(1), z, 0.2, 50, torch.Generator().manual_seed(s))
        for s in (0, 0, 1)
    ]  # fmt: skip
    assert same[0].dtype == torch.float64
    assert torch.equal(same[0], same[1])
    assert not torch.equal(same[0], same[2])
    double = marginal_log_density(
        network.double(), x.detach().flatten(1).double(), z.double(), 0.2, 50, torch.Generator().manual_seed(0)
    )
    torch.testing.assert_close(same[0], double, atol=1e-3, rtol=0)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"sigma": 0.0}, "sigma, steps: got 0.0"),
        ({"draws": 1}, "draws: got 1"),
        ({"draws": 3, "starts": 3}, "each of 3 starts"),
        ({"starts": 0}, "starts, prior_share: got 0"),
        ({"prior_share": 1.0}, "below 1"),
        ({"z": torch.zeros(3, 1)}, "5 and 3 rows"),
        ({"x": torch.zeros(5, 2)}, "got examples of 2 numbers; allowed: 1"),
    ],
)
def test_wrong_requests_are_named(change: dict, words: str) -> None:
    arguments = {
        "network": fold, "x": torch.zeros(5, 1), "z": torch.zeros(5, 1), "sigma": 0.1, "draws": 10,
        "generator": torch.Generator(), **change,
    }  # fmt: skip
    with pytest.raises(UsageError, match=words):
        marginal_log_density(**arguments)
