"""The bias of the Frechet distance in one dimension, in closed form, and the distance freed of it."""

import json
import math

import numpy as np
import pytest
import torch
from scipy.stats import binomtest

from ganneal.errors import UsageError
from ganneal.metrics import frechet_distance, frechet_extrapolated, frechet_floor, frechet_from_moments


def draw(rng: np.random.Generator, n: int, d: int, shift: float = 0.0, scale: float = 1.0) -> np.ndarray:
    return scale * rng.normal(size=(n, d)) + shift


def test_null_bias_in_one_dimension_is_three_over_n() -> None:
    """Two samples of n each: 2/n of the means and 2 (1 - c4^2) = 1/n of the standard deviations, c4 = E s / sigma.
    (Against a law that is known exactly it is half of that.)"""
    n, reps = 100, 20_000
    g = torch.Generator().manual_seed(0)
    x, y = (torch.randn(reps, n, generator=g, dtype=torch.float64) for _ in range(2))
    values = (x.mean(1) - y.mean(1)) ** 2 + (x.std(1) - y.std(1)) ** 2
    error = float(values.std()) / reps**0.5
    c4 = math.sqrt(2 / (n - 1)) * math.exp(math.lgamma(n / 2) - math.lgamma((n - 1) / 2))
    exact = 2 / n + 2 * (1 - c4**2)
    assert float(values.mean()) == pytest.approx(exact, abs=4 * error)
    assert frechet_floor(1, n, n) == pytest.approx(3 / n)
    assert exact == pytest.approx(frechet_floor(1, n, n), rel=0.01)
    assert frechet_distance(x[0][:, None], y[0][:, None]) == pytest.approx(float(values[0]), rel=1e-9)
    assert frechet_floor(1, n, 10**9) == pytest.approx(1.5 / n)


@pytest.mark.parametrize(("d", "n", "shift", "scale"), [(4, 120, 0.0, 1.0), (4, 120, 0.3, 1.4), (20, 200, 0.0, 1.0)])
def test_extrapolation_removes_the_bias_and_its_interval_covers(d: int, n: int, shift: float, scale: float) -> None:
    rng, truth = np.random.default_rng(0), d * (shift**2 + (scale - 1) ** 2)
    found = [frechet_extrapolated(draw(rng, n, d), draw(rng, n, d, shift, scale)) for _ in range(80)]
    distances = np.array([f.distance for f in found])
    error = distances.std() / math.sqrt(len(found))
    bias = np.mean([f.plain for f in found]) - truth
    assert abs(distances.mean() - truth) < 4 * error
    assert bias > 8 * error or shift
    assert binomtest(sum(f.low <= truth <= f.high for f in found), len(found), 0.95, alternative="less").pvalue > 1e-3
    assert 0.75 * distances.std() < np.mean([f.standard_error for f in found]) < 1.8 * distances.std()


def test_unequal_sizes() -> None:
    rng = np.random.default_rng(0)
    distances = [frechet_extrapolated(draw(rng, 60, 3), draw(rng, 240, 3)).distance for _ in range(100)]
    assert abs(np.mean(distances)) < 4 * np.std(distances) / 10
    assert np.mean(distances) < frechet_floor(3, 60, 240) / 4


def test_intercept_of_the_line() -> None:
    """Two parts: twice the distance of all less the mean distance of the halves."""
    rng = np.random.default_rng(0)
    found = frechet_extrapolated(draw(rng, 50, 2), draw(rng, 50, 2), parts=(1, 2), repeats=1)
    assert found.parts == (1, 2)
    assert found.plain == found.values[0]
    assert found.distance == pytest.approx(2 * found.values[0] - found.values[1])


def test_error_is_that_of_the_influence_function() -> None:
    """psi by the derivative of the distance along (1 - e) P + e delta_x, whose covariance is
    (1 - e) S + e (1 - e) (x - m)(x - m)'; skewed samples, so that signs matter."""
    rng, step = np.random.default_rng(0), 1e-5
    x, y = rng.exponential(size=(25, 3)), 1.5 * rng.exponential(size=(30, 3)) - 0.3
    variance = 0.0
    for values, other in ((x, y), (y, x)):
        m, s = values.mean(0), np.cov(values.T)
        psi = []
        for deviation in values - m:
            ends = [
                frechet_from_moments(
                    m + e * deviation,
                    (1 - e) * s + e * (1 - e) * np.outer(deviation, deviation),
                    other.mean(0),
                    np.cov(other.T),
                )
                for e in (step, -step)
            ]
            psi.append((ends[0] - ends[1]) / (2 * step))
        variance += np.var(psi, ddof=1) / len(values)
    found = frechet_extrapolated(x, y, repeats=1)
    assert found.standard_error == pytest.approx(math.sqrt(variance), rel=1e-5)


def test_error_does_not_depend_on_the_axes_and_scales_with_units() -> None:
    rng = np.random.default_rng(0)
    x, y = draw(rng, 80, 3), draw(rng, 90, 3, 0.2, 1.2)
    rotation = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    plain = frechet_extrapolated(x, y)
    turned = frechet_extrapolated(3 * x @ rotation, 3 * y @ rotation)
    assert turned.distance == pytest.approx(9 * plain.distance, rel=1e-8)
    assert turned.standard_error == pytest.approx(9 * plain.standard_error, rel=1e-8)


def test_columns_that_never_vary_change_nothing() -> None:
    rng = np.random.default_rng(0)
    x, y = draw(rng, 80, 2), draw(rng, 80, 2)
    more = [np.hstack([v, np.ones((80, 2))]) for v in (x, y)]
    assert frechet_extrapolated(*more).distance == pytest.approx(frechet_extrapolated(x, y).distance, abs=1e-9)
    error = frechet_extrapolated(x, y).standard_error
    assert frechet_extrapolated(*more).standard_error == pytest.approx(error, rel=1e-6)


def test_parts_no_larger_than_the_dimension_are_left_out() -> None:
    rng = np.random.default_rng(0)
    assert frechet_extrapolated(draw(rng, 40, 10), draw(rng, 50, 10)).parts == (1, 2, 3)
    with pytest.raises(UsageError, match="at least 24 examples"):
        frechet_extrapolated(draw(rng, 23, 10), draw(rng, 50, 10))


def test_same_seed_same_bits_plain_numbers_and_bad_requests() -> None:
    rng = np.random.default_rng(0)
    x, y = draw(rng, 40, 2), draw(rng, 40, 2)
    assert frechet_extrapolated(x, y, seed=5) == frechet_extrapolated(x, y, seed=5)
    assert frechet_extrapolated(x, y, seed=5) != frechet_extrapolated(x, y, seed=6)
    assert json.loads(json.dumps(frechet_extrapolated(x, y).to_dict(), allow_nan=False))["parts"] == [1, 2, 3, 4]
    for wrong in ({"repeats": 0}, {"level": 0.0}, {"parts": (3,)}):
        with pytest.raises(UsageError):
            frechet_extrapolated(x, y, **wrong)
