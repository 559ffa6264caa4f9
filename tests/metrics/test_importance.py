"""Importance weights: closed forms of Gaussians and mixtures, intervals, tails, and what is refused."""

import math
import warnings

import pytest
import torch

from ganneal.errors import UsageError
from ganneal.metrics.importance import ess_share, importance, log_mean, pareto_k


def normal(x: torch.Tensor, scale: float = 1.0, mean: float = 0.0) -> torch.Tensor:
    """log N(x; mean, scale^2 I) of x [n, d]."""
    d = x.shape[1]
    return -((x - mean) / scale).square().sum(1) / 2 - d * math.log(scale * math.sqrt(2 * math.pi))


def gaussian_weights(n: int, scale: float, dim: int = 1, constant: float = 0.0, seed: int = 0) -> tuple:
    """log w at n samples of N(0, scale^2 I) and at n of the target e^constant N(0, I)."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(2, n, dim, dtype=torch.float64, generator=generator)
    samples, exact = scale * x[0], x[1]
    return tuple(normal(v) + constant - normal(v, scale) for v in (samples, exact))


@pytest.mark.parametrize(("scale", "dim"), [(2.0, 1), (2.0, 2), (2.0, 4), (1.3, 3), (0.9, 2)])
def test_gaussian_closed_forms(scale: float, dim: int) -> None:
    """ESS share (sqrt(2 s^2 - 1) / s^2)^d; bounds log Z - KL(q, mu) and log Z + KL(mu, q). Five standard errors: one
    false alarm in a million."""
    n, constant, square = 200_000, 3.0, scale**2
    found = importance(*gaussian_weights(n, scale, dim, constant), resamples=19)
    share = (math.sqrt(2 * square - 1) / square) ** dim
    assert found.ess_share == pytest.approx(share, rel=0.03)
    assert abs(found.log_z - constant) < 5 * found.standard_error
    assert found.standard_error == pytest.approx(math.sqrt((1 / share - 1) / n), rel=0.03)
    reverse = dim * ((square - 1) / 2 - math.log(scale))
    forward = dim * ((1 / square - 1) / 2 + math.log(scale))
    assert abs(found.lower_bound - (constant - reverse)) < 5 * found.lower_error
    assert abs(found.upper_bound - (constant + forward)) < 5 * found.upper_error
    assert found.lower_error == pytest.approx(dim**0.5 * abs(square - 1) / math.sqrt(2 * n), rel=0.03)
    assert found.upper_error == pytest.approx(dim**0.5 * abs(1 / square - 1) / math.sqrt(2 * n), rel=0.03)
    assert found.lower_bound < constant < found.upper_bound
    assert found.forward_ess_share == pytest.approx(share, rel=0.03)
    assert found.trusted


def test_claim_18() -> None:
    """N(0, 1) by samples of N(0, 4): .6614 in one dimension, its d-th power in d."""
    for dim, share in ((1, 0.6614), (2, 0.6614**2), (5, 0.6614**5)):
        assert ess_share(gaussian_weights(400_000, 2.0, dim)[0]) == pytest.approx(share, rel=0.02)


def test_equal_weights_and_a_single_one() -> None:
    equal = importance(torch.full((1000,), -7.5, dtype=torch.float64))
    assert equal.ess_share == 1.0
    assert equal.log_z == pytest.approx(-7.5, abs=1e-12)
    assert equal.low == pytest.approx(-7.5, abs=1e-12)
    assert equal.trusted
    assert equal.to_dict()["pareto_k"] is None
    alone = torch.zeros(100, dtype=torch.float64)
    alone[3] = 800  # exp overflows
    assert ess_share(alone) == pytest.approx(0.01)
    assert log_mean(alone) == pytest.approx(800 - math.log(100))
    found = importance(alone)
    assert not found.trusted
    assert "not to be trusted" in found.sentence()


def test_a_missed_mode_is_seen_by_the_upper_bound_only() -> None:
    """Target .5 N(-10, 1) + .5 N(10, 1), sampler N(10, 1): all weights are 1/2."""
    generator = torch.Generator().manual_seed(0)
    x = 10 + torch.randn(5000, 1, dtype=torch.float64, generator=generator)
    exact = torch.cat([x[:1000], -x[1000:2000]])

    def log_w(v: torch.Tensor) -> torch.Tensor:
        return torch.logaddexp(normal(v, mean=10.0), normal(v, mean=-10.0)) - math.log(2) - normal(v, mean=10.0)

    found = importance(log_w(x), log_w(exact))
    assert found.ess_share == pytest.approx(1.0)
    assert found.log_z == pytest.approx(-math.log(2), abs=1e-8)
    assert found.upper_bound == pytest.approx(200 / 2 - math.log(2), rel=0.05)  # KL = (20)^2 / 2 on half of the samples
    assert found.forward_ess_share < 1e-10
    assert found.trusted  # by what q has seen


def test_the_interval_covers() -> None:
    """300 replications at level .1, ESS share .66: below .85 by chance once in 300 repetitions of this test."""
    inside = {"low": 0, "high": 0, "bootstrap": 0}
    for seed in range(300):
        found = importance(gaussian_weights(200, 2.0, seed=seed)[0], level=0.1, resamples=199, seed=seed)
        inside["low"] += found.low <= 0
        inside["high"] += found.high >= 0
        inside["bootstrap"] += found.bootstrap[0] <= 0 <= found.bootstrap[1]
        reach = 1.6449 * found.standard_error
        assert found.low == pytest.approx(min(found.log_z - reach, found.bootstrap[0]), abs=1e-5)
        assert found.high == pytest.approx(max(found.log_z + reach, found.bootstrap[1]), abs=1e-5)
    assert 0.90 <= inside["low"] / 300 <= 0.99
    assert 0.90 <= inside["high"] / 300 <= 0.99
    assert 0.85 <= inside["bootstrap"] / 300 <= 0.95


@pytest.mark.parametrize("scale", [0.5, 0.6, 0.8])
def test_the_tail_shape_of_a_sampler_that_is_too_narrow(scale: float) -> None:
    """w = s exp(x^2 (1/s^2 - 1) / 2) has P(w > t) about t^(-1 / (1 - s^2)): k = 1 - s^2. With few samples the fit stays
    below (logarithmic corrections)."""
    k = pareto_k(gaussian_weights(400_000, scale)[0])
    assert k == pytest.approx(1 - scale**2, abs=0.12)
    assert importance(gaussian_weights(400_000, 0.5)[0], resamples=19).trusted is False


@pytest.mark.parametrize("shape", [-0.5, 0.1, 0.5, 0.9])
def test_pareto_shape_of_pareto_weights(shape: float) -> None:
    """Weights of a generalised Pareto law. The error of k from t = 3 sqrt(n) = 1341 excesses is (1 + k) / sqrt(t)."""
    u = torch.rand(200_000, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    w = (u**-shape - 1) / shape
    expected = (1341 * shape + 5) / 1351
    assert pareto_k(w.log()) == pytest.approx(expected, abs=4 * (1 + shape) / math.sqrt(1341))


@pytest.mark.parametrize("n", [40, 1000, 5000])
def test_pareto_shape_agrees_with_arviz(n: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        arviz = pytest.importorskip("arviz")
    for scale in (0.5, 2.0):
        log_w = gaussian_weights(n, scale)[0]
        assert pareto_k(log_w) == pytest.approx(float(arviz.psislw(log_w.numpy().copy())[1]), abs=1e-8)


def test_too_few_weights_are_never_trusted() -> None:
    for n in (2, 10, 20):
        assert not importance(gaussian_weights(n, 2.0)[0]).trusted
    limits = [importance(gaussian_weights(n, 2.0)[0], resamples=19).pareto_limit for n in (100, 1000, 10_000)]
    assert limits == pytest.approx([0.5, 2 / 3, 0.7])


def test_same_seed_same_interval() -> None:
    log_w = gaussian_weights(500, 2.0)[0]
    assert importance(log_w, seed=3) == importance(log_w, seed=3)
    assert importance(log_w, seed=3).bootstrap != importance(log_w, seed=4).bootstrap


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"log_weights": [0.0, math.nan, 1.0]}, "log_weights: 1 of 3 are NaN or infinite"),
        ({"log_weights": [0.0, -math.inf]}, "1 of 2 are NaN or infinite"),
        ({"log_weights": [1.0]}, "at least 2"),
        ({"log_weights": [[1.0, 2.0]]}, r"shape \(1, 2\)"),
        ({"log_weights": "many"}, "got str"),
        ({"exact_log_weights": [0.0, math.inf]}, "exact_log_weights: 1 of 2"),
        ({"level": 1.0}, "level: got 1.0"),
        ({"resamples": 3}, "at least 19"),
    ],
)
def test_wrong_requests_are_named(change: dict, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        importance(**{"log_weights": [0.0, 1.0, 2.0], **change})
