"""Whatever is wrong with a request or a run is one line that says where, what was got and what is allowed."""

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import ganneal as gn
from ganneal.engine import checkpoint

RNG = np.random.default_rng(0)


def rejected(said: Any, code: int, *parts: str) -> None:
    """The command failed with that code and one line that holds all parts."""
    assert said.code == code, said
    assert said.complaint.startswith("ganneal: ")
    assert said.complaint.count("\n") == 1
    assert said.complaint.endswith("\n")
    for part in parts:
        assert part in said.complaint


# --- verbs and options: nothing is read or written ---

REQUESTS = {
    "unknown verb": ("trian ring8", ["unknown verb 'trian'", "did you mean 'train'?", "recipes, report, resume"]),
    "unknown option": ("train ring8 --stepz 3", ["unknown option '--stepz'", "did you mean '--steps'?"]),
    "unknown short option": ("sample run -m 3", ["unknown option '-m'", "--member"]),
    "unknown option of a small verb": ("info --jsn", ["'--jsn'", "did you mean '--json'?"]),
    "nothing to train on": ("train", ["SOURCE is missing"]),
    "no run": ("resume", ["PATH is missing"]),
    "two sources": ("train ring8 moons", ["unexpected argument 'moons'"]),
    "option without value": ("train ring8 --batch", ["--batch: expected a value, got none"]),
    "batch no number": ("train ring8 --batch x", ["batch: expected a whole number, got 'x'"]),
    "batch too small": ("train ring8 --batch 1", ["batch: expected at least 2, got '1'"]),
    "ema too large": ("train ring8 --ema 1", ["ema: expected less than 1", "got '1'"]),
    "negative steps": ("train ring8 --steps -5", ["steps: expected at least 1, got '-5'"]),
    "half a step": ("train ring8 --steps 2.5", ["steps: expected a whole number, got '2.5'"]),
    "no examples": ("train ring8 --examples 0", ["examples: expected at least 1, got '0'"]),
    "not a choice": ("train ring8 --compile maybe", ["compile: expected 'auto', 'on' or 'off', got 'maybe'"]),
    "seeds no numbers": ("train ring8 --seeds 1 x", ["seeds: expected a whole number, got 'x'"]),
    "unknown source": ("train ring9", ["unknown source 'ring9'", "did you mean 'ring8'?"]),
    "no such file": ("train nowhere.csv", ["'nowhere.csv'", "no such file or folder"]),
    "argument of a source": ("train ring8(radios=1)", ["has no argument 'radios'", "'radius'"]),
    "unknown recipe": ("train ring8 --recipe digts", ["unknown recipe 'digts'", "did you mean 'digits'?"]),
    "unknown objective": ("train ring8 --objective rlk", ["objective: ", "'rlk'", "did you mean 'rkl'?"]),
    "unknown penalty": ("train ring8 --penalty r3", ["penalty: ", "'r3'", "r1r2"]),
    "unknown argument of a penalty": ("train ring8 --penalty r1r2(gama=1)", ["'gama'", "did you mean 'gamma'?"]),
    "penalty argument no number": ("train ring8 --penalty gp(weight=x)", ["penalty: ", "'x'"]),
    "negative penalty": ("train ring8 --penalty r1r2(gamma=-1)", ["r1r2: the weight must not be negative, got -1"]),
    "penalty twice": ("train ring8 --penalty r1 r1", ["penalty: each kind at most once, got r1, r1"]),
    "constraint no number": ("train ring8 --penalty spectral(coefficient=x)", ["penalty: ", "coefficient", "x"]),
    "unknown network": ("train ring8 --network mpl", ["network: ", "'mpl'", "did you mean 'mlp'?"]),
    "network for images": ("train ring8 --network dcgan", ["'dcgan' is for images", "use mlp"]),
    "unknown solver": ("train ring8 --solver extra", ["solver: ", "'extra'", "alternating"]),
    "optimizer argument": ("train ring8 --optimizer adam(lr=1)", ["optimizer: ", "'lr'", "beta1"]),
    "optimizer out of range": ("train ring8 --optimizer sgd(momentum=2)", ["sgd: momentum must be in [-1, 1), got 2"]),
    "unknown score": ("train ring8 --score dms --lambda-likelihood 1", ["score: ", "did you mean 'dsm'?"]),
    "unknown schedule": ("train ring8 --lr-critic abc", ["lr_critic: unknown schedule 'abc'"]),
    "schedule without ends": ("train ring8 --noise linear(1)", ["noise: ", "linear", "got 1"]),
    "schedule torn": ("train ring8 --beta linear(0.2->1", ["beta: cannot read"]),
    "negative learning rate": ("train ring8 --lr-critic -1", ["lr_critic: must not be negative, got -1"]),
    "lambda below -1": ("train ring8 --lambda-likelihood=-1.5", ["lambda_likelihood", "-1.5", "above -1"]),
    "lambda crossing -1": ("train ring8 --lambda-entropy linear(0->-2)", ["lambda_entropy", "-2", "at progress 1"]),
    "beta through 0": ("train ring8 --beta linear(1->-0.2)", ["beta = -0.2 at progress 1", "must be positive"]),
    "beta and lambdas": ("train ring8 --beta 1 --lambda-entropy 0.5", ["beta: give either beta or the lambdas"]),
    "entries for nobody": (
        "train ring8 --population 2 --noise each(0,1,2)",
        ["noise: 3 entries for a population of 2"],
    ),
    "penalties for nobody": ("train ring8 --penalty r1(gamma=each(1,2))", ["penalty", "2 entries", "population of 1"]),
    "seeds for nobody": ("train ring8 --population 2 --seeds 1 2 3", ["seeds: 3 given for a population of 2"]),
    "size of a toy": ("train ring8 --size 16", ["ring8: size is for images, got size=16"]),
    "heldout": ("train ring8 --heldout 1.5", ["heldout: expected less than 1", "got '1.5'"]),
    "no gpu": ("train ring8 --device cuda", ["device: cuda is not available here; use cpu or auto"]),
    "no configuration file": ("train ring8 --config nowhere.yaml", ["nowhere.yaml: cannot read it (No such file"]),
    "unknown recipe shown": ("recipes digit", ["unknown recipe 'digit'", "did you mean 'digits'?"]),
    "no run folder": ("sample nowhere", ["nowhere: not a run folder (it has no config.yaml)"]),
    "nothing to resume": ("resume nowhere", ["nowhere: not a run folder"]),
    "nothing to report": ("report nowhere", ["nowhere: not a run folder"]),
    "sample count": ("sample run -n 0", ["n: expected at least 1, got '0'"]),
    "sample format": ("sample run -o x.gif", ["x.gif: unknown format '.gif'", ".npz, .npy, .csv, .png"]),
}


