"""The box in which a target's motion takes place, and the steps in time that it allows."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ganneal.diffusion import Box, potential
from ganneal.errors import UsageError
from ganneal.targets import Frame, Target

NEGLIGIBLE = 18.0
"""Where beta (psi - min psi) is above this, mu_beta is below e^-18 of its peak: the box ends there."""
COARSE = {1: 1024, 2: 192}
WIDEST = 1e4
"""Half a box's width in units of the target's scale, beyond which mu_beta is taken to have no finite integral."""


def box_of(target: Target, frame: Frame, beta: float, cells: int, around: Tensor | None = None) -> Box:
    """A box with `cells` cells along each axis that holds mu_beta for this and all larger beta, and the points `around`
    [k, d].

    Raises `UsageError` where mu_beta seems to have no finite integral, and where log u is nan.
    """
    scale = frame.factor.square().sum(1).sqrt()
    low, high = frame.centre - 4 * scale, frame.centre + 4 * scale
    if around is not None:
        low, high = torch.minimum(low, around.min(0).values), torch.maximum(high, around.max(0).values)
    coarse = COARSE[target.dim]
    while True:
        grid = Box(tuple(low.tolist()), tuple(high.tolist()), (coarse,) * target.dim)
        inside = beta * _above(finite_potential(target, grid)) < NEGLIGIBLE
        edges = [(bool(inside.select(k, 0).any()), bool(inside.select(k, -1).any())) for k in range(target.dim)]
        if not any(a or b for a, b in edges):
            break
        for k, (a, b) in enumerate(edges):
            grow = 0.3 * float(high[k] - low[k])
            low[k], high[k] = low[k] - grow * a, high[k] + grow * b
        if bool(((high - low) / scale > 2 * WIDEST).any()):
            raise UsageError(
                f"{target.name}: at beta = {beta:g} log u falls so slowly that mu_beta has no finite integral; "
                "let the schedule begin at a larger beta"
            )
    hull = grid.centres[inside.flatten()]
    hull = hull if around is None else torch.cat([hull, around.double()])
    margin = torch.tensor(grid.widths, dtype=torch.float64)
    low, high = hull.min(0).values - margin, hull.max(0).values + margin
    return Box(tuple(low.tolist()), tuple(high.tolist()), (cells,) * target.dim)


def finite_potential(target: Target, box: Box) -> Tensor:
    """psi on the cells, where it is infinite a wall of e^-700. Raises `UsageError` where log u is nan or +inf."""
    psi = potential(target, box)
    if bool(psi.isnan().any()) or bool((psi == -math.inf).any()) or not bool(psi.isfinite().any()):
        raise UsageError(f"{target.name}: log u is nan, +inf, or nowhere finite between {box.low} and {box.high}")
    return psi.clamp(max=float(psi.min()) + 1e5)


def stable_step(psi: Tensor, box: Box, betas: Sequence[float], clock: str, share: float) -> float:
    """The largest step h of Langevin particles for which a h psi'' <= share wherever mu_beta is not negligible; a is
    the drift. The variance of a well then is off by the factor share / 2 at most."""
    steepest, above = 0.0, _above(psi)
    bends = torch.stack([_bend(psi, k, w) for k, w in enumerate(box.widths)]).amax(0)
    for beta in betas:
        bend = float(bends[beta * above < NEGLIGIBLE].max())
        steepest = max(steepest, bend * (beta if clock == "likelihood" else 1.0))
    return share / steepest if steepest > 0 else math.inf


def _bend(psi: Tensor, axis: int, width: float) -> Tensor:
    """Second difference along an axis where it is positive: elsewhere motion parts, which needs no small steps."""
    found = torch.zeros_like(psi)
    n = psi.shape[axis]
    found.narrow(axis, 1, n - 2).copy_(psi.diff(n=2, dim=axis).clamp_min(0) / width**2)
    return found


def _above(psi: Tensor) -> Tensor:
    return psi - psi.min()
