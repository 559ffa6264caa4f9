"""Pictures of samples: grids of images, and scatter plots, histograms or pair plots of vectors. Arrays in, pictures
out; no global state."""

import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ganneal.errors import UsageError

SIDE = 48  # pixels that a tiny image is blown up to
LIGHT = {"ink": "#4a5058", "grid": "#d9dce1", "real": "#8d96a3", "model": "#2563b8", "modes": "#b3401a"}
DARK = {"ink": "#b4bac4", "grid": "#363c46", "real": "#7f8896", "model": "#7fb0ff", "modes": "#ff9b73"}


def image_grid(images: Any, columns: int | None = None, side: int = SIDE) -> Image.Image:
    """Images uint8 [n, H, W] or [n, H, W, C] (C = 1 or 3) as one picture, as square as it can be.

    Images with less than `side` pixels are enlarged a whole number of times by nearest neighbour, so that every pixel
    stays a crisp square.
    """
    array = np.asarray(images)
    if array.ndim == 4 and array.shape[-1] == 1:
        array = array[..., 0]
    layout = array.ndim == 3 or (array.ndim == 4 and array.shape[-1] == 3)
    if array.dtype != np.uint8 or not layout or not array.size:
        allowed = "uint8 [n, H, W] or [n, H, W, C] with C 1 or 3"
        raise UsageError(f"images: got {array.dtype} of shape {array.shape}; allowed: {allowed}")
    factor = max(1, round(side / max(array.shape[1:3])))
    array = array.repeat(factor, 1).repeat(factor, 2)
    n, height, width = array.shape[:3]
    columns = columns or math.ceil(math.sqrt(n * height / width))
    gap = max(2, min(height, width) // 16)
    rows = math.ceil(n / columns)
    sheet = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, *array.shape[3:]), 128, np.uint8)
    for i, image in enumerate(array):
        top, left = (i // columns) * (height + gap), (i % columns) * (width + gap)
        sheet[top : top + height, left : left + width] = image
    return _transparent_gaps(sheet, n, columns, height, width, gap)


def save_grid(path: Path | str, images: Any) -> Path:
    """Write images uint8 [n, H, W(, C)] as one PNG file; its name must end in .png."""
    path = Path(path)
    if path.suffix.lower() != ".png":
        raise UsageError(f"{path}: got {path.suffix or 'no suffix'}; allowed: .png")
    image_grid(images).save(path, format="PNG")
    return path


def png(image: Image.Image) -> bytes:
    """A picture as the bytes of a PNG file."""
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def scatter(
    x: Any, real: Any = None, modes: Any = None, *, spread: float | None = None, names: Sequence[str] = (),
    dark: bool = False, small: bool = False, limits: Sequence[tuple[float, float]] | None = None,
    told: str = "held-out data",
) -> bytes:  # fmt: skip
    """PNG bytes of samples x [n, d] over held-out data real [m, d] and true modes [K, d] of width `spread`.

    d = 1: histograms; d = 2: a scatter plot with a ring of 3 spreads around each mode; d > 2: a pair plot of the first
    four columns. The background is transparent. Values that are not finite are left out.

    names      of the columns
    dark       colours for a dark page
    small      a thumbnail without axes, of the first two columns
    limits     of each column, by default from `frame`
    told       what `real` is, for the legend

    Raises UsageError when no example is finite.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    x, real = _rows(x, "x"), None if real is None else _rows(real, "real")
    modes = None if modes is None else _rows(modes, "modes")
    limits = limits or frame(x, real, modes, spread)
    colours = DARK if dark else LIGHT
    d = min(x.shape[1], 2 if small else 4)
    figure = Figure(figsize=_size(d, x.shape[1] == 2, small, limits), dpi=100 if small else 144)
    figure.patch.set_alpha(0)
    FigureCanvasAgg(figure)
    inches = figure.get_size_inches()
    left, bottom, top = (0.02, 0.02, 0.02) if small else (0.75 if d > 2 else 0.5, 0.5, 0.35 if d < 3 else 0.1)
    figure.subplots_adjust(left / inches[0], bottom / inches[1], 1 - 0.1 / inches[0], 1 - top / inches[1])
    if d == 1:
        histogram(figure.subplots(), x[:, 0], None if real is None else real[:, 0], limits[0], colours)
    elif d == 2:
        _plane(figure.subplots(), x, real, modes, spread, limits, colours, small, square=x.shape[1] == 2)
    else:
        axes = figure.subplots(d, d)
        for i in range(d):
            for j in range(d):
                own = None if real is None else real[:, [j, i]]
                if j > i:
                    axes[i, j].set_visible(False)
                elif i == j:
                    histogram(axes[i, j], x[:, i], None if own is None else own[:, 0], limits[i], colours)
                else:
                    pair = None if modes is None else modes[:, [j, i]]
                    _plane(axes[i, j], x[:, [j, i]], own, pair, spread, (limits[j], limits[i]), colours, small)
    label = list(names) or [f"x{k + 1}" for k in range(d)]
    for axis in figure.axes:
        calm(axis, colours, small)
        row, column = divmod(figure.axes.index(axis), d if d > 2 else 1)
        if not small and (d == 1 or d > 2):
            axis.set_xlabel(label[column] if row == d - 1 or d == 1 else "", color=colours["ink"], fontsize=10)
            axis.set_ylabel(label[row] if column == 0 and row else "", color=colours["ink"], fontsize=10)
            axis.tick_params(labelbottom=row == d - 1, labelleft=column == 0 and (row > 0 and d > 1))
    if not small and d == 2 and names:
        figure.axes[0].set_xlabel(label[0], color=colours["ink"])
        figure.axes[0].set_ylabel(label[1], color=colours["ink"])
    if not small:
        figure.align_ylabels()
        _legend(figure, d == 1, real is not None, modes is not None and d > 1, colours, told)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    # a palette of 64 colours is a third of the size, and nobody sees the difference in dots
    return png(Image.open(buffer).quantize(64, method=Image.Quantize.FASTOCTREE))


def frame(x: Any, real: Any = None, modes: Any = None, spread: float | None = None) -> list[tuple[float, float]]:
    """Limits of each column that show the real examples and the modes, or without them 99 % of the samples."""
    parts = [_rows(part, "samples") for part in (real, modes) if part is not None]
    body = np.concatenate(parts) if parts else np.quantile(_rows(x, "x"), [0.005, 0.995], axis=0)
    low, high = body.min(0), body.max(0)
    margin = np.maximum(0.12 * (high - low), 4 * (spread or 0)) + 1e-6 * (1 + np.abs(high))
    return [(float(a), float(b)) for a, b in zip(low - margin, high + margin, strict=True)]


def _rows(values: Any, name: str) -> np.ndarray:
    array = np.asarray(values, dtype=np.float64)
    array = array.reshape(len(array), -1) if array.ndim else array
    array = array[np.isfinite(array).all(1)] if array.ndim == 2 else array
    if array.ndim != 2 or not array.size:
        raise UsageError(f"{name}: got shape {np.shape(values)}; allowed: [n, d] with at least one finite example")
    return array


def _size(d: int, square: bool, small: bool, limits: Any) -> tuple[float, float]:
    """Inches of the figure: of the shape of the data where one unit is as long in both directions."""
    if small:
        return (1.35, 1.35 * (0.6 if d == 1 else 1.0))
    if d == 1:
        return (5.2, 3.0)
    if d > 2:
        return (6.2, 6.2)
    ratio = (limits[1][1] - limits[1][0]) / (limits[0][1] - limits[0][0])
    return (5.0, 0.8 + 4.4 * (ratio if square and 0.5 < ratio < 2 else 0.8))


def _plane(
    axis: Any, x: Any, real: Any, modes: Any, spread: float | None, limits: Any, colours: Any, small: bool,
    square: bool = False,
) -> None:  # fmt: skip
    size = 1.2 if small else np.clip(3000 / max(len(x), 1), 2.0, 12)
    if real is not None:  # larger and below: where the model has no samples, or another width, the data show
        axis.scatter(*real[:, :2].T, s=4 * size, c=colours["real"], alpha=0.35, linewidths=0)
    axis.scatter(*x[:, :2].T, s=size, c=colours["model"], alpha=0.75, linewidths=0)
    if modes is not None and not small:
        if spread:
            from matplotlib.collections import EllipseCollection

            width = np.full(len(modes), 6 * spread)
            axis.add_collection(
                EllipseCollection(width, width, np.zeros(len(modes)), units="xy", offsets=modes[:, :2],
                                  offset_transform=axis.transData, facecolors="none", edgecolors=colours["modes"],
                                  linewidths=0.9)
            )  # fmt: skip
        else:
            axis.scatter(*modes[:, :2].T, s=40, marker="+", c=colours["modes"], linewidths=1)
    axis.set_xlim(limits[0])
    axis.set_ylim(limits[1])
    span = [b - a for a, b in limits[:2]]
    if square and 0.5 < span[1] / span[0] < 2:
        axis.set_aspect("equal", adjustable="box")


def histogram(axis: Any, x: Any, real: Any, limits: Any, colours: Any) -> None:
    """Shares of x [n] as filled bars (colour "model"), and of real [m] as a line (colour "ink")."""
    bins = np.linspace(limits[0], limits[1], 41)
    share = 1 / (bins[1] - bins[0])  # samples outside the limits count in the density, so it may integrate to less
    axis.hist(x, bins, weights=np.full(len(x), share / len(x)), color=colours["model"], alpha=0.55)
    if real is not None:
        weights = np.full(len(real), share / len(real))
        axis.hist(real, bins, weights=weights, histtype="step", color=colours["ink"], linewidth=1.2)
    axis.set_xlim(limits)
    axis.set_yticks([])


def calm(axis: Any, colours: Any, small: bool = False) -> None:
    """Axes without a background, in the colours of the page."""
    axis.patch.set_alpha(0)
    for side, spine in axis.spines.items():
        spine.set_visible(small or side in ("left", "bottom"))
        spine.set_color(colours["grid"])
    axis.tick_params(colors=colours["ink"], labelsize=9, length=0 if small else 3, width=0.6)
    axis.set_axisbelow(True)
    if small:
        axis.set_xticks([])
        axis.set_yticks([])


def _legend(figure: Any, line: bool, real: bool, modes: bool, colours: Any, told: str) -> None:
    from matplotlib.lines import Line2D

    kinds = [
        ("model", "samples", "o", True),
        ("real", told, "o", real),
        ("modes", "true modes", "$○$", modes),
    ]
    handles = [
        Line2D([], [], linestyle="", marker=marker, markersize=6, color=colours[key], label=text)
        for key, text, marker, shown in kinds
        if shown
    ]
    if line and real:
        handles[1] = Line2D([], [], color=colours["ink"], linewidth=1.2, label=told)
    figure.legend(handles=handles, loc="upper right", ncols=3, frameon=False, labelcolor=colours["ink"], fontsize=10)


def _transparent_gaps(sheet: np.ndarray, n: int, columns: int, height: int, width: int, gap: int) -> Image.Image:
    """The sheet as a picture whose gaps are transparent, so that it sits well on light and dark pages."""
    rows, last = math.ceil(n / columns), n % columns or columns
    alpha = np.zeros(sheet.shape[:2], np.uint8)
    for row in range(rows):
        for column in range(columns if row < rows - 1 else last):
            top, left = row * (height + gap), column * (width + gap)
            alpha[top : top + height, left : left + width] = 255
    mode = "LA" if sheet.ndim == 2 else "RGBA"
    return Image.fromarray(np.dstack([sheet, alpha]), mode=mode)
