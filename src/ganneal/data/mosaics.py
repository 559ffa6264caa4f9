"""Packed images: a mosaic of square tiles, row by row, in one .webp or .png file; and CIFAR as a family of mosaics."""

import re
import zlib
from pathlib import Path
from threading import Lock
from zipfile import BadZipFile

import numpy as np

from ganneal.data.contract import MAX_SIDE, MIN_SIDE, Indices, Options, own_split, split
from ganneal.data.pixels import Images, images, opened
from ganneal.errors import UsageError

TRAIN = re.compile(r"(.+)-train-\d+$")


class Mosaics:
    """The tiles [count, 3, side, side] of some files in a row; a file is decoded when a tile of it is first fetched."""

    def __init__(self, paths: list[Path], side: int):
        self.paths, self.side = paths, side
        self.tiles: dict[int, np.ndarray] = {}
        self.lock = Lock()
        self.counts = [self._count(path) for path in paths]
        self.starts = np.cumsum([0, *self.counts])

    def __call__(self, positions: Indices) -> np.ndarray:
        """uint8 [B, 3, side, side]."""
        files = np.searchsorted(self.starts, positions, side="right") - 1
        found = np.empty((len(positions), 3, self.side, self.side), np.uint8)
        for file in np.unique(files):
            here = files == file
            found[here] = self._load(int(file))[positions[here] - self.starts[file]]
        return found

    def _count(self, path: Path) -> int:
        with path.open("rb") as stream, opened(stream, path.name) as image:
            width, height = image.size
        if width % self.side or height % self.side:
            raise UsageError(
                f"{path.name}: {width}x{height} pixels are no whole number of {self.side}x{self.side} tiles"
            )
        return (width // self.side) * (height // self.side)

    def _load(self, file: int) -> np.ndarray:
        with self.lock:
            if file not in self.tiles:
                path, s = self.paths[file], self.side
                with path.open("rb") as stream, opened(stream, path.name) as image:
                    a = np.asarray(image.convert("RGB"))
                tiled = a.reshape(a.shape[0] // s, s, a.shape[1] // s, s, 3).transpose(0, 2, 4, 1, 3)
                self.tiles[file] = tiled.reshape(-1, 3, s, s)
            return self.tiles[file]


def open_mosaic(path: Path, name: str, key: str | None, options: Options) -> Images:
    """One mosaic; the tile's side comes after a colon (`faces.webp:64`) or ends the file's name (`faces64.webp`)."""
    # only .webp: photo64.png is rather a photo than a mosaic
    digits = re.search(r"\d+$", path.stem) if path.suffix.lower() == ".webp" else None
    mosaic = Mosaics([path], _side(name, path.name, key if key is not None else digits.group() if digits else None))
    parts = split(name, sum(mosaic.counts), options)
    return images(name, mosaic, (3, mosaic.side, mosaic.side), parts, options)


def family(path: Path) -> Path | None:
    """`DIR/cifar10` if `path` is that or one of its training mosaics `DIR/cifar10-train-0.webp`, and they are there."""
    found = TRAIN.match(path.stem) if path.suffix == ".webp" else None
    stem = path.with_name(found.group(1)) if found else path
    return stem if stem.with_name(f"{stem.name}-train-0.webp").is_file() else None


def open_family(stem: Path, name: str, key: str | None, options: Options) -> Images:
    """`STEM-train-0.webp`, ...: training; `STEM-test.webp`: held out; `STEM-labels.npz`: `y_train`, `y_test`."""
    side = _side(name, stem.name, "32" if key is None and stem.name.startswith("cifar") else key)
    trains: list[Path] = []
    while (path := stem.with_name(f"{stem.name}-train-{len(trains)}.webp")).is_file():
        trains.append(path)
    test, label_file = stem.with_name(f"{stem.name}-test.webp"), stem.with_name(f"{stem.name}-labels.npz")
    if not test.is_file():
        raise UsageError(f"{name}: the held-out part {test.name} is missing beside {trains[0].name}")
    mosaics = Mosaics([*trains, test], side)
    parts = own_split(name, sum(mosaics.counts[:-1]), mosaics.counts[-1], options)
    labels = None
    if label_file.is_file():
        try:
            with np.load(label_file, allow_pickle=False) as arrays:
                labels = np.concatenate([arrays["y_train"], arrays["y_test"]])
        except (OSError, ValueError, KeyError, EOFError, BadZipFile, zlib.error) as error:
            raise UsageError(f"{label_file.name}: y_train and y_test cannot be read: {error}") from None
        if labels.shape != (sum(mosaics.counts),):
            raise UsageError(
                f"{label_file.name}: {labels.shape} labels for {sum(mosaics.counts)} images; one for each is needed"
            )
    return images(name, mosaics, (3, side, side), parts, options, labels)


def _side(name: str, file: str, text: str | None) -> int:
    if text is None or not text.isdecimal() or not MIN_SIDE <= int(text) <= MAX_SIDE:
        got = "no tile size" if text is None else f"tile size '{text}'"
        raise UsageError(
            f"{name}: {got} for a mosaic of images; write {file}:64 with a size of {MIN_SIDE}..{MAX_SIDE} "
            "(for images in separate files, give their folder)"
        )
    return int(text)
