"""The spectral Stein gradient estimator (Shi, Sun, Zhu 2018): the score in the eigenfunctions of a kernel, at any
point."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ganneal.errors import UsageError
from ganneal.scores.estimator import Nonparametric, kernel_caution, needed, positive
from ganneal.scores.kernel import drift, gaussian, median_bandwidth


@dataclass(frozen=True)
class Spectral(Nonparametric):
    """The spectral Stein gradient estimator, made by `ssge`."""

    keep: float

    def score(
        self,
        x: Float[Tensor, "b *shape"],
        *,
        net: Callable[..., Tensor] | None = None,
        samples: Float[Tensor, "m *shape"] | None = None,
    ) -> Float[Tensor, "b *shape"]:
        """sum over j <= J of beta_j psi_j(x), as one product k(x) A with a matrix A of [M, d]."""
        needed("ssge", samples=samples)
        assert samples is not None
        y = samples.flatten(1)
        h = median_bandwidth(y)
        k = gaussian(y, y, h)
        values, vectors = torch.linalg.eigh(k)
        values, vectors = values.flip(0), vectors.flip(1)
        share = values.clamp(min=0).cumsum(0) / values.clamp(min=0).sum()
        # A mask instead of a slice: the number of kept functions then need not be known, and estimators can be stacked.
        kept = (share <= self.keep) & (values > math.sqrt(torch.finfo(x.dtype).eps) * values[:1])
        weight = torch.where(kept, torch.where(kept, values, 1).pow(-2), 0)
        a = vectors @ (weight[:, None] * (vectors.T @ -drift(k, y, y, h)))
        return (gaussian(x.flatten(1), y, h) @ a).reshape(x.shape)

    def caution(self, shape: tuple[int, ...]) -> str | None:
        return kernel_caution("ssge", shape)


def ssge(keep: float | int = 0.99) -> Spectral:
    """The spectral Stein gradient estimator: `ssge(keep=0.99)`.

        K u_j = l_j u_j,   psi_j(x) = sqrt(M) / l_j sum_m u_jm k(x, x_m),   beta_j = -mean_m grad psi_j(x_m)
        score(x) = sum_{j <= J} beta_j psi_j(x)

    with a Gaussian kernel of median bandwidth and J the number of leading eigenvalues whose share of the trace stays
    within `keep`. It works out of sample, but goes to 0 where there are no samples.

    Cost: O(M^3) once per evaluation, O(B M d) for the points. Relative root mean square error on N(0, I), M = 500
    (d = 1/2/10): .26/.22/.47. For d <= 5 only. Source: Shi, Sun, Zhu 2018, section 3.
    """
    positive("ssge", keep=keep)
    if keep > 1:
        raise UsageError(f"score 'ssge': keep is a share and must be in (0, 1], got {keep}")
    return Spectral(float(keep))
