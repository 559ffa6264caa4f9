"""What every registered test promises, in one table."""

import json
import math

import numpy as np
import pytest
import torch

from ganneal.errors import UsageError
from ganneal.twosample import TESTS, run_tests
from ganneal.twosample.battery import build

QUICK = {"mmd_d": "mmd_d(steps=3, permutations=99)"}
TEXTS = {name: QUICK.get(name, f"{name}(permutations=99)") for name in TESTS}
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(40, 3)), RNG.normal(size=(40, 3))


@pytest.fixture(params=TEXTS)
def text(request: pytest.FixtureRequest) -> str:
    """Every test, made quick."""
    return TEXTS[request.param]


def test_same_seed_same_bits_and_nothing_global_is_touched(text: str) -> None:
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002
    states = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    first, again = (run_tests(X, Y, [text], seed=3).results[0] for _ in range(2))
    assert first == again
    assert (torch.get_rng_state() == states[0]).all()
    assert (np.random.get_state()[1] == states[1]).all()  # noqa: NPY002


def test_the_outcome_is_complete_and_strict_json(text: str) -> None:
    found = run_tests(X, Y, [text]).results[0]
    told = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert told["name"] == text
    assert 0 < found.pvalue <= 1
    assert found.rejected == (found.pvalue <= 0.05)
    assert (found.m, found.n) == (40, 40)
    assert found.seconds is not None
    assert found.sentence().endswith(".")


def test_a_gross_difference_is_found_and_arrays_of_any_kind_are_taken(text: str) -> None:
    far = Y + 4
    plain = run_tests(X, far, [text]).results[0]
    assert plain.rejected
    single = run_tests(torch.tensor(X, dtype=torch.float32), far.astype(np.float32), [text]).results[0]
    assert single.pvalue == plain.pvalue
    assert run_tests(X[:, 0], far[:, 0], [text]).results[0].rejected


def test_equal_points_are_no_difference(text: str) -> None:
    """p = 1, or, where ties are broken at random, whatever comes of that."""
    found = run_tests(np.ones((20, 2)), np.ones((20, 2)), [text]).results[0]
    assert found.pvalue == 1 or (text.startswith("nn") and not found.rejected)


def test_unequal_sizes(text: str) -> None:
    found = run_tests(X, Y[:25], [text]).results[0]
    assert (found.m, found.n) == (40, 25)


@pytest.mark.parametrize(
    ("x", "y", "words"),
    [
        (X, Y[:, :2], "3 and 2 numbers"),
        (X[:3], Y, "at least 4"),
        (X, np.where(Y > 1.5, math.nan, Y), "NaN or infinity"),
    ],
)
def test_samples_that_cannot_be_compared_are_named(text: str, x: np.ndarray, y: np.ndarray, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        run_tests(x, y, [text])


def test_requests_that_cannot_be_met_are_named(text: str) -> None:
    run = build(text)
    with pytest.raises(UsageError, match="level"):
        run(X, Y, seed=0, level=1.5)
    with pytest.raises(UsageError, match="at least 19"):
        run(X, Y, seed=0, level=0.05, permutations=5)
