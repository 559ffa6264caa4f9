"""The witness: its formula, its sign, and that no example is its own witness."""

import json

import pytest
import torch

from ganneal.twosample import witness_extremes
from ganneal.twosample.kernels import gaussian
from ganneal.twosample.witness import witness


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_it_is_the_difference_of_mean_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y, points, kernel = normal(7, 2), normal(5, 2, seed=1), normal(6, 2, seed=2), gaussian(0.8)
    expected = kernel.gram(points, x).mean(1) - kernel.gram(points, y).mean(1)
    torch.testing.assert_close(witness(x, y, points, kernel), expected)
    monkeypatch.setattr("ganneal.twosample.witness.CHUNK", 2)
    torch.testing.assert_close(witness(x, y, points, kernel), expected)


def test_it_points_at_what_y_lacks_and_at_what_y_has_too_much_of() -> None:
    """x: blobs at 0 and 10; y: blobs at 0 and -10. In x the examples near 10 are extreme, in y those near -10."""
    x, y = 0.3 * normal(100, 1), 0.3 * normal(80, 1, seed=1)
    x[::2] += 10
    y[1::2] -= 10
    found = witness_extremes(x, y, kernel=1.0, count=10)
    assert (x[list(found.x_index)] > 5).all()
    assert (y[list(found.y_index)] < -5).all()
    assert min(found.x_value) > 0 > max(found.y_value)
    assert list(found.x_value) == sorted(found.x_value, reverse=True)
    assert list(found.y_value) == sorted(found.y_value)
    assert json.loads(json.dumps(found.to_dict()))["x_index"] == list(found.x_index)


def test_no_example_is_its_own_witness() -> None:
    """With a kernel far narrower than any distance, only an example's own value could lift it: none does."""
    found = witness_extremes(normal(40, 3), normal(40, 3, seed=1), kernel=1e-3)
    assert max(abs(v) for v in (*found.x_value, *found.y_value)) < 1e-6