@pytest.mark.parametrize("case", REQUESTS)
def test_a_wrong_request_is_refused_before_anything_is_written(case: str, ganneal: Any, folder: Path) -> None:
    line, parts = REQUESTS[case]
    if case == "no gpu" and __import__("torch").cuda.is_available():
        pytest.skip("there is a GPU here")
    rejected(ganneal(*line.split(" ")), 2, *parts)
    assert not [*folder.iterdir()]


def test_no_verb_shows_the_page_and_fails(ganneal: Any) -> None:
    assert ganneal().code == 2
    assert "usage: ganneal VERB" in ganneal().out


# --- files that cannot be trained on ---


def picture(path: Path, width: int = 8) -> None:
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(RNG.integers(0, 256, (8, width, 3), dtype=np.uint8)).save(path)


def truncated(path: Path) -> None:
    np.save(path, np.zeros((50, 2)))
    path.write_bytes(path.read_bytes()[:300])


def with_nan(path: Path) -> None:
    x = np.zeros((50, 2))
    x[3, 1] = np.nan
    np.save(path, x)


def of_two_sizes(path: Path) -> None:
    for k in range(6):
        picture(path / f"{k}.png", 8 + k % 2)


def with_words(path: Path) -> None:
    path.write_text("a,b\n1,2\n2,red\n3,4\n4,5\n")


FILES: dict[str, tuple[str, Callable[[Path], None], list[str]]] = {
    "truncated": ("x.npy", truncated, ["x.npy", "truncated or damaged"]),
    "nan": ("x.npy", with_nan, ["x.npy", "column 'x1' has nan in data row 4", "must be finite"]),
    "words": ("x.csv", with_words, ["x.csv", "must be numbers", "'b' (for example 'red')"]),
    "two sizes": ("pictures", of_two_sizes, ["8x8 pixels", "9x8", "pass --size"]),
    "one image": ("pictures", lambda path: picture(path / "1.png"), ["has 1 example; at least 4 are needed"]),
    "empty folder": ("pictures", lambda path: path.mkdir(), ["no images found", ".png"]),
    "unknown ending": ("x.docx", lambda path: path.write_text("x"), ["x.docx", "'.docx' are not read", ".csv"]),
    "not a zip": ("x.zip", lambda path: path.write_text("x"), ["x.zip", "not a readable zip file"]),
    "no rows": ("x.csv", lambda path: path.write_text(""), ["x.csv", "empty"]),
}  # type: ignore[dict-item]


