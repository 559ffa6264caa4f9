"""From a configuration and a density to the game that trains a sampler of it."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from ganneal.data.target import TargetSource
from ganneal.engine.agreement import check_sampling
from ganneal.engine.building import estimator, moves, network_of
from ganneal.engine.config import Config
from ganneal.errors import UsageError
from ganneal.nets import FlowArchitecture, Moments
from ganneal.objectives import Objective
from ganneal.penalties import Constraint
from ganneal.schedules import schedule
from ganneal.systems import ExactGame, ReferenceGame, SamplingGame, ScoreGame, WeightedGame
from ganneal.systems.weighted import LARGEST_DIM


def sampling(
    config: Config, source: TargetSource, objective: Objective, penalties: tuple[Any, ...]
) -> tuple[Callable[[], Mapping[str, nn.Module]], SamplingGame, list[str]]:
    """(fresh networks, game, cautions) for a density. Raises `UsageError` for parts that do not fit together."""
    check_sampling(config, penalties)
    if objective.name != "rkl":
        raise UsageError(
            f"objective: sampler {config.sampler} minimises reverse KL, so it must be rkl, got {objective.name}"
        )
    if config.latent_law != "normal":
        raise UsageError(
            f"latent_law: sampler {config.sampler} needs normal latent coordinates, got {config.latent_law}"
        )
    network, kind, (dim,) = network_of(config), config.sampler, source.shape
    flow = isinstance(network, FlowArchitecture)
    if kind == "exact" and not flow:
        raise UsageError(f"sampler: exact needs a generator with a density, --network flow; got {config.network}")
    noisy = moves(schedule(config.noise))
    if kind == "exact" and noisy:
        raise UsageError("noise: sampler exact takes none, as the density of noisy samples is not known; set noise 0")
    score = estimator("model_score", config.model_score, None) if kind == "score" else None

    def fresh() -> Mapping[str, nn.Module]:
        nets: dict[str, nn.Module] = {"moments": Moments(dim)} if kind == "reference" else {}
        if kind in ("reference", "weighted"):
            critic = network.critic(source.shape)
            for penalty in penalties:
                if isinstance(penalty, Constraint):
                    critic = penalty.wrap(critic)
            nets["critic"] = critic
        if score is not None and score.learned and (learner := score.network(source.shape)) is not None:
            nets["model_score"] = learner
        return {**nets, "generator": network.generator(config.latent, source.shape)}

    common: dict[str, Any] = {
        "architectures": fresh(), "density": source.density, "dim": dim, "latent": config.latent, "noisy": noisy,
        "clip": config.score_clip,
    }  # fmt: skip
    if kind == "exact":
        return fresh, ExactGame(**common), []
    if kind == "score":
        assert score is not None
        return fresh, ScoreGame(**common, model_score=score), [line for line in [score.caution((dim,))] if line]
    if kind == "reference":
        return fresh, ReferenceGame(**common, penalties=penalties), []
    caution = (
        f"sampler weighted: of proposals in {dim} dimensions hardly any count (.6614^d of them for a Gaussian of half "
        f"the width); use reference or exact"
    )
    return fresh, WeightedGame(**common, penalties=penalties), [caution] if dim > LARGEST_DIM else []
