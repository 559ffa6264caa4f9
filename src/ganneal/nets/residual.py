"""Residual generator and critic of SNGAN (Miyato, Kataoka, Koyama, Yoshida 2018, table 4, the 32x32 networks).

The generator's grid follows the rule of `dcgan`; the critic halves the image while it is at least 14 wide (32 to 8x8,
28 to 7x7). Spectral normalisation is a part of its own and needs nothing here: every weight is that of a linear map
or a convolution.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganneal.nets.architecture import doublings, image_size, positive
from ganneal.nets.norm import BatchNorm


def _initialise(module: nn.Module) -> None:
    """Glorot uniform, with gain sqrt(2) where a ReLU comes before, biases 0: as in the code of Miyato et al."""
    for name, part in module.named_modules():
        if isinstance(part, (nn.Linear, nn.Conv2d)):
            followed = isinstance(part, nn.Conv2d) and "shortcut" not in name and name != "last"
            nn.init.xavier_uniform_(part.weight, math.sqrt(2) if followed else 1.0)
            if part.bias is not None:
                nn.init.zeros_(part.bias)


def _double(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


class _Up(nn.Module):
    """[B, c, H, W] -> [B, c, 2H, 2W]: norm, ReLU, double, 3x3, norm, ReLU, 3x3, plus a 1x1 shortcut."""

    def __init__(self, channels: int, batchnorm: bool):
        super().__init__()
        self.norms = nn.ModuleList(BatchNorm(channels) for _ in range(2)) if batchnorm else None
        self.first = nn.Conv2d(channels, channels, 3, padding=1, bias=not batchnorm)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        self.shortcut = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor, reference: int | None = None) -> Tensor:
        y = x if self.norms is None else self.norms[0](x, reference)
        y = self.first(_double(F.relu(y)))
        y = y if self.norms is None else self.norms[1](y, reference)
        return self.second(F.relu(y)) + _double(self.shortcut(x))


class _Block(nn.Module):
    """[B, a, H, W] -> [B, b, H, W], or half the size with `down`: (ReLU,) 3x3, ReLU, 3x3, (average 2x2,) plus a
    shortcut.
    """

    def __init__(self, inputs: int, outputs: int, down: bool, first: bool = False):
        super().__init__()
        self.down, self.is_first = down, first
        self.first = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.shortcut = nn.Conv2d(inputs, outputs, 1) if down or inputs != outputs else None

    def forward(self, x: Tensor) -> Tensor:
        y = self.second(F.relu(self.first(x if self.is_first else F.relu(x))))
        if self.down:
            # Averaging commutes with the 1x1 convolution, which then works on a quarter of the pixels.
            x, y = F.avg_pool2d(x, 2), F.avg_pool2d(y, 2)
        return y + (x if self.shortcut is None else self.shortcut(x))


class ResidualGenerator(nn.Module):
    """z [B, latent] -> images [B, C, H, W] in (-1, 1).

    Linear to a base grid of `width` channels, k doubling residual blocks, (batch norm,) ReLU, 3x3 convolution, tanh.
    `reference=k` as in `DCGANGenerator`. Published size: 32x32, width 256, k = 3.
    """

    def __init__(self, latent: int, shape: tuple[int, ...], width: int = 256, batchnorm: bool = True):
        super().__init__()
        channels, self.height, self.width = image_size("residual", shape)
        ups = doublings(self.height, self.width)
        self.base = (width, -(-self.height // 2**ups), -(-self.width // 2**ups))
        self.linear = nn.Linear(latent, math.prod(self.base))
        self.blocks = nn.ModuleList(_Up(width, batchnorm) for _ in range(ups))
        self.norm = BatchNorm(width) if batchnorm else None
        self.last = nn.Conv2d(width, channels, 3, padding=1)
        _initialise(self)

    def forward(self, z: Tensor, reference: int | None = None) -> Tensor:
        x = self.linear(z).reshape(-1, *self.base)
        for block in self.blocks:
            x = block(x, reference)
        x = x if self.norm is None else self.norm(x, reference)
        x = torch.tanh(self.last(F.relu(x)))
        top, left = (x.shape[-2] - self.height) // 2, (x.shape[-1] - self.width) // 2
        return x[..., top : top + self.height, left : left + self.width]


class ResidualCritic(nn.Module):
    """Images [B, C, H, W] -> logit [B]; with `features=True` also the pooled activations [B, width].

    Halving residual blocks, two blocks at the last size, ReLU, sum over the pixels, linear to 1. No normalisation.
    Published size: 32x32, width 128, two halvings.
    """

    def __init__(self, shape: tuple[int, ...], width: int = 128):
        super().__init__()
        channels, height, wide = image_size("residual", shape)
        downs = max(doublings(height, wide, base=7), 0)
        down = [True] * downs + [False, False]
        sizes = [channels] + [width] * len(down)
        self.blocks = nn.ModuleList(_Block(sizes[j], width, down[j], first=j == 0) for j in range(len(down)))
        self.head = nn.Linear(width, 1)
        _initialise(self)

    def forward(self, x: Tensor, features: bool = False) -> Tensor | tuple[Tensor, Tensor]:
        for block in self.blocks:
            x = block(x)
        x = F.relu(x).sum((-2, -1))
        logit = self.head(x).squeeze(-1)
        return (logit, x) if features else logit


@dataclass(frozen=True)
class ResidualArchitecture:
    """`residual(width=128)`: images of 8x8 and more. The critic is `width` channels wide, the generator twice that;
    the critic has no norm.
    """

    width: int = 128
    batch_coupled = False

    def __post_init__(self) -> None:
        positive("residual", width=self.width)

    def generator(self, latent: int, shape: tuple[int, ...]) -> ResidualGenerator:
        return ResidualGenerator(latent, shape, 2 * self.width)

    def critic(self, shape: tuple[int, ...]) -> ResidualCritic:
        return ResidualCritic(shape, self.width)
