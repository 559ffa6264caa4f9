"""Each disease is named in a series that has it and in a real run that was made to have it; healthy ones are left
alone."""

import functools
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import ganneal as gn
from ganneal.data import open_source
from ganneal.dynamics import Spectrum
from ganneal.engine.assembly import assemble
from ganneal.engine.config import Config, complete, make
from ganneal.engine.diagnosis import BLIND, COUPLING, GRAVITY, SEVERE, Diagnosis, diagnose
from ganneal.engine.events import read
from ganneal.engine.examination import Examination, examine, force
from ganneal.engine.guard import Guard
from ganneal.engine.records import Record, records
from ganneal.engine.rewriting import final_weight, reweighted, scaled, with_weight, written
from ganneal.engine.symptoms import ADVICE, COLLAPSE, PATIENCE, SATURATION, SIGNS, streaks
from ganneal.engine.trainer import Trainer
from ganneal.engine.treatment import LADDERS, advice, treatment
from ganneal.metrics import mode_coverage
from ganneal.parts import parse
from ganneal.penalties import PENALTIES

N = 150
T = np.arange(N)


def noise(scale: float = 0.05, seed: int = 0) -> np.ndarray:
    return scale * np.random.default_rng(seed).standard_normal(N)


def a_record(
    losses: np.ndarray | None = None, test: Any = None, examination: Examination | None = None, **signs: np.ndarray
) -> Record:
    """A logistic game without penalties: losses at their equilibrium with a little noise, unless told otherwise."""
    config = make({"source": "ring8", "objective": "jsd", "penalty": (), "solver": "simultaneous"})
    critic = 1.386 + noise() if losses is None else losses
    sound = {"spread": 1 + noise(seed=1), "offset": noise(seed=2), "gap": 0.1 + noise(0.01, seed=3)}
    given = {"critic": critic, "generator": 0.69 + noise(seed=4)}
    return Record(config, 0, 100 * (T + 1), given, {**sound, **signs}, (), test, examination, 5)


def named(found: Diagnosis) -> list[str]:
    return [f.problem for f in found.findings]


REJECTED = {"rejected": True, "pvalue": 0.001}
CENTRES = torch.tensor([[0.0, 0.0], [5.0, 0.0], [0.0, 5.0]])
TWO_OF_THREE = mode_coverage(CENTRES[[0, 0, 1, 1]], CENTRES, 0.1)
WAVE = np.sin(2 * np.pi * T / 9)

