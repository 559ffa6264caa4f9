"""The permutation test: exact level for every sample size, because under the null the labels are exchangeable.

All relabelings of a pooled Gram matrix come from one matrix product. With a the 0/1 indicator of "first sample", K
without its diagonal, r = K e and e the vector of ones: S_xx = a'Ka, S_xy = a'r - S_xx, S_yy = e'r - 2 a'r + S_xx.
"""

import torch
from torch import Tensor

from ganneal.errors import UsageError

BLOCK_BYTES = 64 * 2**20  # of each of the few arrays [points, block]


def permutation_test(
    gram: Tensor, m: int, permutations: int, generator: torch.Generator, *, block: int | None = None
) -> tuple[float, Tensor, float]:
    """Observed MMD^2, its values [permutations] under random relabelings, and the p-value.

    gram [m + n, m + n]: a symmetric kernel matrix of the pooled sample, the first sample first. The diagonal is not
    used. The p-value is (1 + #{T_b >= T_0}) / (B + 1): valid at every level (Phipson and Smyth 2010; Lehmann and
    Romano 2005, theorem 15.2.1).
    """
    size = gram.shape[0]
    if gram.shape != (size, size) or not 2 <= m <= size - 2:
        raise UsageError(
            f"gram: got shape {tuple(gram.shape)} with m = {m}; allowed: square, at least 2 points in each sample"
        )
    gram = gram.to(torch.float64)
    off = ~torch.eye(size, dtype=torch.bool, device=gram.device)
    values = gram[off]
    shift = values.mean()
    centred = torch.where(off, gram - shift, 0.0)  # a constant does not change MMD^2, but it costs digits
    first = torch.zeros(size, 1, dtype=torch.float64, device=gram.device)
    first[:m] = 1
    observed = float(_statistics(centred, first, m)[0])
    permuted = permuted_statistics(centred, m, permutations, generator, block=block)
    rounding = 1e-12 * float((values - shift).abs().mean()) + 1e-15 * float(values.abs().max())
    return observed, permuted, permutation_pvalue(observed, permuted, rounding)


def permutation_pvalue(observed: float, permuted: Tensor, tolerance: float = 0.0) -> float:
    """(1 + #{T_b >= T_0 - tolerance}) / (B + 1). Ties, also those that rounding has split, count against rejection.

    >>> permutation_pvalue(2.0, torch.tensor([1.0, 2.0, 3.0]))
    0.75
    """
    return (1 + int((permuted >= observed - tolerance).sum())) / (permuted.numel() + 1)


def permuted_statistics(
    gram: Tensor, m: int, permutations: int, generator: torch.Generator, *, block: int | None = None
) -> Tensor:
    """Unbiased MMD^2 [permutations] under uniformly random relabelings of a symmetric matrix with zero diagonal [N, N].

    `block` relabelings are done at a time (by default as many as fit 64 MiB); the result does not depend on it.
    """
    size = gram.shape[0]
    block = block or max(1, BLOCK_BYTES // (8 * size))
    parts = []
    for start in range(0, permutations, block):
        count = min(block, permutations - start)
        order = torch.rand(count, size, generator=generator, dtype=torch.float64, device=generator.device).argsort(1)
        first = torch.zeros(count, size, dtype=gram.dtype, device=gram.device)
        first.scatter_(1, order[:, :m].to(gram.device), 1.0)
        parts.append(_statistics(gram, first.T, m))
    return torch.cat(parts)


def _statistics(gram: Tensor, first: Tensor, m: int) -> Tensor:
    """MMD^2 [b] = S_xx/(m(m-1)) + S_yy/(n(n-1)) - 2 S_xy/(mn) for label columns first [N, b]; the diagonal of gram is
    zero."""
    n = gram.shape[0] - m
    rows = gram.sum(1)
    xx = (first * (gram @ first)).sum(0)
    touched = rows @ first
    xy = touched - xx
    yy = rows.sum() - 2 * touched + xx
    return xx / (m * (m - 1)) + yy / (n * (n - 1)) - 2 * xy / (m * n)
