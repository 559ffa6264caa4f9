"""One job from its configuration to rows: trains the population, looks at it now and then, survives being killed."""

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ganneal.comparing.judging import QUICK, Judge
from ganneal.data import Source
from ganneal.engine import checkpoint
from ganneal.engine.config import Config, make
from ganneal.engine.devices import environment
from ganneal.engine.trainer import Trainer
from ganneal.errors import GannealError, RunError, UsageError

if TYPE_CHECKING:
    from ganneal.comparing.sharing import Job

LOOKS = 20
"""How often a run is scored while it trains."""
SAVE_EVERY = 20.0
"""Seconds between checkpoints, which are made at looks."""
LONGEST = 160
"""Characters of an error's text that are told."""
SHOWN = {"image": 25, "toy": 800, "table": 800}
"""Samples of the first seed that are kept for the page."""

Tell = Callable[[dict[str, Any]], None]
Answer = tuple[list[dict[str, Any]], dict[str, np.ndarray]]


def request(job: "Job") -> dict[str, Any]:
    """A job as plain values, for another process: its name and configuration, the key and the number of seeds of every
    cell in the order of the members, and what the grid knows of them."""
    return {
        "name": job.name,
        "config": json.loads(job.config.model_dump_json()),
        "cells": [[cell.key, len(job.seeds)] for cell in job.cells],
        "extra": {
            c.key: {
                "cautions": list(c.cautions),
                "evaluations": c.evaluations * c.config.steps,
                "per_step": c.evaluations,
            }
            for c in job.cells
        },
    }


def run_job(asked: dict[str, Any], source: Source, working: Path | None, tell: Tell) -> Answer:
    """Train a job to its end: (one record for each cell, samples of its first seed by cell).

    working    a folder for checkpoints, from which a job that was killed goes on; None for none
    tell       is told the share that is done and the newest scores, at every look

    What cannot be compiled is computed without, and its records say so.

    Raises `RunError` where parts do not hold together that fitted when the grid was made.
    """
    config = make(asked["config"])
    judge = Judge(source, config)
    progress = _begun(config, source, judge, working, tell)
    try:
        progress.train()
    except _compiler_errors(progress.trainer) as error:
        progress = _begun(config.model_copy(update={"compile": "off"}), source, judge, working, tell)
        progress.notes.append(f"computed without the compiler, which failed: {one_line(error)}")
        progress.train()
    return progress.conclude(asked["cells"])


def _begun(config: Config, source: Source, judge: Judge, working: Path | None, tell: Tell) -> "Progress":
    """A job at its last checkpoint, or at its start."""
    torch.manual_seed(0)
    progress = Progress(Trainer(config, source), judge, working, tell)
    progress.resume()
    return progress


def _compiler_errors(trainer: Trainer) -> tuple[type[Exception], ...]:
    """What the compiler of a trainer may raise, before it has computed anything; nothing where it does not compile."""
    if not trainer.compiled:
        return ()
    from torch._dynamo.exc import FailOnRecompileLimitHit, TorchDynamoException

    return TorchDynamoException, FailOnRecompileLimitHit


def one_line(error: BaseException) -> str:
    """An error in a line: the text of one of ours, the kind and the first line of any other."""
    if isinstance(error, GannealError):
        return str(error)
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
    return said if len(said) <= LONGEST else f"{said[:LONGEST]}..."


