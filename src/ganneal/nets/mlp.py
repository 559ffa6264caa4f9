"""Multilayer perceptrons: the networks of tables, toy distributions and small images.

The forward pass is nothing but linear maps and activations, because at this size the cost of a step is the number of
operations.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganneal.errors import UsageError, nearest
from ganneal.nets.architecture import positive

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "leaky_relu": lambda x: F.leaky_relu(x, 0.2),
    "silu": F.silu,
    "softplus": F.softplus,
    "tanh": torch.tanh,
}


def activation_function(name: str) -> Callable[[Tensor], Tensor]:
    """The elementwise function of that name (leaky_relu has slope 0.2). Raises UsageError for an unknown name."""
    if not isinstance(name, str) or name not in ACTIVATIONS:
        raise UsageError(f"unknown activation '{name}': {nearest(str(name), ACTIVATIONS)}")
    return ACTIVATIONS[name]


THIN = 4


class Linear(nn.Linear):
    """x [..., in] -> [..., out]. With few inputs or outputs the compiler gets products and a sum, which it fuses with
    what is around them, in place of a matrix product too thin to be worth a call."""

    def forward(self, x: Tensor) -> Tensor:
        if not torch.compiler.is_compiling() or min(self.in_features, self.out_features) > THIN:
            return F.linear(x, self.weight, self.bias)
        if self.in_features <= THIN:
            return (x.unsqueeze(-1) * self.weight.mT).sum(-2) + self.bias
        return (x.unsqueeze(-2) * self.weight).sum(-1) + self.bias


class MLP(nn.Module):
    """`depth` hidden layers of `width` units: x [B, inputs] -> [B, outputs]. Depth 0 is one linear map."""

    def __init__(self, inputs: int, outputs: int, width: int = 128, depth: int = 2, activation: str = "relu"):
        super().__init__()
        sizes = [inputs] + [width] * depth + [outputs]
        self.layers = nn.ModuleList(Linear(a, b) for a, b in pairwise(sizes))
        self.activation = activation_function(activation)

    def hidden(self, x: Tensor) -> Tensor:
        """The last hidden activations, [B, width]."""
        for layer in self.layers[:-1]:
            x = self.activation(layer(x))
        return x

    def forward(self, x: Tensor) -> Tensor:
        return self.layers[-1](self.hidden(x))


class Generator(nn.Module):
    """z [B, latent] -> x [B, *shape]; `bounded` ends in tanh, for images in [-1, 1]; `skip` adds the first coordinates
    of z to an output that starts at zero, so that training starts from the latent law itself. `reference` is accepted
    and without effect.
    """

    def __init__(self, latent: int, shape: tuple[int, ...], width: int = 128, depth: int = 2, activation: str = "relu",
                 bounded: bool = False, skip: bool = False):  # fmt: skip
        super().__init__()
        self.shape, self.bounded, self.size = tuple(shape), bounded, math.prod(shape) if skip else 0
        self.body = MLP(latent, math.prod(shape), width, depth, activation)
        if skip:
            if latent < self.size:
                raise UsageError(
                    f"network 'mlp(skip=true)' needs at least {self.size} latent coordinates, got {latent}"
                )
            for parameter in self.body.layers[-1].parameters():
                nn.init.zeros_(parameter)

    def forward(self, z: Tensor, reference: int | None = None) -> Tensor:
        x = self.body(z)
        if self.size:
            x = x + z[:, : self.size]
        return (torch.tanh(x) if self.bounded else x).reshape(-1, *self.shape)


class Critic(nn.Module):
    """x [B, *shape] -> logit [B]; with `features=True` also the last hidden activations [B, width]."""

    def __init__(self, shape: tuple[int, ...], width: int = 128, depth: int = 2, activation: str = "leaky_relu"):
        super().__init__()
        self.body = MLP(math.prod(shape), 1, width, depth, activation)

    def forward(self, x: Tensor, features: bool = False) -> Tensor | tuple[Tensor, Tensor]:
        hidden = self.body.hidden(x.flatten(1))
        logit = self.body.layers[-1](hidden).squeeze(-1)
        return (logit, hidden) if features else logit


class Field(nn.Module):
    """A vector field on the data space: x [B, *shape] -> [B, *shape]. Smooth by default, since score matching
    differentiates it.
    """

    def __init__(self, shape: tuple[int, ...], width: int = 128, depth: int = 2, activation: str = "silu"):
        super().__init__()
        self.body = MLP(math.prod(shape), math.prod(shape), width, depth, activation)

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x.flatten(1)).reshape(x.shape)


@dataclass(frozen=True)
class MLPArchitecture:
    """`mlp(width=128, depth=2, activation=relu, bounded=none, skip=false)`: any shape. The generator ends in tanh if
    `bounded`, by default for images, and starts at the latent law itself if `skip`.
    """

    width: int = 128
    depth: int = 2
    activation: str = "relu"
    bounded: bool | None = None
    skip: bool = False
    batch_coupled = False

    def __post_init__(self) -> None:
        positive("mlp", width=self.width, depth=self.depth)
        activation_function(self.activation)

    def generator(self, latent: int, shape: tuple[int, ...]) -> Generator:
        bounded = len(shape) == 3 if self.bounded is None else self.bounded
        return Generator(latent, shape, self.width, self.depth, self.activation, bounded, self.skip)

    def critic(self, shape: tuple[int, ...]) -> Critic:
        return Critic(shape, self.width, self.depth, self.activation)
