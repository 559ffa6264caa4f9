"""Parts in their text form with other numbers: a schedule times a factor, a penalty with another weight."""

import inspect
from typing import Any

from ganneal.parts import Part, Range, parse
from ganneal.penalties import PENALTIES, Weighted
from ganneal.temperature import members

RAMPS = ("constant", "linear", "geometric", "cosine")
"""Schedules whose values are all in their first argument."""


def scaled(text: str, factor: float) -> str | None:
    """A schedule's text with its values times a factor, to three digits; None for forms other than a number, a ramp
    and `each` of those.

    >>> scaled("cosine(0.003->0, hold=0.1)", 1 / 3), scaled("pma(0.5)", 1 / 3)
    ('cosine(0.001->0, hold=0.1)', None)
    """
    value = _times(parse(text), factor)
    return None if value is None else written(value)


def final_weight(text: str) -> float:
    """The weight of a penalty at the end of training, its default where the text has none; the largest one of a
    population. 0 for constraints, which have no weight."""
    built = PENALTIES.build(text)
    return max(member(1.0) for member in members(built.weight)) if isinstance(built, Weighted) else 0.0


def reweighted(text: str, factor: float) -> str | None:
    """A penalty with its weight times a factor, whether its text names the weight or not; None where the weight is no
    schedule that can be scaled.

    >>> reweighted("r1(0.1, every=4)", 3), reweighted("gp", 0.1)
    ('r1(gamma=0.3, every=4)', 'gp(weight=1)')
    """
    name, key, arguments = _arguments(text)
    value = _times(arguments[key], factor)
    return None if value is None else written(Part(name, (), tuple((arguments | {key: value}).items())))


def with_weight(text: str, weight: float) -> str:
    """A penalty with another weight."""
    name, key, arguments = _arguments(text)
    return written(Part(name, (), tuple((arguments | {key: weight}).items())))


def written(value: Any) -> str:
    """The text of which `parse` makes this value."""
    if isinstance(value, Part):
        words = [*map(written, value.args), *(f"{k}={written(v)}" for k, v in value.kwargs)]
        return f"{value.name}({', '.join(words)})" if words else value.name
    if isinstance(value, Range):
        return f"{written(value.start)}->{written(value.end)}"
    if isinstance(value, list):
        return f"[{', '.join(map(written, value))}]"
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    short = f"{value:g}"
    return short if float(short) == value else repr(value)


def _arguments(text: str) -> tuple[str, str, dict[str, Any]]:
    """(name, name of the weight, arguments by name, weight first) of a penalty, whose weight is its first argument."""
    part = parse(text)
    parameters = inspect.signature(PENALTIES[part.name]).parameters
    key = next(iter(parameters))
    given = dict(zip(parameters, part.args, strict=False)) | dict(part.kwargs)
    return part.name, key, {key: parameters[key].default} | given


def _times(value: Any, factor: float) -> Any:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(f"{value * factor:.3g}")
    if isinstance(value, Range):
        return Range(_times(value.start, factor), _times(value.end, factor))
    if isinstance(value, list):
        return _times(Part("each", tuple(value)), factor)
    if isinstance(value, Part) and value.args and value.name in ("each", *RAMPS):
        moved = len(value.args) if value.name == "each" else 1
        args = [_times(v, factor) for v in value.args[:moved]]
        return None if None in args else Part(value.name, (*args, *value.args[moved:]), value.kwargs)
    return None
