"""Arguments of a target: their checks, and the shortest text from which the same target can be built again."""

import functools
import inspect
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, ParamSpec

import torch
from torch import Tensor

from ganneal.errors import UsageError
from ganneal.targets.target import Target

MAX_DIM = 100_000
P = ParamSpec("P")


def named(factory: Callable[P, Target]) -> Callable[P, Target]:
    """Gives what a factory makes its canonical name: the arguments that differ from their defaults, by name."""
    signature = inspect.signature(factory)

    @functools.wraps(factory)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> Target:
        target = factory(*args, **kwargs)
        given = signature.bind(*args, **kwargs).arguments
        told = [f"{key}={_text(v)}" for key, v in given.items() if not _same(v, signature.parameters[key].default)]
        return replace(target, name=f"{factory.__name__}({', '.join(told)})" if told else factory.__name__)

    return wrapped


def _same(value: Any, default: Any) -> bool:
    return not isinstance(value, Tensor) and type(value) in (int, float, str, bool, type(None)) and value == default


def _text(value: Any) -> str:
    if isinstance(value, Tensor):
        value = value.tolist()
    if isinstance(value, (list, tuple)) or hasattr(value, "tolist"):
        return f"[{', '.join(map(_text, value))}]"
    if isinstance(value, str):
        return value if re.fullmatch(r"[A-Za-z_]\w*", value) else f'"{value}"' if "'" in value else f"'{value}'"
    return (
        "none"
        if value is None
        else f"{value:g}"
        if isinstance(value, float) and value == float(f"{value:g}")
        else f"{value}"
    )


def number(name: str, key: str, value: Any) -> float:
    """A finite number, or a `UsageError`."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise UsageError(f"{name}: {key} must be a finite number, got {value!r}")
    return float(value)


def positive(name: str, key: str, value: Any) -> float:
    """A finite number above 0, or a `UsageError`."""
    if number(name, key, value) <= 0:
        raise UsageError(f"{name}: {key} must be above 0, got {value!r}")
    return float(value)


def whole(name: str, key: str, value: Any, low: int = 1, high: int = MAX_DIM) -> int:
    """A whole number in low..high, or a `UsageError`."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise UsageError(f"{name}: {key} must be a whole number in {low}..{high}, got {value!r}")
    return value


def array(name: str, key: str, value: Any) -> Tensor:
    """Numbers, lists of them, arrays or tensors as a finite float64 tensor, or a `UsageError`."""
    try:
        result = torch.as_tensor(value, dtype=torch.float64).detach().cpu()
    except (TypeError, ValueError, RuntimeError):
        raise UsageError(f"{name}: {key} must be numbers in lists of equal length, got {str(value)[:60]!r}") from None
    if not bool(result.isfinite().all()):
        raise UsageError(f"{name}: {key} must be finite numbers, got {str(value)[:60]!r}")
    return result


def vector(name: str, key: str, value: float | Sequence[float] | Tensor, dim: int) -> Tensor:
    """One number for all coordinates, or one for each: float64 [dim], or a `UsageError`."""
    result = array(name, key, value)
    if result.dim() > 1 or (result.dim() == 1 and len(result) != dim):
        raise UsageError(f"{name}: {key} must be one number or {dim} of them, got shape {list(result.shape)}")
    return result.expand(dim).clone()
