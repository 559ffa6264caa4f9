"""Panels of a `ganneal.dynamics.Story`: one teller at one moment, and curves in time.

Colours: the density is ink, particles are rust, the generator is blue, equilibrium is dashed grey. A logarithmic axis
ends where estimates drown in noise.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ganneal.dynamics import Curves, Story
from ganneal.report.plots import LIGHT, calm

COLOURS = {"density": "#20262e", "particles": LIGHT["modes"], "generator": LIGHT["model"], "mu": LIGHT["real"]}
MAP = ("#ffffff", "#d7dde8", "#93a4c4", "#4d6399", "#1d2c5e")
"""White to dark blue: prints well, and dots and lines stay visible on it."""
DOTS = 2500
TAIL = 0.002
"""Share of mass, per side, that may lie outside of a picture at its widest moment."""
LEAST = 1e-3
SIZE = {"title": 13, "head": 11, "label": 10, "tick": 9}


def line_stage(axis: Any, story: Story, key: str, samples: Any) -> Any:
    """One teller's density as a line; with the density itself also mu_beta."""
    (low, high), x = limits_of(story)[0], story.box.axes[0].numpy()
    axis.set_xlim(low, high)
    bins = np.linspace(low, high, 61)

    def draw(k: int) -> None:
        if samples is None:
            axis.plot(x, story.equilibrium(k).numpy(), color=COLOURS["mu"], lw=1.3, ls=(0, (4, 2)), zorder=2)
            axis.plot(x, story.rho[k].numpy(), color=COLOURS[key], lw=1.6, zorder=3)
        else:
            axis.stairs(histogram(samples[k, :, 0], bins), bins, color=COLOURS[key], lw=1.1, alpha=0.9, zorder=4)

    return draw


def filled_stage(axis: Any, story: Story, key: str, samples: Any) -> Any:
    """One teller's density, filled, with mu_beta dashed over it."""
    (low, high), x = limits_of(story)[0], story.box.axes[0].numpy()
    axis.set_xlim(low, high)
    bins = np.linspace(low, high, 81)
    kept: list[Any] = []
    (mu,) = axis.plot(x, 0 * x, color=COLOURS["mu"], lw=1.6, ls=(0, (4, 2)), zorder=5)

    def draw(k: int) -> None:
        while kept:
            kept.pop().remove()
        mu.set_ydata(story.equilibrium(k).numpy())
        if samples is None:
            kept.append(axis.fill_between(x, story.rho[k].numpy(), color=COLOURS[key], alpha=0.75, lw=0))
        else:
            height = histogram(samples[k, :, 0], bins)
            kept.append(axis.stairs(height, bins, color=COLOURS[key], fill=True, alpha=0.75))

    return draw


def plane_stage(axis: Any, story: Story, key: str, samples: Any, top: float, size: float) -> Any:
    """A map of the density, or dots of samples; lines around half and nine tenths of mu_beta."""
    limits = _filling(axis, limits_of(story))
    axis.set_xlim(limits[0])
    axis.set_ylim(limits[1])
    x, y = (a.numpy() for a in story.box.axes)
    kept: list[Any] = []
    image = dots = None
    if samples is None:
        extent = (story.box.low[0], story.box.high[0], story.box.low[1], story.box.high[1])
        image = axis.imshow(
            story.rho[0].numpy().T, origin="lower", extent=extent, cmap=colour_map(), vmin=0, vmax=top, aspect="auto",
            interpolation="bilinear",
        )  # fmt: skip
        axis.set_xlim(limits[0])
        axis.set_ylim(limits[1])
    else:
        dots = axis.scatter(*samples[0, :DOTS].T, s=size, c=COLOURS[key], alpha=0.45, linewidths=0, zorder=3)

    def draw(k: int) -> None:
        while kept:
            kept.pop().remove()
        if image is not None:
            image.set_data(story.rho[k].numpy().T)
        if dots is not None:
            dots.set_offsets(samples[k, :DOTS])
        mu = story.equilibrium(k).numpy()
        kept.append(axis.contour(x, y, mu.T, _levels(mu, (0.9, 0.5)), colors=COLOURS["mu"], linewidths=0.9, zorder=2))

    return draw


def curve_panels(figure: Any, story: Story, rows: tuple[float, float]) -> list[Any]:
    """F, KL, Fisher information, and masses (or beta) against time."""
    two = len(story.members) == 2 and len(story.shares) == 2
    axes = side_by_side(figure, 4, rows, gap=0.05)
    told = [("density", story.density), ("particles", story.particle)]
    told += [("generator", story.model)] if story.model is not None else []
    energy, divergence, information, last = axes
    for key, curves in told:
        _tell(energy, key, curves, curves.free_energy, None)
        _tell(divergence, key, curves, curves.relative_entropy, curves.error)
        _tell(information, key, curves, curves.fisher, curves.fisher_error)
        if two:
            _tell(last, key, curves, [s[1] for s in curves.shares], None)
    energy.plot(story.density.time, story.floor, color=COLOURS["mu"], lw=1.3, ls=(0, (4, 2)))
    _around(energy, [*story.density.free_energy[2:], *story.floor])
    entitle(energy, r"free energy $F(\rho;\beta)$", LIGHT["ink"])
    for axis, values, name in (
        (divergence, story.density.relative_entropy, r"$\mathrm{KL}(\rho\,\|\,\mu_\beta)$"),
        (information, story.density.fisher, r"Fisher information $I(\rho\,|\,\mu_\beta)$"),
    ):
        axis.set_yscale("log")
        axis.set_ylim(LEAST, max(2 * max(values), 100 * LEAST))
        entitle(axis, name, LIGHT["ink"])
    if two:
        last.axhline(story.shares[1], color=COLOURS["mu"], lw=1.3, ls=(0, (4, 2)))
        last.set_ylim(0, min(1.0, 1.35 * max(story.shares[1], max(s[1] for s in story.density.shares))))
        entitle(last, f"mass of the mode '{story.members[1]}'", LIGHT["ink"])
    else:
        last.plot(story.times, story.beta, color=COLOURS["density"], lw=1.6)
        entitle(last, r"inverse temperature $\beta$", LIGHT["ink"])
    for axis in axes:
        axis.set_xlim(0, story.times[-1])
        axis.set_xlabel("time $t$")
    return list(axes)


