"""Nearest neighbours and squared distances, block by block: 20,000 against 20,000 examples take under a GiB.

Distances come from inner products, |x|^2 + |y|^2 - 2 x'y, which is what processors are fast at and what costs digits:
two equal points come out up to a few 1e-16 (|x|^2 + |y|^2) apart. So that copies count as copies, a lower bound is
compared, smaller by 1e-12 of the two norms; distances that are reported are computed anew from the differences.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

BLOCK_BYTES = 64 * 2**20
ROUNDING = 1e-12


def lower_bounds(x: Tensor, y: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Row numbers [b] of x [m, d] and their squared distances [b, n] to y [n, d], each smaller by a rounding error (so
    that some are below zero)."""
    middle = y.mean(0)
    y = y - middle
    to_y = (1 - ROUNDING) * y.square().sum(1)
    for rows in torch.arange(len(x)).split(max(1, BLOCK_BYTES // (8 * max(y.shape)))):
        part = x[rows] - middle
        bounds = torch.addmm(to_y.expand(len(rows), -1), part, y.T, alpha=-2)
        yield rows, bounds.add_((1 - ROUNDING) * part.square().sum(1, keepdim=True))


def within(x: Tensor, y: Tensor, bounds: Tensor, limits: Tensor) -> Tensor:
    """Which of x [b, d] and y [n, d] are at a squared distance of at most `limits` (broadcast to [b, n]), from bounds
    [b, n] on those; where rounding could decide, it is computed anew from the differences."""
    middle = y.mean(0)
    norms = (x - middle).square().sum(1)[:, None] + (y - middle).square().sum(1)
    close = bounds <= limits
    i, j = (close & (bounds > limits - 4 * ROUNDING * norms)).nonzero().T
    limits = limits.expand(bounds.shape)
    for some in torch.arange(len(i)).split(max(1, BLOCK_BYTES // (8 * x.shape[1]))):
        a, b = i[some], j[some]
        close[a, b] = (x[a] - y[b]).norm(dim=1).square() <= limits[a, b]
    return close


def nearest(x: Tensor, reference: Tensor, k: int = 1, *, others: bool = False) -> tuple[Tensor, Tensor]:
    """Distances [m, k] of each row of x [m, d] to its k nearest rows of a reference [n, d], rising, and which they are
    [m, k].

    others  x is the reference, and no row counts as its own neighbour
    """
    distances, indices = torch.empty(len(x), k, dtype=torch.float64), torch.empty(len(x), k, dtype=torch.long)
    for rows, bounds in lower_bounds(x, reference):
        if others:
            bounds[torch.arange(len(rows)), rows] = torch.inf
        found = bounds.topk(k, largest=False).indices
        exact = torch.stack([(x[rows] - reference[column]).norm(dim=1) for column in found.T], 1)
        distances[rows], order = exact.sort(1)
        indices[rows] = found.gather(1, order)
    return distances, indices
