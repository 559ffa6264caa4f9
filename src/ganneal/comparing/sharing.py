"""Which cells of a grid share a population: those whose configurations differ in numeric schedules alone.

A population is one stacked computation, in which each member has its own schedules (`each(...)`) but all have the same
parts and shapes. Member k of it plays exactly the game that it would play alone, so sharing changes no result.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ganneal.comparing.grid import Cell
from ganneal.engine.building import moves
from ganneal.engine.config import Config, make
from ganneal.errors import UsageError
from ganneal.schedules import schedule

SCHEDULES = ("lambda_likelihood", "lambda_entropy", "noise", "lr_generator", "lr_critic", "lr_score")
"""Keys whose value may differ between members."""
MOST = 32
"""Members of a shared population: beyond it nothing is gained, and cells are better spread over processes."""


@dataclass(frozen=True)
class Job:
    """What is trained at once: one or more cells as one population; members of a cell stand together, in the order of
    the cells."""

    name: str
    config: Config
    cells: tuple[Cell, ...]

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds of a cell."""
        return self.cells[0].config.member_seeds()


def jobs(cells: Sequence[Cell], least: int = 1) -> list[Job]:
    """Cells as jobs, at least `least` of them if there are so many cells (one for every process)."""
    alike: dict[str, list[Cell]] = {}
    for cell in cells:
        alike.setdefault(_kind(cell), []).append(cell)
    most = max(1, MOST // max(1, len(cells[0].config.member_seeds()))) if cells else 1
    groups = [group[k : k + most] for group in alike.values() for k in range(0, len(group), most)]
    while len(groups) < min(least, len(cells)):
        largest = max(groups, key=len)
        groups.remove(largest)
        half = len(largest) // 2
        groups += [largest[:half], largest[half:]]
    return [job for group in groups for job in _merged(group)]


def _kind(cell: Cell) -> str:
    """All that cells of a job have in common: every key but the schedules, and which of those are anywhere above 0."""
    told = json.loads(cell.config.model_dump_json())
    for key in SCHEDULES:
        told[key] = moves(schedule(told[key])) if _plain(told[key]) else told[key]
    return json.dumps(told, sort_keys=True)


def _plain(text: str) -> bool:
    return not text.startswith("each(")


def _merged(cells: list[Cell]) -> list[Job]:
    """Cells of one kind as one population."""
    first = cells[0].config
    if len(cells) == 1:
        return [Job(cells[0].key, first, (cells[0],))]
    seeds = first.member_seeds()
    update: dict[str, Any] = {"population": len(seeds) * len(cells), "seeds": seeds * len(cells)}
    for key in SCHEDULES:
        texts = [getattr(cell.config, key) for cell in cells]
        if len(set(texts)) > 1:
            update[key] = f"each({', '.join(text for text in texts for _ in seeds)})"
    try:
        merged = make({**first.model_dump(), **update})
    except UsageError:  # a text that has no place in a list of schedules: each cell by itself
        return [Job(cell.key, cell.config, (cell,)) for cell in cells]
    return [Job(f"{cells[0].key}-and-{len(cells) - 1}-more", merged, tuple(cells))]
