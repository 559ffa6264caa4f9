"""The text form of parts, `name(argument=value, ...)`, one grammar for flags, YAML and Python strings.

    part   := name | name "(" [argument ("," argument)*] ")" | number
    argument := [name "="] value
    value  := number ["->" number] | part | "quoted" | "[" [value ("," value)*] "]"

Nothing is evaluated: the text is parsed, the name is looked up in a registry, and the arguments are checked against the
signature of what the name stands for.
"""

import inspect
import math
import re
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from ganneal.errors import UsageError, nearest

MAX_TEXT = 10_000
MAX_DEPTH = 20

_TOKEN = re.compile(
    r"\s*(?:(?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)"
    r"|(?P<name>[A-Za-z_][A-Za-z_0-9.]*)|(?P<quoted>\"[^\"]*\"|'[^']*')|(?P<mark>->|[()\[\],=]))"
)


@dataclass(frozen=True)
class Range:
    """`a->b` in a text: from one number to another."""

    start: float
    end: float


@dataclass(frozen=True)
class Part:
    """A parsed part: its name, its positional arguments and its named ones."""

    name: str
    args: tuple[Any, ...] = ()
    kwargs: tuple[tuple[str, Any], ...] = ()


class _Reader:
    def __init__(self, text: str):
        if len(text) > MAX_TEXT:
            raise UsageError(f"a part's text has {len(text)} characters; at most {MAX_TEXT} are allowed")
        self.text, self.position = text, 0

    def fail(self, expected: str) -> UsageError:
        rest = self.text[self.position :].strip() or "the end"
        return UsageError(f"cannot read '{self.text}': expected {expected}, got '{rest}'")

    def peek(self, kind: str, value: str | None = None) -> str | None:
        found = _TOKEN.match(self.text, self.position)
        token = found.group(kind) if found else None
        return token if token is not None and value in (None, token) else None

    def take(self, kind: str, value: str | None = None) -> str | None:
        token = self.peek(kind, value)
        if token is not None:
            found = _TOKEN.match(self.text, self.position)
            assert found is not None
            self.position = found.end()
        return token

    def value(self, depth: int = 0) -> Any:
        if depth > MAX_DEPTH:
            raise UsageError(f"cannot read '{self.text[:60]}...': nested more than {MAX_DEPTH} deep")
        if (number := self.take("number")) is not None:
            start = _number(number)
            if self.take("mark", "->"):
                if (end := self.take("number")) is None:
                    raise self.fail("a number after '->'")
                return Range(start, _number(end))
            return start
        if (quoted := self.take("quoted")) is not None:
            return quoted[1:-1]
        if self.take("mark", "["):
            return [value for _, value in self.items("]", depth, named=False)]
        if (name := self.take("name")) is not None:
            if not self.take("mark", "("):
                return {"true": True, "false": False, "none": None}.get(name.lower(), Part(name))
            args: list[Any] = []
            kwargs: dict[str, Any] = {}
            for key, value in self.items(")", depth, named=True):
                if key is None and kwargs:
                    raise UsageError(f"cannot read '{self.text}': a positional argument follows a named one")
                if key is None:
                    args.append(value)
                elif key in kwargs:
                    raise UsageError(f"cannot read '{self.text}': argument '{key}' is given twice")
                else:
                    kwargs[key] = value
            return Part(name, tuple(args), tuple(kwargs.items()))
        raise self.fail("a name or a number")

    def items(self, close: str, depth: int, named: bool) -> Iterator[tuple[str | None, Any]]:
        if self.take("mark", close):
            return
        while True:
            key, mark = None, self.position
            if named and (name := self.take("name")) is not None:
                if self.take("mark", "="):
                    key = name
                else:
                    self.position = mark
            yield key, self.value(depth + 1)
            if self.take("mark", close):
                return
            if not self.take("mark", ","):
                raise self.fail(f"',' or '{close}'")


def _number(text: str) -> float | int:
    value = float(text)
    if not math.isfinite(value):
        raise UsageError(f"the number {text[:20]}{'...' * (len(text) > 20)} is too large; at most 1.8e308 is allowed")
    return int(text) if re.fullmatch(r"[+-]?\d+", text) else value


