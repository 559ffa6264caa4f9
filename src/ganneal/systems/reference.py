"""The reference critic (8B): log rho from a critic that tells samples from a Gaussian of the same moments."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ganneal.game import Draw, Nets, Tensors
from ganneal.nets import moment_loss
from ganneal.objectives.log_ratio import rkl
from ganneal.penalties import Penalty
from ganneal.systems.critic import CriticTerms
from ganneal.systems.sampling import SamplingGame

JITTER = 1e-4


@dataclass(frozen=True)
class Reference:
    """r = N(m, L L'): coordinates u = L^-1 (x - m) in which r is standard normal."""

    mean: Tensor
    factor: Tensor

    def inward(self, x: Tensor) -> Tensor:
        """u [B, d] of x [B, d]."""
        return torch.linalg.solve_triangular(self.factor, (x - self.mean).mT, upper=False).mT

    def log_prob(self, u: Tensor) -> Tensor:
        """log r(x) [B] at x = m + L u."""
        normaliser = self.factor.diagonal().log().sum() + u.shape[1] * math.log(2 * math.pi) / 2
        return -u.square().sum(1) / 2 - normaliser


@dataclass(frozen=True)
class ReferenceGame(SamplingGame):
    """Density-ratio estimation against a moment-matched Gaussian r (adversarial variational Bayes with adaptive
    contrast: Mescheder et al. 2017, section 3.3; Li et al. 2019; reconstruction of Tao et al. 2019).

    moments      r keeps the running mean and covariance of the samples
    critic       logistic: T = log(rho/r) at the optimum, in the coordinates of r, where r is N(0, I)
    generator    F with log rho = T + log r, r and T held fixed: exact at the optimal critic

    The critic's output y is high on r, so T = -y.
    """

    penalties: tuple[Penalty, ...] = field(default=())

    @property
    def looks(self) -> int:  # type: ignore[override]
        """Where log Z is known the guard's signs read log u."""
        return int(self.density.target.log_z is not None)

    @property
    def draws(self) -> dict[str, dict[str, Draw]]:
        """The critic reads draws of r and samples."""
        fake = self.fake()
        contrast = {"contrast": Draw("normal", (self.dim,))}
        return {"moments": fake, "critic": {**fake, **contrast, **self._terms.draws((self.dim,))}, "generator": fake}

    def loss(self, player: str, nets: Nets, batch: Mapping[str, Tensor], coefficients: Mapping[str, Tensor]) -> Tensor:
        """The scalar that `player` minimises."""
        x = self.samples(nets, batch, coefficients)
        if player == "moments":
            mean, covariance = nets["moments"]()
            return moment_loss(mean, covariance, x)
        reference = self.reference(nets)
        u = reference.inward(x)
        if player == "critic":
            return self._terms.loss(nets["critic"], batch["contrast"], u, batch, coefficients)
        log_rho = reference.log_prob(u) - nets["critic"](u)
        return self.free_energy(log_rho, self.log_density(x), coefficients)

    def project(self, player: str, params: Tensors, buffers: Tensors) -> None:
        """Weight clipping or a power iteration after a step of the critic."""
        if player == "critic":
            self._terms.project(self.architectures["critic"], params, buffers)

    def reference(self, nets: Nets) -> Reference:
        """r, held fixed. A small multiple of the unit matrix keeps the covariance regular."""
        mean, covariance = (t.detach() for t in nets["moments"]())
        eye = torch.eye(self.dim, dtype=mean.dtype, device=mean.device)
        return Reference(mean, torch.linalg.cholesky((covariance + covariance.mT) / 2 + JITTER * eye))

    def log_model(self, nets: Nets, x: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        """The critic's estimate T + log r."""
        reference = self.reference(nets)
        u = reference.inward(x)
        return reference.log_prob(u) - nets["critic"](u)

    @torch.no_grad()
    def signs(self, nets: Nets, batch: Mapping[str, Tensor], coefficients: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Also `reach`, the largest |T| on samples, and `lag`, nats by which the critic's log rho is wrong: the mean of
        e^T over n draws of r exceeds e^c with a chance of at most e^-c if T = log rho/r (Markov), and where log Z is
        known E log rho - E log u + log Z = KL(rho||mu) cannot be negative. A mean of e^T below 1 says nothing: draws of
        r may miss where rho is."""
        x = self.samples(nets, batch, coefficients)
        reference = self.reference(nets)
        u = reference.inward(x)
        on_samples, on_reference = -nets["critic"](u), -nets["critic"](batch["contrast"])
        lag = on_reference.logsumexp(0) - math.log(len(on_reference))
        if (log_z := self.density.target.log_z) is not None:
            divergence = (reference.log_prob(u) + on_samples - self.density.value_and_score(x)[0]).mean() + log_z
            lag = torch.maximum(lag, -divergence)
        return {**super().signs(nets, batch, coefficients), "reach": on_samples.abs().max(), "lag": lag}

    @property
    def _terms(self) -> CriticTerms:
        return CriticTerms(rkl(), self.penalties)
