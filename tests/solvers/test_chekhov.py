"""Queues of opponents: which places are filled when, what a step is, the delay that they are, and the mixture."""

from collections import deque

import pytest
import torch
from linear_games import F64, Saddle, point_of, rates, run, started, step
from torch import Tensor, nn

from ganneal.objectives import OBJECTIVES
from ganneal.penalties import PENALTIES
from ganneal.solvers import SGD, SOLVERS, Chekhov, Play, State
from ganneal.systems import GAN

BILINEAR = Saddle()
CURVED = Saddle(torch.tensor([[1.0, 0.3], [-0.2, 0.7]], dtype=F64), p=0.1, r=0.05)
POINT = torch.tensor([1.0, -0.4, 0.3, 0.8], dtype=F64)
SETTINGS = {
    "newest always": {"opponents": 3, "every": 2},
    "as published": {"opponents": 3, "every": 2, "current": False},
    "growing": {"opponents": 4, "every": 1, "grow": 1, "current": False},
    "weighted": {"opponents": 2, "every": 3, "weight": 0.5},
    "one": {"opponents": 1, "every": 1},
}


def by_hand(start: Tensor, steps: int, h: float, settings: dict) -> Tensor:
    """Algorithm 2 with queues as lists: every m steps push, drop the oldest beyond K, m <- m + grow."""
    k, m, grow = settings["opponents"], settings["every"], settings.get("grow", 0)
    weight, current = settings.get("weight", 0.0), settings.get("current", True)
    b, (x, y) = CURVED.b, start.split(2)
    queue: deque = deque(maxlen=k)
    due, newest = 0, (x, y)
    for t in range(steps):
        if t == due:
            if current and queue:
                queue[0] = newest
            queue.appendleft((x, y))
            due, m = due + m, m + grow
        elif current:
            queue[0] = (x, y)
        newest = (x, y)
        pull_x = sum(b @ y_old for _, y_old in queue) / len(queue) - CURVED.p * x
        push_y = sum(b.T @ x_old for x_old, _ in queue) / len(queue) + CURVED.r * y
        c = 2 * weight / (t + 1) ** 0.5
        x, y = x + h * (pull_x - c * x), y - h * (push_y + c * y)
    return torch.cat([x, y])


@pytest.mark.parametrize("name", SETTINGS)
def test_steps_are_the_algorithm(name: str) -> None:
    """The critic ascends, both shrink by C/sqrt t, queues are pushed when due and averaged over what is in them."""
    settings = {"weight": 0.0, **SETTINGS[name]}
    for steps in (1, 2, 5, 14):
        found = run(Chekhov(**settings), CURVED, POINT, steps, rates(0.1))  # type: ignore[arg-type]
        torch.testing.assert_close(found, by_hand(POINT, steps, 0.1, settings), rtol=1e-12, atol=1e-12)


def growth_rate(opponents: int, every: int, h: float = 0.01, steps: int = 2000) -> float:
    """Of the last iterate on the bilinear game, per unit of time, after the queue has filled; over about whole turns,
    because the norm of a pair that turns and grows is an exponential only in the mean."""
    solver = Chekhov(opponents, every, weight=0.0, current=False)
    play, state = started(solver, BILINEAR, torch.tensor([1.0, 0.0], dtype=F64))
    for _ in range(opponents * every + 100 * (opponents > 1)):
        step(solver, play, state, rates(h))
    before = point_of(state).norm()
    for _ in range(steps):
        step(solver, play, state, rates(h))
    return (point_of(state).norm() / before).log().item() / (h * steps)


@pytest.mark.parametrize(
    ("opponents", "every", "expected", "tolerance"),
    [(1, 1, 0.005, 1e-4), (5, 1, 0.025, 1e-3), (5, 10, 0.21, 0.02), (10, 10, 0.31, 0.02)],
)
def test_a_queue_is_a_delay(opponents: int, every: int, expected: float, tolerance: float) -> None:
    """The practical algorithm grows faster the older its queue is: about tau - 8/3 tau^3, tau its mean age."""
    steps = {1: 100, 5: 314, 50: 650, 100: 700}[opponents * every]
    assert growth_rate(opponents, every, steps=steps) == pytest.approx(expected, abs=tolerance)


