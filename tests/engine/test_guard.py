"""The guard notices what goes wrong, goes back, and gives up with advice; one member's trouble is nobody else's."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import ganneal as gn
from ganneal.cli import run as command
from ganneal.data import open_source
from ganneal.engine import checkpoint
from ganneal.engine.config import complete
from ganneal.engine.events import read
from ganneal.engine.guard import MAX_ROLLBACKS, Guard
from ganneal.engine.symptoms import COLLAPSE, PATIENCE, SATURATION
from ganneal.engine.trainer import Trainer

SMALL: dict[str, Any] = {"batch": 8, "network": "mlp(width=8, depth=1)", "permutations": 19}


def judged(guard: Guard, finite: Any = True, spread: Any = 1.0, gap: Any = 0.0) -> dict[int, tuple[str, float]]:
    """One look at members in the given condition."""

    def of_all(value: Any) -> torch.Tensor:
        return torch.as_tensor(value).expand(guard.size)

    signs = {"spread": of_all(spread)} | ({} if gap is None else {"gap": of_all(gap)})
    return guard.judge(of_all(finite), signs)


def test_a_sound_training_is_left_alone() -> None:
    guard = Guard(2)
    for _ in range(10):
        assert judged(guard, spread=1.01 * COLLAPSE, gap=0.99 * SATURATION) == {}
    assert not guard.lost
    assert guard.trusted() == [0, 1]


def test_values_that_are_not_finite_act_at_once() -> None:
    found = judged(Guard(3), finite=[True, False, True], spread=[1.0, math.nan, 1.0])
    assert list(found) == [1]
    assert found[1][0] == "non-finite values"


@pytest.mark.parametrize(
    ("condition", "problem"),
    [
        ({"spread": 0.9 * COLLAPSE}, "collapse"),
        ({"gap": 1.1 * SATURATION}, "saturated critic"),
        ({"gap": -1.1 * SATURATION}, "saturated critic"),
    ],
)
def test_collapse_and_saturation_act_when_they_last(condition: dict[str, float], problem: str) -> None:
    guard = Guard(1)
    for _ in range(PATIENCE - 1):
        assert judged(guard, **condition) == {}
        assert guard.trusted() == []
    assert judged(guard) == {}  # a sound look starts the count anew
    assert guard.trusted() == [0]
    looks = [judged(guard, **condition) for _ in range(PATIENCE)]
    assert looks[:-1] == [{}] * (PATIENCE - 1)
    assert looks[-1][0] == (problem, pytest.approx(next(iter(condition.values()))))


def test_what_cannot_be_known_is_no_trouble() -> None:
    """Data without spread, and objectives whose critic has no logits."""
    guard = Guard(1)
    assert [judged(guard, spread=math.nan, gap=None) for _ in range(2 * PATIENCE)] == [{}] * 2 * PATIENCE


def test_learning_rates_are_halved_and_in_the_end_stopped() -> None:
    guard = Guard(2)
    for k in range(MAX_ROLLBACKS):
        assert "halved" in guard.roll_back(1)
        assert guard.lr_scale == [1.0, 0.5 ** (k + 1)]
    assert guard.roll_back(1) == f"gave up after {MAX_ROLLBACKS} rollbacks"
    assert guard.lr_scale == [1.0, 0.0]
    assert not guard.lost
    assert judged(guard, finite=[True, False]) == {}  # it has been given up already
    for _ in range(MAX_ROLLBACKS + 1):
        guard.roll_back(0)
    assert guard.lost


def test_a_guard_continues_from_its_state() -> None:
    guard = Guard(2)
    judged(guard, spread=[0.0, 1.0])
    guard.roll_back(1)
    again = Guard(2, **guard.state())
    assert again == guard
    assert again.trusted() == [1]


def test_divergence_is_rolled_back_three_times_and_then_fails_with_advice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    flags = ["--lr-critic", "1e8", "--batch", "16", "--steps", "200", "--log-every", "10", "--permutations", "19"]
    assert command(["train", "ring8", *flags, "--out", str(folder)]) == 1
    out, complaint = capsys.readouterr()
    assert complaint == (
        "ganneal: training does not hold: non-finite values after 3 rollbacks; "
        "try --lr-generator 0.000333 --lr-critic 3.33e+07: smaller steps keep within the stability region of the "
        "discrete game\n"
    )
    assert out.count("guard: member 0: non-finite values (nan): rolled back") == MAX_ROLLBACKS
    events = read(folder / "events.jsonl")
    guards = [event for event in events if event["event"] == "guard"]
    (finding,) = gn.Run(folder).diagnosis().findings
    assert complaint.rstrip().endswith(f"; {finding.advice}")  # the doctor says the same
    assert finding.sentence().endswith(f"; {finding.advice}")
    assert [g["lr_scale"] for g in guards] == [0.5, 0.25, 0.125, 0.0]
    assert [g["examples"] for g in guards] == [160, 320, 480, 640]
    assert (events[-1]["event"], events[-1]["reason"]) == ("end", "failed")
    tree, _ = checkpoint.read(gn.Run(folder).checkpoint())
    assert all(torch.isfinite(t).all() for name, t in checkpoint.flatten(tree).items() if name.startswith("params"))


def test_a_training_that_recovers_goes_on_at_half_the_rate(train: Any) -> None:
    """A critic that overflows in the first steps and not at a smaller rate."""
    run = train("run", lr_critic="linear(1e8->0.001, hold=0.9)", steps=100, log_every=5, **SMALL)
    guards = [e for e in read(run.folder / "events.jsonl") if e["event"] == "guard"]
    assert 1 <= len(guards) <= MAX_ROLLBACKS
    assert run.finished
    assert np.isfinite(run.sample(10)).all()


def test_a_collapsed_generator_goes_back_to_the_state_before_the_trouble() -> None:
    source = open_source("ring8")
    trainer = Trainer(complete({"source": "ring8", "steps": 100, **SMALL}, "toy"), source)
    losses = trainer.advance(5)
    trainer.mark_good()
    before = trainer.state.clone()
    for value in trainer.state.params["generator"].values():
        value.zero_()
    for look in range(PATIENCE):
        troubles = trainer.check(losses)
        assert bool(troubles) == (look == PATIENCE - 1)
        trainer.mark_good()  # a checkpoint in the middle of the trouble is no good state
    assert (troubles[0].member, troubles[0].problem, troubles[0].lr_scale) == (0, "collapse", 0.5)
    for name, value in trainer.state.params["generator"].items():
        assert torch.equal(value, before.params["generator"][name])


def test_a_saturated_critic_is_seen() -> None:
    source = open_source("ring8")
    trainer = Trainer(complete({"source": "ring8", "steps": 100, **SMALL}, "toy"), source)
    losses = trainer.advance(5)
    trainer.state.params["critic"]["body.layers.1.weight"].mul_(1e6)
    found = [trainer.check(losses) for _ in range(PATIENCE)][-1]
    assert found[0].problem == "saturated critic"
    assert abs(found[0].value) > SATURATION


@pytest.mark.parametrize("solver", ["alternating", "simultaneous"])
def test_a_member_in_trouble_does_not_touch_the_others(solver: str) -> None:
    source = open_source("ring8")
    options = {"source": "ring8", "steps": 60, "solver": solver, "precision": "float64", **SMALL}
    rates = [0.001, 1e300, 0.002]

    def played(**more: Any) -> Trainer:
        trainer = Trainer(complete({**options, **more}, "toy"), source)
        for _ in range(6):
            trainer.check(trainer.advance(10))
            trainer.mark_good()
        return trainer

    population = played(population=3, lr_critic=rates)
    assert population.guard.lr_scale == [1.0, 0.0, 1.0]
    assert population.finite()
    for k in (0, 2):
        single = played(seed=k, lr_critic=rates[k])
        for player, values in single.state.params.items():
            for name, value in values.items():
                torch.testing.assert_close(population.state.params[player][name][k], value, rtol=1e-5, atol=1e-5)


def test_a_population_with_a_lost_member_is_trained_and_judged(train: Any) -> None:
    run = train("run", population=3, lr_critic="each(0.001, 1e30, 0.001)", steps=40, log_every=5, **SMALL)
    assert run.finished
    assert len(run.verdict["tests"]) == 3
    assert all(np.isfinite(run.sample(20, member=k)).all() for k in range(3))


def test_an_interruption_while_values_are_not_finite_keeps_the_checkpoint_before(interrupted: Any) -> None:
    run = interrupted("run", at=10, lr_critic="1e30", steps=100, log_every=50, **SMALL)
    assert run.checkpoint().stem == "000000000000"
    assert [e["reason"] for e in read(run.folder / "events.jsonl") if e["event"] == "end"] == ["interrupted"]
