"""The spectrum of what is really run: the multipliers of one step of a solver, with its memory and momentum.

A solver is a map s -> F(s) of parameters, optimizer slots and memory. Near a fixed point it settles if every eigenvalue
of F' lies inside the unit circle, by the largest modulus per step. A game whose field settles may be driven apart by
steps that are too long, and one that only turns may be made to settle by its solver (Gidel et al. 2019; Mertikopoulos
et al. 2019), so learning rates are judged here and not on the field.

F' is taken by central differences through `Play`, two steps per coordinate of the state: the same code that trains.
All of them, at all learning rates that are asked for, are the members of one population.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ganneal.dynamics.problem import Problem
from ganneal.dynamics.spectrum import eigenvalues, jacobian
from ganneal.solvers import Optimizer, Play, Solver, State

NUDGE = 1e-5
NEUTRAL = 1e-7
"""Singular values of F' - 1 below this share of the largest may be neutral, if the field has such directions too:
differences have ten digits."""
SLACK = 1e-8
"""A modulus this much above 1 counts as 1."""
LEAST, MOST = 1e-3, 30.0
"""Learning rates between which stability is looked for, times the largest modulus of the field's eigenvalues."""
ABREAST = 16
"""Learning rates that are tried together."""
SETTLE = 25
MEMBERS = 512
"""Steps that are made together."""


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


def chain(solver: Solver) -> list[Solver]:
    """A solver and those that it lets make the steps, the outermost first."""
    inner = getattr(solver, "solver", None)
    return [solver, *(chain(inner) if isinstance(inner, Solver) else [])]


def period_of(solver: Solver) -> int:
    """Steps after which a solver, and all that it is made of, does the same again."""
    every = [getattr(part, "every", 1) for part in chain(solver)]
    return math.lcm(*[k for k in every if isinstance(k, int) and k > 0])


def settled_after(solver: Solver, least: int) -> int:
    """Steps, whole periods of them, after which queues of the past are full."""
    past = [getattr(part, "opponents", 0) * getattr(part, "every", 1) for part in chain(solver)]
    period = period_of(solver)
    return math.ceil(max(least, *past) / period) * period


def rates_of(problem: Problem, rates: float | Mapping[str, float]) -> dict[str, float]:
    """Learning rates by player, from one for all or several."""
    return {p: rates if isinstance(rates, (int, float)) else rates[p] for p in problem.players}


def solver_spectrum(
    problem: Problem,
    solver: Solver,
    rates: float | Mapping[str, float],
    optimizer: Optimizer | None = None,
    settle: int = SETTLE,
) -> SolverSpectrum:
    """Multipliers of the solver's step at the problem's point, which is to be an equilibrium.

    settle   steps made at the point before, so that memory and momentum are those of a solver at rest; at least so
             many as fill the queues of its past

    Memory that no parameter and no other memory depends on (a running average) is left out.
    """
    lr = rates_of(problem, rates)
    return _Map(problem, solver, optimizer, settle).spectra([lr])[0]


