"""The importance-weighted critic (8C): draws of a broad Gaussian, weighted by u^beta / r, stand for data."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import softplus

from ganneal.game import Draw, Nets, Tensors
from ganneal.objectives.log_ratio import rkl
from ganneal.penalties import Penalty
from ganneal.systems.critic import CriticTerms
from ganneal.systems.sampling import SamplingGame

LARGEST_DIM = 3


@dataclass(frozen=True, kw_only=True)
class WeightedGame(SamplingGame):
    """An ordinary critic, y* = log(mu_beta/rho), whose data term is E_r[w softplus(-y)], w = u^beta/r divided by its
    mean over the batch; the generator minimises -(1 + lambda_entropy) E_rho[y].

    r = N(0, width^2 I) in the frame's coordinates. The share of r that counts falls exponentially with the dimension
    (N(0, 1) from N(0, 4): .6614^d), so this is for up to three dimensions.
    """

    penalties: tuple[Penalty, ...] = ()
    width: float = 2.0

    evaluates = frozenset({"critic"})
    looks = 1

    @property
    def draws(self) -> dict[str, dict[str, Draw]]:
        """The critic reads proposals and samples."""
        fake = self.fake()
        proposals = {"proposal": Draw("normal", (self.dim,))}
        return {"critic": {**fake, **proposals, **self._terms.draws((self.dim,))}, "generator": fake}

    def loss(self, player: str, nets: Nets, batch: Mapping[str, Tensor], coefficients: Mapping[str, Tensor]) -> Tensor:
        """The scalar that `player` minimises."""
        x = self.samples(nets, batch, coefficients)
        if player == "generator":
            return -(1 + coefficients["lambda_entropy"]) * nets["critic"](x).mean()
        proposal = self.width * batch["proposal"]
        weights = self.log_weights(batch["proposal"], coefficients).softmax(0) * len(proposal)

        def weighted(real: Tensor, fake: Tensor) -> Tensor:
            return (weights * softplus(-real)).mean() + softplus(fake).mean()

        terms = replace(self._terms, objective=replace(self._terms.objective, critic=weighted))
        return terms.loss(nets["critic"], proposal, x, batch, coefficients)

    def log_weights(self, noise: Tensor, coefficients: Mapping[str, Tensor]) -> Tensor:
        """beta log u(x) - log r(x) [B] at x = width * noise."""
        beta = (1 + coefficients["lambda_likelihood"]) / (1 + coefficients["lambda_entropy"])
        log_r = -noise.square().sum(1) / 2 - self.dim * (math.log(self.width) + math.log(2 * math.pi) / 2)
        return beta * self.density.value_and_score(self.width * noise)[0] - log_r

    def project(self, player: str, params: Tensors, buffers: Tensors) -> None:
        """Weight clipping or a power iteration after a step of the critic."""
        if player == "critic":
            self._terms.project(self.architectures["critic"], params, buffers)

    @torch.no_grad()
    def signs(self, nets: Nets, batch: Mapping[str, Tensor], coefficients: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Also `share`, the effective share of the proposals."""
        w = self.log_weights(batch["proposal"], coefficients).softmax(0)
        return {**super().signs(nets, batch, coefficients), "share": 1 / (w.square().sum() * len(w))}

    @property
    def _terms(self) -> CriticTerms:
        return CriticTerms(rkl(), self.penalties)
