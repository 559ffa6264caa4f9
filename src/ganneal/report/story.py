"""Pictures of a `ganneal.dynamics.Story`: a still for a page, frames for an animation. Arrays in, pictures out."""

import io
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ganneal.dynamics import Story
from ganneal.errors import RunError
from ganneal.report.plots import LIGHT, png
from ganneal.report.story_panels import (
    COLOURS,
    SIZE,
    colour_map,
    curve_panels,
    entitle,
    filled_stage,
    handle,
    histogram,
    limits_of,
    line_stage,
    plane_stage,
    side_by_side,
)

DPI = {"still": 150, "film": 90}
SNAPSHOTS = 5


def still(story: Story) -> bytes:
    """PNG bytes: densities in space and time and at some moments, with F, KL, Fisher information and masses below."""
    figure = _figure((12, 8.4 if story.psi.dim() == 1 else 9.6), DPI["still"])
    tellers = _tellers(story)
    bottom = 0.25 if story.psi.dim() == 1 else 0.205
    if story.psi.dim() == 1:
        _streams(figure, story, tellers, (0.63, 0.885))
        _moments(figure, story, tellers, (0.4, 0.535))
    else:
        _planes(figure, story, tellers, (bottom + 0.135, 0.905))
    curve_panels(figure, story, (0.065, bottom))
    _heading(figure, story)
    return _png(figure)


def film(story: Story) -> Iterator[Image.Image]:
    """RGB frames, one for each of the story's: the tellers side by side, the curves with a point that moves."""
    figure = _figure((11, 6.6 if story.psi.dim() == 2 else 6.0), DPI["film"])
    tellers = _tellers(story)
    stages = _stages(figure, story, tellers, (0.43, 0.85))
    panels = curve_panels(figure, story, (0.085, 0.3))
    marks = [axis.axvline(0, color=COLOURS["mu"], lw=1.2) for axis in panels]
    _heading(figure, story)
    clock = figure.text(0.985, 0.955, "", ha="right", va="center", fontsize=SIZE["title"], color=LIGHT["ink"])
    for k, time in enumerate(story.times):
        for stage in stages:
            stage(k)
        for mark in marks:
            mark.set_xdata([time, time])
        clock.set_text(f"$t$ = {time:.2f}    $\\beta$ = {story.beta[k]:.2f}")
        figure.canvas.draw()
        yield Image.fromarray(np.asarray(figure.canvas.buffer_rgba())[..., :3].copy())


