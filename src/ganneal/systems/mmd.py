"""MMD-GAN, GMMN and t-GMMN: the generator minimises a distance of kernel mean embeddings of a whole batch."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ganneal.game import Draw, Nets, input_gradient, sum_squares
from ganneal.penalties import InputGradientPenalty
from ganneal.systems.gan import GAN
from ganneal.twosample.variance import Blocks, mmd_squared, mmd_variance

RATIONAL = (0.2, 0.5, 1.0, 2.0, 5.0)
"""Exponents of the mixture of rational quadratic kernels (Binkowski et al. 2018, section 5)."""
WIDTHS = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Standard deviations of the mixture of Gaussian kernels (Li et al. 2017, section 5)."""
LEAST = 1e-8
"""Of a variance estimate, over the number of examples: it may be zero or less where the laws are equal."""

Kernel = Literal["rq", "gaussian"]


def kernel(kind: Kernel, a: Tensor, b: Tensor) -> Tensor:
    """The mean of the mixture's kernels, a [m, d], b [n, d] -> [m, n], 1 where points agree.

    rq          (1/5) sum_a (1 + |a - b|^2 / (2 a))^-a
    gaussian    (1/5) sum_s exp(-|a - b|^2 / (2 s^2))
    """
    squares = (a[:, None] - b[None]).square().sum(-1)
    if kind == "rq":
        return torch.stack([(1 + squares / (2 * p)) ** -p for p in RATIONAL]).mean(0)
    return torch.stack([torch.exp(-squares / (2 * s * s)) for s in WIDTHS]).mean(0)


@dataclass(frozen=True)
class MMDGame(GAN):
    """The generator minimises the unbiased MMD^2 of a batch of data and one of samples,

        MMD^2 = mean_{i != j} k(f x_i, f x_j) + mean_{i != j} k(f y_i, f y_j) - 2 mean_ij k(f x_i, f y_j)

    (Gretton et al. 2012, lemma 6), k a mixture of kernels, f the critic's features. The critic maximises it (MMD GAN:
    Li et al. 2017; Binkowski, Sutherland, Arbel, Gretton 2018, "Demystifying MMD GANs"). Penalties on the input
    gradient are on the witness w(x) = mean_i k(f x, f x_i) - mean_j k(f x, f y_j) in the place of a logit, as there.
    Without a critic f is x over `scale`, and this is the moment matching network (Li, Swersky, Zemel 2015).

    statistic "t" takes MMD^2 / sqrt(V), V the variance of the estimator (Liu et al. 2020, equation 5), which is what
    sets the power of a test between the two (Sutherland et al. 2017, section 4: t-GMMN).

    Stabilises: the distance sees whole batches, so lost modes show at once, and a feature critic of few outputs already
    gives a smooth one; gradients are unbiased for a fixed critic. Costs a Gram matrix, O(B^2) a step.

    shapes: critic x [B, *shape] -> features [B, k]. Architectures without a critic leave the generator alone.
    """

    kernel: Kernel = "rq"
    statistic: Literal["mmd", "t"] = "mmd"
    scale: float = 1.0

    def _order(self) -> tuple[str, ...]:
        return tuple(p for p in ("critic", "generator") if p in self.architectures)

    @property
    def draws(self) -> dict[str, dict[str, Draw]]:
        """Both players compare data with samples."""
        found = super().draws
        real = {name: draw for name, draw in found["critic"].items() if name.startswith("real")}
        return {p: {**found[p], **real} for p in self.players}

    def distance(self, nets: Nets, real: Tensor, fake: Tensor) -> Tensor:
        """The statistic between x [m, *shape] and y [n, *shape], a scalar; high where they differ."""
        a, b = self.features_of(nets, real), self.features_of(nets, fake)
        ab = torch.cat([a, b])
        gram = kernel(self.kernel, ab, ab)
        m = len(a)
        blocks = Blocks.of_gram(gram, m)
        squared = mmd_squared(blocks)
        if self.statistic == "mmd":
            return squared
        return squared / mmd_variance(blocks, "h1").clamp(min=LEAST / m).sqrt()

    def witness(self, nets: Nets, real: Tensor, fake: Tensor) -> Callable[[Tensor], Tensor]:
        """w: x [B, *shape] -> [B], high where data outweigh samples."""
        a, b = self.features_of(nets, real), self.features_of(nets, fake)

        def value(x: Tensor) -> Tensor:
            f = self.features_of(nets, x)
            return kernel(self.kernel, f, a).mean(1) - kernel(self.kernel, f, b).mean(1)

        return value

    def features_of(self, nets: Nets, x: Tensor) -> Tensor:
        """f(x), [B, k]."""
        found: Tensor = nets["critic"](x) if "critic" in self.architectures else x.flatten(1) / self.scale
        return found

    @torch.no_grad()
    def signs(self, nets: Nets, batch: Mapping[str, Tensor], coefficients: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """As of any GAN, with the statistic as `distance`."""
        silent = {**nets, "critic": lambda x: x.flatten(1).sum(1)}
        found = super().signs(silent, batch, coefficients)
        return found | {"distance": self.distance(nets, batch["real"], nets["generator"](self._latents(batch)))}

    def _critic_loss(self, nets: Nets, batch: Mapping[str, Tensor], coefficients: Mapping[str, Tensor]) -> Tensor:
        real, fake = self._examples(nets, batch, coefficients)
        loss = -self.distance(nets, real, fake)
        active = [p for p in self.penalties if isinstance(p, InputGradientPenalty) and p.name in coefficients]
        witness = self.witness(nets, real, fake)
        points = {"data": real, "model": fake}
        for penalty in active:
            for measure in penalty.measures:
                x = points[measure] if measure in points else penalty.points(measure, real, fake, batch)
                w, gradient = input_gradient(witness, x)
                loss = loss + coefficients[penalty.name] * penalty.of(sum_squares(gradient), w, measure)
        return loss

    def _generator_loss(self, nets: Nets, batch: Mapping[str, Tensor], coefficients: Mapping[str, Tensor]) -> Tensor:
        return self.distance(nets, *self._examples(nets, batch, coefficients))


def median_distance(x: Tensor) -> float:
    """The median distance between different rows of x [n, d]: what a kernel's width is measured in, where there is no
    critic."""
    x = x.flatten(1).double()
    distances = (x[:, None] - x[None]).square().sum(-1).sqrt()
    upper = distances[torch.ones_like(distances).triu(1).bool()]
    return max(float(upper.median()), math.sqrt(torch.finfo(torch.float32).tiny))
