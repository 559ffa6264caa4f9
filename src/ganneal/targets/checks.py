"""What is verified of a density before anything is spent on it."""

import math

import torch
from torch import Tensor

from ganneal.errors import UsageError
from ganneal.targets.escapes import at, bulk, escape, evaluated, unit_of
from ganneal.targets.target import Target
from ganneal.targets.user import called

STEP = 1e-3


def check(target: Target, generator: torch.Generator) -> None:
    """Raises a `UsageError` that says what is wrong with a density, if anything of this is:

        what it returns      not [b], not real floats, NaN, +inf, or -inf at all points tried
        rows                 a row's value depends on the other rows, or changes from call to call
        gradient             not [b, d], not finite where the value is, or not the slope of the values
        integral             u does not fall fast enough in some direction (`escape`)

    The points tried are standard normal around `centre` in units of `scale`, or around 0 where those are not known. An
    error in the user's function keeps its own traceback.
    """
    b = 16 if target.dim != 16 else 17
    x = bulk(target, b, generator)
    value, score = called(lambda: target.value_and_score(x), target.name)
    _check_values(target, x, value)
    if score.shape != x.shape:
        raise UsageError(f"{target.name}: the gradient has shape {list(score.shape)} for x of shape {list(x.shape)}")
    finite = value.isfinite()
    bad = finite & ~score.isfinite().all(1)
    if bool(bad.any()):
        raise UsageError(
            f"{target.name}: the gradient is not finite at {at(x[bad][0])}, where log u = {float(value[bad][0]):.4g}"
        )
    _check_rows(target, x, value)
    _check_slope(target, x[finite], score[finite], generator)
    if (found := escape(target, generator)) is not None:
        raise UsageError(f"{target.name}: {found.sentence()}")


def _check_values(target: Target, x: Tensor, value: Tensor) -> None:
    if value.shape != x.shape[:1]:
        raise UsageError(f"{target.name}: returned shape {list(value.shape)} for {len(x)} rows; allowed: [{len(x)}]")
    if not value.dtype.is_floating_point:
        raise UsageError(f"{target.name}: returned {str(value.dtype).removeprefix('torch.')} numbers; allowed: floats")
    where = "standard normal points" if target.centre is None else "points around its centre"
    for kind, found, advice in (
        ("NaN", value.isnan(), "allowed: finite numbers"),
        ("+inf", value == math.inf, "allowed: finite numbers"),
    ):
        if bool(found.any()):
            raise UsageError(
                f"{target.name}: log u is {kind} at {int(found.sum())} of {len(x)} {where}, such as "
                f"{at(x[found][0])}; {advice}"
            )
    if not bool(value.isfinite().any()):
        raise UsageError(
            f"{target.name}: log u is -inf at all {len(x)} {where}; shift and scale x so that the mass lies around 0, "
            "with a width of about 1"
        )


def _check_rows(target: Target, x: Tensor, value: Tensor) -> None:
    """The same rows again: all of them, and one by one in another order."""
    tolerance = 1e-4 * (1 + value.abs())
    again = evaluated(target, x)
    alone = torch.cat([evaluated(target, x[i : i + 1]) for i in (3, 0, len(x) - 1)])
    places = torch.tensor([3, 0, len(x) - 1])
    for seen, expected, slack, reason in (
        (again, value, tolerance, "changes from call to call at the same points; it must not draw random numbers"),
        (alone, value[places], tolerance[places], "of a row depends on the other rows of the batch; keep rows apart"),
    ):  # fmt: skip
        finite = expected.isfinite()
        if bool(((seen - expected).abs() > slack)[finite].any()):
            raise UsageError(f"{target.name}: log u {reason}")


def _check_slope(target: Target, x: Tensor, score: Tensor, generator: torch.Generator) -> None:
    """Central differences in a random direction at each point. Kinks and rounding may spoil some points, not most."""
    unit = unit_of(target)
    way = torch.randn(x.shape, generator=generator, dtype=torch.float64, device=generator.device).cpu()
    way = way / way.norm(dim=1, keepdim=True) * unit
    right, left = evaluated(target, x + STEP * way), evaluated(target, x - STEP * way)
    slope, given = (right - left) / (2 * STEP), (score.double() * way).sum(1)
    # what a function in single precision loses in a difference
    noise = 1e-6 * (right.abs() + left.abs() + 1e-3) / STEP
    wrong = (slope - given).abs() > 0.05 * torch.maximum(slope.abs(), given.abs()) + noise
    wrong &= slope.isfinite()
    if int(wrong.sum()) * 2 <= len(x):
        return
    i = int(wrong.nonzero()[0])
    ratio = (given[wrong] / slope[wrong]).median()
    hint = "; that is the gradient of the energy: change its sign" if abs(float(ratio) + 1) < 0.05 else ""
    raise UsageError(
        f"{target.name}: the gradient is not the slope of log u: at {at(x[i])} in a random direction it says "
        f"{float(given[i]):.4g}, the values say {float(slope[i]):.4g}{hint}"
    )
