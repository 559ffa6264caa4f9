"""The variance of the unbiased MMD^2 estimator, and the power that follows from it.

Three estimators, all of the variance of T = S_xx/(m(m-1)) + S_yy/(n(n-1)) - 2 S_xy/(mn):

unbiased    exactly unbiased at every m, n >= 4 (own derivation; tests enumerate it). It can be negative where the laws
            are nearly equal
sutherland  equation 5 of Sutherland et al. 2017 as published and as copied since, m = n. It is called unbiased there
            and is not: on the three-point example of the tests its mean is 0.45 of the variance at m = 4
h1          Liu et al. 2020, equation 5: first order only, never negative, m = n. The safe choice to train a kernel with

With any of them, T is about N(MMD^2, V) where the laws differ, so that a test that rejects above c has power
Phi((MMD^2 - c) / sqrt V) (Sutherland et al. 2017, equation 3).
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ganneal.errors import UsageError
from ganneal.twosample.gram import Sums

VARIANCES = ("unbiased", "sutherland", "h1")


@dataclass(frozen=True, eq=False)
class Blocks:
    """Row sums of the blocks of a Gram matrix without its diagonal: xx, xy [m] over x, yy, yx [n] over y; the sums of
    squares of the three blocks; and k(x_i, x_i) + k(y_i, y_i) [m], where m = n and the whole matrix is known."""

    xx: Tensor
    xy: Tensor
    yy: Tensor
    yx: Tensor
    xx_squares: Tensor
    yy_squares: Tensor
    xy_squares: Tensor
    diagonal: Tensor | None = None

    @classmethod
    def of_gram(cls, gram: Tensor, m: int) -> "Blocks":
        """From a matrix [m + n, m + n], x first; differentiable."""
        kxx, kyy, kxy = off_diagonal(gram[:m, :m]), off_diagonal(gram[m:, m:]), gram[:m, m:]
        diagonal = gram.diagonal()[:m] + gram.diagonal()[m:] if 2 * m == len(gram) else None
        x2, y2, xy2 = (k.square().sum() for k in (kxx, kyy, kxy))
        return cls(kxx.sum(1), kxy.sum(1), kyy.sum(1), kxy.sum(0), x2, y2, xy2, diagonal)

    @classmethod
    def of_sums(cls, sums: Sums, m: int) -> "Blocks":
        """From one pass over the tiles of one kernel, whose first labeling is the observed one."""
        rows, first, squares = sums.rows[0], sums.rows_first[0], sums.squares[0]
        second = rows - first
        return cls(first[:m], second[:m], second[m:], first[m:], squares[0], squares[1], squares[2])


def off_diagonal(gram: Tensor) -> Tensor:
    """A square matrix with a zero diagonal."""
    return gram - torch.diag(gram.diagonal())


def mmd_squared(blocks: Blocks) -> Tensor:
    """Unbiased MMD^2, a scalar."""
    m, n = len(blocks.xx), len(blocks.yy)
    return blocks.xx.sum() / (m * (m - 1)) + blocks.yy.sum() / (n * (n - 1)) - 2 * blocks.xy.sum() / (m * n)


def mmd_variance(blocks: Blocks, kind: str = "unbiased") -> Tensor:
    """Var T, a scalar. Raises UsageError for an unknown kind, for fewer than 4 examples, and for m != n where the
    published estimators need pairs."""
    m, n = len(blocks.xx), len(blocks.yy)
    if kind not in VARIANCES:
        raise UsageError(f"variance: got {kind!r}; allowed: {', '.join(VARIANCES)}")
    if min(m, n) < 4:
        raise UsageError(f"variance: got {m} and {n} examples; allowed: at least 4 of each")
    if kind == "unbiased":
        return _unbiased(blocks, m, n)
    if m != n:
        raise UsageError(f"variance {kind}: got {m} and {n} examples; allowed: equally many")
    return _sutherland(blocks, m) if kind == "sutherland" else _h1(blocks, m)


def power_criterion(gram: Tensor, m: int, variance: str = "h1") -> Tensor:
    """T / sqrt V, the ratio that sets the power of the test to first order (Sutherland et al. 2017; Liu et al. 2020,
    equation 3), from a Gram matrix [m + n, m + n]; differentiable, to be maximised over the kernel.

    V is clamped at 1e-8/m, as an estimate of it may be zero or less near equality.
    """
    blocks = Blocks.of_gram(gram, m)
    return mmd_squared(blocks) / mmd_variance(blocks, variance).clamp(min=1e-8 / m).sqrt()


def mmd_power(statistic: float, variance: float, critical: float) -> float | None:
    """Phi((T - c) / sqrt V): the chance that a fresh pair of samples is told apart; None where V is not positive."""
    if not variance > 0:
        return None
    return 0.5 * math.erfc(-(statistic - critical) / math.sqrt(2 * variance))


def _unbiased(b: Blocks, m: int, n: int) -> Tensor:
    """Sum of the covariances of the three terms of T, each by its own unbiased estimate: with zeta_c the moments
    E k(., .) k(., .) of pairs that share c points, var S_xx/(m)_2 = [4(m-2)(a1-a0) + 2(a2-a0)]/(m(m-1)), and so on."""

    def falling(k: int, order: int) -> int:
        return math.perm(k, order)

    sxx, syy, sxy = b.xx.sum(), b.yy.sum(), b.xy.sum()
    vx, vy, cx, cy = (r.square().sum() for r in (b.xx, b.yy, b.xy, b.yx))
    qx, qy, qc = b.xx_squares, b.yy_squares, b.xy_squares
    a2, a1 = qx / falling(m, 2), (vx - qx) / falling(m, 3)
    a0 = (sxx**2 - 4 * vx + 2 * qx) / falling(m, 4)
    b2, b1 = qy / falling(n, 2), (vy - qy) / falling(n, 3)
    b0 = (syy**2 - 4 * vy + 2 * qy) / falling(n, 4)
    c3 = qc / (m * n)
    c1, c2 = (cx - qc) / (m * falling(n, 2)), (cy - qc) / (n * falling(m, 2))
    c0 = (sxy**2 - cx - cy + qc) / (falling(m, 2) * falling(n, 2))
    dx, dy = b.xx @ b.xy, b.yy @ b.yx
    d1, d0 = dx / (falling(m, 2) * n), (sxx * sxy - 2 * dx) / (falling(m, 3) * n)
    f1, f0 = dy / (falling(n, 2) * m), (syy * sxy - 2 * dy) / (falling(n, 3) * m)
    return (
        (4 * (m - 2) * (a1 - a0) + 2 * (a2 - a0)) / (m * (m - 1))
        + (4 * (n - 2) * (b1 - b0) + 2 * (b2 - b0)) / (n * (n - 1))
        + 4 * ((n - 1) * (c1 - c0) + (m - 1) * (c2 - c0) + (c3 - c0)) / (m * n)
        - (8 / m) * (d1 - d0)
        - (8 / n) * (f1 - f0)
    )


def _h1(b: Blocks, m: int) -> Tensor:
    """s2/m, s2 = 4/m^3 sum_i (sum_j H_ij)^2 - 4/m^4 (sum_ij H_ij)^2,  H_ij = k(x_i,x_j) + k(y_i,y_j) - k(x_i,y_j) -
    k(x_j,y_i), diagonal included as published."""
    if b.diagonal is None:
        raise UsageError("variance h1: needs the whole Gram matrix")
    rows = b.xx + b.yy - b.xy - b.yx + b.diagonal
    return (4 / m**3 * rows.square().sum() - 4 / m**4 * rows.sum() ** 2) / m


def _sutherland(b: Blocks, m: int) -> Tensor:
    """Equation 5 of Sutherland et al. 2017, term by term."""
    sxx, syy, sxy = b.xx.sum(), b.yy.sum(), b.xy.sum()
    within = 2 * b.xx.square().sum() - b.xx_squares + 2 * b.yy.square().sum() - b.yy_squares
    across = b.xy.square().sum() + b.yx.square().sum()
    mixed = (sxx + syy) * sxy / m - b.xx @ b.xy - b.yy @ b.yx
    return (
        2 / (m**2 * (m - 1) ** 2) * within
        - (4 * m - 6) / (m**3 * (m - 1) ** 3) * (sxx**2 + syy**2)
        + 4 * (m - 2) / (m**3 * (m - 1) ** 2) * across
        - 4 * (m - 3) / (m**3 * (m - 1) ** 2) * b.xy_squares
        - (8 * m - 12) / (m**5 * (m - 1)) * sxy**2
        + 8 / (m**3 * (m - 1)) * mixed
    )