DISEASES: dict[str, tuple[Record, list[str]]] = {
    "healthy": (a_record(), []),
    "constant": (a_record(np.full(N, 1.386)), []),
    "noise that wanders": (a_record(1.386 + 0.1 * noise(1).cumsum()), []),
    "a transient": (a_record(1.386 + 2 * np.exp(-T / 20) + noise(0.01)), []),
    "a cycle": (a_record(1.386 + 0.3 * WAVE + noise()), ["limit cycle"]),
    "a cycle of the samples": (a_record(offset=0.3 * WAVE + noise()), ["limit cycle"]),
    "a cycle too small to matter": (a_record(1.386 + noise(), offset=0.2 * WAVE + noise(0.01)), []),
    "fewer turns than a cycle needs": (a_record(1.386 + 0.3 * np.sin(2 * np.pi * T / 15) + noise()), []),
    "a cycle that was": (a_record(1.386 + 0.3 * WAVE * (T < 70) + noise()), []),
    "a cycle without force at the checkpoint": (
        a_record(1.386 + 0.3 * WAVE + noise(), test=REJECTED, examination=Examination(None, 0.0)),
        ["limit cycle"],
    ),
    "a cycle that dies out": (a_record(1.386 + WAVE * np.exp(-T / 20) + noise(1e-3)), []),
    "a cycle that dies out slowly": (a_record(1.386 + WAVE * np.exp(-T / 40) + noise(1e-3)), []),
    "a cycle that is far too small": (a_record(1.386 + 2.0 * (T < 10) + 1e-3 * WAVE + noise(1e-5)), []),
    "a spiral outward": (a_record(1.386 + 0.01 * WAVE * np.exp(T / 40) + noise(1e-3)), ["growing oscillation"]),
    "no number": (a_record(np.where(T > 120, math.nan, 1.386)), ["non-finite values"]),
    "losses without bound": (a_record(np.exp(T / 20) + noise()), ["diverging"]),
    "samples without bound": (a_record(spread=np.exp(T / 20)), ["diverging"]),
    "a point": (a_record(spread=np.where(T < 60, 1.0, 0.9 * COLLAPSE)), ["collapse"]),
    "a point that recovered": (a_record(spread=np.where(T == 60, 0.9 * COLLAPSE, 1.0)), []),
    "out of the critic's reach": (a_record(gap=np.full(N, 1.1 * SATURATION)), ["saturated critic"]),
    "a critic that is sure": (a_record(gap=1.1 * SEVERE + noise()), ["critic too strong"]),
    "a critic not quite sure": (a_record(gap=0.9 * SEVERE + noise()), []),
    "a critic that sees nothing": (a_record(gap=noise(0.1 * BLIND), test=REJECTED), ["critic too weak"]),
    "nothing to see": (a_record(gap=noise(0.1 * BLIND), test={"rejected": False, "pvalue": 0.4}), []),
    "no force": (a_record(test=REJECTED, examination=Examination(None, 0.5 * COUPLING)), ["vanishing coupling"]),
    "enough force": (a_record(test=REJECTED, examination=Examination(None, 2 * COUPLING)), []),
    "no force because it is there": (a_record(examination=Examination(None, 0.0)), []),
    "a mode short": (a_record(examination=Examination(TWO_OF_THREE, 1.0)), ["modes missing"]),
}


@pytest.mark.parametrize("disease", DISEASES)
def test_a_disease_is_named_and_nothing_else(disease: str) -> None:
    record, expected = DISEASES[disease]
    found = diagnose([record])
    assert named(found) == expected
    assert found.healthy == (not expected)
    for finding in found.findings:
        assert finding.problem in GRAVITY
        assert finding.treatment is not None
        assert finding.sentence().startswith(finding.problem)


def test_the_evidence_has_its_numbers_and_its_time() -> None:
    (cycle,) = diagnose([DISEASES["a cycle"][0]]).findings
    assert cycle.numbers["period"] == pytest.approx(900, rel=0.01)  # nine looks of a hundred examples
    assert cycle.numbers["pvalue"] < 1e-6
    assert "loss of the critic" in cycle.evidence
    (point,) = diagnose([DISEASES["a point"][0]]).findings
    assert (point.since, point.numbers["spread"]) == (6100, pytest.approx(0.9 * COLLAPSE))
    (missing,) = diagnose([DISEASES["a mode short"][0]]).findings
    assert "samples are in 2 of 3 modes" in missing.evidence
    (lost,) = diagnose([DISEASES["no number"][0]]).findings
    assert lost.since == 12200


def test_the_gravest_comes_first_and_json_is_strict() -> None:
    import json

    record = a_record(1.386 + 0.3 * WAVE + noise(), spread=np.full(N, 0.0), gap=np.full(N, 2 * SATURATION))
    found = diagnose([record])
    assert named(found) == ["collapse", "saturated critic", "limit cycle"]
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["healthy"] is False


@pytest.mark.parametrize("values", [[0.5] * 3 + [0.001] * 5, [0.001] * (PATIENCE - 1), [0.001, 0.5] * 4, [0.001] * 9])
def test_the_guard_and_the_doctor_count_alike(values: list[float]) -> None:
    """The guard, look by look, acts where the doctor's count reaches its patience."""
    guard, acted = Guard(1), []
    for value in values:
        acted.append(bool(guard.judge(torch.tensor([True]), {"spread": torch.tensor([value])})))
    seen = SIGNS["collapse"].seen(torch.tensor(values)).tolist()
    assert acted == [count >= PATIENCE for count in streaks(seen)]


