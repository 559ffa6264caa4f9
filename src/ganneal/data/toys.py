"""Toy distributions with unlimited draws; the Gaussian mixtures among them come with density and score in closed form.

Each function is one registered name: `ring8`, `grid25(std=0.1)`, `mixture(means=[[0, 0], [3, 3]], stds=[1, 2])`.
`seed` belongs to the held-out sample only.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ganneal.data.contract import Source
from ganneal.errors import UsageError

# Held-out draws come in blocks of a fixed length from a seed of their own, so that heldout(10) begins heldout(1000)
# and no draw repeats those of a training generator that happens to have the same seed.
BLOCK = 4096
MAX_DIM = 100_000
HELDOUT_SEED = 0x5EED_0FF5E7

Draw = Callable[[int, torch.Generator], Tensor]


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Toy(Source):
    """A distribution given by `draw(n, generator)` -> [n, d]."""

    draw: Draw
    seed: int = 0

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """n fresh draws, float32 [n, d], on the generator's device."""
        return self.draw(n, generator).float()

    def heldout(self, n: int) -> Tensor:
        """A fixed sample, float32 [n, d]: the same for the same seed, and its beginning does not depend on n."""
        generator = torch.Generator().manual_seed((self.seed + HELDOUT_SEED) % 2**63)
        blocks = [self.sample(BLOCK, generator) for _ in range(max(1, math.ceil(n / BLOCK)))]
        return torch.cat(blocks)[: max(n, 0)]

    def examples(self, n: int, generator: torch.Generator) -> tuple[np.ndarray, None]:
        """n fresh draws, float32 [n, d]."""
        return self.sample(n, generator).numpy(), None

    def decode(self, x: Tensor) -> np.ndarray:
        """x as a numpy array: toys have no other units."""
        return x.detach().cpu().numpy()


