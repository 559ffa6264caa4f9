"""MIX+GAN: a mixture of generators against a mixture of critics, with learned weights."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ganneal.game import Bound, Nets, Tensors
from ganneal.systems.gan import GAN


class MixtureGenerator(nn.Module):
    """T generators and the logits of their weights: (z, choice) [B, latent + 1] -> x [B, *shape].

    The last coordinate, uniform on [0, 1], chooses the component by weight, so that a fixed latent point gives a fixed
    sample; sampling therefore costs all components. With `component=i` every example comes from that one.
    """

    def __init__(self, components: Sequence[nn.Module]):
        super().__init__()
        self.components = nn.ModuleList(components)
        self.logits = nn.Parameter(torch.zeros(len(components)))

    def forward(self, z: Tensor, reference: int | None = None, component: int | None = None) -> Tensor:
        options = {} if reference is None else {"reference": reference}
        if component is not None:
            found: Tensor = self.components[component](z[:, :-1], **options)
            return found
        made = torch.stack([net(z[:, :-1], **options) for net in self.components], 1)
        below = torch.softmax(self.logits, 0).cumsum(0)[:-1]
        index = (z[:, -1:] > below).sum(1).view(-1, *[1] * (made.dim() - 1))
        return made.take_along_dim(index, 1).squeeze(1)


class MixtureCritic(nn.Module):
    """T critics and the logits of their weights: x [B, *shape] -> the mean logit by weight [B], or with `component=j`
    that critic's. Features are those of all critics side by side."""

    def __init__(self, components: Sequence[nn.Module]):
        super().__init__()
        self.components = nn.ModuleList(components)
        self.logits = nn.Parameter(torch.zeros(len(components)))

    def forward(self, x: Tensor, features: bool = False, component: int | None = None) -> Any:
        if component is not None:
            return self.components[component](x, features=features)
        weights = torch.softmax(self.logits, 0)
        found = [net(x, features=features) for net in self.components]
        if not features:
            return sum(w * y for w, y in zip(weights, found, strict=True))
        logit = sum(w * y for w, (y, _) in zip(weights, found, strict=True))
        return logit, torch.cat([f for _, f in found], 1)


def barrier(logits: Tensor) -> Tensor:
    """-(1/T) sum_i log w_i of w = softmax(logits), [T] -> scalar; least, log T, at equal weights.

    Minimising sum_i w_i c_i + strength * barrier over the simplex gives w_i = s / (T (s + c_i - c)) with c the mean
    payoff under w (own derivation), so that no weight falls below s / (T (s + R)), R the range of the payoffs.
    """
    return -torch.log_softmax(logits, -1).mean(-1)


@dataclass(frozen=True)
class MixtureGame(GAN):
    """MIX+GAN (Arora, Ge, Liang, Ma, Zhang 2017, "Generalization and Equilibrium in Generative Adversarial Nets",
    section 4 and Algorithm 1).

    T generators u_i and T critics v_j with weights p = softmax, q = softmax; each side minimises

        sum_ij p_i q_j L(u_i, v_j) + strength * (-(1/T) sum log of its own weights),

    L the player's loss of the plain game, penalties included. The weights are parameters of their player and move with
    its learning rate.

    Stabilises: mixed equilibria exist where pure ones do not, and a generator that loses one mode does not lose it for
    the mixture. Costs T^2 critic passes a step and T generators at sampling.

    shapes: z [B, latent + 1], the last coordinate chooses the component (law `Chosen`).
    """

    components: int = 3
    strength: float = 0.1

    def loss(self, player: str, nets: Nets, batch: Mapping[str, Tensor], coefficients: Mapping[str, Tensor]) -> Tensor:
        """The scalar that `player` minimises."""
        if player not in ("critic", "generator"):
            return super().loss(player, nets, batch, coefficients)
        payoff = self.payoffs(player, nets, batch, coefficients)
        weights = {name: torch.softmax(_logits(nets[name]), 0) for name in ("generator", "critic")}
        total = weights["generator"] @ payoff @ weights["critic"]
        return total + self.strength * barrier(_logits(nets[player]))

    def payoffs(
        self, player: str, nets: Nets, batch: Mapping[str, Tensor], coefficients: Mapping[str, Tensor]
    ) -> Tensor:
        """The player's loss in every pair, [T, T]: generators in rows, critics in columns."""
        generators = [_component(nets["generator"], i) for i in range(self.components)]
        critics = [_component(nets["critic"], j) for j in range(self.components)]
        return torch.stack(
            [
                torch.stack(
                    [
                        super(MixtureGame, self).loss(
                            player, {**nets, "generator": generator, "critic": critic}, batch, coefficients
                        )
                        for critic in critics
                    ]
                )
                for generator in generators
            ]
        )

    def project(self, player: str, params: Tensors, buffers: Tensors) -> None:
        """A constraint on the critic is one on each of its components; the weights are free."""
        if player != "critic":
            return
        mixture = self.architectures["critic"]
        assert isinstance(mixture, MixtureCritic)
        for j, critic in enumerate(mixture.components):
            prefix = f"components.{j}."
            own, kept = (
                {name.removeprefix(prefix): x for name, x in tensors.items() if name.startswith(prefix)}
                for tensors in (params, buffers)
            )
            self._terms.project(critic, own, kept)


def _component(net: Callable[..., Any], index: int) -> Callable[..., Any]:
    """One component of a mixture, called as a network of its own."""

    def one(x: Tensor, **options: Any) -> Any:
        return net(x, component=index, **options)

    return one


def _logits(net: Any) -> Tensor:
    """The logits [T] of a mixture that is a module, or one bound to parameters."""
    found: Tensor = net.params["logits"] if isinstance(net, Bound) else net.logits
    return found
