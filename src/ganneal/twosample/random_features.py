"""MMD by random Fourier features (Rahimi and Recht 2007; Zhao and Meng 2015), for samples too large for any Gram
matrix.

k(x, y) = E_w cos(w'(x - y)) is the mean over D frequencies, so that MMD^2 is the squared distance between two mean
vectors of 2 D numbers: time and memory grow with N D instead of N^2. For the Gaussian kernel exp(-d^2 / (2 s^2)) the
frequencies are normal with deviation 1/s, for the Laplace kernel exp(-|d|_1 / s) they are Cauchy with scale 1/s. The
null is by permutation and exact for any D; few features cost power only.
"""

import math
from typing import Any

import torch
from torch import Tensor

from ganneal.errors import UsageError
from ganneal.twosample.kernels import centred, median_distance
from ganneal.twosample.permutation import permutation_test
from ganneal.twosample.result import TestResult
from ganneal.twosample.samples import as_pair, check_request


def mmd_features_test(
    x: Any, y: Any, kernel: str = "gaussian", features: int = 500, permutations: int = 1000, seed: int = 0,
    level: float = 0.05,
) -> TestResult:  # fmt: skip
    """The test of x [m, ...] against y [n, ...] with `features` frequencies of a "gaussian" or "laplace" kernel, as
    wide as the median distance of the pooled sample.

    `statistic` is the biased MMD^2 (never negative) of the approximated kernel. Raises UsageError as `mmd_test` does.
    """
    x, y = as_pair(x, y)
    check_request(permutations, level)
    if kernel not in ("gaussian", "laplace") or not 1 <= features <= 100_000:
        raise UsageError(f"kernel, features: got {kernel}, {features}; allowed: gaussian or laplace, 1 to 100000")
    pool = torch.cat([x, y])
    width = median_distance(pool, "squared" if kernel == "gaussian" else "l1")
    generator = torch.Generator().manual_seed(seed)
    maps = fourier_features(centred(pool), kernel, width, features, generator)
    m, n = len(x), len(y)
    total = maps.sum(0)[:, None]

    def statistic(first: Tensor) -> Tensor:
        mine = maps.T @ first
        return (mine / m - (total - mine) / n).square().sum(0)

    found = permutation_test(statistic, m, n, permutations, generator, rounding=1e-14)
    return TestResult(
        name="mmd_features", statistic=found.observed, pvalue=found.pvalue, level=level, m=m, n=n,
        permutations=permutations, seed=seed, bandwidth=(width,),
    )  # fmt: skip


def fourier_features(x: Tensor, kernel: str, width: float, features: int, generator: torch.Generator) -> Tensor:
    """Features [N, 2 D] of x [N, d] whose inner products have the kernel as their mean: cos(w'x), sin(w'x) over
    sqrt D."""
    shape = (x.shape[1], features)
    if kernel == "gaussian":
        w = torch.randn(shape, dtype=torch.float64, generator=generator) / width
    else:
        uniform = torch.rand(shape, dtype=torch.float64, generator=generator)
        w = torch.tan(math.pi * (uniform - 0.5)) / width
    angles = x @ w
    return torch.cat([angles.cos(), angles.sin()], 1) / math.sqrt(features)
