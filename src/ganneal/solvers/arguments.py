"""What the arguments of solvers must be, and the errors that say so."""

from typing import Literal, cast

from ganneal.errors import UsageError, nearest


def whole(solver: str, key: str, value: int, least: int, most: int) -> int:
    """A whole number in [least, most]. Raises `UsageError` that names the argument otherwise."""
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise UsageError(f"{solver}: {key} must be a whole number from {least} to {most}, got {value!r}")
    return value


def real(solver: str, key: str, value: float, least: float, most: float) -> float:
    """A number in [least, most]. Raises `UsageError` that names the argument otherwise."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value <= most:
        raise UsageError(f"{solver}: {key} must be a number from {least:g} to {most:g}, got {value!r}")
    return float(value)


def choice(solver: str, key: str, value: str, allowed: tuple[str, ...]) -> str:
    """One of the allowed words. Raises `UsageError` with the nearest of them otherwise."""
    if value not in allowed:
        raise UsageError(f"{solver}: unknown {key} '{value}': {nearest(str(value), allowed)}")
    return value


def opener(solver: str, value: str) -> Literal["critic", "generator"]:
    """Who moves first: the critic or the generator."""
    return cast(Literal["critic", "generator"], choice(solver, "first", value, ("critic", "generator")))
