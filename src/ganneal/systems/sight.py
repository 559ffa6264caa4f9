"""What the critic sees at once: one example, a pack of examples as one, or an example beside the rest of its batch."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from ganneal.errors import UsageError
from ganneal.parts import Registry

Shape = tuple[int, ...]


class Sight(Protocol):
    """How examples are arranged for a critic, and which critic that takes.

    size            examples that the critic judges as one
    batch_coupled   the critic's output for one example depends on the others of its batch
    """

    @property
    def size(self) -> int: ...

    @property
    def batch_coupled(self) -> bool: ...

    def arrange(self, x: Tensor) -> Tensor:
        """x [B, *shape] as the critic takes it."""
        ...

    def critic(self, make: Callable[[Shape], nn.Module], shape: Shape) -> nn.Module:
        """The critic for examples of a shape, from a maker of plain ones."""
        ...


@dataclass(frozen=True)
class Single:
    """Every example by itself."""

    size = 1
    batch_coupled = False

    def arrange(self, x: Tensor) -> Tensor:
        return x

    def critic(self, make: Callable[[Shape], nn.Module], shape: Shape) -> nn.Module:
        return make(shape)


@dataclass(frozen=True)
class Pack:
    """`size` examples of one origin side by side: [B, C, ...] -> [B // size, size C, ...]."""

    size: int = 2
    batch_coupled = False

    def arrange(self, x: Tensor) -> Tensor:
        packs = len(x) // self.size
        return x[: packs * self.size].reshape(packs, self.size * x.shape[1], *x.shape[2:])

    def critic(self, make: Callable[[Shape], nn.Module], shape: Shape) -> nn.Module:
        return make((self.size * shape[0], *shape[1:]))


class MinibatchCritic(nn.Module):
    """x [B, *shape] -> logit [B] = the inner critic's + w . o(x), where o sums up how close the example's features are
    to those of the others (Salimans et al. 2016, section 3.2):

        M_i = f(x_i) T in R^{kernels x dims},    o_b(x_i) = mean over j != i of exp(-|M_ib - M_jb|_1)

    As published o is appended to the features before the last linear layer, which is this sum. The published sum over j
    is a mean here, so that the size of a batch does not matter.
    """

    def __init__(self, net: nn.Module, features: int, kernels: int = 16, dims: int = 8):
        super().__init__()
        self.net, self.kernels, self.dims = net, kernels, dims
        self.tensor = nn.Parameter(torch.randn(features, kernels * dims) / (features * dims) ** 0.5)
        self.head = nn.Parameter(torch.zeros(kernels))

    def forward(self, x: Tensor, features: bool = False) -> Tensor | tuple[Tensor, Tensor]:
        logit, hidden = self.net(x, features=True)
        m = (hidden @ self.tensor).reshape(len(x), self.kernels, self.dims)
        near = torch.exp(-(m.unsqueeze(0) - m.unsqueeze(1)).abs().sum(-1))  # [B, B, kernels]
        logit = logit + (near.sum(1) - 1) / max(len(x) - 1, 1) @ self.head
        return (logit, hidden) if features else logit


@dataclass(frozen=True)
class Minibatch:
    """Minibatch discrimination: data and samples then go through the critic in passes of their own."""

    kernels: int = 16
    dims: int = 8
    size = 1
    batch_coupled = True

    def arrange(self, x: Tensor) -> Tensor:
        return x

    def critic(self, make: Callable[[Shape], nn.Module], shape: Shape) -> nn.Module:
        net = make(shape)
        with torch.no_grad():
            features = net(torch.zeros(2, *shape), features=True)[1].shape[1]
        return MinibatchCritic(net, features, self.kernels, self.dims)


SINGLE = Single()


def _count(name: str, argument: str, value: int, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= 1024:
        raise UsageError(f"{name}: {argument} must be a whole number from {least} to 1024, got {value!r}")
    return value


def single() -> Single:
    """One example at a time."""
    return SINGLE


def pack(size: int = 2) -> Pack:
    """Packs of `size` examples, all data or all samples, judged as one (Lin, Khetan, Fanti, Oh 2018, PacGAN). In the
    total variation between products of laws a model that misses a mode is further from the data than one with weights
    a little wrong. Only the critic's first layer widens; penalties take the gradient in the whole pack. The batch must
    divide into packs."""
    return Pack(_count("pack", "size", size, 2))


def minibatch(kernels: int = 16, dims: int = 8) -> Minibatch:
    """Minibatch discrimination (Salimans et al. 2016, section 3.2): the critic sees how similar the examples of a batch
    are to each other, so that a collapsed generator gives itself away. Costs B^2 kernels dims operations a pass, and
    input-gradient penalties then mean the gradient of the sum of the batch's logits."""
    return Minibatch(_count("minibatch", "kernels", kernels, 1), _count("minibatch", "dims", dims, 1))


SIGHTS: Registry[Sight] = Registry("critic", {f.__name__: f for f in (single, pack, minibatch)})
