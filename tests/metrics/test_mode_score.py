"""The MODE score against closed forms, and the identity that makes a variant of it blind."""

import math

import numpy as np
import pytest
import torch

from ganneal.errors import UsageError
from ganneal.metrics import inception_score, mode_score
from ganneal.metrics.mode_score import divergence


def test_sure_and_even_scores_the_number_of_classes() -> None:
    assert mode_score(np.tile(np.eye(7), (30, 1)), np.full(7, 1 / 7)) == pytest.approx(7, abs=1e-12)


def test_samples_that_say_nothing_score_one() -> None:
    marginal = [0.2, 0.3, 0.5]
    assert mode_score(np.tile(marginal, (40, 1)), marginal) == pytest.approx(1, abs=1e-12)


def test_uneven_use_of_even_classes() -> None:
    """Sure samples with shares (a, 1 - a) of two even classes: 2 exp(-KL(even || shares)), below 2."""
    a = 0.75
    rows = np.eye(2)[[0] * 75 + [1] * 25]
    expected = 2 * math.exp(0.5 * math.log(2 * a) + 0.5 * math.log(2 * (1 - a)))
    assert mode_score(rows, [0.5, 0.5]) == pytest.approx(expected, abs=1e-12)
    assert expected < 2


def test_a_missing_class_scores_nothing() -> None:
    assert mode_score(np.tile([1.0, 0.0], (9, 1)), [0.5, 0.5]) == 0


@pytest.mark.parametrize("seed", range(3))
def test_the_variant_of_surveys_ignores_the_data(seed: int) -> None:
    """exp(E KL(p(y|x)||q) - KL(p||q)) is the Inception score whatever q is; the score itself is not."""
    generator = torch.Generator().manual_seed(seed)
    p = torch.softmax(3 * torch.randn(50, 6, generator=generator, dtype=torch.float64), 1)
    score = inception_score(p, splits=1).score
    q, other = torch.softmax(torch.randn(2, 6, generator=generator, dtype=torch.float64), 1)
    for marginal in (q, other):
        variant = math.exp(float(divergence(p, marginal).mean() - divergence(p.mean(0), marginal)))
        assert variant == pytest.approx(score, abs=1e-10)
    assert abs(mode_score(p, q) - mode_score(p, other)) > 1e-3


@pytest.mark.parametrize(
    ("rows", "marginal", "said"),
    [
        (np.eye(3), [0.5, 0.5], "got shapes"),
        (np.eye(3) * 2, np.full(3, 1 / 3), "probabilities: got shape"),
        (np.eye(2), [1.0, 0.0], "no mass"),
        (np.eye(2), [0.7, 0.7], "marginal: got shape"),
    ],
)
def test_bad_input(rows: object, marginal: object, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        mode_score(rows, marginal)