@pytest.mark.parametrize("case", FILES)
def test_a_file_that_cannot_be_trained_on(case: str, ganneal: Any, folder: Path) -> None:
    name, make, parts = FILES[case]
    make(folder / name)
    rejected(ganneal("train", name, "--steps", "2", "--out", "run"), 2, *parts)
    assert not (folder / "run").exists()


CONFIGURATIONS = {
    "unknown key": ("batchh: 3", ["bad.yaml: unknown key 'batchh'", "did you mean 'batch'?"]),
    "a list": ("- a\n- b", ["bad.yaml: expected keys and values, got ['a', 'b']"]),
    "nothing": ("", ["bad.yaml: expected keys and values, got nothing"]),
    "not YAML": ("a: [", ["bad.yaml: not YAML"]),
    "a word for a number": ("batch: many", ["batch: expected a whole number, got 'many'"]),
    "a number for a list": ("penalty: 3", ["penalty: expected a list, got 3"]),
    "a mapping for a schedule": ("noise: {a: 1}", ["noise: expected text, got {'a': 1}"]),
    "a list for a recipe": ("recipe: [a]", ["recipe: expected text, got ['a']"]),
    "negative steps": ("steps: -3", ["steps: expected at least 1, got -3"]),
}


@pytest.mark.parametrize("case", CONFIGURATIONS)
def test_a_configuration_file_that_is_wrong(case: str, ganneal: Any, folder: Path) -> None:
    text, parts = CONFIGURATIONS[case]
    (folder / "bad.yaml").write_text(text)
    rejected(ganneal("train", "ring8", "--config", "bad.yaml", "--out", "run"), 2, *parts)
    assert not (folder / "run").exists()


def test_a_configuration_file_that_is_no_text(ganneal: Any, folder: Path) -> None:
    (folder / "bad.yaml").write_bytes(b"\xff\xfe\x00")
    rejected(ganneal("train", "ring8", "--config", "bad.yaml"), 2, "bad.yaml: not a text in UTF-8")
    rejected(ganneal("train", "ring8", "--config", folder), 2, "cannot read it (Is a directory)")


# --- runs that are not what they were ---


@pytest.fixture
def run(ganneal: Any, small: tuple[str, ...], folder: Path) -> Path:
    """A finished run, whose verdict is taken away so that there is something to resume."""
    assert ganneal("train", "ring8", *small, "--steps", "4", "--out", "run").code == 0
    (folder / "run" / "verdict.json").unlink()
    return folder / "run"


