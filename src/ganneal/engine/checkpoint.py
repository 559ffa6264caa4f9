"""Checkpoints: one safetensors file each, all tensors plus the counters as JSON in its header. No pickle anywhere.

A checkpoint is written under a temporary name, flushed to the disk, and renamed: a reader sees a whole file or none.
"""

import contextlib
import json
import os
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from ganneal.engine.config import FORMAT
from ganneal.errors import RunError, UsageError

SEPARATOR = "/"


def flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, Tensor]:
    """Nested dictionaries of tensors as one dictionary with path names."""
    flat: dict[str, Tensor] = {}
    for key, value in tree.items():
        name = f"{prefix}{SEPARATOR}{key}" if prefix else key
        flat |= flatten(value, name) if isinstance(value, dict) else {name: value}
    return flat


def unflatten(flat: dict[str, Tensor]) -> dict[str, Any]:
    """The inverse of `flatten`."""
    tree: dict[str, Any] = {}
    for name, value in flat.items():
        *path, last = name.split(SEPARATOR)
        node = tree
        for key in path:
            node = node.setdefault(key, {})
        node[last] = value
    return tree


def write_atomically(path: Path, data: bytes) -> None:
    """Write a whole file or none. Raises `RunError` naming the file if the disk is full or refuses."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise RunError(
            f"{path}: cannot write it ({error.strerror or error}); free some space or choose another place "
            f"(a run goes on with `ganneal resume`)"
        ) from None


def write(folder: Path, examples: int, tree: dict[str, Any], meta: dict[str, Any]) -> Path:
    """Save a checkpoint as `folder/NNNNNNNNNNNN.safetensors` and return its path."""
    path = folder / f"{examples:012d}.safetensors"
    tensors = {name: value.detach().cpu().contiguous() for name, value in flatten(tree).items()}
    write_atomically(path, save(tensors, metadata={"ganneal": json.dumps({**meta, "format": FORMAT})}))
    return path


def read(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """(tensors, meta) of a checkpoint.

    Raises `RunError` if the file is damaged, `UsageError` if it was written by a newer version of the format.
    """
    try:
        with safe_open(path, framework="pt") as file:
            meta = json.loads((file.metadata() or {})["ganneal"])
            if meta["format"] > FORMAT:
                raise UsageError(
                    f"{path}: checkpoint of format {meta['format']}, this ganneal reads up to {FORMAT}; use "
                    f"a newer version"
                )
            # Copies: tensors in the file's memory are not aligned, and a product's last bit depends on alignment.
            return unflatten({name: file.get_tensor(name).clone() for name in file.keys()}), meta  # noqa: SIM118
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise RunError(f"{path}: not a readable checkpoint ({error}); delete it to go on from the one before") from None


def read_json(path: Path) -> Any:
    """The contents of a JSON file. Raises `RunError` if it is damaged."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise RunError(f"{path}: not readable ({error}); delete it, and `ganneal resume` the run") from None


def sweep(folder: Path) -> None:
    """Delete temporary files below a run folder, which a killed process left."""
    for path in folder.rglob(".*.tmp"):
        path.unlink(missing_ok=True)


def listing(folder: Path) -> list[Path]:
    """All checkpoints, oldest first. Temporary files of a killed process are no checkpoints."""
    return sorted(p for p in folder.glob("*.safetensors") if p.stem.isdigit())


def prune(folder: Path, keep: int, best: Path | None) -> None:
    """Delete all but the newest `keep` and the best."""
    for path in listing(folder)[:-keep]:
        if path != best:
            path.unlink(missing_ok=True)
