"""Where two samples differ, as pictures and tables: what each has that the other lacks, columns by difference, the
witness over a line or a plane, and the width at which MMD sees the difference."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ganneal.errors import UsageError
from ganneal.report.columns import SHOWN as WIDEST
from ganneal.report.columns import Column, Rows, ranked, rows_of
from ganneal.report.field import map_panel
from ganneal.report.maps import PIXELS, overlay, pixel_map
from ganneal.report.panels import Panel, both, details_of, result_with
from ganneal.report.pictures import Picture, grid, picture
from ganneal.report.plots import png
from ganneal.report.scales import scale_panel

if TYPE_CHECKING:
    from ganneal.comparison import Comparison

BUDGET = 110_000  # raw bytes of a grid of images, of which there are six: the page stays below 1.5 MB even for noise
MOST, HISTOGRAMS, LISTED, ROWS = 16, 6, 20, 8


@dataclass(frozen=True)
class Table:
    """Examples of one sample as rows."""

    title: str
    note: str
    rows: Rows
    side: str


@dataclass(frozen=True)
class Differences:
    """What the section shows, in this order; `columns` are the first of `total`, `tested` says whether a test of them
    ran."""

    panels: tuple[Panel, ...] = ()
    columns: tuple[Column, ...] = ()
    total: int = 0
    tested: bool = False
    weighed: bool = False
    histograms: Panel | None = None
    tables: tuple[Table, ...] = ()
    scales: Panel | None = None
    note: str = ""


def differences(found: "Comparison", first: str, second: str) -> Differences:
    """The pictures and tables of a comparison, with short names of its samples."""
    try:
        if found.real.pictures:
            return _of_images(found, first, second)
        return _of_numbers(found, first, second)
    except UsageError as error:  # images of a kind that cannot be drawn can still be compared
        return Differences(scales=scale_panel(found), note=f"The examples could not be drawn: {error}")


@dataclass(frozen=True)
class _Side:
    """One sample against the other: where the witness has its `sign`, it has more examples than the other."""

    key: str
    own: str
    other: str
    values: np.ndarray
    index: tuple[int, ...]
    witness: tuple[float, ...]
    sign: int
    title: str

    def note(self) -> str:
        """What its extreme examples are."""
        if not self.index:
            return ""
        span = f"the first at {self.witness[0]:+.1f} standard deviations of the witness"
        if self.sign * self.witness[0] > 0:
            return f"Examples of {self.own} from where it most outweighs {self.other} ({span})."
        return f"{self.other} outweighs {self.own} at every example of {self.own}, least so at these ({span})."


def _sides(found: "Comparison", first: str, second: str) -> tuple[_Side, _Side]:
    where, titles = found.where, [f"What {second} lacks", f"What {second} has too much of"]
    for i, (value, sign) in enumerate(((where.x_value, 1), (where.y_value, -1))):
        if not found.battery.rejected or not value or sign * value[0] <= 0:
            titles[i] = f"Least typical of {(second, first)[i]}"
    return (
        _Side("first", first, second, found.real.values, where.x_index, where.x_value, 1, titles[0]),
        _Side("second", second, first, found.fake.values, where.y_index, where.y_value, -1, titles[1]),
    )


def _of_images(found: "Comparison", first: str, second: str) -> Differences:
    rng = np.random.default_rng(found.seed)
    panels = []
    for side in _sides(found, first, second):
        extreme, some = side.values[list(side.index)], side.values[rng.permutation(len(side.values))[:MOST]]
        pictures = (
            _grid(extreme, f"Examples of {side.own} that are least like {side.other}", "most extreme first"),
            _grid(some, f"Random examples of {side.own}", "random, for comparison"),
        )
        panels.append(Panel(side.title, side.note(), pictures, side=side.key))
    panels += [*_confident(found, first, second), _pixels(found, first, second)]
    return Differences(tuple(panels), scales=scale_panel(found))


def _confident(found: "Comparison", first: str, second: str) -> list[Panel]:
    """The examples that a classifier told apart most clearly, if it could."""
    result = result_with(found, "confident_x", "confident_y")
    if result is None or found.battery.adjusted[found.battery.results.index(result)] > found.battery.level:
        return []
    note = f"Held-out examples that the classifier of {result.name} is most sure of."
    x, y = result.details.get("accuracy_x"), result.details.get("accuracy_y")
    if isinstance(x, float) and isinstance(y, float):
        note += f" It recognises {100 * x:.0f} % of {first} and {100 * y:.0f} % of {second}; guessing would be right "
        note += "half of the time."
    pictures = []
    for key, own, values in (("x", first, found.real.values), ("y", second, found.fake.values)):
        index = [i for i in result.details[f"confident_{key}"] if 0 <= i < len(values)]
        if index:
            pictures.append(_grid(values[index], f"Examples of {own} that a classifier recognises", f"surely {own}"))
    return [Panel("What a classifier recognises", note, tuple(pictures))] if pictures else []


def _pixels(found: "Comparison", first: str, second: str) -> Panel:
    """Mean images, their difference, and the pixels that an ARD kernel weighs."""
    means = [v.astype(np.float64).mean(0) for v in (found.real.values, found.fake.values)]
    gap = means[0] - means[1]
    gap = gap.mean(-1) if gap.ndim == 3 else gap
    pictures = [
        _grid(mean.round().astype(np.uint8)[None], f"Mean of {name}", f"mean of {name}", PIXELS)
        for mean, name in zip(means, (first, second), strict=True)
    ]
    pictures.append(
        both(lambda dark: pixel_map(gap, dark), f"Mean of {first} minus mean of {second}", "difference of the means")
    )
    weights = details_of(found, "weights", "columns").get("weights", ())
    if len(weights) == found.real.values[0].size:
        height, width = found.real.values.shape[1:3]
        shares = np.reshape(weights, (-1, height, width)).sum(0)  # of all channels
        pictures.append(both(lambda dark: pixel_map(shares, dark, "ink"), "Weight of each pixel", "weights of mmd_ard"))
    note = (
        "The difference has the colour of the sample that is brighter there; the strongest is "
        f"{np.abs(gap).max():.3g} of 255 grey levels."
    )
    return Panel("Pixel by pixel", note, tuple(pictures), style="pixels")


def _of_numbers(found: "Comparison", first: str, second: str) -> Differences:
    real, fake = (np.asarray(s.values, dtype=np.float64) for s in (found.real, found.fake))
    names = list(found.real.names)
    tested, weighed = details_of(found, "statistics", "joint"), details_of(found, "weights", "columns")
    columns = ranked(real, fake, names, tested, weighed) if len(names) > 1 else []
    if len(names) <= 2:
        shown = map_panel(found, real, fake, names, first, second)
        return Differences((shown,), tuple(columns), len(names), bool(tested), bool(weighed), scales=scale_panel(found))
    order = [c.position for c in columns] if len(names) > WIDEST else list(range(len(names)))
    tables = []
    for side, own, other in zip(_sides(found, first, second), (real, fake), (fake, real), strict=True):
        index, ordered = side.index[:ROWS], [names[i] for i in order]
        rows = rows_of(own[:, order], other[:, order], ordered, index, side.witness[:ROWS])
        note = f"{side.note()} Marked: outside the middle 90 % of {side.other}."
        tables.append(Table(side.title, note, rows, side.key))
    return Differences(
        (), tuple(columns[:LISTED]), len(names), bool(tested), bool(weighed),
        _histograms(columns[:HISTOGRAMS], first, second), tuple(tables), scale_panel(found),
    )  # fmt: skip


def _histograms(columns: Sequence[Column], first: str, second: str) -> Panel:
    pictures = []
    for c in columns:
        alt = f"Histograms of {c.name} in {first} and {second}, Kolmogorov-Smirnov distance {c.distance:.3f}"
        pictures.append(both(lambda dark, c=c: overlay(c.first, c.second, dark), alt, c.name))  # type: ignore[misc]
    note = "The outermost 1 % of values lie outside of the frames. Columns of few values: shares side by side."
    return Panel("The most different columns", note, tuple(pictures), style="columns")


def _grid(images: np.ndarray, alt: str, caption: str, side: int = 72) -> Picture:
    return picture(png(grid(images, BUDGET, MOST, side)), alt, caption)
