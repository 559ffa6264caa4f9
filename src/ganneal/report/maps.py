"""Pictures that compare two samples: histograms over each other, the witness over a line or a plane, MMD over widths,
and maps of pixels. Arrays in, PNG bytes out; one colour for each sample, everywhere."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from ganneal.report.plots import DARK, LIGHT, calm, histogram, png

PALETTES: dict[bool, dict[str, str]] = {
    False: {
        **LIGHT,
        "page": "#fbfaf8",
        "first": "#c2491d",
        "second": "#2563b8",
        "gaussian": "#0f7f6b",
        "laplace": "#7a4fb5",
    },
    True: {
        **DARK,
        "page": "#14171b",
        "first": "#ff9b73",
        "second": "#7fb0ff",
        "gaussian": "#5fd0b5",
        "laplace": "#c3a5ff",
    },
}
"""By whether the page is dark. `first`, `second` and `page` are --c1, --c0 and --page of page.css."""

FEW = 16
"""Different values up to which a column is drawn as bars side by side."""
PIXELS = 160
"""Side that a map of pixels is enlarged to."""


def overlay(first: np.ndarray, second: np.ndarray, dark: bool) -> bytes:
    """Shares of one column: first [m] as a line over second [n], filled; bars side by side where it has few values."""
    colours = PALETTES[dark]
    figure, (axis,) = _figure(3.4, 1.75)
    _distribution(axis, first, second, colours)
    calm(axis, colours)
    return _bytes(figure, 32)


def line(
    first: np.ndarray, second: np.ndarray, points: np.ndarray, witness: np.ndarray, band: float, name: str, dark: bool
) -> bytes:
    """Histograms of first [m] and second [n], and below them the witness at points [p] with the band +-`band`."""
    colours = PALETTES[dark]
    figure, (above, below) = _figure(5.4, 3.8, 2, (1.7, 1))
    limits = (float(points[0]), float(points[-1]))
    histogram(above, second, first, limits, {"model": colours["second"], "ink": colours["first"]})
    below.axhspan(-band, band, color=colours["grid"], alpha=0.7, linewidth=0)
    for side, sign in (("first", 1), ("second", -1)):
        below.fill_between(
            points, 0, np.maximum(sign * witness, 0) * sign, color=colours[side], alpha=0.45, linewidth=0
        )
    below.plot(points, witness, color=colours["ink"], linewidth=1)
    below.set_yticks([0])
    for axis, label in ((above, "share"), (below, "witness")):
        calm(axis, colours)
        axis.set_ylabel(label, color=colours["ink"], fontsize=9)
    above.tick_params(labelbottom=False)
    below.set_xlabel(name, color=colours["ink"], fontsize=9)
    below.set_xlim(limits)
    return _bytes(figure, 64)


def plane(
    first: np.ndarray, second: np.ndarray, across: np.ndarray, up: np.ndarray, witness: np.ndarray, band: float,
    marks: np.ndarray, names: Sequence[str], dark: bool,
) -> bytes:  # fmt: skip
    """The witness [up, across] over a plane, invisible where it is 0, with lines where it leaves +-`band`; first [m, 2]
    and second [n, 2] as dots, and marks [k, 2] as crosses in rings."""
    from matplotlib.colors import to_rgb

    colours = PALETTES[dark]
    spans = [float(v[-1] - v[0]) for v in (across, up)]
    ratio = spans[1] / spans[0]
    equal = 0.4 < ratio < 2.2
    figure, (axis,) = _figure(min(5.4, 0.8 + 4.6 / ratio), min(5.2, 0.6 + 4.7 * ratio)) if equal else _figure(5.4, 4)
    strength = np.abs(witness) / max(float(np.abs(witness).max()), 1.5 * band, 1e-300)
    hue = np.where((witness > 0)[..., None], to_rgb(colours["first"]), to_rgb(colours["second"]))
    extent = (across[0], across[-1], up[0], up[-1])
    axis.imshow(
        np.dstack([hue, 0.62 * strength]), extent=extent, origin="lower", interpolation="bilinear", aspect="auto"
    )
    if band < np.abs(witness).max():
        for level, side in ((band, "first"), (-band, "second")):
            if witness.min() < level < witness.max():
                axis.contour(
                    across, up, witness, levels=[level], colors=[colours[side]], linewidths=1.1, linestyles="-"
                )
    size = float(np.clip(2500 / (len(first) + len(second)), 1.5, 9))
    both = np.concatenate([first, second])
    tints = np.repeat([colours["first"], colours["second"]], [len(first), len(second)])
    order = np.random.default_rng(0).permutation(len(both))  # neither sample hides the other
    axis.scatter(*both[order].T, s=size, c=tints[order].tolist(), alpha=0.75, linewidths=0)
    if len(marks):
        axis.scatter(*marks.T, s=90, marker="o", facecolors="none", edgecolors=colours["ink"], linewidths=1.4)
        axis.scatter(*marks.T, s=40, marker="+", c=colours["ink"], linewidths=1.4)
    axis.set_xlim(extent[:2])
    axis.set_ylim(extent[2:])
    if equal:
        axis.set_aspect("equal", adjustable="box")
    calm(axis, colours)
    axis.set_xlabel(names[0], color=colours["ink"], fontsize=9)
    axis.set_ylabel(names[1], color=colours["ink"], fontsize=9)
    return _bytes(figure, 256, colours["page"])


def scales(curves: Mapping[str, Sequence[tuple[float, float, float]]], level: float, dark: bool) -> bytes:
    """MMD^2 and p-value over widths: for each kernel triples (width, MMD^2, p)."""
    from matplotlib.ticker import LogLocator, NullLocator

    colours = PALETTES[dark]
    figure, (above, below) = _figure(5.4, 3.6, 2, (1, 1))
    for kernel, triples in curves.items():
        widths, values, pvalues = zip(*sorted(triples), strict=True)
        style = {"color": colours.get(kernel, colours["ink"]), "marker": "o", "markersize": 3.5, "linewidth": 1.4}
        above.plot(widths, values, label=kernel.capitalize(), **style)
        below.plot(widths, pvalues, **style)
    above.axhline(0, color=colours["grid"], linewidth=1)
    below.axhline(level, color=colours["ink"], linewidth=1, linestyle=(0, (4, 3)))
    below.annotate(
        f"level {level:g}", (1, level), xycoords=("axes fraction", "data"), xytext=(0, 3), textcoords="offset points",
        ha="right", color=colours["ink"], fontsize=8,
    )  # fmt: skip
    below.set_xscale("log")
    below.set_yscale("log")
    lowest = min(p for triples in curves.values() for _, _, p in triples)
    below.set_ylim(min(lowest, level) / 1.6, 1.5)
    for axis, label in ((above, "MMD²"), (below, "p-value")):
        calm(axis, colours)
        axis.set_ylabel(label, color=colours["ink"], fontsize=9)
    for ticks, (low, high) in ((below.xaxis, below.get_xlim()), (below.yaxis, below.get_ylim())):
        ticks.set_major_locator(LogLocator(subs=(1, 3) if high < 1000 * low else (1,)))
        ticks.set_major_formatter(lambda value, _: f"{value:g}")
        ticks.set_minor_locator(NullLocator())
    above.legend(frameon=False, labelcolor=colours["ink"], fontsize=9)
    above.tick_params(labelbottom=False)
    below.set_xlabel("width of the kernel / median distance", color=colours["ink"], fontsize=9)
    return _bytes(figure, 64)


def pixel_map(values: np.ndarray, dark: bool, above: str = "first", below: str = "second") -> bytes:
    """Values [H, W] as a picture with crisp pixels: the colours named above 0 and below, none at 0."""
    from matplotlib.colors import to_rgb

    colours = PALETTES[dark]
    strength = np.abs(values) / max(float(np.abs(values).max()), 1e-300)
    hue = np.where((values > 0)[..., None], to_rgb(colours[above]), to_rgb(colours[below]))
    sheet = (255 * np.dstack([hue, strength])).round().astype(np.uint8)
    factor = max(1, round(PIXELS / max(values.shape)))
    return png(Image.fromarray(sheet.repeat(factor, 0).repeat(factor, 1), mode="RGBA"))


def _distribution(axis: Any, first: np.ndarray, second: np.ndarray, colours: Mapping[str, str]) -> None:
    both = np.concatenate([first, second])
    values = np.unique(both)
    if len(values) <= FEW:
        for shift, side, column in ((-0.2, "first", first), (0.2, "second", second)):
            shares = [(column == value).mean() for value in values]
            axis.bar(np.arange(len(values)) + shift, shares, 0.38, color=colours[side], alpha=0.85)
        step = -(-len(values) // 8)
        axis.set_xticks(np.arange(len(values))[::step], [f"{value:.4g}" for value in values[::step]])
        axis.set_yticks([])
        return
    limits = limits_of(both)
    histogram(axis, second, first, limits, {"model": colours["second"], "ink": colours["first"]})


def limits_of(values: np.ndarray, share: float = 0.01, margin: float = 0.06) -> tuple[float, float]:
    """Where all but the outermost `share` of values [n] lie, and some room beside them."""
    low, high = np.quantile(values, [share / 2, 1 - share / 2])
    if not low < high:
        low, high = values.min(), values.max()
    room = margin * (high - low) or 0.5
    return float(low - room), float(high + room)


def _figure(width: float, height: float, rows: int = 1, ratios: Sequence[float] = (1,)) -> tuple[Any, np.ndarray]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=160, layout="constrained")
    figure.patch.set_alpha(0)
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, 1, sharex=True, gridspec_kw={"height_ratios": ratios}, squeeze=False)
    return figure, axes[:, 0]


def _bytes(figure: Any, colours: int, page: str | None = None) -> bytes:
    """The figure with a palette, on a transparent ground; on the colour of the page where shades must stay smooth."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    image = Image.open(buffer).convert("RGBA")
    if page is None:
        return png(image.quantize(colours, method=Image.Quantize.FASTOCTREE))
    ground = Image.new("RGBA", image.size, page)
    ground.alpha_composite(image)
    return png(ground.convert("RGB").quantize(colours, method=Image.Quantize.MEDIANCUT))
