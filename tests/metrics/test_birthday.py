"""Support sizes from near-duplicates: exact counts, and intervals by simulation."""

import json
import math

import numpy as np
import pytest
from scipy.spatial.distance import pdist

from ganneal.errors import UsageError
from ganneal.metrics import birthday, duplicate_radius


def test_pairs_are_counted_exactly() -> None:
    x = np.random.default_rng(0).normal(size=(80, 2))
    for radius in (0.01, 0.1, 1.0):
        assert birthday(x, radius).pairs == int((pdist(x) <= radius).sum())
    assert birthday(np.ones((5, 2)), 0.0).pairs == 10
    assert birthday(1e4 + np.repeat(x, 2, axis=0), 0.0).pairs == 80


def test_estimate_and_poisson_interval() -> None:
    """20 draws, two equal pairs: 190/2 = 95; exact Poisson limits of 2 are 0.2422 and 7.2247."""
    x = np.arange(20.0)
    x[1], x[3] = x[0], x[2]
    found = birthday(x, 0.1)
    assert (found.pairs, found.support) == (2, 95)
    assert found.low == pytest.approx(190 / 7.224688, rel=1e-6)
    assert found.high == pytest.approx(190 / 0.2422093, rel=1e-6)


def test_no_pair_gives_a_lower_limit_only() -> None:
    found = birthday(np.arange(20.0), 0.1)
    assert (found.support, found.high) == (math.inf, math.inf)
    assert found.low == pytest.approx(190 / -math.log(0.025))
    told = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert told["support"] is None
    assert "at least" in found.sentence()


@pytest.mark.parametrize(
    ("chances", "s"),
    [(np.ones(500), 40), (np.ones(500), 200), (np.ones(50), 200), (1 / np.arange(1.0, 301.0), 150)],
    ids=["few pairs", "many", "all values seen", "uneven"],
)
def test_intervals_cover_the_effective_support(chances: np.ndarray, s: int) -> None:
    rng, p = np.random.default_rng(0), chances / chances.sum()
    truth, found = 1 / (p**2).sum(), []
    for _ in range(200):
        found.append(birthday(10.0 * rng.choice(len(p), s, p=p), 0.5))
    assert sum(f.low <= truth <= f.high for f in found) >= 180
    chance = np.array([f.pairs for f in found]) / (s * (s - 1) / 2)
    assert chance.mean() == pytest.approx(1 / truth, abs=4 * chance.std() / math.sqrt(200))


def test_radius_of_real_data() -> None:
    x = np.random.default_rng(0).normal(size=(200, 2))
    radius = duplicate_radius(x, 0.05)
    distances = np.sort(np.linalg.norm(x[:, None] - x, axis=2), 1)[:, 1]
    assert radius == pytest.approx(np.quantile(distances, 0.05))
    collapsed = np.random.default_rng(1).normal(size=(20, 2))[np.random.default_rng(2).integers(20, size=200)]
    assert birthday(collapsed + 1e-6, radius).high < birthday(x, radius).low


def test_bad_requests() -> None:
    for wrong, message in (
        (([1.0] * 3, 0.1), "x: got"),
        (([1.0] * 5, -1.0), "radius"),
        (([1.0] * 5, math.nan), "radius"),
        (([1.0] * 5, 1.0, 2.0), "level"),
    ):
        with pytest.raises(UsageError, match=message):
            birthday(*wrong)
    with pytest.raises(UsageError, match="quantile: got 2"):
        duplicate_radius([1.0, 2.0, 3.0, 4.0], 2)
