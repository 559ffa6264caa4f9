"""A generator that learns the target while beta follows its schedule: a normalising flow, whose density is exact."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ganneal.api import settle
from ganneal.data.target import TargetSource
from ganneal.engine.config import complete
from ganneal.engine.trainer import Trainer
from ganneal.errors import RunError

NETWORKS = {1: "flow(kind=spline, layers=4, width=16)", 2: "flow(kind=affine, layers=8, width=32)"}
"""In one dimension a flow is a monotone spline; in two, affine couplings are enough for a few modes, and four times
cheaper."""
RATES = {1: "cosine(0.02->0.0002)", 2: "cosine(0.008->0.0001)"}
BATCH = 256
AVERAGE = 0.9
"""Decay of the running average: short, as the generator is shown while it moves."""


@dataclass(frozen=True)
class Look:
    """The generator at one moment: samples x [n, d] in the target's coordinates, and log rho(x) [n], exact; float64."""

    x: Float[Tensor, "n d"]
    log_density: Float[Tensor, " n"]


class Learner:
    """Training in memory by reverse KL, F = E log rho - beta E log u, from about the Gaussian of the target's frame."""

    def __init__(self, source: TargetSource, beta: str, clock: str, examples: int, seed: int):
        dim = source.shape[0]
        given: dict[str, Any] = {
            "source": f"target:{source.name}", "recipe": "target", "beta": beta, "clock": clock, "batch": BATCH,
            "network": NETWORKS[dim], "lr_generator": RATES[dim], "ema": AVERAGE, "examples": examples, "seed": seed,
            "compile": "off", "reference": "none",
        }  # fmt: skip
        self.source = source
        self.trainer = Trainer(settle(complete(given, "target"), source), source)

    def looks(self, progress: Sequence[float], n: int) -> list[Look]:
        """Train to each progress in [0, 1] in turn, and look there with the same n latent draws.

        Raises `RunError` where training diverges.
        """
        found = []
        for at in progress:
            self.trainer.advance(round(at * self.trainer.config.steps) - self.trainer.step)
            if not self.trainer.finite():
                raise RunError(f"{self.source.name}: the generator diverged at progress {at:.2f}")
            found.append(self._look(n))
        return found

    def _look(self, n: int) -> Look:
        generator, frame = self.trainer.generator(), self.source.frame
        with torch.no_grad():
            y, log_q = generator(self.trainer.latents(n, self.trainer.config.seed), density=True)
        return Look(frame.outward(y.double().cpu()), log_q.double().cpu() - frame.log_det)