def test_cycles_after_a_rollback_alone_count() -> None:
    """What was before the guard went back was another run."""
    record = a_record(np.where(T < 100, 1.386 + 0.5 * WAVE, 1.386) + noise(0.02))
    back = {"problem": "collapse", "examples": 10000, "action": "rolled back to the last good checkpoint"}
    told = Record(record.config, 0, record.examples, record.losses, record.signs, (back,), series=5)
    assert record.settled.start == 75
    assert told.settled.start == 100
    assert "limit cycle" not in named(diagnose([told]))


CONFIGS: dict[str, dict[str, Any]] = {
    "plain": {"source": "ring8", "objective": "jsd", "penalty": (), "solver": "simultaneous"},
    "damped": {
        "source": "ring8",
        "penalty": ("r1r2(gamma=0.1)", "spectral"),
        "lr_critic": "cosine(0.001->0, hold=0.1)",
    },
    "firm": {"source": "ring8", "objective": "relativistic", "penalty": ("r1(gamma=5)",), "noise": "0.1"},
    "rates of members": {
        "source": "ring8", "population": 2, "lr_generator": "each(0.1, 0.2)", "lr_critic": "each(1, linear(2->1))",
    },
    "annealed": {"source": "digits", "lambda_likelihood": "linear(-0.8->0)", "score_clip": 1, "penalty": ("gp",)},
    "annealed in beta": {"source": "digits", "beta": "linear(0.2->1)", "penalty": ("sgp(0, data)",)},
    "flow": {"source": "target:banana", "network": "flow(layers=2, width=8)", "penalty": (), "latent": 2},
    "against a reference": {"source": "target:banana", "sampler": "reference", "penalty": ()},
    "features": {"source": "ring8", "system": "mmd(kernel=rq)", "penalty": ()},
}  # fmt: skip


opened = functools.cache(open_source)


@pytest.mark.parametrize("problem", LADDERS)
@pytest.mark.parametrize("name", CONFIGS)
def test_what_is_advised_is_a_valid_change(problem: str, name: str) -> None:
    """It is a configuration, another one, and one that can be built: of which all parts go together."""
    config = make({"network": "mlp(width=8, depth=1)", **CONFIGS[name]})
    found = treatment(problem, config)
    if found is None:
        assert name in ("flow", "features")  # games without a critic's logit
        assert problem.split()[0] in ("saturated", "critic", "vanishing", "modes")
        assert advice(problem, config) == ""
        return
    changed = make({**config.model_dump(), **found.settings})
    assert changed != config
    assert advice(problem, config) == f"try {found.flags()}: {found.why}"
    assert found.flags().startswith("--")
    assert found.why
    assemble(changed, opened(changed.source))


def test_the_first_rung_fits_the_run() -> None:
    configs = {name: make(values) for name, values in CONFIGS.items()}
    plain, damped, annealed = configs["plain"], configs["damped"], configs["annealed"]

    def settings(problem: str, config: Config) -> Any:
        found = treatment(problem, config)
        return None if found is None else found.settings

    assert settings("limit cycle", plain) == {"solver": "alternating"}
    assert settings("limit cycle", damped) == {"penalty": ("r1r2(gamma=0.3)", "spectral")}
    assert settings("vanishing coupling", plain) == {"objective": "nonsaturating"}
    assert settings("learning rate above the stable one", damped)["lr_critic"] == "cosine(0.000333->0, hold=0.1)"
    assert settings("diverging", configs["rates of members"])["lr_critic"] == "each(0.333, linear(0.667->0.333))"
    assert settings("collapse", annealed) == {"score_clip": "0.333"}
    assert settings("saturated critic", configs["annealed in beta"]) == {"score_clip": "1"}
    assert settings("diverging", configs["flow"]).keys() == {"lr_generator"}
    assert settings("unheard of", plain) is None
    assert advice("unheard of", plain) == ""


