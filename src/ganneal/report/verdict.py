"""From the numbers of a verdict to one of four outcomes and to words. Not rejecting is a pass only where the test
could have told."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

ENOUGH = 100  # fewer samples on either side find only gross differences

DASH = "\u2013"

State = Literal["pass", "fail", "undecided", "none"]
LABELS: dict[str, str] = {
    "pass": "No difference found",
    "fail": "Samples differ",
    "undecided": "Cannot tell",
    "none": "No verdict yet",
}


@dataclass(frozen=True)
class Outcome:
    """The state that colours the page, its label, the sentence, and why a run that was not rejected still does not
    pass."""

    state: State
    label: str
    sentence: str
    reasons: tuple[str, ...] = ()


def judge(verdict: Mapping[str, Any] | None) -> Outcome:
    """The outcome of a whole run from the contents of verdict.json.

    fail        a test rejected (for a population: for more than half of its members)
    undecided   nothing was rejected but the test could not have told (fewer than 100 samples on a side, or the
                reference of training against held-out data is itself rejected), modes were missed, or the members of a
                population disagree
    pass        otherwise. An explicit key `outcome` with one of these words has the last word.
    """
    tests = tests_of(verdict)
    if not verdict or not tests:
        untested = "This run has not been tested yet."
        return Outcome("none", LABELS["none"], str((verdict or {}).get("sentence") or untested))
    members: dict[int, bool] = {}
    for test in tests:
        member = int(test.get("member") or 0)
        members[member] = members.get(member, False) or bool(test.get("rejected"))
    rejected, total = sum(members.values()), len(members)
    reasons = _doubts(verdict, tests, rejected, total)
    state: State = "fail" if 2 * rejected > total else "undecided" if reasons else "pass"
    if verdict.get("outcome") in ("pass", "fail", "undecided"):
        state = verdict["outcome"]
    default = "The samples differ from held-out data." if rejected else "No difference from held-out data was found."
    if total > 1:
        default = f"{total - rejected} of {total} members show no difference from held-out data."
    sentence = str(verdict.get("sentence") or default)
    return Outcome(state, LABELS[state], sentence, tuple(reasons) if state == "undecided" else ())


def tests_of(verdict: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    """The tests in a verdict; anything that is not one is left out."""
    tests = (verdict or {}).get("tests")
    return [test for test in tests if isinstance(test, Mapping)] if isinstance(tests, list) else []


def _doubts(verdict: Mapping[str, Any], tests: list[Mapping[str, Any]], rejected: int, total: int) -> list[str]:
    reasons = []
    least = min(min(int(test.get("m") or 0), int(test.get("n") or 0)) for test in tests)
    if least < ENOUGH:
        reasons.append(f"only {least} samples on one side, so that only gross differences can be seen")
    reference, level = verdict.get("reference"), tests[0].get("level") or 0.05
    pvalue = reference.get("pvalue") if isinstance(reference, Mapping) else None
    if isinstance(pvalue, int | float) and pvalue <= level:
        reasons.append("the same test tells training data from held-out data, so it says little about the model")
    modes = verdict.get("modes")
    if isinstance(modes, Mapping) and (modes.get("modes") or 0) < (modes.get("total") or 0):
        reasons.append(f"only {modes['modes']} of {modes['total']} modes are covered")
    if 0 < rejected < total:
        level = float(tests[0].get("level") or 0.05)
        chance = f"chance alone would reject {level * total:.2g} at level {level:g}"
        reasons.append(f"{rejected} of {total} members differ from held-out data ({chance})")
    return reasons


def number(value: Any) -> str:
    """A number for a table: four digits, thousands separated, a dash for nothing.

    >>> [number(v) for v in (None, 0.000012345, 0.5, 12345, 1234567.8, float("nan"), [1, 2.5])]
    ['–', '1.234e-05', '0.5', '12,345', '1,234,568', 'nan', '1, 2.5']
    """
    if value is None:
        return DASH
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.0f}" if 10000 <= abs(value) < 1e12 else f"{value:.4g}"
    if isinstance(value, list | tuple):
        return ", ".join(number(item) for item in value) or DASH
    return str(value)


def percent(value: Any) -> str:
    """A share in percent, a dash for nothing.

    >>> percent(0.256), percent(0.0004), percent(None)
    ('26 %', '< 1 %', '–')
    """
    if not isinstance(value, int | float):
        return DASH
    return f"{100 * value:.0f} %" if value >= 0.01 else "< 1 %"


def p_value(value: float | None) -> str:
    """A p-value with two digits that count.

    >>> p_value(0.000499), p_value(0.3149), p_value(1.0), p_value(None)
    ('0.0005', '0.31', '1', '–')
    """
    return DASH if value is None else f"{value:.2g}"


def duration(seconds: float) -> str:
    """Seconds in words.

    >>> duration(7.3), duration(754), duration(7500)
    ('7.3 s', '12 min 34 s', '2 h 5 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes = int(seconds // 60)
    return f"{minutes} min {int(seconds % 60)} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def guard_sentence(event: Mapping[str, Any], population: bool) -> str:
    """A guard event in words.

    >>> guard_sentence({"problem": "not_finite", "value": float("nan"), "action": "roll_back", "lr_scale": 0.5}, False)
    'not finite (value nan); action: roll back; learning rates now at 0.5 of their setting.'
    """
    who = f"Member {event['member']}: " if population and event.get("member") is not None else ""
    what = str(event.get("problem") or "problem").replace("_", " ")
    value = f" (value {number(event['value'])})" if event.get("value") is not None else ""
    action = f"; action: {str(event['action']).replace('_', ' ')}" if event.get("action") else ""
    scale = event.get("lr_scale")
    rates = f"; learning rates now at {number(scale)} of their setting" if scale not in (None, 1, 1.0) else ""
    return f"{who}{what}{value}{action}{rates}."
