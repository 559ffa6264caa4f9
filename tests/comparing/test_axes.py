"""Texts of axes, and what is said about wrong ones."""

from typing import Any

import pytest

from ganneal.comparing import Axis
from ganneal.comparing.axes import axes, pieces
from ganneal.errors import UsageError


@pytest.mark.parametrize(
    ("text", "marks", "expected"),
    [
        ("a, b;c", ";,", ["a", "b", "c"]),
        ("r1(gamma=each(1, 2)); none", ";,", ["r1(gamma=each(1, 2))", "none"]),
        ("r1(gamma=1e+5) + sgp", "+", ["r1(gamma=1e+5)", "sgp"]),
        ("linear(0->1, hold=0.2)|0", "|", ["linear(0->1, hold=0.2)", "0"]),
        ("f('a;b'),[1, 2]", ";,", ["f('a;b')", "[1, 2]"]),
    ],
)
def test_a_text_is_cut_outside_of_brackets(text: str, marks: str, expected: list[str]) -> None:
    assert pieces(text, marks) == expected


def test_axes_of_texts_and_of_lists_are_the_same() -> None:
    texts = axes("rkl, jsd", "none; r1(gamma=1) + spectral", "alternating", ["lr-critic=0.001|0.002"])
    lists = axes(
        ["rkl", "jsd"], ["none", ("r1(gamma=1)", "spectral")], ["alternating"], {"lr_critic": ["0.001", "0.002"]}
    )
    assert texts == lists
    assert texts[1] == Axis("penalty", ((), ("r1(gamma=1)", "spectral")))


def test_a_value_given_twice_counts_once() -> None:
    assert axes("rkl, rkl", None, None) == (Axis("objective", ("rkl",)),)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"objective": "rkl,,jsd"}, "there is nothing between two marks"),
        ({"penalty": "r1(gamma=1; none"}, "a bracket or quote is not closed"),
        ({"vary": ["lr_critic"]}, "expected key=value|value"),
        ({"vary": ["lr_critik=1|2"]}, "did you mean 'lr_critic'"),
        ({"vary": ["seed=1|2"]}, "seed is the same in every cell"),
        ({"vary": ["objective=rkl|jsd"]}, "--objective"),
        ({"vary": ["batch=8", "batch=16"]}, "batch is given twice"),
    ],
)
def test_wrong_axes_say_what_is_wrong(given: dict[str, Any], words: str) -> None:
    asked = {"objective": None, "penalty": None, "solver": None, "vary": None, **given}
    with pytest.raises(UsageError) as error:
        axes(**asked)
    assert words in str(error.value)
