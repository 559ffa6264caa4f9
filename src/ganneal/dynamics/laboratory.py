"""Everything about one small game under one method: what is predicted, what is measured, and what to set."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ganneal.dynamics.games import GAMES, SmallGame
from ganneal.dynamics.multipliers import SLACK, SolverSpectrum, longest, solver_spectrum, stable_rate
from ganneal.dynamics.spectrum import Spectrum, eigenvalues, field_spectrum, jacobian
from ganneal.dynamics.trajectory import amplitude, decay, integrate, play_out
from ganneal.errors import RunError, UsageError
from ganneal.penalties import PENALTIES, Weighted
from ganneal.solvers import OPTIMIZERS, SGD, SOLVERS, Solver

PERIODS = 7.0
"""Time constants, or turns, over which decay is measured."""
NEAR = 1e-4
"""Size of the deviation from which decay is measured: small, so that the linear part rules."""
FLOOR = 1e-8
DRIFTED = 1e-3
"""Shares of the first deviation down to which decay is measured; with neutral directions, along which the motion ends
somewhere else, only down to the curvature of the set of equilibria."""
STEPS = 240
"""Steps over which a solver's decay is measured, at most."""
HEAVIEST = 1e3
"""Weight up to which critical damping is looked for."""
GOLDEN = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True, eq=False)
class Study:
    """What is known of a game under a method.

    predicted       eigenvalues of the closed form, or None where none is known
    spectrum        of the field's Jacobian, differentiated
    rate            measured decay of the field's motion, per unit of time
    multipliers     multipliers of the solver's step at `lr`
    step_rate       measured factor of the solver's slowest mode, per step
    stable          largest learning rate that does not drive the solver away
    critical        (penalty, weight) at which the slowest mode decays fastest, and that rate; see `critical_weight`
    """

    game: SmallGame
    method: dict[str, Any]
    lr: float
    predicted: Tensor | None
    spectrum: Spectrum
    rate: float
    multipliers: SolverSpectrum
    step_rate: float
    stable: float
    critical: tuple[str, float, float] | None
    words: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain numbers."""
        predicted = None if self.predicted is None else [[z.real, z.imag] for z in self.predicted.tolist()]
        weight = None
        if self.critical is not None:
            weight = {"penalty": self.critical[0], "weight": _finite(self.critical[1]), "rate": self.critical[2]}
        return {
            **self.method,
            "parameters": list(self.game.problem.names),
            "predicted": predicted,
            "field": self.spectrum.to_dict(),
            "measured_rate": _finite(self.rate),
            "lr": self.lr,
            "step": self.multipliers.to_dict(),
            "measured_factor": _finite(self.step_rate),
            "stable_lr": self.stable,
            "critical_weight": weight,
            "verdict": list(self.words),
        }


@dataclass(frozen=True, eq=False)
class Question:
    """A game under a method, built and found to fit together, of which nothing has been computed yet."""

    game: SmallGame
    solver: Solver
    optimizer: SGD
    lr: float | None
    method: dict[str, Any]

    @property
    def predicted(self) -> Tensor | None:
        """Eigenvalues of the closed form, or None where none is known."""
        return None if self.game.prediction is None else eigenvalues(self.game.prediction)[0]

    def spectrum(self) -> Spectrum:
        """Of the game's field. Raises UsageError where it has no derivative."""
        return field_spectrum(self.game.problem)

    def study(self, spectrum: Spectrum | None = None) -> Study:
        """Everything else, too."""
        made, found = self.game, spectrum or self.spectrum()
        stable = stable_rate(made.problem, self.solver, optimizer=self.optimizer, scale=found.scale)
        lr = self.lr if self.lr is not None else (min(0.1, stable / 2) if stable else 0.1)
        multipliers = solver_spectrum(made.problem, self.solver, lr, self.optimizer)
        method = self.method
        critical = critical_weight(
            method["game"], method["objective"], method["penalties"], method["noise"], method["progress"]
        )
        rate = measured_rate(made, found)
        factor = measured_factor(made, self.solver, lr, multipliers, self.optimizer)
        known = Study(made, method, lr, self.predicted, found, rate, multipliers, factor, stable, critical)
        return replace(known, words=verdict(known))


