"""Principal components of the training data (Hotelling 1933): the directions of largest variance.

With the centred training data X = U S V', features are (x - mean) V_d, and divided by their standard deviations
S_d / sqrt(n - 1) where they are whitened.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ganneal.errors import UsageError
from ganneal.features.extractor import examples, in_blocks

ROWS = 10_000


@dataclass(frozen=True, eq=False)
class PCA:
    """Coordinates (x - mean) directions: mean [p], directions [p, d], columns by falling variance."""

    shape: tuple[int, ...]
    mean: Tensor
    directions: Tensor

    @property
    def dimension(self) -> int:
        """How many components."""
        return self.directions.shape[1]

    def __call__(self, x: Any) -> Tensor:
        """[n, *shape] to float64 [n, d]."""
        values = examples(x, self.shape).flatten(1)
        return in_blocks(lambda part: (part.to(torch.float64) - self.mean) @ self.directions, values)


@dataclass(frozen=True)
class PCAFeatures:
    """Recipe of `pca`."""

    d: int
    whiten: bool

    def fit(self, train: Any) -> PCA:
        """From at most 10,000 training examples, evenly spaced. Directions without variance are left out, so there may
        be fewer than d. Raises UsageError for training data that are not finite or all equal."""
        values = examples(train)
        rows = values[torch.linspace(0, len(values) - 1, min(ROWS, len(values))).round().long()]
        rows = rows.flatten(1).to(torch.float64)
        mean = rows.mean(0)
        if not bool(mean.isfinite().all()):
            raise UsageError("features pca: the training data hold NaN or infinity; allowed: finite numbers")
        if bool((rows == rows[0]).all()):
            raise UsageError("features pca: all training examples are equal; allowed: data that vary")
        spread, directions = _singular(rows - mean, self.d)
        kept = spread > 1e-7 * spread.max()
        spread, directions = spread[kept], directions[:, kept]
        if self.whiten:
            directions = directions * (len(rows) - 1) ** 0.5 / spread
        return PCA(tuple(values.shape[1:]), mean, directions)


def pca(d: int = 50, whiten: bool = False) -> PCAFeatures:
    """At most d principal components of the training data; `whiten`: divided by their standard deviations."""
    if d < 1:
        raise UsageError(f"features pca: got d = {d}; allowed: at least 1")
    return PCAFeatures(d, whiten)


def _singular(x: Tensor, d: int) -> tuple[Tensor, Tensor]:
    """The d largest singular values of x [n, p] and their right vectors [p, d], signs fixed by the largest entry."""
    if d < min(x.shape):
        from scipy.sparse.linalg import svds

        # fixed numbers, so that the same data give the same bits
        generator = np.random.default_rng(0)
        _, values, rows = svds(x.numpy(), k=d, v0=generator.standard_normal(min(x.shape)), rng=generator)
        order = values.argsort()[::-1].copy()
        spread, vectors = torch.from_numpy(values[order]), torch.from_numpy(rows[order])
    else:
        _, spread, vectors = torch.linalg.svd(x, full_matrices=False)
    largest = vectors.gather(1, vectors.abs().argmax(1, keepdim=True))
    return spread, (vectors * largest.sign()).T
