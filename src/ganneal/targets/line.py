"""A law on an interval by quadrature on a fine grid: its normaliser, moments, masses, and draws by inverse CDF."""

import math
from collections.abc import Callable
from functools import cached_property

import torch
from torch import Tensor

POINTS = 40_001


class Line:
    """The density proportional to exp(log_u(x)) on [low, high], outside of which nothing that counts may lie.

    log_u    [n] -> [n]

    The trapezoidal rule: for a smooth density that vanishes at both ends its error is below rounding, and for masses of
    parts of the interval it is of order spacing^2. `draw` inverts the CDF with a constant density in each cell.
    """

    def __init__(self, log_u: Callable[[Tensor], Tensor], low: float, high: float):
        self.x = torch.linspace(low, high, POINTS, dtype=torch.float64)
        value = log_u(self.x)
        top = value.max()
        weight = (value - top).exp()
        cells = (weight[1:] + weight[:-1]) / 2
        total = cells.sum()
        self.value = value
        self.weight = weight / weight.sum()
        self.log_z = float(total.log() + top + math.log((high - low) / (POINTS - 1)))
        self.below = torch.cat([torch.zeros(1, dtype=torch.float64), (cells / total).cumsum(0)])

    @cached_property
    def mean(self) -> float:
        return float(self.weight @ self.x)

    @cached_property
    def variance(self) -> float:
        return float(self.weight @ (self.x - self.mean).square())

    def above(self, point: float) -> float:
        """P(x > point), for a point of the grid or linear between two."""
        place = (point - float(self.x[0])) / float(self.x[1] - self.x[0])
        i = min(max(int(place), 0), POINTS - 2)
        return 1 - float(torch.lerp(self.below[i], self.below[i + 1], place - i))

    def peak(self, low: float, high: float) -> float:
        """Where the density is highest between low and high, to the spacing of the grid."""
        inside = (self.x >= low) & (self.x <= high)
        return float(self.x[inside][self.value[inside].argmax()])

    def draw(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        """Independent draws, float64, of a given shape on the generator's device."""
        device = generator.device
        u = torch.rand(shape, generator=generator, dtype=torch.float64, device=device)
        below, x = self.below.to(device), self.x.to(device)
        i = torch.searchsorted(below, u, right=True).clamp(1, POINTS - 1) - 1
        share = (u - below[i]) / (below[i + 1] - below[i]).clamp(min=1e-300)
        return torch.lerp(x[i], x[i + 1], share.clamp(0, 1))
