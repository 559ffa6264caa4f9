"""Pictures of a `ganneal.dynamics.Study`: the phase portrait of a game of two parameters, its eigenvalues, and the
multipliers of its solver in the unit disc."""

from typing import Any

import numpy as np

from ganneal.dynamics.laboratory import Study
from ganneal.dynamics.portrait import Portrait, portrait
from ganneal.report.plots import LIGHT, calm, png

DPI = 150
STREAM = "#c3c9d2"
STABLE = "#eef3fa"


def picture(study: Study) -> bytes:
    """PNG bytes. Two parameters: the field as streamlines, its motion (blue) and the solver's steps (rust) from one
    start, beside eigenvalues and multipliers; otherwise eigenvalues and multipliers alone."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from PIL import Image

    found = portrait(study)
    wide = found is not None
    figure = Figure(figsize=(11.5, 4.6) if wide else (8.0, 4.6), dpi=DPI, facecolor="white")
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots(1, 3 if wide else 2, width_ratios=(1.25, 1, 1) if wide else (1, 1))
    figure.subplots_adjust(left=0.07 if wide else 0.1, right=0.98, bottom=0.2, top=0.8, wspace=0.36)
    if found is not None:
        _plane(axes[0], found)
    _eigenvalues(axes[-2], study)
    _multipliers(axes[-1], study)
    for axis in axes:
        calm(axis, LIGHT)
    method = study.method
    terms = [method["game"], *([method["objective"]] if method["objective"] else []), *method["penalties"]]
    if str(method["noise"]) not in ("0", "0.0"):
        terms.append(f"noise {method['noise']}")
    left = 0.07 if wide else 0.1
    figure.text(left, 0.945, "   ·   ".join(terms), fontsize=13, color=LIGHT["ink"], weight="bold")
    figure.text(left, 0.885, _line(study), fontsize=10, color=LIGHT["ink"])
    canvas.draw()
    return png(Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3].copy()))


def _line(study: Study) -> str:
    how = study.words[0] if study.words else ""
    return how if len(how) < 120 else how[:117] + "..."


def _plane(axis: Any, found: Portrait) -> None:
    x, y, field = found.x.numpy(), found.y.numpy(), found.field.numpy()
    axis.streamplot(x, y, field[..., 0], field[..., 1], color=STREAM, linewidth=0.7, arrowsize=0.7, density=1.1)
    if found.flow is not None:
        axis.plot(
            *found.flow.numpy().T, color=LIGHT["model"], lw=3.2, alpha=0.55, label="motion of the field", zorder=3
        )
    steps = found.steps.numpy()
    axis.plot(*steps.T, color=LIGHT["modes"], lw=0.7, marker="o", ms=2.2, label="steps of the solver", zorder=4)
    axis.plot(*found.centre.numpy(), marker="+", ms=10, mew=1.6, color=LIGHT["ink"], ls="", zorder=5)
    axis.plot(*steps[0], marker="o", ms=6, mfc="white", mec=LIGHT["modes"], ls="", zorder=6)
    axis.set_xlim(x[0], x[-1])
    axis.set_ylim(y[0], y[-1])
    axis.set_xlabel(found.names[0], color=LIGHT["ink"])
    axis.set_ylabel(found.names[1], color=LIGHT["ink"])
    axis.set_title("phase portrait", loc="left", fontsize=11, color=LIGHT["ink"])
    axis.legend(
        loc="upper center", bbox_to_anchor=(0.5, -0.15), ncols=2, frameon=False, fontsize=9, labelcolor=LIGHT["ink"]
    )


def _eigenvalues(axis: Any, study: Study) -> None:
    """In the plane, the half that settles tinted, with the disc in which Euler's method at this rate stays stable."""
    values = study.spectrum.eigenvalues.numpy()
    predicted = None if study.predicted is None else study.predicted.numpy()
    everything = np.concatenate([values, *([predicted] if predicted is not None else []), [0j]])
    reach = 1.25 * max(np.abs(everything.real).max(), np.abs(everything.imag).max(), 1e-3)
    axis.axvspan(-2 * reach, 0, color=STABLE, lw=0, zorder=0)
    _axes_through_zero(axis)
    if study.lr > 0:
        _circle(axis, (-1 / study.lr, 0), 1 / study.lr)
        axis.plot([], [], ls=(0, (4, 2)), lw=1.0, color=LIGHT["real"], label="stable Euler steps")
    if predicted is not None:
        axis.plot(
            predicted.real, predicted.imag, "o", ms=10, mfc="none", mec=LIGHT["real"], mew=1.3, label="closed form"
        )
    axis.plot(values.real, values.imag, "o", ms=5, color=LIGHT["model"], label="Jacobian")
    right = max(0.35 * reach, 1.25 * everything.real.max())
    axis.set_xlim(min(-reach, 1.25 * everything.real.min()), right)
    axis.set_ylim(-reach, reach)
    axis.set_xlabel("real part (left: settles)", color=LIGHT["ink"])
    axis.set_title("eigenvalues of the field", loc="left", fontsize=11, color=LIGHT["ink"])
    axis.legend(
        loc="upper center", bbox_to_anchor=(0.5, -0.15), ncols=3, frameon=False, fontsize=9, labelcolor=LIGHT["ink"],
        handlelength=1.6, columnspacing=1.2,
    )  # fmt: skip


def _multipliers(axis: Any, study: Study) -> None:
    """Of one step of the solver, with the unit circle."""
    values = study.multipliers.multipliers.numpy()
    _axes_through_zero(axis)
    _circle(axis, (0, 0), 1.0, fill=True)
    axis.plot(values.real, values.imag, "o", ms=5, color=LIGHT["modes"])
    reach = 1.2 * max(1.0, min(4.0, np.abs(values).max() if len(values) else 0.0))
    box, inches = axis.get_position(), axis.figure.get_size_inches()
    ratio = box.width * inches[0] / (box.height * inches[1])
    axis.set_xlim(-reach * max(1, ratio), reach * max(1, ratio))
    axis.set_ylim(-reach / min(1, ratio), reach / min(1, ratio))
    axis.set_xlabel(f"spectral radius {study.multipliers.radius:.5g}", color=LIGHT["ink"])
    axis.set_title(f"{study.method['solver']}, rate {study.lr:.3g}", loc="left", fontsize=11, color=LIGHT["ink"])


def _axes_through_zero(axis: Any) -> None:
    axis.axhline(0, color=LIGHT["grid"], lw=0.8, zorder=1)
    axis.axvline(0, color=LIGHT["grid"], lw=0.8, zorder=1)


def _circle(axis: Any, centre: tuple[float, float], radius: float, fill: bool = False) -> None:
    from matplotlib.patches import Circle

    axis.add_patch(
        Circle(centre, radius, fc=STABLE if fill else "none", ec=LIGHT["real"], lw=1.0, ls=(0, (4, 2)), zorder=1)
    )
