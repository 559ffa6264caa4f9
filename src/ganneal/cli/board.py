"""What a person sees while a comparison runs: a table of its jobs; plain lines where nobody watches a terminal."""

import statistics
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from ganneal.comparing.grid import Grid
from ganneal.comparing.sharing import Job
from ganneal.comparing.watching import Watcher

LINES = 30
"""Rows of the live table, at most: those that move come first."""


class Board(Watcher):
    """A table of the jobs of a comparison."""

    def __init__(self, quiet: bool = False):
        self.console = Console(stderr=True, highlight=False, soft_wrap=True, markup=False, quiet=quiet)
        self.labels: dict[str, str] = {}
        self.state: dict[str, str] = {}
        self.share: dict[str, float] = {}
        self.score: dict[str, str] = {}
        self.begun = time.monotonic()
        self.live = Live(console=self.console, get_renderable=self._table, refresh_per_second=4, transient=True)

    def __enter__(self) -> "Board":
        if self.console.is_terminal:
            self.live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.console.is_terminal:
            self.live.stop()

    def planned(self, grid: Grid, left: Sequence[Job], done: int) -> None:
        """Say what will happen, and what will not."""
        seeds = len(grid.cells[0].config.member_seeds())
        finished = f", {done} of them finished before" if done else ""
        self.console.print(
            f"comparing {len(grid.cells)} combination{'s' * (len(grid.cells) > 1)} on {grid.cells[0].config.source}, "
            f"{seeds} seed{'s' * (seeds > 1)} each{finished}; {len(left)} population{'s' * (len(left) != 1)} to train"
        )
        for one in grid.refused:
            self.console.print(f"left out: {one.label}: {one.reason}")
        for job in left:
            more = f" and {len(job.cells) - 1} more" if len(job.cells) > 1 else ""
            self.labels[job.name], self.state[job.name] = job.cells[0].label + more, "waits"

    def started(self, name: str, where: str) -> None:
        """A job begins."""
        self.state[name] = where

    def moved(self, name: str, told: Mapping[str, Any]) -> None:
        """A job has been looked at."""
        self.share[name] = told["share"]
        scores = [s for s in told["scores"] if s is not None]
        self.score[name] = f"{statistics.fmean(scores):.3g}" if scores else ""

    def finished(self, name: str, records: Sequence[Mapping[str, Any]]) -> None:
        """A job is done."""
        self.state[name], self.share[name] = "done", 1.0
        seconds = sum(r["seconds"] for r in records)
        self._line(f"done:   {self.labels[name]}  {self.score.get(name, '')}  {seconds:,.1f} s")

    def failed(self, name: str, reason: str) -> None:
        """A job could not be finished."""
        self.state[name] = "failed"
        self.console.print(f"failed: {self.labels[name]}: {reason}")

    def _line(self, text: str) -> None:
        if not self.console.is_terminal:
            done = sum(state in ("done", "failed") for state in self.state.values())
            self.console.print(f"{done}/{len(self.state)}  {time.monotonic() - self.begun:,.0f} s  {text}")

    def _table(self) -> Table:
        table = Table(box=None, padding=(0, 2, 0, 0))
        for name, how in (("combination", "left"), ("", "left"), ("score", "right"), ("where", "left")):
            table.add_column(name, justify=how, overflow="ellipsis", no_wrap=True)  # type: ignore[arg-type]
        order = {"waits": 2, "done": 1, "failed": 1}
        for name in sorted(self.state, key=lambda n: order.get(self.state[n], 0))[:LINES]:
            bar = ProgressBar(total=1.0, completed=self.share.get(name, 0.0), width=24)
            table.add_row(self.labels[name], bar, self.score.get(name, ""), self.state[name])
        if len(self.state) > LINES:
            table.add_row(f"and {len(self.state) - LINES} more", "", "", "")
        return table
