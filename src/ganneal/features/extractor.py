"""The contract of features: numbers that distances between samples are measured on.

A `Features` is a recipe; fitted on training data it becomes an `Extractor`, a fixed function of an example. Every
recipe is fitted, also those that only look at the shape, so that nothing else needs to know which ones learn. The
samples that are scored never enter the fit.
"""

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from ganneal.errors import UsageError

BLOCK = 500


@runtime_checkable
class Extractor(Protocol):
    """A fixed function of examples.

    shape      of one example, as in training: (d,) of a table, (C, H, W) of an image in [-1, 1]
    dimension  how many features an example has
    """

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dimension(self) -> int: ...

    def __call__(self, x: Tensor) -> Tensor:
        """Examples [n, *shape] to features [n, dimension], float64 on the CPU. Raises UsageError for another shape."""
        ...


@runtime_checkable
class Classifies(Extractor, Protocol):
    """An extractor that is part of a classifier."""

    def probabilities(self, x: Tensor) -> Tensor:
        """Examples [n, *shape] to class probabilities [n, classes], float64 on the CPU."""
        ...


@runtime_checkable
class Features(Protocol):
    """A recipe for an extractor."""

    def fit(self, train: Tensor) -> Extractor:
        """The extractor for data like train [n, *shape]. Raises UsageError for data that it is not made for."""
        ...


def examples(x: Any, shape: tuple[int, ...] | None = None) -> Tensor:
    """Examples [n, *shape] as a tensor on the CPU; raises UsageError for anything else."""
    values = torch.as_tensor(x).detach().cpu()
    if values.ndim < 2 or not values.numel() or (shape is not None and tuple(values.shape[1:]) != shape):
        allowed = "[n, d] or [n, C, H, W]" if shape is None else f"[n, {', '.join(map(str, shape))}], as fitted"
        raise UsageError(f"examples: got shape {list(values.shape)}; allowed: {allowed}")
    return values


@torch.no_grad()
def in_blocks(function: Callable[[Tensor], Tensor], x: Tensor, block: int = BLOCK) -> Tensor:
    """function of some examples at a time, joined, in float64."""
    return torch.cat([function(part).to(torch.float64) for part in x.split(block)])
