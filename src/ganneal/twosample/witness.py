"""Where samples differ: the witness function of MMD (Gretton et al. 2012, section 2.3; Sutherland et al. 2017).

    w(v) = mean_i k(x_i, v) - mean_j k(y_j, v)

It is positive where x has mass that y lacks, negative where y has too much. It is estimated on one half of the samples
and evaluated on the other, so that an example is not its own witness.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ganneal.twosample.kernels import Kernel, kernel_for
from ganneal.twosample.samples import as_pair

CHUNK = 2048


@dataclass(frozen=True)
class Extremes:
    """Examples at the extremes of the witness: positions in x where it is highest (x has mass there that y lacks) and
    in y where it is lowest (y has too much), with the values, in units of the witness's standard deviation over the
    pool."""

    x_index: tuple[int, ...]
    x_value: tuple[float, ...]
    y_index: tuple[int, ...]
    y_value: tuple[float, ...]

    def to_dict(self) -> dict[str, Any]:
        """Every field, ready for JSON."""
        return {name: list(getattr(self, name)) for name in ("x_index", "x_value", "y_index", "y_value")}


def witness(x: Tensor, y: Tensor, points: Tensor, kernel: Kernel) -> Tensor:
    """w at points [p, d] from samples x [m, d] and y [n, d]: [p]."""
    parts = []
    for piece in points.split(CHUNK):
        mine, theirs = (torch.stack([kernel.gram(piece, v).sum(1) for v in s.split(CHUNK)]).sum(0) for s in (x, y))
        parts.append(mine / len(x) - theirs / len(y))
    return torch.cat(parts)


def witness_extremes(x: Any, y: Any, kernel: Any = "median", count: int = 16, seed: int = 0) -> Extremes:
    """The `count` examples of x and of y at which the witness is most extreme; each half of the samples is judged by
    the witness of the other half.

    Raises UsageError as `mmd_test` does.
    """
    x, y = as_pair(x, y)
    found = kernel_for(kernel, torch.cat([x, y]))
    generator = torch.Generator().manual_seed(seed)
    halves = [_half(len(values), generator) for values in (x, y)]
    values_x, values_y = torch.zeros(len(x), dtype=x.dtype), torch.zeros(len(y), dtype=y.dtype)
    for side in (True, False):
        a, b = halves[0] == side, halves[1] == side
        values_x[~a] = witness(x[a], y[b], x[~a], found)
        values_y[~b] = witness(x[a], y[b], y[~b], found)
    spread = float(torch.cat([values_x, values_y]).std()) or 1.0
    top, bottom = values_x.argsort(descending=True)[:count], values_y.argsort()[:count]
    return Extremes(
        tuple(top.tolist()), tuple((values_x[top] / spread).tolist()),
        tuple(bottom.tolist()), tuple((values_y[bottom] / spread).tolist()),
    )  # fmt: skip


def _half(count: int, generator: torch.Generator) -> Tensor:
    return (torch.randperm(count, generator=generator) % 2).bool()