def parse(text: str) -> Any:
    """Read one value: a `Part`, a `Range`, a number, a string, or a list of those.

    >>> parse("linear(-0.8->0, hold=0.2)")
    Part(name='linear', args=(Range(start=-0.8, end=0),), kwargs=(('hold', 0.2),))
    """
    reader = _Reader(text)
    value = reader.value()
    if reader.text[reader.position :].strip():
        raise reader.fail("the end")
    return value


T = TypeVar("T")


class Registry(Generic[T]):
    """The parts of one kind by name. `build` turns a text, or an object that is already built, into an object."""

    def __init__(self, kind: str, entries: Mapping[str, Callable[..., T]], literal: Callable[[Any], T] | None = None):
        self.kind, self.entries, self.literal = kind, dict(entries), literal

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries)

    def __getitem__(self, name: str) -> Callable[..., T]:
        if name not in self.entries:
            raise UsageError(f"unknown {self.kind} '{name}': {nearest(name, self.entries)}")
        return self.entries[name]

    def build(self, value: Any) -> T:
        """An object from its text form (or number, or parsed `Part`); any other object is returned as it is."""
        if isinstance(value, str):
            value = parse(value)
        if isinstance(value, Part):
            return self._call(value)
        if isinstance(value, (int, float, list, Range)) and not isinstance(value, bool):
            if self.literal is None:
                raise UsageError(f"a {self.kind} is written name(...), got {value!r}; {nearest('', self.entries)}")
            return self.literal(value)
        return value

    def _call(self, part: Part) -> T:
        factory = self[part.name]
        parameters = inspect.signature(factory).parameters
        kwargs = dict(part.kwargs)
        for key in kwargs:
            if key not in parameters:
                raise UsageError(f"{self.kind} '{part.name}' has no argument '{key}': {nearest(key, parameters)}")
        nested = {k: self._argument(v) for k, v in kwargs.items()}
        try:
            bound = inspect.signature(factory).bind(*map(self._argument, part.args), **nested)
        except TypeError as error:
            raise UsageError(
                f"{self.kind} '{part.name}': {error}; its arguments are ({', '.join(parameters)})"
            ) from None
        hints = typing.get_type_hints(factory)
        for key, value in bound.arguments.items():
            if parameters[key].kind is not inspect.Parameter.VAR_POSITIONAL and not _fits(value, hints.get(key, Any)):
                raise UsageError(f"{self.kind} '{part.name}': {key} must be {_named(hints[key])}, got {_shown(value)}")
            if type(value) is int and float in (options := _options(hints.get(key, Any))) and int not in options:
                bound.arguments[key] = float(value)
        return factory(*bound.args, **bound.kwargs)

    def _argument(self, value: Any) -> Any:
        """Inside a part a bare name is a word (`sgp(measure=data)`); a name of this registry is a nested part."""
        if isinstance(value, Part):
            if value.name in self.entries:
                return self._call(value)
            if not value.args and not value.kwargs:
                return value.name
        return value


WORDS = {
    float: "a number",
    int: "a whole number",
    str: "a word",
    bool: "true or false",
    Range: "a range a->b or a schedule",
    Part: "a range a->b or a schedule",
}


def _options(hint: Any) -> tuple[Any, ...]:
    return typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)


def _fits(value: Any, hint: Any) -> bool:
    """Whether an argument is of an annotated kind; a part that is not built yet stands for a schedule."""
    for option in _options(hint):
        kind = typing.get_origin(option) or option
        if kind is Any or (kind is Range and isinstance(value, Part)):
            return True
        if isinstance(value, bool) or value is None:
            if kind is type(value):
                return True
        elif (kind is float and isinstance(value, int)) or (isinstance(kind, type) and isinstance(value, kind)):
            return True
    return False


def _named(hint: Any) -> str:
    words = [WORDS.get(option, "none" if option is type(None) else "a list") for option in _options(hint)]
    return " or ".join(dict.fromkeys(words))


def _shown(value: Any) -> str:
    text = f"{value.name}(...)" if isinstance(value, Part) else repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."
