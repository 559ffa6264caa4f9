"""MMD-D: MMD with a deep kernel that is trained on one part of the samples and tested on the other (Liu, Xu, Lu, Zhang,
Gretton, Sutherland 2020, equation 1):

    k(a, b) = [(1 - e) kap(phi(a), phi(b)) + e] q(a, b),        kap, q = exp(-d^2 / s), without a factor of 2

phi is a network; kap looks at its features, q at the data themselves. The factor q and e > 0 keep the kernel
characteristic, whatever the network does. All of phi, s_phi, s_q and e ascend T / sqrt V, which sets the power.

The first choice for images and for differences that no single width fits; where a fixed kernel sees the difference,
`mmd_test`, which spends no half of the data on training, is quicker and often as good.
"""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import skip_init

from ganneal.errors import RunError, UsageError, nearest
from ganneal.twosample.gram import Gram
from ganneal.twosample.kernels import base_matrix, centred, median_distance
from ganneal.twosample.learned import GRID, Batch, batches, held_out_test, split
from ganneal.twosample.result import TestResult
from ganneal.twosample.samples import as_pair
from ganneal.twosample.variance import power_criterion

CHANNELS = (16, 32, 64, 128)
LEAST_SIDE = 16


@dataclass(frozen=True)
class DeepSettings:
    """How a deep kernel is made and trained.

    steps, rate         of Adam, whose rate falls to 0. Many steps at a high rate fit the training part by heart, which
                        costs power, never level
    width               outputs of the network, and hidden units of an MLP; None: 50, or 3 d where that is more (at most
                        300), and 100 for images
    hidden              hidden layers of an MLP, softplus
    batch               examples of each sample in a step, at most
    scale_q, scale_phi  s_q and s_phi at the start; None: s_phi the median squared distance of the features, s_q the
                        best of a grid around the median squared distance of the data
    train_scale_phi     false: s_phi stays
    standardise         the network sees columns of mean 0 and unit spread; false: the data
    """

    steps: int = 300
    rate: float = 5e-4
    width: int | None = None
    hidden: int = 3
    batch: int = 250
    scale_q: float | None = None
    scale_phi: float | None = None
    train_scale_phi: bool = True
    standardise: bool = True

    def __post_init__(self) -> None:
        for name in ("steps", "rate", "width", "hidden", "scale_q", "scale_phi"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise UsageError(f"{name}: got {value}; allowed: a positive number")
        if self.batch < 4:
            raise UsageError(f"batch: got {self.batch}; allowed: at least 4 examples")


def published(name: str, columns: int = 1) -> DeepSettings:
    """The settings in the code of Liu et al. 2020: "blob", "hdgm" (needs the number of columns), "higgs", "mnist",
    "cifar".

    What still differs here: widths move in log space, the rate falls, and images are not batch-normalised. The steps of
    the image settings are epochs there.
    """
    raw: dict[str, dict[str, Any]] = {
        "blob": {"width": 50, "rate": 5e-4, "scale_q": 0.3, "scale_phi": 0.002},
        "hdgm": {"width": 3 * columns, "rate": 5e-5, "scale_q": 2.0 * columns, "scale_phi": 0.1},
        "higgs": {"width": 20, "rate": 5e-5, "scale_q": 8.0, "scale_phi": 0.005, "train_scale_phi": False},
        "mnist": {"width": 100, "rate": 1e-3, "batch": 100, "scale_q": 2048.0, "scale_phi": 0.005, "steps": 2000},
        "cifar": {"width": 300, "rate": 2e-4, "batch": 100, "scale_q": 2048.0, "scale_phi": 0.005},
    }
    if name not in raw:
        raise UsageError(f"unknown settings '{name}': {nearest(str(name), raw)}")
    return DeepSettings(**{"steps": 1000, "batch": 10**6, "standardise": False, **raw[name]})


class DeepKernel(nn.Module):
    """The kernel k(a, b) = [(1 - e) kap(phi(a), phi(b)) + e] q(a, b) on examples [n, d], flattened.

    shape        of one example; [C, H, W] with H, W >= 16 goes through convolutions, all else through an MLP
    shift, unit  [d], the network sees (a - shift) * unit
    """

    shift: Tensor
    unit: Tensor

    def __init__(
        self, shape: tuple[int, ...], settings: DeepSettings, shift: Tensor, unit: Tensor, generator: torch.Generator
    ):
        super().__init__()
        self.shape, d = shape, math.prod(shape)
        if is_image(shape):
            self.network = _convolutions(shape, settings.width or 100)
        else:
            self.network = _perceptron(d, settings.width or max(50, min(3 * d, 300)), settings.hidden)
        self.register_buffer("shift", shift)
        self.register_buffer("unit", unit)
        self.log_scale_phi, self.log_scale_q, self.raw = (nn.Parameter(torch.zeros(())) for _ in range(3))
        self.double()
        _initialise(self.network, generator)

    @property
    def share(self) -> Tensor:
        """e = sigmoid(raw), the share of q alone."""
        return self.raw.sigmoid()

    def features(self, x: Tensor) -> Tensor:
        """phi(x) [n, width] of examples [n, d]."""
        seen = (x - self.shift) * self.unit
        return self.network(seen.reshape(len(x), *self.shape) if is_image(self.shape) else seen)

    def of(self, squared_phi: Tensor, squared: Tensor) -> Tensor:
        """k from squared distances between features and between examples."""
        kap = torch.exp(-squared_phi * torch.exp(-self.log_scale_phi))
        return ((1 - self.share) * kap + self.share) * torch.exp(-squared * torch.exp(-self.log_scale_q))

    def gram(self, x: Tensor, y: Tensor) -> Tensor:
        """k(x_i, y_j) [m, n] from x [m, d], y [n, d]; differentiable."""
        squared_phi = base_matrix("squared", self.features(x), self.features(y))
        return self.of(squared_phi, base_matrix("squared", x - self.shift, y - self.shift))

    @torch.no_grad()
    def witness(self, points: Tensor, x: Tensor, y: Tensor) -> Tensor:
        """mean k(v, x) - mean k(v, y) [k] at points v [k, d]: positive where x has more mass."""
        return self.gram(points, x).mean(1) - self.gram(points, y).mean(1)


class DeepGram(Gram):
    """The matrix of a trained deep kernel on a pooled sample [N, d], made tile by tile; the network sees every example
    once."""

    @torch.no_grad()
    def __init__(self, pool: Tensor, kernel: DeepKernel):
        self.pool, self.kernel, self.kernels = centred(pool), kernel.eval(), []
        self.features = centred(torch.cat([kernel.features(part) for part in pool.split(1000)]))

    @property
    def count(self) -> int:
        """One."""
        return 1

    @torch.no_grad()
    def tile(self, rows: slice, columns: slice) -> list[Tensor]:
        """A part of the matrix."""
        squared_phi = base_matrix("squared", self.features[rows], self.features[columns])
        return [self.kernel.of(squared_phi, base_matrix("squared", self.pool[rows], self.pool[columns]))]


def mmd_d_test(
    x: Any, y: Any, permutations: int = 1000, seed: int = 0, level: float = 0.05, *, share: float = 0.5,
    settings: DeepSettings | None = None, exceedances: int | None = None,
) -> TestResult:  # fmt: skip
    """Are x [m, ...] and y [n, ...] from the same law? MMD with a deep kernel trained on a part of the samples, tested
    on the rest by permutation. Examples [C, H, W] with H, W >= 16 are images.

    share        of the examples that train, between 0 and 1
    exceedances  stop early once so many relabelings have reached the observed value

    details: `criterion` and `criterion_start`, T / sqrt V on the training part after and before training; `share_q`, e;
    `scale_phi` and `scale_q`; `features`, how many. Raises UsageError as `mmd_test` does, and for fewer than 8
    examples; RunError where training diverges.
    """
    train, test, generator = split(x, y, permutations, seed, level, share)
    kernel, told = _fit(*train, _example_shape(x), generator, settings or DeepSettings())
    gram, width = DeepGram(torch.cat(test), kernel), math.sqrt(told["scale_q"] / 2)
    return held_out_test("mmd_d", x, y, gram, test, permutations, generator, seed, level, exceedances, told, width)


def fit_deep_kernel(x: Any, y: Any, seed: int = 0, settings: DeepSettings | None = None) -> DeepKernel:
    """A deep kernel that tells x [m, ...] from y [n, ...], trained on all of both: for features and a witness, or to be
    tested on other examples. Raises as `mmd_d_test` does."""
    first, second = as_pair(x, y)
    generator = torch.Generator().manual_seed(seed)
    return _fit(first, second, _example_shape(x), generator, settings or DeepSettings())[0]


def is_image(shape: tuple[int, ...]) -> bool:
    """Whether examples of a shape go through convolutions."""
    return len(shape) == 3 and min(shape[1:]) >= LEAST_SIDE


def _example_shape(x: Any) -> tuple[int, ...]:
    shape = tuple(x.shape) if hasattr(x, "shape") else np.asarray(x).shape
    return shape[1:] or (1,)


def _fit(
    x: Tensor, y: Tensor, shape: tuple[int, ...], generator: torch.Generator, settings: DeepSettings
) -> tuple[DeepKernel, dict[str, Any]]:
    pool = torch.cat([x, y])
    shift, unit = torch.zeros_like(pool[0]), torch.ones_like(pool[0])
    if settings.standardise:
        spread = pool.std(0)
        if is_image(shape):  # one spread for all pixels: what a dark border holds is not blown up
            spread = torch.full_like(spread, float((pool - pool.mean(0)).square().mean().sqrt()))
        shift, unit = pool.mean(0), torch.where(spread > 0, 1 / spread.where(spread > 0, torch.ones(())), 0.0)
    kernel = DeepKernel(shape, settings, shift, unit, generator)
    found = batches(x, y, generator, settings.batch)
    _start(kernel, pool, found, settings)
    before, start = _criterion(kernel, found), {k: v.clone() for k, v in kernel.state_dict().items()}
    kernel.log_scale_phi.requires_grad_(settings.train_scale_phi)
    moving = [p for p in kernel.parameters() if p.requires_grad]
    optimiser = torch.optim.Adam(moving, lr=settings.rate)
    for step in range(settings.steps):
        optimiser.param_groups[0]["lr"] = settings.rate * (1 - step / settings.steps)
        if step % len(found) == 0 and step > 0 and len(found) > 1:
            found = batches(x, y, generator, settings.batch)
        both = torch.cat(found[step % len(found)])
        optimiser.zero_grad()
        (-power_criterion(kernel.gram(both, both), len(both) // 2)).backward()
        optimiser.step()
    after = _criterion(kernel, found)
    if not math.isfinite(after):
        raise RunError(f"mmd_d: training diverged with rate {settings.rate:g}; take a smaller one")
    if after < before:
        kernel.load_state_dict(start)
    kernel.eval().requires_grad_(False)
    details = {
        "criterion": max(before, after), "criterion_start": before, "share_q": float(kernel.share),
        "scale_phi": float(kernel.log_scale_phi.exp()), "scale_q": float(kernel.log_scale_q.exp()),
        "features": kernel.features(pool[:1]).shape[1],
    }  # fmt: skip
    return kernel, details


@torch.no_grad()
def _start(kernel: DeepKernel, pool: Tensor, found: list[Batch], settings: DeepSettings) -> None:
    """Widths to begin with: as given, or from the training part."""
    wide = median_distance(kernel.features(pool[:2000])) ** 2 if settings.scale_phi is None else settings.scale_phi
    kernel.log_scale_phi.fill_(math.log(wide))
    if settings.scale_q is not None:
        kernel.log_scale_q.fill_(math.log(settings.scale_q))
        return
    middle, values = math.log(2 * median_distance(pool) ** 2), []
    for point in GRID:
        kernel.log_scale_q.fill_(middle + 2 * float(point))
        values.append(_criterion(kernel, found[:2]))
    kernel.log_scale_q.fill_(middle + 2 * float(GRID[int(np.argmax(values))]))


@torch.no_grad()
def _criterion(kernel: DeepKernel, found: list[Batch]) -> float:
    pools = [torch.cat(pair) for pair in found]
    return sum(float(power_criterion(kernel.gram(p, p), len(p) // 2)) for p in pools) / len(pools)


def _perceptron(inputs: int, width: int, hidden: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for a, b in pairwise([inputs] + [width] * hidden):
        layers += [skip_init(nn.Linear, a, b), nn.Softplus()]
    return nn.Sequential(*layers, skip_init(nn.Linear, width, width))


def _convolutions(shape: tuple[int, ...], width: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for a, b in pairwise((shape[0], *CHANNELS)):
        layers += [skip_init(nn.Conv2d, a, b, 3, stride=2, padding=1), nn.LeakyReLU(0.2)]
    height, wide = (math.ceil(side / 2 ** len(CHANNELS)) for side in shape[1:])
    return nn.Sequential(*layers, nn.Flatten(), skip_init(nn.Linear, CHANNELS[-1] * height * wide, width))


@torch.no_grad()
def _initialise(network: nn.Sequential, generator: torch.Generator) -> None:
    """Uniform in +-sqrt(1 / inputs of a unit), as torch does, but from the given generator and not from
    the global one."""
    for layer in network:
        if isinstance(layer, nn.Linear | nn.Conv2d):
            bound = 1 / math.sqrt(layer.weight[0].numel())
            for values in (layer.weight, layer.bias):
                if values is not None:
                    values.uniform_(-bound, bound, generator=generator)
