"""Measure tests: how often do they reject when nothing differs (size), and when something does (power)?

A test is worth its p-value only if its size is at most its level. Size and power are shares of replications, with
Wilson intervals; a test whose size interval lies wholly above the level is named.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from ganneal.errors import UsageError
from ganneal.twosample.battery import build
from ganneal.twosample.multiplicity import wilson
from ganneal.twosample.samples import LEAST, as_samples

Draw = Callable[[torch.Generator], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Rate:
    """A share of rejections with its 95 % interval."""

    hits: int
    replications: int

    @property
    def share(self) -> float:
        """hits / replications."""
        return self.hits / self.replications

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson, 95 %."""
        return wilson(self.hits, self.replications)


@dataclass(frozen=True)
class Calibration:
    """What was measured of one test at one level: its size and its power."""

    name: str
    level: float
    size: Rate
    power: Rate

    @property
    def valid(self) -> bool:
        """False where the size is above the level beyond chance."""
        return self.size.interval[0] <= self.level

    def to_dict(self) -> dict[str, Any]:
        """Every number, ready for JSON."""
        rates = {
            key: {**asdict(rate), "share": rate.share, "interval": list(rate.interval)}
            for key, rate in (("size", self.size), ("power", self.power))
        }
        return {"name": self.name, "level": self.level, "valid": self.valid, **rates}


def calibrate(
    tests: Sequence[str], null: Draw, alternative: Draw, *, replications: int = 200, level: float = 0.05, seed: int = 0,
    watch: Callable[[str, int], None] | None = None,
) -> list[Calibration]:  # fmt: skip
    """Size and power of tests (as text), on samples that `null` and `alternative` draw from a generator. All tests see
    the same samples.

    watch   is told the name of a test and the replication

    Raises UsageError for unknown tests and for fewer than 20 replications.
    """
    if replications < 20:
        raise UsageError(f"replications: got {replications}; allowed: at least 20")
    found = []
    for text in tests:
        run, rates = build(text), []
        for draw in (null, alternative):
            generator, hits = torch.Generator().manual_seed(seed), 0
            for k in range(replications):
                if watch is not None:
                    watch(text, k)
                x, y = draw(generator)
                hits += run(x, y, seed=seed + 1 + k, level=level).rejected
            rates.append(Rate(hits, replications))
        found.append(Calibration(text, level, *rates))
    return found


def gaussians(n: int, dim: int, effect: float) -> tuple[Draw, Draw]:
    """Null: two samples of n of N(0, I) in `dim` dimensions. Alternative: the mean of the second moved by `effect` in a
    random direction, in units of the standard deviation."""
    if n < LEAST or dim < 1:
        raise UsageError(f"n, dim: got {n}, {dim}; allowed: at least {LEAST} and 1")

    def same(generator: torch.Generator) -> tuple[Tensor, Tensor]:
        x, y = torch.randn(2, n, dim, dtype=torch.float64, generator=generator)
        return x, y

    return same, lambda generator: _moved(*same(generator), effect, generator)


def splits(x: Any, effect: float, n: int | None = None) -> tuple[Draw, Draw]:
    """Null: two disjoint random parts of real data x [N, ...], of n each (default: halves). Alternative: the second
    moved by `effect` in a random direction, in units of each column's standard deviation.

    Replications overlap, as they share the N examples: the sizes are those of the test on this data set.
    """
    values = as_samples(x, "x")
    size = n or len(values) // 2
    if not LEAST <= size <= len(values) // 2:
        raise UsageError(f"n: got {size} of {len(values)} examples; allowed: {LEAST} to half of them")
    deviation = values.std(0)

    def same(generator: torch.Generator) -> tuple[Tensor, Tensor]:
        order = torch.randperm(len(values), generator=generator)
        return values[order[:size]], values[order[size : 2 * size]]

    def other(generator: torch.Generator) -> tuple[Tensor, Tensor]:
        a, b = same(generator)
        direction = torch.randn(values.shape[1], dtype=values.dtype, generator=generator)
        return a, b + effect * deviation * direction / direction.norm()

    return same, other


def _moved(x: Tensor, y: Tensor, effect: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    direction = torch.randn(x.shape[1], dtype=x.dtype, generator=generator)
    return x, y + effect * direction / direction.norm()
