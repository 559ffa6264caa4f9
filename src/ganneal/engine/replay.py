"""The replay buffer (8D): annealed particles that stand for data, moved along while the generator learns."""

from typing import Any

import torch
from torch import Tensor

from ganneal.data.target import TargetSource
from ganneal.diffusion.annealed import Particles, advance, ess_share, launch, move, resample
from ganneal.diffusion.gaussian_base import gaussian_base

PARTICLES = 2048
WIDTH = 2.0
"""Standard deviation of the Gaussian base in the frame's coordinates."""
SHARE = 0.5
STEP = 0.5


class Replay:
    """A source of examples for an ordinary critic: particles at the law r^(1 - beta) u^beta, r = N(0, WIDTH^2 I).

    `follow(beta)` reweights them to a new beta, resamples where the effective share fell below a half, and moves them
    by one Metropolis-adjusted Langevin step; draws are by weight. Weights that are not finite are refused (`RunError`).
    Reads and writes nothing but its own generator, so that it is part of a checkpoint.
    """

    def __init__(self, source: TargetSource, seed: int):
        self.density, self.shape = source.density, source.shape
        self.base = gaussian_base(torch.zeros(source.shape[0]), WIDTH)
        self.generator = torch.Generator().manual_seed(seed)
        self.particles = launch(self.density, self.base, PARTICLES, self.generator)
        self.step = STEP

    def follow(self, beta: float) -> None:
        """Bring the particles to a new beta (at most 1; never back)."""
        beta = max(self.particles.beta, min(beta, 1.0))
        self.particles = advance(self.particles, self.density, self.base, beta)
        if ess_share(self.particles.log_weight) < SHARE:
            self.particles = resample(self.particles, self.generator)
        self.particles, accepted = move(self.particles, self.density, self.base, self.step, self.generator)
        self.step *= 1.02 if accepted > 0.574 else 1 / 1.02

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """n particles drawn by weight [n, d]."""
        return self.particles.x[torch.multinomial(self.particles.weights, n, True, generator=generator)]

    def weighing(self) -> tuple[Tensor, Tensor]:
        """(a, b) [1, n] such that beta a - b are the particles' log weights at beta: for an adaptive temperature."""
        own = self.particles
        ratio = own.value.double() - self.base.log_prob(own.x).double()
        return ratio[None], (own.beta * ratio - own.log_weight)[None]

    @property
    def log_z(self) -> float:
        """log Z at the particles' beta, relative to r."""
        return self.particles.log_z

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """(tensors, numbers) for a checkpoint."""
        own = self.particles
        tensors = {name: getattr(own, name) for name in ("x", "value", "score", "log_weight")}
        return {**tensors, "generator": self.generator.get_state()}, {
            "beta": own.beta,
            "evaluations": own.evaluations,
            "step": self.step,
        }

    def restore(self, tensors: dict[str, Tensor], numbers: dict[str, Any]) -> None:
        """Continue where `state` was taken."""
        self.generator.set_state(tensors["generator"].contiguous())
        self.particles = Particles(
            tensors["x"], tensors["value"], tensors["score"], tensors["log_weight"], numbers["beta"],
            numbers["evaluations"],
        )  # fmt: skip
        self.step = numbers["step"]
