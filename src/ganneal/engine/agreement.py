"""Which penalties, critics and augmentations go together: every clash is one line that names it and what would do."""

from collections.abc import Sequence
from typing import Any

from ganneal.augmentation import AUGMENTATIONS, Augmentation
from ganneal.data import Source
from ganneal.engine.building import moves, part
from ganneal.engine.config import Config
from ganneal.errors import UsageError
from ganneal.objectives import Objective
from ganneal.penalties import Coverage, FieldPenalty, GeneratorPenalty, InputGradientPenalty, LeCam
from ganneal.schedules import Each
from ganneal.systems.sight import SIGHTS, Sight


def sight_of(config: Config) -> Sight:
    """What the critic sees at once. Raises `UsageError` if batches do not divide into packs."""
    sight = part("critic", SIGHTS.build, config.critic)
    if config.batch % sight.size:
        low = config.batch - config.batch % sight.size
        raise UsageError(
            f"critic: {config.critic} needs a batch that divides into packs of {sight.size}, got {config.batch}; use "
            f"--batch {low or sight.size}"
        )
    return sight


def augmentation_of(config: Config, source: Source) -> Augmentation | None:
    """The augmentation before the critic. Raises `UsageError` if it is not made for such examples."""
    if config.augment == "none":
        return None
    found = part("augment", AUGMENTATIONS.build, config.augment)
    found.draws(source.shape)
    return found


def check_learning(config: Config, source: Source, objective: Objective, penalties: Sequence[Any]) -> None:
    """Raise `UsageError` for parts of a game on examples that do not go together."""
    sight, augmentation = sight_of(config), augmentation_of(config, source)
    if config.score_space == "features" and any(moves(lambdas) for lambdas in config.lambdas()):
        for key, clash in (("critic", sight.size > 1), ("augment", augmentation is not None)):
            if clash:
                raise UsageError(
                    f"{key}: score_space features needs the critic's features of plain single examples, got "
                    f"{getattr(config, key)}; use --score-space data, or leave {key} out"
                )
    probabilities = objective.optimum == "log_ratio" and not objective.paired
    for penalty in penalties:
        if isinstance(penalty, InputGradientPenalty) and penalty.doubt and not probabilities:
            raise UsageError(
                f"penalty: {penalty.name} weighs by the critic's probabilities, and the critic of {objective.name} has "
                f"none; use r1r2, or an objective such as nonsaturating"
            )
        if isinstance(penalty, Coverage):
            if not (probabilities or objective.optimum == "witness"):
                raise UsageError(
                    f"penalty: coverage is for critics that are log-ratios or witnesses, and that of {objective.name} "
                    f"is neither; use nonsaturating or wasserstein"
                )
            if sight.size > 1:
                raise UsageError(
                    f"penalty: coverage asks the critic about single examples, and {config.critic} judges packs; use "
                    f"critic single or minibatch"
                )
            for name, values in penalty.schedules.items():
                if isinstance(values, Each) and len(values.members) != config.population:
                    raise UsageError(
                        f"penalty: {name} has {len(values.members)} entries for a population of {config.population}"
                    )


def check_sampling(config: Config, penalties: Sequence[Any]) -> None:
    """Raise `UsageError` for parts that a sampler of a density has no use for."""
    for key, plain in (("critic", "single"), ("augment", "none")):
        if getattr(config, key) not in (plain, f"{plain}()"):
            raise UsageError(
                f"{key}: sampler {config.sampler} takes {plain} only, got {getattr(config, key)}; train on examples, "
                f"or use --sampler replay"
            )
    for penalty in penalties:
        if isinstance(penalty, (FieldPenalty, LeCam, GeneratorPenalty)):
            raise UsageError(
                f"penalty: {penalty.name} is for a critic and a generator that learn from examples, not for sampler "
                f"{config.sampler}; use r1r2 with --sampler reference, or --sampler replay"
            )
