"""The run folder: made whole or not at all. What makes a folder a run is its config.yaml, written last."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import yaml

from ganneal.engine import checkpoint
from ganneal.engine.config import Config
from ganneal.errors import RunError, UsageError


def create(config: Config, files: Mapping[str, bytes] | None = None) -> Path:
    """Make the run folder with its configuration, whole or not at all; `files` by name are what opening it again needs,
    such as the array that was trained on.

    Raises `UsageError` if the folder exists, `RunError` if it cannot be written.
    """
    folder = Path(config.out) if config.out else _free_name(Path("runs"), config.source)
    try:
        folder.mkdir(parents=True, exist_ok=False)
    except FileExistsError:
        raise UsageError(f"{folder}: exists already; choose another --out, or `ganneal resume {folder}`") from None
    except OSError as error:
        raise _refused(folder, error) from None
    text = yaml.safe_dump(json.loads(config.model_dump_json()), sort_keys=False, allow_unicode=True)
    try:
        (folder / "checkpoints").mkdir()
        (folder / "samples").mkdir()
        for name, content in (files or {}).items():
            checkpoint.write_atomically(folder / name, content)
        checkpoint.write_atomically(folder / "config.yaml", text.encode())  # the last: it makes the folder a run
    except (OSError, RunError) as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise error if isinstance(error, RunError) else _refused(folder, error) from None
    return folder


def _refused(folder: Path, error: OSError) -> RunError:
    return RunError(f"{folder}: cannot create it ({error.strerror or error}); free some space or choose another --out")


def _free_name(parent: Path, source: str) -> Path:
    name = source if "(" in source else Path(source).stem
    stem = "".join(c if c.isalnum() else "-" for c in name).strip("-")[:40] or "run"
    numbers = (parent / f"{stem}-{k}" for k in range(1, 1_000_000))
    return next(p for p in numbers if not p.exists())
