"""The game of a generator and a critic on examples: from a configuration and a source to networks and losses."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from ganneal.data import Source
from ganneal.data.target import TargetSource
from ganneal.engine.building import estimator, moves, network_of
from ganneal.engine.config import Config
from ganneal.errors import UsageError
from ganneal.objectives import Objective
from ganneal.penalties import InputGradientPenalty
from ganneal.schedules import schedule
from ganneal.scores import ScoreEstimator
from ganneal.systems import GAN
from ganneal.temperature import members


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
