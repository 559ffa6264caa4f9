"""What is verified of a density before anything is spent on it.

`check` raises a `UsageError` for what no sampler can use; `escape` looks for directions in which u does not fall fast
enough to have a finite integral.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ganneal.errors import UsageError
from ganneal.targets.target import Target

NEAR = (1e2, 1e3, 1e4, 1e5, 1e6)
FAR = (1e9, 1e12, 1e15)
RAYS, AXES, FLATTEST, BASES = 32, 200, 8, 3
MARGIN = 0.01
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
    x = _bulk(target, b, generator)
    value, score = target.value_and_score(x)
    _check_values(target, x, value)
    if score.shape != x.shape:
        raise UsageError(f"{target.name}: the gradient has shape {list(score.shape)} for x of shape {list(x.shape)}")
    finite = value.isfinite()
    bad = finite & ~score.isfinite().all(1)
    if bool(bad.any()):
        raise UsageError(
            f"{target.name}: the gradient is not finite at {_at(x[bad][0])}, where log u = {float(value[bad][0]):.4g}"
        )
    _check_rows(target, x, value)
    _check_slope(target, x[finite], score[finite], generator)
    if (found := escape(target, generator)) is not None:
        raise UsageError(f"{target.name}: {found.sentence()}")


@dataclass(frozen=True, eq=False)
class Escape:
    """A direction in which u^beta does not fall fast enough.

    direction    [d], of length 1 in units of the target's scale
    origin       [d], where the ray starts
    distances, values    what was seen: log u at these distances along it
    needed       -beta log u must grow faster than this many times log |x|
    name         the direction in words
    """

    direction: Tensor
    origin: Tensor
    distances: tuple[float, ...]
    values: tuple[float, ...]
    needed: int
    beta: float
    name: str

    def sentence(self) -> str:
        """The finding in plain words."""
        seen = ", ".join(f"{v:.6g}" for v in self.values)
        places = ", ".join(f"{r:g}" for r in self.distances)
        grows = self.values[-1] > self.values[0] + 1
        hint = "if it returns an energy, return its negative" if grows else "add a prior or a confining term"
        power = "u" if self.beta == 1 else f"u^{self.beta:g}"
        return (
            f"{power} has no finite integral: along {self.name} log u is {seen} at distances {places}, and must fall "
            f"faster than -{self.needed} log |x|{'' if self.beta == 1 else ' / beta'}; {hint}"
        )


def escape(target: Target, generator: torch.Generator, beta: float = 1.0) -> Escape | None:
    """A direction in which u^beta has no finite integral, or None where none of those tried is one.

    Tried are random rays, the coordinate axes, and the eigenvectors of the Hessian with the least curvature, which find
    flat directions that random rays miss. With s(r) = -beta d log u / d log r between two distances, u^beta can only be
    integrable if

        s > d  along random rays (they sweep a volume r^(d-1) dr),    s > 1  along a fixed line through the bulk,

    for large r. Distances go from 1e2 to 1e6 in units of the target's scale; what fails is tried again from other
    starting points and out to 1e15, so that heavy tails and wide laws are not taken for improper ones. This finds
    common mistakes, it proves nothing: a valley that is curved, or not among those directions, is missed.
    """
    origins = _bulk(target, BASES, generator)
    directions, needed, names = _directions(target, origins[0], generator)
    unit = _unit(target)
    suspects = torch.ones(len(directions), dtype=torch.bool)
    for number, origin in enumerate(origins):
        rows = suspects.nonzero()[:, 0]
        reach = NEAR[-3:] if number == 0 else NEAR[-3:] + FAR
        for row, values in zip(rows.tolist(), _along(target, origin, directions[rows] * unit, reach), strict=True):
            suspects[row] = _slow(values, reach, needed[row] / beta)
        if not bool(suspects.any()):
            return None
    row = int(suspects.nonzero()[0])
    shown = (NEAR[0], NEAR[2], NEAR[4])
    values = _along(target, origins[0], directions[row : row + 1] * unit, shown)[0]
    return Escape(directions[row], origins[0], shown, tuple(values.tolist()), needed[row], beta, names[row])


def _slow(values: Tensor, distances: tuple[float, ...], needed: float) -> bool:
    """Whether log u falls too slowly over the last step whose values are numbers, and over the one before."""
    slopes = []
    for i in range(1, len(distances)):
        before, after = float(values[i - 1]), float(values[i])
        if math.isnan(before) or math.isnan(after) or before == -math.inf == after:
            # NaN says nothing; a density that is 0 already has ended
            slopes.append(math.inf if after == -math.inf else math.nan)
        else:
            slopes.append((before - after) / math.log(distances[i] / distances[i - 1]))
    seen = [s for s in slopes if not math.isnan(s)]
    return bool(seen) and all(s <= needed + MARGIN for s in seen[-2:])


def _along(target: Target, origin: Tensor, steps: Tensor, distances: tuple[float, ...]) -> Tensor:
    """log u [k, distances] on rays with steps [k, d]."""
    reach = torch.tensor(distances, dtype=torch.float64)
    x = origin + reach[None, :, None] * steps[:, None, :]
    return _evaluated(target, x.flatten(0, 1)).unflatten(0, (len(steps), len(distances)))


def _evaluated(target: Target, x: Tensor) -> Tensor:
    with torch.no_grad():
        return target.log_prob(x).double()


def _directions(target: Target, origin: Tensor, generator: torch.Generator) -> tuple[Tensor, list[int], list[str]]:
    """Lines first: what they find is easier to name. Both senses of each."""
    d = target.dim
    axes = torch.randperm(d, generator=generator, device=generator.device)[:AXES].sort().values.cpu()
    lines = [torch.nn.functional.one_hot(axes, d).double()]
    names = [f"coordinate {int(i) + 1}" for i in axes]
    flattest = _flattest(target, origin, generator)
    lines.append(flattest)
    names += [f"the direction {_at(v)} of least curvature" for v in flattest]
    fixed = torch.cat(lines)
    rays = torch.randn(RAYS, d, generator=generator, dtype=torch.float64, device=generator.device).cpu()
    rays = rays / rays.norm(dim=1, keepdim=True)
    both = torch.cat([fixed, -fixed, rays])
    told = [*names, *(f"minus {name}" for name in names), *(f"the random direction {_at(v)}" for v in rays)]
    return both, [1] * (2 * len(fixed)) + [d] * RAYS, told


def _flattest(target: Target, origin: Tensor, generator: torch.Generator) -> Tensor:
    """Up to FLATTEST eigenvectors [k, d] of the Hessian of -log u with the least curvature, by differences of the
    gradient; none in more than AXES dimensions, where that would cost more than it finds."""
    d = target.dim
    empty = torch.empty(0, d, dtype=torch.float64)
    if not 1 < d <= AXES:
        return empty
    unit = _unit(target)
    moves = STEP * torch.eye(d, dtype=torch.float64)
    _, scores = target.value_and_score(torch.cat([origin + moves * unit, origin - moves * unit]))
    scores = scores.double() * unit
    hessian = (scores[d:] - scores[:d]) / (2 * STEP)
    if not bool(hessian.isfinite().all()):
        return empty
    vectors = torch.linalg.eigh((hessian + hessian.mT) / 2).eigenvectors
    return vectors[:, :FLATTEST].mT


def _check_values(target: Target, x: Tensor, value: Tensor) -> None:
    if value.shape != x.shape[:1]:
        raise UsageError(f"{target.name}: returned shape {list(value.shape)} for {len(x)} rows; allowed: [{len(x)}]")
    if not value.dtype.is_floating_point:
        raise UsageError(f"{target.name}: returned {str(value.dtype).removeprefix('torch.')} numbers; allowed: floats")
    where = "standard normal points" if target.centre is None else "points around its centre"
    for kind, found, advice in (
        ("NaN", value.isnan(), "return -inf where the density is 0"),
        ("+inf", value == math.inf, "allowed: finite numbers and -inf"),
    ):
        if bool(found.any()):
            raise UsageError(
                f"{target.name}: log u is {kind} at {int(found.sum())} of {len(x)} {where}, such as "
                f"{_at(x[found][0])}; {advice}"
            )
    if not bool(value.isfinite().any()):
        raise UsageError(
            f"{target.name}: log u is -inf at all {len(x)} {where}; shift and scale x so that the mass lies around 0, "
            "with a width of about 1"
        )


def _check_rows(target: Target, x: Tensor, value: Tensor) -> None:
    """The same rows again: all of them, and one by one in another order."""
    tolerance = 1e-4 * (1 + value.abs())
    again = _evaluated(target, x)
    alone = torch.cat([_evaluated(target, x[i : i + 1]) for i in (3, 0, len(x) - 1)])
    places = torch.tensor([3, 0, len(x) - 1])
    for seen, expected, slack, reason in (
        (again, value, tolerance, "changes when it is called again at the same points; it must not draw random numbers"),
        (alone, value[places], tolerance[places], "of a row depends on the other rows of the batch; keep rows apart"),
    ):  # fmt: skip
        finite = expected.isfinite()
        if bool(((seen - expected).abs() > slack)[finite].any()):
            raise UsageError(f"{target.name}: log u {reason}")


def _check_slope(target: Target, x: Tensor, score: Tensor, generator: torch.Generator) -> None:
    """Central differences in a random direction at each point. Kinks and rounding may spoil some points, not most."""
    unit = _unit(target)
    way = torch.randn(x.shape, generator=generator, dtype=torch.float64, device=generator.device).cpu()
    way = way / way.norm(dim=1, keepdim=True) * unit
    right, left = _evaluated(target, x + STEP * way), _evaluated(target, x - STEP * way)
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
        f"{target.name}: the gradient is not the slope of log u: at {_at(x[i])} in a random direction it says "
        f"{float(given[i]):.4g}, the values say {float(slope[i]):.4g}{hint}"
    )


def _bulk(target: Target, n: int, generator: torch.Generator) -> Tensor:
    """Points [n, d] where the mass is thought to be."""
    z = torch.randn(n, target.dim, generator=generator, dtype=torch.float64, device=generator.device).cpu()
    centre = torch.zeros(target.dim, dtype=torch.float64) if target.centre is None else target.centre.double()
    return centre + z * _unit(target)


def _unit(target: Target) -> Tensor:
    return torch.ones(target.dim, dtype=torch.float64) if target.scale is None else target.scale.double()


def _at(point: Tensor) -> str:
    shown = ", ".join(f"{v:.3g}" for v in point[:5].tolist())
    return f"({shown}{', ...' if len(point) > 5 else ''})"
