"""The numbers of a phase portrait: the field on a grid, motions of the field, and what the solver does."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ganneal.dynamics.laboratory import Study
from ganneal.dynamics.trajectory import integrate, play_out
from ganneal.errors import RunError
from ganneal.solvers import OPTIMIZERS, SOLVERS

GRID = 25
STEPS = 200
"""Of the solver, at most."""


@dataclass(frozen=True, eq=False)
class Portrait:
    """What is drawn of a game of two parameters.

    x, y     [g] coordinates of the grid
    field    [g, g, 2], row k is at y[k]
    flow     [t, 2], the motion of the field from the start, or None where it leaves every bound
    steps    [s, 2], the solver from the same start
    centre   [2], the equilibrium
    """

    names: tuple[str, ...]
    x: Tensor
    y: Tensor
    field: Tensor
    flow: Tensor | None
    steps: Tensor
    centre: Tensor


def portrait(study: Study, grid: int = GRID) -> Portrait | None:
    """The portrait of a game of two parameters; None for others, which do not fit on a page."""
    problem, start = study.game.problem, study.game.start
    if problem.size != 2:
        return None
    centre = problem.flat()
    turn = max(study.spectrum.scale, 1e-6)
    until = 2 * 3.1416 / turn * (1.0 if study.spectrum.abscissa > -1e-9 else 4.0)
    try:
        flow = integrate(problem, start, torch.linspace(0, until, 300, dtype=centre.dtype), 1e-7)
    except RunError:
        flow = None
    count = int(min(STEPS, max(40, until / max(study.lr, 1e-3))))
    method: dict[str, Any] = study.method
    steps = play_out(
        problem, SOLVERS.build(method["solver"]), start, study.lr, count, OPTIMIZERS.build(method["optimizer"])
    )
    seen = torch.cat([start[None], *([flow] if flow is not None else [])])
    near = (steps - centre).norm(dim=1) < 2.5 * (seen - centre).norm(dim=1).max()
    half = 1.3 * (torch.cat([seen, steps[near]]) - centre).abs().max(0).values.clamp(min=1e-3)
    half = half.clamp(min=0.6 * half.max())
    low, high = centre - half, centre + half
    if made_of_widths(study.game.name):
        low[1] = low[1].clamp(min=0.05)  # the width of the model, whose sign means nothing
    x, y = (torch.linspace(float(low[k]), float(high[k]), grid, dtype=centre.dtype) for k in (0, 1))
    points = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)  # [g, g, 2], row k at y[k]
    field = torch.vmap(problem.field)(points.reshape(-1, 2)).detach().reshape(points.shape)
    return Portrait(problem.names, x, y, field, flow, steps, centre)


def made_of_widths(name: str) -> bool:
    """Whether the second parameter is a width, above 0."""
    return name == "lq_uniform"
