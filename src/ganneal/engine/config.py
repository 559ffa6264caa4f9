"""The complete, validated configuration of a training, and how it comes about: defaults <- recipe <- file <- flags.

Only text and numbers, so that it is the same in YAML, on the command line and in Python. No torch here: the command
line needs it fast.
"""

import math
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from ganneal.engine.problems import problem, whole
from ganneal.errors import UsageError, nearest
from ganneal.schedules import Adaptive, Each, schedule
from ganneal.temperature import Clock, check_path

FORMAT = 1
"""Version of the run folder; a reader refuses newer ones."""

RUNTIME = ("checkpoint_every", "keep", "sample_every", "out")
"""Keys that do not change a single bit of the training; `resume` accepts other values for them."""


class Config(BaseModel):
    """Everything that determines a training."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, validate_default=True)

    source: str
    """What to learn: digits, ring8, grid25, spiral, moons, gaussian(...), mixture(...), dirac, or a path to .npy .npz
    .csv .parquet, an image folder or zip, idx files, or a packed data set; or an unnormalised density, target:NAME or
    FILE.py:NAME."""
    recipe: str | None = None
    """Named configuration to start from (`ganneal recipes` lists them); by default the one that fits the source."""
    size: int | None = Field(None, ge=4, le=1024)
    """Side to which images of a folder or zip are cropped and resized."""
    dim: int | None = Field(None, ge=1, le=100_000)
    """Dimensions of a density of your own (model.py:log_prob)."""
    heldout: float = Field(0.1, gt=0, lt=1)
    """Share of the data kept for the verdict, where the data set has no test part of its own."""

    objective: str = "rkl"
    """What critic and generator minimise: rkl, nwj, jsd, nonsaturating, kl, least_squares, hinge, wasserstein,
    relativistic."""
    penalty: tuple[str, ...] = ("r1r2(gamma=0.1)",)
    """Penalties, each as name(argument=value), 'none' for none. On the critic: r1, r2, r1r2, gp, sgp, roth, dragan,
    lecam, spectral, clip; on the field of the game: nk, jare, consensus; on the generator: coverage, isometry."""
    lambda_likelihood: str = "0"
    """Schedule of the likelihood regulariser, above -1: negative is hot (covers modes), positive is cold."""
    lambda_entropy: str = "0"
    """Schedule of the entropy regulariser, above -1: positive is hot."""
    beta: str | None = None
    """Schedule of the inverse temperature itself, instead of the lambdas: for example linear(0.2->1, hold=0.2), or for
    a density adaptive(0.05->1, ess=0.5)."""
    clock: Literal["likelihood", "entropy"] = "likelihood"
    """Which lambda realises `beta`."""
    sampler: Literal["exact", "reference", "score", "weighted", "replay"] = "exact"
    """For a density: where log rho comes from. exact (network flow), reference (a critic against a moment-matched
    Gaussian), score (model_score), weighted (importance-weighted proposals), replay (annealed particles as data)."""
    reference: Literal["auto", "none"] = "auto"
    """For the verdict on a density without exact draws: auto compares with a long parallel tempering run."""
    score: str = "dsm"
    """Estimator of the data score: dsm, dae, ssm, stein, ssge, affine, exact, noise_posterior."""
    model_score: str = "dsm"
    """Estimator of the model score, used where lambda_entropy is not 0."""
    score_space: Literal["data", "features"] = "data"
    """Whether the likelihood is that of the data or of the critic's features."""
    score_clip: float = Field(0.0, ge=0)
    """Largest norm of a score per example, 0 for none: bounds the regulariser's force where data lie on a thin set, and
    the force of a density."""
    score_warmup: int = Field(0, ge=0)
    """Examples on which the data score is trained alone before the game begins."""

    system: str = "gan"
    """Which game: gan (one generator, one critic), mode_regularised, mdgan, mix(components=3), mmd(kernel=rq)."""
    critic: str = "single"
    """What the critic sees at once: single examples, pack(size=2), minibatch(kernels=16, dims=8)."""
    augment: str = "none"
    """Differentiable augmentation of data and samples alike before the critic: translation, cutout, color for images,
    rotation for points, jitter(std=0.1), or several as diffaugment(translation, cutout, color)."""
    network: str = "mlp"
    """Networks of generator and critic: mlp(width=, depth=), dcgan(width=), residual(width=), flow(kind=, layers=)."""
    latent: int = Field(16, ge=0, le=4096)
    """Number of latent coordinates; 0 for as many as an example has."""
    latent_law: str = "normal"
    """Law of the latent coordinates: normal, uniform (on [-1, 1]), bourgan(modes=32, scale=0.1)."""
    noise: str = "0"
    """Schedule of the standard deviation of noise added to data and samples alike, so that both laws have densities."""

    solver: str = "alternating"
    """How losses become steps: alternating(n_critic=1, first=critic), simultaneous, extragradient, optimistic,
    prediction, unrolled(steps=5), lookahead(solver=alternating, every=5), averaging(solver=alternating), symplectic,
    competitive, chekhov(opponents=10)."""
    optimizer: str = "adam"
    """adam(beta1=0.5, beta2=0.9), sgd(momentum=0), rmsprop."""
    lr_generator: str = "0.0002"
    """Learning rate of the generator, a schedule."""
    lr_critic: str = "0.0002"
    """Learning rate of the critic, a schedule."""
    lr_score: str = "0.001"
    """Learning rate of score networks, a schedule."""
    ema: float = Field(0.999, ge=0, lt=1)
    """Decay per step of the generator's running average, from which samples are drawn."""
    batch: int = Field(256, ge=2, le=65536)
    """Examples in a batch."""
    examples: int = Field(1_000_000, ge=1)
    """Length of training, in examples shown to the generator."""

    seed: int = Field(0, ge=0, lt=2**31)
    """Seed of the first member."""
    population: int = Field(1, ge=1, le=4096)
    """Number of independent games trained as one stacked computation; member k has seed + k."""
    seeds: tuple[int, ...] | None = None
    """Seeds of the members, one each, instead of seed, seed + 1, ..."""
    precision: Literal["float32", "float64", "bf16"] = "float32"
    """bf16 is for GPUs; penalties stay in float32."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to train."""
    compile: Literal["auto", "on", "off"] = "auto"
    """Compile the whole step; auto does so only where the run is long enough to pay for it."""
    threads: int = Field(0, ge=0, le=1024)
    """CPU threads; 0 chooses by the size of a step."""

    out: str | None = None
    """Run folder to create; by default runs/SOURCE-NUMBER."""
    checkpoint_every: int | None = Field(None, ge=1)
    """Examples between checkpoints; by default a twentieth of the training."""
    keep: int = Field(3, ge=1, le=1000)
    """Checkpoints to keep, besides the best one."""
    log_every: int = Field(50, ge=1)
    """Steps between log lines."""
    sample_every: int | None = Field(None, ge=1)
    """Examples between sample grids; by default a tenth of the training."""
    permutations: int = Field(999, ge=19, le=100_000)
    """Permutations of the verdict's two-sample test."""
    level: float = Field(0.05, gt=0, lt=1)
    """Level of the verdict."""

    @field_validator(
        "lambda_likelihood", "lambda_entropy", "beta", "noise", "lr_generator", "lr_critic", "lr_score", mode="before"
    )
    @classmethod
    def _text(cls, value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            return f"each({', '.join(str(v) for v in value)})"
        return f"{value!r}" if isinstance(value, (int, float)) and not isinstance(value, bool) else value

    @field_validator("penalty", mode="before")
    @classmethod
    def _penalties(cls, value: Any) -> Any:
        items = (value,) if isinstance(value, str) else value
        return tuple(item for item in items if item != "none") if isinstance(items, (list, tuple)) else items

    @field_validator("seeds", mode="before")
    @classmethod
    def _seeds(cls, value: Any) -> Any:
        return tuple(value) if isinstance(value, (list, range)) else value

    @model_validator(mode="after")
    def _consistent(self) -> "Config":
        if self.seeds is not None and len(self.seeds) != self.population:
            raise UsageError(
                f"seeds: {len(self.seeds)} given for a population of {self.population}; give one for each member"
            )
        for key in ("lambda_likelihood", "lambda_entropy", "noise", "lr_generator", "lr_critic", "lr_score"):
            built = self._schedule(key)
            if key.startswith(("lr_", "noise")):
                for member in built.members if isinstance(built, Each) else (built,):
                    if any(member(t) < 0 for t in member.knots):
                        raise UsageError(f"{key}: must not be negative, got {getattr(self, key)}")
        zero = schedule("0")
        if self.beta is not None and (
            self._schedule("lambda_likelihood") != zero or self._schedule("lambda_entropy") != zero
        ):
            raise UsageError(
                f"beta: give either beta or the lambdas, not both; got beta {self.beta}, lambda_likelihood "
                f"{self.lambda_likelihood}, lambda_entropy {self.lambda_entropy}"
            )
        check_path(*self.lambdas())
        return self

    def lambdas(self) -> tuple[Any, Any]:
        """(lambda_likelihood, lambda_entropy) as schedules."""
        if self.beta is None:
            return self._schedule("lambda_likelihood"), self._schedule("lambda_entropy")
        beta = self._schedule("beta")
        if isinstance(beta, Each):
            pairs = [Clock(member, self.clock).lambdas() for member in beta.members]
            return Each(tuple(p[0] for p in pairs)), Each(tuple(p[1] for p in pairs))
        return Clock(beta, self.clock).lambdas()

    @property
    def adaptive(self) -> Adaptive | None:
        """The schedule of beta where the run decides it while it goes."""
        built = None if self.beta is None else self._schedule("beta")
        if isinstance(built, Each) and any(isinstance(member, Adaptive) for member in built.members):
            raise UsageError("beta: adaptive is one schedule for all members, each of which then goes its own way")
        return built if isinstance(built, Adaptive) else None

    def _schedule(self, key: str) -> Any:
        """The schedule of a key, one for all members or one for each; what is wrong with it is said with the key's
        name."""
        try:
            built = schedule(getattr(self, key))
        except UsageError as error:
            raise UsageError(f"{key}: {error}") from None
        check_members(key, built, self.population)
        return built

    def member_seeds(self) -> tuple[int, ...]:
        """One seed per member."""
        return self.seeds if self.seeds is not None else tuple(range(self.seed, self.seed + self.population))

    @property
    def steps(self) -> int:
        """Steps of training: examples over batch, rounded up."""
        return math.ceil(self.examples / self.batch)


def check_members(key: str, built: Any, population: int) -> None:
    """Raise `UsageError` unless a schedule is one for all members or has one entry for each of them."""
    if isinstance(built, Each) and len(built.members) != population:
        raise UsageError(
            f"{key}: {len(built.members)} entries for a population of {population}; give one for each member"
        )


def make(values: dict[str, Any]) -> Config:
    """A `Config` from plain values; every problem becomes a one-line `UsageError` that names the key."""
    _check_keys(values)
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        raise UsageError(problem(error)) from None


def _check_keys(values: dict[str, Any]) -> None:
    for key in values:
        if key not in Config.model_fields:
            raise UsageError(f"unknown key '{key}': {nearest(str(key), Config.model_fields)}")


def load(path: Path) -> Config:
    """The configuration in a run folder's YAML file."""
    values = read_yaml(path)
    try:
        return make(values)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None


def recipes() -> dict[str, dict[str, Any]]:
    """All named recipes: their `about` line and their values."""
    folder = resources.files("ganneal.recipes")
    return {
        f.name.removesuffix(".yaml"): yaml.safe_load(f.read_text())
        for f in folder.iterdir()
        if f.name.endswith(".yaml")
    }


def complete(given: dict[str, Any], kind: str) -> Config:
    """Fill what was not given from the recipe: the one named, the one named after the source, or the one for its
    kind."""
    known = recipes()
    name = given.get("recipe") or (given["source"] if given["source"] in known else kind)
    if str(name) not in known:
        raise UsageError(f"unknown recipe '{name}': {nearest(str(name), known)}")
    values = {k: v for k, v in known[name].items() if k not in ("about", "source")}
    lambdas = ("lambda_likelihood", "lambda_entropy")
    for asked, replaced in (
        (("beta",), lambdas),
        (lambdas, ("beta",)),
    ):  # two ways to say the same: the one given replaces the recipe's
        if any(key in given for key in asked):
            values = {k: v for k, v in values.items() if k not in replaced}
    if "steps" in given:
        steps = whole("steps", given["steps"])
        batch = whole("batch", given.get("batch", values.get("batch", Config.model_fields["batch"].default)))
        given = {**{k: v for k, v in given.items() if k != "steps"}, "examples": steps * batch}
    return make({**values, **given, "recipe": name})


def read_yaml(path: Path) -> dict[str, Any]:
    """Values from a YAML file. Raises `UsageError` if it is unreadable, not a mapping, or has a key that is none of
    ours."""
    try:
        values = yaml.safe_load(path.read_text())
    except OSError as error:
        raise UsageError(f"{path}: cannot read it ({error.strerror or error})") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path}: not a text in UTF-8") from None
    except yaml.YAMLError as error:
        raise UsageError(f"{path}: not YAML ({' '.join(str(error).split())})") from None
    if not isinstance(values, dict):
        raise UsageError(f"{path}: expected keys and values, got {'nothing' if values is None else repr(values)[:80]}")
    try:
        _check_keys({key: value for key, value in values.items() if key != "steps"})
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None
    return values
