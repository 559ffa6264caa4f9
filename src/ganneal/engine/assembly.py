"""From a configuration and a source to a game, its optimizers and its schedules."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from ganneal.data import Source
from ganneal.data.target import TargetSource
from ganneal.engine.batches import mix
from ganneal.engine.building import estimator, moves, network_of, part
from ganneal.engine.coefficients import Coefficients
from ganneal.engine.config import Config, check_members
from ganneal.engine.samplers import sampling
from ganneal.errors import UsageError
from ganneal.game import Tensors
from ganneal.objectives import OBJECTIVES, Objective
from ganneal.penalties import PENALTIES, InputGradientPenalty
from ganneal.schedules import Schedule, schedule
from ganneal.scores import ScoreEstimator
from ganneal.solvers import OPTIMIZERS, SOLVERS, Optimizer, Solver
from ganneal.systems import GAN, SamplingGame
from ganneal.temperature import members

T = TypeVar("T")


TRACKING = 0.05
"""Rate at which the reference of a sampler follows the moments of its samples."""


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
        if isinstance(penalty, InputGradientPenalty):
            check_members(f"penalty: weight of {penalty.name}", penalty.weight, config.population)
    if len({p.name for p in penalties}) != len(penalties):
        raise UsageError(f"penalty: each kind at most once, got {', '.join(config.penalty)}")
    game: GAN | SamplingGame
    if isinstance(source, TargetSource) and config.sampler != "replay":
        fresh, game, cautions = sampling(config, source, objective, penalties)
    else:
        fresh, game, cautions = learning(config, source, objective, penalties)
    schedules: dict[str, Schedule] = {
        "lambda_likelihood": config.lambdas()[0],
        "lambda_entropy": config.lambdas()[1],
        "noise": schedule(config.noise),
    }
    rates = {"critic": config.lr_critic, "generator": config.lr_generator, "moments": TRACKING}
    schedules |= {f"lr.{p}": schedule(rates.get(p, config.lr_score)) for p in game.players}
    stacked = config.population if config.population > 1 else None
    optimizer = part("optimizer", OPTIMIZERS.build, config.optimizer)
    plain = OPTIMIZERS.build("sgd")
    return Assembly(
        game=game,
        fresh=fresh,
        solver=part("solver", SOLVERS.build, config.solver),
        optimizers={p: plain if p == "moments" else optimizer for p in game.players},
        coefficients=Coefficients(schedules, penalties, config.ema, stacked),
        cautions=tuple(cautions),
    )


def learning(
    config: Config, source: Source, objective: Objective, penalties: tuple[Any, ...]
) -> tuple[Callable[[], Mapping[str, nn.Module]], GAN, list[str]]:
    """(fresh networks, game, cautions) for examples, which for a density are annealed particles."""
    particles = isinstance(source, TargetSource)
    if config.adaptive is not None and not particles:
        raise UsageError("beta: adaptive is for densities; for examples use linear(...) or geometric(...)")
    if particles:
        _check_replay(config)
    # the temperature of particles is their own, and the game has none
    likelihood, entropy = (schedule("0"), schedule("0")) if particles else config.lambdas()
    estimators = {
        "data_score": estimator("score", config.score, source) if moves(likelihood) else None,
        "model_score": estimator("model_score", config.model_score, None) if moves(entropy) else None,
    }

    def fresh() -> Mapping[str, nn.Module]:
        return build_game(config, source, objective, penalties, estimators).nets

    game = build_game(config, source, objective, penalties, estimators)
    return fresh, game, [] if particles else _cautions(config, game, estimators)


def _check_replay(config: Config) -> None:
    """Particles are one cloud, on a path from a Gaussian at beta 0 to the density at 1, and never go back."""
    if config.population > 1:
        raise UsageError("population: sampler replay has one cloud of particles; train its seeds one by one")
    if config.beta is None or config.adaptive is not None:
        return
    path = schedule(config.beta)
    values = [path(t) for t in path.knots]
    if sorted(values) != values or values[-1] > 1:
        raise UsageError(f"beta: for sampler replay it must rise and end at 1 at most, got {config.beta}")


def build_game(
    config: Config,
    source: Source,
    objective: Objective,
    penalties: Sequence[Any],
    estimators: dict[str, ScoreEstimator | None],
) -> GAN:
    """The game with fresh networks, whose initial values come from torch's global generator."""
    network = network_of(config)
    critic = network.critic(source.shape)
    with torch.no_grad():
        features = critic(torch.zeros(2, *source.shape), features=True)[1].shape[1]
    for penalty in penalties:
        if not isinstance(penalty, InputGradientPenalty):
            critic = penalty.wrap(critic)
    nets: dict[str, nn.Module] = {"critic": critic}
    for player, score in estimators.items():
        shape = (features,) if player == "data_score" and config.score_space == "features" else source.shape
        net = score.network(shape) if score is not None and score.learned else None
        if net is not None:
            nets[player] = net
    nets["generator"] = network.generator(config.latent, source.shape)
    if (
        config.model_score.startswith("noise_posterior")
        and estimators["model_score"] is not None
        and not moves(schedule(config.noise))
    ):
        raise UsageError("model_score: noise_posterior needs noise on the samples; set noise above 0")
    return GAN(
        architectures=nets,
        objective=objective,
        penalties=tuple(penalties),
        shape=source.shape,
        latent=config.latent,
        data_score=estimators["data_score"],
        model_score=estimators["model_score"],
        score_space=config.score_space,
        features=features,
        latent_law=config.latent_law,
        noisy=moves(schedule(config.noise)),
        score_clip=config.score_clip,
        batch_coupled=network.batch_coupled,
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


def _cautions(config: Config, game: GAN, estimators: dict[str, ScoreEstimator | None]) -> list[str]:
    lines = [e.caution(game.shape) for e in estimators.values() if e is not None]
    annealed, objective = any(e is not None for e in estimators.values()), game.objective
    if annealed and not objective.gibbs:
        lines.append(
            f"{objective.name}: with a regulariser its optimum is not the Gibbs law mu^beta; only rkl and "
            f"nwj anneal exactly"
        )
    if objective.optimum == "witness" and not game.penalties:
        lines.append(f"{objective.name}: needs a Lipschitz critic; add a penalty such as gp, sgp, spectral or clip")
    if annealed and any(p.name in ("spectral", "clip", "gp") for p in game.penalties):
        lines.append(
            "a Lipschitz constraint caps the critic's force: where a regulariser is stronger, tails follow "
            "the regulariser alone; prefer a small r1r2, or bound the score with score_clip"
        )
    likelihood, _ = config.lambdas()
    if min(m(t) for m in members(likelihood) for t in m.knots) < -0.1 and not game.noisy and config.score != "exact":
        lines.append(
            "a negative lambda_likelihood without noise often drives samples away from thin data; try "
            "--noise 'linear(0.5->0, hold=0.2)'"
        )
    return [line for line in lines if line]
