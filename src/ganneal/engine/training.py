"""A training on disk: runs a `Trainer`, writes the run folder, and survives signals, crashes and full disks."""

import json
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

import numpy as np
from torch import Tensor

from ganneal.data.target import TargetSource
from ganneal.engine import checkpoint
from ganneal.engine.devices import environment
from ganneal.engine.events import EventLog
from ganneal.engine.guard import MAX_ROLLBACKS
from ganneal.engine.judging import judge_density
from ganneal.engine.opponents import mixture_samples
from ganneal.engine.trainer import Trainer
from ganneal.engine.treatment import advice
from ganneal.engine.verdict import distance, parts, verdict
from ganneal.errors import RunError


class Watcher(Protocol):
    """Is told what happens: the progress display, a notebook, a test."""

    def started(self, trainer: Trainer) -> None: ...

    def moved(self, trainer: Trainer, row: dict[str, Any]) -> None: ...

    def noted(self, line: str) -> None: ...


class Interrupted(Exception):
    """Training stopped at a signal, after a checkpoint in its run folder."""

    def __init__(self, number: int, folder: Path):
        self.number, self.folder = number, folder


def train(trainer: Trainer, folder: Path, watcher: Watcher, resumed: bool = False) -> dict[str, Any]:
    """Train to the end and return the verdict.

    Raises `Interrupted` at SIGINT or SIGTERM, after a checkpoint was written; `RunError` when the guard gives up or a
    write fails.
    """
    recorder = Recorder(trainer, folder, watcher) if trainer.processes.first else None
    try:
        if recorder:
            recorder.begin(resumed)
        watcher.started(trainer)
        with _signals() as caught:
            number = _loop(trainer, recorder, watcher, caught)
        if number:
            raise Interrupted(number, folder)
        found = recorder.finish() if recorder else {}
        trainer.processes.wait()
        return found
    except RunError:
        if recorder:
            with suppress(RunError):  # the disk that refused a checkpoint refuses this too
                recorder.end("failed")
        raise
    finally:
        if recorder:
            recorder.close()


