"""Differentiable augmentation of data and samples alike, before the critic.

With T the random transformation the critic is trained on T(x), x ~ mu, against T(G(z)), and the generator through T as
well: that compares the laws of T(x) and T(G(z)), which agree only if mu and rho do as long as T does not erase what
tells them apart (Zhao, Liu, Lin, Zhu, Han 2020, "Differentiable Augmentation for Data-Efficient GAN Training", eqs. 4
and 5; Karras et al. 2020, section 2.2). It keeps the critic from learning few data by heart. All noise comes from the
batch.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from ganneal.errors import UsageError
from ganneal.game import Draw
from ganneal.parts import Registry

Noise = Mapping[str, Tensor]


class Augmentation(Protocol):
    """x [B, *shape] -> T(x), the same shape. Raises `UsageError` in `draws` for shapes it is not made for."""

    def draws(self, shape: tuple[int, ...]) -> dict[str, Draw]: ...

    def apply(self, x: Tensor, noise: Noise) -> Tensor: ...


def _images(name: str, shape: tuple[int, ...]) -> None:
    if len(shape) != 3:
        raise UsageError(f"augment: {name} is for images [C, H, W], got examples of shape {list(shape)}; use jitter")


@dataclass(frozen=True)
class Translation:
    """A shift by up to `ratio` of the image in both directions, filled with zeros."""

    ratio: float = 0.125

    def draws(self, shape: tuple[int, ...]) -> dict[str, Draw]:
        _images("translation", shape)
        return {"shift": Draw("uniform", (2,))}

    def apply(self, x: Tensor, noise: Noise) -> Tensor:
        height, width = x.shape[-2:]
        rows, columns = (self._matrix(noise["shift"][:, k], n) for k, n in enumerate((height, width)))
        return rows.unsqueeze(1) @ x @ columns.unsqueeze(1).mT

    def _matrix(self, uniform: Tensor, n: int) -> Tensor:
        """[B, n, n] with a one at (i + shift, i): a selection as a product, which vmaps and differentiates twice."""
        most = int(n * self.ratio + 0.5)
        shift = (uniform * (2 * most + 1)).floor().clamp(max=2 * most) - most
        i = torch.arange(n, device=uniform.device)
        return (i + shift.reshape(-1, 1, 1) == i.unsqueeze(-1)).to(uniform.dtype)


@dataclass(frozen=True)
class Cutout:
    """A square of `ratio` of the image, anywhere, also over the edge, is set to zero."""

    ratio: float = 0.5

    def draws(self, shape: tuple[int, ...]) -> dict[str, Draw]:
        _images("cutout", shape)
        return {"place": Draw("uniform", (2,))}

    def apply(self, x: Tensor, noise: Noise) -> Tensor:
        height, width = x.shape[-2:]
        rows, columns = (self._inside(noise["place"][:, k], n) for k, n in enumerate((height, width)))
        return x * (1 - rows.unsqueeze(-1) * columns.unsqueeze(-2)).unsqueeze(1)

    def _inside(self, uniform: Tensor, n: int) -> Tensor:
        """[B, n] ones from centre - size // 2 on, `size` of them, cut off at the edges; the centre is anywhere."""
        size = int(n * self.ratio + 0.5)
        places = n + 1 - size % 2
        start = (uniform * places).floor().clamp(max=places - 1).reshape(-1, 1) - size // 2
        i = torch.arange(n, device=uniform.device)
        return ((i >= start) & (i < start + size)).to(uniform.dtype)


@dataclass(frozen=True)
class Color:
    """Brightness + U(-1/2, 1/2), saturation * U(0, 2), contrast * U(1/2, 3/2), in that order."""

    def draws(self, shape: tuple[int, ...]) -> dict[str, Draw]:
        _images("color", shape)
        return {"color": Draw("uniform", (3,))}

    def apply(self, x: Tensor, noise: Noise) -> Tensor:
        brightness, saturation, contrast = (u.reshape(-1, 1, 1, 1) for u in noise["color"].unbind(1))
        x = x + brightness - 0.5
        grey = x.mean(1, keepdim=True)
        x = (x - grey) * (2 * saturation) + grey
        mean = x.flatten(1).mean(1).reshape(-1, 1, 1, 1)
        return (x - mean) * (contrast + 0.5) + mean


