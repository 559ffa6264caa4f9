"""Entropy and Fisher information of a law known by its samples, in one or two dimensions."""

import math

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ganneal.diffusion import Box, gibbs

NEIGHBOUR = 4
GROUPS = 4
FEWEST = 1.5
"""Smallest number of points under the kernel, in a group, with which a cell counts."""


def minus_log_density(x: Float[Tensor, "n d"], k: int = NEIGHBOUR) -> Float[Tensor, " n"]:
    """-log rho at every sample, by the distance r to its k-th neighbour: log(n - 1) - digamma(k) + log(V_d r^d).

    Their mean estimates the entropy with a bias that vanishes as n grows (Kozachenko and Leonenko 1987); V_d is the
    volume of the unit ball. Costs n log n.
    """
    from scipy.spatial import cKDTree
    from scipy.special import digamma

    points = x.double().numpy()
    n, d = points.shape
    distance = cKDTree(points).query(points, k=[k + 1])[0][:, 0]
    ball = d / 2 * math.log(math.pi) - math.lgamma(d / 2 + 1)
    values = math.log(n - 1) - digamma(k) + ball + d * np.log(np.maximum(distance, 1e-300))
    return torch.from_numpy(values)


def fisher_of_samples(
    x: Float[Tensor, "n d"], psi: Float[Tensor, "*cells"], box: Box, beta: float, width: float
) -> tuple[float, float]:
    """(I(rho | mu_beta), its standard error by the jackknife over groups) of n samples, both laws smoothed by a
    Gaussian kernel of standard deviation `width`.

    Samples are dealt into groups g, and grad log(rho_g / mu_beta) are multiplied pair by pair, so that the noise of the
    estimates, which is independent, does not add to the mean as it would in a square. Smoothing makes the value too
    small where rho is narrower than some widths; in equilibrium it is 0 whatever the width. Cells with fewer than 1.5
    points of a group under the kernel are left out.
    """
    smooth_mu = _smooth(gibbs(psi, box, beta), box, width)
    fields, rhos = [], []
    for group in range(GROUPS):
        rho = _smooth(histogram(x[group::GROUPS], box), box, width)
        rhos.append(rho)
        fields.append([_slope(np.log(np.maximum(rho, 1e-300) / np.maximum(smooth_mu, 1e-300)), k, w)
                       for k, w in enumerate(box.widths)])  # fmt: skip
    d = len(box.cells)
    kernel = (2 * math.pi) ** (d / 2) * width**d
    seen = np.min(rhos, axis=0) * (len(x) / GROUPS) * kernel > FEWEST
    weight = np.mean(rhos, axis=0) * box.volume * seen
    products = np.zeros((GROUPS, GROUPS))
    for i in range(GROUPS):
        for j in range(i):
            products[i, j] = sum(float((weight * a * b).sum()) for a, b in zip(fields[i], fields[j], strict=True))
    left_out = [np.delete(np.delete(products, g, 0), g, 1).sum() * 2 / ((GROUPS - 1) * (GROUPS - 2))
                for g in range(GROUPS)]  # fmt: skip
    error = math.sqrt((GROUPS - 1) * float(np.var(left_out)))
    return float(products.sum()) * 2 / (GROUPS * (GROUPS - 1)), error


def kernel_width(log_density: Float[Tensor, " n"], d: int) -> float:
    """0.7 n^(-1/(d+6)) times the width of a normal law of the same median density: enough smoothing for a gradient."""
    n, height = len(log_density), float(log_density.median())
    return 0.7 * n ** (-1 / (d + 6)) * math.exp(-height / d) / math.sqrt(2 * math.pi)


def histogram(x: Float[Tensor, "n d"], box: Box) -> Float[Tensor, "*cells"]:
    """Samples as a density on the cells of a box; those outside are missing from its integral."""
    edges = [np.linspace(a, b, n + 1) for a, b, n in zip(box.low, box.high, box.cells, strict=True)]
    count, _ = np.histogramdd(x.double().numpy(), edges)
    return torch.from_numpy(count / (len(x) * box.volume))


def _smooth(rho: Tensor, box: Box, width: float) -> np.ndarray:
    from scipy.ndimage import gaussian_filter

    smoothed: np.ndarray = gaussian_filter(rho.numpy(), [width / w for w in box.widths], mode="nearest", truncate=5)
    return smoothed


def _slope(field: np.ndarray, axis: int, width: float) -> np.ndarray:
    slope: np.ndarray = np.gradient(field, width, axis=axis)
    return slope
