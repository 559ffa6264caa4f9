"""What a person sees while a training runs, and at its end."""

import os
import signal
import time
from types import TracebackType
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from ganneal.api import Run
from ganneal.engine.trainer import Trainer
from ganneal.engine.training import Interrupted


class Progress:
    """A bar with rate, time left, losses and beta; plain lines now and then where nobody watches a terminal."""

    def __init__(self) -> None:
        speaks = os.environ.get("RANK", "0") == "0"  # one process speaks for all
        self.console = Console(highlight=False, soft_wrap=True, markup=False, quiet=not speaks)
        self.bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[state]}"),
            console=self.console,
            refresh_per_second=4,
            disable=not self.console.is_terminal,
        )
        self.task: Any = None
        self.folder: Any = None
        self.spoke = time.monotonic()

    def __enter__(self) -> "Progress":
        self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.stop()

    def started(self, trainer: Trainer) -> None:
        """Say what will happen."""
        config = trainer.config
        members = f", population of {config.population}" if config.population > 1 else ""
        self.console.print(
            f"training on {config.source} (recipe {config.recipe}): {config.objective}, "
            f"{' '.join(config.penalty) or 'no penalty'}{members}; "
            f"{trainer.device.type}, {torch.get_num_threads()} thread{'s' * (torch.get_num_threads() > 1)}, "
            f"step {'compiled' if trainer.compiled else 'not compiled'}"
        )
        for line in trainer.assembly.cautions:
            self.console.print(f"note: {line}")
        if trainer.compiled:
            self.console.print("compiling the step takes 10-50 s where its cache is cold")
        self.task = self.bar.add_task("", total=config.examples, completed=trainer.examples, rate="", state="")

    def moved(self, trainer: Trainer, row: dict[str, Any]) -> None:
        """Show the newest numbers."""
        losses = "  ".join(f"{player} {_short(value)}" for player, value in row["losses"].items())
        state = f"{losses}  beta {_short(row['beta'])}"
        rate = f"{row['rate']:,.0f}/s"
        self.bar.update(self.task, completed=min(trainer.examples, trainer.config.examples), rate=rate, state=state)
        if not self.console.is_terminal and time.monotonic() - self.spoke > 10:
            self.spoke = time.monotonic()
            left = (trainer.config.examples - trainer.examples) / max(row["rate"], 1e-9)
            self.console.print(
                f"{trainer.examples:>12,} of {trainer.config.examples:,}  {rate}  {left:,.0f} s left  {state}"
            )

    def noted(self, line: str) -> None:
        """A line of its own."""
        self.console.print(line)


def _short(value: Any) -> str:
    if not isinstance(value, list):
        return f"{value:.3f}"
    return f"{min(value):.3f}..{max(value):.3f}"


def conclude(watcher: Progress, run: Run) -> None:
    """The verdict, and where to look."""
    console, found = watcher.console, run.verdict
    if found is None:
        return
    console.print(f"verdict: {found['sentence']}")
    if found["reference"]:
        console.print(f"         (training data against held-out data: p = {found['reference']['pvalue']:.2g})")
    if modes := found["modes"]:
        console.print(
            f"modes:   {modes['modes']} of {modes['total']} covered, {modes['high_quality']:.1%} of samples "
            f"of high quality (at most {modes['high_quality_ceiling']:.1%})"
        )
    console.print(f"report:  {run.folder / 'report.html'}")


def stopped(watcher: Progress, stop: Interrupted) -> int:
    """After a signal: how to go on, and the conventional exit code."""
    watcher.console.print(
        f"stopped by {signal.Signals(stop.number).name} after a checkpoint: continue with `ganneal resume "
        f"{stop.folder}`"
    )
    return 128 + stop.number
