"""Features of a network with random weights that is never trained: they see no class, favour no data set, and work on
images of every kind (Naeem et al. 2020, section 4; random ReLU features: Rahimi and Recht 2009).

images  convolutions 3x3 with stride 2 and ReLU until the side is at most 4, channels 32, 64, 128, 128, ...; then a
        linear map of all activations to d numbers
tables  relu(W z + b), z the columns standardised by the training data, W_ij ~ N(0, 1/p), b ~ N(0, 1)

Convolution weights are N(0, 2 / (9 channels)) (He et al. 2015), so that activations keep their size.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import conv2d

from ganneal.errors import UsageError
from ganneal.features.extractor import examples, in_blocks

CHANNELS = (32, 64, 128)
SMALL = 4


@dataclass(frozen=True, eq=False)
class RandomConvolutions:
    """Frozen convolutions and a projection [p, d], in float32."""

    shape: tuple[int, ...]
    convolutions: tuple[Tensor, ...]
    projection: Tensor

    @property
    def dimension(self) -> int:
        """d."""
        return self.projection.shape[1]

    def __call__(self, x: Any) -> Tensor:
        """Images [n, C, H, W] to float64 [n, d]."""
        return in_blocks(self._features, examples(x, self.shape))

    def _features(self, x: Tensor) -> Tensor:
        x = x.to(torch.float32)
        for weight in self.convolutions:
            x = conv2d(x, weight, stride=2, padding=1).relu_()
        return x.flatten(1) @ self.projection


@dataclass(frozen=True, eq=False)
class RandomRectified:
    """relu((x - mean) / scale W + b): mean, scale [p], W [p, d], b [d]."""

    shape: tuple[int, ...]
    mean: Tensor
    scale: Tensor
    weight: Tensor
    bias: Tensor

    @property
    def dimension(self) -> int:
        """d."""
        return self.weight.shape[1]

    def __call__(self, x: Any) -> Tensor:
        """[n, *shape] to float64 [n, d]."""
        return in_blocks(self._features, examples(x, self.shape).flatten(1))

    def _features(self, x: Tensor) -> Tensor:
        return (((x.to(torch.float64) - self.mean) / self.scale) @ self.weight + self.bias).relu_()


@dataclass(frozen=True)
class RandomFeatures:
    """Recipe of `random`."""

    d: int
    seed: int

    def fit(self, train: Any) -> RandomConvolutions | RandomRectified:
        """Images take the shape of train only; tables take mean and standard deviation of the columns too. Raises
        UsageError for columns that are not finite."""
        values = examples(train)
        generator = torch.Generator().manual_seed(self.seed)
        shape = tuple(values.shape[1:])
        return self._images(shape, generator) if len(shape) == 3 else self._table(values, shape, generator)

    def _images(self, shape: tuple[int, ...], generator: torch.Generator) -> RandomConvolutions:
        channels, *sides = shape
        layers: list[Tensor] = []
        while not layers or max(sides) > SMALL:
            width = CHANNELS[min(len(layers), len(CHANNELS) - 1)]
            layers.append(torch.randn(width, channels, 3, 3, generator=generator) * math.sqrt(2 / (9 * channels)))
            channels, sides = width, [(side + 1) // 2 for side in sides]
        inputs = channels * math.prod(sides)
        projection = torch.randn(inputs, self.d, generator=generator) / math.sqrt(inputs)
        return RandomConvolutions(shape, tuple(layers), projection)

    def _table(self, values: Tensor, shape: tuple[int, ...], generator: torch.Generator) -> RandomRectified:
        columns = values.flatten(1).to(torch.float64)
        mean, scale = columns.mean(0), columns.std(0, correction=0)
        if not bool((mean.isfinite() & scale.isfinite()).all()):
            raise UsageError("features random: the training data hold NaN or infinity; allowed: finite numbers")
        p = columns.shape[1]
        weight = torch.randn(p, self.d, generator=generator, dtype=torch.float64) / math.sqrt(p)
        bias = torch.randn(self.d, generator=generator, dtype=torch.float64)
        return RandomRectified(shape, mean, torch.where(scale > 0, scale, 1.0), weight, bias)


def random(d: int = 512, seed: int = 0) -> RandomFeatures:
    """d features of a frozen random network: convolutions for images, one layer of ReLUs for tables."""
    if d < 1 or seed < 0:
        raise UsageError(f"features random: got d = {d}, seed = {seed}; allowed: at least 1, at least 0")
    return RandomFeatures(d, seed)
