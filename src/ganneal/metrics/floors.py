"""Distances to a reference sample beside their floor: what a perfect sampler of the same size scores.

W2 between two samples of one law is not 0, and is of the order n^(-1/d): 4.1 for two times 1,000 points of a mixture of
40 Gaussians in the plane, and it differs between sizes. So a distance is worth something only next to that of the
reference to itself, at the same size. A value at the floor is perfect; one below it is luck.
"""

import math
import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from jaxtyping import Float
from torch import Tensor

from ganneal.errors import UsageError

REPEATS = 5
"""Pairs of reference samples for the floor, at most."""


@dataclass(frozen=True)
class Distance:
    """A distance between `size` samples and `size` reference samples.

    value         of the samples
    floor         mean over `pairs` disjoint pairs of reference samples of the same size
    floor_spread  standard deviation over those pairs, None for a single one
    """

    name: str
    value: float
    floor: float
    floor_spread: float | None
    size: int
    pairs: int

    @property
    def excess(self) -> float:
        """value - floor."""
        return self.value - self.floor

    def to_dict(self) -> dict[str, Any]:
        """Every field and `excess`, ready for strict JSON."""
        return {**asdict(self), "excess": self.excess}


def distance_with_floor(
    name: str,
    distance: Callable[[Tensor, Tensor], float],
    samples: Float[Tensor, "n d"],
    reference: Float[Tensor, "m d"],
    most: int = 1000,
) -> Distance:
    """`distance` of samples to the reference and, at the same size, of the reference to itself.

    most  examples on a side, at most; the size is the smallest of `most`, n and m // 2

    Rows are taken in order: shuffle them before. Raises `UsageError` where that leaves fewer than 4 on a side.
    """
    size = min(most, len(samples), len(reference) // 2)
    if size < 4:
        raise UsageError(
            f"reference: got {len(reference)} examples for {len(samples)} samples; allowed: at least 8 for at least 4"
        )
    pairs = min(REPEATS, len(reference) // (2 * size))
    parts = reference[: 2 * size * pairs].split(size)
    floors = [distance(a, b) for a, b in zip(parts[::2], parts[1::2], strict=True)]
    # one side of each pair of references faces the samples, so that value and floor have the same noise of reference
    values = [distance(samples[:size], a) for a in parts[::2]]
    spread = statistics.stdev(floors) if pairs > 1 else None
    return Distance(name, math.fsum(values) / pairs, math.fsum(floors) / pairs, spread, size, pairs)
