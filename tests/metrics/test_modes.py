"""Mode coverage on hand-made points; its ceiling and floor against simulation."""

import json
import math

import numpy as np
import pytest
import torch

from ganneal.errors import UsageError
from ganneal.metrics import histogram_kl, histogram_kl_floor, mode_coverage

CENTRES = [[0.0, 0.0], [10.0, 0.0], [0.0, 10.0], [10.0, 10.0]]


def test_hand_made_points() -> None:
    points = [[0, 0], [0, 2.9], [0, 3.1], [10, 0], [5, 5], [math.nan, 0], [math.inf, 10], [10, 3.0]]
    found = mode_coverage(points, CENTRES, std=1.0)
    assert found.counts == (2, 2, 0, 0)
    assert (found.modes, found.total, found.samples) == (2, 4, 8)
    assert found.high_quality == 0.5
    assert found.kl == pytest.approx(math.log(2))
    assert mode_coverage(points, CENTRES, 1.0, min_count=3).modes == 0
    assert mode_coverage(points, CENTRES, 1.0, within=2).counts == (1, 1, 0, 0)
    assert "2 of 4 modes, 50.0% of 8 samples near one (perfect: 98.9%)" in found.sentence()


def test_each_mode_may_have_its_own_width_and_weight() -> None:
    found = mode_coverage([[0.0], [3.0], [10.0]], [[0.0], [10.0]], std=[1.0, 0.1], weights=[2, 1])
    assert found.counts == (2, 1)
    assert found.kl == 0


def test_no_sample_of_high_quality() -> None:
    found = mode_coverage([[50.0, 50.0]], CENTRES, 1.0)
    assert (found.modes, found.high_quality, found.kl) == (0, 0.0, math.inf)
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["kl"] is None


@pytest.mark.parametrize(("d", "value"), [(1, 0.9973002), (2, 1 - math.exp(-4.5)), (3, 0.9707091)])
def test_ceiling_is_the_chi_square_law(d: int, value: float) -> None:
    assert mode_coverage(np.zeros((1, d)), np.zeros((1, d)), 1.0).high_quality_ceiling == pytest.approx(value, abs=1e-7)


def test_a_perfect_sampler_meets_ceiling_and_floor() -> None:
    rng = np.random.default_rng(0)
    centres = np.stack(np.meshgrid(np.arange(5), np.arange(5)), -1).reshape(-1, 2) * 2.0
    results = []
    for _ in range(60):
        x = centres[rng.integers(25, size=500)] + 0.05 * rng.normal(size=(500, 2))
        results.append(mode_coverage(x, centres, 0.05))
    assert np.mean([r.high_quality for r in results]) == pytest.approx(results[0].high_quality_ceiling, abs=0.003)
    assert np.mean([r.kl for r in results]) == pytest.approx(results[0].kl_floor, rel=0.12)
    assert results[0].kl_floor == pytest.approx(24 / (2 * 494), rel=0.05)


def test_floor_is_exact() -> None:
    """By hand for two fair modes and two samples (half of the time log 2, else 0); unequal weights by simulation."""
    assert histogram_kl_floor(torch.tensor([0.5, 0.5]), 2) == pytest.approx(math.log(2) / 2, abs=1e-12)
    assert histogram_kl_floor(torch.tensor([1.0]), 10) == pytest.approx(0, abs=1e-12)
    weights = torch.tensor([0.6, 0.3, 0.1], dtype=torch.float64)
    draws = np.random.default_rng(0).multinomial(12, weights.numpy(), size=4000)
    simulated = np.mean([histogram_kl(torch.tensor(c), weights) for c in draws])
    assert histogram_kl_floor(weights, 12) == pytest.approx(simulated, rel=0.04)


def test_wrong_requests_are_named() -> None:
    with pytest.raises(UsageError, match="allowed: \\[n, d\\] and \\[K, d\\]"):
        mode_coverage([[1.0]], CENTRES, 1.0)
    with pytest.raises(UsageError, match="allowed: positive"):
        mode_coverage(CENTRES, CENTRES, 0.0)
    with pytest.raises(UsageError, match="4 positive numbers"):
        mode_coverage(CENTRES, CENTRES, 1.0, weights=[1.0])


def test_what_a_perfect_generator_of_stacked_digits_scores() -> None:
    """T9: 26,000 triples of MNIST labels hit all 1,000 modes, and their KL to the uniform law is about .0234:
    (K - 1)/(2n) = .0192 by chance, the rest because MNIST's digits are not equally many."""
    counts = torch.tensor([5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949], dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    uniform = torch.full((1000,), 1e-3, dtype=torch.float64)
    scores = []
    for _ in range(20):
        digits = torch.multinomial(counts, 3 * 26_000, replacement=True, generator=generator).reshape(3, -1)
        hits = torch.bincount(100 * digits[0] + 10 * digits[1] + digits[2], minlength=1000)
        assert int((hits > 0).sum()) == 1000
        scores.append(histogram_kl(hits, uniform))
    assert sum(scores) / 20 == pytest.approx(0.0234, abs=5e-4)
    assert histogram_kl_floor(uniform, 26_000) == pytest.approx(999 / 52_000, rel=0.01)