def gif(story: Story, rate: int = 15) -> bytes:
    """The film as an animated GIF that repeats, `rate` frames a second, with one palette for all frames; the last one
    stays for two seconds."""
    frames = list(film(story))
    palette = _palette([frames[k * (len(frames) - 1) // 4] for k in range(5)])
    flat = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    buffer = io.BytesIO()
    lasting = [round(1000 / rate)] * (len(flat) - 1) + [2000]
    flat[0].save(
        buffer, "GIF", save_all=True, append_images=flat[1:], duration=lasting, loop=0, optimize=False, disposal=1
    )
    return buffer.getvalue()


def _palette(frames: Sequence[Image.Image]) -> Image.Image:
    """A picture with the palette of all these frames, whose lightest colours are white, as the background
    must be."""
    sheet = np.concatenate([np.asarray(frame) for frame in frames])
    made = Image.fromarray(sheet).quantize(255, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    colours = np.asarray(made.getpalette()).reshape(-1, 3)
    colours[colours.min(1) > 244] = 255
    made.putpalette(colours.astype(np.uint8).tobytes())
    return made


def mp4(story: Story, rate: int = 15) -> bytes:
    """The film as H.264 video, by the program ffmpeg. Raises `RunError` where there is none or it fails."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "film.mp4"
        frames = [np.asarray(frame) for frame in film(story)]
        height, width = (n - n % 2 for n in frames[0].shape[:2])  # the format wants even sides
        command = [
            "ffmpeg", "-y", "-loglevel", "error", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}",
            "-r", f"{rate}", "-i", "-", "-pix_fmt", "yuv420p", "-movflags", "+faststart", str(path),
        ]  # fmt: skip
        data = b"".join(np.ascontiguousarray(frame[:height, :width]).tobytes() for frame in frames)
        try:
            done = subprocess.run(command, input=data, capture_output=True, check=False)
        except OSError as error:
            raise RunError(f"ffmpeg: cannot run it ({error.strerror or error})") from None
        if done.returncode or not path.is_file():
            said = done.stderr.decode(errors="replace").strip().splitlines()
            raise RunError(f"ffmpeg: failed ({said[-1] if said else f'exit code {done.returncode}'})")
        return path.read_bytes()


def _tellers(story: Story) -> list[tuple[str, str, Any]]:
    """(key, title, samples [f, n, d] or None for the density itself)."""
    found: list[tuple[str, str, Any]] = [
        ("density", "Fokker-Planck equation", None),
        ("particles", f"{story.particles.shape[1]:,} particles", story.particles.numpy()),
    ]
    if story.generator is not None:
        found.append(("generator", "generator in training", story.generator.numpy()))
    return found


def _figure(size: tuple[float, float], dpi: int) -> Any:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, dpi=dpi, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def _heading(figure: Any, story: Story) -> None:
    figure.text(0.045, 0.955, f"{story.target}", fontsize=SIZE["title"], va="center", weight="bold", color=LIGHT["ink"])
    detail = f"$\\beta$ = {story.beta_text}, {story.clock} clock, start {story.start}"
    width = figure.get_size_inches()[0]
    figure.text(
        0.045 + 0.115 * len(story.target) / width + 0.025, 0.955, detail.replace("->", r" $\to$ "),
        fontsize=SIZE["label"], va="center", color=LIGHT["ink"],
    )  # fmt: skip


def _streams(figure: Any, story: Story, tellers: Sequence[Any], rows: tuple[float, float]) -> None:
    """Space against time as maps with one colour scale."""
    (low, high), fields = limits_of(story)[0], []
    bins = np.linspace(low, high, 121)
    x = story.box.axes[0].numpy()
    for _, _, samples in tellers:
        if samples is None:
            fields.append(np.stack([np.interp((bins[1:] + bins[:-1]) / 2, x, r) for r in story.rho.numpy()]))
        else:
            fields.append(np.stack([histogram(one[:, 0], bins) for one in samples]))
    top = float(np.quantile(fields[0][len(fields[0]) // 8 :], 0.999))
    axes = side_by_side(figure, len(tellers), rows, gap=0.035, right=0.925)
    for axis, (key, title, _), field in zip(axes, tellers, fields, strict=True):
        image = axis.imshow(
            field.T, origin="lower", aspect="auto", extent=(0, story.times[-1], low, high), cmap=colour_map(), vmin=0,
            vmax=top, interpolation="nearest",
        )  # fmt: skip
        entitle(axis, title, COLOURS[key])
        axis.set_xlabel("time $t$" if key != "generator" else "progress of training, in units of $t$")
    axes[0].set_ylabel("$x$")
    box = axes[-1].get_position()
    bar = figure.colorbar(image, cax=figure.add_axes((0.94, box.y0, 0.012, box.height)), extend="max")
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=SIZE["tick"], colors=LIGHT["ink"], length=2)
    bar.ax.set_title(r"$\rho$", fontsize=SIZE["head"], color=LIGHT["ink"])


def _moments(figure: Any, story: Story, tellers: Sequence[Any], rows: tuple[float, float]) -> None:
    """All densities over each other, at some moments."""
    chosen = _snapshots(story)
    axes = side_by_side(figure, len(chosen), rows, gap=0.02)
    top = 1.12 * max(float(story.rho[chosen[1:]].max()), max(float(story.equilibrium(k).max()) for k in chosen))
    for axis, k in zip(axes, chosen, strict=True):
        lines = [line_stage(axis, story, key, samples) for key, _, samples in tellers]
        for line in lines:
            line(k)
        axis.set_ylim(0, top)
        axis.set_yticks([])
        axis.set_xlabel("$x$")
        entitle(axis, _when(story, k), LIGHT["ink"])
    handles = [handle(COLOURS[key], title) for key, title, _ in tellers]
    handles.append(handle(COLOURS["mu"], r"equilibrium: $\mu_\beta$, $-\log Z_\beta$", dashed=True))
    _key(figure, handles, rows[0] - 0.06)


def _planes(figure: Any, story: Story, tellers: Sequence[Any], rows: tuple[float, float]) -> None:
    """Tellers below each other, moments side by side; the density as a map, samples as dots over lines of mu_beta."""
    chosen, n = _snapshots(story), len(tellers)
    height = (rows[1] - rows[0]) / n
    top = float(max(story.rho[k].max() for k in chosen[1:]))
    for row, (key, title, samples) in enumerate(tellers):
        place = (rows[1] - (row + 1) * height + 0.012, rows[1] - row * height - 0.012)
        axes = side_by_side(figure, len(chosen), place, gap=0.014, left=0.085)
        for axis, k in zip(axes, chosen, strict=True):
            plane_stage(axis, story, key, samples, top, size=2.2)(k)
            if row == 0:
                entitle(axis, _when(story, k), LIGHT["ink"])
            if row < n - 1:
                axis.tick_params(labelbottom=False)
            if axis is not axes[0]:
                axis.tick_params(labelleft=False)
        axes[0].set_ylabel("$x_2$")
        if row == n - 1:
            for axis in axes:
                axis.set_xlabel("$x_1$")
        middle = sum(place) / 2
        figure.text(0.024, middle, title, rotation=90, ha="center", va="center", fontsize=SIZE["head"],
                    color=COLOURS[key])  # fmt: skip

    handles = [
        handle(COLOURS["mu"], r"around half and nine tenths of the equilibrium law $\mu_\beta$; below, $-\log Z_\beta$")
    ]
    if story.generator is not None:
        handles.append(handle(COLOURS["generator"], "for the generator, progress of training stands for $t$"))
    _key(figure, handles, rows[0] - 0.048)


def _key(figure: Any, handles: Sequence[Any], height: float) -> None:
    figure.legend(
        handles=list(handles), loc="upper center", bbox_to_anchor=(0.52, height), ncols=len(handles), frameon=False,
        fontsize=SIZE["label"], labelcolor=LIGHT["ink"], handlelength=1.6, columnspacing=2.5,
    )  # fmt: skip


def _stages(figure: Any, story: Story, tellers: Sequence[Any], rows: tuple[float, float]) -> list[Any]:
    """The panels of a film: functions that move each to a frame."""
    axes, found = side_by_side(figure, len(tellers), rows, gap=0.035), []
    late = max(1, len(story.times) // 20)
    top = float(max(story.rho[late:].max(), max(story.equilibrium(k).max() for k in range(len(story.times)))))
    for axis, (key, title, samples) in zip(axes, tellers, strict=True):
        if story.psi.dim() == 1:
            found.append(filled_stage(axis, story, key, samples))
            axis.set_ylim(0, 1.1 * top)
            axis.set_yticks([])
            axis.set_xlabel("$x$")
        else:
            found.append(plane_stage(axis, story, key, samples, top, size=3))
            axis.set_xlabel("$x_1$")
        entitle(axis, title + (" (progress for $t$)" if key == "generator" else ""), COLOURS[key])
    if story.psi.dim() == 2:
        axes[0].set_ylabel("$x_2$")
    else:
        axes[0].legend(
            handles=[handle(COLOURS["mu"], r"$\mu_\beta$", dashed=True)], loc="upper right", frameon=False,
            fontsize=SIZE["label"], labelcolor=LIGHT["ink"], handlelength=1.6,
        )  # fmt: skip
    return found


def _when(story: Story, k: int) -> str:
    return f"$t$ = {story.times[k]:.2g},  $\\beta$ = {story.beta[k]:.2f}"


def _snapshots(story: Story) -> list[int]:
    """Frames at which the density has changed: more of them early, as relaxation slows down."""
    last = len(story.times) - 1
    return sorted({round(last * (k / (SNAPSHOTS - 1)) ** 1.5) for k in range(SNAPSHOTS)})


def _png(figure: Any) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return png(
        Image.open(buffer).convert("RGB").quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    )
