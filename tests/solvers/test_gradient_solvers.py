"""Solvers on games whose exact linear maps are known, optimizers against torch.optim, and a third solver in the
space of a page."""

import copy
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from linear_games import F64, Saddle
from torch import Tensor, nn

from ganneal.game import Tensors
from ganneal.solvers import OPTIMIZERS, SGD, SOLVERS, Adam, Alternating, Optimizer, Play, RMSprop, Simultaneous, State

GAMES = {
    "bilinear": Saddle(torch.ones(1, 1, dtype=F64)),
    "Dirac with R1 0.4": Saddle(torch.ones(1, 1, dtype=F64), p=0.4),
    "two modes, curved": Saddle(torch.tensor([[1.0, 0.3], [-0.2, 0.7]], dtype=F64), p=0.1, r=0.05),
}


def play_of(game: Saddle, start: Tensor, optimizer: Optimizer | None = None) -> tuple[Play, State]:
    n = game.b.shape[0]
    play = Play(game, {p: optimizer or SGD() for p in game.players})
    params = {"critic": {"value": start[:n].clone()}, "generator": {"value": start[n:].clone()}}
    return play, play.start(params, {p: {} for p in game.players})


def joint(state: State) -> Tensor:
    return torch.cat([state.params[p]["value"] for p in ("critic", "generator")])


def rates(h: float, h_generator: float | None = None) -> Tensors:
    return {
        "lr.critic": torch.tensor(h, dtype=F64),
        "lr.generator": torch.tensor(h if h_generator is None else h_generator, dtype=F64),
    }


def run(solver: Any, game: Saddle, start: Tensor, steps: int, lr: Tensors) -> Tensor:
    play, state = play_of(game, start)
    for _ in range(steps):
        solver.step(play, state, ({},) * len(solver.plan(play.players)), lr)
    return joint(state)


def blocks(game: Saddle, h: float, k: float) -> tuple[Tensor, Tensor]:
    """The linear maps of one move of the critic (rate h) and of the generator (rate k)."""
    n, m = game.b.shape
    critic, generator = torch.eye(n + m, dtype=F64), torch.eye(n + m, dtype=F64)
    critic[:n, :n] -= h * game.p * torch.eye(n, dtype=F64)
    critic[:n, n:] = h * game.b
    generator[n:, n:] -= k * game.r * torch.eye(m, dtype=F64)
    generator[n:, :n] = -k * game.b.T
    return critic, generator


