"""What every test accepts: two arrays or tensors of examples, checked once, with errors that name what is wrong."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ganneal.errors import UsageError

LEAST = 4
"""Fewer examples on a side carry no test worth the name (and the variance of MMD needs four)."""


def as_samples(x: Any, name: str) -> Tensor:
    """Finite float64 [n, d] with n >= 4 from an array or tensor [n] or [n, ...]; no copy where it already is that.

    Raises UsageError for anything else.
    """
    try:
        values = x.detach().cpu() if isinstance(x, Tensor) else torch.as_tensor(np.ascontiguousarray(x))
    except (TypeError, ValueError, RuntimeError) as error:
        raise UsageError(f"{name}: got {type(x).__name__}; allowed: an array of numbers ({error})") from error
    if values.ndim == 0 or values.is_complex() or len(values) < LEAST or values.numel() == 0:
        raise UsageError(
            f"{name}: got {values.dtype} of shape {tuple(values.shape)}; allowed: at least {LEAST} examples of real "
            "numbers"
        )
    values = values.to(torch.float64).reshape(len(values), -1)
    if not bool(values.isfinite().all()):
        bad = int((~values.isfinite().all(1)).sum())
        raise UsageError(f"{name}: {bad} of {len(values)} examples hold NaN or infinity; allowed: finite numbers")
    return values


def as_pair(x: Any, y: Any, *, paired: bool = False, names: tuple[str, str] = ("x", "y")) -> tuple[Tensor, Tensor]:
    """x [m, d] and y [n, d], checked; m = n too where a test needs pairs.

    Raises UsageError that names the side and what is wrong.
    """
    x, y = as_samples(x, names[0]), as_samples(y, names[1])
    if x.shape[1] != y.shape[1]:
        raise UsageError(
            f"{names[0]} and {names[1]}: got examples of {x.shape[1]} and {y.shape[1]} numbers; allowed: equal"
        )
    if paired and len(x) != len(y):
        raise UsageError(
            f"{names[0]} and {names[1]}: got {len(x)} and {len(y)} examples; allowed: equally many, this statistic "
            "takes them in pairs"
        )
    return x, y


def check_request(permutations: int, level: float) -> None:
    """Raises UsageError for a level that is none, and for so few permutations that p <= 0.05 cannot happen."""
    if isinstance(permutations, bool) or not isinstance(permutations, int) or permutations < 19:
        raise UsageError(f"permutations: got {permutations}; allowed: at least 19")
    check_level(level)


def check_level(level: float) -> None:
    """Raises UsageError unless 0 < level < 1."""
    if not 0 < level < 1:
        raise UsageError(f"level: got {level}; allowed: between 0 and 1")


def halves(
    x: Tensor, y: Tensor, generator: torch.Generator, share: float = 0.5
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """x and y each cut at random into a part of `share` to train on and a part to test on: x_train, y_train, x_test,
    y_test. At least 4 examples are left in each part."""
    parts = []
    for values in (x, y):
        if len(values) < 2 * LEAST:
            raise UsageError(f"got {len(values)} examples; allowed: at least {2 * LEAST} where a part trains the test")
        order = torch.randperm(len(values), generator=generator)
        cut = min(max(LEAST, round(share * len(values))), len(values) - LEAST)
        parts.append((values[order[:cut]], values[order[cut:]]))
    return parts[0][0], parts[1][0], parts[0][1], parts[1][1]
