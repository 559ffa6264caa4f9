"""Equality given a label: shares of labels do not count, differences within labels do, also those that cancel."""

import math

import numpy as np
import pytest
import torch

from ganneal.errors import UsageError
from ganneal.twosample.conditional import conditional_test
from ganneal.twosample.mmd import mmd_test


def labelled(seed: int, shift: float = 0.0) -> tuple[np.ndarray, ...]:
    """300 points in two classes 3 apart, of which x has a fifth in the second and y four fifths."""
    rng = np.random.default_rng(seed)
    a, b = rng.random(150) < 0.2, rng.random(150) < 0.8
    return 3 * a + shift * a + rng.normal(size=150), 3 * b + rng.normal(size=150), a, b


def test_shares_of_labels_are_no_difference() -> None:
    x, y, *_ = labelled(0)
    assert mmd_test(x, y, permutations=99).rejected
    rejected = [conditional_test(*labelled(s), permutations=99).rejected for s in range(200)]
    assert np.mean(rejected) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 200)


def test_a_difference_within_a_label_is_found_although_it_brings_the_marginals_together() -> None:
    x, y, a, b = labelled(1, shift=1.0)
    found = conditional_test(x, y, a, b, permutations=999)
    assert found.rejected
    by_label = {entry["label"]: entry["pvalue"] for entry in found.details["labels"]}
    assert by_label[True] < 0.01 < by_label[False]


def test_labels_count_by_their_share() -> None:
    x, y, a, b = labelled(3)
    found = conditional_test(x, y, a, b, permutations=19)
    weights = [(entry["m"] + entry["n"]) / 300 for entry in found.details["labels"]]
    assert sum(weights) == pytest.approx(1)
    parts = [entry["statistic"] for entry in found.details["labels"]]
    assert found.statistic == pytest.approx(np.dot(weights, parts), abs=1e-14)


def test_one_label_is_the_unconditional_test() -> None:
    x, y, _, _ = labelled(2)
    found = conditional_test(x, y, np.zeros(150), np.zeros(150), permutations=99, seed=3)
    plain = mmd_test(x, y, permutations=99, seed=3)
    assert (found.statistic, found.pvalue) == (pytest.approx(plain.statistic, abs=1e-13), plain.pvalue)


def test_labels_without_a_counterpart_are_named() -> None:
    x, y, a, b = labelled(0)
    words = np.where(a, "cat", "dog")
    words[0] = "fox"
    assert conditional_test(x, y, words, np.where(b, "cat", "dog"), permutations=19).details["left_out"] == ["fox"]
    with pytest.raises(UsageError, match="nothing to compare"):
        conditional_test(x, y, torch.zeros(150), torch.ones(150))
    with pytest.raises(UsageError, match="x_labels: got 5 labels"):
        conditional_test(x, y, a[:5], b)
