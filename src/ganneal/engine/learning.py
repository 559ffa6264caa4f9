"""The game of a generator and a critic on examples: from a configuration and a source to networks and losses."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ganneal.data import Source
from ganneal.data.target import TargetSource
from ganneal.engine.agreement import augmentation_of, check_learning, sight_of
from ganneal.engine.batches import mix
from ganneal.engine.building import estimator, moves, network_of, part
from ganneal.engine.config import Config
from ganneal.errors import UsageError
from ganneal.latents import LATENT_LAWS, NORMAL, LatentLaw
from ganneal.objectives import Objective
from ganneal.penalties import Anchors, Constraint, FieldPenalty, InputGradientPenalty, LeCam
from ganneal.schedules import schedule
from ganneal.scores import ScoreEstimator
from ganneal.systems import GAN, field_penalised
from ganneal.temperature import members

Extend = Callable[[Callable[[], GAN]], GAN]
"""From a maker of plain games, each with fresh networks, to the game of a system."""

EXAMPLES = 7
"""Seed of the examples that parts are fitted to before a training."""


def _plain(make: Callable[[], GAN]) -> GAN:
    return make()


def learning(
    config: Config, source: Source, objective: Objective, penalties: tuple[Any, ...], extend: Extend = _plain
) -> tuple[Callable[[], Mapping[str, nn.Module]], GAN, list[str]]:
    """(fresh networks, game, cautions) for examples, which for a density are annealed particles."""
    particles = isinstance(source, TargetSource)
    if config.adaptive is not None and not particles:
        raise UsageError("beta: adaptive is for densities; for examples use linear(...) or geometric(...)")
    if particles:
        _check_replay(config)
    check_learning(config, source, objective, penalties)
    # the temperature of particles is their own, and the game has none
    likelihood, entropy = (schedule("0"), schedule("0")) if particles else config.lambdas()
    estimators = {
        "data_score": estimator("score", config.score, source) if moves(likelihood) else None,
        "model_score": estimator("model_score", config.model_score, None) if moves(entropy) else None,
    }

    law = latents_of(config, source)

    def make() -> GAN:
        return extend(lambda: build_game(config, source, objective, penalties, estimators, law))

    def fresh() -> Mapping[str, nn.Module]:
        return make().nets

    game = make()
    played = field_penalised(game, tuple(p for p in penalties if isinstance(p, FieldPenalty)))
    return fresh, played, [] if particles else _cautions(config, game, estimators)


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


def latents_of(config: Config, source: Source) -> LatentLaw:
    """The law of the latent coordinates, fitted to the data if it wants them."""
    law = part("latent_law", LATENT_LAWS.build, config.latent_law)
    if isinstance(source, TargetSource):
        if law.kind != "normal" or law.width(1) != 1:
            raise UsageError(f"latent_law: a density needs normal latent coordinates, got {config.latent_law}")
        return law

    return law.fit(partial(examples_of, source), config.latent)


def examples_of(source: Source, n: int) -> Tensor:
    """Up to n examples of the training data, always the same ones, whatever the seed of a run: members of a population
    share a law."""
    generator = torch.Generator().manual_seed(mix(EXAMPLES))
    if source.size is None:
        return source.sample(n, generator)
    return source.rows(torch.randperm(source.size, generator=generator)[:n])


def build_game(
    config: Config,
    source: Source,
    objective: Objective,
    penalties: Sequence[Any],
    estimators: dict[str, ScoreEstimator | None],
    law: LatentLaw = NORMAL,
) -> GAN:
    """The game with fresh networks, whose initial values come from torch's global generator."""
    network = network_of(config)
    sight = sight_of(config)
    critic = sight.critic(network.critic, source.shape)
    seen = (sight.size * source.shape[0], *source.shape[1:])
    with torch.no_grad():
        features = critic(torch.zeros(2, *seen), features=True)[1].shape[1]
    for penalty in penalties:
        if isinstance(penalty, Constraint):
            critic = penalty.wrap(critic)
    nets: dict[str, nn.Module] = {"critic": critic}
    if any(isinstance(p, LeCam) for p in penalties):
        nets["anchors"] = Anchors()
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
        penalties=tuple(p for p in penalties if not isinstance(p, FieldPenalty)),
        shape=source.shape,
        latent=config.latent,
        data_score=estimators["data_score"],
        model_score=estimators["model_score"],
        score_space=config.score_space,
        features=features,
        latent_law=law,
        noisy=moves(schedule(config.noise)),
        score_clip=config.score_clip,
        batch_coupled=network.batch_coupled or sight.batch_coupled,
        sight=sight,
        augmentation=augmentation_of(config, source),
    )


def _cautions(config: Config, game: GAN, estimators: dict[str, ScoreEstimator | None]) -> list[str]:
    lines = [e.caution(game.shape) for e in estimators.values() if e is not None]
    annealed, objective = any(e is not None for e in estimators.values()), game.objective
    if annealed and not objective.gibbs:
        lines.append(
            f"{objective.name}: with a regulariser its optimum is not the Gibbs law mu^beta; only rkl and "
            f"nwj anneal exactly"
        )
    held = any(isinstance(p, (InputGradientPenalty, Constraint)) for p in game.penalties)
    if objective.optimum == "witness" and not held:
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
