"""Small trainings, stopped in the middle by a real signal."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import ganneal as gn
from ganneal.api import Silent
from ganneal.engine import checkpoint
from ganneal.engine.trainer import Trainer
from ganneal.engine.training import Interrupted

Train = Callable[..., gn.Run]


class SignalAt(Silent):
    """A watcher that sends this process a signal once that many steps are done, also between two log lines."""

    def __init__(self, step: int, number: int = signal.SIGINT):
        self.step, self.number = step, number

    def started(self, trainer: Trainer) -> None:
        advance = trainer.advance

        def advance_and_kill(steps: int) -> dict[str, Tensor]:
            losses = advance(steps)
            if trainer.step >= self.step:
                os.kill(os.getpid(), self.number)
            return losses

        trainer.advance = advance_and_kill  # type: ignore[method-assign]


@pytest.fixture(autouse=True)
def light(monkeypatch: pytest.MonkeyPatch) -> None:
    """No waiting for the disk, short verdicts, and no report pages: other tests read those."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    monkeypatch.setattr("ganneal.engine.verdict.MOST", 60)
    monkeypatch.setattr(gn.Run, "report", lambda run: run.folder / "report.html")


@pytest.fixture
def train(tmp_path: Path) -> Train:
    """`ganneal.train` into a folder of that name, with few permutations."""

    def run(name: str, source: Any = "ring8", **options: Any) -> gn.Run:
        return gn.train(source, **{"out": str(tmp_path / name), "permutations": 19, **options})

    return run


@pytest.fixture
def interrupted(tmp_path: Path, train: Train) -> Train:
    """The same training stopped by SIGINT at step `at`."""

    def run(name: str, source: Any = "ring8", *, at: int, **options: Any) -> gn.Run:
        with pytest.raises(Interrupted) as stop:
            train(name, source, watcher=SignalAt(at), **options)
        assert (stop.value.number, stop.value.folder) == (signal.SIGINT, tmp_path / name)
        return gn.Run(tmp_path / name)

    return run


@pytest.fixture
def tensors() -> Callable[..., dict[str, Tensor]]:
    """All tensors of a checkpoint by path name, and its counters as the key "meta"."""

    def read(run: gn.Run, which: str = "last") -> dict[str, Any]:
        tree, meta = checkpoint.read(run.checkpoint(which))
        meta["config"].pop("out")
        return {**checkpoint.flatten(tree), "meta": meta}

    return read


@pytest.fixture
def assert_same_bits(tensors: Callable[..., dict[str, Any]]) -> Callable[[gn.Run, gn.Run], None]:
    """The last checkpoints and the verdicts of two runs agree in every bit."""

    def compare(one: gn.Run, other: gn.Run) -> None:
        a, b = tensors(one), tensors(other)
        assert a.pop("meta") == b.pop("meta")
        assert a.keys() == b.keys()
        different = [name for name in a if not torch.equal(a[name], b[name])]
        assert not different
        assert one.verdict == other.verdict

    return compare
