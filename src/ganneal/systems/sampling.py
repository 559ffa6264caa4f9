"""Games that train a generator from log u alone: what they share. (Tao et al. 2019; section 8 of our specification.)

All of them minimise, in theory units,

    F = (1 + lambda_entropy) E_rho[log rho] - (1 + lambda_likelihood) E_rho[log u],

whose minimiser is mu_beta = u^beta / Z_beta with beta = (1 + lambda_likelihood) / (1 + lambda_entropy), and whose value
at beta = 1 is KL(rho||mu) - log Z. They differ in where log rho, or its gradient, comes from. A schedule of either
lambda is variational annealing. log u is evaluated once for each example, as a value with its gradient.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ganneal import annealing
from ganneal.game import Draw, Nets, Tensors
from ganneal.latents import NORMAL
from ganneal.targets import Framed

LARGEST = 1e15
"""Infinite forces (two particles at one place) count as this, so that clipping gives them a direction and a length."""


@dataclass(frozen=True)
class SamplingGame:
    """A generator against a density.

    architectures   modules by player, the generator last; their parameters are only templates
    density         log u and its gradient in the generator's own coordinates
    dim, latent     sizes of x and z; z is standard normal
    noisy           samples carry Gaussian noise of standard deviation coefficients["noise"]: x = G(z) + noise e
    clip            largest norm of grad log u, per example; 0 for none
    """

    architectures: Mapping[str, nn.Module]
    density: Framed
    dim: int
    latent: int
    noisy: bool = False
    clip: float = 0.0

    latent_law = NORMAL
    exact_density = False
    evaluates = frozenset({"generator"})
    """Players whose loss evaluates log u, once for each example."""
    looks = 0
    """Rows of log u that `signs` reads for each of its examples."""

    @property
    def nets(self) -> Mapping[str, nn.Module]:
        """The architecture of every player."""
        return self.architectures

    @property
    def players(self) -> tuple[str, ...]:
        """In the order in which they move, the generator last."""
        return tuple(self.architectures)

    @property
    def averaged(self) -> frozenset[str]:
        """Players that the others see through their running averages: none, unless a game says so."""
        return frozenset()

    @property
    def draws(self) -> dict[str, dict[str, Draw]]:
        """What each player's loss reads from a batch: latent coordinates and noise, unless a game adds to it."""
        return {player: self.fake() for player in self.players}

    def fake(self) -> dict[str, Draw]:
        """What a batch of samples is made of."""
        noise = {"z.noise": Draw("normal", (self.dim,))} if self.noisy else {}
        return {"z": Draw("normal", (self.latent,)), **noise}

    def loss(self, player: str, nets: Nets, batch: Mapping[str, Tensor], coefficients: Mapping[str, Tensor]) -> Tensor:
        """The scalar that `player` minimises."""
        raise NotImplementedError

    def project(self, player: str, params: Tensors, buffers: Tensors) -> None:
        """Nothing follows a step, unless a game says so."""

    def samples(self, nets: Nets, batch: Mapping[str, Tensor], coefficients: Mapping[str, Tensor]) -> Tensor:
        """x = G(z) + noise e, [B, d]."""
        x: Tensor = nets["generator"](batch["z"])
        return x + coefficients["noise"] * batch["z.noise"] if self.noisy else x

    def log_density(self, x: Tensor) -> Tensor:
        """log u(x) [B] whose gradient in x is the clipped one."""
        value, score = self.density.value_and_score(x)
        if self.clip:
            score = annealing.clip_norm(score.clamp(-LARGEST, LARGEST), self.clip)
        moved = (x * score).sum(1)
        return value + (moved - moved.detach())

    def free_energy(self, log_rho: Tensor, log_u: Tensor, coefficients: Mapping[str, Tensor]) -> Tensor:
        """(1 + lambda_entropy) mean log rho - (1 + lambda_likelihood) mean log u."""
        entropy, likelihood = 1 + coefficients["lambda_entropy"], 1 + coefficients["lambda_likelihood"]
        return entropy * log_rho.mean() - likelihood * log_u.mean()

    def log_model(self, nets: Nets, x: Tensor, batch: Mapping[str, Tensor]) -> Tensor | None:
        """log rho(x) [B] of samples x, exact or estimated, up to a constant; None where a game has no estimate."""
        return None

    @torch.no_grad()
    def signs(self, nets: Nets, batch: Mapping[str, Tensor], coefficients: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What the guard looks at, 0-d each: the spread of samples in the frame's units, and what a game adds."""
        x = self.samples(nets, batch, coefficients)
        return {"spread": (x.var(0, correction=0).sum() / self.dim).sqrt()}

    @torch.no_grad()
    def weighing(
        self, nets: Nets, batch: Mapping[str, Tensor], coefficients: Mapping[str, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """(log u, log rho) [B] of samples, for importance weights u^beta / rho. Where a game knows no log rho the model
        is taken to be where it should be, at the present beta."""
        x = self.samples(nets, batch, coefficients)
        value = self.density.value_and_score(x)[0]
        log_rho = self.log_model(nets, x, batch)
        if log_rho is None:
            beta = (1 + coefficients["lambda_likelihood"]) / (1 + coefficients["lambda_entropy"])
            log_rho = beta * value
        return value, log_rho
