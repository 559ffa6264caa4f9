"""Sums over the blocks of a Gram matrix, for many labelings at once and without ever holding the matrix.

With a the 0/1 indicator of "first sample", K without its diagonal and e the vector of ones, all that MMD needs is
a'Ka, a'Ke and e'Ke: S_xx = a'Ka, S_xy = a'Ke - S_xx, S_yy = e'Ke - 2 a'Ke + S_xx. The matrix is symmetric, so that only
tiles on and above the diagonal are made, each is used for every kernel and every labeling, and is then forgotten:
memory does not grow with the square of the sample, and half of the work is saved.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ganneal.twosample.kernels import Base, Kernel, base_matrix, centred

TILE = 2048


class Gram:
    """Kernel matrices of a pooled sample [N, d], made tile by tile."""

    def __init__(self, pool: Tensor, kernels: Sequence[Kernel]):
        self.kernels = list(kernels)
        self.pool = pool
        self._centred = centred(pool) if any(k.base == "squared" for k in kernels) else pool

    @property
    def size(self) -> int:
        """Points in the pool."""
        return len(self.pool)

    @property
    def count(self) -> int:
        """How many kernels."""
        return len(self.kernels)

    def tile(self, rows: slice, columns: slice) -> list[Tensor]:
        """The tile [r, c] of every kernel's matrix; where it lies on the diagonal, its diagonal is not the
        kernel's."""
        bases: dict[Base, Tensor] = {}
        for kernel in self.kernels:
            if kernel.base not in bases:
                points = self._centred if kernel.base == "squared" else self.pool
                bases[kernel.base] = base_matrix(kernel.base, points[rows], points[columns])
        return [kernel.of(bases[kernel.base]) for kernel in self.kernels]


class Given(Gram):
    """A symmetric matrix [N, N] that is there already."""

    def __init__(self, matrix: Tensor):
        self.matrix, self.kernels = matrix.to(torch.float64), []

    @property
    def size(self) -> int:
        """Points in the pool."""
        return len(self.matrix)

    @property
    def count(self) -> int:
        """One."""
        return 1

    def tile(self, rows: slice, columns: slice) -> list[Tensor]:
        """A copy of a part of the matrix."""
        return [self.matrix[rows, columns].clone()]


@dataclass(frozen=True, eq=False)
class Sums:
    """What k kernels and b labelings give, diagonals left out.

    within        [k, b] a'Ka
    touched       [k, b] a'Ke
    total         [k] e'Ke
    rows          [k, N] Ke
    rows_first    [k, N] Ka of the first labeling
    squares       [k, 3] sums of K^2 within the first sample, within the second, and across, of the first labeling
    scale         [k] the mean of |K| over a tile: the size of a rounding error, in units of the machine's
    shift         [k] the constant that was taken off every entry first
    """

    within: Tensor
    touched: Tensor
    total: Tensor
    rows: Tensor
    rows_first: Tensor
    squares: Tensor
    scale: Tensor
    shift: Tensor


def sums(
    gram: Gram, labels: Tensor, *, moments: bool = False, progress: Callable[[float], None] | None = None,
    tile: int = TILE,
) -> Sums:  # fmt: skip
    """One pass over the tiles, for labelings [N, b]. A constant is taken off every entry, which changes no MMD^2 but
    saves the digits that it would cost.

    moments   `squares` too, which variances need (otherwise zero)
    progress  is told the share that is done
    """
    size, kinds, b = gram.size, gram.count, labels.shape[1]
    within, squares = torch.zeros(kinds, b, dtype=torch.float64), torch.zeros(kinds, 3, dtype=torch.float64)
    rows, first = torch.zeros(2, kinds, size, dtype=torch.float64)
    scale, shift = torch.zeros(2, kinds, dtype=torch.float64)
    pieces = [slice(start, min(start + tile, size)) for start in range(0, size, tile)]
    done, everything = 0, len(pieces) * (len(pieces) + 1) / 2
    for i, r in enumerate(pieces):
        for c in pieces[i:]:
            for k, t in enumerate(gram.tile(r, c)):
                if r == c:
                    t.fill_diagonal_(0)
                    if i == 0:
                        pairs = max(1, len(t) * (len(t) - 1))
                        shift[k], scale[k] = t.sum() / pairs, t.abs().sum() / pairs
                t -= shift[k]
                if r == c:
                    t.fill_diagonal_(0)
                twice = 1 if r == c else 2
                product = t @ labels[c]
                within[k] += twice * (labels[r] * product).sum(0)
                rows[k, r] += t.sum(1)
                first[k, r] += product[:, 0]
                if r != c:
                    rows[k, c] += t.sum(0)
                    first[k, c] += labels[r, 0] @ t
                if moments:
                    squares[k] += twice * _squares(t, labels[r, 0], labels[c, 0])
            done += 1
            if progress is not None:
                progress(done / everything)
    return Sums(within, rows @ labels, rows.sum(1), rows, first, squares, scale, shift)


def _squares(tile: Tensor, one: Tensor, two: Tensor) -> Tensor:
    """Sums of squares of a tile within the first sample, within the second, and (half of those) across."""
    square = tile.square()
    xs, ys = one @ square, (1 - one) @ square
    return torch.stack([xs @ two, ys @ (1 - two), (xs @ (1 - two) + ys @ two) / 2])


def mmd_of(s: Sums, m: int, n: int) -> Tensor:
    """Unbiased MMD^2 [k, b] = S_xx/(m(m-1)) + S_yy/(n(n-1)) - 2 S_xy/(mn)."""
    cross = s.touched - s.within
    second = s.total[:, None] - 2 * s.touched + s.within
    return s.within / (m * (m - 1)) + second / (n * (n - 1)) - 2 * cross / (m * n)
