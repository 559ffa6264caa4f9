"""Where all particles begin: `left`, `hot`, or `gaussian(mean=-4, std=1)`."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ganneal.diffusion import Box, gaussian_cells, gibbs
from ganneal.errors import UsageError
from ganneal.parts import Registry
from ganneal.targets import Target


@dataclass(frozen=True)
class Start:
    """kind "gaussian" at `mean` with standard deviations `std`, or, where they are None, around the leftmost mode;
    kind "hot" is mu_beta at the first beta of the schedule."""

    kind: str
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None

    def settled(self, target: Target, psi: Tensor, box: Box) -> "Start":
        """The same start with its mean and standard deviations filled in for a target."""
        if self.kind == "hot":
            return self
        mean = _spread("mean", self.mean, target.dim) if self.mean is not None else _leftmost(target, psi, box)
        std = self.std if self.std is not None else well_widths(target, mean)
        return Start("gaussian", mean, _spread("std", std, target.dim))

    def cells(self, psi: Tensor, box: Box, beta: float) -> Tensor:
        """The law on the cells of a box. Raises `UsageError` if its mean lies outside."""
        if self.kind == "hot" or self.mean is None or self.std is None:
            return gibbs(psi, box, beta)
        if not all(a < m < b for a, m, b in zip(box.low, self.mean, box.high, strict=True)):
            raise UsageError(
                f"start: the mean {list(self.mean)} lies outside of the box {list(box.low)} to {list(box.high)}"
            )
        return gaussian_cells(box, self.mean, self.std)

    def draw(self, n: int, psi: Tensor, box: Box, beta: float, generator: torch.Generator) -> Tensor:
        """n points [n, d] of the law, float64."""
        if self.kind == "hot" or self.mean is None or self.std is None:
            cell = torch.multinomial(gibbs(psi, box, beta).flatten(), n, True, generator=generator)
            jitter = torch.rand(n, len(box.cells), generator=generator, dtype=torch.float64) - 0.5
            return box.centres[cell] + jitter * torch.tensor(box.widths, dtype=torch.float64)
        noise = torch.randn(n, len(self.mean), generator=generator, dtype=torch.float64)
        return torch.tensor(self.mean).double() + noise * torch.tensor(self.std).double()

    def __str__(self) -> str:
        if self.mean is None or self.std is None:
            return self.kind if self.kind == "hot" else "left"
        return f"gaussian(mean={_list(self.mean)}, std={_list(self.std)})"


def left() -> Start:
    """A Gaussian in the leftmost mode, as wide as its well at beta = 1 along each coordinate."""
    return Start("gaussian")


def hot() -> Start:
    """mu_beta at the first beta of the schedule: in equilibrium, and near it for long if beta rises slowly."""
    return Start("hot")


def gaussian(mean: Any = 0.0, std: Any = 1.0) -> Start:
    """A Gaussian with a mean and standard deviations, each one number or one for each coordinate."""
    return Start("gaussian", _numbers("mean", mean), _numbers("std", std))


STARTS: Registry[Start] = Registry("start", {f.__name__: f for f in (left, hot, gaussian)})


def well_widths(target: Target, place: tuple[float, ...]) -> tuple[float, ...]:
    """Standard deviations 1 / sqrt(psi'') of the well at a place along each coordinate, at most the target's scale (or
    1), which stands where psi curves the wrong way."""
    x = torch.tensor([place], dtype=torch.float64)
    d = target.dim
    scale = target.scale.double() if target.scale is not None else torch.ones(d, dtype=torch.float64)
    steps = torch.diag(1e-3 * scale)
    value = target.log_prob(torch.cat([x, x + steps, x - steps])).double()
    curvature = (2 * value[0] - value[1 : d + 1] - value[d + 1 :]) / (1e-3 * scale).square()
    widths = torch.where(curvature > 0, curvature.clamp_min(1e-12).rsqrt(), scale)
    return tuple(torch.minimum(widths, scale).tolist())


def _leftmost(target: Target, psi: Tensor, box: Box) -> tuple[float, ...]:
    if target.modes is not None:
        modes = target.modes.double()
        return tuple(modes[modes[:, 0].argmin()].tolist())
    return tuple(box.centres[psi.flatten().argmin()].tolist())


def _numbers(key: str, value: Any) -> tuple[float, ...]:
    values = value if isinstance(value, (list, tuple)) else [value]
    for v in values:
        if isinstance(v, bool) or not isinstance(v, (int, float)) or not math.isfinite(v) or (key == "std" and v <= 0):
            allowed = "numbers above 0" if key == "std" else "finite numbers"
            raise UsageError(f"start: {key} must be {allowed}, got {v!r}")
    return tuple(float(v) for v in values)


def _spread(key: str, values: tuple[float, ...], dim: int) -> tuple[float, ...]:
    if len(values) not in (1, dim):
        raise UsageError(f"start: {key} must be one number or {dim}, got {len(values)}")
    return values * dim if len(values) == 1 else values


def _list(values: tuple[float, ...]) -> str:
    told = [f"{v:.3g}" for v in values]
    return told[0] if len(set(told)) == 1 else f"[{', '.join(told)}]"
