"""Features of a classifier from a file of arrays: its last hidden layer, and its class probabilities.

Two architectures are known, by the names and shapes of their arrays (as in a PyTorch state dictionary):

lenet   two 5x5 convolutions with ReLU and 2x2 max-pooling, three linear layers; images [1, 28, 28], resized to 32, or
        [1, 32, 32]; features: the ReLUs of the second linear layer (LeCun et al. 1998, with ReLU)
resnet  3x3 convolution, three stages of basic blocks, mean over the map, one linear layer; shortcuts without weights:
        every other pixel and zero channels; images [3, 32, 32]; features: the mean over the last map (He et al. 2016,
        section 4.2)

Files are read by `numpy` without pickle.
"""

import re
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import batch_norm, conv2d, interpolate, linear, max_pool2d, pad, relu

from ganneal.errors import UsageError
from ganneal.features.extractor import examples, in_blocks

Arrays = Mapping[str, Tensor]

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of the colours in [0, 1] that the residual networks were trained on."""


class Architecture(Protocol):
    """Which images a network takes, what a network's arrays must look like, and what it computes from them."""

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]: ...

    def expected(self, arrays: Arrays) -> dict[str, tuple[int, ...]] | None:
        """Shapes by name for a network with the sizes of these arrays; None if there is no such network."""
        ...

    def hidden(self, w: Arrays, x: Tensor) -> Tensor:
        """Images [n, C, H, W] in [-1, 1] to features [n, d]."""
        ...

    def logits(self, w: Arrays, hidden: Tensor) -> Tensor:
        """Features [n, d] to logits [n, classes]."""
        ...


class LeNet:
    """conv1, conv2, fc1, fc2, fc3, each with weight and bias."""

    shapes = ((1, 28, 28), (1, 32, 32))

    def expected(self, arrays: Arrays) -> dict[str, tuple[int, ...]]:
        """Five layers, each as wide as its weight says."""
        names = ("conv1", "conv2", "fc1", "fc2", "fc3")
        a, b, c, d, e = (_width(arrays, name) for name in names)
        weights = ((a, 1, 5, 5), (b, a, 5, 5), (c, 25 * b), (d, c), (e, d))
        told: dict[str, tuple[int, ...]] = {}
        for name, shape in zip(names, weights, strict=True):
            told |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
        return told

    def hidden(self, w: Arrays, x: Tensor) -> Tensor:
        """[n, 1, 28 or 32, ...] to [n, d]."""
        if x.shape[-1] != 32:
            x = interpolate(x, size=(32, 32), mode="bilinear", align_corners=False)
        for name in ("conv1", "conv2"):
            x = max_pool2d(relu(conv2d(x, w[f"{name}.weight"], w[f"{name}.bias"])), 2)
        x = relu(linear(x.flatten(1), w["fc1.weight"], w["fc1.bias"]))
        return relu(linear(x, w["fc2.weight"], w["fc2.bias"]))

    def logits(self, w: Arrays, hidden: Tensor) -> Tensor:
        """The third linear layer."""
        return linear(hidden, w["fc3.weight"], w["fc3.bias"])


