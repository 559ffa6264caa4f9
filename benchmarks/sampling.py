"""What the benchmarks of samplers share: training at a budget of target evaluations, files of cells, intervals."""

import json
import math
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from ganneal.api import settle
from ganneal.data.target import TargetSource
from ganneal.engine.config import complete
from ganneal.engine.devices import environment
from ganneal.engine.pace import DRAWS, PLACES
from ganneal.engine.trainer import PROBE, Trainer

COMMON: dict[str, Any] = {"threads": 1, "device": "cpu", "reference": "none"}


def prepared(source: TargetSource, budget: int, **options: Any) -> Trainer:
    """A training before its first step that will evaluate the density at `budget` rows, looks of guard and temperature
    included."""
    given = {"source": f"target:{source.target.name}", **COMMON, **options}
    config = complete({**given, "examples": 10**6}, "target")
    game_looks = PROBE if config.sampler == "reference" and source.target.log_z is not None else 0
    spent = source.spent.get("pilot", 0) if source.frame else 0

    def cost(steps: int) -> int:
        places = (steps - 1) // max(1, steps // PLACES) if config.adaptive is not None else 0
        return steps * config.batch + places * DRAWS + math.ceil(steps / config.log_every) * game_looks + spent

    steps = budget // config.batch
    while steps > 1 and cost(steps) > budget:
        steps -= 1
    return Trainer(settle(complete({**given, "steps": max(1, steps)}, "target"), source), source)


def trained(source: TargetSource, budget: int, **options: Any) -> tuple[Trainer, dict[str, Any]]:
    """(a training at its end, what happened) of `prepared`, with the guard looking on as it does in a run."""
    trainer = prepared(source, budget, **options)
    config, notes, begun = trainer.config, [], time.perf_counter()
    every = max(config.log_every, trainer.steps // 20 // config.log_every * config.log_every)
    while trainer.step < trainer.steps:
        losses = trainer.advance(min(config.log_every - trainer.step % config.log_every, trainer.steps - trainer.step))
        notes += [f"step {trainer.step}: {t.problem} ({t.value:.3g})" for t in trainer.check(losses)]
        if trainer.guard.lost:
            notes.append("given up")
            break
        if trainer.step % every == 0:
            trainer.mark_good()
    told = {
        "evaluations": trainer.evaluations, "seconds": time.perf_counter() - begun, "steps": trainer.step,
        "guard": notes[-10:], "network": config.network, "beta": config.beta,
    }  # fmt: skip
    if trainer.pace is not None:
        told["forced"] = trainer.pace.forced[0]
    return trainer, told


class Cells:
    """A results file: one entry for each cell, written whole at every change, so that a run that was interrupted goes
    on where it stopped. One process writes a file."""

    def __init__(self, path: Path, arguments: dict[str, Any]):
        self.path = path
        self.found: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {"cells": {}}
        before = self.found.get("arguments")
        if before not in (None, arguments):
            raise SystemExit(f"{path}: was made with {before}, not {arguments}; take another --out or delete it")
        self.found["arguments"] = arguments

    @property
    def cells(self) -> dict[str, Any]:
        """Results by key."""
        return self.found["cells"]

    def measure(self, key: str, work: Callable[[], dict[str, Any] | None]) -> dict[str, Any] | None:
        """The result of a cell: the stored one, or that of `work`, which is then stored (None is not)."""
        if key not in self.cells and (made := work()) is not None:
            self.cells[key] = made
            self.found["environment"] = environment(torch.device("cpu"), 1)
            self.found["command"] = " ".join(["python", *sys.argv])
            self.path.parent.mkdir(parents=True, exist_ok=True)
            draft = self.path.with_suffix(f".{os.getpid()}.tmp")
            draft.write_text(json.dumps(plain(self.found), indent=1, allow_nan=False) + "\n")
            draft.replace(self.path)
        return self.cells.get(key)


def plain(value: Any) -> Any:
    """Ready for strict JSON: numbers that are not finite become None."""
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def half_width(values: list[float]) -> float:
    """Half of the 95 % t interval of the mean; nan for a single value."""
    from scipy.stats import t as student

    if len(values) < 2:
        return math.nan
    return float(student.ppf(0.975, len(values) - 1)) * statistics.stdev(values) / math.sqrt(len(values))


def interval(values: list[float | None], digits: int = 3) -> str:
    """Mean and half-width of a 95 % t interval, or nothing where there are no values."""
    present = [v for v in values if v is not None]
    if not present:
        return ""
    half = half_width(present)
    missing = f" ({len(values) - len(present)} missing)" if len(present) < len(values) else ""
    return f"{statistics.fmean(present):.{digits}g}" + (f" ± {half:.2g}" if math.isfinite(half) else "") + missing