def test_what_has_no_ladder_has_general_advice() -> None:
    """One table: what the ladders answer is not answered a second time."""
    assert not LADDERS.keys() & ADVICE.keys()
    assert {*SIGNS, "non-finite values"} <= LADDERS.keys() | ADVICE.keys()
    for problem in ADVICE:
        assert advice(problem, make(CONFIGS["flow"])) == ADVICE[problem]


@pytest.mark.parametrize(
    ("penalty", "stronger", "weaker"),
    [
        ("r1", "r1(gamma=3)", "r1(gamma=0.1)"),
        ("r1(0.1)", "r1(gamma=0.3)", "r1(gamma=0.01)"),
        ("r1r2(every=4, gamma=0.5)", "r1r2(gamma=1.5, every=4)", "r1r2(gamma=0.05, every=4)"),
        ("sgp(rho=0.2)", "sgp(rho=0.6)", "sgp(rho=0.02)"),
        ("sgp(0.2, anchor, anchor=[1, 2])", "sgp(rho=0.6, measure=anchor, anchor=[1, 2])",
         "sgp(rho=0.02, measure=anchor, anchor=[1, 2])"),
        ("gp(weight=0.5)", "gp(weight=1.5)", "gp(weight=0.05)"),
        ("gp", None, "gp(weight=1)"),
        ("r2(gamma=linear(5->0.5))", "r2(gamma=linear(15->1.5))", "r2(gamma=linear(0.5->0.05))"),
        ("roth", "roth(gamma=geometric(6->0.06))", "roth(gamma=geometric(0.2->0.002))"),
        ("r1(0)", "r1(gamma=0.1)", None),
        ("r1r2(4)", None, "r1r2(gamma=0.4)"),
    ],
)  # fmt: skip
def test_a_weight_is_read_however_it_is_written(penalty: str, stronger: str | None, weaker: str | None) -> None:
    config = make({"source": "ring8", "objective": "nonsaturating", "penalty": (penalty, "spectral")})
    cycle, weak = treatment("limit cycle", config), treatment("critic too weak", config)
    assert cycle is not None
    assert weak is not None
    assert cycle.settings.get("penalty") == (None if stronger is None else (stronger, "spectral"))
    assert weak.settings.get("penalty") == (None if weaker is None else (weaker, "spectral"))
    for text in filter(None, (stronger, weaker)):
        PENALTIES.build(text)
        assert written(parse(text)) == text
    if weaker is not None:
        assert final_weight(weaker) == pytest.approx(final_weight(penalty) / 10)


def test_weights_that_cannot_be_scaled_are_told_from_those_that_can() -> None:
    assert reweighted("r1(gamma=oscillating(0.5))", 3) is None
    assert with_weight("r1(gamma=oscillating(0.5), every=2)", 0.25) == "r1(gamma=0.25, every=2)"
    assert final_weight("r1r2(gamma=each(1, 2))") == 2
    assert final_weight("spectral") == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.001", "0.0001"), ("linear(0.2->0.1)", "linear(0.02->0.01)"), ("1e-3", "0.0001"), ("pma(0.5)", None),
        ("each(1, linear(1->2, hold=0.25))", "each(0.1, linear(0.1->0.2, hold=0.25))"), ("each(1, pma(0.5))", None),
        ("[1, 2]", "each(0.1, 0.2)"),
    ],
)  # fmt: skip
def test_rates_are_scaled_as_text(text: str, expected: str | None) -> None:
    assert scaled(text, 0.1) == expected


def a_spectrum(*values: complex) -> Spectrum:
    return Spectrum(torch.tensor(values, dtype=torch.complex128), 0, len(values), True, True, 0.0)


