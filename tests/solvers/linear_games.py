"""Games with linear fields played through `Play`, and the matrix of one solver step on everything that it moves."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from ganneal.game import Draw, Nets, Tensors
from ganneal.solvers import SGD, Optimizer, Play, Solver, State

F64 = torch.float64


class Vector(nn.Module):
    """A network that is its parameter."""

    def __init__(self, d: int = 1):
        super().__init__()
        self.value = nn.Parameter(torch.zeros(d, dtype=F64))

    def forward(self) -> Tensor:
        return self.value


@dataclass
class Saddle:
    """critic x minimises p |x|^2/2 - x'By, generator y minimises x'By + r |y|^2/2: the field is x' = -p x + B y,
    y' = -B'x - r y. It is zero-sum where p = r = 0."""

    b: Tensor = field(default_factory=lambda: torch.ones(1, 1, dtype=F64))
    p: float = 0.0
    r: float = 0.0
    players = ("critic", "generator")
    averaged: frozenset[str] = frozenset()

    @property
    def nets(self) -> Mapping[str, nn.Module]:
        return {"critic": Vector(self.b.shape[0]), "generator": Vector(self.b.shape[1])}

    @property
    def draws(self) -> dict[str, dict[str, Draw]]:
        return {p: {} for p in self.players}

    def loss(self, player: str, nets: Nets, batch: Mapping[str, Tensor], coefficients: Mapping[str, Tensor]) -> Tensor:
        x, y = nets["critic"](), nets["generator"]()
        coupling = x @ self.b @ y
        return self.p / 2 * x @ x - coupling if player == "critic" else coupling + self.r / 2 * y @ y

    def project(self, player: str, params: Tensors, buffers: Tensors) -> None: ...

    def jacobian(self) -> Tensor:
        """Of the field, in (x, y)."""
        n, m = self.b.shape
        top = torch.cat([-self.p * torch.eye(n, dtype=F64), self.b], 1)
        return torch.cat([top, torch.cat([-self.b.T, -self.r * torch.eye(m, dtype=F64)], 1)])


@dataclass
class Dirac(Saddle):
    """Data at 0, a generator at theta, a critic D(x) = psi x: V = f(-psi theta) + f(0), logistic or linear f."""

    logistic: bool = True

    def loss(self, player: str, nets: Nets, batch: Mapping[str, Tensor], coefficients: Mapping[str, Tensor]) -> Tensor:
        t = -(nets["critic"]() * nets["generator"]()).sum()
        value = torch.nn.functional.logsigmoid(t) if self.logistic else t
        return -value if player == "critic" else value


def started(
    solver: Solver, game: Saddle, point: Tensor, optimizers: Mapping[str, Optimizer] | None = None
) -> tuple[Play, State]:
    """A game before its first step at `point` (x, y)."""
    n = game.b.shape[0]
    play = Play(game, optimizers or {p: SGD() for p in game.players})
    params = {"critic": {"value": point[:n].clone()}, "generator": {"value": point[n:].clone()}}
    state = play.start(params, {p: {} for p in game.players})
    state.memory = solver.start(play, state)
    return play, state


def rates(critic: float, generator: float | None = None) -> Tensors:
    values = {"lr.critic": critic, "lr.generator": critic if generator is None else generator}
    return {name: torch.tensor(value, dtype=F64) for name, value in values.items()}


def step(solver: Solver, play: Play, state: State, lr: Tensors) -> dict[str, Tensor]:
    return solver.step(play, state, ({},) * len(solver.plan(play.players)), lr)


def point_of(state: State) -> Tensor:
    return torch.cat([state.params[p]["value"] for p in ("critic", "generator")])


def run(solver: Solver, game: Saddle, start: Tensor, steps: int, lr: Tensors, **more: Any) -> Tensor:
    """(x, y) after some steps."""
    play, state = started(solver, game, start, **more)
    for _ in range(steps):
        step(solver, play, state, lr)
    return point_of(state)


def moving(state: State) -> list[Tensor]:
    """Every tensor of numbers that a step moves: parameters, optimizer slots, memory."""
    found: list[Tensor] = []

    def collect(x: Tensor) -> Tensor:
        if x.is_floating_point():
            found.append(x)
        return x

    state.map(collect)
    return found


def matrix(solver: Solver, game: Saddle, lr: Tensors, steps: int = 1, **more: Any) -> Tensor:
    """The linear map of `steps` steps on all that they move, column by column, from the origin."""
    size = sum(x.numel() for x in moving(started(solver, game, torch.zeros(sum(game.b.shape), dtype=F64), **more)[1]))
    columns = []
    for e in torch.eye(size, dtype=F64):
        play, state = started(solver, game, torch.zeros(sum(game.b.shape), dtype=F64), **more)
        tensors = moving(state)
        for x, value in zip(tensors, e.split([t.numel() for t in tensors]), strict=True):
            x.copy_(value.view_as(x))
        for _ in range(steps):
            step(solver, play, state, lr)
        columns.append(torch.cat([x.reshape(-1) for x in moving(state)]))
    return torch.stack(columns, 1)


def radius(a: Tensor) -> float:
    """The spectral radius."""
    return torch.linalg.eigvals(a).abs().max().item()


def threshold(stable: Callable[[float], bool], low: float, high: float) -> float:
    """The step size at which stability ends, by bisection; `low` is stable and `high` is not."""
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (middle, high) if stable(middle) else (low, middle)
    return low


def growth(h: float, squared: float) -> float:
    """(rho^2 - 1)/h^2, the coefficient of a small step."""
    return (squared - 1) / h**2
