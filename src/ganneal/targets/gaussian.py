"""The Gaussian with any covariance."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ganneal.errors import UsageError
from ganneal.targets.arguments import array, named, number, positive, vector, whole
from ganneal.targets.target import Target


@named
def gaussian(
    dim: int = 1,
    mean: float | Sequence[float] = 0.0,
    std: float | Sequence[float] = 1.0,
    correlation: float = 0.0,
    covariance: Any = None,
    log_z: float = 0.0,
) -> Target:
    """log u(x) = log N(x; mean, C) + log_z.

    dim          lists for mean, std or covariance set it too
    mean, std    one number, or one for each coordinate
    correlation  between each two coordinates
    covariance   C [d, d] instead of std and correlation
    log_z        log of the integral of u, so that an estimate of it has something to find

    Raises `UsageError` for lengths that do not agree and for a covariance that is not positive definite.
    """
    d = _dimension(dim, mean, std, covariance)
    m, shift = vector("gaussian", "mean", mean, d), number("gaussian", "log_z", log_z)
    if covariance is None and number("gaussian", "correlation", correlation) == 0:
        return _diagonal(m, _stds(std, d), shift)
    if covariance is None:
        c = torch.full((d, d), float(correlation), dtype=torch.float64).fill_diagonal_(1)
        s = _stds(std, d)
        c = c * s * s[:, None]
    else:
        if std != 1 or correlation != 0:
            raise UsageError("gaussian: give covariance, or std and correlation, not both")
        c = array("gaussian", "covariance", covariance)
        if c.shape != (d, d) or not torch.allclose(c, c.mT):
            raise UsageError(f"gaussian: covariance must be a symmetric {d} x {d} matrix, got shape {list(c.shape)}")
    factor, failed = torch.linalg.cholesky_ex(c)
    if failed:
        least = float(torch.linalg.eigvalsh(c)[0])
        raise UsageError(f"gaussian: the covariance must be positive definite; its least eigenvalue is {least:.3g}")
    return _correlated(m, factor, shift)


def _dimension(dim: int, mean: Any, std: Any, covariance: Any) -> int:
    whole("gaussian", "dim", dim)
    given = [v for v in (mean, std, covariance) if hasattr(v, "__len__") and not isinstance(v, str)]
    lengths = {len(v) for v in given} | ({dim} if dim > 1 else set())
    if len(lengths) > 1 or 0 in lengths:
        raise UsageError(f"gaussian: mean, std, covariance and dim must agree on the dimension, got {sorted(lengths)}")
    return lengths.pop() if lengths else 1


def _stds(std: Any, d: int) -> Tensor:
    s = vector("gaussian", "std", std, d)
    positive("gaussian", "std", float(s.min()))
    return s


def _diagonal(mean: Tensor, std: Tensor, log_z: float) -> Target:
    constant = log_z - float(std.log().sum()) - len(mean) / 2 * math.log(2 * math.pi)

    def log_prob(x: Tensor) -> Tensor:
        return constant - ((x - mean.to(x)) / std.to(x)).square().sum(-1) / 2

    def gradient(x: Tensor) -> Tensor:
        return (mean.to(x) - x) / std.to(x).square()

    def draw(n: int, generator: torch.Generator) -> Tensor:
        return _normal(n, len(mean), generator) * std.to(generator.device) + mean.to(generator.device)

    return Target(
        name="gaussian", dim=len(mean), log_prob=log_prob, gradient=gradient, log_z=log_z, mean=mean,
        variance=std.square(), modes=mean[None], draw=draw, centre=mean, scale=std,
    )  # fmt: skip


def _correlated(mean: Tensor, factor: Tensor, log_z: float) -> Target:
    """From the Cholesky factor L of the covariance: |L^-1 (x - m)|^2 / 2."""
    d = len(mean)
    whiten = torch.linalg.solve_triangular(factor, torch.eye(d, dtype=torch.float64), upper=False)
    constant = log_z - float(factor.diagonal().log().sum()) - d / 2 * math.log(2 * math.pi)
    variance = factor.square().sum(1)

    def log_prob(x: Tensor) -> Tensor:
        return constant - ((x - mean.to(x)) @ whiten.to(x).mT).square().sum(-1) / 2

    def gradient(x: Tensor) -> Tensor:
        return -(((x - mean.to(x)) @ whiten.to(x).mT) @ whiten.to(x))

    def draw(n: int, generator: torch.Generator) -> Tensor:
        return _normal(n, d, generator) @ factor.to(generator.device).mT + mean.to(generator.device)

    return Target(
        name="gaussian", dim=d, log_prob=log_prob, gradient=gradient, log_z=log_z, mean=mean, variance=variance,
        modes=mean[None], draw=draw, centre=mean, scale=variance.sqrt(),
    )  # fmt: skip


def _normal(n: int, d: int, generator: torch.Generator) -> Tensor:
    return torch.randn(n, d, generator=generator, dtype=torch.float64, device=generator.device)
