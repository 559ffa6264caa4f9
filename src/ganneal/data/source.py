"""From a text, a path or an array to a `Source`: the one place that knows which form belongs to which reader."""

import inspect
import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from ganneal.data import arrays, idx, images, mosaics, tables, toys
from ganneal.data.contract import Options, Source
from ganneal.data.digits import digits
from ganneal.data.stacked import open_stacked
from ganneal.data.target import is_density, target_source
from ganneal.errors import UsageError, nearest
from ganneal.parts import Part, Registry, parse
from ganneal.targets import is_target_text

__all__ = ["FILES", "SOURCES", "Options", "Source", "open_source"]

SOURCES: Registry[Source] = Registry(
    "source",
    {
        "digits": digits,
        "ring8": toys.ring8,
        "grid25": toys.grid25,
        "spiral": toys.spiral,
        "moons": toys.moons,
        "gaussian": toys.gaussian,
        "mixture": toys.mixture,
        "dirac": toys.dirac,
        "stacked": open_stacked,
    },
)

# suffix -> reader(path, name, key, options)
FILES: dict[str, Callable[[Path, str, str | None, Options], Source]] = {
    ".npy": lambda path, name, key, options: arrays.open_npy(path, name, options),
    ".npz": arrays.open_npz,
    ".csv": lambda path, name, key, options: tables.open_csv(path, name, options),
    ".tsv": lambda path, name, key, options: tables.open_csv(path, name, options),
    ".parquet": lambda path, name, key, options: tables.open_parquet(path, name, options),
    ".zip": lambda path, name, key, options: images.open_zip(path, name, options),
    ".webp": mosaics.open_mosaic,
    ".png": mosaics.open_mosaic,
}
KEYED = (".npz", ".webp", ".png")
_NAMED = re.compile(r"\s*([A-Za-z_]\w*)\s*(\(.*)?$", re.DOTALL)


def open_source(
    text: "str | os.PathLike[str] | np.ndarray | Tensor | Source | Any",
    *,
    dim: int | None = None,
    frame: Any = None,
    size: int | None = None,
    heldout: float = 0.1,
    seed: int = 0,
    without: tuple[str, ...] = (),
    label: str | None = None,
) -> Source:
    """What a person can train on, from its text form, a path, or an array.

    text     a registered name with arguments (`ring8(std=0.1)`, `digits`), a file (`x.npy`, `x.npz:key`, `x.csv`,
             `x.parquet`, `x.zip`, `faces64.webp`, `mosaic.webp:64`, `DIR/cifar10`, `train-images-idx3-ubyte`), a folder
             of images, an array or tensor; a source that is already open is returned as it is
             or a density: `target:kidney`, `model.py:log_prob`, a `Target`, a function on a batch
    dim      dimensions of a density of one's own
    frame    the `targets.Frame` of a density, where it is known already
    size     side of the square that images are cropped and resized to; needed where they differ in size
    heldout  fraction that is held out; a data set with a test part of its own keeps that, the digits hold out 20%
             (`digits(heldout=0.3)` to change it)
    seed     of the held-out split, and of the held-out sample of a toy
    without  columns of a table's file to leave out
    label    a column of a table's file to read as labels, which `examples` returns; it need be no number

    Raises `UsageError` with one line that names the source, what was got and what is allowed.
    """
    options = Options(size, heldout, seed, tuple(without), label)
    if isinstance(text, Source):
        return text
    if isinstance(text, (np.ndarray, Tensor)):
        return arrays.from_memory(text, options)
    if not isinstance(text, (str, os.PathLike)) and is_density(text):
        return target_source(text, dim, seed, frame)
    if not isinstance(text, (str, os.PathLike)):
        raise UsageError(f"a source is a text, a path, an array or a tensor; got {type(text).__name__}")
    text = os.fspath(text)
    if is_target_text(text):
        return target_source(text, dim, seed, frame)
    named = _NAMED.match(text)
    if named and named[1] in SOURCES.entries and not (named[2] and os.path.exists(text)):
        return _registered(text, options)
    return _from_disk(text, options)


def _registered(text: str, options: Options) -> Source:
    part = parse(text)
    factory = SOURCES[part.name]
    extra: dict[str, Any] = {"seed": options.seed}
    if part.name == "digits":
        extra["size"] = options.size
    else:
        options.refuse_size(text, "stack of digits" if part.name == "stacked" else "toy distribution")
    given = dict(part.kwargs)
    if used := [key for key in ("seed", "size") if key in given]:
        raise UsageError(f"{text}: '{used[0]}' is not an argument of the text; pass --{used[0]}")
    source = SOURCES.build(Part(part.name, part.args, (*part.kwargs, *extra.items())))
    return replace(source, name=_canonical(part, factory))


def _canonical(part: Part, factory: Callable[..., Source]) -> str:
    """The shortest text of the same source: named arguments, those with default values left out."""
    signature = inspect.signature(factory)
    arguments = signature.bind(*part.args, **dict(part.kwargs)).arguments
    told = [f"{k}={_word(v)}" for k, v in arguments.items() if v != signature.parameters[k].default]
    return f"{part.name}({', '.join(told)})" if told else part.name


def _word(value: Any) -> str:
    """A value as a part's text has it: quoted where it is more than a name."""
    if isinstance(value, str) and not re.fullmatch(r"[A-Za-z_][\w.]*", value):
        return f'"{value}"'
    return repr(value).replace("'", "")


def _from_disk(text: str, options: Options) -> Source:
    if not text.strip():
        raise UsageError(f"the text of a source is empty; {nearest('', SOURCES)}, or a file or folder")
    path, key = Path(os.path.expanduser(text)), None
    head, colon, tail = text.rpartition(":")
    if colon and not os.path.exists(path) and Path(head).suffix.lower() in (*KEYED, ""):
        path, key = Path(os.path.expanduser(head)), tail
    suffix = path.suffix.lower()
    name = str(path if key is None else f"{path}:{key}")
    try:
        if path.is_dir():
            if key is not None:
                raise UsageError(f"{name}: '{path}' is a folder; only .npz and mosaic files take ':{key}'")
            if suffix in FILES or idx.FILE.search(path.name):
                raise UsageError(
                    f"{name}: is a folder, not a {suffix or 'idx'} file; rename a folder of images without that ending"
                )
            return images.open_folder(path, name if name.endswith("/") else f"{name}/", options)
        if (stem := mosaics.family(path)) is not None and (key is None or not path.exists()):
            return mosaics.open_family(stem, str(stem if key is None else f"{stem}:{key}"), key, options)
        if not path.is_file():
            raise UsageError(
                f"unknown source '{text}': no such file or folder, and no source of that name; {_near(text)}"
            )
        if idx.FILE.search(path.name):
            return idx.open_idx(path, name, options)
        if suffix not in FILES:
            allowed = ", ".join([*FILES, "idx3-ubyte", "idx3-ubyte.gz"])
            hint = "; for images give their folder" if suffix in images.SUFFIXES else ""
            raise UsageError(
                f"{name}: files ending in '{suffix}' are not read; allowed are {allowed}, and folders of images{hint}"
            )
        return FILES[suffix](path, name, key, options)
    except OSError as error:
        raise UsageError(f"{name}: cannot be read: {error.strerror or error}") from None


def _near(text: str) -> str:
    return nearest(re.split(r"[(:]", text)[0].strip(), SOURCES)
