"""Two processes train what one trains, and a lost one ends the job, not the run."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

import ganneal as gn
from ganneal.engine.events import read
from ganneal.engine.processes import Processes

OPTIONS = {
    "penalty": "r1r2(gamma=0.1)",
    "precision": "float64",
    "network": "mlp(width=16, depth=2)",
    "batch": 16,
    "permutations": 19,
    "log_every": 5,
}


def torchrun(folder: Path, **options: Any) -> subprocess.Popen[str]:
    flags = [f"--{key.replace('_', '-')}={value}" for key, value in {**OPTIONS, **options}.items()]
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [*launch, "-m", "ganneal", "train", "ring8", *flags, "--out", str(folder)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def workers(launcher: subprocess.Popen[str]) -> dict[int, int]:
    """Process ids of the workers by rank."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            parent = int(process.joinpath("stat").read_text().rpartition(")")[2].split()[1])
            variables = process.joinpath("environ").read_bytes().split(b"\0")
        except (OSError, IndexError):  # it has ended meanwhile
            continue
        ranks = [v.removeprefix(b"RANK=") for v in variables if v.startswith(b"RANK=")]
        if parent == launcher.pid and ranks:
            found[int(ranks[0])] = int(process.name)
    return found


def wait_for_steps(launcher: subprocess.Popen[str], folder: Path, count: int) -> None:
    limit = time.monotonic() + 90
    while sum(event["event"] == "step" for event in read(folder / "events.jsonl")) < count:
        assert launcher.poll() is None, launcher.communicate()[1]
        assert time.monotonic() < limit
        time.sleep(0.01)


def test_two_processes_train_what_one_trains(tmp_path: Path, train: Any, tensors: Any) -> None:
    launcher = torchrun(tmp_path / "two", steps=20)
    said, complaints = launcher.communicate(timeout=120)
    assert launcher.returncode == 0, complaints
    assert said.count("verdict:") == said.count("training on") == 1
    assert "Traceback" not in complaints
    assert "destroy_process_group" not in complaints
    one, two = tensors(train("one", steps=20, **OPTIONS)), tensors(gn.Run(tmp_path / "two"))
    assert one.pop("meta") == two.pop("meta")
    assert one.keys() == two.keys()
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=0, atol=1e-6, msg=lambda m, name=name: f"{name}: {m}")


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_a_killed_process_ends_the_job_and_leaves_a_run_that_resumes(tmp_path: Path, rank: int) -> None:
    launcher = torchrun(tmp_path / "run", steps=1500, checkpoint_every=16 * 50)
    wait_for_steps(launcher, tmp_path / "run", 30)
    os.kill(workers(launcher)[rank], signal.SIGKILL)
    complaints = launcher.communicate(timeout=60)[1]
    assert launcher.returncode not in (0, None)
    assert "ganneal: lost contact with another process" in complaints
    assert "resume the run from its last checkpoint" in complaints
    run = gn.Run(tmp_path / "run")
    assert int(run.checkpoint().stem) >= 16 * 50
    assert run.resume().finished


@pytest.mark.slow
def test_a_signal_to_one_process_stops_all_after_a_checkpoint(tmp_path: Path) -> None:
    launcher = torchrun(tmp_path / "run", steps=100_000, checkpoint_every=16 * 100_000)
    wait_for_steps(launcher, tmp_path / "run", 10)
    os.kill(workers(launcher)[1], signal.SIGTERM)
    said, _ = launcher.communicate(timeout=60)
    assert launcher.returncode not in (0, None)
    assert said.count("stopped by SIGTERM after a checkpoint") == 1
    end = read(tmp_path / "run" / "events.jsonl")[-1]
    assert (end["event"], end["reason"]) == ("end", "interrupted")
    assert int(gn.Run(tmp_path / "run").checkpoint().stem) == end["examples"] > 0


def test_a_batch_that_does_not_divide_is_refused() -> None:
    processes = Processes()
    processes.count, processes.rank = 3, 1
    assert processes.share(9) == (1, 3)
    with pytest.raises(gn.UsageError, match="batch: 8 does not divide among 3 processes"):
        processes.share(8)