@pytest.mark.slow
def test_a_long_queue_grows_faster_still() -> None:
    assert growth_rate(25, 10) == pytest.approx(0.34, abs=0.02)


def test_mixture() -> None:
    """The generators of the queue, newest first, those that were played only, with equal weights."""
    solver = SOLVERS.build("chekhov(opponents=4, every=2, weight=0)")
    assert isinstance(solver, Chekhov)
    play, state = started(solver, CURVED, POINT)
    visited = []
    for t in range(9):
        visited.append(state.params["generator"]["value"].clone())
        step(solver, play, state, rates(0.1))
        nets, weights = solver.mixture(state)
        assert len(nets) == len(weights) == min(4, 1 + t // 2)
        assert sum(weights) == pytest.approx(1)
        assert torch.equal(nets[0]["value"], visited[-1])
    for net, expected in zip(nets[1:], (visited[7], visited[5], visited[3]), strict=True):
        assert torch.equal(net["value"], expected)


def test_one_opponent_is_simultaneous_play() -> None:
    """The limit in which nothing is remembered."""
    for every in (1, 7):
        found = run(Chekhov(1, every, weight=0.0), CURVED, POINT, 10, rates(0.1))
        torch.testing.assert_close(found, run(SOLVERS.build("simultaneous"), CURVED, POINT, 10, rates(0.1)))


def test_every_example_is_met_equally_often() -> None:
    """Opponents share a batch in turn; one that cannot be divided is met whole by all."""
    rows, axis = Chekhov(4, thin=2)._rows({"x": torch.arange(64.0), "n": torch.ones(64, 3)})
    assert (axis, rows["x"].shape, rows["n"].shape) == (0, (4, 32), (4, 32, 3))
    assert torch.equal(rows["x"].long().flatten().bincount(), torch.full((64,), 2))
    assert rows["x"][3].tolist() == [*range(48, 64), *range(16)]
    for solver, size in ((Chekhov(4, thin=2), 24), (Chekhov(4, thin=1), 64), (Chekhov(1), 64)):
        batch = {"x": torch.arange(float(size))}
        assert solver._rows(batch) == (batch, None)


@pytest.mark.parametrize("player", ["critic", "generator"])
@pytest.mark.parametrize(("opponents", "thin"), [(3, 1), (4, 2)])
def test_the_loss_is_the_mean_over_opponents(player: str, opponents: int, thin: int) -> None:
    """Of a GAN with penalties: the stacked evaluation against one after another, each on its rows."""
    solver = Chekhov(opponents, thin=thin)
    torch.manual_seed(0)
    critic = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1), nn.Flatten(0)).double()
    generator = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double()
    game = GAN(
        architectures={"critic": critic, "generator": generator},
        objective=OBJECTIVES.build("relativistic"),
        penalties=(PENALTIES.build("r1r2"),),
        shape=(2,),
        latent=3,
    )
    play = Play(game, {p: SGD() for p in game.players})
    params = {p: {n: x.detach().clone() for n, x in net.named_parameters()} for p, net in game.nets.items()}
    state = play.start(params, {p: {} for p in game.players})
    against = "generator" if player == "critic" else "critic"
    queue = {n: torch.stack([x + k * torch.ones_like(x) for k in range(opponents)]) for n, x in params[against].items()}
    batch = {"real": torch.randn(32, 2, dtype=F64), "z": torch.randn(32, 3, dtype=F64)}
    weights = torch.tensor([0.4, 0.3, 0.2, 0.1][:opponents], dtype=F64)
    given = {"r1r2": torch.tensor(0.5, dtype=F64)}
    _, found = play.gradient(player, state, batch, given, solver._against(play, player), (queue, {}, weights))
    rows, axis = solver._rows(batch)
    for name, total in found.items():
        expected = torch.zeros_like(total)
        for k in range(opponents):
            other = State({**params, against: {n: x[k] for n, x in queue.items()}}, state.buffers, state.slots)
            part = {n: x[k] for n, x in rows.items()} if axis == 0 else batch
            expected += weights[k] * play.gradient(player, other, part, given)[1][name]
        torch.testing.assert_close(total, expected, rtol=1e-9, atol=1e-12)
