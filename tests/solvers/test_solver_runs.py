"""Every registered solver in a training: populations are single runs, resumed runs have the same bits, compiled steps
are the plain ones, and what a solver costs is counted right."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from ganneal.data import open_source
from ganneal.engine import checkpoint
from ganneal.engine.blocks import BLOCK
from ganneal.engine.config import complete
from ganneal.engine.guard import copy_member
from ganneal.engine.trainer import Trainer
from ganneal.errors import UsageError
from ganneal.parts import parse
from ganneal.solvers import SOLVERS

TEXTS = (
    "alternating(n_critic=2, first=generator)",
    "simultaneous",
    "extragradient",
    "extragradient(resample=false, shared=false)",
    "optimistic",
    "prediction",
    "prediction(first=generator)",
    "unrolled(steps=2)",
    "unrolled(steps=2, inner=adam, lr=0.01)",
    "unrolled(steps=2, second_term=false)",
    "lookahead(every=3)",
    "lookahead(solver=optimistic, every=3, toward=0.3)",
    "averaging(after=2)",
    "averaging(chekhov(opponents=2, every=2))",
    "symplectic",
    "competitive(iterations=2)",
    "chekhov(opponents=3, every=2, grow=1)",
    "chekhov(opponents=3, every=2, current=false, weight=0)",
)
GAME = {"objective": "jsd", "penalty": "r1r2(gamma=0.1)"}


def trainer(solver: str, **options: Any) -> Trainer:
    given = {
        "source": "ring8",
        "batch": 8,
        "steps": 30,
        "precision": "float64",
        "network": "mlp(width=6, depth=1)",
        "latent": 2,
        "compile": "off",
        "solver": solver,
        **GAME,
        **options,
    }
    source = open_source("ring8")
    return Trainer(complete(given, "toy"), source)


def tensors(training: Trainer) -> dict[str, Tensor]:
    return checkpoint.flatten(training.snapshot()[0])


def test_every_solver_is_here() -> None:
    assert {parse(text).name if "(" in text else text for text in TEXTS} == set(SOLVERS)


@pytest.mark.parametrize("solver", TEXTS)
def test_members_are_single_runs(solver: str) -> None:
    """Each member of a population is the single run with its seed, to 1e-5, memory included."""
    together = trainer(solver, population=3, seed=4)
    together.advance(7)
    found = tensors(together)
    for member in (0, 2):
        alone = trainer(solver, seed=4 + member)
        alone.advance(7)
        for name, value in tensors(alone).items():
            if not name.startswith("streams"):
                torch.testing.assert_close(found[name][member], value, rtol=1e-5, atol=1e-7, msg=name)


@pytest.mark.parametrize("population", [1, BLOCK + 1])
@pytest.mark.parametrize("solver", TEXTS)
def test_resumed_runs_have_the_same_bits(solver: str, population: int, tmp_path: Path) -> None:
    """Stopped after any number of steps, between snapshots or synchronisations, and read from a file."""
    if population > 1 and not trainer(solver).state.memory:
        pytest.skip("nothing is remembered")
    whole, first, second = (trainer(solver, population=population) for _ in range(3))
    whole.advance(9)
    first.advance(4)
    second.restore(*checkpoint.read(checkpoint.write(tmp_path, 4, *first.snapshot())))
    second.advance(5)
    a, b = tensors(whole), tensors(second)
    assert a.keys() == b.keys()
    assert not [name for name in a if not torch.equal(a[name], b[name])]


@pytest.mark.parametrize("solver", ["optimistic", "lookahead(every=3)", "chekhov(opponents=2, every=2)", "averaging"])
def test_one_member_goes_back_with_its_memory(solver: str) -> None:
    """The guard's way back takes what the solver remembers of that member, and of no other."""
    training = trainer(solver, population=2)
    training.advance(3)
    good = training.state.clone()
    training.advance(3)
    before = training.state.clone()
    copy_member(training.state, good, 1, True)
    flat = [checkpoint.flatten({"memory": s.memory}) for s in (training.state, good, before)]
    moved = 0
    for name, now in flat[0].items():
        assert torch.equal(now[1], flat[1][name][1])
        assert torch.equal(now[0], flat[2][name][0])
        moved += not torch.equal(flat[1][name][1], flat[2][name][1])
    assert moved


COSTS = {
    "alternating": 2,
    "alternating(n_critic=5)": 6,
    "simultaneous": 2,
    "extragradient": 4,
    "extragradient(resample=false)": 4,
    "optimistic": 2,
    "prediction": 2,
    "unrolled(steps=5)": 7,
    "lookahead(extragradient)": 4,
    "averaging(unrolled(steps=1))": 3,
    "symplectic": 6,
    "competitive(iterations=4)": 12,
    "chekhov(opponents=10)": 20,
}


@pytest.mark.parametrize("solver", COSTS)
def test_gradient_evaluations(solver: str) -> None:
    """What solvers are compared at."""
    assert SOLVERS.build(solver).evaluations(("critic", "generator")) == COSTS[solver]


