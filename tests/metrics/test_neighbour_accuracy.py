"""1-NN accuracy split into real and fake."""

import numpy as np
import pytest

from ganneal.errors import UsageError
from ganneal.metrics import neighbour_accuracy


def test_equal_laws_score_a_little_below_one_half() -> None:
    rng = np.random.default_rng(0)
    found = [neighbour_accuracy(rng.normal(size=(10, 2)), rng.normal(size=(10, 2))) for _ in range(600)]
    assert found[0].expected == pytest.approx(9 / 19)
    for values in ([f.real for f in found], [f.fake for f in found]):
        assert np.mean(values) == pytest.approx(9 / 19, abs=4 * np.std(values) / 600**0.5)


def test_what_the_two_sides_mean() -> None:
    rng = np.random.default_rng(0)
    real = rng.normal(size=(200, 2))
    far = neighbour_accuracy(real, 100 + real)
    assert (far.real, far.fake, far.total) == (1, 1, 1)
    copies = neighbour_accuracy(real, real + 1e-6)
    assert (copies.real, copies.fake) == (0, 0)
    # variety lost: the nearest of all are samples, to real examples as to samples
    narrow = neighbour_accuracy(rng.normal(size=(200, 20)), 0.6 * rng.normal(size=(200, 20)))
    assert narrow.fake > 0.9 > 0.4 > narrow.real


def test_the_larger_side_is_cut() -> None:
    rng = np.random.default_rng(0)
    real, fake = rng.normal(size=(300, 2)), rng.normal(size=(40, 2))
    found = neighbour_accuracy(real, fake, seed=1)
    assert found.n == 40
    assert found.total == pytest.approx((found.real + found.fake) / 2)
    assert neighbour_accuracy(real, fake, seed=1) == found
    with pytest.raises(UsageError, match="fake_features"):
        neighbour_accuracy(real, fake * np.nan)
