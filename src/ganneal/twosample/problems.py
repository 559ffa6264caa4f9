"""Published two-sample problems with known densities: what tests are compared on.

blobs   25 blobs on a 5 x 5 grid, spacing 10; P: N(0, I) each, Q: correlation (e - 1)/(e + 1) (Gretton et al. 2012b;
        Sutherland et al. 2017, section 5.1)
blob    9 blobs, spacing 1; P: covariance .03 I, Q: a correlation of its own in each blob (Liu et al. 2020, section 7.1)
hdgm    two clusters in d dimensions; Q correlates the first two coordinates, by +.5 and -.5 (Liu et al. 2020)

The published code of the last two draws something else than the papers say: `published=True` draws that, for comparison
with published figures (the covariance factor on the wrong side, so that Q's marginal variances change; clusters of
fixed instead of random size; a null of another law).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ganneal.errors import UsageError

Sampler = Callable[[int, torch.Generator], Tensor]


@dataclass(frozen=True, eq=False)
class Problem:
    """Two laws: `p(n, generator)` and `q(n, generator)` draw [n, d]; `log_ratio(x)` [n, d] -> [n] is log p - log q,
    known for the laws as described (not as published code draws them); `null(n, generator)` draws the law under which
    size is measured."""

    name: str
    p: Sampler
    q: Sampler
    null: Sampler
    log_ratio: Callable[[Tensor], Tensor]

    def oracle_accuracy(self, n: int, generator: torch.Generator) -> float:
        """Accuracy of the best classifier, from n draws of each law: P(log p/q > 0 under p, < 0 under q)."""
        right = (self.log_ratio(self.p(n, generator)) > 0), (self.log_ratio(self.q(n, generator)) < 0)
        return float(torch.cat(right).double().mean())


def blobs(ratio: float = 6.0) -> Problem:
    """`ratio` is that of the largest to the smallest eigenvalue of Q's covariance; 1 makes P = Q."""
    if not ratio >= 1:
        raise UsageError(f"blobs: ratio must be at least 1, got {ratio}")
    r = (ratio - 1) / (ratio + 1)
    centres = 10 * _grid(5)
    p, q = (_Mixture(centres, _correlated(c).expand(25, 2, 2)) for c in (0.0, r))
    return Problem(f"blobs({ratio:g})", p.draw, q.draw, p.draw, lambda x: p.log_density(x) - q.log_density(x))


def blob(published: bool = False) -> Problem:
    """Nine blobs whose shape differs by place."""
    shift = [-0.02 - 0.002 * i if i < 4 else 0.0 if i == 4 else 0.02 + 0.002 * (i - 5) for i in range(9)]
    centres = _grid(3)
    p = _Mixture(centres, (0.03 * torch.eye(2, dtype=torch.float64)).expand(9, 2, 2))
    q = _Mixture(centres, torch.stack([0.03 * _correlated(s / 0.03) for s in shift]))
    if not published:
        return Problem("blob", p.draw, q.draw, p.draw, lambda x: p.log_density(x) - q.log_density(x))
    drawn = _Mixture(centres, q.factors.mT @ q.factors)
    null = _Mixture(centres, torch.eye(2, dtype=torch.float64).expand(9, 2, 2))
    return Problem(
        "blob, as published code", p.draw, drawn.draw, null.draw, lambda x: p.log_density(x) - drawn.log_density(x)
    )


def hdgm(dimension: int = 10, published: bool = False) -> Problem:
    """Two clusters in `dimension` dimensions; `published` draws exactly half of the examples from each."""
    if dimension < 2:
        raise UsageError(f"hdgm: dimension must be at least 2, got {dimension}")
    centres = torch.stack([torch.zeros(dimension), 0.5 * torch.ones(dimension)]).double()
    covariances = torch.eye(dimension, dtype=torch.float64).repeat(2, 1, 1)
    turned = covariances.clone()
    for k, c in enumerate((0.5, -0.5)):
        turned[k, :2, :2] = _correlated(c)
    p, q = _Mixture(centres, covariances, published), _Mixture(centres, turned, published)
    name = f"hdgm({dimension}){', as published code' if published else ''}"
    return Problem(name, p.draw, q.draw, p.draw, lambda x: p.log_density(x) - q.log_density(x))


class _Mixture:
    """Gaussians of equal weight; `even` draws as many of each as can be, in order, instead of at random."""

    def __init__(self, centres: Tensor, covariances: Tensor, even: bool = False):
        self.centres, self.even = centres, even
        self.factors = torch.linalg.cholesky(covariances)

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        k = len(self.centres)
        which = torch.arange(n) * k // n if self.even else torch.randint(k, (n,), generator=generator)
        noise = torch.randn(n, self.centres.shape[1], 1, dtype=torch.float64, generator=generator)
        return self.centres[which] + (self.factors[which] @ noise).squeeze(-1)

    def log_density(self, x: Tensor) -> Tensor:
        d = self.centres.shape[1]
        moved = (x[None] - self.centres[:, None]).mT
        white = torch.linalg.solve_triangular(self.factors, moved, upper=False)
        volume = self.factors.diagonal(dim1=1, dim2=2).log().sum(1)
        logs = -0.5 * white.square().sum(1) - volume[:, None] - d / 2 * math.log(2 * math.pi)
        return logs.logsumexp(0) - math.log(len(self.centres))


def _grid(side: int) -> Tensor:
    axis = torch.arange(side, dtype=torch.float64)
    return torch.cartesian_prod(axis, axis)


def _correlated(c: float) -> Tensor:
    return torch.tensor([[1.0, c], [c, 1.0]], dtype=torch.float64)
