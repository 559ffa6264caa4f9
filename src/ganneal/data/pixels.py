"""Images as a source: uint8 in memory, float32 in [-1, 1] when fetched, decoded at most once."""

import os
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from ganneal.data.contract import MAX_SIDE, MIN_SIDE, Indices, Options, Source, choose
from ganneal.errors import UsageError

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_PIXELS = 80_000_000
# a closed list: some of the decoders that Pillow would otherwise try start other programs
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "DIB", "GIF", "TIFF")
CHANNELS = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}

Fetch = Callable[[Indices], np.ndarray]
R = TypeVar("R")


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Images(Source):
    """Images given by `fetch(positions)` -> uint8 [B, C, H, W], split into training and held-out positions."""

    fetch: Fetch
    train: Indices
    test: Indices

    def rows(self, index: Tensor) -> Tensor:
        """float32 [B, C, H, W] in [-1, 1]."""
        return self._floats(self.train[index.cpu().numpy()])

    def heldout(self, n: int) -> Tensor:
        """float32 [<= n, C, H, W] in [-1, 1]."""
        return self._floats(self.test[: max(n, 0)])

    @property
    def count(self) -> int:
        """Images, training and held-out."""
        return len(self.train) + len(self.test)

    def examples(self, n: int, generator: torch.Generator) -> tuple[np.ndarray, np.ndarray | None]:
        """uint8 [<= n, H, W, C], or [<= n, H, W] for one channel; only these are decoded."""
        chosen = choose(len(self.train) + len(self.test), n, generator)
        pixels = self.fetch(np.concatenate([self.train, self.test])[chosen])
        if self.labels is None or self.heldout_labels is None:
            return _channels_last(pixels), None
        return _channels_last(pixels), torch.cat([self.labels, self.heldout_labels]).numpy()[chosen]

    def decode(self, x: Tensor) -> np.ndarray:
        """x [B, C, H, W] in [-1, 1] (values outside are clipped) to uint8 [B, H, W, C]; one channel: [B, H, W]."""
        pixels = x.detach().float().add(1).mul(127.5).round().clamp(0, 255).byte().cpu().numpy()
        return _channels_last(pixels)

    def _floats(self, positions: Indices) -> Tensor:
        return torch.from_numpy(self.fetch(positions)).float().div_(127.5).sub_(1)


def _channels_last(pixels: np.ndarray) -> np.ndarray:
    """[B, C, H, W] to [B, H, W, C], or [B, H, W] for one channel."""
    return pixels[:, 0] if pixels.shape[1] == 1 else np.ascontiguousarray(pixels.transpose(0, 2, 3, 1))


class Decoded:
    """A cache [count, C, H, W] of images that `decode(position)` makes on first access, in a few threads."""

    def __init__(self, name: str, count: int, shape: tuple[int, ...], decode: Callable[[int], np.ndarray]):
        try:
            self.cache = np.empty((count, *shape), np.uint8)
        except MemoryError:
            need = count * int(np.prod(shape)) / 2**30
            raise UsageError(f"{name}: {count} images need {need:.0f} GiB of memory; pass a smaller size") from None
        self.done, self.decode = np.zeros(count, bool), decode

    def __call__(self, positions: Indices) -> np.ndarray:
        """uint8 [B, C, H, W], a copy."""
        in_threads(self._load, np.unique(positions[~self.done[positions]]))
        return self.cache[positions]

    def _load(self, position: int) -> None:
        self.cache[position] = self.decode(int(position))
        self.done[position] = True


def in_threads(function: Callable[[Any], R], items: Sequence[Any] | np.ndarray) -> list[R]:
    """[function(item) for item in items]; PIL lets other threads run while it decodes."""
    if len(items) < 2:
        return [function(item) for item in items]
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        return list(pool.map(function, items))


def images(
    name: str,
    fetch: Fetch,
    shape: tuple[int, ...],
    parts: tuple[Indices, Indices],
    options: Options,
    labels: np.ndarray | None = None,
) -> Images:
    """The source of the images `fetch` gives, cropped to a square and resized if the options say so; labels [N]."""
    train, test = parts
    channels, height, width = shape
    if options.size is not None and (height, width) != (options.size, options.size):
        original, side = fetch, options.size
        shape = (channels, side, side)
        fetch = Decoded(name, len(train) + len(test), shape, lambda i: fit(original(np.array([i]))[0], side))
    check_sides(name, *shape[1:])
    return Images(
        name=name,
        kind="image",
        shape=shape,
        size=len(train),
        labels=None if labels is None else torch.from_numpy(labels[train].astype(np.int64)),
        heldout_labels=None if labels is None else torch.from_numpy(labels[test].astype(np.int64)),
        fetch=fetch,
        train=train,
        test=test,
    )


def check_sides(name: str, height: int, width: int) -> None:
    """Error if an image is smaller or larger than what can be trained on."""
    if not (MIN_SIDE <= height <= MAX_SIDE and MIN_SIDE <= width <= MAX_SIDE):
        raise UsageError(
            f"{name}: images of {width}x{height} pixels; sides of {MIN_SIDE}..{MAX_SIDE} are allowed; pass --size"
        )


def fit(pixels: np.ndarray, side: int) -> np.ndarray:
    """uint8 [C, H, W] cropped to the central square and resized (Lanczos) to [C, side, side]."""
    from PIL import Image

    image = Image.fromarray(pixels[0] if len(pixels) == 1 else np.ascontiguousarray(pixels.transpose(1, 2, 0)))
    return channels_first(fit_image(image, side))


def fit_image(image: "Image", side: int) -> "Image":
    """A PIL image cropped to the central square and resized (Lanczos)."""
    from PIL import Image

    # cropped first: resize(box=...) would let pixels outside the square shine in
    short = min(image.size)
    left, top = (image.width - short) // 2, (image.height - short) // 2
    square = image.crop((left, top, left + short, top + short))
    return square.resize((side, side), Image.Resampling.LANCZOS)


def channels_first(image: "Image") -> np.ndarray:
    """A PIL image of mode L, LA, RGB or RGBA as uint8 [C, H, W]."""
    pixels = np.asarray(image)
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


@contextmanager
def opened(stream: IO[bytes], where: str) -> "Iterator[Image]":
    """An image whose header has been read and whose number of pixels is bounded; errors inside name the file."""
    from PIL import Image

    try:
        with Image.open(stream, formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise UsageError(f"{where}: {image.width}x{image.height} pixels; at most {MAX_PIXELS} are allowed")
            yield image
    except (
        OSError,
        SyntaxError,
        ValueError,
        EOFError,
        struct.error,
        zlib.error,
        Image.DecompressionBombError,
    ) as error:
        reason = (
            f"it is none of {', '.join(FORMATS)}"
            if isinstance(error, Image.UnidentifiedImageError)
            else str(error).split("\n")[0]
        )
        raise UsageError(f"{where}: cannot decode the image: {reason}") from None