class Progress:
    """A job on its way: its trainer, the scores so far, the troubles of its members, notes, and the seconds it
    took."""

    def __init__(self, trainer: Trainer, judge: Judge, working: Path | None, tell: Tell):
        self.trainer, self.judge, self.working, self.tell = trainer, judge, working, tell
        self.curve: list[dict[str, Any]] = []
        self.troubles: list[dict[str, Any]] = []
        self.notes: list[str] = []
        self.seconds = 0.0

    def resume(self) -> None:
        """Go on from the last checkpoint, if there is one that can be read."""
        for path in reversed(checkpoint.listing(self.working) if self.working and self.working.is_dir() else []):
            try:
                tree, meta = checkpoint.read(path)
            except (RunError, UsageError):
                path.unlink(missing_ok=True)
                continue
            self.trainer.restore(tree, meta)
            self.curve, self.troubles, self.seconds = meta["curve"], meta["troubles"], meta["seconds"]
            return

    def train(self) -> None:
        """To the end, or until the guard has given up every member."""
        trainer = self.trainer
        steps, every = trainer.steps, trainer.config.log_every
        marks = sorted({max(1, round(steps * k / LOOKS)) for k in range(1, LOOKS + 1)})
        checks = sorted({*range(every, steps, every), *marks})
        saved = time.monotonic()
        for mark in (m for m in checks if m > trainer.step):
            begun = time.perf_counter()
            losses = trainer.advance(mark - trainer.step)
            for trouble in trainer.check(losses):
                self.troubles.append(
                    {"member": trouble.member, "problem": trouble.problem, "action": trouble.action, "step": mark}
                )
            self.seconds += time.perf_counter() - begun
            if trainer.guard.lost:
                break
            if mark in marks:
                self._look(mark)
                trainer.mark_good()
                if mark < steps and time.monotonic() - saved > SAVE_EVERY:
                    self.save()
                    saved = time.monotonic()

    def save(self) -> None:
        """A checkpoint."""
        if self.working is None:
            return
        self.working.mkdir(parents=True, exist_ok=True)
        tree, meta = self.trainer.snapshot()
        more = {"curve": self.curve, "troubles": self.troubles, "seconds": self.seconds}
        checkpoint.write(self.working, self.trainer.step, tree, {**meta, **more})
        checkpoint.prune(self.working, 1, None)

    def _look(self, step: int) -> None:
        members = range(self.trainer.config.population)
        scores = [self.judge.quick(self.trainer.sample(QUICK, seed=1, member=k)) for k in members]
        self.curve.append({"step": step, "seconds": self.seconds, "scores": scores})
        self.tell({"share": step / self.trainer.steps, "scores": scores})

    def conclude(self, cells: list[list[Any]]) -> Answer:
        """The record of every cell."""
        trainer, judge = self.trainer, self.judge
        begun = time.perf_counter()
        count, first, records, samples = trainer.config.population, 0, [], {}
        perfect = judge.perfect()
        for key, size in cells:
            members = range(first, first + size)
            rows = [self._row(member) for member in members]
            curve = [
                {"step": c["step"], "seconds": c["seconds"] * size / count, "scores": c["scores"][first : first + size]}
                for c in self.curve
            ]
            records.append({
                "key": key,
                "rows": rows,
                "perfect": perfect,
                "score": judge.score,
                "draws": judge.draws,
                "curve": curve,
                "steps": trainer.steps,
                "seconds": self.seconds * size / count,
                "shared": len(cells),
                "compiled": trainer.compiled,
                "notes": self.notes,
                "environment": environment(trainer.device, 1),
            })  # fmt: skip
            shown = trainer.sample(SHOWN.get(trainer.source.kind, 800), seed=2, member=first).cpu()
            samples[key] = trainer.source.decode(shown) if trainer.source.kind == "image" else shown.flatten(1).numpy()
            first += size
        spent = time.perf_counter() - begun
        for record in records:
            record["judging_seconds"] = spent / len(records)
        if self.working is not None:
            shutil.rmtree(self.working, ignore_errors=True)
        return records, samples

    def _row(self, member: int) -> dict[str, Any]:
        trainer = self.trainer
        seed = trainer.config.member_seeds()[member]
        x = trainer.sample(self.judge.draws, seed=2, member=member)
        troubles = [{k: v for k, v in t.items() if k != "member"} for t in self.troubles if t["member"] == member]
        failed = trainer.guard.lr_scale[member] == 0 or not bool(x.isfinite().all())
        return {"seed": seed, "failed": failed, "troubles": troubles, **self.judge.row(x, seed)}
