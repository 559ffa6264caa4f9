"""Kernels on vectors, each with its own width and its text form: `gaussian`, `laplace(0.5)`, `rq`, `polynomial(3)`.

A kernel is a function of one of three base quantities of a pair of points, so that several kernels share what costs
most: squared Euclidean distances, L1 distances, or inner products.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from ganneal.errors import UsageError, nearest
from ganneal.parts import Registry

Base = Literal["squared", "l1", "dot"]
SUBSAMPLE = 2000
"""Points of the pool that distances are summarised over, at most."""


@dataclass(frozen=True)
class Kernel:
    """k(x, y) = of(base(x, y)), elementwise on a tensor of base quantities, symmetric and positive definite (or
    conditionally so)."""

    name: str
    base: Base
    of: Callable[[Tensor], Tensor]
    bandwidth: tuple[float, ...] = ()

    def gram(self, x: Tensor, y: Tensor) -> Tensor:
        """k(x_i, y_j) [m, n] from x [m, d], y [n, d]."""
        return self.of(base_matrix(self.base, x, y))


Recipe = Callable[[Tensor], Kernel]
"""From the pooled sample [N, d] to a kernel; it may look at the pool but not at the labels, so that levels stay
exact."""


def base_matrix(base: Base, x: Tensor, y: Tensor) -> Tensor:
    """|x_i - y_j|^2, |x_i - y_j|_1 or x_i'y_j [m, n], differentiable."""
    if base == "dot":
        return x @ y.T
    if base == "l1":
        return torch.cdist(x, y, p=1)
    squared = torch.addmm(y.square().sum(1).expand(len(x), -1), x, y.T, alpha=-2)
    return squared.add_(x.square().sum(1, keepdim=True)).clamp_(min=0)


def centred(pool: Tensor) -> Tensor:
    """The pool moved to its median: the rounding error of a distance that comes from inner products is then relative
    to the distances of its own two points from the middle, and one outlier does not cost the others their digits."""
    return pool - pool.median(0).values


def gaussian(bandwidth: float) -> Kernel:
    """exp(-|x - y|^2 / (2 s^2))."""
    scale = -0.5 / _positive("bandwidth", bandwidth) ** 2
    return Kernel("gaussian", "squared", lambda d: (d * scale).exp_(), (float(bandwidth),))


def laplace(bandwidth: float) -> Kernel:
    """exp(-|x - y|_1 / s)."""
    scale = -1 / _positive("bandwidth", bandwidth)
    return Kernel("laplace", "l1", lambda d: (d * scale).exp_(), (float(bandwidth),))


ALPHAS = (0.2, 0.5, 1.0, 2.0, 5.0)
"""Exponents of the rational quadratic mixture (Binkowski et al. 2018, section 4.1)."""


def rational_quadratic(bandwidth: float) -> Kernel:
    """Mean over a of (1 + |x - y|^2 / (2 a s^2))^-a (Binkowski et al. 2018, section 4.1, with a width)."""
    scale = 0.5 / _positive("bandwidth", bandwidth) ** 2
    return Kernel(
        "rq",
        "squared",
        lambda d: torch.stack([(1 + d * (scale / a)) ** -a for a in ALPHAS]).mean(0),
        (float(bandwidth),),
    )


def polynomial(degree: int, dimension: int) -> Kernel:
    """(x'y / d + 1)^degree; degree 3 on Inception features is that of KID (Binkowski et al. 2018)."""
    if degree not in range(1, 11):
        raise UsageError(f"kernel polynomial: degree must be a whole number from 1 to 10, got {degree}")
    return Kernel("polynomial", "dot", lambda p: (p / dimension + 1) ** degree)


def distance() -> Kernel:
    """-|x - y| / 2: with it MMD^2 is half the energy distance (Szekely and Rizzo 2013; Sejdinovic et al. 2013)."""
    return Kernel("energy", "squared", lambda d: d.sqrt().mul_(-0.5))


def some_of(pool: Tensor, most: int = SUBSAMPLE) -> Tensor:
    """At most `most` points of the pool [N, d].

    Which ones is decided by the points themselves, every k-th in the order of a fixed projection, never by their place
    in the pool: a width made from them is the same for every relabeling, and so the level of a permutation test stays
    exact. (Taking the first 500 of x and of y, as published code does, is not.)
    """
    if len(pool) <= most:
        return pool
    direction = torch.randn(pool.shape[1], dtype=pool.dtype, generator=torch.Generator().manual_seed(1))
    return pool[(pool @ direction).argsort()[torch.linspace(0, len(pool) - 1, most).round().long()]]


