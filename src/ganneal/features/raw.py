"""The examples themselves: pixels or columns. For tables; on images distances between pixels say little."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ganneal.features.extractor import examples


@dataclass(frozen=True)
class Raw:
    """x, flattened."""

    shape: tuple[int, ...]

    @property
    def dimension(self) -> int:
        """Numbers of an example."""
        return math.prod(self.shape)

    def __call__(self, x: Any) -> Tensor:
        """[n, *shape] to float64 [n, dimension]."""
        return examples(x, self.shape).to(torch.float64).flatten(1)


@dataclass(frozen=True)
class RawFeatures:
    """Recipe of `raw`."""

    def fit(self, train: Any) -> Raw:
        """Takes the shape and nothing else."""
        return Raw(tuple(examples(train).shape[1:]))


def raw() -> RawFeatures:
    """The numbers of an example as they are; for tables."""
    return RawFeatures()