@dataclass(frozen=True, eq=False)
class GaussianMixture:
    """sum_k w_k N(x; m_k, diag(s_k^2)) with means [K, d], stds [K, d], weights [K], all float64.

    log p(x)      = logsumexp_k a_k,   a_k = log w_k - sum_i [ ((x_i - m_ki) / s_ki)^2 / 2 + log s_ki + log(2 pi) / 2 ]
    grad log p(x) = sum_k softmax(a)_k (m_k - x) / s_k^2
    """

    means: Tensor
    stds: Tensor
    weights: Tensor

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """n draws [n, d] on the generator's device."""
        device = generator.device
        weights, means, stds = (t.to(device, torch.float32) for t in (self.weights, self.means, self.stds))
        component = torch.multinomial(weights, n, replacement=True, generator=generator)
        noise = torch.randn(n, means.shape[1], generator=generator, device=device)
        return means[component] + stds[component] * noise

    def log_density(self, x: Tensor) -> Tensor:
        """log p(x): x [..., d] -> [...]."""
        return self._components(x)[0].logsumexp(-1)

    def score(self, x: Tensor) -> Tensor:
        """grad log p(x): x [..., d] -> [..., d]."""
        logits, z, stds = self._components(x)
        return -(logits.softmax(-1).unsqueeze(-1) * z / stds).sum(-2)

    def _components(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        means, stds, weights = (t.to(device=x.device, dtype=x.dtype) for t in (self.means, self.stds, self.weights))
        z = (x.unsqueeze(-2) - means) / stds
        constant = weights.log() - (stds.log() + math.log(2 * math.pi) / 2).sum(-1)
        return constant - z.square().sum(-1) / 2, z, stds


def ring8(radius: float = 2, std: float = 0.02, *, seed: int = 0) -> Toy:
    """Eight Gaussians at equal angles on a circle, the first at (radius, 0)."""
    angles = torch.arange(8, dtype=torch.float64) * (2 * math.pi / 8)
    means = _positive("ring8", "radius", radius) * torch.stack([angles.cos(), angles.sin()], 1)
    return _mixture("ring8", means, _positive("ring8", "std", std), None, seed)


def grid25(spacing: float = 2, std: float = 0.05, *, seed: int = 0) -> Toy:
    """Twenty-five Gaussians on a 5 x 5 grid around 0."""
    axis = torch.arange(-2, 3, dtype=torch.float64) * _positive("grid25", "spacing", spacing)
    return _mixture("grid25", torch.cartesian_prod(axis, axis), _positive("grid25", "std", std), None, seed)


def gaussian(
    mean: float | Sequence[float] = 0, std: float | Sequence[float] = 1, dim: int = 1, *, seed: int = 0
) -> Toy:
    """A Gaussian with diagonal covariance; lists for mean or std set the dimension."""
    if isinstance(dim, bool) or not isinstance(dim, int) or not 1 <= dim <= MAX_DIM:
        raise UsageError(f"gaussian: dim must be a whole number in 1..{MAX_DIM}, got {dim!r}")
    lengths = {len(v) for v in (mean, std) if isinstance(v, (list, tuple))} | ({dim} if dim > 1 else set())
    if len(lengths) > 1 or 0 in lengths:
        raise UsageError(f"gaussian: mean, std and dim must agree on the dimension, got {sorted(lengths)}")
    d = lengths.pop() if lengths else 1
    means = [_number("gaussian", "mean", v) for v in _repeat(mean, d)]
    stds = [_positive("gaussian", "std", v) for v in _repeat(std, d)]
    return _mixture(
        "gaussian", torch.tensor([means], dtype=torch.float64), torch.tensor([stds], dtype=torch.float64), None, seed
    )


def mixture(
    means: Sequence[Any] = (-4, 4),
    stds: float | Sequence[float] = 1,
    weights: Sequence[float] | None = None,
    *,
    seed: int = 0,
) -> Toy:
    """A mixture of round Gaussians: means are numbers (one dimension) or lists; weights are divided by their sum."""
    if not isinstance(means, (list, tuple)) or not means:
        raise UsageError(f"mixture: means must be a list with at least one entry, got {means!r}")
    points = [m if isinstance(m, (list, tuple)) else [m] for m in means]
    if len({len(p) for p in points}) != 1 or not points[0]:
        raise UsageError(f"mixture: means must all have the same dimension, got {[len(p) for p in points]}")
    centres = torch.tensor([[_number("mixture", "means", v) for v in p] for p in points], dtype=torch.float64)
    for key, value in (("stds", stds), ("weights", weights)):
        if isinstance(value, (list, tuple)) and len(value) != len(points):
            raise UsageError(
                f"mixture: {key} must have one entry for each of the {len(points)} means, got {len(value)}"
            )
    widths = torch.tensor([_positive("mixture", "stds", s) for s in _repeat(stds, len(points))], dtype=torch.float64)
    shares = None if weights is None else [_positive("mixture", "weights", w) for w in _repeat(weights, len(points))]
    return _mixture("mixture", centres, widths.unsqueeze(1).expand_as(centres), shares, seed)


def spiral(noise: float = 0.05, *, seed: int = 0) -> Toy:
    """One arm of an Archimedean spiral, one turn and a half out to radius 2, uniform in area, plus noise."""
    noise = _positive("spiral", "noise", noise)

    def draw(n: int, generator: torch.Generator) -> Tensor:
        u = torch.rand(n, generator=generator, device=generator.device).sqrt()
        curve = 2 * u.unsqueeze(1) * torch.stack([(3 * math.pi * u).cos(), (3 * math.pi * u).sin()], 1)
        return curve + noise * torch.randn(n, 2, generator=generator, device=generator.device)

    return Toy(name="spiral", kind="toy", shape=(2,), size=None, draw=draw, seed=seed)


def moons(noise: float = 0.1, *, seed: int = 0) -> Toy:
    """Two interleaved half circles of radius 1, plus noise."""
    noise = _positive("moons", "noise", noise)

    def draw(n: int, generator: torch.Generator) -> Tensor:
        device = generator.device
        angle = torch.rand(n, generator=generator, device=device) * math.pi
        upper = torch.randint(2, (n, 1), generator=generator, device=device).bool()
        outer = torch.stack([angle.cos(), angle.sin()], 1)
        inner = torch.stack([1 - angle.cos(), 0.5 - angle.sin()], 1)
        return torch.where(upper, outer, inner) + noise * torch.randn(n, 2, generator=generator, device=device)

    return Toy(name="moons", kind="toy", shape=(2,), size=None, draw=draw, seed=seed)


def dirac(*, seed: int = 0) -> Toy:
    """The point mass at 0 in one dimension: the data of the Dirac game (Mescheder et al. 2018)."""

    def draw(n: int, generator: torch.Generator) -> Tensor:
        return torch.zeros(n, 1, device=generator.device)

    return Toy(
        name="dirac", kind="toy", shape=(1,), size=None, modes=torch.zeros(1, 1), spread=0.0, draw=draw, seed=seed
    )


def _mixture(name: str, means: Tensor, stds: Tensor | float, weights: Sequence[float] | None, seed: int) -> Toy:
    stds = torch.as_tensor(stds, dtype=torch.float64).expand_as(means).contiguous()
    shares = (
        torch.ones(len(means), dtype=torch.float64) if weights is None else torch.tensor(weights, dtype=torch.float64)
    )
    law = GaussianMixture(means, stds, shares / shares.sum())
    return Toy(
        name=name,
        kind="toy",
        shape=(means.shape[1],),
        size=None,
        modes=means.float(),
        spread=float(stds[0, 0]) if bool((stds == stds[0, 0]).all()) else None,
        log_density=law.log_density,
        score=law.score,
        draw=law.draw,
        seed=seed,
    )


def _repeat(value: Any, n: int) -> Sequence[Any]:
    return value if isinstance(value, (list, tuple)) else [value] * n


def _number(name: str, key: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise UsageError(f"{name}: {key} must be a finite number, got {value!r}")
    return float(value)


def _positive(name: str, key: str, value: Any) -> float:
    if _number(name, key, value) <= 0:
        raise UsageError(f"{name}: {key} must be above 0, got {value!r}")
    return float(value)