def pool_distances(pool: Tensor, base: Base = "squared") -> Tensor:
    """Distances between different points of the pool, one for each pair of `some_of` them."""
    pool = some_of(pool)
    pool = centred(pool) if base == "squared" else pool
    rows, columns = torch.triu_indices(len(pool), len(pool), offset=1)
    upper = base_matrix(base, pool, pool)[rows, columns]
    return upper.sqrt() if base == "squared" else upper


def median_distance(pool: Tensor, base: Base = "squared") -> float:
    """Median distance between points of the pool; where most coincide, the mean of the positive distances, or 1."""
    distances = pool_distances(pool, base)
    median = float(np.median(distances.numpy()))
    if median > 0:
        return median
    positive = distances[distances > 0]
    return float(positive.mean()) if len(positive) else 1.0


def _wide(make: Callable[[float], Kernel], base: Base, bandwidth: float | None) -> Recipe:
    return lambda pool: make(median_distance(pool, base) if bandwidth is None else bandwidth)


def _gaussian(bandwidth: float | None = None) -> Recipe:
    """`gaussian(bandwidth)`: the Gaussian exp(-|x - y|^2 / (2 s^2)), by default as wide as the median distance."""
    return _wide(gaussian, "squared", bandwidth)


def _laplace(bandwidth: float | None = None) -> Recipe:
    """`laplace(bandwidth)`: the Laplace kernel exp(-|x - y|_1 / s), with a peak: good for local differences."""
    return _wide(laplace, "l1", bandwidth)


def _rq(bandwidth: float | None = None) -> Recipe:
    """`rq(bandwidth)`: a mixture of rational quadratic kernels, which see many scales at once."""
    return _wide(rational_quadratic, "squared", bandwidth)


def _polynomial(degree: int = 3) -> Recipe:
    """`polynomial(degree)`: the polynomial (x'y / d + 1)^degree; compares moments up to the degree only."""
    return lambda pool: polynomial(degree, pool.shape[1])


def _energy() -> Recipe:
    """`energy`: the distance -|x - y| / 2, with no width to choose; MMD^2 is then half the energy distance."""
    return lambda pool: distance()


def _median() -> Recipe:
    """`median`: a Gaussian kernel as wide as the median distance of the pool."""
    return _gaussian()


def _multiscale() -> Recipe:
    """`multiscale`: the mean of Gaussian kernels at 1, 1/2, 1/4 and 1/8 of the median distance, which also sees
    differences that are small beside the spread of the data."""

    def recipe(pool: Tensor) -> Kernel:
        median = median_distance(pool)
        return mean_of([gaussian(median * scale) for scale in (1.0, 0.5, 0.25, 0.125)])

    return recipe


KERNELS: Registry[Recipe] = Registry(
    "kernel",
    {
        "median": _median,
        "multiscale": _multiscale,
        "gaussian": _gaussian,
        "laplace": _laplace,
        "rq": _rq,
        "polynomial": _polynomial,
        "energy": _energy,
    },
    literal=lambda value: lambda pool: widths(value),
)


def widths(values: Any) -> Kernel:
    """A Gaussian kernel of the given width, or the mean of those of several widths."""
    try:
        found = np.atleast_1d(np.asarray(values, dtype=np.float64)).ravel().tolist()
    except (TypeError, ValueError):
        found = []
    if not found or not all(math.isfinite(s) and s > 0 for s in found):
        raise UsageError(f"kernel: got bandwidths {values!r}; allowed: positive numbers")
    return mean_of([gaussian(s) for s in found])


def mean_of(kernels: Sequence[Kernel]) -> Kernel:
    """The mean of kernels of one base."""
    if len(kernels) == 1:
        return kernels[0]
    return Kernel(
        "mean", kernels[0].base, lambda d: sum((k.of(d) for k in kernels[1:]), kernels[0].of(d)) / len(kernels),
        tuple(w for k in kernels for w in k.bandwidth),
    )  # fmt: skip


def kernel_for(kernel: Any, pool: Tensor) -> Kernel:
    """The kernel that a text, a width, several widths, a `Kernel` or a recipe stands for, on a pooled sample."""
    if isinstance(kernel, Kernel):
        return kernel
    if isinstance(kernel, (np.ndarray, Tensor, tuple, np.floating)):
        return widths(kernel)
    if isinstance(kernel, str) and kernel.isidentifier() and kernel not in KERNELS.entries:
        raise UsageError(f"kernel: unknown {kernel!r}; {nearest(kernel, KERNELS)}, or bandwidths as numbers")
    recipe = KERNELS.build(kernel)
    if not callable(recipe):
        raise UsageError(
            f"kernel: got {type(kernel).__name__}; allowed: {', '.join(KERNELS)}, or bandwidths as numbers"
        )
    return recipe(pool)


def _positive(name: str, value: float) -> float:
    if not (math.isfinite(value) and value > 0):
        raise UsageError(f"kernel: {name} must be a positive number, got {value}")
    return float(value)
