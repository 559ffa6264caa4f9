"""The Inception score against closed forms."""

import json
import math

import numpy as np
import pytest
from scipy.special import gammaln
from scipy.stats import entropy

from ganneal.errors import UsageError
from ganneal.metrics import inception_score


def test_sure_and_even_scores_the_number_of_classes() -> None:
    found = inception_score(np.tile(np.eye(7), (30, 1)), splits=10)
    assert found.score == pytest.approx(7)
    assert found.standard_error == pytest.approx(0, abs=1e-12)
    assert (found.n, found.classes, found.splits) == (210, 7, 10)


def test_no_information_scores_one() -> None:
    assert inception_score(np.tile([0.2, 0.3, 0.5], (40, 1))).score == pytest.approx(1)
    assert inception_score(np.tile([1.0, 0.0], (40, 1))).score == pytest.approx(1)


def test_a_noisy_channel() -> None:
    """Two classes, right with probability a: exp(log 2 - H(a))."""
    a = 0.9
    rows = np.tile([[a, 1 - a], [1 - a, a]], (25, 1))
    expected = 2 * math.exp(a * math.log(a) + (1 - a) * math.log(1 - a))
    assert inception_score(rows, splits=5).score == pytest.approx(expected)


def test_unevenly_used_classes() -> None:
    rows = np.eye(2)[[0] * 75 + [1] * 25]
    assert inception_score(rows, splits=1).score == pytest.approx(math.exp(entropy([0.75, 0.25])))
    assert inception_score(rows, splits=1).standard_error is None


def test_definition_splits_and_standard_error() -> None:
    p = np.random.default_rng(0).dirichlet([0.3] * 4, size=50)
    scores = [math.exp(np.mean([entropy(row, part.mean(0)) for row in part])) for part in np.array_split(p, 5)]
    found = inception_score(p, splits=5)
    assert found.score == pytest.approx(np.mean(scores), rel=1e-12)
    assert found.standard_error == pytest.approx(np.std(scores, ddof=1) / math.sqrt(5), rel=1e-10)


def test_bias_by_enumeration() -> None:
    """Examples that are surely of class 1 or 2, chance a quarter each, or undecided: the mean over all counts of the
    three kinds among n examples, against the first-order bias, whose error is of order 1/n."""
    n = 200
    one, two = np.indices((n + 1, n + 1)).reshape(2, -1)
    one, two = one[one + two <= n], two[one + two <= n]
    none = n - one - two
    log_chance = gammaln(n + 1) - gammaln(one + 1) - gammaln(two + 1) - gammaln(none + 1)
    log_chance += (one + two) * math.log(0.25) + none * math.log(0.5)
    marginal = (one + none / 2) / n
    scores = np.exp(entropy([marginal, 1 - marginal]) - none / n * math.log(2))
    bias = float(np.exp(log_chance) @ scores) - math.sqrt(2)
    rows = np.repeat([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]], [n // 4, n // 4, n // 2], axis=0)
    found = inception_score(rows, splits=1)
    assert found.score == pytest.approx(math.sqrt(2))
    assert found.bias == pytest.approx(bias, rel=0.02)


def test_float32_rows_and_bad_ones() -> None:
    p = np.random.default_rng(0).dirichlet([1.0] * 10, size=40)
    assert inception_score(p.astype(np.float32)).score == pytest.approx(inception_score(p).score, rel=1e-6)
    assert json.loads(json.dumps(inception_score(p, splits=1).to_dict(), allow_nan=False))["standard_error"] is None
    for wrong in (p[0], 2 * p, -p, p * np.nan, np.zeros((0, 3))):
        with pytest.raises(UsageError, match="probabilities: got shape"):
            inception_score(wrong)
    with pytest.raises(UsageError, match="splits: got 21; allowed: whole numbers from 1 to 20"):
        inception_score(p, splits=21)
