"""Every system under the trainer: members are single runs, resume is exact, samples and verdicts work, and bad requests
are refused in one line."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import ganneal as gn
from ganneal.cli import run as cli
from ganneal.data import open_source
from ganneal.engine import checkpoint
from ganneal.engine.config import complete
from ganneal.engine.trainer import Trainer
from ganneal.errors import UsageError

SMALL: dict[str, Any] = {"batch": 8, "steps": 8, "precision": "float64", "network": "mlp(width=16, depth=2)"}
IMAGES: dict[str, Any] = {"source": "digits", "recipe": "image", "network": "dcgan(width=4)", "latent": 8}

CASES: dict[str, dict[str, Any]] = {
    "mode_regularised": {"system": "mode_regularised"},
    "mode_regularised, pairs and noise": {"system": "mode_regularised", "objective": "relativistic", "noise": 0.2},
    "mode_regularised, annealed": {
        "system": "mode_regularised",
        "lambda_likelihood": -0.5,
        "score": "dsm(sigmas=0.1->1, at=0.3, width=8)",
    },
    "mode_regularised, field": {"system": "mode_regularised", "penalty": "nk(eta=0.5)"},
    "mode_regularised, means": {"system": "mode_regularised", "penalty": "lecam", "solver": "simultaneous"},
    "mode_regularised, images": {"system": "mode_regularised", **IMAGES},
    "mdgan": {"system": "mdgan(distance=1, mode=0.1)"},
    "mdgan, spectral": {"system": "mdgan", "penalty": "spectral", "objective": "hinge"},
    "mdgan, images": {"system": "mdgan", **IMAGES, "critic": "pack(size=2)"},
    "mix": {"system": "mix"},
    "mix, clipped": {"system": "mix(components=2)", "objective": "wasserstein", "penalty": "clip"},
    "mix, spectral": {"system": "mix(components=2)", "objective": "hinge", "penalty": "spectral"},
    "mix, uniform": {"system": "mix(components=2, barrier=1)", "latent_law": "uniform", "critic": "minibatch"},
    "mix, images": {"system": "mix(components=2)", **IMAGES},
    "mmd": {"system": "mmd"},
    "mmd, gp": {"system": "mmd(kernel=gaussian, critic=4)", "penalty": "gp(weight=1)", "noise": "0.1"},
    "mmd, t": {"system": "mmd(statistic=t)", "penalty": "none"},
    "gmmn": {"system": "mmd(critic=none)", "penalty": "none"},
    "t-gmmn": {"system": "mmd(critic=none, statistic=t)", "penalty": "none", "solver": "simultaneous"},
    "mmd, images": {"system": "mmd", **IMAGES},
    "bourgan": {"latent_law": "bourgan(modes=8)", "latent": 3},
    "bourgan, mix": {"latent_law": "bourgan(modes=8)", "system": "mix(components=2)"},
    "bourgan, images": {**IMAGES, "latent_law": "bourgan(modes=8)"},
}


def trained(steps: int, **options: Any) -> Trainer:
    given = {"source": "ring8", **SMALL, **options}
    opened = open_source(given["source"])
    trainer = Trainer(complete(given, opened.kind), opened)
    trainer.advance(steps)
    return trainer


def tensors(trainer: Trainer) -> dict[str, Tensor]:
    return checkpoint.flatten(trainer.snapshot()[0])


@pytest.mark.parametrize("case", CASES)
def test_members_are_single_runs_and_resume_is_exact(case: str) -> None:
    options = CASES[case]
    single = trained(4, seed=5, **options)
    plain = tensors(single)
    stacked = trained(4, seed=4, population=2, **options)
    for name, value in tensors(stacked).items():
        if name in plain and not name.startswith("streams"):
            member = value if value.dim() == plain[name].dim() else value[1]
            torch.testing.assert_close(member, plain[name], rtol=1e-5, atol=1e-5, msg=lambda m, n=name: f"{n}: {m}")
    resumed = trained(0, seed=5, **options)
    resumed.restore(*single.snapshot())
    assert torch.equal(resumed.sample(9, seed=3), single.sample(9, seed=3))
    single.advance(3)
    resumed.advance(3)
    again = tensors(resumed)
    assert all(torch.equal(again[name], value) for name, value in tensors(single).items())
    assert torch.isfinite(single.sample(9)).all()
    assert torch.equal(single.sample(9, block=4), single.sample(9))
    losses = single.advance(1)
    assert set(losses) == set(single.play.players)
    assert single.check(losses) == []
    assert {"spread"} <= set(single.seen)


@pytest.mark.parametrize("case", ["mode_regularised", "mdgan", "mix", "mmd", "gmmn", "bourgan"])
def test_every_player_moves(case: str) -> None:
    trainer = trained(0, **CASES[case])
    before = {n: v.clone() for n, v in tensors(trainer).items() if n.startswith("params")}
    trainer.advance(2)
    after = tensors(trainer)
    still = [name for name, value in before.items() if torch.equal(value, after[name])]
    assert not still


@pytest.mark.parametrize(("system", "player"), [("mode_regularised", "encoder"), ("mdgan", "manifold")])
def test_learning_rates_of_new_players(system: str, player: str) -> None:
    trainer = trained(0, system=system, lr_generator=0.003, lr_critic=0.007)
    assert trainer.assembly.coefficients.values(f"lr.{player}", 0.0) == [0.003 if player == "encoder" else 0.007]


def test_running_means_have_a_plain_step() -> None:
    trainer = trained(0, penalty="lecam(decay=0.9)", optimizer="adam")
    assert trainer.assembly.coefficients.values("lr.anchors", 0.0) == [pytest.approx(0.1)]
    assert not trainer.state.slots["anchors"]


def test_centres_are_kept_in_checkpoints() -> None:
    """What was learned from data before a training survives a change of the arithmetic that learned it."""
    options = CASES["bourgan"]
    one = trained(2, **options)
    tree, meta = one.snapshot()
    tree["latents"] = {"centres": tree["latents"]["centres"] + 1}
    other = trained(0, **options)
    other.restore(tree, meta)
    law = other.assembly.game.latent_law
    assert torch.equal(law.tensors["centres"], one.assembly.game.latent_law.tensors["centres"] + 1)


def test_mixtures_sample_by_weight_whatever_the_block() -> None:
    trainer = trained(2, **CASES["mix"])
    z = trainer.latents(2000, 0)
    assert z.shape == (2000, 3)
    assert 0 <= z[:, -1].min() <= z[:, -1].max() <= 1


@pytest.mark.parametrize("system", ["mode_regularised", "mdgan", "mix", "mmd", "mmd(critic=none)"])
def test_a_whole_run(system: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Training, verdict, samples of a saved run, and a report."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    monkeypatch.setattr("ganneal.engine.verdict.MOST", 60)
    more = {"penalty": "none"} if system == "mmd(critic=none)" else {}
    run = gn.train(
        "ring8", system=system, steps=50, batch=16, network="mlp(width=16)", out=str(tmp_path / "run"),
        permutations=19, **more,
    )  # fmt: skip
    assert run.finished
    assert gn.Run(run.folder).sample(16).shape == (16, 2)
    assert run.verdict is not None


def test_the_command_line_knows_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("ganneal.engine.verdict.MOST", 60)
    small = ["--steps", "50", "--batch", "8", "--network", "mlp(width=8)", "--permutations", "19"]
    assert cli(["train", "ring8", "--system", "mix(components=2)", *small, "--out", "a"]) in (0, 1)
    assert cli(["sample", "a", "-n", "5", "--out", "samples.csv"]) == 0
    assert len((tmp_path / "samples.csv").read_text().splitlines()) >= 5
    assert cli(["train", "ring8", "--system", "mixx", *small]) == 2
    assert "unknown system 'mixx': " in capsys.readouterr().err


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"system": "mdgn"}, "system: unknown system 'mdgn'.*mdgan"),
    ({"system": "mode_regularised(distance=-1)"}, "system: mode_regularised: distance must not be negative"),
    ({"system": "mdgan(distance=0, mode=0)"}, "the encoder learns nothing; use gan"),
    ({"system": "mdgan", "penalty": "lecam"}, "penalty: lecam needs one pair of running means.*r1r2"),
    ({"system": "mix(components=1)"}, "components must be a whole number from 2 to 32, got 1; one is system gan"),
    ({"system": "mix(barrier=0)"}, "barrier must be positive"),
    ({"system": "mix", "penalty": "isometry"}, "penalty: isometry"),
    ({"system": "mmd(kernel=gauss)"}, "unknown kernel 'gauss'.*gaussian"),
    ({"system": "mmd(statistic=z)"}, "unknown statistic 'z'"),
    ({"system": "mmd(critic=0)"}, "critic must be a number of features"),
    ({"system": "mmd", "objective": "hinge"}, "objective: system mmd has a distance of its own.*hinge"),
    ({"system": "mmd", "critic": "pack(size=2)"}, "critic: system mmd sees whole batches"),
    ({"system": "mmd", "beta": "linear(0.5->1)"}, "beta: system mmd has no log-ratio"),
    ({"system": "mmd", "penalty": "roth"}, "penalty: roth is not one on the witness"),
    ({"system": "mmd(critic=none)"}, "has no critic to penalise.*mmd\\(critic=16\\)"),
    ({"system": "mix", "source": "target:kidney", "recipe": "target"}, "system: sampler exact.*must be gan"),
    ({"latent_law": "bourgan", "source": "target:kidney", "recipe": "target"}, "latent_law"),
    ({"latent_law": "normle"}, "latent_law: unknown latent_law 'normle'"),
]


@pytest.mark.parametrize(("options", "said"), REFUSED)
def test_bad_requests(options: dict[str, Any], said: str) -> None:
    given = {**SMALL, **options}
    if given.get("recipe") == "target":
        del given["network"]
    source = open_source(given.pop("source", "ring8"))
    with pytest.raises(UsageError, match=said) as caught:
        Trainer(complete({"source": source.name, **given}, source.kind), source)
    assert "\n" not in str(caught.value)


COMPILED = """
import sys, torch
sys.path.insert(0, {folder!r})
from test_system_training import CASES, tensors, trained
options = {{**CASES[{case!r}], "population": 2}}
eager, compiled = (tensors(trained(3, compile=mode, **options)) for mode in ("off", "on"))
print(max((compiled[name].double() - value.double()).abs().max().item() for name, value in eager.items()))
"""


@pytest.mark.slow
@pytest.mark.parametrize("case", ["mdgan", "mix, clipped", "mmd, t", "bourgan"])
def test_compiled_steps_are_the_same(case: str) -> None:
    """In a process of its own, where no shape checks are hooked into the imports."""
    done = subprocess.run(
        [sys.executable, "-c", COMPILED.format(folder=str(Path(__file__).parent), case=case)],
        env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=580, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 1e-9