class _Map:
    """The step of a solver at rest at the problem's point: what is the same at all learning rates."""

    def __init__(self, problem: Problem, solver: Solver, optimizer: Optimizer | None, settle: int):
        self.problem, self.solver, self.steps = problem, solver, period_of(solver)
        play, lr = problem.play(optimizer), dict.fromkeys(problem.players, LEAST)
        state = problem.start(solver, play)
        if state.memory or any(state.slots.values()):
            for _ in range(settled_after(solver, settle)):
                problem.step(solver, play, state, lr)
        self.play = Play(play.game, play.optimizers, population=True)
        self.state, self.places = state, _places(state)
        self.base = torch.cat([state_at(state, place).reshape(-1) for place in self.places])
        self.neutral = eigenvalues(jacobian(problem)[0])[1]

    def spectra(self, rates: list[dict[str, float]]) -> list[SolverSpectrum]:
        """One spectrum for every set of learning rates."""
        size = NUDGE * max(1.0, float(self.base.abs().max()))
        nudges = size * torch.eye(len(self.base), dtype=self.base.dtype)
        starts = torch.cat([self.base + nudges, self.base - nudges])
        lr = {p: torch.tensor([r[p] for r in rates], dtype=starts.dtype) for p in self.problem.players}
        lr = {p: x.repeat_interleave(len(starts)) for p, x in lr.items()}
        starts = starts.repeat(len(rates), 1)
        ends = torch.cat([
            self._after(starts[k : k + MEMBERS], {p: x[k : k + MEMBERS] for p, x in lr.items()})
            for k in range(0, len(starts), MEMBERS)
        ])  # fmt: skip
        ahead, behind = ends.reshape(len(rates), 2, len(self.base), -1).unbind(1)
        return [self._spectrum(matrix.T) for matrix in (ahead - behind) / (2 * size)]

    def _after(self, vectors: Tensor, lr: dict[str, Tensor]) -> Tensor:
        """States [N, n] after one period, each at its own learning rates [N]."""
        count = len(vectors)

        def spread(x: Tensor) -> Tensor:
            return x.detach().unsqueeze(0).expand(count, *x.shape)

        moved = self.state.map(lambda x: spread(x).clone())
        start = 0
        for place in self.places:
            value = state_at(moved, place)
            size = value[0].numel()
            value.copy_(vectors[:, start : start + size].reshape(value.shape))
            start += size
        batches = tuple(
            {name: spread(x) for name, x in self.problem.batches[player].items()}
            for player in self.solver.plan(self.problem.players)
        )
        like = self.base
        coefficients = {"average": like.new_zeros(()), **self.problem.coefficients}
        known = {name: spread(x.to(like.dtype)) for name, x in coefficients.items()}
        for _ in range(self.steps):
            self.solver.step(self.play, moved, batches, {**known, **{f"lr.{p}": x for p, x in lr.items()}})
        return torch.cat([state_at(moved, place).detach().reshape(count, -1) for place in self.places], 1)

    def _spectrum(self, matrix: Tensor) -> SolverSpectrum:
        if not bool(matrix.isfinite().all()):
            return SolverSpectrum(torch.tensor([complex(math.inf)]), 0, self.steps)
        kept = _reached(matrix, [(place[0], state_at(self.state, place).numel()) for place in self.places])
        change = matrix[kept][:, kept] - torch.eye(len(kept), dtype=matrix.dtype)
        values, neutral = eigenvalues(change, NEUTRAL, self.neutral)
        values = 1 + values
        if self.steps > 1:
            values = torch.polar(values.abs() ** (1 / self.steps), values.angle() / self.steps)
        return SolverSpectrum(values[values.abs().argsort(descending=True, stable=True)], neutral, self.steps)


def stable_rate(
    problem: Problem, solver: Solver, ratio: Mapping[str, float] | None = None, optimizer: Optimizer | None = None,
    digits: int = 4, scale: float | None = None,
) -> float:  # fmt: skip
    """The learning rate up to which the solver does not move away from the problem's point, by a search on the true
    map: 0 if even the smallest one does, `longest` if none does. Multipliers on the unit circle count as staying.

    ratio    rates of the players relative to the rate that is looked for; all 1 by default
    scale    largest modulus of the field's eigenvalues, which are computed if it is not given: slow games are looked at
             with long steps, in which their instability shows
    """
    step = _Map(problem, solver, optimizer, SETTLE)
    factors = {p: 1.0 if ratio is None else ratio[p] for p in problem.players}
    unit = _unit(_modulus(problem) if scale is None else scale)

    def first_lost(rates: list[float]) -> int:
        found = step.spectra([{p: h * factors[p] for p in problem.players} for h in rates])
        return next((k for k, each in enumerate(found) if each.radius > 1 + SLACK), len(rates))

    rates = torch.logspace(math.log10(LEAST * unit), math.log10(MOST * unit), ABREAST, dtype=torch.float64).tolist()
    lost = first_lost(rates)
    if lost == 0:
        return 0.0
    if lost == len(rates):
        return float(MOST * unit)
    low, high = rates[lost - 1], rates[lost]
    while high - low > 10.0**-digits * high:
        rates = [low, *torch.linspace(low, high, ABREAST, dtype=torch.float64).tolist()[1:-1], high]
        lost = 1 + first_lost(rates[1:-1])
        low, high = rates[lost - 1], rates[lost]
    return float(low)


def longest(scale: float) -> float:
    """The largest learning rate that is tried in a game whose field has this scale."""
    return MOST * _unit(scale)


def _unit(scale: float) -> float:
    return 1 / scale if scale > 0 else 1.0


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


def _modulus(problem: Problem) -> float:
    values, _ = eigenvalues(jacobian(problem)[0])
    return float(values.abs().max()) if len(values) else 0.0
