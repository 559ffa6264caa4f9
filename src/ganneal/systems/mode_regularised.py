"""Mode regularised GANs: an encoder shows the generator the data that its own samples never reach."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from ganneal.game import Draw, Nets, Tensors
from ganneal.systems.gan import GAN


@dataclass(frozen=True)
class ModeRegularised(GAN):
    """Reg-GAN (Che, Li, Jacob, Bengio, Li 2017, "Mode Regularized Generative Adversarial Networks", section 3.1).

    Players: those of the game, and before its generator an `encoder` E: x -> z, which makes reconstructions G(E(x)) of
    data. With h the generator's loss of the objective on logits (-log D for the non-saturating one) and d the squared
    distance per dimension,

        L_G = E_z h(D(G(z))) + R,    L_E = R,    R = E_x[ l1 d(x, G(E(x))) + l2 h(D(G(E(x)))) ],

    and the critic's loss is that of the game: reconstructions are no fakes to it. The second term of R pulls
    reconstructions towards "real". The paper prints it as + l2 log D inside a minimised loss, and published code copies
    that: it is the wrong sign, which pushes them away.

    Stabilises: near a minor mode x0, G(E(x0)) is close to x0, so the generator has a gradient at modes that its own
    samples miss, weighted by the data's law and not the model's. Costs an encoder and two more passes through
    generator and critic.

    shapes: x [B, *shape], z [B, latent], E(x) [B, latent].

    distance, mode    l1, l2
    """

    distance: float = 0.2
    mode: float = 0.4

    def _order(self) -> tuple[str, ...]:
        return (*super()._order()[:-1], "encoder", "generator")

    @property
    def draws(self) -> dict[str, dict[str, Draw]]:
        """Encoder and generator read data, and what the generator's loss on reconstructions reads."""
        found = super().draws
        real = {"real": Draw("real", self.shape)}
        return {
            **found,
            "encoder": {**real, **self._bare.draws["generator"]},
            "generator": {**real, **found["generator"]},
        }

    def loss(self, player: str, nets: Nets, batch: Mapping[str, Tensor], coefficients: Mapping[str, Tensor]) -> Tensor:
        """The scalar that `player` minimises."""
        if player == "encoder":
            return self.regulariser(nets, batch, coefficients)
        return super().loss(player, nets, batch, coefficients)

    def regulariser(self, nets: Nets, batch: Mapping[str, Tensor], coefficients: Mapping[str, Tensor]) -> Tensor:
        """R, a scalar."""
        x = batch["real"]
        made = self.reconstruction(nets, batch)
        told = self._bare.loss("generator", {**nets, "generator": _fixed(made)}, batch, coefficients)
        return self.distance * (made - x).square().mean() + self.mode * told

    def reconstruction(self, nets: Nets, batch: Mapping[str, Tensor]) -> Tensor:
        """G(E(x)), [B, *shape]."""
        made: Tensor = nets["generator"](nets["encoder"](batch["real"]))
        return made

    def _generator_loss(self, nets: Nets, batch: Mapping[str, Tensor], coefficients: Mapping[str, Tensor]) -> Tensor:
        return super()._generator_loss(nets, batch, coefficients) + self.regulariser(nets, batch, coefficients)

    @cached_property
    def _bare(self) -> GAN:
        """The adversarial part alone: the game without penalties and score regularisers."""
        own: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(GAN)}
        nets = {name: self.architectures[name] for name in ("critic", "generator")}
        return GAN(**{**own, "architectures": nets, "penalties": (), "data_score": None, "model_score": None})


@dataclass(frozen=True)
class ManifoldDiffusion(ModeRegularised):
    """MDGAN (Che et al. 2017, section 3.3): a manifold step and a diffusion step, each with a critic of its own.

        manifold:   D1 tells x from G(E(x));        E and G minimise l1 d(x, G(E(x))) + l2 h(D1(G(E(x))))
        diffusion:  D2 tells G(E(x)) from G(z);     G minimises h(D2(G(z))), the reconstructions held fixed

    D2 compares two laws on one manifold, the generator's range, so it is never perfect for trivial reasons, which is
    what stabilises. The generator's two steps are one here, on the sum of both losses: the same to first order in the
    learning rate. Costs an encoder and a second critic.

    Players: `manifold` (D1), `critic` (D2), `encoder`, `generator`. Penalties are on both critics.
    """

    def _order(self) -> tuple[str, ...]:
        return ("manifold", *super()._order())

    @property
    def draws(self) -> dict[str, dict[str, Draw]]:
        """D1 reads what D2 reads."""
        found = super().draws
        return {**found, "manifold": found["critic"]}

    def loss(self, player: str, nets: Nets, batch: Mapping[str, Tensor], coefficients: Mapping[str, Tensor]) -> Tensor:
        """The scalar that `player` minimises."""
        if player == "manifold":
            shown = {**nets, "critic": nets["manifold"], "generator": _fixed(self.reconstruction(nets, batch))}
            return super().loss("critic", shown, batch, coefficients)
        if player == "critic":
            return super().loss("critic", nets, self._reconstructed(nets, batch), coefficients)
        return super().loss(player, nets, batch, coefficients)

    def regulariser(self, nets: Nets, batch: Mapping[str, Tensor], coefficients: Mapping[str, Tensor]) -> Tensor:
        """R of the manifold's critic."""
        return super().regulariser({**nets, "critic": nets["manifold"]}, batch, coefficients)

    def project(self, player: str, params: Tensors, buffers: Tensors) -> None:
        """Constraints hold for both critics, which have one architecture."""
        super().project("critic" if player == "manifold" else player, params, buffers)

    @torch.no_grad()
    def signs(self, nets: Nets, batch: Mapping[str, Tensor], coefficients: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """As of any GAN; the gap is that of D2, between reconstructions and samples."""
        found = super().signs(nets, batch, coefficients)
        between = super().signs(nets, self._reconstructed(nets, batch), coefficients)
        return found | {name: between[name] for name in ("gap", "distance") if name in between}

    def _generator_loss(self, nets: Nets, batch: Mapping[str, Tensor], coefficients: Mapping[str, Tensor]) -> Tensor:
        diffusion = GAN._generator_loss(self, nets, self._reconstructed(nets, batch), coefficients)
        return diffusion + self.regulariser(nets, batch, coefficients)

    def _reconstructed(self, nets: Nets, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {**batch, "real": self.reconstruction(nets, batch).detach()}


def _fixed(x: Tensor) -> Callable[..., Tensor]:
    """A generator that has made its samples already."""
    return lambda z: x
