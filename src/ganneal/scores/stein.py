"""The Stein gradient estimator (Li & Turner 2018): the score at the samples from Stein's identity with a kernel."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ganneal.scores.estimator import Nonparametric, kernel_caution, positive
from ganneal.scores.kernel import drift, gaussian, median_bandwidth


@dataclass(frozen=True)
class Stein(Nonparametric):
    """The Stein gradient estimator, made by `stein`."""

    eta: float

    def score(
        self,
        x: Float[Tensor, "b *shape"],
        *,
        net: Callable[..., Tensor] | None = None,
        samples: Float[Tensor, "m *shape"] | None = None,
    ) -> Float[Tensor, "b *shape"]:
        """The estimate at x; without `samples`, x are the samples."""
        points = x.flatten(1)
        if samples is None:
            pool, h = points, median_bandwidth(points)
        else:
            own = samples.flatten(1)
            pool, h = torch.cat([points, own]), median_bandwidth(own)
        k = gaussian(pool, pool, h)
        eye = torch.eye(pool.shape[0], dtype=x.dtype, device=x.device)
        solution = torch.linalg.solve(k + self.eta * eye, -drift(k, pool, pool, h))
        return solution[: x.shape[0]].reshape(x.shape)

    def caution(self, shape: tuple[int, ...]) -> str | None:
        return kernel_caution("stein", shape)


def stein(eta: float | int = 0.01) -> Stein:
    """The Stein gradient estimator: `stein(eta=0.01)`.

        G = -(K + eta I)^{-1} b,    b_i = sum_j grad_{x_j} k(x_i, x_j),    k Gaussian with median bandwidth

    It is an estimate at the sample points. At other points x it solves on the union of x and the samples, so x must
    come from (nearly) the same law, and the estimate at one point depends on the other points asked for.

    Cost: O((B + M)^3). Relative root mean square error on N(0, I), M = 500 (d = 1/2/10): .43/.39/.69. For d <= 5 only.
    Source: Li & Turner 2018, section 3.
    """
    positive("stein", eta=eta)
    return Stein(float(eta))
