"""A run survives whatever stops its process: it can be read at once, and resumed to the bits of a run that was left
alone."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ganneal as gn
from ganneal.engine import checkpoint
from ganneal.engine.events import read

OPTIONS = {
    "network": "mlp(width=8, depth=1)",
    "batch": 8,
    "examples": 8 * 120,
    "log_every": 1,
    "checkpoint_every": 8,
    "sample_every": 80,
    "keep": 2,
    "permutations": 19,
}
"""A training that writes something at every step, so that hardly a moment is safe."""


def start(verb: str, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "ganneal", verb, *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def start_training(table: Path, folder: Path) -> subprocess.Popen[str]:
    flags = [f"--{key.replace('_', '-')}={value}" for key, value in OPTIONS.items()]
    return start("train", str(table), *flags, "--out", str(folder))


def wait_for(process: subprocess.Popen[str], happened: Callable[[], bool]) -> None:
    limit = time.monotonic() + 60
    while not happened():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < limit
        time.sleep(0.001)


def steps(folder: Path) -> int:
    return sum(event["event"] == "step" for event in read(folder / "events.jsonl"))


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "table.npy"
    np.save(path, np.random.default_rng(0).normal(size=(60, 2)))
    return path


@pytest.fixture(scope="module")
def undisturbed(table: Path) -> gn.Run:
    return gn.train(table, **{**OPTIONS, "out": str(table.parent / "undisturbed")})  # type: ignore[arg-type]


def test_killed_again_and_again_at_random_moments(
    tmp_path: Path, table: Path, undisturbed: gn.Run, assert_same_bits: Any
) -> None:
    folder, moments = tmp_path / "run", random.Random(0)
    process = start_training(table, folder)
    for _ in range(2):
        target = steps(folder) + moments.randint(3, 20)
        wait_for(process, lambda target=target: steps(folder) >= target)  # type: ignore[misc]
        time.sleep(moments.uniform(0, 0.02))
        process.kill()
        assert process.wait() == -signal.SIGKILL
        found = checkpoint.listing(folder / "checkpoints")
        assert found
        for path in found:
            assert checkpoint.read(path)[1]["position"] == int(path.stem)
        assert read(folder / "events.jsonl")[0]["event"] == "start"
        process = start("resume", str(folder))
    said, complaints = process.communicate(timeout=120)
    assert process.returncode == 0, complaints
    assert "verdict:" in said
    assert not [*folder.rglob(".*")]
    assert_same_bits(undisturbed, gn.Run(folder))
    events = read(folder / "events.jsonl")
    assert [e["examples"] for e in events if e["event"] == "step"] == list(range(8, 8 * 120 + 1, 8))
    assert sum(e["event"] == "resume" for e in events) == 2


def test_a_signal_leaves_a_checkpoint_and_says_how_to_go_on(
    tmp_path: Path, table: Path, undisturbed: gn.Run, assert_same_bits: Any
) -> None:
    folder = tmp_path / "run"
    process = start_training(table, folder)
    for number, code in ((signal.SIGTERM, 143), (signal.SIGINT, 130)):
        target = steps(folder) + 5
        wait_for(process, lambda target=target: steps(folder) >= target)  # type: ignore[misc]
        process.send_signal(number)
        said, complaints = process.communicate(timeout=60)
        assert (process.returncode, complaints) == (code, "")
        assert f"stopped by {number.name} after a checkpoint: continue with `ganneal resume {folder}`" in said
        end = read(folder / "events.jsonl")[-1]
        assert (end["event"], end["reason"]) == ("end", "interrupted")
        assert end["examples"] == int(gn.Run(folder).checkpoint().stem)
        process = start("resume", str(folder))
    assert process.wait(timeout=120) == 0
    assert_same_bits(undisturbed, gn.Run(folder))


def test_killed_before_the_first_checkpoint_a_run_starts_anew(train: Any, assert_same_bits: Any) -> None:
    whole, killed = train("whole", steps=5), train("killed", steps=5)
    for path in (killed.folder / "checkpoints").iterdir():
        path.unlink()
    for name in ("events.jsonl", "verdict.json"):
        (killed.folder / name).unlink()
    assert_same_bits(whole, killed.resume())


def test_without_its_configuration_a_folder_is_no_run(tmp_path: Path) -> None:
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    with pytest.raises(gn.UsageError, match="not a run folder"):
        gn.Run(tmp_path / "run")
