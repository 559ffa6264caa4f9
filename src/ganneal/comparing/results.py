"""What a comparison found: records of cells, the combinations that were left out, and who is best."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ganneal.comparing.folder import Folder
from ganneal.comparing.measures import MEASURES, Measure
from ganneal.comparing.ranking import ENOUGH, Standing, standings
from ganneal.errors import UsageError

FEW = 8
"""Seeds below which a comparison that tells nothing apart says so."""


@dataclass(frozen=True, eq=False)
class Results:
    """A comparison, finished or as far as it came.

    folder      where it lives
    asked       what all cells have in common
    records     of the finished cells, in the order of the grid, each with its label and choices
    refused     combinations that cannot be trained: {label, reason}
    failed      cells that could not be finished: {label, reason}
    rank        the key of the measure that ranks
    """

    folder: Path
    asked: Mapping[str, Any]
    records: tuple[Mapping[str, Any], ...]
    refused: tuple[Mapping[str, Any], ...] = ()
    failed: tuple[Mapping[str, Any], ...] = ()
    rank: str = ""

    @property
    def measure(self) -> Measure:
        """The measure that ranks."""
        return MEASURES[self.rank or str(self.records[0]["score"])]

    def values(self, key: str) -> dict[str, list[float | None]]:
        """The values of a measure, seed by seed, by cell."""
        return {str(r["key"]): [value(r, row, key) for row in r["rows"]] for r in self.records}

    def standings(self) -> list[Standing]:
        """From best to worst."""
        return standings(self.values(self.measure.key), bool(self.measure.lower)) if self.records else []

    def record(self, key: str) -> Mapping[str, Any]:
        """The record of a cell."""
        return next(r for r in self.records if r["key"] == key)

    def measures(self) -> list[Measure]:
        """Those that some cell has a value of, in their order."""
        return [
            m for m in MEASURES.values() if any(v is not None for values in self.values(m.key).values() for v in values)
        ]

    def sentence(self) -> str:
        """The outcome in plain words."""
        found = self.standings()
        if not found:
            return "No cell has been finished."
        label = {str(r["key"]): r["label"] for r in self.records}
        measure, best = self.measure, found[0]
        if len(found) == 1:
            return f"{label[best.key]}: {measure.name} {best.mean:.3g}."
        if best.seeds < ENOUGH:
            return (
                f"{label[best.key]} has the best {measure.name} ({best.mean:.3g}), with a single seed: whether it is "
                f"better than the others cannot be told."
            )
        tied = [label[s.key] for s in found[1:] if s.tied]
        said = f"{label[best.key]} has the best {measure.name}: {best.mean:.3g} over {best.seeds} seeds."
        if not tied:
            return said + " Every other method differs from it by more than the noise between seeds."
        if len(tied) == len(found) - 1:
            more = f"; {best.seeds} seeds are few, more may tell them apart" if best.seeds < FEW else ""
            return said + f" No other method can be told from it, corrected for all pairs{more}."
        names = ", ".join(tied[:4]) + (f" and {len(tied) - 4} more" if len(tied) > 4 else "")
        return said + f" Within the noise between seeds of it: {names}."

    def rows(self) -> list[dict[str, Any]]:
        """One flat row for each cell and seed."""
        found = []
        for r in self.records:
            for row in r["rows"]:
                plain = {m: value(r, row, m) for m in MEASURES if m in row or m in ("seconds", "evaluations")}
                found.append({
                    "cell": r["label"], **r["choices"], "seed": row["seed"], "failed": row["failed"],
                    "troubles": len(row["troubles"]), **plain,
                })  # fmt: skip
        return found

    def to_dict(self) -> dict[str, Any]:
        """Everything, for JSON."""
        return {
            "asked": dict(self.asked),
            "sentence": self.sentence(),
            "rank": self.measure.key if self.records else None,
            "standings": [s.to_dict() for s in self.standings()],
            "cells": [dict(r) for r in self.records],
            "refused": [dict(r) for r in self.refused],
            "failed": [dict(r) for r in self.failed],
        }

    def report(self) -> Path:
        """Write report.html and return its path."""
        from ganneal.report import render_grid

        return render_grid(self)

    def __repr__(self) -> str:
        return f"<comparison in {self.folder}: {len(self.records)} cells; {self.sentence()}>"


def value(record: Mapping[str, Any], row: Mapping[str, Any], key: str) -> float | None:
    """The value of a measure for one seed of a cell: seconds and gradient evaluations are those of a run."""
    if key == "seconds":
        return float(record["seconds"]) / len(record["rows"])
    if key == "evaluations":
        return float(record["evaluations"])
    found = row.get(key)
    return None if found is None else float(found)


def read(path: Path | str, rank: str = "") -> Results:
    """The comparison in a folder, as far as it came. Raises `UsageError` where there is none."""
    folder = Folder(path)
    told = folder.asked()
    if told is None:
        raise UsageError(f"{path}: is no folder of a comparison (it has no comparison.json)")
    records = []
    for cell in told["cells"]:
        if (record := folder.finished(cell["key"])) is not None:
            records.append({**record, "label": cell["label"], "choices": cell["choices"]})
    before = folder.path / "results.json"
    kept = json.loads(before.read_text()) if before.is_file() else {}
    return Results(
        folder.path, told["asked"], tuple(records), tuple(kept.get("refused", ())), tuple(kept.get("failed", ())), rank
    )
