"""KID against its definition and an exact expectation; its intervals by simulation."""

import itertools
import json

import numpy as np
import pytest
import torch
from scipy.stats import binomtest

from ganneal.errors import UsageError
from ganneal.metrics import kid, kid_interval


def draw(seed: int, n: int, d: int, scale: float = 1.0) -> np.ndarray:
    return scale * np.random.default_rng(seed).normal(size=(n, d))


def kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a @ b.T / a.shape[1] + 1) ** 3


def brute(x: np.ndarray, y: np.ndarray) -> float:
    kx, ky, m, n = kernel(x, x), kernel(y, y), len(x), len(y)
    return (
        (kx.sum() - np.trace(kx)) / (m * (m - 1)) + (ky.sum() - np.trace(ky)) / (n * (n - 1)) - 2 * kernel(x, y).mean()
    )


def test_definition() -> None:
    x, y = draw(0, 41, 5), draw(1, 30, 5, 1.3)
    assert kid(x, y) == pytest.approx(brute(x, y), rel=1e-12)
    assert kid(y, x) == pytest.approx(kid(x, y), rel=1e-12)
    assert kid(x[::-1].copy(), y) == pytest.approx(kid(x, y), rel=1e-12)


def test_pieces_of_large_samples_add_up() -> None:
    x, y = draw(0, 2500, 2), draw(1, 2100, 2, 1.1)
    assert kid(x, y) == pytest.approx(brute(x, y), rel=1e-9)


def test_mean_is_exact_on_a_small_space() -> None:
    """All samples of 4 and 4 from laws on three points: the mean over them is MMD^2, not only about it."""
    points = np.array([[0.0, 1.0], [1.5, -1.0], [0.5, 2.0]])
    p, q = np.array([0.2, 0.5, 0.3]), np.array([0.4, 0.1, 0.5])
    table = kernel(points, points)
    total = 0.0
    for i in itertools.combinations_with_replacement(range(3), 4):
        for j in itertools.combinations_with_replacement(range(3), 4):
            total += chance(i, p) * chance(j, q) * kid(points[list(i)], points[list(j)])
    assert total == pytest.approx((p - q) @ table @ (p - q), rel=1e-10)


def chance(indices: tuple[int, ...], p: np.ndarray) -> float:
    counts = np.bincount(indices, minlength=len(p))
    orders = len(set(itertools.permutations(indices)))
    return float(orders * np.prod(p**counts))


def test_null_mean_is_zero_whatever_the_size() -> None:
    """T7: 2,000 pairs of samples at each of two sizes."""
    rng = np.random.default_rng(0)
    for n in (5, 20):
        values = [kid(rng.normal(size=(n, 3)), rng.normal(size=(n + 3, 3))) for _ in range(2000)]
        assert abs(np.mean(values)) < 4 * np.std(values) / np.sqrt(len(values))


def test_jackknife_and_blocks_from_the_definition() -> None:
    x, y, g = draw(0, 30, 3), draw(1, 25, 3, 1.2), 5
    found = kid_interval(x, y, blocks=g, seed=7)
    generator = torch.Generator().manual_seed(7)
    a, b = ((torch.arange(len(v)) % g)[torch.randperm(len(v), generator=generator)].numpy() for v in (x, y))
    left = [brute(x[a != i], y[b != i]) for i in range(g)]
    single = [brute(x[a == i], y[b == i]) for i in range(g)]
    assert found.kid == pytest.approx(brute(x, y), rel=1e-10)
    assert found.standard_error == pytest.approx(np.sqrt((g - 1) ** 2 / g * np.var(left, ddof=1)), rel=1e-8)
    assert found.mean_of_blocks == pytest.approx(np.mean(single), rel=1e-10)
    assert found.standard_error_of_blocks == pytest.approx(np.std(single, ddof=1) / np.sqrt(g), rel=1e-8)
    assert found.high - found.kid == pytest.approx(2.776445 * found.standard_error, rel=1e-6)
    assert found.kid - found.low == pytest.approx(found.high - found.kid)


@pytest.mark.parametrize(("scale", "truth"), [(1.0, 0.0), (1.3, None)])
def test_intervals_cover(scale: float, truth: float | None) -> None:
    """Of 300 intervals at 95 %: no clear shortage."""
    rng, d, n = np.random.default_rng(1), 16, 80
    found = [kid_interval(rng.normal(size=(n, d)), scale * rng.normal(size=(n, d))) for _ in range(300)]
    value = truth if truth is not None else exact_scaled(scale, d)
    for inside in (
        sum(f.low <= value <= f.high for f in found),
        sum(abs(f.mean_of_blocks - value) <= 2.262 * f.standard_error_of_blocks for f in found),
    ):
        assert binomtest(inside, len(found), 0.95, alternative="less").pvalue > 1e-3
    spread = np.std([f.kid for f in found])
    assert 0.9 * spread < np.mean([f.standard_error for f in found]) < 2 * spread


def exact_scaled(scale: float, d: int) -> float:
    """MMD^2 of N(0, I) and N(0, s^2 I): E (x'y/d + 1)^3 = 1 + 3 E (x'y)^2 / d^2 = 1 + 3 a b / d for variances a, b."""
    return 3 * (1 - scale**2) ** 2 / d


def test_same_seed_same_bits_and_plain_numbers() -> None:
    x, y = draw(0, 60, 4), draw(1, 60, 4)
    assert kid_interval(x, y, seed=3) == kid_interval(x, y, seed=3)
    assert kid_interval(x, y, seed=3) != kid_interval(x, y, seed=4)
    assert json.loads(json.dumps(kid_interval(x, y).to_dict(), allow_nan=False))["blocks"] == 10


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"blocks": 2}, "blocks: got 2"),
        ({"blocks": 16}, "allowed: whole numbers from 3 to 15"),
        ({"level": 1.0}, "level"),
        ({"x_features": [[1.0]] * 3}, "x_features: got"),
        ({"y_features": np.full((30, 2), np.nan)}, "y_features: 30 of 30"),
        ({"y_features": np.ones((30, 3))}, "examples of 2 and 3"),
    ],
)
def test_wrong_requests_are_named(change: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        kid_interval(**{"x_features": draw(0, 30, 2), "y_features": draw(1, 30, 2), **change})
