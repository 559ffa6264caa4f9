"""The witness over the line or plane that the data live in, and how large it gets by chance.

    w(v) = mean_i k(x_i, v) - mean_j k(y_j, v)        (Gretton et al. 2012, section 2.3)

The band is the 95th of 99 largest |w| anywhere on the grid, in order of size, each of a random relabeling of the pool:
where nothing differs, w leaves it anywhere with probability 5 % (Westfall and Young 1993).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ganneal.report.maps import limits_of, line, plane
from ganneal.report.panels import Panel, both, details_of

if TYPE_CHECKING:
    from torch import Tensor

    from ganneal.comparison import Comparison
    from ganneal.twosample.kernels import Kernel

RELABELINGS, RANK = 99, 95
CHUNK = 1024
DOTS, CELLS, STEPS = 1500, 130, 400


def map_panel(
    found: "Comparison", real: np.ndarray, fake: np.ndarray, names: Sequence[str], first: str, second: str
) -> Panel:
    """The witness over the line or plane of real [m, d] and fake [n, d], d = 1 or 2, in the user's units."""
    import torch

    rng = np.random.default_rng(found.seed)
    some = [np.sort(rng.permutation(len(v))[:DOTS]) for v in (real, fake)]
    x, y = (v[torch.from_numpy(index)] for v, index in zip((found.x, found.y), some, strict=True))
    pool, scaled = np.concatenate([real, fake]), torch.cat([found.x, found.y]).numpy()
    unit = pool.std(0) / scaled.std(0)  # user's units = unit * scaled + zero
    zero = pool.mean(0) - unit * scaled.mean(0)
    axes = [np.linspace(*limits_of(column), CELLS if len(names) == 2 else STEPS) for column in pool.T]
    points = (np.stack([v.ravel() for v in np.meshgrid(*axes)], 1) - zero) / unit
    kernel, which = _kernel(found)
    values, band = witness_field(x, y, torch.from_numpy(points), kernel, found.seed)
    note = f"The witness function, with a Gaussian kernel {which}. "
    if len(names) == 1:
        note += "Of samples that do not differ, it stays within the grey band in 19 of 20 pictures."
        alt = f"Histograms of {first} and {second}, and the witness function below"
        shown = both(lambda dark: line(real[:, 0], fake[:, 0], axes[0], values, band, names[0], dark), alt, "")
        return Panel("Along the line", note, (shown,), style="wide")
    surface = values.reshape(len(axes[1]), len(axes[0]))
    note += "Of samples that do not differ, it stays within a band in 19 of 20 pictures; "
    if np.abs(surface).max() > band:
        note += "here it leaves the band inside the lines."
    else:
        note += "here it does as well" + (", and shows no one place." if found.battery.rejected else ".")
    marks = _locations(found) * unit + zero
    if len(marks):
        note += " Rings: the locations where the test me compares the samples."
    dots = real[some[0]], fake[some[1]]
    alt = f"Map of where {first} has more examples than {second}, and where fewer"
    shown = both(lambda dark: plane(*dots, axes[0], axes[1], surface, band, marks, names, dark), alt, "")
    return Panel("Over the plane", note, (shown,), style="wide")


def _locations(found: "Comparison") -> np.ndarray:
    """Where the `me` test compares samples in the plane, [k, 2]; none if it did not run."""
    told = details_of(found, "locations").get("locations", [])
    return np.asarray(told, dtype=np.float64) if np.ndim(told) == 2 and np.shape(told)[1] == 2 else np.empty((0, 2))


def witness_field(
    x: "Tensor", y: "Tensor", points: "Tensor", kernel: "Kernel", seed: int = 0
) -> tuple[np.ndarray, float]:
    """w [p] at points [p, d] of samples x [m, d], y [n, d], and the half-width of its band."""
    import torch

    from ganneal.twosample.permutation import observed_labels, relabelings

    m, n = len(x), len(y)
    generator = torch.Generator().manual_seed(seed)
    labels = torch.cat([observed_labels(m, n), relabelings(m, n, RELABELINGS, generator)], 1)
    weights, pool = labels / m - (1 - labels) / n, torch.cat([x, y])
    values = torch.cat([kernel.gram(piece, pool) @ weights for piece in points.split(CHUNK)])
    peaks = values[:, 1:].abs().amax(0).sort().values
    return values[:, 0].numpy(), float(peaks[RANK - 1])


def _kernel(found: "Comparison") -> "tuple[Kernel, str]":
    """The Gaussian kernel whose own p-value is smallest, if the samples differ; else that of the median distance, whose
    choice does not depend on which example is whose."""
    import torch

    from ganneal.twosample.kernels import gaussian, median_distance

    widths = [k for k in details_of(found, "kernels").get("kernels", ()) if k["kernel"] == "gaussian"]
    if found.battery.rejected and widths:
        best = min(widths, key=lambda k: (k["pvalue"], -k["mmd2"]))
        return gaussian(best["width"]), "of the width that sees most of the difference"
    return gaussian(median_distance(torch.cat([found.x, found.y]))), "as wide as the median distance"
