"""The folder of a comparison: what was asked, each finished cell as a JSON file of its own, and what came out."""

import csv
import io
import json
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from ganneal.comparing.grid import Grid
from ganneal.engine.checkpoint import read_json, sweep, write_atomically
from ganneal.engine.training import npz
from ganneal.errors import RunError, UsageError

FORMAT = 1
GRID, RESULTS, TABLE, REFERENCE = "comparison.json", "results.json", "results.csv", "reference.npz"


class Folder:
    """Where a comparison lives; it is made when the first file is written."""

    def __init__(self, path: Path | str):
        self.path = Path(path)

    def open(self, asked: Mapping[str, Any], grid: Grid, array: np.ndarray | None) -> None:
        """Make the folder, or check that it holds a comparison which these cells continue or extend.

        asked    what all cells have in common: the source, seeds, other keys, budget

        Raises `UsageError` for a folder of something else, or of a comparison under other conditions.
        """
        plain = json.loads(json.dumps(dict(asked), default=str))
        before = self.asked()
        if before is not None:
            was = before["asked"]
            for key in sorted({*was, *plain}):
                if was.get(key) != plain.get(key):
                    raise UsageError(
                        f"{self.path}: its cells were made with {key} {_shown(was.get(key))}, and now it is "
                        f"{_shown(plain.get(key))}; choose another --out, or give the same"
                    )
        elif self.path.is_dir() and any(self.path.iterdir()):
            raise UsageError(f"{self.path}: exists and is no comparison; choose another --out")
        try:
            (self.path / "cells").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(f"{self.path}: cannot create it ({error.strerror or error})") from None
        sweep(self.path)
        if array is not None:
            buffer = io.BytesIO()
            np.save(buffer, array, allow_pickle=False)
            write_atomically(self.path / "data.npy", buffer.getvalue())
        known = {} if before is None else {cell["key"]: cell for cell in before["cells"]}
        known |= {c.key: {"key": c.key, "label": c.label, "choices": c.choices} for c in grid.cells}
        told = {"format": FORMAT, "asked": plain, "cells": list(known.values())}
        self._write(GRID, told)

    def asked(self) -> dict[str, Any] | None:
        """The contents of `comparison.json`, if there is one."""
        path = self.path / GRID
        if not path.is_file():
            return None
        found: dict[str, Any] = read_json(path)
        if found.get("format", 0) > FORMAT:
            raise UsageError(f"{path}: of format {found['format']}, this ganneal reads up to {FORMAT}")
        return found

    def finished(self, key: str) -> dict[str, Any] | None:
        """The record of a cell that is done; None for one that is not, or whose file is damaged."""
        path = self.path / "cells" / f"{key}.json"
        if not path.is_file():
            return None
        try:
            found: dict[str, Any] = read_json(path)
        except RunError:
            path.unlink(missing_ok=True)
            return None
        return found

    def finish(self, record: Mapping[str, Any], samples: np.ndarray | None) -> None:
        """Keep the record of a cell, after its samples: what has a record is whole."""
        if samples is not None:
            write_atomically(self.path / "cells" / f"{record['key']}.npz", npz({"x": samples}))
        self._write(f"cells/{record['key']}.json", record)

    def samples(self, key: str) -> np.ndarray | None:
        """Samples of the first seed of a cell."""
        path = self.path / "cells" / f"{key}.npz"
        if not path.is_file():
            return None
        with np.load(path, allow_pickle=False) as arrays:
            return np.asarray(arrays["x"])

    def keep_reference(self, arrays: Mapping[str, Any]) -> None:
        """Keep real examples, and modes where they are known, for pictures."""
        if not (self.path / REFERENCE).is_file():
            write_atomically(self.path / REFERENCE, npz(dict(arrays)))

    def reference(self) -> dict[str, np.ndarray] | None:
        """What was kept of the data."""
        path = self.path / REFERENCE
        if not path.is_file():
            return None
        with np.load(path, allow_pickle=False) as arrays:
            return {key: np.asarray(arrays[key]) for key in arrays.files}

    def working(self, name: str) -> Path:
        """Where a job keeps its checkpoints."""
        return self.path / "working" / name

    def conclude(self, told: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> None:
        """Write results.json and results.csv, one line a seed."""
        with suppress(OSError):  # jobs that failed have left something in it, or there was none
            (self.path / "working").rmdir()
        self._write(RESULTS, {**told, "written": time.strftime("%Y-%m-%d %H:%M:%S")})
        buffer = io.StringIO()
        names = list(dict.fromkeys(name for row in rows for name in row))
        writer = csv.DictWriter(buffer, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_atomically(self.path / TABLE, buffer.getvalue().encode())

    def _write(self, name: str, value: Any) -> None:
        write_atomically(self.path / name, (json.dumps(value, indent=1, allow_nan=False) + "\n").encode())


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:60]}..."