class ResNet:
    """conv1, bn1, layer1.0.conv1, layer1.0.bn1, layer1.0.conv2, ..., linear."""

    shapes = ((3, 32, 32),)

    def expected(self, arrays: Arrays) -> dict[str, tuple[int, ...]] | None:
        """Three stages; the blocks are those that are there, numbered from 0."""
        blocks = self._blocks(arrays)
        stages = [[block for stage, block in blocks if stage == s] for s in (1, 2, 3)]
        if not all(stage and stage == list(range(len(stage))) for stage in stages):
            return None
        width = _width(arrays, "conv1")
        told: dict[str, tuple[int, ...]] = {"conv1.weight": (width, 3, 3, 3), **self._norm("bn1", width)}
        for stage, block in blocks:
            name = f"layer{stage}.{block}"
            out = _width(arrays, f"{name}.conv1")
            for i, inputs in ((1, width), (2, out)):
                told |= {f"{name}.conv{i}.weight": (out, inputs, 3, 3), **self._norm(f"{name}.bn{i}", out)}
            width = out
        classes = _width(arrays, "linear")
        return told | {"linear.weight": (classes, width), "linear.bias": (classes,)}

    def hidden(self, w: Arrays, x: Tensor) -> Tensor:
        """[n, 3, 32, 32] to [n, 64]."""
        mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (MEAN, STD))
        x = relu(self._convolution(w, ((x + 1) / 2 - mean) / std, "conv1", "bn1"))
        for stage, block in self._blocks(w):
            name, stride = f"layer{stage}.{block}", 2 if stage > 1 and block == 0 else 1
            y = relu(self._convolution(w, x, f"{name}.conv1", f"{name}.bn1", stride))
            y = self._convolution(w, y, f"{name}.conv2", f"{name}.bn2")
            extra = y.shape[1] - x.shape[1]
            x = pad(x[:, :, ::stride, ::stride], (0, 0, 0, 0, extra // 2, extra - extra // 2))
            x = relu(x + y)
        return x.mean((2, 3))

    def logits(self, w: Arrays, hidden: Tensor) -> Tensor:
        """The linear layer."""
        return linear(hidden, w["linear.weight"], w["linear.bias"])

    def _blocks(self, arrays: Arrays) -> list[tuple[int, int]]:
        found = (re.match(r"layer([123])\.(\d{1,3})\.", name) for name in arrays)
        return sorted({(int(match[1]), int(match[2])) for match in found if match})

    def _norm(self, name: str, width: int) -> dict[str, tuple[int, ...]]:
        return {f"{name}.{part}": (width,) for part in ("weight", "bias", "running_mean", "running_var")}

    def _convolution(self, w: Arrays, x: Tensor, conv: str, norm: str, stride: int = 1) -> Tensor:
        x = conv2d(x, w[f"{conv}.weight"], stride=stride, padding=1)
        mean, variance, weight, bias = (
            w[f"{norm}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")
        )
        return batch_norm(x, mean, variance, weight, bias, eps=1e-5)


def _width(arrays: Arrays, layer: str) -> int:
    """Outputs of a layer; 0 where it is not there."""
    weight = arrays.get(f"{layer}.weight")
    return len(weight) if weight is not None and weight.ndim else 0


ARCHITECTURES: dict[str, Architecture] = {"lenet": LeNet(), "resnet": ResNet()}


@dataclass(frozen=True, eq=False)
class Classifier:
    """A classifier for images of one shape, and its own recipe: fitting it only says which shape."""

    architecture: str
    arrays: Arrays
    path: str
    shape: tuple[int, ...]

    @property
    def dimension(self) -> int:
        """Width of the last hidden layer."""
        last = {"lenet": "fc3.weight", "resnet": "linear.weight"}[self.architecture]
        return self.arrays[last].shape[1]

    def fit(self, train: Any) -> "Classifier":
        """This classifier for images of the shape of train. Raises UsageError for images that it does not take."""
        shape, allowed = tuple(examples(train).shape[1:]), ARCHITECTURES[self.architecture].shapes
        if shape not in allowed:
            raise UsageError(
                f"features classifier: {self.path} is a {self.architecture}; got examples of shape {list(shape)}; "
                f"allowed: {' or '.join(str(list(s)) for s in allowed)}"
            )
        return Classifier(self.architecture, self.arrays, self.path, shape)

    def __call__(self, x: Any) -> Tensor:
        """Images [n, C, H, W] in [-1, 1] to the last hidden layer, float64 [n, dimension]."""
        return in_blocks(self._hidden, examples(x, self.shape))

    def probabilities(self, x: Any) -> Tensor:
        """Images [n, C, H, W] in [-1, 1] to class probabilities, float64 [n, classes]."""
        network = ARCHITECTURES[self.architecture]
        return in_blocks(
            lambda part: network.logits(self.arrays, self._hidden(part)).to(torch.float64).softmax(1),
            examples(x, self.shape),
        )

    def _hidden(self, x: Tensor) -> Tensor:
        return ARCHITECTURES[self.architecture].hidden(self.arrays, x.to(torch.float32))


def classifier(path: str) -> Classifier:
    """The last hidden layer of a trained classifier, an .npz of its weights: LeNet (MNIST) or ResNet (CIFAR-10)."""
    try:
        with np.load(Path(path), allow_pickle=False) as file:
            arrays = {name: torch.from_numpy(np.asarray(file[name], dtype=np.float32)) for name in file.files}
    except (OSError, ValueError, TypeError, AttributeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        reason = str(error).split("\n")[0]
        raise UsageError(f"features classifier: cannot read {path} as an .npz of arrays ({reason})") from error
    shapes = {name: tuple(array.shape) for name, array in arrays.items()}
    for name, architecture in ARCHITECTURES.items():
        if architecture.expected(arrays) == shapes:
            return Classifier(name, arrays, path, architecture.shapes[0])
    raise UsageError(
        f"features classifier: the arrays of {path} ({', '.join(sorted(shapes)[:4])}, ...) are no known network; "
        "allowed: a LeNet (conv1, conv2, fc1, fc2, fc3) or a CIFAR ResNet (conv1, bn1, layer1.0.conv1, ..., linear)"
    )