def test_players_of_a_score() -> None:
    """A learned score moves plainly: one gradient, whatever the two sides do."""
    players = ("critic", "data_score", "generator")
    assert SOLVERS.build("chekhov(opponents=4)").evaluations(players) == 9
    assert SOLVERS.build("unrolled(steps=4)").evaluations(players) == 7
    for solver in ("chekhov(opponents=2)", "unrolled(steps=2)", "symplectic", "optimistic", "prediction"):
        training = trainer(solver, lambda_likelihood="-0.5", score="dsm(width=6)")
        before = {p: {n: x.clone() for n, x in v.items()} for p, v in training.state.params.items()}
        training.advance(3)
        assert all(
            any(not torch.equal(x, before[p][n]) for n, x in v.items()) for p, v in training.state.params.items()
        )
        assert training.finite()


BAD = {
    "unrolled(steps=0)": "unroll depth of 0: use alternating or simultaneous",
    "unrolled(steps=-1)": "steps must be a whole number from 1 to 100, got -1",
    "unrolled(inner=adagrad)": "unknown inner 'adagrad': did you mean 'adam'? (allowed: adam, sgd)",
    "unrolled(inner=adan)": "did you mean 'adam'?",
    "unrolled(lr=-1)": "lr must be a number from",
    "chekhov(opponents=0)": "0 opponents: use simultaneous or alternating",
    "chekhov(every=0)": "every must be a whole number from 1",
    "chekhov(thin=0)": "thin must be a whole number from 1",
    "chekhov(weight=-1)": "weight must be a number from 0",
    "lookahead(every=0)": "every must be a whole number from 1",
    "lookahead(toward=0)": "toward must be a number from 1e-06 to 1, got 0",
    "lookahead(toward=1.5)": "toward must be a number from 1e-06 to 1, got 1.5",
    "lookahead(solver=adam)": "solver must be",
    "averaging(after=-1)": "after must be a whole number from 0",
    "symplectic(strength=0)": "strength must be a number from",
    "competitive(iterations=0)": "iterations must be a whole number from 1",
    "alternating(n_critic=0)": "n_critic must be a whole number from 1 to 1000, got 0",
    "alternating(first=critics)": "did you mean 'critic'? (allowed: critic, generator)",
    "prediction(first=score)": "unknown first 'score'",
    "extragradent": "did you mean 'extragradient'?",
}


@pytest.mark.parametrize("solver", BAD)
def test_bad_requests(solver: str) -> None:
    """One line that says what was got and what is allowed, with the key."""
    with pytest.raises(UsageError) as found:
        trainer(solver)
    text = str(found.value)
    assert BAD[solver] in text
    assert text.startswith("solver: ")
    assert "\n" not in text


CLASHES: dict[str, tuple[dict[str, Any], str]] = {
    "relativistic": ({"objective": "relativistic"}, "needs a zero-sum objective, got relativistic; use jsd or"),
    "nonsaturating": ({"objective": "nonsaturating"}, "got nonsaturating; use jsd or wasserstein"),
    "hinge": ({"objective": "hinge"}, "got hinge; use jsd or wasserstein"),
    "nested": ({"objective": "hinge", "solver": "lookahead(competitive)"}, "got hinge; use jsd or wasserstein"),
    "scores": ({"lambda_likelihood": "-0.5"}, "this game has also data_score; use symplectic or extragradient"),
}


@pytest.mark.parametrize("case", CLASHES)
def test_clashes(case: str) -> None:
    """Solvers that an objective or a game cannot use say so before the first step."""
    options, text = CLASHES[case]
    with pytest.raises(UsageError, match="solver: competitive: ") as found:
        trainer(**{"solver": "competitive", **options})
    assert text in str(found.value)


@pytest.mark.parametrize(
    "solver",
    ["unrolled", "chekhov", "symplectic", "competitive", "lookahead(unrolled)", "extragradient(resample=false)"],
)
def test_solvers_that_are_not_for_densities(solver: str) -> None:
    """Their evaluations would not be counted, or need a second derivative of log u."""
    source = open_source("target:kidney")
    given = {"source": "target:kidney", "batch": 8, "steps": 5, "latent": 2, "solver": solver}
    with pytest.raises(UsageError, match="not for densities"):
        Trainer(complete(given, "target-reference"), source)


@pytest.mark.parametrize("objective", ["jsd", "wasserstein"])
def test_zero_sum_objectives_are_accepted(objective: str) -> None:
    played = trainer("competitive", objective=objective)
    before = played.state.clone()
    played.advance(2)
    assert played.finite()
    for player in ("critic", "generator"):
        assert any(not torch.equal(x, played.state.params[player][n]) for n, x in before.params[player].items())


@pytest.mark.slow
@pytest.mark.parametrize(
    "solver",
    [
        "optimistic",
        "unrolled(steps=2, inner=adam)",
        "chekhov(opponents=3, every=2)",
        "symplectic",
        "lookahead(every=3)",
    ],
)
@pytest.mark.parametrize("population", [1, 2])
def test_compiled_steps_are_the_plain_ones(solver: str, population: int) -> None:
    """One whole graph; the same numbers to rounding, memory included."""
    plain, fast = (trainer(solver, compile=c, population=population, threads=1) for c in ("off", "on"))
    assert fast.compiled
    for training in (plain, fast):
        training.advance(8)
    a, b = tensors(plain), tensors(fast)
    for name, value in a.items():
        torch.testing.assert_close(b[name], value, rtol=1e-6, atol=1e-8, msg=name)