@pytest.mark.parametrize(
    ("rate", "optimizer", "expected"),
    [
        ("0.041", "sgd", ["learning rate above the stable one"]),
        ("0.039", "sgd", []),
        ("0.041", "adam", []),  # its bound is another
    ],
)
def test_a_rate_is_held_against_the_spectrum(rate: str, optimizer: str, expected: list[str]) -> None:
    """2 |Re| / |z|^2 = 2 * 0.5 / 25 = 0.04 for z = -0.5 +- 4.975 i."""
    z = complex(-0.5, math.sqrt(25 - 0.25))
    sound = a_record(examination=Examination(None, 1.0, a_spectrum(z, z.conjugate(), -1.0)))
    config = sound.config.model_copy(update={"lr_generator": rate, "lr_critic": rate, "optimizer": optimizer})
    found = diagnose([replace(sound, config=config)])
    assert named(found) == expected
    if expected:
        assert found.findings[0].numbers == pytest.approx({"rate": float(rate), "stable": 0.04})


def test_a_cycle_is_told_with_its_eigenvalue() -> None:
    record = DISEASES["a cycle"][0]
    look = Examination(None, 1.0, a_spectrum(complex(-0.01, 2.0), complex(-0.01, -2.0)))
    (cycle,) = diagnose([replace(record, examination=look)]).findings
    assert "slowest eigenvalue at the checkpoint is -0.01+2j, the largest |Im/Re| 200" in cycle.evidence


# --- real runs ---

SMALL: dict[str, Any] = {"batch": 8, "network": "mlp(width=8, depth=1)", "compile": "off"}
CIRCLE: dict[str, Any] = {
    "solver": "simultaneous", "optimizer": "sgd(momentum=0)", "batch": 4, "latent": 1, "ema": 0.0, "log_every": 10,
    "network": "mlp(width=4, depth=1, activation=tanh)", "compile": "off", "objective": "wasserstein",
}  # fmt: skip


def test_a_clipped_critic_on_one_point_turns_in_a_circle(train: Any) -> None:
    """Mescheder et al. (2018), lemma 2.7: weight clipping does not make the Dirac game converge."""
    rates = {"lr_generator": "1.5", "lr_critic": "1.5"}
    run = train("run", "dirac", penalty="clip(0.1)", steps=700, **rates, **{**CIRCLE, "log_every": 5})
    found = run.diagnosis()
    assert "limit cycle" in named(found)
    cycle = next(f for f in found.findings if f.problem == "limit cycle")
    record = records(run.config, read(run.folder / "events.jsonl"))[0]
    offset = record.signs["offset"][record.settled]
    turns = int((np.diff(np.sign(offset)) > 0).sum())
    span = float(np.ptp(record.examples[record.settled]))
    assert cycle.numbers["period"] == pytest.approx(span / turns, rel=0.2)


def test_an_unbounded_critic_is_not_called_healthy(tmp_path: Path) -> None:
    options = {**CIRCLE, "network": "mlp(width=8, depth=1)", "penalty": "none", "lr_generator": 1, "lr_critic": 1}
    with pytest.raises(gn.errors.RunError):
        gn.train("dirac", out=str(tmp_path / "run"), steps=300, **options)
    found = gn.Run(tmp_path / "run").diagnosis()
    assert named(found)[0] == "non-finite values"
    assert "gave up" in found.findings[0].evidence
    assert found.findings[0].treatment.settings == {"penalty": ("r1r2(gamma=0.1)",)}  # type: ignore[union-attr]


