"""The spectrum of what is really run: the multipliers of one step of a solver, with its memory and momentum.

A solver is a map s -> F(s) of parameters, optimizer slots and memory. Near a fixed point it settles if every eigenvalue
of F' lies inside the unit circle, by the largest modulus per step. A game whose field settles may be driven apart by
steps that are too long, and one that only turns may be made to settle by its solver (Gidel et al. 2019; Mertikopoulos
et al. 2019), so learning rates are judged here and not on the field.

F' is taken by central differences through `Play`, two steps per coordinate of the state: the same code that trains.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ganneal.dynamics.problem import Problem
from ganneal.dynamics.spectrum import eigenvalues
from ganneal.solvers import Optimizer, Solver, State

NUDGE = 1e-5
NEUTRAL = 1e-7
"""Singular values of F' - 1 below this share of the largest are neutral: differences have ten digits."""
SLACK = 1e-8
"""A modulus this much above 1 counts as 1."""
LEAST, MOST = 1e-3, 30.0
"""Learning rates between which stability is looked for."""


@dataclass(frozen=True, eq=False)
class SolverSpectrum:
    """Multipliers of one step of a solver, the largest modulus first.

    multipliers   complex [k], without those of neutral directions; over several steps (`period`) their product's root
    neutral       how many directions were left out because the step does not change along them
    steps         steps in one period of the solver
    """

    multipliers: Tensor
    neutral: int
    steps: int

    @property
    def radius(self) -> float:
        """The largest modulus, per step: what remains of a deviation after one step."""
        return float(self.multipliers.abs().max()) if len(self.multipliers) else 0.0

    @property
    def distance(self) -> float:
        """1 - radius: the distance to the unit circle, positive inside."""
        return 1 - self.radius

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain numbers."""
        return {
            "multipliers": [[z.real, z.imag] for z in self.multipliers.tolist()],
            "neutral": self.neutral,
            "radius": self.radius,
            "distance": self.distance,
        }


def period_of(solver: Solver) -> int:
    """Steps after which a solver does the same again."""
    every = getattr(solver, "every", 1)
    return int(every) if isinstance(every, int) and every > 0 else 1


def both(problem: Problem, rates: float | Mapping[str, float]) -> dict[str, float]:
    """Learning rates by player, from one for all or several."""
    return {p: rates if isinstance(rates, (int, float)) else rates[p] for p in problem.players}


def solver_spectrum(
    problem: Problem,
    solver: Solver,
    rates: float | Mapping[str, float],
    optimizer: Optimizer | None = None,
    settle: int = 25,
) -> SolverSpectrum:
    """Multipliers of the solver's step at the problem's point, which is to be an equilibrium.

    settle   steps made at the point before, so that memory and momentum are those of a solver at rest

    Memory that no parameter and no other memory depends on (a running average) is left out.
    """
    lr, play, steps = both(problem, rates), problem.play(optimizer), period_of(solver)
    state = problem.start(solver, play)
    if state.memory or any(state.slots.values()):
        for _ in range(math.ceil(settle / steps) * steps):
            problem.step(solver, play, state, lr)
    places = _places(state)
    base = torch.cat([state_at(state, place).reshape(-1) for place in places])

    def after(vector: Tensor) -> Tensor:
        moved = state.clone()
        start = 0
        for place in places:
            value = state_at(moved, place)
            value.copy_(vector[start : start + value.numel()].reshape(value.shape))
            start += value.numel()
        for _ in range(steps):
            problem.step(solver, play, moved, lr)
        return torch.cat([state_at(moved, place).detach().reshape(-1) for place in places])

    size = NUDGE * max(1.0, float(base.abs().max()))
    eye = torch.eye(len(base), dtype=base.dtype)
    columns = [(after(base + size * e) - after(base - size * e)) / (2 * size) for e in eye]
    map_ = torch.stack(columns, 1)
    kept = _reached(map_, [(place[0], state_at(state, place).numel()) for place in places])
    change = map_[kept][:, kept] - torch.eye(len(kept), dtype=base.dtype)
    values, neutral = eigenvalues(change, NEUTRAL)
    values = 1 + values
    if steps > 1:
        values = torch.polar(values.abs() ** (1 / steps), values.angle() / steps)
    return SolverSpectrum(values[values.abs().argsort(descending=True, stable=True)], neutral, steps)


def stable_rate(
    problem: Problem, solver: Solver, ratio: Mapping[str, float] | None = None, optimizer: Optimizer | None = None,
    least: float = LEAST, most: float = MOST, digits: int = 4,
) -> float:  # fmt: skip
    """The learning rate up to which the solver does not move away from the problem's point, by bisection on the true
    map: 0 if even the smallest one does, `most` if none does. Multipliers on the unit circle count as staying.

    ratio    rates of the players relative to the rate that is looked for; all 1 by default
    """

    def holds(h: float) -> bool:
        rates = {p: h * (1.0 if ratio is None else ratio[p]) for p in problem.players}
        found = solver_spectrum(problem, solver, rates, optimizer)
        return found.radius <= 1 + SLACK

    grid = torch.logspace(math.log10(least), math.log10(most), 16, dtype=torch.float64).tolist()
    if not holds(grid[0]):
        return 0.0
    low = grid[0]
    for high in grid[1:]:
        if not holds(high):
            break
        low = high
    else:
        return most
    while high - low > 10.0**-digits * high:
        middle = (low + high) / 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


def state_at(state: State, place: tuple[str, ...]) -> Tensor:
    """A tensor of a state, by its place."""
    found: Any = getattr(state, place[0])
    for key in place[1:]:
        found = found[key]
    assert isinstance(found, Tensor)
    return found


def _reached(matrix: Tensor, parts: list[tuple[str, int]]) -> Tensor:
    """Indices of the state without memory that only looks on: blocks whose columns are 0 outside of their own rows."""
    kept, start = [], 0
    for part, size in parts:
        own = torch.arange(start, start + size)
        outside = matrix[:, own].abs().clone()
        outside[own] = 0
        if part != "memory" or outside.max() > SLACK:
            kept.append(own)
        start += size
    return torch.cat(kept)


def _places(state: State) -> list[tuple[str, ...]]:
    """Where a state holds numbers that a step carries on: parameters first, then slots and memory without counters."""
    found: list[tuple[str, ...]] = []

    def walk(tree: Any, place: tuple[str, ...]) -> None:
        if isinstance(tree, dict):
            for key, value in tree.items():
                walk(value, (*place, key))
        elif tree.is_floating_point() and (tree.dim() > 0 or place[0] == "params"):
            found.append(place)

    for part in ("params", "slots", "memory"):
        walk(getattr(state, part), (part,))
    return found
