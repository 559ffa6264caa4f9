"""Samples of the mixture over past generators that a solver with a queue has found."""

import torch
from torch import Tensor

from ganneal.engine.batches import mix
from ganneal.engine.trainer import Trainer
from ganneal.solvers import Chekhov


def mixture_samples(trainer: Trainer, n: int, seed: int, member: int = 0) -> tuple[Tensor, int] | None:
    """(examples [n, *shape], number of generators): every example from one of the queue's generators, drawn by weight;
    None for solvers without a queue. The guarantee of Grnarova et al. (2017) is for such a mixture, not for the last
    generator."""
    solver = trainer.assembly.solver
    if not isinstance(solver, Chekhov):
        return None
    generators, weights = solver.mixture(trainer.state, member if trainer.stacked else None)
    which = torch.multinomial(
        torch.tensor(weights), n, replacement=True, generator=torch.Generator().manual_seed(mix(seed, 18))
    ).to(trainer.device)
    x = trainer.sample(n, seed, member, values=generators[0])
    for k, values in enumerate(generators[1:], 1):
        mine = (which == k).view(-1, *[1] * (x.dim() - 1))
        x = torch.where(mine, trainer.sample(n, seed, member, values=values), x)
    return x, len(generators)
