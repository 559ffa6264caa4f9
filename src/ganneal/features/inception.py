"""Features of a network given as a TorchScript file, such as the Inception-v3 of published FID and KID.

No weights come with this package. The file that published numbers are made with (a TorchScript of the Inception
network of 2015, `inception-2015-12-05.pt` of the StyleGAN projects) takes uint8 images and resizes them itself; numbers
are only comparable with published ones if that file, or one that agrees with it, is used.

A TorchScript file is a program. It is not read by Python's pickle, but by PyTorch's own reader, which makes no Python
objects and calls no Python; what it describes is then run, and such a program may still read and write files. Take one
from whom you would take a program. (TorchScript is deprecated, but files of its successor, `torch.export`, are read
with pickle.)
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from ganneal.errors import UsageError, nearest
from ganneal.features.extractor import examples, in_blocks


def _uint8(x: Tensor, side: int) -> Tensor:
    return x.add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8)


def _signed(x: Tensor, side: int) -> Tensor:
    if tuple(x.shape[2:]) == (side, side):
        return x
    return interpolate(x, size=(side, side), mode="bilinear", align_corners=False, antialias=True)


CONVENTIONS: dict[str, Callable[[Tensor, int], Tensor]] = {"uint8": _uint8, "signed": _signed}


@dataclass(frozen=True, eq=False)
class Program:
    """A TorchScript network, how it takes images, and its own recipe: fitting says which shape images have.

    shape      (1 or 3, H, W); one channel is given to the network three times
    dimension  of the features; 0 before fitting
    """

    network: torch.jit.ScriptModule
    path: str
    images: str
    side: int
    shape: tuple[int, ...] = ()
    dimension: int = 0

    def fit(self, train: Any) -> "Program":
        """This network for images of the shape of train, tried on two of them; a `ClassifyingProgram` where it gives
        classes too. Raises UsageError for other data, and if the network does not give features [n, d]."""
        values = examples(train)
        shape = tuple(values.shape[1:])
        if len(shape) != 3 or shape[0] not in (1, 3):
            raise UsageError(
                f"features inception: got examples of shape {list(shape)}; allowed: images [1 or 3, H, W] in [-1, 1]"
            )
        d = in_blocks(self._features, values[:2]).shape[1]
        kind = ClassifyingProgram if self._classifies(values[:2]) else Program
        return kind(self.network, self.path, self.images, self.side, shape, d)

    def __call__(self, x: Any) -> Tensor:
        """Images [n, C, H, W] in [-1, 1] to float64 [n, dimension]."""
        return in_blocks(self._features, examples(x, self.shape), block=64)

    def _features(self, x: Tensor) -> Tensor:
        found = self._run(x, return_features=True)
        found = found[0] if isinstance(found, tuple) else found
        if not isinstance(found, Tensor) or not found.ndim or len(found) != len(x):
            raise UsageError(f"features inception: {self.path} gives no tensor [n, d] for images [n, C, H, W]")
        return found.flatten(1)

    @torch.no_grad()
    def _classifies(self, x: Tensor) -> bool:
        found = self._run(x)
        return "return_features" in self._arguments() or (isinstance(found, tuple) and len(found) > 1)

    def _arguments(self) -> list[str]:
        schema = self.network.forward.schema  # type: ignore[attr-defined]
        return [argument.name for argument in schema.arguments]

    def _run(self, x: Tensor, **wanted: bool) -> Any:
        x = CONVENTIONS[self.images](x.to(torch.float32).expand(-1, 3, -1, -1), self.side)
        known = self._arguments()
        try:
            return self.network(x, **{name: value for name, value in wanted.items() if name in known})
        except (RuntimeError, torch.jit.Error) as error:
            reason = str(error).strip().split("\n")[-1]
            raise UsageError(
                f"features inception: {self.path} failed on {x.dtype} images of shape {list(x.shape)} ({reason})"
            ) from error


class ClassifyingProgram(Program):
    """A network whose second output is logits; or with an argument `return_features`, without which it gives class
    probabilities."""

    def probabilities(self, x: Any) -> Tensor:
        """Images [n, C, H, W] in [-1, 1] to class probabilities, float64 [n, classes]."""
        return in_blocks(self._probabilities, examples(x, self.shape), block=64)

    def _probabilities(self, x: Tensor) -> Tensor:
        if "return_features" in self._arguments():
            # without the bias of the last layer, as in the first implementation of the Inception score
            return self._run(x, no_output_bias=True).to(torch.float64)
        return self._run(x)[1].to(torch.float64).softmax(1)


def inception(path: str, images: str = "uint8", side: int = 299) -> Program:
    """A TorchScript network; `images`: uint8 (0..255, it resizes itself) or signed (in [-1, 1], resized to `side`)."""
    if images not in CONVENTIONS:
        raise UsageError(f"features inception: unknown images '{images}': {nearest(images, CONVENTIONS)}")
    if side < 1:
        raise UsageError(f"features inception: got side = {side}; allowed: at least 1")
    try:
        network = torch.jit.load(path, map_location="cpu").eval()
    except (OSError, RuntimeError, ValueError, torch.jit.Error) as error:
        reason = str(error).strip().split("\n")[0]
        raise UsageError(f"features inception: cannot read {path} as a TorchScript file ({reason})") from error
    return Program(network, path, images, side)
