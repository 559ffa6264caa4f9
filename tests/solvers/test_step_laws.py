"""The exact linear map of every solver on games with linear fields: factors, thresholds, and the lag of memories."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from linear_games import F64, Dirac, Saddle, growth, matrix, point_of, radius, rates, run, started, step, threshold
from torch import Tensor

from ganneal.game import Tensors
from ganneal.solvers import (
    SGD,
    SOLVERS,
    Adam,
    Averaging,
    Extragradient,
    Optimistic,
    Play,
    State,
    Symplectic,
    Unrolled,
)
from ganneal.solvers.competitive import conjugate_gradients

BILINEAR = Saddle()
CURVED = Saddle(torch.tensor([[1.0, 0.3], [-0.2, 0.7]], dtype=F64), p=0.1, r=0.05)
MODES = Saddle(torch.tensor([[1.0, 0.3], [-0.2, 0.7]], dtype=F64))
POINT = torch.tensor([1.0, -0.4, 0.3, 0.8], dtype=F64)


def eye(a: Tensor) -> Tensor:
    return torch.eye(len(a), dtype=F64)


def symplectic(h: float, j: Tensor, strength: float = 0.7) -> Tensor:
    """w + h v - h s A^T xi, with xi = -v = -J w and H = -J."""
    hessian = -j
    a = (hessian - hessian.T) / 2
    return eye(j) - h * (eye(j) + strength * a.T) @ hessian


def competitive(h: float, j: Tensor) -> Tensor:
    """The Nash equilibrium of the local game solves d = h (v + O d), with O the part of J between the players."""
    n = len(j) // 2
    between = j.clone()
    between[:n, :n] = between[n:, n:] = 0
    return eye(j) + torch.linalg.solve(eye(j) - h * between, h * j)


MAPS: dict[str, Callable[[float, Tensor], Tensor]] = {
    "simultaneous": lambda h, j: eye(j) + h * j,
    "extragradient": lambda h, j: eye(j) + h * j @ (eye(j) + h * j),
    "extragradient(resample=false, shared=false)": lambda h, j: eye(j) + h * j @ (eye(j) + h * j),
    "symplectic(strength=0.7, align=false)": symplectic,
    "competitive(iterations=3)": competitive,
    "chekhov(opponents=1, weight=0)": lambda h, j: eye(j) + h * j,
    "unrolled(steps=3, lr=1e-12)": lambda h, j: eye(j) + h * j,
}


@pytest.mark.parametrize("game", [BILINEAR, CURVED, MODES], ids=["bilinear", "curved", "two modes"])
@pytest.mark.parametrize("solver", MAPS)
def test_maps(solver: str, game: Saddle) -> None:
    """One step is the matrix that the published update says, with blocks, curvatures and signs."""
    built, size = SOLVERS.build(solver), sum(game.b.shape)
    found = torch.stack([run(built, game, e, 1, rates(0.2)) for e in torch.eye(size, dtype=F64)], 1)
    torch.testing.assert_close(found, MAPS[solver](0.2, game.jacobian()), rtol=1e-10, atol=1e-11)


def test_optimistic_is_its_recursion() -> None:
    """w <- w + 2 h v_t - h v_{t-1}, with v_{-1} = 0: lag one and no other."""
    h, j = 0.15, CURVED.jacobian()
    w, last = POINT.clone(), torch.zeros(4, dtype=F64)
    for _ in range(12):
        w, last = w + 2 * h * j @ w - last, h * j @ w
    torch.testing.assert_close(run(Optimistic(), CURVED, POINT, 12, rates(h)), w, rtol=1e-12, atol=1e-12)


def test_optimistic_adam_keeps_its_steps_by_value() -> None:
    """The step that is subtracted is Adam's step of one update ago, as an Adam beside it makes it of the same
    gradients."""
    game, lr = CURVED, rates(0.05)
    play, state = started(Optimistic(), game, POINT, {p: Adam() for p in game.players})
    beside, slots = POINT.clone(), Adam().start({"w": POINT})
    last = torch.zeros(4, dtype=F64)
    for _ in range(8):
        point = {"w": beside.clone()}
        Adam().descend(point, {"w": -game.jacobian() @ beside}, slots, lr["lr.critic"])
        d = point["w"] - beside
        beside, last = beside + 2 * d - last, d
        step(Optimistic(), play, state, lr)
    torch.testing.assert_close(point_of(state), beside, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("first", ["critic", "generator"])
def test_prediction_is_its_matrix(first: str) -> None:
    """The second side moves against 2 u+ - u; two rates and curvatures."""
    h, k, game = 0.2, 0.3, CURVED
    x, y = POINT[:2], POINT[2:]
    if first == "critic":
        new_x = x + h * (game.b @ y - game.p * x)
        new_y = y - k * (game.b.T @ (2 * new_x - x) + game.r * y)
    else:
        new_y = y - k * (game.b.T @ x + game.r * y)
        new_x = x + h * (game.b @ (2 * new_y - y) - game.p * x)
    found = run(SOLVERS.build(f"prediction(first={first})"), game, POINT, 1, rates(h, k))
    torch.testing.assert_close(found, torch.cat([new_x, new_y]), rtol=1e-12, atol=1e-12)


def test_who_moves_first() -> None:
    """alternating(first=generator) moves the generator before n_critic moves of the critic that see it."""
    h, game = 0.2, CURVED
    x, y = POINT[:2], POINT[2:]
    y = y - h * (game.b.T @ x + game.r * y)
    for _ in range(2):
        x = x + h * (game.b @ y - game.p * x)
    solver = SOLVERS.build("alternating(n_critic=2, first=generator)")
    assert solver.plan(("critic", "data_score", "generator")) == ("generator", *("critic", "data_score") * 2)
    torch.testing.assert_close(run(solver, game, POINT, 1, rates(h)), torch.cat([x, y]), rtol=1e-12, atol=1e-12)


# solver, momenta of critic and generator, coefficient of h^2 in rho^2 for small h, largest stable h
OPTIMISERS = {
    "extragradient": ("extragradient", 0, 0, -1.0, 1.0),
    "optimistic": ("optimistic", 0, 0, -1.0, 1 / math.sqrt(3)),
    "prediction": ("prediction", 0, 0, -1.0, 2 / math.sqrt(3)),
    "prediction, generator first": ("prediction(first=generator)", 0, 0, -1.0, 2 / math.sqrt(3)),
    "negative momentum": ("alternating", -0.5, -0.5, -8 / 27, 1.0),
    "negative momentum of the critic": ("alternating", -0.5, 0, -2 / 9, math.sqrt(2)),
    "negative momentum of the generator": ("alternating", 0, -0.5, -2 / 9, math.sqrt(2)),
    "alternating": ("alternating", 0, 0, 0.0, 2.0),
    "simultaneous": ("simultaneous", 0, 0, 1.0, None),
    "simultaneous, negative momentum": ("simultaneous", -0.5, -0.5, None, None),
    "simultaneous, momentum": ("simultaneous", 0.5, 0.5, None, None),
    "alternating, momentum": ("alternating", 0.5, 0.5, None, None),
}


@pytest.mark.parametrize("case", OPTIMISERS)
def test_small_steps_and_thresholds(case: str) -> None:
    """On the bilinear game: rho^2 = 1 + c h^2 + O(h^3) as h -> 0, and the h beyond which it diverges (1 %)."""
    text, critic, generator, slope, limit = OPTIMISERS[case]
    solver = SOLVERS.build(text)
    optimizers = {"critic": SGD(critic), "generator": SGD(generator)}

    def rho(h: float) -> float:
        return radius(matrix(solver, BILINEAR, rates(h), optimizers=optimizers))

    if slope is not None:
        assert growth(0.01, rho(0.01) ** 2) == pytest.approx(slope, abs=2.5e-3 + 0.01 * abs(slope))
    if limit is None:
        assert all(rho(h) > 1 for h in (0.003, 0.03, 0.3, 1.0, 3.0))
    else:
        edge = 1 + (1e-9 if slope else 1e-6)
        assert threshold(lambda h: rho(h) < edge, 0.05, 4.0) == pytest.approx(limit, rel=0.01)


def test_best_steps() -> None:
    """Extragradient is at its best, .8660, at h = .7071; optimistic steps .717 at .50; prediction ends at h = 1."""

    def rho(name: str, h: float) -> float:
        return radius(matrix(SOLVERS.build(name), BILINEAR, rates(h)))

    for h in (0.1, 0.5, 0.7071, 0.9):
        assert rho("extragradient", h) == pytest.approx(math.sqrt(1 - h**2 + h**4), rel=1e-12)
        assert rho("prediction", h) == pytest.approx(math.sqrt(1 - h**2), rel=1e-9)
    assert rho("extragradient", 0.7071) == pytest.approx(0.8660, abs=1e-4)
    steps = [0.01 * k for k in range(30, 58)]
    best = min(steps, key=lambda h: rho("optimistic", h))
    assert (best, rho("optimistic", best)) == (pytest.approx(0.5, abs=0.011), pytest.approx(0.717, abs=0.01))
    assert run(SOLVERS.build("prediction"), BILINEAR, POINT[:2], 2, rates(1.0)).abs().max() < 1e-12


def test_optimistic_lag() -> None:
    """rho^2 at h = .1 is .98990; a lag of two gives .96894, a gradient kept by reference plain descent, 1.01."""
    assert radius(matrix(Optimistic(), BILINEAR, rates(0.1))) ** 2 == pytest.approx(0.98990, abs=1e-5)


@pytest.mark.parametrize("h", [0.3, 1.0, 3.0])
def test_competitive_contracts_at_any_step(h: float) -> None:
    """rho = 1/sqrt(1 + h^2); with rates h and k 1/sqrt(1 + h k)."""
    for k in (h, 0.2):
        found = radius(matrix(SOLVERS.build("competitive"), BILINEAR, rates(h, k)))
        assert found == pytest.approx(1 / math.sqrt(1 + h * k), rel=1e-10)


def test_conjugate_gradients() -> None:
    """Exact after as many steps as unknowns; more steps at a residual of 0 are finite and change nothing."""
    a = torch.tensor([[3.0, 1.0, 0.0], [1.0, 2.0, 0.5], [0.0, 0.5, 1.0]], dtype=F64)
    b = torch.tensor([1.0, -2.0, 0.3], dtype=F64)
    for steps in (3, 4, 9):
        found = conjugate_gradients(lambda u: {"u": a @ u["u"]}, {"u": b}, steps)["u"]
        torch.testing.assert_close(a @ found, b, rtol=1e-10, atol=1e-12)
    assert torch.equal(conjugate_gradients(lambda u: {"u": a @ u["u"]}, {"u": 0 * b}, 2)["u"], 0 * b)


@pytest.mark.parametrize("strength", [0.5, 1.0, 2.0])
def test_symplectic_radius(strength: float) -> None:
    """On the bilinear game rho^2 = (1 - h s)^2 + h^2: stable for h < 2 s / (1 + s^2)."""
    solver = Symplectic(strength, align=False)

    def rho(h: float) -> float:
        return radius(matrix(solver, BILINEAR, rates(h)))

    assert rho(0.1) ** 2 == pytest.approx((1 - 0.1 * strength) ** 2 + 0.01, rel=1e-12)
    limit = 2 * strength / (1 + strength**2)
    assert threshold(lambda h: rho(h) < 1, 0.01, 4.0) == pytest.approx(limit, rel=1e-6)


def test_symplectic_alignment() -> None:
    """In a game whose only fixed point is unstable the aligned adjustment pushes away, as the sign rule says."""
    unstable = Saddle(p=-1.0, r=-1.0)
    j = unstable.jacobian()
    plus, minus = (torch.linalg.norm(symplectic(0.1, j, s) @ POINT[:2]).item() for s in (1.0, -1.0))
    aligned = run(SOLVERS.build("symplectic"), unstable, POINT[:2], 1, rates(0.1)).norm().item()
    assert aligned == pytest.approx(max(plus, minus), rel=1e-10)
    assert plus != pytest.approx(minus, rel=1e-3)
    stable = Saddle(p=1.0, r=1.0)
    expected = symplectic(0.1, stable.jacobian(), 1.0) @ POINT[:2]
    torch.testing.assert_close(run(SOLVERS.build("symplectic"), stable, POINT[:2], 1, rates(0.1)), expected)


@pytest.mark.parametrize(("every", "toward"), [(1, 0.3), (5, 0.5), (3, 1.0)])
def test_lookahead_eigenvalues(every: int, toward: float) -> None:
    """Eigenvalues z of one step become 1 - a + a z^k of k steps, and nothing happens between."""
    solver = SOLVERS.build(f"lookahead(simultaneous, every={every}, toward={toward})")
    j, one = CURVED.jacobian(), torch.eye(4, dtype=F64)
    fast = torch.linalg.matrix_power(one + 0.2 * j, every)
    expected = (1 - toward) * one + toward * fast
    torch.testing.assert_close(run(solver, CURVED, POINT, every, rates(0.2)), expected @ POINT)
    torch.testing.assert_close(run(solver, CURVED, POINT, 2 * every, rates(0.2)), expected @ expected @ POINT)
    if every > 1:
        between = torch.linalg.matrix_power(one + 0.2 * j, every - 1) @ POINT
        torch.testing.assert_close(run(solver, CURVED, POINT, every - 1, rates(0.2)), between)


def test_lookahead_contracts_rotation() -> None:
    """Simultaneous steps expand by sqrt(1 + h^2); k of them half way back contract."""
    found = radius(matrix(SOLVERS.build("lookahead(simultaneous, every=10)"), BILINEAR, rates(0.1), steps=10))
    plain = radius(matrix(SOLVERS.build("simultaneous"), BILINEAR, rates(0.1)))
    assert plain == pytest.approx(math.sqrt(1.01))
    assert found == pytest.approx(abs(0.5 + 0.5 * (1 + 0.1j) ** 10))
    assert found < 1 < plain


@pytest.mark.parametrize("after", [0, 4])
def test_averaging_is_the_mean(after: int) -> None:
    """The iterates are those of the solver, the average their plain mean; alternating iterates circle, their mean goes
    to the equilibrium."""
    solver = SOLVERS.build(f"averaging(alternating, after={after})")
    assert isinstance(solver, Averaging)
    play, state = started(solver, BILINEAR, POINT[:2])
    state.averages = {"generator": {"value": state.params["generator"]["value"].clone()}}
    lr = {**rates(0.2), "average": torch.tensor(0.5, dtype=F64)}
    visited = []
    for _ in range(300):
        step(solver, play, state, lr)
        visited.append(point_of(state))
    torch.testing.assert_close(visited[-1], run(SOLVERS.build("alternating"), BILINEAR, POINT[:2], 300, rates(0.2)))
    mean = torch.stack(visited[after:]).mean(0)
    found = solver.iterate(state)
    torch.testing.assert_close(torch.cat([found["critic"]["value"], found["generator"]["value"]]), mean)
    assert torch.equal(state.averages["generator"]["value"], found["generator"]["value"])
    assert mean.norm() < 0.05 < 0.5 < visited[-1].norm()


def test_extragradient_with_adam_shares_moments() -> None:
    """ExtraAdam: both gradients go into one set of moments; unshared, those of the look ahead are forgotten."""
    lr = rates(0.05)
    for shared in (True, False):
        solver = Extragradient(shared=shared)
        play, state = started(solver, CURVED, POINT, {p: Adam() for p in CURVED.players})
        w, slots = POINT.clone(), Adam().start({"w": POINT})
        for _ in range(5):
            ahead = {"w": w.clone()}
            used = slots if shared else {k: {n: x.clone() for n, x in v.items()} for k, v in slots.items()}
            Adam().descend(ahead, {"w": -CURVED.jacobian() @ w}, used, lr["lr.critic"])
            now = {"w": w}
            Adam().descend(now, {"w": -CURVED.jacobian() @ ahead["w"]}, slots, lr["lr.critic"])
            w = now["w"]
            step(solver, play, state, lr)
        torch.testing.assert_close(point_of(state), w, rtol=1e-10, atol=1e-12)


class Recorded(Play):
    """Remembers which batch was read by whom, and where the critic stood."""

    def gradient(self, player: str, state: State, batch: Any, *more: Any, **named: Any) -> tuple[Tensor, Tensors]:
        self.read = [*getattr(self, "read", []), (player, int(batch["n"]), state.params["critic"]["value"].item())]
        return super().gradient(player, state, batch, *more, **named)


@pytest.mark.parametrize(
    ("solver", "order"),
    [
        ("extragradient", [("critic", 0), ("generator", 1), ("critic", 2), ("generator", 3)]),
        ("extragradient(resample=false)", [("critic", 0), ("generator", 1), ("critic", 0), ("generator", 1)]),
        ("prediction(first=generator)", [("generator", 0), ("critic", 1)]),
        ("alternating(n_critic=2)", [("critic", 0), ("critic", 1), ("generator", 2)]),
    ],
)
def test_who_reads_which_batch(solver: str, order: list[tuple[str, int]]) -> None:
    """Batches are those of the plan, in its order."""
    built = SOLVERS.build(solver)
    _, state = started(built, BILINEAR, POINT[:2])
    play = Recorded(BILINEAR, {p: SGD() for p in BILINEAR.players})
    built.step(play, state, tuple({"n": torch.tensor(k)} for k in range(len(built.plan(play.players)))), rates(0.1))
    assert [entry[:2] for entry in play.read] == order


@pytest.mark.parametrize(("steps", "expected"), [(1, 0.99875), (5, 0.98869), (10, 0.97596)])
@pytest.mark.parametrize("second", [True, False])
def test_unrolled_dirac_radii(steps: int, expected: float, second: bool) -> None:
    """rho^2 of one step on the linearised logistic Dirac game, h = lr = .1: 1 - h K lr/2 + h^2/4 to first order; half
    of the damping without the second term."""
    if not second:
        expected = {1: 1.00000, 5: 0.99499, 10: 0.98869}[steps]
    solver = Unrolled(steps=steps, lr=0.1, second_term=second)
    game, scale = Dirac(), 1e-4
    columns = [run(solver, game, scale * e, 1, rates(0.1)) / scale for e in torch.eye(2, dtype=F64)]
    assert radius(torch.stack(columns, 1)) == pytest.approx(expected, abs=2e-5)
