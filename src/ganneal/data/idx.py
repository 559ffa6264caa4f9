"""The idx files of MNIST and its relatives, plain or gzipped."""

import gzip
import math
import re
import zlib
from pathlib import Path

import numpy as np

from ganneal.data.arrays import from_arrays
from ganneal.data.contract import MAX_BYTES, Options, Source
from ganneal.errors import UsageError

FILE = re.compile(r"idx\d-ubyte(\.gz)?$")


def open_idx(path: Path, name: str, options: Options) -> Source:
    """Images in idx form. `t10k-` (or `test-`) beside `train-` is held out; `...-labels-idx1-ubyte` are labels."""
    x = read(path)
    if x.ndim != 3:
        raise UsageError(f"{name}: holds {x.ndim}-D data; images in idx form are 3-D (idx3)")
    test_path = _beside(path, "train", "t10k") or _beside(path, "train", "test")
    test = None if test_path is None else read(test_path)
    label_paths = [_beside(p, "images", "labels") for p in (path, test_path) if p is not None]
    labels = [read(p) for p in label_paths if p is not None]
    complete = len(labels) == len(label_paths)
    return from_arrays(name, x, test, options, np.concatenate([y.reshape(-1) for y in labels]) if complete else None)


def read(path: Path) -> np.ndarray:
    """The array of an idx file of bytes: two zero bytes, 8, number of axes, their lengths (big-endian), the data."""
    packed = path.suffix == ".gz"
    try:
        with gzip.open(path) if packed else path.open("rb") as file:
            magic = file.read(4)
            if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] != 8 or not 1 <= magic[3] <= 4:
                raise UsageError(
                    f"{path.name}: begins with bytes {magic.hex() or 'none'}; an idx file of bytes begins with 000008"
                )
            sizes = file.read(4 * magic[3])
            shape = [int.from_bytes(sizes[i : i + 4], "big") for i in range(0, len(sizes), 4)]
            need = math.prod(shape)
            if len(shape) < magic[3] or len(sizes) % 4 or need > MAX_BYTES:
                raise UsageError(
                    f"{path.name}: the header is truncated or damaged (axes {shape}, at most {MAX_BYTES} bytes)"
                )
            # a plain file's length is known before anything is allocated; a gzipped one grows only with what is there
            have = len(data := file.read(need + 1)) if packed else path.stat().st_size - file.tell()
            if have != need:
                raise UsageError(
                    f"{path.name}: {'at least ' * (have > need)}{have} bytes of data where the header promises {need}"
                )
            return np.frombuffer(data if packed else file.read(), np.uint8).reshape(shape)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UsageError(f"{path.name}: the gzip file is truncated or damaged: {error}") from None


def _beside(path: Path, old: str, new: str) -> Path | None:
    """The companion file, gzipped or not, if it is there: another part, or the labels (which have one axis)."""
    name = path.name.removesuffix(".gz").replace(old, new)
    name = name.replace("idx3", "idx1") if new == "labels" else name
    if name == path.name.removesuffix(".gz"):
        return None
    return next((p for p in (path.with_name(name), path.with_name(name + ".gz")) if p.is_file()), None)
