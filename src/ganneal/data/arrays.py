"""Arrays: from Python, from .npy, and by key from .npz.

A 1-D array is a table of one column, a 2-D one a table. Images are uint8 [N, H, W], [N, H, W, C] or [N, C, H, W]
(channels-first when axis 1 has 1, 3 or 4 entries and the last axis has not), or floats of those 4-D shapes that lie in
[0, 1], or in [-1, 1] with at least one negative value; floats are rounded to the 256 levels of uint8.
"""

import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import IO

import numpy as np
from torch import Tensor

from ganneal.data.contract import MAX_BYTES, Options, Source, own_split, split
from ganneal.data.pixels import CHANNELS, images
from ganneal.data.tables import table
from ganneal.errors import UsageError, nearest


def from_memory(values: np.ndarray | Tensor, options: Options) -> Source:
    """The source of an array or tensor of any real dtype, copied."""
    if isinstance(values, Tensor):
        values = values.detach().cpu().to_dense() if values.is_sparse else values.detach().cpu()
        # numpy has no bfloat16
        values = (values.float() if values.is_floating_point() and values.itemsize < 4 else values).numpy()
    return from_arrays("array", np.array(values), None, options)


def from_arrays(
    name: str, x: np.ndarray, test: np.ndarray | None, options: Options, labels: np.ndarray | None = None
) -> Source:
    """The source of examples x [N, ...], with a test part and labels (training ones first) where there are any."""
    for part in (x,) if test is None else (x, test):
        _check(name, part)
    if test is not None and test.shape[1:] != x.shape[1:]:
        raise UsageError(
            f"{name}: test examples have shape {test.shape[1:]}, training examples {x.shape[1:]}; they must agree"
        )
    parts = split(name, len(x), options) if test is None else own_split(name, len(x), len(test), options)
    both = x if test is None else np.concatenate([x, test])
    if labels is not None and labels.shape != both.shape[:1]:
        raise UsageError(f"{name}: {labels.shape} labels for {len(both)} examples; there must be one for each")
    if both.ndim <= 2:
        return table(name, both.reshape(len(both), -1) if both.ndim == 1 else both, options, parts=parts)
    pixels = _channels_first(name, both if both.dtype == np.uint8 else _quantised(name, both))
    return images(name, pixels.__getitem__, pixels.shape[1:], parts, options, labels)


def open_npy(path: Path, name: str, options: Options) -> Source:
    """An .npy file; arrays of Python objects are never read."""
    with path.open("rb") as file:
        return from_arrays(name, _read(file, path.stat().st_size, name), None, options)


def open_npz(path: Path, name: str, key: str | None, options: Options) -> Source:
    """An .npz file: the array of `key`, else `x_train` (with `x_test` as held-out part), else `x`, else the only array.

    Labels `y_train` and `y_test`, or `y`, come along with images if they are 1-D arrays of whole numbers.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}

            def array(wanted: str) -> np.ndarray:
                with archive.open(members[wanted]) as file:
                    return _read(file, members[wanted].file_size, f"{path.name}:{wanted}")

            if key is None:
                key = next((k for k in ("x_train", "x") if k in members), None)
                if key is None and len(members) == 1:
                    key = next(iter(members))
            if not members:
                raise UsageError(f"{name}: the file holds no arrays; at least 1 is needed")
            if key is None:
                raise UsageError(
                    f"{name}: which array? write {path.name}:KEY with a key of: {', '.join(sorted(members))}"
                )
            if key not in members:
                raise UsageError(f"{name}: no array '{key}' in the file: {nearest(key, members)}")
            x = array(key)
            test = array("x_test") if key == "x_train" and "x_test" in members else None
            wanted = ["y"] if key == "x" else ["y_train"] + ["y_test"] * (test is not None) if key == "x_train" else []
            labelled = x.ndim > 2 and wanted and all(k in members for k in wanted)
            labels = [array(k) for k in wanted] if labelled else []
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, zlib.error) as error:
        raise UsageError(f"{name}: cannot read the .npz file (truncated, damaged or encrypted): {error}") from None
    usable = labels and all(part.ndim == 1 and part.dtype.kind in "iu" for part in labels)
    return from_arrays(name, x, test, options, np.concatenate(labels) if usable else None)


def _read(file: IO[bytes], length: int, name: str) -> np.ndarray:
    """One array in .npy format, after its header has been checked against the length of the file."""
    try:
        version = np.lib.format.read_magic(file)
        header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = header(file)
        _check_dtype(name, dtype)
        need, have = int(np.prod([dtype.itemsize, *shape], dtype=object)), length - file.tell()
        if need > have or need > MAX_BYTES:
            raise UsageError(
                f"{name}: the header promises {need} bytes of data but {have} follow; the file is truncated or damaged "
                f"(at most {MAX_BYTES} bytes are allowed)"
            )
        file.seek(0)
        return np.lib.format.read_array(file, allow_pickle=False)
    except (ValueError, SyntaxError, EOFError, tokenize.TokenError) as error:
        raise UsageError(f"{name}: not a readable .npy array: {str(error).splitlines()[0]}") from None


def _check_dtype(name: str, dtype: np.dtype) -> None:
    kinds = {
        "O": "Python objects",
        "U": "text",
        "S": "text",
        "c": "complex numbers",
        "V": "records",
        "M": "dates",
        "m": "dates",
    }
    if dtype.kind not in "biuf":
        raise UsageError(
            f"{name}: an array of {kinds.get(dtype.kind, dtype.name)} ({dtype}) was given; "
            "only integers, floats and booleans are allowed"
        )


def _check(name: str, x: np.ndarray) -> None:
    _check_dtype(name, x.dtype)
    if not 1 <= x.ndim <= 4:
        raise UsageError(f"{name}: a {x.ndim}-D array was given; 1-D and 2-D are tables, 3-D and 4-D are images")


def _quantised(name: str, x: np.ndarray) -> np.ndarray:
    if x.ndim != 4 or x.dtype.kind != "f":
        raise UsageError(
            f"{name}: a {x.ndim}-D array of {x.dtype} is no set of images; allowed are uint8 in 3-D or 4-D, "
            "and floats in [0, 1] or [-1, 1] in 4-D"
        )
    bad = ~np.isfinite(x)
    if bad.any():
        raise UsageError(
            f"{name}: image {int(np.argwhere(bad)[0][0])} has a value that is nan or infinite; all must be finite"
        )
    low, high = (float(x.min()), float(x.max())) if x.size else (0.0, 0.0)
    if low < -1 or high > 1:
        raise UsageError(f"{name}: float images must lie in [0, 1] or [-1, 1], got values in [{low:g}, {high:g}]")
    x = x.astype(np.float32)
    unit = x * 127.5 + 127.5 if low < 0 else x * 255
    return np.rint(unit).astype(np.uint8)


def _channels_first(name: str, x: np.ndarray) -> np.ndarray:
    """uint8 [N, H, W] or 4-D to [N, C, H, W]."""
    if x.ndim == 3:
        return x[:, None]
    if x.shape[1] in (1, 3, 4) and x.shape[-1] not in (1, 3, 4):
        return x
    if x.shape[-1] not in CHANNELS:
        raise UsageError(
            f"{name}: an array of shape {x.shape} has no axis of 1, 2, 3 or 4 channels (the last, or axis 1)"
        )
    return np.ascontiguousarray(x.transpose(0, 3, 1, 2))
