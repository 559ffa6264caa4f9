"""Directions in which a density does not fall fast enough to have a finite integral."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ganneal.targets.target import Target

NEAR = (1e2, 1e3, 1e4, 1e5, 1e6)
FAR = (1e9, 1e12, 1e15)
FARTHEST_COMPUTED = 1e9
"""Beyond this, rounding in a computed direction counts."""
RAYS, AXES, FLATTEST, BASES = 32, 200, 8, 3
MARGIN = 0.01
STEP = 1e-3


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
        speed = self.needed / self.beta
        return (
            f"{power} has no finite integral: along {self.name} log u is {seen} at distances {places}, and must fall "
            f"faster than -{'' if speed == 1 else f'{speed:.3g} '}log |x|; {hint}"
        )


def escape(target: Target, generator: torch.Generator, beta: float = 1.0) -> Escape | None:
    """A direction in which u^beta has no finite integral, or None where none of those tried is one.

    Tried are random rays, the coordinate axes, and the directions in which log u changes least (`_flattest`), which
    find flat directions that random rays miss. With s(r) = -beta d log u / d log r between two distances, u^beta can
    only be integrable if

        s > d  along random rays (they sweep a volume r^(d-1) dr),    s > 1  along a fixed line through the bulk,

    for large r. Distances go from 1e2 to 1e6 in units of the target's scale; what fails is tried again from other
    starting points and out to 1e15, so that heavy tails and wide laws are not taken for improper ones. This finds
    common mistakes, it proves nothing: a valley that is curved, or not among those directions, is missed.
    """
    origins = bulk(target, BASES, generator)
    lines, unit = _directions(target, generator), unit_of(target)
    suspects = torch.ones(len(lines.names), dtype=torch.bool)
    for number, origin in enumerate(origins):
        rows = suspects.nonzero()[:, 0]
        reach = NEAR[-3:] if number == 0 else NEAR[-3:] + FAR
        values = _along(target, origin, lines.directions[rows] * unit, reach)
        values[torch.tensor(reach) > lines.limits[rows, None]] = math.nan
        for row, seen in zip(rows.tolist(), values, strict=True):
            suspects[row] = _slow(seen, reach, lines.needed[row] / beta)
        if not bool(suspects.any()):
            return None
    row = int(suspects.nonzero()[0])
    shown = (NEAR[0], NEAR[2], NEAR[4])
    direction = lines.directions[row]
    values = _along(target, origins[0], direction[None] * unit, shown)[0]
    return Escape(direction, origins[0], shown, tuple(values.tolist()), lines.needed[row], beta, lines.names[row])


def _slow(values: Tensor, distances: tuple[float, ...], needed: float) -> bool:
    """Whether log u falls too slowly over the last two steps; values that are NaN say nothing."""
    slopes = []
    for i in range(1, len(distances)):
        before, after = float(values[i - 1]), float(values[i])
        if after == -math.inf:
            slopes.append(math.inf)
        elif after == math.inf:
            slopes.append(-math.inf)
        else:
            slopes.append((before - after) / math.log(distances[i] / distances[i - 1]))
    seen = [s for s in slopes if not math.isnan(s)]
    return bool(seen) and all(s <= needed + MARGIN for s in seen[-2:])


def _along(target: Target, origin: Tensor, steps: Tensor, distances: tuple[float, ...]) -> Tensor:
    """log u [k, distances] on rays with steps [k, d]."""
    reach = torch.tensor(distances, dtype=torch.float64)
    x = origin + reach[None, :, None] * steps[:, None, :]
    return evaluated(target, x.flatten(0, 1)).unflatten(0, (len(steps), len(distances)))


def _directions(target: Target, generator: torch.Generator) -> "_Lines":
    """Lines first: what they find is easier to name. Both senses of each."""
    d = target.dim
    axes = torch.randperm(d, generator=generator, device=generator.device)[:AXES].sort().values.cpu()
    flattest = _flattest(target, generator)
    fixed = torch.cat([torch.nn.functional.one_hot(axes, d).double(), flattest])
    names = [f"coordinate {int(i) + 1}" for i in axes]
    names += [f"the flattest direction {at(v)}" for v in flattest]
    rays = torch.randn(RAYS, d, generator=generator, dtype=torch.float64, device=generator.device).cpu()
    rays = rays / rays.norm(dim=1, keepdim=True)
    limits = torch.tensor([math.inf] * len(axes) + [FARTHEST_COMPUTED] * len(flattest))
    return _Lines(
        torch.cat([fixed, -fixed, rays]),
        [1] * (2 * len(fixed)) + [d] * RAYS,
        torch.cat([limits, limits, torch.full((RAYS,), math.inf)]),
        [*names, *(f"minus {name}" for name in names), *(f"the random direction {at(v)}" for v in rays)],
    )


@dataclass(frozen=True, eq=False)
class _Lines:
    """Directions [k, d], the growth each needs, the distance up to which each is exact, and its name."""

    directions: Tensor
    needed: list[int]
    limits: Tensor
    names: list[str]


def _flattest(target: Target, generator: torch.Generator) -> Tensor:
    """Directions [k, d] in which log u changes least: eigenvectors of its Hessian at one point, by differences of the
    gradient, with the least curvature; and of E[grad log u grad log u'], whose null space is that of all directions
    without influence, to rounding. None in more than AXES dimensions, where they would cost more than they find."""
    d = target.dim
    empty = torch.empty(0, d, dtype=torch.float64)
    if not 1 < d <= AXES:
        return empty
    unit, origin = unit_of(target), bulk(target, 1, generator)
    moves = STEP * torch.eye(d, dtype=torch.float64) * unit
    _, scores = target.value_and_score(torch.cat([origin + moves, origin - moves, bulk(target, 2 * d, generator)]))
    scores = scores.double() * unit
    if not bool(scores.isfinite().all()):
        return empty
    hessian = (scores[d : 2 * d] - scores[:d]) / (2 * STEP)
    curved = torch.linalg.eigh((hessian + hessian.mT) / 2).eigenvectors[:, :FLATTEST].mT
    idle = torch.linalg.svd(scores[2 * d :]).Vh[-FLATTEST:]
    return torch.cat([idle, curved])


def evaluated(target: Target, x: Tensor) -> Tensor:
    """log u [b], float64, without a gradient."""
    with torch.no_grad():
        return target.log_prob(x).double()


def bulk(target: Target, n: int, generator: torch.Generator) -> Tensor:
    """Points [n, d] where the mass is thought to be."""
    z = torch.randn(n, target.dim, generator=generator, dtype=torch.float64, device=generator.device).cpu()
    centre = torch.zeros(target.dim, dtype=torch.float64) if target.centre is None else target.centre.double()
    return centre + z * unit_of(target)


def unit_of(target: Target) -> Tensor:
    """The target's scale [d], or 1."""
    return torch.ones(target.dim, dtype=torch.float64) if target.scale is None else target.scale.double()


def at(point: Tensor) -> str:
    """The beginning of a point, for a message."""
    shown = ", ".join(f"{v:.3g}" for v in point[:5].tolist())
    return f"({shown}{', ...' if len(point) > 5 else ''})"