def _loop(trainer: Trainer, recorder: "Recorder | None", watcher: Watcher, caught: Callable[[], int]) -> int:
    """Train to the end, or until a signal, whose number is returned."""
    every = trainer.config.log_every
    while trainer.step < trainer.steps:
        begun, first = time.perf_counter(), trainer.step
        boundary = min(trainer.steps, (trainer.step // every + 1) * every)
        losses: dict[str, Tensor] = {}
        while trainer.step < boundary:
            if number := trainer.processes.agree(caught()):
                if recorder:
                    if trainer.finite():
                        recorder.save()
                    recorder.end("interrupted")
                return number
            losses = trainer.advance(min(boundary - trainer.step, 10))
        for trouble in trainer.check(losses):
            watcher.noted(f"guard: member {trouble.member}: {trouble.problem} ({trouble.value:.3g}): {trouble.action}")
            if recorder:
                recorder.log.write("guard", trainer.examples, **asdict(trouble))
            if trainer.guard.lost:
                said = f"training does not hold: {trouble.problem} after {MAX_ROLLBACKS} rollbacks"
                raise RunError("; ".join(filter(None, (said, advice(trouble.problem, trainer.config)))))
        row = _row(trainer, losses, (trainer.step - first) * trainer.config.batch / (time.perf_counter() - begun))
        if recorder:
            recorder.stepped(row)
        elif trainer.step % recorder_period(trainer) == 0:
            trainer.mark_good()
        watcher.moved(trainer, row)
    return 0


def recorder_period(trainer: Trainer) -> int:
    """Steps between checkpoints, a multiple of the log period."""
    config = trainer.config
    every = config.checkpoint_every or max(1, config.examples // 20)
    return max(1, round(every / config.batch / config.log_every)) * config.log_every


def _row(trainer: Trainer, losses: dict[str, Tensor], rate: float) -> dict[str, Any]:
    single = trainer.config.population == 1
    likelihood, entropy, beta = trainer.temperature(max(0, trainer.step - 1))

    def short(values: list[float]) -> Any:
        return values[0] if single or len(values) == 1 else values

    return {
        "losses": {p: short(loss.reshape(-1).tolist()) for p, loss in losses.items()},
        "lambda_likelihood": short(likelihood),
        "lambda_entropy": short(entropy),
        "beta": short(beta),
        "signs": {name: short(value.tolist()) for name, value in trainer.seen.items()},
        "rate": rate,
        **({} if trainer.evaluations is None else {"evaluations": trainer.evaluations}),
    }


class Recorder:
    """Writes the run folder of one training."""

    def __init__(self, trainer: Trainer, folder: Path, watcher: Watcher):
        self.trainer, self.folder, self.watcher = trainer, folder, watcher
        self.config, self.source = trainer.config, trainer.source
        checkpoint.sweep(folder)
        self.log = EventLog(folder / "events.jsonl")
        self.period = recorder_period(trainer)
        self.sample_period = self.config.sample_every or max(1, self.config.examples // 10)
        self.sampled = -1
        self.began = time.time()
        self.best: tuple[float, str] | None = None
        self.selection, self.held = parts(self.source)

    def begin(self, resumed: bool) -> None:
        """First event of a start or of a resume; a fresh start saves step 0, so that there is always a state to go
        back to."""
        best = self.folder / "checkpoints" / "best.json"
        if resumed and best.exists():
            value = checkpoint.read_json(best)
            self.best = (value["distance"], value["file"])
        self.sampled = self.trainer.examples // self.sample_period if resumed else -1
        self.log.write(
            "resume" if resumed else "start",
            self.trainer.examples,
            total=self.config.examples,
            members=self.config.population,
            compiled=self.trainer.compiled,
            environment=environment(self.trainer.device, self.trainer.processes.count),
        )
        if not resumed:
            self.save()
            self.draw()

    def stepped(self, row: dict[str, Any]) -> None:
        """After every log period: the event, and whatever is due."""
        self.log.write("step", self.trainer.examples, **row)
        if self.trainer.examples // self.sample_period > self.sampled:
            self.draw()
        if self.trainer.step % self.period == 0 or self.trainer.step == self.trainer.steps:
            self.save()

    def save(self) -> Path:
        """Write a checkpoint, remember it as good, and keep the newest ones and the best."""
        trainer, checkpoints = self.trainer, self.folder / "checkpoints"
        tree, meta = trainer.snapshot()
        path = checkpoint.write(
            checkpoints, trainer.examples, tree, {**meta, "config": json.loads(self.config.model_dump_json())}
        )
        trainer.mark_good()
        score = self._score()
        if np.isfinite(score) and (self.best is None or score < self.best[0]) and trainer.examples:
            self.best = (score, path.name)
            checkpoint.write_atomically(
                checkpoints / "best.json", json.dumps({"distance": score, "file": path.name}).encode()
            )
        checkpoint.prune(checkpoints, self.config.keep, checkpoints / self.best[1] if self.best else None)
        self.log.write("checkpoint", trainer.examples, file=f"checkpoints/{path.name}")
        return path

    def _score(self) -> float:
        """What the best checkpoint has least of. For a density the last one is best: the truth about it, where it is
        known at all, is for the verdict alone."""
        if isinstance(self.source, TargetSource):
            return np.inf
        if len(self.selection) < 2:
            return 0.0
        return distance(self.trainer.sample(len(self.selection), seed=1), self.selection)

    def draw(self) -> None:
        """Samples for the report: pictures for images, points otherwise, beside held-out examples."""
        trainer, source = self.trainer, self.source
        n = 64 if source.kind == "image" else 1000
        arrays: dict[str, Any] = {"x": self._units(trainer.sample(n)), "real": self._units(self.held[:n])}
        if not len(self.held):
            del arrays["real"]
        elif source.kind == "target":
            arrays["told"] = np.str_("draws of the target")
        modes, spread = source.landmarks
        if modes is not None:
            arrays |= {"modes": modes.numpy(), "spread": np.float64(spread or 0.0)}
        self.sampled = trainer.examples // self.sample_period
        name = f"samples/{trainer.examples:012d}.npz"
        checkpoint.write_atomically(self.folder / name, npz(arrays))
        self.log.write("samples", trainer.examples, file=name)

    def _units(self, x: Tensor) -> np.ndarray:
        return self.source.decode(x) if self.source.kind in ("image", "target") else x.numpy()

    def finish(self) -> dict[str, Any]:
        """The verdict, the last samples, and the end."""
        if isinstance(self.source, TargetSource) and self.source.needs_reference and self.config.reference == "auto":
            self.watcher.noted(
                "judging: a parallel tempering run of some 5 million evaluations stands for the truth; "
                "--reference none leaves it out"
            )
        n = max(len(self.held), 2500 if self.source.modes is not None else 0)
        found = (
            judge_density(self.trainer, self.source)
            if isinstance(self.source, TargetSource)
            else verdict(
                self.config,
                self.source,
                [self.trainer.sample(n, seed=2, member=k).cpu() for k in range(self.config.population)],
                [mixture_samples(self.trainer, n, 2, k) for k in range(self.config.population)],
            )
        )
        checkpoint.write_atomically(self.folder / "verdict.json", json.dumps(found, indent=1).encode())
        if self.sampled * self.sample_period < self.trainer.examples:
            self.draw()
        self.log.write("verdict", self.trainer.examples, **found)
        self.end("finished")
        return found

    def end(self, reason: str) -> None:
        """The last event."""
        self.log.write("end", self.trainer.examples, reason=reason, seconds=round(time.time() - self.began, 3))

    def close(self) -> None:
        """Close the log."""
        self.log.close()


def npz(arrays: dict[str, Any]) -> bytes:
    """The bytes of a compressed npz file."""
    import io

    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


@contextmanager
def _signals() -> Iterator[Callable[[], int]]:
    """Note SIGINT and SIGTERM instead of dying of them; a second one kills. Outside the main thread there is nothing
    to catch."""
    caught: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        if caught:
            raise KeyboardInterrupt
        caught.append(number)

    before = {}
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            before[number] = signal.signal(number, note)
    except ValueError:
        before = {}
    try:
        yield lambda: caught[0] if caught else 0
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


__all__ = ["Interrupted", "Watcher", "npz", "train"]
