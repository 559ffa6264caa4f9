"""Convolutional generator and critic in the manner of DCGAN, with the networks published with Tao et al. (2019) as
one setting.

Sizes: with k = the whole number for which 4 <= min(H, W) / 2^k < 8, the generator starts from a grid of ceil(H / 2^k)
x ceil(W / 2^k), doubles it k times and crops what is left over (8, 16, 32, 64, 128 start from 4x4; 28 from 7x7;
nothing is cropped there); the critic halves the image k + 1 times (32 to 2x2, 28 to 3x3).
"""

from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganneal.errors import UsageError
from ganneal.nets.architecture import doublings, image_size, positive
from ganneal.nets.norm import BatchNorm

WIDEST = 16  # the most a layer is wider than the layer next to the image: keeps 128x128 within 1024 channels


def _initialise(module: nn.Module) -> None:
    """Weights N(0, 0.02^2), biases 0 (Radford et al. 2016)."""
    for part in module.modules():
        if isinstance(part, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)):
            nn.init.normal_(part.weight, std=0.02)
            if part.bias is not None:
                nn.init.zeros_(part.bias)


class DCGANGenerator(nn.Module):
    """z [B, latent] -> images [B, C, H, W] in (-1, 1).

    Linear to the base grid with width 2^k channels, k deconvolutions 4x4/2 each halving the channels, each followed
    by batch norm and ReLU, then a 3x3 deconvolution and tanh. For 32x32x3 and width 64 these are the published
    layers: 4x4x512, 256, 128, 64, 3. With `reference=k` rows the batch norm uses the statistics of the first k latent
    rows only, so that samples do not depend on the batch. A bias right before a batch norm has no effect and is left
    out.

    Source: Radford, Metz, Chintala 2016; code of Tao et al. 2019. Cost at 32x32: 3.8 million parameters with latent
    128.
    """

    def __init__(self, latent: int, shape: tuple[int, ...], width: int = 64, batchnorm: bool = True):
        super().__init__()
        channels, self.height, self.width = image_size("dcgan", shape)
        ups = doublings(self.height, self.width)
        sizes = [width * min(2**j, WIDEST) for j in range(ups, -1, -1)]
        self.base = (sizes[0], -(-self.height // 2**ups), -(-self.width // 2**ups))
        self.linear = nn.Linear(latent, sizes[0] * self.base[1] * self.base[2], bias=not batchnorm)
        self.deconvolutions = nn.ModuleList(
            nn.ConvTranspose2d(a, b, 4, 2, 1, bias=not batchnorm) for a, b in pairwise(sizes)
        )
        units = [self.linear.out_features, *sizes[1:]]  # the linear layer is normalised unit by unit, as published
        self.norms = nn.ModuleList(BatchNorm(c) for c in units) if batchnorm else None
        self.last = nn.ConvTranspose2d(sizes[-1], channels, 3, 1, 1)
        _initialise(self)

    def _norm(self, j: int, x: Tensor, reference: int | None) -> Tensor:
        return F.relu(x if self.norms is None else self.norms[j](x, reference))

    def forward(self, z: Tensor, reference: int | None = None) -> Tensor:
        x = self._norm(0, self.linear(z), reference).reshape(-1, *self.base)
        for j, deconvolution in enumerate(self.deconvolutions, 1):
            x = self._norm(j, deconvolution(x), reference)
        x = torch.tanh(self.last(x))
        top, left = (x.shape[-2] - self.height) // 2, (x.shape[-1] - self.width) // 2
        return x[..., top : top + self.height, left : left + self.width]


class DCGANCritic(nn.Module):
    """Images [B, C, H, W] -> logit [B]; with `features=True` also features [B, f], the last layer before its
    activation.

    Convolution 3x3/1 to `width` channels, then k + 1 convolutions 4x4/2 each doubling the channels, leaky ReLU 0.2,
    linear to 1. With `batchnorm` all but the first are normalised and the last has no scale: the published critic
    (32x32x3, width 32) has f = 512 x 2 x 2 = 2048. Without it, which penalties on the input gradient need, there is
    no normalisation at all.

    Source: code of Tao et al. 2019 (after chainer-gan-lib).
    """

    def __init__(self, shape: tuple[int, ...], width: int = 32, batchnorm: bool = False):
        super().__init__()
        channels, height, wide = image_size("dcgan", shape)
        downs = doublings(height, wide) + 1
        sizes = [width * min(2**j, WIDEST) for j in range(downs + 1)]
        self.first = nn.Conv2d(channels, width, 3, 1, 1)
        self.convolutions = nn.ModuleList(nn.Conv2d(a, b, 4, 2, 1, bias=not batchnorm) for a, b in pairwise(sizes))
        self.norms = (
            nn.ModuleList(BatchNorm(c, scale=j < downs) for j, c in enumerate(sizes[1:], 1)) if batchnorm else None
        )
        self.feature_count = sizes[-1] * (height >> downs) * (wide >> downs)
        self.head = nn.Linear(self.feature_count, 1)
        _initialise(self)

    def forward(self, x: Tensor, features: bool = False) -> Tensor | tuple[Tensor, Tensor]:
        x = self.first(x)
        for j, convolution in enumerate(self.convolutions):
            x = convolution(F.leaky_relu(x, 0.2))
            if self.norms is not None:
                x = self.norms[j](x)
        x = x.flatten(1)
        logit = self.head(F.leaky_relu(x, 0.2)).squeeze(-1)
        return (logit, x) if features else logit


@dataclass(frozen=True)
class DCGANArchitecture:
    """`dcgan(width=64, batchnorm=false)`: images of 8x8 and more. The generator is `width` channels wide next to the
    image, the critic half.

    batchnorm   batch norm in the critic; the generator always has it
    published   the networks of Tao et al. (2019): 32x32x3 only, width 64, batch norm in the critic;
                they use a latent of 128 numbers, uniform on [-1, 1]
    """

    width: int = 64
    batchnorm: bool = False
    published: bool = False

    def __post_init__(self) -> None:
        positive("dcgan", width=self.width)
        if self.width % 2:
            raise UsageError(f"network 'dcgan': width must be even (the critic has half of it), got {self.width}")
        if self.published and self.width != 64:
            raise UsageError(f"network 'dcgan': published means width=64, got {self.width}")

    @property
    def batch_coupled(self) -> bool:
        return self.batchnorm or self.published

    def _check(self, shape: tuple[int, ...]) -> None:
        if self.published and tuple(shape) != (3, 32, 32):
            raise UsageError(
                f"network 'dcgan(published=true)' is for images [3, 32, 32], got {list(shape)}; drop published"
            )

    def generator(self, latent: int, shape: tuple[int, ...]) -> DCGANGenerator:
        self._check(shape)
        return DCGANGenerator(latent, shape, self.width)

    def critic(self, shape: tuple[int, ...]) -> DCGANCritic:
        self._check(shape)
        return DCGANCritic(shape, self.width // 2, self.batch_coupled)
