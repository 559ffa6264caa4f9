"""The contract of everything that can be trained on: a `Source` of examples, with a part that training never sees."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from ganneal.errors import UsageError

MIN_EXAMPLES = 4
MIN_SIDE, MAX_SIDE = 4, 1024
MAX_BYTES = 20 * 2**30

Indices = np.ndarray


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Source:
    """Examples to train on.

    name            canonical text form: `ring8`, `digits`, `photos/`, `tables.npz:german_x`
    kind            `toy` (unlimited draws), `table` (rows of numbers), `image`, or `target` (a density without data)
    shape           of one example: (d,) or (C, H, W)
    size            number of training examples; None where draws are unlimited
    columns         names of a table's columns
    modes, spread   mode centres [K, d] in the units of x, and the standard deviation of a mode where all have the same
    log_density     x [..., d] -> [...] in the dtype of x, where the density is known
    score           x [..., d] -> [..., d], the gradient of log_density, in closed form
    labels          int64 [size], aligned with `rows`
    heldout_labels  int64, aligned with `heldout`
    """

    name: str
    kind: Literal["toy", "table", "image", "target"]
    shape: tuple[int, ...]
    size: int | None
    columns: tuple[str, ...] | None = None
    modes: Tensor | None = None
    spread: float | None = None
    log_density: Callable[[Tensor], Tensor] | None = None
    score: Callable[[Tensor], Tensor] | None = None
    labels: Tensor | None = None
    heldout_labels: Tensor | None = None

    def __repr__(self) -> str:
        return f"<{self.name}: {self.kind}, shape {self.shape}, {self.size or 'unlimited'} examples>"

    def rows(self, index: Tensor) -> Tensor:
        """The training examples at `index` [B], int64 in [0, size): float32 [B, *shape]. Finite sources only."""
        raise UsageError(f"{self.name}: draws are unlimited, so there are no rows to index; call sample(n, generator)")

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """n random examples, float32 [n, *shape]: fresh draws of a toy, training rows with replacement otherwise."""
        if self.size is None:
            raise NotImplementedError
        return self.rows(torch.randint(self.size, (n,), generator=generator, device=generator.device))

    def heldout(self, n: int) -> Tensor:
        """Up to n examples that `rows` never returns, the first of a fixed random order: float32 [<= n, *shape]."""
        raise NotImplementedError

    @property
    def landmarks(self) -> tuple[Tensor | None, float | None]:
        """(modes, spread) as pictures show them."""
        return self.modes, self.spread

    @property
    def count(self) -> int | None:
        """How many examples there are in all, training and held-out; None where draws are unlimited."""
        return self.size

    def examples(self, n: int, generator: torch.Generator) -> tuple[np.ndarray, np.ndarray | None]:
        """Up to n different examples, of the training and the held-out part alike, in random order, exactly as they are
        in the user's units, and their labels where there are any. Toys: n fresh draws."""
        raise NotImplementedError

    def decode(self, x: Tensor) -> np.ndarray:
        """Back to the user's units: x [B, *shape] to uint8 [B, H, W, C] (one channel: [B, H, W]) or numbers [B, d]."""
        raise NotImplementedError


@dataclass(frozen=True)
class Options:
    """How to open a source: side of square images, fraction that is held out, seed of that split; of a table's file the
    columns to leave out, and one to read as labels, which need be no number. Checked when made."""

    size: int | None = None
    heldout: float = 0.1
    seed: int = 0
    without: tuple[str, ...] = ()
    label: str | None = None

    def __post_init__(self) -> None:
        if self.size is not None and (not _whole(self.size) or not MIN_SIDE <= self.size <= MAX_SIDE):
            raise UsageError(f"size must be a whole number of pixels in {MIN_SIDE}..{MAX_SIDE}, got {self.size!r}")
        check_fraction("heldout", self.heldout)
        if not _whole(self.seed) or not 0 <= self.seed < 2**63:
            raise UsageError(f"seed must be a whole number of at least 0, got {self.seed!r}")

    def refuse_size(self, name: str, kind: str) -> None:
        """Error if an image size was asked of something that is no set of images."""
        if self.size is not None:
            raise UsageError(f"{name}: size is for images, got size={self.size} for a {kind}; leave it out")


def check_fraction(key: str, value: float) -> float:
    """A held-out fraction in (0, 0.9]."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= 0.9:
        raise UsageError(f"{key} must be a fraction above 0 and at most 0.9, got {value!r}")
    return float(value)


def check_count(name: str, count: int) -> None:
    """Error if there are too few examples to train on some and hold out others."""
    if count < MIN_EXAMPLES:
        raise UsageError(f"{name}: has {count} example{'s' * (count != 1)}; at least {MIN_EXAMPLES} are needed")


def split(name: str, count: int, options: Options) -> tuple[Indices, Indices]:
    """A seeded random split of range(count): training positions rising, one or more held-out ones shuffled."""
    check_count(name, count)
    held = min(max(1, round(options.heldout * count)), count - 1)
    order = np.random.default_rng(options.seed).permutation(count)
    return np.sort(order[held:]), order[:held]


def own_split(name: str, train: int, test: int, options: Options) -> tuple[Indices, Indices]:
    """The split of a data set whose own test part is stored after the training part; the seed orders the former."""
    check_count(name, train)
    if test < 1:
        raise UsageError(f"{name}: its test part has no examples; at least 1 is needed")
    return np.arange(train), train + np.random.default_rng(options.seed).permutation(test)


def choose(count: int, n: int, generator: torch.Generator) -> Indices:
    """Up to n different positions below count, in random order."""
    return torch.randperm(count, generator=generator)[:n].numpy()


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