@pytest.mark.parametrize("name", GAMES)
@pytest.mark.parametrize("n_critic", [1, 3])
def test_alternating_is_its_matrix(name: str, n_critic: int) -> None:
    """n_critic critic moves, then a generator move that sees them; two time scales from two rates. 25 steps are the
    25th power."""
    game = GAMES[name]
    start = torch.linspace(1, -0.4, sum(game.b.shape), dtype=F64)
    critic, generator = blocks(game, 0.1, 0.2)
    step = generator @ torch.linalg.matrix_power(critic, n_critic)
    found = run(Alternating(n_critic), game, start, 25, rates(0.1, 0.2))
    torch.testing.assert_close(found, torch.linalg.matrix_power(step, 25) @ start, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", GAMES)
def test_simultaneous_is_its_matrix(name: str) -> None:
    """Euler's method for the field: the sum of both moves from the same point."""
    game = GAMES[name]
    start = torch.linspace(1, -0.4, sum(game.b.shape), dtype=F64)
    critic, generator = blocks(game, 0.1, 0.2)
    step = critic + generator - torch.eye(len(start), dtype=F64)
    found = run(Simultaneous(), game, start, 25, rates(0.1, 0.2))
    torch.testing.assert_close(found, torch.linalg.matrix_power(step, 25) @ start, rtol=1e-12, atol=1e-12)


def matrix_of(solver: Any, game: Saddle, h: float) -> Tensor:
    """One step of a linear map, column by column."""
    return torch.stack([run(solver, game, e, 1, rates(h)) for e in torch.eye(sum(game.b.shape), dtype=F64)], 1)


@pytest.mark.parametrize("h", [0.05, 0.3, 1.0])
def test_determinants_on_the_bilinear_game(h: float) -> None:
    """Simultaneous steps expand areas by 1 + h^2 (they diverge), alternating ones keep them (radius 1 up to h = 2)."""
    bilinear = GAMES["bilinear"]
    simultaneous, alternating = (matrix_of(s, bilinear, h) for s in (Simultaneous(), Alternating()))
    assert math.isclose(torch.det(simultaneous).item(), 1 + h * h, rel_tol=1e-12)
    assert math.isclose(torch.det(alternating).item(), 1.0, rel_tol=1e-12)
    torch.testing.assert_close(
        torch.linalg.eigvals(simultaneous).abs(), torch.full((2,), math.sqrt(1 + h * h), dtype=F64)
    )
    torch.testing.assert_close(torch.linalg.eigvals(alternating).abs(), torch.ones(2, dtype=F64))


@pytest.mark.parametrize("h", [0.05, 0.3])
def test_alternating_r1_radius(h: float) -> None:
    """Stabilizers 3.7: with damping c alternating steps have determinant 1 - h c, radius sqrt(1 - h c) while
    complex."""
    game = GAMES["Dirac with R1 0.4"]
    radius = torch.linalg.eigvals(matrix_of(Alternating(), game, h)).abs()
    torch.testing.assert_close(radius, torch.full((2,), math.sqrt(1 - 0.4 * h), dtype=F64))


# ---- the protocol is enough


@dataclass(frozen=True)
class Extragradient:
    """Korpelevich 1976: the move of the game's field at where a simultaneous step would lead. Two gradients a step."""

    def plan(self, players: tuple[str, ...]) -> tuple[str, ...]:
        return players * 2

    def step(
        self, play: Play, state: State, batches: tuple[Mapping[str, Tensor], ...], coefficients: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        n = len(play.players)
        ahead = state.clone()
        Simultaneous().step(play, ahead, batches[:n], coefficients)
        moves = {
            p: play.gradient(p, ahead, batch, coefficients) for p, batch in zip(play.players, batches[n:], strict=True)
        }
        for player, (_, gradients) in moves.items():
            play.descend(player, state, gradients, coefficients)
        return {player: loss for player, (loss, _) in moves.items()}


@pytest.mark.parametrize("h", [0.1, 0.5, 0.9])
def test_extragradient_in_a_few_lines(h: float) -> None:
    """A new solver needs `gradient`, `descend` and `clone` only: on the bilinear game it contracts by sqrt(1 - h^2 +
    h^4) where Euler expands."""
    bilinear, start, steps = GAMES["bilinear"], torch.tensor([1.0, 0.0], dtype=F64), 40
    rate = math.sqrt(1 - h**2 + h**4)
    assert math.isclose(
        run(Extragradient(), bilinear, start, steps, rates(h)).norm().item(), rate**steps, rel_tol=1e-10
    )
    assert math.isclose(
        run(Simultaneous(), bilinear, start, steps, rates(h)).norm().item(), (1 + h**2) ** (steps / 2), rel_tol=1e-10
    )


def test_plans() -> None:
    """The generator moves last; the others n_critic times."""
    players = ("critic", "data_score", "generator")
    assert SOLVERS.build("alternating(2)").plan(players) == ("critic", "data_score") * 2 + ("generator",)
    assert SOLVERS.build("simultaneous").plan(players) == players


# ---- optimizers


OPTIMA: dict[str, tuple[Optimizer, Callable[[Any], torch.optim.Optimizer]]] = {
    "adam": (Adam(), lambda p: torch.optim.Adam(p, lr=0.03, betas=(0.5, 0.9), eps=1e-8, foreach=False, fused=False)),
    "adam, slow": (
        Adam(0.9, 0.999, 1e-3),
        lambda p: torch.optim.Adam(p, lr=0.03, betas=(0.9, 0.999), eps=1e-3, foreach=False, fused=False),
    ),
    "adam, no momentum": (
        Adam(0.0, 0.9),
        lambda p: torch.optim.Adam(p, lr=0.03, betas=(0.0, 0.9), foreach=False, fused=False),
    ),
    "sgd": (SGD(), lambda p: torch.optim.SGD(p, lr=0.03)),
    "sgd, momentum": (SGD(0.7), lambda p: torch.optim.SGD(p, lr=0.03, momentum=0.7)),
    "rmsprop": (RMSprop(), lambda p: torch.optim.RMSprop(p, lr=0.03, alpha=0.99, eps=1e-8)),
    "rmsprop, short": (RMSprop(0.8, 1e-2), lambda p: torch.optim.RMSprop(p, lr=0.03, alpha=0.8, eps=1e-2)),
}
SHAPES = {"a": (3, 2), "b": (), "c": (2, 1, 3, 3)}


def gradients(step: int, member: int) -> Tensors:
    """Some gradients of very different sizes, one of them exactly 0 at first."""
    generator = torch.Generator().manual_seed(100 * member + step)
    found = {
        n: 10.0 ** (k - 1) * torch.randn(s, dtype=F64, generator=generator) for k, (n, s) in enumerate(SHAPES.items())
    }
    return {**found, "b": found["b"] * (step > 2)}


def reference(make: Callable[[Any], torch.optim.Optimizer], member: int, lr: Callable[[int], float]) -> Tensors:
    params = {n: nn.Parameter(torch.full(s, 1.0 + member, dtype=F64)) for n, s in SHAPES.items()}
    optimizer = make(list(params.values()))
    for step in range(20):
        for group in optimizer.param_groups:
            group["lr"] = lr(step)
        for n, g in gradients(step, member).items():
            params[n].grad = g
        optimizer.step()
    return {n: p.detach() for n, p in params.items()}


@pytest.mark.parametrize("case", OPTIMA)
def test_optimizers_are_those_of_torch(case: str) -> None:
    """Twenty steps, a rate that changes, float64: single parameters and every member of a stacked population, to
    1e-12."""
    ours, theirs = OPTIMA[case]
    members = 3

    def lr(step: int, member: int = 0) -> float:
        return 0.03 / (1 + 0.1 * step) * (1 + member)

    truth = [reference(theirs, k, lambda step, k=k: lr(step, k)) for k in range(members)]
    single = {n: torch.full(s, 1.0, dtype=F64) for n, s in SHAPES.items()}
    stacked = {n: torch.stack([torch.full(s, 1.0 + k, dtype=F64) for k in range(members)]) for n, s in SHAPES.items()}
    slots, stacked_slots = ours.start(single), ours.start(stacked)
    for step in range(20):
        given = [gradients(step, k) for k in range(members)]
        kept = copy.deepcopy(given[0])
        ours.descend(single, given[0], slots, torch.tensor(lr(step), dtype=F64))
        assert all((given[0][n] == kept[n]).all() for n in SHAPES)  # gradients are read, not used up
        ours.descend(
            stacked,
            {n: torch.stack([g[n] for g in given]) for n in SHAPES},
            stacked_slots,
            torch.tensor([lr(step, k) for k in range(members)], dtype=F64),
        )
    for n in SHAPES:
        torch.testing.assert_close(single[n], truth[0][n], rtol=1e-12, atol=1e-12)
        for k in range(members):
            torch.testing.assert_close(stacked[n][k], truth[k][n], rtol=1e-12, atol=1e-12)


def test_stacked_population_with_one_rate_for_all() -> None:
    """A 0-d rate moves every member alike, by the same rule as a rate each."""
    for case, (ours, _) in OPTIMA.items():
        found = []
        for lr in (torch.tensor(0.03, dtype=F64), torch.full((2,), 0.03, dtype=F64)):
            params = {n: torch.ones(2, *s, dtype=F64) for n, s in SHAPES.items()}
            slots = ours.start(params)
            for step in range(5):
                ours.descend(
                    params,
                    {n: torch.stack([g[n] for g in (gradients(step, 0), gradients(step, 1))]) for n in SHAPES},
                    slots,
                    lr,
                )
            found.append(params)
        for n in SHAPES:
            torch.testing.assert_close(found[0][n], found[1][n], rtol=1e-12, atol=1e-12, msg=case)


def test_negative_momentum() -> None:
    """Gidel et al. 2019: heavy ball with momentum -1/2 makes alternating steps on the bilinear game contract, as its
    4x4 matrix says."""
    bilinear, h, momentum = GAMES["bilinear"], 0.3, -0.5
    play, state = play_of(bilinear, torch.tensor([1.0, 0.0], dtype=F64), OPTIMIZERS.build(f"sgd({momentum})"))
    w = torch.tensor([1.0, 0.0, 0.0, 0.0], dtype=F64)  # x, y, velocity of x, velocity of y
    for _ in range(30):
        Alternating().step(play, state, ({}, {}), rates(h))
        x, y, v, u = w
        v = momentum * v - y
        x = x - h * v
        u = momentum * u + x
        y = y - h * u
        w = torch.stack([x, y, v, u])
    torch.testing.assert_close(joint(state), w[:2], rtol=1e-12, atol=1e-12)
    assert w[:2].norm() < 0.7


# ---- Play


def test_gradients_are_the_field_and_averages_follow() -> None:
    """`Play.gradient` is minus `game.field`; averages follow as keep * average + (1 - keep) * parameters, after the
    move."""
    game = GAMES["two modes, curved"]
    start = torch.tensor([1.0, -0.5, 0.3, 0.8], dtype=F64)
    play, state = play_of(game, start)
    play = Play(game, play.optimizers)
    state = play.start(state.params, state.buffers, averaged=("generator",))
    expected = start[2:].clone()
    for _ in range(5):
        Alternating().step(play, state, ({}, {}), {**rates(0.1), "average": torch.tensor(0.9, dtype=F64)})
        expected = 0.9 * expected + 0.1 * state.params["generator"]["value"]
    torch.testing.assert_close(state.averages["generator"]["value"], expected, rtol=1e-12, atol=0)
    assert set(state.averages) == {"generator"}


@pytest.mark.parametrize("solver", ["alternating(2)", "simultaneous"])
@pytest.mark.parametrize("optimizer", ["sgd", "adam", "rmsprop", "sgd(0.5)"])
def test_a_population_is_its_members(solver: str, optimizer: str) -> None:
    """Three members, each with its own rate, start and average: the stacked game is the three games."""
    game, made, members = GAMES["two modes, curved"], SOLVERS.build(solver), 3
    starts = torch.randn(members, 4, dtype=F64, generator=torch.Generator().manual_seed(0))
    keep, lr = 0.8, torch.tensor([0.02, 0.05, 0.1], dtype=F64)
    stacked = Play(game, {p: OPTIMIZERS.build(optimizer) for p in game.players}, population=True)
    params = {"critic": {"value": starts[:, :2].clone()}, "generator": {"value": starts[:, 2:].clone()}}
    together = stacked.start(params, {p: {} for p in game.players}, averaged=("generator",))
    coefficients = {"lr.critic": lr, "lr.generator": lr, "average": torch.full((members,), keep, dtype=F64)}
    count = len(made.plan(game.players))
    for _ in range(10):
        losses = made.step(stacked, together, ({},) * count, coefficients)
    for k in range(members):
        alone, state = play_of(game, starts[k], OPTIMIZERS.build(optimizer))
        state = alone.start(state.params, state.buffers, averaged=("generator",))
        for _ in range(10):
            last = made.step(alone, state, ({},) * count, {n: v[k] for n, v in coefficients.items()})
        for p in game.players:
            torch.testing.assert_close(together.params[p]["value"][k], state.params[p]["value"], rtol=1e-11, atol=1e-12)
            torch.testing.assert_close(losses[p][k], last[p], rtol=1e-11, atol=1e-12)
        torch.testing.assert_close(
            together.averages["generator"]["value"][k], state.averages["generator"]["value"], rtol=1e-11, atol=1e-12
        )


def test_the_compiled_form_of_adam_is_the_fused_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Under `torch.compile` Adam is written out; both forms take the same steps."""
    found = []
    for compiling in (False, True):
        monkeypatch.setattr(torch.compiler, "is_compiling", lambda compiling=compiling: compiling)
        params = {n: torch.ones(s, dtype=F64) for n, s in SHAPES.items()}
        optimizer = Adam()
        slots = optimizer.start(params)
        for step in range(20):
            optimizer.descend(params, gradients(step, 0), slots, torch.tensor(0.03, dtype=F64))
        found.append({**params, **{f"{k}.{n}": v for k, tree in slots.items() for n, v in tree.items()}})
    for n, value in found[0].items():
        torch.testing.assert_close(value, found[1][n], rtol=1e-12, atol=1e-12)
