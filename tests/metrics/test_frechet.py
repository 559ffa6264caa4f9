"""Frechet distance against closed forms, scipy's matrix root and simulation."""

import math

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm

from ganneal.errors import UsageError
from ganneal.metrics import frechet_distance, frechet_floor, frechet_from_moments


def covariance(d: int, seed: int, rank: int | None = None) -> np.ndarray:
    root = np.random.default_rng(seed).normal(size=(d, rank or d))
    return root @ root.T


def test_one_dimension() -> None:
    """(mu1 - mu2)^2 + (s1 - s2)^2."""
    assert frechet_from_moments([1.0], [[4.0]], [-2.0], [[9.0]]) == pytest.approx(9 + 1)


def test_commuting_covariances() -> None:
    d1, d2 = np.array([1.0, 4.0, 0.25]), np.array([9.0, 1.0, 0.0])
    rotation = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    value = frechet_from_moments(np.zeros(3), rotation * d1 @ rotation.T, np.ones(3), rotation * d2 @ rotation.T)
    assert value == pytest.approx(3 + ((np.sqrt(d1) - np.sqrt(d2)) ** 2).sum(), abs=1e-12)


@pytest.mark.parametrize("rank", [None, 3])
def test_general_covariances_against_the_matrix_root(rank: int | None) -> None:
    s1, s2, m = covariance(6, 1), covariance(6, 2, rank), np.arange(6.0)
    root = sqrtm(s1)
    expected = m @ m + np.trace(s1) + np.trace(s2) - 2 * np.trace(sqrtm(root @ s2 @ root)).real
    assert frechet_from_moments(m, s1, 0 * m, s2) == pytest.approx(expected, rel=1e-6)
    assert frechet_from_moments(0 * m, s2, m, s1) == pytest.approx(frechet_from_moments(m, s1, 0 * m, s2), rel=1e-12)


def test_identical_samples_are_at_distance_zero_even_when_singular() -> None:
    x = np.random.default_rng(0).normal(size=(20, 50))
    assert frechet_distance(x, x) < 1e-10


def test_images_are_flattened_and_float32_is_widened() -> None:
    x = torch.randn(30, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    y = x + 1e-3
    assert frechet_distance(x, y) == pytest.approx(4e-6, rel=1e-3)


def test_the_bias_falls_like_one_over_n_and_meets_the_floor() -> None:
    rng = np.random.default_rng(0)
    for n in (100, 400):
        mean = np.mean([frechet_distance(rng.normal(size=(n, 5)), rng.normal(size=(2 * n, 5))) for _ in range(40)])
        assert mean == pytest.approx(frechet_floor(5, n, 2 * n), rel=0.15)


def test_wrong_shapes_are_named() -> None:
    with pytest.raises(UsageError, match="at least 2 examples"):
        frechet_distance([[1.0, 2.0]], np.eye(2))
    with pytest.raises(UsageError, match="finite"):
        frechet_distance([[1.0, math.nan], [1.0, 2.0]], np.eye(2))
    with pytest.raises(UsageError, match="got shapes"):
        frechet_distance(np.eye(3), np.eye(2))
