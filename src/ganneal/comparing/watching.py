"""What a comparison tells while it runs."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ganneal.comparing.grid import Grid
    from ganneal.comparing.sharing import Job


class Watcher:
    """Is told how a comparison and its jobs go, and does nothing about it; a live table or a test overrides what it
    wants to know. Called from one thread only."""

    def planned(self, grid: "Grid", left: "Sequence[Job]", done: int) -> None:
        """Before anything is trained: the combinations, the jobs that are left, how many cells were finished before."""

    def started(self, name: str, where: str) -> None:
        """A job begins."""

    def moved(self, name: str, told: Mapping[str, Any]) -> None:
        """A job has been looked at: the share of it that is done, and the newest score of every member."""

    def finished(self, name: str, records: Sequence[Mapping[str, Any]]) -> None:
        """A job is done."""

    def failed(self, name: str, reason: str) -> None:
        """A job could not be finished."""