def test_an_existing_folder_is_not_touched(ganneal: Any, run: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    rejected(ganneal("train", "ring8", "--out", "run"), 2, "run: exists already", "--out", "`ganneal resume run`")
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == before


def test_a_changed_configuration_is_not_resumed(ganneal: Any, run: Path) -> None:
    path = run / "config.yaml"
    text = path.read_text()
    path.write_text(text.replace("objective: rkl", "objective: jsd"))
    said = ganneal("resume", "run")
    rejected(said, 2, "run/config.yaml: objective is 'jsd'", "was made with 'rkl'", "restore it, or start a new run")
    path.write_text(text.replace("objective: rkl", "objektive: rkl"))
    rejected(ganneal("resume", "run"), 2, "run/config.yaml: unknown key 'objektive'", "did you mean 'objective'?")
    path.write_text(text.replace("keep: 3", "keep: 2"))  # changes no bit
    assert ganneal("resume", "run").code == 0


def test_changed_data_are_not_resumed(ganneal: Any, small: tuple[str, ...], folder: Path) -> None:
    np.save(folder / "x.npy", RNG.normal(size=(40, 2)))
    assert ganneal("train", "x.npy", *small, "--steps", "2", "--out", "run").code == 0
    np.save(folder / "x.npy", RNG.normal(size=(40, 3)))
    rejected(ganneal("resume", "run"), 2, "x.npy: the data have changed", "shape (3,)", "shape (2,)")
    (folder / "x.npy").unlink()
    rejected(ganneal("sample", "run"), 2, "x.npy", "no such file")


def test_a_damaged_checkpoint_is_named_and_the_one_before_is_used_without_it(ganneal: Any, run: Path) -> None:
    last = gn.Run(run).checkpoint()
    last.write_bytes(last.read_bytes()[:100])
    for verb in ("resume", "sample"):
        rejected(ganneal(verb, "run"), 1, f"run/checkpoints/{last.name}: not a readable checkpoint", "delete it")
    last.unlink()
    assert ganneal("resume", "run").code == 0
    assert gn.Run(run).finished


def test_a_checkpoint_of_a_newer_format(ganneal: Any, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = gn.Run(run).checkpoint()
    tree, meta = checkpoint.read(path)
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "FORMAT", checkpoint.FORMAT + 1)
        checkpoint.write(path.parent, int(path.stem), tree, meta)
    rejected(ganneal("resume", "run"), 2, path.name, "format 2, this ganneal reads up to 1", "newer version")


def test_a_damaged_verdict_or_log(ganneal: Any, run: Path) -> None:
    (run / "verdict.json").write_text("{")
    rejected(ganneal("resume", "run"), 1, "run/verdict.json: not readable", "delete it")
    (run / "verdict.json").unlink()
    (run / "checkpoints" / "best.json").write_text("{")
    rejected(ganneal("sample", "run", "--checkpoint", "best"), 1, "run/checkpoints/best.json: not readable")


def test_samples_that_cannot_be_drawn_or_written(ganneal: Any, run: Path, folder: Path) -> None:
    assert ganneal("sample", "run", "-o", "x.npz").code == 0
    before = (folder / "x.npz").read_bytes()
    rejected(ganneal("sample", "run", "-o", "x.npz", "--seed", "1"), 2, "x.npz: exists already", "--force")
    assert (folder / "x.npz").read_bytes() == before
    rejected(ganneal("sample", "run", "-o", "y.npz", "--member", "3"), 2, "member: got 3; allowed: 0 to 0")
    rejected(ganneal("sample", "run", "-o", "y.npz", "--checkpoint", "7"), 2, "checkpoint: got '7'", "last, best", "32")
    rejected(ganneal("sample", "run", "-o", "x.npz/y.npz"), 1, "x.npz: cannot create it")
    assert not (folder / "y.npz").exists()


def test_a_run_without_a_checkpoint_has_nothing_to_sample(ganneal: Any, run: Path) -> None:
    for path in (run / "checkpoints").glob("*"):
        path.unlink()
    rejected(ganneal("sample", "run"), 1, "run: has no checkpoint yet")


# --- disks that refuse ---


def refuse(*arguments: Any, **options: Any) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_folder_that_cannot_be_made_leaves_nothing(
    ganneal: Any, small: tuple[str, ...], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "replace", refuse)
    rejected(ganneal("train", "ring8", *small, "--out", "run"), 1, "run/config.yaml: cannot write it (No space left")
    assert not [*folder.iterdir()]
    (folder / "file").write_text("")
    rejected(ganneal("train", "ring8", *small, "--out", "file/run"), 1, "file/run: cannot create it (Not a directory)")


def test_a_disk_that_fills_up_leaves_a_run_that_resumes(
    ganneal: Any, small: tuple[str, ...], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = (*small, "--steps", "8", "--log-every", "1", "--checkpoint-every", "16")
    replace, count = os.replace, 0

    def refuse_later(source: Any, target: Any) -> None:
        nonlocal count
        count += str(target).endswith(".safetensors")
        if count > 2:
            refuse()
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", refuse_later)
        said = ganneal("train", "ring8", *options, "--out", "run")
    rejected(said, 1, "run/checkpoints/0000000000", "cannot write it (No space left on device)", "`ganneal resume`")
    assert not [*(folder / "run").rglob("*.tmp")]
    assert ganneal("resume", "run").code == 0
    assert ganneal("train", "ring8", *options, "--out", "whole").code == 0
    assert gn.Run("run").verdict == gn.Run("whole").verdict


def test_a_really_full_disk(ganneal: Any, small: tuple[str, ...], folder: Path) -> None:
    (folder / "disk").mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", "disk"]
    mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"cannot mount a small disk: {mounted.stderr.strip()}")
    options = (*small, "--steps", "400", "--log-every", "1", "--checkpoint-every", "80")
    try:
        rejected(ganneal("train", "ring8", *options, "--out", "disk/run"), 1, "disk/run/", "cannot write it (No space")
        assert gn.Run("disk/run").checkpoint()
        assert not gn.Run("disk/run").finished
        subprocess.run(["mount", "-o", "remount,size=20m", "disk"], check=True)
        assert ganneal("resume", "disk/run").code == 0
    finally:
        subprocess.run(["umount", "disk"], check=True)


# --- the same from a shell ---


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(["trian"], 2), (["train", "ring8", "--objective", "rlk"], 2), (["sample", "nowhere"], 2), ([], 2), (["info"], 0)],
)
def test_a_shell_gets_the_code_and_one_line(arguments: list[str], code: int, folder: Path) -> None:
    command = [sys.executable, "-m", "ganneal", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == code
    assert done.stderr.count("\n") == (1 if code and arguments else 0)
    assert "Traceback" not in done.stderr
    assert not [*folder.iterdir()]
