"""Laws of the latent coordinates: where a generator's input comes from.

A law makes z [B, latent] from raw noise of one kind, `width` numbers an example, so that batches, populations and
compiled steps need to know nothing else about it.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar, Literal, Protocol

import torch
from torch import Tensor

from ganneal.errors import UsageError
from ganneal.game import Draw, Tensors
from ganneal.parts import Registry

SUBSETS = 8
"""Random subsets of each density, at the least."""

Examples = Callable[[int], Tensor]
"""n -> up to n examples of the training data, always the same ones."""


class LatentLaw(Protocol):
    """z = of(raw), raw [B, width(latent)] standard normal or uniform on [0, 1].

    fit      the law once data are known; a law that needs none is itself
    tensors  what was learned from data, kept in checkpoints
    """

    @property
    def kind(self) -> Literal["normal", "uniform"]: ...

    @property
    def tensors(self) -> Tensors: ...

    def fit(self, examples: Examples, latent: int) -> "LatentLaw": ...

    def width(self, latent: int) -> int: ...

    def of(self, raw: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class Normal:
    """z ~ N(0, I)."""

    kind: ClassVar[Literal["normal"]] = "normal"
    tensors: ClassVar[Tensors] = {}

    def fit(self, examples: Examples, latent: int) -> LatentLaw:
        return self

    def width(self, latent: int) -> int:
        return latent

    def of(self, raw: Tensor) -> Tensor:
        return raw


@dataclass(frozen=True)
class Uniform:
    """z uniform on [-1, 1]^latent."""

    kind: ClassVar[Literal["uniform"]] = "uniform"
    tensors: ClassVar[Tensors] = {}

    def fit(self, examples: Examples, latent: int) -> LatentLaw:
        return self

    def width(self, latent: int) -> int:
        return latent

    def of(self, raw: Tensor) -> Tensor:
        return 2 * raw - 1


@dataclass(frozen=True, eq=False)
class Mixture:
    """z = c_k + scale e, e ~ N(0, I), k uniform: the last raw coordinate picks the centre by its normal quantile.

    centres   [K, latent], float64
    """

    centres: Tensor
    scale: float
    kind: ClassVar[Literal["normal"]] = "normal"

    @property
    def tensors(self) -> Tensors:
        return {"centres": self.centres}

    def fit(self, examples: Examples, latent: int) -> LatentLaw:
        return self

    def width(self, latent: int) -> int:
        return latent + 1

    def of(self, raw: Tensor) -> Tensor:
        count = len(self.centres)
        index = (unit_interval(raw[..., -1]) * count).long().clamp(0, count - 1)
        return self.centres.to(raw)[index] + self.scale * raw[..., :-1]


@dataclass(frozen=True)
class Bourgan:
    """The plan of a `Mixture` whose centres are a Bourgain embedding of examples of the data."""

    modes: int = 32
    scale: float = 0.1
    kind: ClassVar[Literal["normal"]] = "normal"
    tensors: ClassVar[Tensors] = {}

    def fit(self, examples: Examples, latent: int) -> LatentLaw:
        x = examples(self.modes)
        return Mixture(bourgain(x.flatten(1).double(), latent), self.scale)

    def width(self, latent: int) -> int:
        return latent + 1

    def of(self, raw: Tensor) -> Tensor:
        raise UsageError("latent_law bourgan has no centres before it was fitted to data")


@dataclass(frozen=True)
class Chosen:
    """A law with one more coordinate, uniform on [0, 1], that chooses among the components of a generator; it is the
    last of z."""

    inner: LatentLaw = field(default_factory=Normal)

    @property
    def kind(self) -> Literal["normal", "uniform"]:
        return self.inner.kind

    @property
    def tensors(self) -> Tensors:
        return self.inner.tensors

    def fit(self, examples: Examples, latent: int) -> LatentLaw:
        return Chosen(self.inner.fit(examples, latent))

    def width(self, latent: int) -> int:
        return self.inner.width(latent) + 1

    def of(self, raw: Tensor) -> Tensor:
        choice = raw[..., -1:] if self.kind == "uniform" else unit_interval(raw[..., -1:])
        return torch.cat([self.inner.of(raw[..., :-1]), choice], -1)


def unit_interval(e: Tensor) -> Tensor:
    """Phi(e), uniform on [0, 1] for standard normal e."""
    return (1 + torch.erf(e / math.sqrt(2))) / 2


def bourgain(x: Tensor, dims: int) -> Tensor:
    """Centres [n, dims] that keep the gaps of x [n, d]: the coordinates are distances to random subsets, f_S(x) =
    min_{s in S} |x - s|, S holding each point with probability 2^-i, i = 1 .. log2 n (J. Bourgain 1985; Linial, London
    and Rabinovich 1995). Each of them is non-expansive, |f_S(x) - f_S(y)| <= |x - y|, and all of them together keep
    distances up to a factor O(log n).

    A latent space has fewer coordinates than there are subsets, so their leading principal components are kept, to
    which that bound does not extend: with few coordinates some pairs come much too close. Then the whole is shifted to
    mean 0 and scaled to mean square 1 a coordinate, as large as N(0, I).
    Depends on x alone: the subsets come from a fixed generator.
    """
    n, f = len(x), subset_distances(x, dims)
    f = f - f.mean(0)
    left, strengths, _ = torch.linalg.svd(f, full_matrices=False)
    kept = left * strengths
    kept = kept * left.gather(0, left.abs().argmax(0)[None]).sign()  # a singular vector's sign is nobody's choice
    centres = torch.zeros(n, dims, dtype=x.dtype)
    count = min(dims, kept.shape[1])
    centres[:, :count] = kept[:, :count]
    size = centres.square().mean().sqrt()
    return centres / size.clamp(min=1e-12)


def subset_distances(x: Tensor, least: int) -> Tensor:
    """f_S(x_i) [n, subsets] for x [n, d]: every column is the distance to one random subset of the rows, and 0 on it;
    at least `least` columns."""
    n = len(x)
    generator = torch.Generator().manual_seed(0)
    distances = (x[:, None] - x[None]).square().sum(-1).sqrt()
    densities = max(1, math.ceil(math.log2(max(n, 2))))
    columns = []
    for i in range(1, densities + 1):
        for _ in range(max(SUBSETS, math.ceil(least / densities))):
            chosen = torch.rand(n, generator=generator) < 0.5**i
            if not bool(chosen.any()):
                chosen[int(torch.randint(n, (1,), generator=generator))] = True
            columns.append(distances[:, chosen].min(1).values)
    return torch.stack(columns, 1)


def normal() -> Normal:
    """Standard normal latent coordinates."""
    return Normal()


def uniform() -> Uniform:
    """Latent coordinates uniform on [-1, 1] (Radford et al. 2016)."""
    return Uniform()


def bourgan(modes: int = 32, scale: float = 0.1) -> Bourgan:
    """BourGAN's latent law (Xiao, Zhong, Zheng 2018, section 3): an equal mixture of N(c_k, scale^2 I), its centres the
    Bourgain embedding of `modes` examples, so that the latent space has the gaps that the data have. Against collapse
    on data whose modes lie apart; goes with the penalty `isometry`. Note that published code passes its width as a
    variance; `scale` is a standard deviation, in units in which the centres have mean square 1 a coordinate.

    Costs one embedding when a run is put together; nothing in a step.
    """
    if isinstance(modes, bool) or not 2 <= modes <= 4096:
        raise UsageError(f"bourgan: modes must be a whole number from 2 to 4096, got {modes!r}")
    if not 0 < scale <= 10:
        raise UsageError(f"bourgan: scale must be above 0 and at most 10, got {scale!r}")
    return Bourgan(modes, float(scale))


LATENT_LAWS: Registry[LatentLaw] = Registry("latent_law", {"normal": normal, "uniform": uniform, "bourgan": bourgan})
NORMAL = Normal()


def draw(law: LatentLaw, latent: int) -> Draw:
    """The raw noise of a law, as a batch holds it."""
    return Draw(law.kind, (law.width(latent),))


def raw(law: LatentLaw, latent: int, n: int, generator: torch.Generator) -> Tensor:
    """The raw noise of n examples, [n, width], from a generator on the CPU."""
    shape = (n, law.width(latent))
    return torch.randn(shape, generator=generator) if law.kind == "normal" else torch.rand(shape, generator=generator)