def question(
    name: str, objective: str | None = None, penalties: Sequence[str] = (), solver: str = "alternating",
    lr: float | None = None, noise: str = "0", progress: float = 1.0, optimizer: str = "sgd",
) -> Question:  # fmt: skip
    """A small game under a method.

    lr   of both players; by default half of the largest stable one, at most 0.1

    Raises UsageError for parts that do not fit together.
    """
    made = GAMES.build(name).build(objective, penalties, noise, progress)
    built, steps = SOLVERS.build(solver), OPTIMIZERS.build(optimizer)
    if not isinstance(steps, SGD):
        raise UsageError(
            f"optimizer: {optimizer} divides by the size of gradients that vanish at the equilibrium, where its step "
            f"is not differentiable; allowed: sgd, sgd(momentum=...)"
        )
    built.check(made.problem.game)
    method = {
        "game": name,
        "objective": objective or ("wasserstein" if made.name != "rock_paper_scissors" else None),
        "penalties": list(penalties),
        "noise": noise,
        "progress": progress,
        "solver": solver,
        "optimizer": optimizer,
    }
    return Question(made, built, steps, lr, method)


def study(
    name: str, objective: str | None = None, penalties: Sequence[str] = (), solver: str = "alternating",
    lr: float | None = None, noise: str = "0", progress: float = 1.0, optimizer: str = "sgd",
) -> Study:  # fmt: skip
    """Study a small game.

    lr   of both players; by default half of the largest stable one, at most 0.1

    Raises UsageError for parts that do not fit together, and for penalties that are not differentiable at the
    equilibrium.
    """
    return question(name, objective, penalties, solver, lr, noise, progress, optimizer).study()


def measured_rate(made: SmallGame, spectrum: Spectrum) -> float:
    """The rate at which the slowest mode of the nonlinear motion grows or decays; nan where there is none."""
    if not len(spectrum.eigenvalues) or spectrum.scale == 0:
        return math.nan
    slow = spectrum.slowest
    matrix = jacobian(made.problem)[0]
    until = PERIODS / max(abs(slow.real), abs(slow) / 8, 1e-3 * spectrum.scale)
    times = torch.linspace(0, until, 400, dtype=torch.float64)
    centre = made.problem.flat()
    try:
        points = integrate(made.problem, centre + NEAR * _general(len(centre)), times, 1e-11)
    except RunError:
        return math.nan
    return decay(times, amplitude(points, centre, matrix, slow), DRIFTED if spectrum.neutral else FLOOR)


def measured_factor(
    made: SmallGame, solver: Solver, lr: float, multipliers: SolverSpectrum, optimizer: SGD
) -> float:  # fmt: skip
    """The factor per step by which a solver's deviation from the equilibrium shrinks or grows, from its own steps: the
    slope of the logarithm of its length in the coordinates of the field's modes, in which turning leaves lengths alone
    and neutral directions have none."""
    if not len(multipliers.multipliers):
        return math.nan
    centre = made.problem.flat()
    wanted = PERIODS / max(abs(math.log(max(multipliers.radius, 1e-3))), PERIODS / STEPS)
    points = play_out(made.problem, solver, centre + NEAR * _general(len(centre)), lr, int(wanted) + 20, optimizer)
    values, vectors = torch.linalg.eig(jacobian(made.problem)[0].T)
    kept = values.abs().argsort(descending=True)[: len(values) - multipliers.neutral]
    length = ((points - centre).to(vectors.dtype) @ vectors[:, kept]).norm(dim=1)
    small = length < 100 * NEAR  # beyond, the motion is not linear
    steps = torch.arange(len(points), dtype=torch.float64)
    near = small.long().cumprod(0).bool()
    if int(near.sum()) < 4:
        return math.nan
    return math.exp(decay(steps[near], length[near], DRIFTED if multipliers.neutral else FLOOR))


