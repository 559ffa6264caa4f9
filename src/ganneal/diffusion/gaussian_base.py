"""The Gaussian r = N(m, L L') from which annealed samplers start: normalised, drawn exactly."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ganneal.diffusion.langevin import cholesky
from ganneal.errors import UsageError


@dataclass(frozen=True, eq=False)
class GaussianBase:
    """N(mean, factor factor'): mean [d]; factor [d, d] lower triangular with a positive diagonal.

    Raises `UsageError` for shapes that do not fit, or a factor that is none.
    """

    mean: Float[Tensor, " d"]
    factor: Float[Tensor, "d d"]

    def __post_init__(self) -> None:
        d = self.mean.numel()
        if self.mean.shape != (d,) or self.factor.shape != (d, d):
            raise UsageError(
                f"Gaussian base: got mean {tuple(self.mean.shape)} and factor {tuple(self.factor.shape)}; "
                f"allowed: [d] and [d, d]"
            )
        if not bool((self.factor.diagonal() > 0).all()) or not bool(self.factor.isfinite().all()):
            raise UsageError("Gaussian base: its factor must be finite with a positive diagonal")

    @property
    def dim(self) -> int:
        """d."""
        return self.mean.numel()

    def log_prob(self, x: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
        """log r(x), normalised."""
        return self.value_and_score(x)[0]

    def value_and_score(self, x: Float[Tensor, "n d"]) -> tuple[Float[Tensor, " n"], Float[Tensor, "n d"]]:
        """log r and its gradient, in the dtype of x."""
        mean, factor = self.mean.to(x), self.factor.to(x)
        white = torch.linalg.solve_triangular(factor, (x - mean).T, upper=False)
        slope = -torch.linalg.solve_triangular(factor.T, white, upper=True).T
        constant = 0.5 * self.dim * math.log(2 * math.pi) + float(self.factor.diagonal().log().sum())
        return -0.5 * white.square().sum(0) - constant, slope

    def draw(self, n: int, generator: torch.Generator) -> Float[Tensor, "n d"]:
        """n independent samples, in the dtype of `mean`."""
        xi = torch.randn(n, self.dim, generator=generator, dtype=self.mean.dtype, device=self.mean.device)
        return self.mean + xi @ self.factor.T


def gaussian_base(mean: Tensor, scale: float | Tensor) -> GaussianBase:
    """N(mean, diag scale^2): mean [d], scale a number or [d]."""
    return GaussianBase(mean, (torch.ones_like(mean) * scale).diag())


def fitted_base(x: Float[Tensor, "n d"], widen: float = 1.2) -> GaussianBase:
    """N(m, widen^2 S) with the mean and covariance of x: wide enough that weights u / r stay bounded more often."""
    if x.ndim != 2 or len(x) < 2:
        raise UsageError(f"samples: got shape {tuple(x.shape)}; allowed: [n, d] with n > 1")
    mean = x.mean(0)
    return GaussianBase(mean, widen * cholesky((x - mean).T @ (x - mean) / len(x)))
