"""The samples section: the latest samples large, held-out data beside them, and a strip of earlier samples to see them
form."""

import base64
import math
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ganneal.errors import UsageError
from ganneal.report.plots import SIDE, frame, image_grid, png, scatter

LARGE, BESIDE, STRIP = 330_000, 160_000, 36_000  # raw bytes of each picture: the page stays below 1.5 MB even for noise
EARLIER = 6


@dataclass(frozen=True)
class Picture:
    """A picture as data URL, for dark pages too where it differs, with its size in pixels."""

    url: str
    alt: str
    caption: str
    width: int
    height: int
    dark_url: str | None = None


@dataclass(frozen=True)
class Gallery:
    """What the samples section shows; `note` says what is missing."""

    latest: Picture | None = None
    real: Picture | None = None
    earlier: tuple[Picture, ...] = field(default_factory=tuple)
    note: str = ""


def gallery(run_dir: Path, events: Sequence[Mapping[str, Any]]) -> Gallery:
    """Pictures of the files in samples/, of those that the events name where they name any."""
    paths = _files(run_dir, events)
    if not paths:
        return Gallery(note="No samples have been written yet.")
    try:
        latest = _load(paths[-1])
        chosen = [paths[i] for i in np.unique(np.linspace(0, len(paths) - 1, EARLIER + 1).round().astype(int))[:-1]]
        when = f"after {examples_of(paths[-1]):,} examples"
        if latest["x"].dtype == np.uint8:
            return _images(latest, chosen, when)
        return _vectors(latest, chosen, when)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile, UsageError) as error:
        return Gallery(note=f"The samples could not be drawn: {error}")


def examples_of(path: Path) -> int:
    """How many examples the run had seen when it wrote a file named NNNNNNNNNNNN.npz."""
    return int(path.stem) if path.stem.isdigit() else 0


def _files(run_dir: Path, events: Sequence[Mapping[str, Any]]) -> list[Path]:
    folder = run_dir / "samples"
    named = {folder / Path(str(e.get("file", ""))).name for e in events if e.get("event") == "samples"}
    return sorted(path for path in folder.glob("*.npz") if not named or path in named)


def _load(path: Path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as file:
        return {key: file[key] for key in file.files}


def _images(latest: Mapping[str, np.ndarray], earlier: list[Path], when: str) -> Gallery:
    main = grid(latest["x"], LARGE, 64)
    real = latest.get("real")
    beside = grid(real, BESIDE, 36) if real is not None and real.dtype == np.uint8 and len(real) else None
    strip = [(path, grid(_load(path)["x"], STRIP, 9)) for path in earlier]
    return Gallery(
        picture(png(main), f"Grid of generated images {when}", f"Samples {when}"),
        picture(png(beside), "Grid of held-out real images", "Held-out data") if beside else None,
        tuple(picture(png(sheet), f"Generated images {_after(path)}", _short(path)) for path, sheet in strip),
    )


def grid(images: np.ndarray, budget: int, most: int, side: int = SIDE) -> Image.Image:
    """As many images as fit the budget, at least 9, made smaller where even those do not fit; tiny ones are blown up to
    about `side` pixels."""
    each = int(np.prod(images.shape[1:]))
    count = int(np.clip(budget // max(1, each), 9, most))
    count = min(count, len(images))
    columns = max(1, math.isqrt(count))
    images = images[: count // columns * columns]  # whole rows
    if each * len(images) > budget:
        scale = (budget / (each * len(images))) ** 0.5
        size = (max(1, int(images.shape[2] * scale)), max(1, int(images.shape[1] * scale)))
        flat = images[..., 0] if images.ndim == 4 and images.shape[-1] == 1 else images
        images = np.stack([np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BOX)) for image in flat])
    return image_grid(images, columns, side)


def _vectors(latest: Mapping[str, np.ndarray], earlier: list[Path], when: str) -> Gallery:
    x, real, modes = latest["x"].reshape(len(latest["x"]), -1), latest.get("real"), latest.get("modes")
    spread = float(latest["spread"]) if "spread" in latest and np.size(latest["spread"]) == 1 else None
    told = str(latest["told"]) if "told" in latest else "held-out data"
    names = [str(name) for name in latest.get("names", [])]
    limits = frame(x, real, modes, spread)
    inside = np.all([(column > a) & (column < b) for column, (a, b) in zip(x.T, limits, strict=True)], axis=0)
    outside = int((~inside).sum())
    caption = f"Samples {when}" + (f"; {outside:,} of {len(x):,} lie outside of the frame" if outside else "")
    light, dark = (
        scatter(
            x[:4000],
            None if real is None else real[:4000],
            modes,
            spread=spread,
            names=names,
            limits=limits,
            dark=d,
            told=told,
        )
        for d in (False, True)
    )
    what = {1: "Histogram", 2: "Scatter plot"}.get(x.shape[1], "Pair plot of the first columns")
    alt = f"{what} of {len(x):,} samples {when}" + (f", over {told}" if real is not None else "")
    strip = [_thumbnail(path, limits, real, modes) for path in earlier]
    return Gallery(picture(light, alt, caption, dark), None, tuple(strip))


def _thumbnail(path: Path, limits: Any, real: Any, modes: Any) -> Picture:
    x = _load(path)["x"]
    try:
        light, dark = (
            scatter(x[:1500], None if real is None else real[:1500], limits=limits, dark=d, small=True)
            for d in (False, True)
        )
    except UsageError:  # no finite sample at that moment: that is news, not an error
        light = dark = png(Image.new("LA", (135, 135), (128, 40)))
        return picture(light, f"No finite sample {_after(path)}", f"{_short(path)}: not finite", dark)
    return picture(light, f"Samples {_after(path)}", _short(path), dark)


def _after(path: Path) -> str:
    return f"after {examples_of(path):,} examples"


def _short(path: Path) -> str:
    count = examples_of(path)
    for size, unit in ((1_000_000, "M"), (1_000, "k")):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return str(count)


def picture(data: bytes, alt: str, caption: str, dark: bytes | None = None) -> Picture:
    """A PNG file as a `Picture`."""
    width, height = int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")  # of the PNG header
    return Picture(_url(data), alt, caption, width, height, _url(dark) if dark else None)


def _url(data: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(data).decode()
