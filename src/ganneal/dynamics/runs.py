"""The game of a trained run at a checkpoint, as a problem whose spectrum can be taken."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ganneal.dynamics.problem import Problem
from ganneal.dynamics.spectrum import Spectrum, field_spectrum
from ganneal.errors import UsageError


def run_spectrum(
    folder: str | Path, checkpoint: str = "last", member: int = 0, examples: int = 512, count: int = 6
) -> Spectrum:
    """The spectrum of a run's field at a checkpoint: complete up to 1500 parameters, `count` of the rightmost and of
    the largest eigenvalues beyond.

    Raises UsageError for a folder that is no run, a member that is not there, and games whose field's derivative the
    losses do not hold (see `run_problem`).
    """
    return field_spectrum(run_problem(folder, checkpoint, member, examples), count)


def run_problem(
    folder: str | Path, checkpoint: str = "last", member: int = 0, examples: int = 512
) -> Problem:  # fmt: skip
    """The players of a run at a checkpoint, in float64 on the CPU, with one batch of data and noise held fixed.

    All players read one batch of about that many examples, drawn as in training; coefficients are those of the
    checkpoint's progress, and lazy penalties count with their mean weight.

    Raises UsageError for samplers of densities, whose losses hold the first derivative of log u only.
    """
    from ganneal.api import Run
    from ganneal.systems import SamplingGame

    run = Run(folder)
    if not 0 <= member < run.config.population:
        raise UsageError(f"member: got {member}; allowed: 0 to {run.config.population - 1}")
    trainer = run.trainer(checkpoint)
    game = trainer.play.game
    if isinstance(game, SamplingGame):
        raise UsageError(
            f"{folder}: trains on a density, of which losses hold first derivatives only; spectra are for runs on data"
        )
    stacked = run.config.population > 1

    def own(tree: Any) -> Any:
        if isinstance(tree, dict):
            return {name: own(value) for name, value in tree.items()}
        value = (tree[member] if stacked else tree).detach().cpu()
        return value.double() if value.is_floating_point() else value.clone()

    batches: dict[str, dict[str, Tensor]] = {player: {} for player in game.players}
    draws = [game.draws[player] for player in game.players]
    rounds = max(1, round(examples / run.config.batch))
    drawn = [[own(dict(batch)) for batch in trainer.batches.draw(draws)] for _ in range(rounds)]
    for k, player in enumerate(game.players):
        for name in draws[k]:
            batches[player][name] = torch.cat([part[k][name] for part in drawn])
    step = max(0, trainer.step - 1)
    values = {}
    for name in (*trainer.assembly.coefficients.schedules, "average"):
        if name == "average":
            value = 0.0
        else:
            held = trainer.assembly.coefficients.values(name, trainer.progress(step))
            value = held[member if len(held) > 1 else 0]
        values[name] = torch.tensor(value, dtype=torch.float64)
    params = {p: own(trainer.state.params[p]) for p in game.players}
    buffers = {p: own(trainer.state.buffers.get(p, {})) for p in game.players}
    return Problem(game, params, buffers, batches, values)
