"""The axes of a comparison from their texts. Pure text: the command line reads them before anything heavy is loaded.

objective, solver   parts separated by commas or semicolons:    "rkl, jsd"
penalty             sets separated by semicolons or commas, the parts of a set joined by plus signs; none for none:
                    "none; r1r2(gamma=1); nk(eta=0.5) + sgp(measure=data)"
vary                any other key with its values separated by bars: "lr_critic=0.0005|0.002"
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ganneal.engine.config import Config
from ganneal.errors import UsageError, nearest

PARTS = ("objective", "penalty", "solver")
"""Keys with an option of their own."""
FIXED = (
    "source", "size", "dim", "heldout", "seed", "seeds", "population", "recipe", "examples", "out", "device",
    "threads", "checkpoint_every", "keep", "log_every", "sample_every", "permutations", "level",
)  # fmt: skip
"""Keys that every cell has alike."""

OPEN, CLOSE = "([", ")]"


@dataclass(frozen=True)
class Axis:
    """A key of the configuration and the values it takes: texts, and for `penalty` tuples of texts."""

    key: str
    values: tuple[Any, ...]


def pieces(text: str, marks: str) -> list[str]:
    """A text cut at any of the marks, outside of brackets and quotes.

    >>> pieces("r1(gamma=each(1, 2)); none", ";,")
    ['r1(gamma=each(1, 2))', 'none']

    Raises `UsageError` for a bracket that is never closed and for an empty piece.
    """
    found, depth, quote, start = [], 0, "", 0
    for k, letter in enumerate(text):
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "\"'":
            quote = letter
        elif letter in OPEN:
            depth += 1
        elif letter in CLOSE:
            depth -= 1
        elif letter in marks and depth == 0 and not _number_follows(text, k):
            found.append(text[start:k].strip())
            start = k + 1
        if depth < 0:
            break
    if depth or quote:
        raise UsageError(f"cannot read '{text}': a bracket or quote is not closed")
    found.append(text[start:].strip())
    if not all(found):
        raise UsageError(f"cannot read '{text}': there is nothing between two marks, or at an end")
    return found


def _number_follows(text: str, k: int) -> bool:
    """Whether a plus sign belongs to a number such as 1e+5."""
    return text[k] == "+" and text[max(0, k - 1)].lower() == "e" and k > 1 and text[k - 2].isdigit()


def axes(
    objective: Sequence[Any] | str | None, penalty: Sequence[Any] | str | None, solver: Sequence[Any] | str | None,
    vary: Any = None,
) -> tuple[Axis, ...]:  # fmt: skip
    """The axes that were given: one text each, or lists of values; `vary` as "key=a|b" texts or as {key: values}.

    Raises `UsageError` for a text that cannot be read, a key that cannot vary and one that is given twice.
    """
    found = [_part_axis(key, given) for key, given in zip(PARTS, (objective, penalty, solver), strict=True) if given]
    varied = _varied(vary)
    for key, values in varied:
        if key in FIXED:
            raise UsageError(f"vary: {key} is the same in every cell; allowed: {', '.join(_allowed())}")
        if key in PARTS:
            raise UsageError(f"vary: {key} has an option of its own: --{key} 'a, b'")
        if key not in Config.model_fields:
            raise UsageError(f"vary: unknown key '{key}': {nearest(key, _allowed())}")
        if key in [axis.key for axis in found]:
            raise UsageError(f"vary: {key} is given twice; give all its values at once: {key}=a|b")
        found.append(Axis(key, _distinct(values)))
    return tuple(found)


def _part_axis(key: str, given: Sequence[Any] | str) -> Axis:
    texts = pieces(given, ";,") if isinstance(given, str) else list(given)
    return Axis(key, _distinct([_set(text) for text in texts] if key == "penalty" else texts))


def _set(given: Any) -> tuple[str, ...]:
    """The parts of one set of penalties."""
    texts = pieces(given, "+") if isinstance(given, str) else list(given)
    return tuple(text for text in texts if text != "none")


def _varied(vary: Any) -> list[tuple[str, list[Any]]]:
    if not vary:
        return []
    if isinstance(vary, dict):
        return [(key, list(values) if isinstance(values, (list, tuple)) else [values]) for key, values in vary.items()]
    found = []
    for text in [vary] if isinstance(vary, str) else vary:
        key, equals, values = text.partition("=")
        if not equals:
            raise UsageError(f"vary: expected key=value|value, got '{text}'")
        found.append((key.strip().replace("-", "_"), pieces(values, "|")))
    return found


def _distinct(values: Sequence[Any]) -> tuple[Any, ...]:
    return tuple(dict.fromkeys(values))


def _allowed() -> list[str]:
    return [key for key in Config.model_fields if key not in FIXED and key not in PARTS]
