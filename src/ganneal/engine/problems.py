"""What is wrong with a value, in one line: `key: expected what is allowed, got what was given`."""

from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from ganneal.errors import UsageError

EXPECTED = {
    "int": "a whole number", "float": "a number", "bool": "true or false", "string": "text",
    "finite": "a finite number", "tuple": "a list", "missing": "a value", "path": "a path",
}  # fmt: skip
BOUNDS = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}


def problem(error: ValidationError, key: str = "configuration") -> str:
    """The first of a model's problems; `key` names the value where the model does not."""
    first = error.errors()[0]
    context = first.get("ctx", {})
    bounds = [f"{word} {context[name]}" for name, word in BOUNDS.items() if name in context]
    expected = (
        context.get("expected") or " and ".join(bounds) or EXPECTED.get(first["type"].split("_")[0], first["msg"])
    )
    return f"{first['loc'][0] if first['loc'] else key}: expected {expected}, got {_shown(first['input'])}"


def whole(key: str, value: Any) -> int:
    """A whole number of at least 1, also from its text. Raises `UsageError` for anything else."""
    try:
        return TypeAdapter(Annotated[int, Field(ge=1)]).validate_python(value)
    except ValidationError as error:
        raise UsageError(problem(error, key)) from None


def _shown(value: Any) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 80 else f"{text[:80]}..."
