"""Samples as files."""

import io
from pathlib import Path

import numpy as np

from ganneal.engine.checkpoint import write_atomically
from ganneal.engine.training import npz
from ganneal.errors import RunError
from ganneal.report.plots import image_grid, png, scatter


def write_samples(path: Path, x: np.ndarray, columns: tuple[str, ...] | None) -> None:
    """Write samples in the format of the file's ending. Raises `RunError` if the disk refuses."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"{path.parent}: cannot create it ({error.strerror or error})") from None
    write_atomically(path, _bytes(path.suffix, x, columns))


def _bytes(suffix: str, x: np.ndarray, columns: tuple[str, ...] | None) -> bytes:
    if suffix == ".npz":
        return npz({"x": x})
    if suffix == ".png":
        return png(image_grid(x)) if x.dtype == np.uint8 else scatter(x)
    buffer = io.BytesIO()
    if suffix == ".npy":
        np.save(buffer, x, allow_pickle=False)
    else:
        flat = x.reshape(len(x), -1)
        names = columns or tuple(f"x{k}" for k in range(flat.shape[1]))
        np.savetxt(
            buffer,
            flat,
            delimiter=",",
            header=",".join(names),
            comments="",
            fmt="%d" if x.dtype == np.uint8 else "%.9g",
        )
    return buffer.getvalue()