def _tell(axis: Any, key: str, curves: Curves, values: Sequence[float], errors: Sequence[float] | None) -> None:
    """A line for the density and the generator, dots for particles; estimates only where they exceed twice their
    standard error."""
    x, y = np.asarray(curves.time), np.asarray(values)
    if errors is not None:
        clear = y > 2 * np.asarray(errors)
        x, y = x[clear], y[clear]
    if key == "particles":
        step = max(1, len(curves.time) // 20)
        axis.plot(x[::step], y[::step], "o", ms=3.6, color=COLOURS[key], mew=0, zorder=4)
    else:
        axis.plot(x, y, color=COLOURS[key], lw=1.6 if key == "density" else 1.2, zorder=3)


def side_by_side(
    figure: Any, count: int, rows: tuple[float, float], gap: float, left: float = 0.055, right: float = 0.985
) -> list[Any]:
    """Axes side by side, in the manner of the house."""
    width = (right - left - gap * (count - 1)) / count
    found = []
    for k in range(count):
        axis = figure.add_axes((left + k * (width + gap), rows[0], width, rows[1] - rows[0]))
        calm(axis, LIGHT)
        axis.tick_params(labelsize=SIZE["tick"])
        for label in (axis.xaxis.label, axis.yaxis.label):
            label.set(fontsize=SIZE["label"], color=LIGHT["ink"])
        found.append(axis)
    return found


def entitle(axis: Any, title: str, colour: str) -> None:
    """The title of a panel: large in the colour of what it shows, small in ink."""
    axis.set_title(title, fontsize=SIZE["head"] if colour != LIGHT["ink"] else SIZE["label"], color=colour, pad=5)


def limits_of(story: Story) -> list[tuple[float, float]]:
    """Limits of each coordinate that hold nearly all mass of the density at all times, and of mu_beta at the end."""
    found = []
    laws = np.concatenate([story.rho.numpy(), story.equilibrium(len(story.times) - 1)[None].numpy()])
    for axis, centres in enumerate(story.box.axes):
        other = tuple(k for k in range(1, laws.ndim) if k != axis + 1)
        mass = laws.sum(axis=other)
        grown = np.cumsum(mass / mass.sum(1, keepdims=True), 1)
        low = float(centres[int((grown > TAIL).any(0).argmax())])
        high = float(centres[int(np.flatnonzero((grown < 1 - TAIL).any(0)).max(initial=0))])
        margin = 0.05 * (high - low)
        found.append((low - margin, high + margin))
    return found


def _filling(axis: Any, limits: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Limits widened so that one unit is as long in both directions of the panel, unless it is much longer in one."""
    place, inches = axis.get_position(), axis.figure.get_size_inches()
    panel = place.height * inches[1] / (place.width * inches[0])
    (a, b), (c, d) = limits
    ratio = (d - c) / (b - a) / panel
    if not 0.55 < ratio < 1.8:
        return list(limits)
    wider, taller = max(1.0, ratio), max(1.0, 1 / ratio)
    return [
        ((a + b - wider * (b - a)) / 2, (a + b + wider * (b - a)) / 2),
        ((c + d - taller * (d - c)) / 2, (c + d + taller * (d - c)) / 2),
    ]


def _levels(field: np.ndarray, shares: Sequence[float]) -> list[float]:
    """Heights of a field above which these shares of its sum lie, rising."""
    ordered = np.sort(field.ravel())[::-1]
    grown = np.cumsum(ordered) / ordered.sum()
    places = [min(int(np.searchsorted(grown, s)), len(ordered) - 1) for s in shares]
    return sorted({float(ordered[k]) for k in places})


def histogram(x: np.ndarray, bins: np.ndarray) -> np.ndarray:
    """Density of x [n] in bins; what lies outside is missing from its integral."""
    return np.histogram(x, bins)[0] / (len(x) * (bins[1] - bins[0]))


def _around(axis: Any, values: Sequence[float]) -> None:
    low, high = min(values), max(values)
    margin = 0.06 * (high - low) + 1e-9
    axis.set_ylim(low - margin, high + margin)


def colour_map() -> Any:
    """Colours of a density, from paper to ink."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("density", MAP)


def handle(colour: str, label: str, dashed: bool = False) -> Any:
    """A line for a legend."""
    from matplotlib.lines import Line2D

    return Line2D([], [], color=colour, lw=1.8, ls=(0, (3, 1.5)) if dashed else "-", label=label)