def test_a_forced_collapse_is_seen_in_the_events(train: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A generator that is held at one point, and a guard that only looks."""
    monkeypatch.setattr(Guard, "judge", lambda guard, finite, signs: {})

    class Holding(gn.api.Silent):
        def started(self, trainer: Trainer) -> None:
            for value in trainer.state.params["generator"].values():
                value.zero_()

    run = train("run", watcher=Holding(), lr_generator="0", steps=60, log_every=5, **SMALL)
    found = run.diagnosis()
    assert named(found)[0] == "collapse"
    assert found.findings[0].since == 40
    assert found.findings[0].numbers["spread"] == 0


def test_a_saturated_logistic_critic_pulls_no_more(train: Any) -> None:
    """s(y) |grad y| vanishes with the critic's certainty for the saturating loss, and not for the other."""
    forces = {}
    for objective in ("jsd", "nonsaturating"):
        trainer = Trainer(
            complete({"source": "ring8", "objective": objective, "steps": 20, **SMALL}, "toy"), open_source("ring8")
        )
        trainer.advance(5)
        trainer.state.params["critic"]["body.layers.1.bias"].fill_(-20.0)
        forces[objective] = force(trainer, 0)
    assert forces["jsd"] < 1e-6
    assert forces["nonsaturating"] > 0.01


def test_the_force_is_the_gradient_in_the_samples() -> None:
    """For y = a . x the Wasserstein generator feels |a|, times the spread of the data."""
    source = open_source("ring8")
    config = complete(
        {"source": "ring8", "objective": "wasserstein", "steps": 20, "precision": "float64", **SMALL}, "toy"
    )
    trainer = Trainer(config, source)
    trainer.advance(1)
    body = trainer.state.params["critic"]
    body["body.layers.0.bias"].fill_(100.0)  # every unit is on, so that the critic is linear
    slope = body["body.layers.1.weight"] @ body["body.layers.0.weight"]
    spread = source.heldout(256).double().var(0, correction=0).sum().sqrt()
    assert force(trainer, 0) == pytest.approx(float(slope.norm() * spread), rel=1e-6)


def test_members_of_a_population_are_judged_one_by_one(train: Any) -> None:
    run = train("run", population=3, lr_critic="each(0.001, 1e30, 0.001)", steps=40, log_every=5, **SMALL)
    found = run.diagnosis()
    assert {(f.problem, f.member) for f in found.findings if f.problem == "non-finite values"} == {
        ("non-finite values", 1)
    }
    single = examine(run.trainer(), 2)
    assert math.isfinite(single.force)


def test_a_healthy_run_is_called_healthy(train: Any) -> None:
    run = train("run", "gaussian", batch=64, steps=500, log_every=7, network="mlp(width=16, depth=1)", compile="off",
                objective="jsd", lr_generator="0.002", lr_critic="0.002")  # fmt: skip
    found = run.diagnosis(spectrum=True)
    assert found.healthy, [f.sentence() for f in found.findings]
    assert "no cycle beyond noise" in found.notes[0]
    assert "slowest eigenvalue" in found.notes[0]


def test_signs_are_in_the_log_of_every_look(train: Any) -> None:
    run = train("run", population=2, steps=20, log_every=5, **SMALL)
    steps = [e for e in read(run.folder / "events.jsonl") if e["event"] == "step"]
    assert len(steps) == 4
    for step in steps:
        assert {"spread", "offset", "gap"} <= step["signs"].keys()
        assert all(len(value) == 2 for value in step["signs"].values())


def test_a_log_without_signs_or_looks_is_read(train: Any) -> None:
    """As older versions wrote it."""
    run = train("run", steps=20, log_every=5, **SMALL)
    events = [{k: v for k, v in e.items() if k != "signs"} for e in read(run.folder / "events.jsonl")]
    assert diagnose(records(run.config, events)).healthy
    empty = diagnose(records(run.config, []))
    assert empty.notes == ("nothing logged yet",)


def test_data_that_are_gone_leave_the_events(train: Any, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.random.default_rng(0).standard_normal((60, 2)))
    run = train("run", str(tmp_path / "x.npy"), steps=20, log_every=5, **SMALL)
    (tmp_path / "x.npy").unlink()
    found = gn.Run(run.folder).diagnosis()
    assert any("the checkpoint was not looked at" in note for note in found.notes)
    assert isinstance(run.config, Config)
