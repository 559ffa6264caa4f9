"""The Gaussian kernel of the kernel estimators, with the median bandwidth."""

import torch
from jaxtyping import Float
from torch import Tensor


def median_bandwidth(x: Float[Tensor, "m d"]) -> Float[Tensor, ""]:
    """h = median of the distances between all pairs of rows, each row with itself included as in the code of Shi et
    al. 2018.

    Cost: O(m^2 d).
    """
    return distances(x, x).flatten().median()


def distances(x: Float[Tensor, "b d"], y: Float[Tensor, "m d"]) -> Float[Tensor, "b m"]:
    """Euclidean distances by differences: the expansion |x|^2 - 2 xy + |y|^2 loses half of the digits."""
    return torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist")


def gaussian(x: Float[Tensor, "b d"], y: Float[Tensor, "m d"], h: Float[Tensor, ""]) -> Float[Tensor, "b m"]:
    """k(x_i, y_j) = exp(-|x_i - y_j|^2 / (2 h^2))."""
    return torch.exp(-distances(x, y).square() / (2 * h.square()))


def drift(
    k: Float[Tensor, "b m"], x: Float[Tensor, "b d"], y: Float[Tensor, "m d"], h: Float[Tensor, ""]
) -> Float[Tensor, "b d"]:
    """sum_j grad_{y_j} k(x_i, y_j) = sum_j k_ij (x_i - y_j) / h^2, for every i, without forming the [b, m, d]
    differences."""
    return (x * k.sum(1, keepdim=True) - k @ y) / h.square()
