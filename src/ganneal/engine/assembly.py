"""From a configuration and a source to a game, its optimizers and its schedules."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ganneal.data import Source
from ganneal.data.target import TargetSource
from ganneal.engine.batches import mix
from ganneal.engine.building import part
from ganneal.engine.coefficients import Coefficients
from ganneal.engine.config import Config, check_members
from ganneal.engine.samplers import sampling
from ganneal.engine.systems import SYSTEMS, Plain
from ganneal.errors import UsageError
from ganneal.game import Tensors
from ganneal.objectives import OBJECTIVES
from ganneal.penalties import PENALTIES, LeCam, Weighted
from ganneal.schedules import Schedule, schedule
from ganneal.solvers import OPTIMIZERS, SOLVERS, Optimizer, Solver
from ganneal.systems import GAN, SamplingGame

TRACKING = 0.05
"""Rate at which the reference of a sampler follows the moments of its samples."""
FOLLOWERS = ("moments", "anchors")
"""Players that are running means: a plain gradient step of their quadratic loss."""


@dataclass(frozen=True)
class Assembly:
    """The parts of a training, built and consistent with each other.

    fresh       new networks for every player, with initial values from torch's global generator
    """

    game: GAN | SamplingGame
    fresh: Callable[[], Mapping[str, nn.Module]]
    solver: Solver
    optimizers: dict[str, Optimizer]
    coefficients: Coefficients
    cautions: tuple[str, ...]


def assemble(config: Config, source: Source) -> Assembly:
    """Build all parts. Raises `UsageError` for unknown names, bad arguments and parts that do not fit together."""
    objective = part("objective", OBJECTIVES.build, config.objective)
    penalties = tuple(part("penalty", PENALTIES.build, text) for text in config.penalty)
    for penalty in penalties:
        if isinstance(penalty, Weighted):
            check_members(f"penalty: weight of {penalty.name}", penalty.weight, config.population)
    if len({p.name for p in penalties}) != len(penalties):
        raise UsageError(f"penalty: each kind at most once, got {', '.join(config.penalty)}")
    game: GAN | SamplingGame
    system = part("system", SYSTEMS.build, config.system)
    if isinstance(source, TargetSource) and config.sampler != "replay":
        if not isinstance(system, Plain):
            raise UsageError(
                f"system: sampler {config.sampler} trains from a density alone, so it must be gan, got "
                f"{config.system}, which goes with examples, or with sampler replay"
            )
        fresh, game, cautions = sampling(config, source, objective, penalties)
    else:
        fresh, game, cautions = system.build(config, source, objective, penalties)
    schedules: dict[str, Schedule] = {
        "lambda_likelihood": config.lambdas()[0],
        "lambda_entropy": config.lambdas()[1],
        "noise": schedule(config.noise),
    }
    rates: dict[str, Any] = {
        "critic": config.lr_critic,
        "manifold": config.lr_critic,
        "generator": config.lr_generator,
        "encoder": config.lr_generator,
        "moments": TRACKING,
        "anchors": 1 - next((p.decay for p in penalties if isinstance(p, LeCam)), 0.99),
    }
    schedules |= {f"lr.{p}": schedule(rates.get(p, config.lr_score)) for p in game.players}
    stacked = config.population if config.population > 1 else None
    optimizer = part("optimizer", OPTIMIZERS.build, config.optimizer)
    plain = OPTIMIZERS.build("sgd")
    solver = part("solver", SOLVERS.build, config.solver)
    try:
        solver.check(game)
    except UsageError as error:
        raise UsageError(f"solver: {error}") from None
    return Assembly(
        game=game,
        fresh=fresh,
        solver=solver,
        optimizers={p: plain if p in FOLLOWERS else optimizer for p in game.players},
        coefficients=Coefficients(schedules, penalties, config.ema, stacked),
        cautions=tuple(cautions),
    )


def initialise(
    config: Config, source: Source, assembly: Assembly, dtype: torch.dtype, device: torch.device
) -> tuple[dict[str, Tensors], dict[str, Tensors]]:
    """(parameters, buffers) by player, drawn anew for every member from its own seed; stacked for a population."""
    game = assembly.game
    found: list[dict[str, tuple[Any, Any]]] = []
    for seed in config.member_seeds():
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(mix(seed, 0))
            nets = assembly.fresh()
        found.append({p: (dict(net.named_parameters()), dict(net.named_buffers())) for p, net in nets.items()})
    stack = torch.stack if config.population > 1 else lambda tensors: tensors[0].clone()

    def gather(which: int) -> dict[str, Tensors]:
        return {
            p: {
                n: place(stack([member[p][which][n].detach() for member in found]), dtype, device)
                for n in found[0][p][which]
            }
            for p in game.players
        }

    return gather(0), gather(1)


def place(value: Tensor, dtype: torch.dtype, device: torch.device) -> Tensor:
    """A parameter where it is used: convolution weights in channels-last order, which the CPU's and the GPU's kernels
    prefer."""
    value = value.to(device, dtype if value.is_floating_point() else None)
    return value.contiguous(memory_format=torch.channels_last) if value.dim() == 4 else value.contiguous()


def work(config: Config, game: GAN | SamplingGame) -> float:
    """Multiply-adds of one step, roughly: six passes through every network's matrices, per example and member."""
    matrices = sum(p.numel() for net in game.nets.values() for p in net.parameters())
    return 12.0 * matrices * config.batch * config.population
