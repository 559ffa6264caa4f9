"""Networks that see noise: noise-conditional predictors of the noise, and denoising autoencoders.

`ScoreMLP` and `ScoreUNet` predict the noise eps of x + sigma eps, so that score = -eps_hat / sigma. Both write

    eps_hat(x, sigma) = sigma ( x / (1 + sigma^2) + F(x, sigma) / sqrt(sigma^2 + detail^2) )

The first term is exact for N(0, I) data; F, the network, is of order one at every sigma if the data have no structure
finer than `detail`. A bare eps_hat = F would divide F's error by sigma in the score (the preconditioning of Karras et
al. 2022, table 1, is detail = 0).
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganneal.nets.mlp import MLP, Field
from ganneal.nets.norm import BatchNorm

FREQUENCIES = 4


def sigma_features(sigma: Tensor) -> Tensor:
    """[B] -> [B, 9]: t = log(sigma) / 4 with the sines and cosines of pi t, 2 pi t, 3 pi t, 4 pi t."""
    t = sigma.log()[:, None] / 4
    angles = math.pi * t * torch.arange(1, FREQUENCIES + 1, device=t.device, dtype=t.dtype)
    return torch.cat([t, angles.sin(), angles.cos()], 1)


def _noise(x: Tensor, sigma: Tensor, output: Tensor, detail: float) -> Tensor:
    s = sigma.reshape(-1, *[1] * (x.dim() - 1))
    return s * (x / (1 + s.square()) + output * torch.rsqrt(s.square() + detail**2))


class ScoreMLP(nn.Module):
    """x [B, *shape], sigma [B] -> eps_hat [B, *shape], by a multilayer perceptron on the flattened example and the
    features of sigma.

    ReLU by default: on a ring of eight modes of standard deviation 0.05 (1500 steps of Adam at 3e-3, sigma 0.1) the
    score's relative error is 0.10, with SiLU 0.65.
    """

    def __init__(
        self, shape: tuple[int, ...], width: int = 128, depth: int = 3, activation: str = "relu", detail: float = 0.1
    ):
        super().__init__()
        size = math.prod(shape)
        self.detail = detail
        self.body = MLP(size + 2 * FREQUENCIES + 1, size, width, depth, activation)
        with torch.no_grad():  # start near the score of N(0, I)
            for p in self.body.layers[-1].parameters():
                p.mul_(0.1)

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        output = self.body(torch.cat([x.flatten(1), sigma_features(sigma)], 1))
        return _noise(x, sigma, output.reshape(x.shape), self.detail)


class Denoiser(nn.Module):
    """A denoising autoencoder r(x) = x + f(x) of any shape, f a multilayer perceptron. `reference` is accepted and
    without effect.
    """

    def __init__(self, shape: tuple[int, ...], width: int = 128, depth: int = 2, activation: str = "silu"):
        super().__init__()
        self.field = Field(shape, width, depth, activation)

    def forward(self, x: Tensor, reference: int | None = None) -> Tensor:
        return x + self.field(x)


class FeatureDenoiser(nn.Module):
    """The denoiser of critic features published with Tao et al. (2019): [B, dim] -> [B, dim].

    Ten linear layers of 2048 x 2048, batch norm and leaky ReLU 0.2 on all but the last; 42 million parameters at the
    published size. `reference=k`: batch norm by the statistics of the first k rows (noisy real features), which is
    what "test mode" was there. A bias right before a batch norm has no effect and is left out.
    """

    def __init__(self, dim: int = 2048, layers: int = 10):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(dim, dim, bias=j == layers - 1) for j in range(layers))
        self.norms = nn.ModuleList(BatchNorm(dim) for _ in range(layers - 1))

    def forward(self, x: Tensor, reference: int | None = None) -> Tensor:
        for layer, norm in zip(self.layers[:-1], self.norms, strict=True):
            x = F.leaky_relu(norm(layer(x), reference), 0.2)
        return self.layers[-1](x)


def _group_norm(channels: int) -> nn.GroupNorm:
    """At most eight groups, of at least four channels: in a group of one channel the norm would erase its level."""
    return nn.GroupNorm(math.gcd(8, channels, max(channels // 4, 1)), channels)


class _NoisyBlock(nn.Module):
    """Residual block with group norm, whose normalised hidden channels are shifted by an embedding of sigma."""

    def __init__(self, inputs: int, outputs: int, embedding: int):
        super().__init__()
        self.norm1, self.norm2 = _group_norm(inputs), _group_norm(outputs)
        self.first, self.second = nn.Conv2d(inputs, outputs, 3, padding=1), nn.Conv2d(outputs, outputs, 3, padding=1)
        self.shift = nn.Linear(embedding, outputs)
        self.shortcut = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else None

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        y = self.norm2(self.first(F.silu(self.norm1(x)))) + self.shift(embedding)[:, :, None, None]
        y = self.second(F.silu(y))
        return y + (x if self.shortcut is None else self.shortcut(x))


class ScoreUNet(nn.Module):
    """Images x [B, C, H, W], sigma [B] -> eps_hat [B, C, H, W], by a small U-net (Ronneberger et al. 2015, Song &
    Ermon 2019).

    Levels of `width`, 2 width, 2 width channels at full, half and quarter size (odd sizes are rounded up on the way
    down and matched on the way up), one residual block each way. Width 32 has 0.5 million parameters.
    """

    def __init__(self, shape: tuple[int, ...], width: int = 32, levels: int = 3, detail: float = 0.1):
        super().__init__()
        self.detail, embedding = detail, 2 * width
        sizes = [width] + [2 * width] * (levels - 1)
        self.embed = MLP(2 * FREQUENCIES + 1, embedding, embedding, 1, "silu")
        self.first = nn.Conv2d(shape[0], width, 3, padding=1)
        self.downs = nn.ModuleList(_NoisyBlock(sizes[max(j - 1, 0)], c, embedding) for j, c in enumerate(sizes))
        self.halve = nn.ModuleList(nn.Conv2d(c, c, 3, 2, 1) for c in sizes[:-1])
        self.middle = _NoisyBlock(sizes[-1], sizes[-1], embedding)
        self.ups = nn.ModuleList(
            _NoisyBlock(sizes[j + 1] + sizes[j], sizes[j], embedding) for j in reversed(range(levels - 1))
        )
        self.norm = _group_norm(width)
        self.last = nn.Conv2d(width, shape[0], 3, padding=1)
        with torch.no_grad():  # start near the score of N(0, I)
            for p in self.last.parameters():
                p.mul_(0.1)

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        embedding = F.silu(self.embed(sigma_features(sigma)))
        y, skips = self.first(x), []
        for block, halve in zip(self.downs[:-1], self.halve, strict=True):
            y = block(y, embedding)
            skips.append(y)
            y = halve(y)
        y = self.middle(self.downs[-1](y, embedding), embedding)
        for block in self.ups:
            skip = skips.pop()
            y = block(torch.cat([F.interpolate(y, size=skip.shape[-2:], mode="nearest"), skip], 1), embedding)
        return _noise(x, sigma, self.last(F.silu(self.norm(y))), self.detail)
