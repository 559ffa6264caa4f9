"""What a checkpoint shows that no event says: modes reached, and whether the critic still tells the generator where to
go."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ganneal.engine.batches import mix
from ganneal.engine.trainer import Trainer
from ganneal.game import sum_squares
from ganneal.metrics import ModeCoverage, mode_coverage
from ganneal.systems import GAN, unpenalised

if TYPE_CHECKING:
    from ganneal.dynamics import Spectrum

DRAWN = 2000
"""Samples in which modes are looked for."""
PROBES = 256
"""Samples on which the force is measured."""


@dataclass(frozen=True)
class Examination:
    """One member at a checkpoint.

    coverage   of the modes of the data, where they are known
    force      how much the generator's loss changes, in its own unit, when a sample moves by the spread of the data
               along its gradient (root mean square over samples); nan for games without a critic
    spectrum   of the game's field, where it was asked for
    """

    coverage: ModeCoverage | None
    force: float
    spectrum: "Spectrum | None" = None


def examine(trainer: Trainer, member: int) -> Examination:
    """Look at one member of a training as it stands."""
    source, coverage = trainer.source, None
    if source.modes is not None and source.spread:
        x = trainer.sample(DRAWN, seed=mix(trainer.config.seed, 20), member=member).cpu()
        coverage = mode_coverage(x, source.modes, source.spread)
    return Examination(coverage, force(trainer, member))


def force(trainer: Trainer, member: int) -> float:
    """sqrt(mean_i |d L_G / d x_i|^2) times batch size and spread of the data. Near 0 for a critic that is flat where
    the samples are: at the equilibrium, or where it is saturated."""
    game = unpenalised(trainer.assembly.game)
    if not isinstance(game, GAN):
        return float("nan")
    nets, coefficients = trainer.read(member)
    random = torch.Generator().manual_seed(mix(trainer.config.seed, 21))
    real = trainer.source.heldout(PROBES).to(trainer.device, trainer.dtype)
    count = len(real)

    def drawn(kind: str, shape: tuple[int, ...]) -> Tensor:
        if kind == "real":
            return real
        draw = torch.randn if kind == "normal" else torch.rand
        values = draw((count, *shape), generator=random)
        return (values.round() * 2 - 1 if kind == "rademacher" else values).to(trainer.device, trainer.dtype)

    batch = {name: drawn(d.kind, d.shape) for name, d in game.draws["generator"].items()}

    def loss(moved: Tensor) -> Tensor:
        def generator(*args: Any, **kwargs: Any) -> Tensor:
            found: Tensor = nets["generator"](*args, **kwargs) + moved
            return found

        return game.loss("generator", {**nets, "generator": generator}, batch, coefficients)

    pull = torch.func.grad(loss)(torch.zeros_like(real))
    spread = real.flatten(1).var(0, correction=0).sum().sqrt()
    scale = torch.where(spread > 0, spread, torch.ones_like(spread))
    return float(sum_squares(pull).mean().sqrt() * count * scale)