def critical_weight(
    name: str, objective: str | None, penalties: Sequence[str], noise: str = "0", progress: float = 1.0
) -> tuple[str, float, float] | None:
    """(penalty, weight, rate): the weight of the first weighted penalty (of r1, where there is none) at which the
    slowest mode decays fastest: critical damping. The weight is 0 where every one slows that mode down, and inf where
    every one up to 1000 makes it faster (the rate is that at 1000); None where none makes the game settle.

    Losses are linear in their weights, and so is the Jacobian: two of them give it for every weight.
    """
    blueprint = GAMES.build(name)
    if blueprint.name == "rock_paper_scissors":
        return None
    built = [PENALTIES.build(text) for text in penalties]
    weighted = [p.name for p in built if isinstance(p, Weighted)]
    texts = list(penalties) if weighted else [*penalties, "r1(gamma=1)"]
    which = weighted[0] if weighted else "r1"
    problem = blueprint.build(objective, texts, noise, progress).problem
    base, slope = (jacobian(problem.weighted(**{which: w}))[0] for w in (0.0, 1.0))
    slope = slope - base

    def abscissa(log_weight: float) -> float:
        values, _ = eigenvalues(base + 10**log_weight * slope)
        return float(values.real.max()) if len(values) else 0.0

    grid = np.linspace(-3, math.log10(HEAVIEST), 241)
    heights = [abscissa(t) for t in grid]
    best = int(np.argmin(heights))
    if heights[best] > -1e-9 * float(base.norm()):
        return None
    if best == 0:
        return which, 0.0, -heights[0]
    if best == len(grid) - 1:
        return which, math.inf, -heights[best]
    low, high = grid[best - 1], grid[best + 1]
    while high - low > 1e-7:  # golden section
        left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
        low, high = (low, right) if abscissa(left) < abscissa(right) else (left, high)
    middle = float(low + high) / 2
    return which, 10**middle, -abscissa(middle)


def verdict(study: Study) -> tuple[str, ...]:
    """What the numbers say, in words."""
    spectrum, lines = study.spectrum, []
    still = max(1e-7 * abs(spectrum.slowest), 1e-12 * spectrum.scale, 1e-300)  # slow modes of stiff games are not still
    if not len(spectrum.eigenvalues) or spectrum.scale == 0:
        lines.append("nothing moves: the players do not feel each other at the equilibrium")
    elif spectrum.abscissa > still:
        lines.append(f"the equilibrium repels: deviations grow like exp({spectrum.abscissa:.4g} t)")
    elif spectrum.abscissa > -still:
        turning = abs(spectrum.slowest.imag) > still
        about = "the game turns around its equilibrium and does not approach it" if turning else \
            "one direction does not settle: its linear part is 0"  # fmt: skip
        lines.append(about)
    else:
        kind = "without turning" if spectrum.rotation == 0 else f"turning (|Im|/|Re| up to {spectrum.rotation:.3g})"
        lines.append(
            f"the game settles {kind}; its slowest mode halves every "
            f"{math.log(2) / -spectrum.abscissa:.4g} units of time"
        )
    if study.stable == 0:
        lines.append("the solver is driven away at every learning rate")
    elif study.stable >= (1 - 1e-9) * longest(spectrum.scale):
        lines.append(f"no learning rate up to {study.stable:.4g} drives the solver away")
    else:
        lines.append(f"the solver stays up to a learning rate of {study.stable:.4g}; {study.stable / 2:.3g} is safe")
    radius = study.multipliers.radius
    how = "does not approach" if abs(radius - 1) <= SLACK else "settles" if radius < 1 else "is driven away"
    per = f": {math.log(0.5) / math.log(radius):.3g} steps halve a deviation" if how == "settles" and radius > 0 else ""
    lines.append(f"at a learning rate of {study.lr:.4g} it {how} (spectral radius {radius:.8g}){per}")
    if study.critical is not None:
        name, weight, rate = study.critical
        if weight == 0:
            lines.append(f"every weight of {name} slows the slowest mode down; without it its rate is {rate:.4g}")
        elif math.isinf(weight):
            lines.append(f"faster with every weight of {name} up to {HEAVIEST:g}, where the slowest rate is {rate:.4g}")
        else:
            lines.append(f"critical damping: {name} with weight {weight:.4g}, where the slowest rate is {rate:.4g}")
    if spectrum.neutral:
        lines.append(f"{spectrum.neutral} neutral direction{'s' * (spectrum.neutral > 1)} left out")
    return tuple(lines)


def _general(size: int) -> Tensor:
    """A unit direction in general position, always the same."""
    direction = torch.randn(size, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    return direction / direction.norm()


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
