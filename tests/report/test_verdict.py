"""Outcomes: never a pass where the test could not have told."""

from typing import Any

import pytest

from ganneal.report import judge


def verdict(*rejected: bool, n: int = 500, **keys: Any) -> dict[str, Any]:
    tests = [{"member": k, "rejected": r, "level": 0.05, "m": 500, "n": n} for k, r in enumerate(rejected)]
    return {"tests": tests, **keys}


@pytest.mark.parametrize(
    ("contents", "state", "reason"),
    [
        (None, "none", ""),
        ({}, "none", ""),
        ({"tests": "rubbish"}, "none", ""),
        (verdict(False), "pass", ""),
        (verdict(True), "fail", ""),
        (verdict(False, n=50), "undecided", "only 50 samples"),
        (verdict(True, n=50), "fail", ""),
        (verdict(False, reference={"pvalue": 0.01}), "undecided", "training data from held-out data"),
        (verdict(False, reference={"pvalue": 0.4}, modes={"modes": 8, "total": 8}), "pass", ""),
        (verdict(False, modes={"modes": 6, "total": 8}), "undecided", "6 of 8 modes"),
        (verdict(False, False, False), "pass", ""),
        (verdict(True, True, False), "fail", ""),
        (verdict(True, False, False), "undecided", "1 of 3 members differ"),
        (verdict(False, outcome="undecided"), "undecided", ""),
    ],
)
def test_outcomes(contents: dict[str, Any] | None, state: str, reason: str) -> None:
    outcome = judge(contents)
    assert outcome.state == state
    assert reason in "; ".join(outcome.reasons)
    assert outcome.sentence


def test_the_sentence_of_the_verdict_has_precedence() -> None:
    assert judge(verdict(False, sentence="All is well.")).sentence == "All is well."
    assert judge(verdict(False, True)).sentence == "1 of 2 members show no difference from held-out data."