@dataclass(frozen=True)
class Jitter:
    """x + std e, e standard normal: noise on all the critic sees, of one size all along (`noise` has a schedule)."""

    std: float = 0.1

    def draws(self, shape: tuple[int, ...]) -> dict[str, Draw]:
        return {"jitter": Draw("normal", shape)}

    def apply(self, x: Tensor, noise: Noise) -> Tensor:
        return x + self.std * noise["jitter"]


@dataclass(frozen=True)
class Rotation:
    """Points of the plane turned about the origin by an angle from U(-degrees, degrees)."""

    degrees: float = 30.0

    def draws(self, shape: tuple[int, ...]) -> dict[str, Draw]:
        if tuple(shape) != (2,):
            raise UsageError(f"augment: rotation is for points of the plane, got examples of shape {list(shape)}; use "
                             + ("translation" if len(shape) == 3 else "jitter"))  # fmt: skip
        return {"angle": Draw("uniform")}

    def apply(self, x: Tensor, noise: Noise) -> Tensor:
        angle = math.radians(self.degrees) * (2 * noise["angle"] - 1)
        c, s = angle.cos(), angle.sin()
        return torch.stack([c * x[:, 0] - s * x[:, 1], s * x[:, 0] + c * x[:, 1]], 1)


@dataclass(frozen=True)
class Sequence:
    """One augmentation after another."""

    parts: tuple[Augmentation, ...]

    def draws(self, shape: tuple[int, ...]) -> dict[str, Draw]:
        found = [part.draws(shape) for part in self.parts]
        return {f"{k}.{name}": draw for k, draws in enumerate(found) for name, draw in draws.items()}

    def apply(self, x: Tensor, noise: Noise) -> Tensor:
        for k, part in enumerate(self.parts):
            own = f"{k}."
            x = part.apply(x, {n.removeprefix(own): v for n, v in noise.items() if n.startswith(own)})
        return x


def _within(name: str, argument: str, value: float, low: float, high: float) -> float:
    if not low < value <= high:
        raise UsageError(f"{name}: {argument} must be above {low:g} and at most {high:g}, got {value:g}")
    return float(value)


def translation(ratio: float = 0.125) -> Translation:
    """Images shifted by up to `ratio` of their size (Zhao et al. 2020, section 3.2)."""
    return Translation(_within("translation", "ratio", ratio, 0, 1))


def cutout(ratio: float = 0.5) -> Cutout:
    """Images with a square of `ratio` of their size set to zero (Zhao et al. 2020, section 3.2)."""
    return Cutout(_within("cutout", "ratio", ratio, 0, 1))


def color() -> Color:
    """Images of random brightness, saturation and contrast (Zhao et al. 2020, section 3.2)."""
    return Color()


def jitter(std: float = 0.1) -> Jitter:
    """Gaussian noise of a fixed size, for examples of any shape."""
    return Jitter(_within("jitter", "std", std, 0, 1e6))


def rotation(degrees: float = 30.0) -> Rotation:
    """Points of the plane turned by up to `degrees`; at 180 the critic cannot tell laws apart that differ by a turn."""
    return Rotation(_within("rotation", "degrees", degrees, 0, 180))


def diffaugment(*parts: object) -> Sequence:
    """Several, in the order given; `diffaugment()` is `diffaugment(color, translation, cutout)`, the strongest policy
    of Zhao et al. 2020 (section 4)."""
    built = tuple(AUGMENTATIONS.build(p) for p in parts) or (color(), translation(), cutout())
    if loose := [part for part in built if not hasattr(part, "apply")]:
        raise UsageError(f"diffaugment: takes augmentations such as translation, got {loose[0]!r}")
    return Sequence(built)


AUGMENTATIONS: Registry[Augmentation] = Registry(
    "augmentation", {f.__name__: f for f in (translation, cutout, color, jitter, rotation, diffaugment)}
)
