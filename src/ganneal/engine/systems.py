"""Which game is played: the configuration's `system`, from its text to networks and losses.

A system extends the plain game of a generator and a critic, so that objectives, penalties, noise, critic sets and
augmentation are those of that game.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, Protocol, cast

from torch import nn

from ganneal.data import Source
from ganneal.data.target import TargetSource
from ganneal.engine.building import moves, network_of
from ganneal.engine.config import Config
from ganneal.engine.learning import examples_of, learning
from ganneal.errors import UsageError, nearest
from ganneal.latents import Chosen
from ganneal.nets import encoder
from ganneal.objectives import OBJECTIVES, Objective
from ganneal.parts import Registry
from ganneal.penalties import Constraint
from ganneal.systems import (
    GAN,
    ManifoldDiffusion,
    MixtureCritic,
    MixtureGame,
    MixtureGenerator,
    MMDGame,
    ModeRegularised,
)
from ganneal.systems.mmd import Kernel, median_distance

Built = tuple[Callable[[], Mapping[str, nn.Module]], GAN, list[str]]
"""(fresh networks, game, cautions)."""
Statistic = Literal["mmd", "t"]

MEDIAN = 500
"""Examples whose median distance a kernel on examples is measured in."""
WITNESSED = ("r1", "r2", "r1r2", "gp", "sgp", "dragan", "spectral", "clip")
"""Penalties that make sense on a witness function."""


class System(Protocol):
    """Builds a game on examples. Raises `UsageError` for parts that do not go with it."""

    def build(self, config: Config, source: Source, objective: Objective, penalties: tuple[Any, ...]) -> Built: ...


@dataclass(frozen=True)
class Plain:
    """One generator, one critic."""

    def build(self, config: Config, source: Source, objective: Objective, penalties: tuple[Any, ...]) -> Built:
        return learning(config, source, objective, penalties)


def values(game: GAN) -> dict[str, Any]:
    """The fields of a plain game, by name."""
    return {f.name: getattr(game, f.name) for f in fields(GAN)}


@dataclass(frozen=True)
class Encoded:
    """A generator, an encoder, and one critic or two."""

    game: type[ModeRegularised]
    distance: float
    mode: float

    def build(self, config: Config, source: Source, objective: Objective, penalties: tuple[Any, ...]) -> Built:
        if self.game is ManifoldDiffusion:
            _refuse("mdgan", penalties, {"lecam": "one pair of running means", "coverage": "data to its critic"})

        def extend(make: Callable[[], GAN]) -> GAN:
            plain = make()
            if self.game is ManifoldDiffusion and plain.data_score is not None and plain.data_score.reads_samples:
                raise UsageError(
                    f"score: {config.score} reads the examples that the generator is shown, which in mdgan are "
                    f"reconstructions; use score dsm"
                )
            nets = dict(plain.architectures)
            generator = nets.pop("generator")
            if self.game is ManifoldDiffusion:
                nets = {"manifold": make().architectures["critic"], **nets}
            outputs = encoder(network_of(config), source.shape, config.latent)
            own = {**values(plain), "architectures": {**nets, "encoder": outputs, "generator": generator}}
            return self.game(**own, distance=self.distance, mode=self.mode)

        return learning(config, source, objective, penalties, extend)


@dataclass(frozen=True)
class Mixed:
    """Several generators against several critics."""

    components: int
    barrier: float

    def build(self, config: Config, source: Source, objective: Objective, penalties: tuple[Any, ...]) -> Built:
        _refuse("mix", penalties, {"lecam": "one critic's running means", "isometry": "a latent space of its own"})
        _refuse("mix", penalties, dict.fromkeys(("nk", "jare", "consensus"), "a value without the barrier on weights"))
        if config.score_space == "features" and any(map(moves, config.lambdas())):
            raise UsageError("score_space: with system mix each critic has its own features; use score_space=data")

        def extend(make: Callable[[], GAN]) -> GAN:
            plains = [make() for _ in range(self.components)]
            nets = dict(plains[0].architectures)
            critics, generators = ([p.architectures[name] for p in plains] for name in ("critic", "generator"))
            nets |= {"critic": MixtureCritic(critics), "generator": MixtureGenerator(generators)}
            own = {**values(plains[0]), "architectures": nets, "latent_law": Chosen(plains[0].latent_law)}
            return MixtureGame(**own, components=self.components, strength=self.barrier)

        return learning(config, source, objective, penalties, extend)


@dataclass(frozen=True)
class MeanEmbedding:
    """A generator against a distance of kernel mean embeddings."""

    kernel: Kernel
    statistic: Statistic
    critic: int | None

    def build(self, config: Config, source: Source, objective: Objective, penalties: tuple[Any, ...]) -> Built:
        self._check(config, objective, penalties)
        if self.critic is None and isinstance(source, TargetSource):
            raise UsageError(
                "system: mmd(critic=none) measures its kernel in the data's units, and a density has no "
                "data; use mmd(critic=16)"
            )
        scale = median_distance(examples_of(source, MEDIAN)) if self.critic is None else 1.0

        def extend(make: Callable[[], GAN]) -> GAN:
            plain = make()
            nets = dict(plain.architectures)
            del nets["critic"]
            if self.critic is not None:
                critic: nn.Module = encoder(network_of(config), source.shape, self.critic)
                for penalty in plain.penalties:
                    if isinstance(penalty, Constraint):
                        critic = penalty.wrap(critic)
                nets = {"critic": critic, **nets}
            own = {**values(plain), "architectures": nets, "objective": OBJECTIVES.build("wasserstein")}
            return MMDGame(**own, kernel=self.kernel, statistic=self.statistic, scale=scale)

        fresh, game, _ = learning(config, source, objective, penalties, extend)
        return fresh, game, []  # cautions are about logits

    def _check(self, config: Config, objective: Objective, penalties: tuple[Any, ...]) -> None:
        if objective.name != "rkl":  # the default, which stands for none
            raise UsageError(
                f"objective: system mmd has a distance of its own, so leave the objective out; got {objective.name}"
            )
        if any(map(moves, config.lambdas())):
            raise UsageError("beta: system mmd has no log-ratio to anneal; leave beta and the lambdas out, or use gan")
        if config.critic != "single":
            raise UsageError(f"critic: system mmd sees whole batches already, so use single; got {config.critic}")
        if self.critic is None and penalties:
            raise UsageError(
                f"penalty: system mmd(critic=none) has no critic to penalise, got {', '.join(config.penalty)}; "
                "use --penalty none, or give it one: mmd(critic=16)"
            )
        for penalty in penalties:
            if penalty.name not in WITNESSED:
                raise UsageError(
                    f"penalty: {penalty.name} is not one on the witness of system mmd; use one of "
                    f"{', '.join(WITNESSED)}, or --system gan"
                )


def gan() -> Plain:
    """One generator against one critic (Goodfellow et al. 2014)."""
    return Plain()


def mode_regularised(distance: float = 0.2, mode: float = 0.4) -> Encoded:
    """Reg-GAN (Che et al. 2017, section 3.1): an encoder, reconstructions near the data (weight `distance`, per
    dimension) that fool the critic (weight `mode`). See `ganneal.systems.ModeRegularised`."""
    return Encoded(ModeRegularised, *_weights("mode_regularised", distance=distance, mode=mode))


def mdgan(distance: float = 0.2, mode: float = 0.4) -> Encoded:
    """MDGAN (Che et al. 2017, section 3.3): a manifold step between data and reconstructions, a diffusion step between
    reconstructions and samples. See `ganneal.systems.ManifoldDiffusion`."""
    return Encoded(ManifoldDiffusion, *_weights("mdgan", distance=distance, mode=mode))


def mix(components: int = 3, barrier: float = 0.1) -> Mixed:
    """MIX+GAN (Arora et al. 2017): `components` generators against as many critics, with learned weights that a
    `barrier` keeps off 0. See `ganneal.systems.MixtureGame`."""
    if isinstance(components, bool) or not 2 <= components <= 32:
        raise UsageError(f"mix: components must be a whole number from 2 to 32, got {components}; one is system gan")
    if not barrier > 0:
        raise UsageError(f"mix: barrier must be positive, got {barrier:g}; without it weights die out")
    return Mixed(components, float(barrier))


def mmd(kernel: str = "rq", statistic: str = "mmd", critic: int | None = 16) -> MeanEmbedding:
    """MMD-GAN (Binkowski et al. 2018), with kernel rq or gaussian on `critic` features; `critic=none` compares the
    examples themselves (GMMN), statistic t divides by the estimator's standard deviation (t-GMMN). See
    `ganneal.systems.MMDGame`."""
    if kernel not in ("rq", "gaussian"):
        raise UsageError(f"mmd: unknown kernel '{kernel}': {nearest(kernel, ('rq', 'gaussian'))}")
    if statistic not in ("mmd", "t"):
        raise UsageError(f"mmd: unknown statistic '{statistic}': {nearest(statistic, ('mmd', 't'))}")
    if critic is not None and (isinstance(critic, bool) or not 1 <= critic <= 4096):
        raise UsageError(f"mmd: critic must be a number of features from 1 to 4096, or none; got {critic}")
    return MeanEmbedding(cast(Kernel, kernel), cast(Statistic, statistic), critic)


def _refuse(system: str, penalties: tuple[Any, ...], clashes: dict[str, str]) -> None:
    """A `UsageError` for penalties that a system does not have the parts for."""
    for penalty in penalties:
        if penalty.name in clashes:
            raise UsageError(
                f"penalty: {penalty.name} needs {clashes[penalty.name]}, which system {system} does not have; use "
                f"system gan, or another penalty such as r1r2(gamma=0.1)"
            )


def _weights(name: str, **given: float) -> tuple[float, ...]:
    for key, value in given.items():
        if value < 0:
            raise UsageError(f"{name}: {key} must not be negative, got {value:g}; 0 leaves that term out")
    if not any(given.values()):
        raise UsageError(f"{name}: {' and '.join(given)} are both 0, so that the encoder learns nothing; use gan")
    return tuple(float(value) for value in given.values())


SYSTEMS: Registry[System] = Registry("system", {f.__name__: f for f in (gan, mode_regularised, mdgan, mix, mmd)})
