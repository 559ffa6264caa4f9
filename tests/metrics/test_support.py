"""Precision, recall, density and coverage against the definitions and against what equal laws score exactly."""

import json
import math

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from ganneal.errors import UsageError
from ganneal.metrics import coverage_expected, support


def brute(x: np.ndarray, y: np.ndarray, k: int) -> tuple[float, float, float, float]:
    xx, yy, xy = cdist(x, x), cdist(y, y), cdist(x, y)
    rx, ry = np.sort(xx, 1)[:, k], np.sort(yy, 1)[:, k]  # the first column is the point itself
    inside = xy <= rx[:, None]
    return (
        float(inside.any(0).mean()),
        float((xy <= ry).any(1).mean()),
        float(inside.sum() / (k * len(y))),
        float(inside.any(1).mean()),
    )


@pytest.mark.parametrize(("m", "n", "k", "shift"), [(50, 70, 5, 0.0), (70, 50, 1, 1.0), (40, 40, 3, 2.0)])
def test_definitions(m: int, n: int, k: int, shift: float) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(m, 3)), shift + rng.normal(size=(n, 3))
    found = support(x, y, k)
    assert (found.precision, found.recall, found.density, found.coverage) == pytest.approx(brute(x, y, k), rel=1e-12)


def test_blocks_join(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(50, 3)), rng.normal(size=(60, 3))
    whole = support(x, y)
    monkeypatch.setattr("ganneal.metrics.distances.BLOCK_BYTES", 8 * 60 * 7)
    assert support(x, y) == whole


@pytest.mark.parametrize(("m", "n", "k"), [(30, 30, 5), (20, 60, 2), (60, 20, 3)])
@pytest.mark.parametrize("law", ["normal", "cauchy"])
def test_equal_laws_score_what_ranks_say(m: int, n: int, k: int, law: str) -> None:
    """The mean of density is 1 and that of coverage 1 - (m-1)...(m-k)/((m+n-1)...(m+n-k)), whatever the law."""
    rng = np.random.default_rng(0)
    draw = rng.normal if law == "normal" else rng.standard_cauchy
    found = [support(draw(size=(m, 2)), draw(size=(n, 2)), k) for _ in range(400)]
    for values, expected in (
        ([f.density for f in found], 1.0),
        ([f.coverage for f in found], found[0].coverage_expected),
    ):
        assert np.mean(values) == pytest.approx(expected, abs=4 * np.std(values) / math.sqrt(len(found)))


def test_expected_coverage() -> None:
    assert coverage_expected(2, 1, 1) == pytest.approx(0.5)  # one other point of either kind: who is nearer?
    assert coverage_expected(10**7, 10**7, 5) == pytest.approx(1 - 2**-5, abs=1e-6)
    product = math.prod((10 - j) / (20 - j) for j in range(1, 4))
    assert coverage_expected(10, 10, 3) == pytest.approx(1 - product)


def test_what_the_numbers_mean() -> None:
    rng = np.random.default_rng(0)
    real = np.concatenate([rng.normal(size=(200, 2)), 50 + rng.normal(size=(200, 2))])
    one_mode = rng.normal(size=(400, 2))
    found = support(real, one_mode)
    assert found.precision > 0.95
    assert found.recall == pytest.approx(0.5, abs=0.03)
    assert found.coverage == pytest.approx(0.5, abs=0.02)
    swapped = support(one_mode, real)
    assert (swapped.precision, swapped.recall) == (found.recall, found.precision)
    far = support(real, one_mode + 1000)
    assert (far.precision, far.recall, far.density, far.coverage) == (0, 0, 0, 0)


def test_one_outlier_moves_precision_but_hardly_density() -> None:
    """The case that density was made for: the ball of one far-out real example holds bad samples."""
    rng = np.random.default_rng(0)
    real, fake = rng.normal(size=(100, 2)), 6 + 0.1 * rng.normal(size=(100, 2))
    with_outlier = np.vstack([real, [[12.0, 12.0]]])
    assert support(real, fake).precision == 0
    found = support(with_outlier, fake)
    assert found.precision == 1
    assert found.density == pytest.approx(1 / 5, abs=0.01)


def test_copies_count_even_among_duplicates_and_far_from_the_origin() -> None:
    rng = np.random.default_rng(0)
    for offset in (0.0, 1e4):
        real = offset + np.repeat(rng.normal(size=(10, 8)), 8, axis=0)  # radius 0 for k = 5
        found = support(real, real[::8], 5)
        assert (found.precision, found.coverage) == (1, 1)
        assert found.density == pytest.approx(8 / 5)
        assert support(real, real[::8] + 0.01, 5).precision == 0
    same = support(np.ones((10, 2)), np.ones((10, 2)))
    assert (same.precision, same.recall, same.coverage) == (1, 1, 1)


def test_rotation_shift_and_scale_change_nothing() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, 4)), rng.normal(size=(60, 4)) * 1.3
    rotation = np.linalg.qr(rng.normal(size=(4, 4)))[0]
    assert support(7 * x @ rotation + 3, 7 * y @ rotation + 3) == support(x, y)


def test_plain_numbers_sentence_and_bad_requests() -> None:
    x = np.random.default_rng(0).normal(size=(10, 2))
    found = support(x, x + 0.1)
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["k"] == 5
    assert "equal laws: 1)" in found.sentence()
    for wrong, message in (
        ((x, x, 10), "k: got 10; allowed: whole numbers from 1 to 9"),
        ((x, x, 0), "k: got 0"),
        ((x, x[:, :1]), "real_features and fake_features: got examples of 2 and 1"),
        ((x * np.nan, x), "real_features: 10 of 10"),
    ):
        with pytest.raises(UsageError, match=message):
            support(*wrong)


@pytest.mark.slow
def test_twenty_thousand_fit_two_gib() -> None:
    import resource

    rng = np.random.default_rng(0)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = support(rng.normal(size=(20_000, 64)), rng.normal(size=(20_000, 64)))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2 * 2**20
    assert found.density == pytest.approx(1, abs=0.1)
    assert found.coverage == pytest.approx(1 - 2**-5, abs=0.01)
