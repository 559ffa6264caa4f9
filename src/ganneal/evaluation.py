"""Everything at once about a trained generator, each number beside what real data score.

The generator's samples are compared with held-out data; so is an equally large part of the training data. The second
column is the floor: a number is bad news only where it is worse than that.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ganneal.api import Run
from ganneal.comparison import Comparison
from ganneal.data import Source
from ganneal.engine.verdict import parts
from ganneal.errors import UsageError
from ganneal.features import Classifies
from ganneal.features import build as build_features
from ganneal.metrics import (
    Memorisation,
    ModeCoverage,
    birthday,
    duplicate_radius,
    frechet_extrapolated,
    inception_score,
    kid_interval,
    memorisation,
    mode_coverage,
    support,
)
from ganneal.metrics.neighbours import neighbour_accuracy
from ganneal.reading import Samples
from ganneal.twosample.battery import Battery, run_tests
from ganneal.twosample.samples import LEAST
from ganneal.twosample.witness import witness_extremes

TESTS = ("mmd", "mmd_fuse", "energy", "c2st", "nn")
SIZE_FOR_BLOCKS = 40
MOST_KNOWN = 50_000
"""Training examples that samples are compared with for copies, at most."""


@dataclass(frozen=True)
class Score:
    """One number of the generator, the same of training data, and their intervals (95 %) where there are any. `perfect`
    is what equal laws score, in words or as a number; `better` says which way is good."""

    name: str
    value: float
    reference: float
    better: str
    interval: tuple[float, float] | None = None
    reference_interval: tuple[float, float] | None = None
    perfect: float | None = None


@dataclass(frozen=True, eq=False, repr=False)
class Evaluation:
    """What `ganneal evaluate` found. `battery` tests held-out data (x) against samples (y), `reference` the same
    against training data; `copying` is None for a toy, which has no training data to copy; `comparison` is the battery
    with the pictures that a page needs."""

    run: str
    checkpoint: str
    features: str
    n: int
    scores: tuple[Score, ...]
    battery: Battery
    reference: Battery
    copying: Memorisation | None
    modes: ModeCoverage | None
    comparison: Comparison
    notes: tuple[str, ...] = ()

    def sentences(self) -> list[str]:
        """The findings in plain words."""
        told = self.battery.sentence().replace(
            "The samples differ", "The generator's samples differ from held-out data"
        )
        said = [told] + ([self.copying.sentence()] if self.copying else [])
        if self.reference.rejected:
            said.append("Beware: training data differ from held-out data too, so the split itself is uneven.")
        if self.modes is not None:
            said.append(self.modes.sentence())
        return said

    def __repr__(self) -> str:
        return "\n".join(self.sentences())

    def to_dict(self) -> dict[str, Any]:
        """Everything but the samples, ready for JSON."""

        def tests(battery: Battery) -> list[dict[str, Any]]:
            return [{**r.to_dict(), "adjusted": p} for r, p in zip(battery.results, battery.adjusted, strict=True)]

        return {
            "run": self.run, "checkpoint": self.checkpoint, "features": self.features, "n": self.n,
            "sentences": self.sentences(), "rejected": self.battery.rejected,
            "scores": [
                {**vars(s), "interval": _list(s.interval), "reference_interval": _list(s.reference_interval)}
                for s in self.scores
            ],
            "tests": tests(self.battery), "reference_tests": tests(self.reference),
            "memorisation": self.copying.to_dict() if self.copying else None,
            "modes": self.modes.to_dict() if self.modes else None,
            "notes": list(self.notes),
        }  # fmt: skip


def evaluate(
    run: Run | str | os.PathLike[str], *, features: str | None = None, checkpoint: str = "last", member: int = 0,
    n: int = 1000, tests: Sequence[str] = TESTS, level: float = 0.05, seed: int = 0,
    watch: Callable[[str], None] | None = None,
) -> Evaluation:  # fmt: skip
    """Judge a run's generator on `features` (default: `raw` for tables and toys, `random(d=64)` for images), with at
    most n held-out examples that neither training nor the choice of a checkpoint has seen, as many samples and as many
    training examples.

    Raises UsageError where fewer than 4 examples are held out, and for features that do not fit the data.
    """
    say = watch or (lambda text: None)
    run = run if isinstance(run, Run) else Run(Path(run))
    source = run.source()
    held = parts(source)[1][:n]
    if len(held) < 2 * LEAST:
        raise UsageError(f"{run.folder}: {len(held)} examples are left for a verdict; allowed: at least {2 * LEAST}")
    n = len(held)
    say("sampling")
    generator = torch.Generator().manual_seed(seed)
    fake = torch.as_tensor(run.sample(n, seed=seed, member=member, which=checkpoint, units=False))
    train = _training(source, 10 * n, generator)
    text = features or ("random(d=64)" if source.kind == "image" else "raw")
    say("features")
    beside, rest = train[: min(n, len(train) // 2)], train[min(n, len(train) // 2) :]
    extract = build_features(text).fit(rest)  # what is compared takes no part in the fit
    x, y, z = extract(fake), extract(held), extract(beside)
    notes = [f"checkpoint {checkpoint}, compared on {text} features"]
    if source.size is not None and len(train) < source.size:
        notes.append(f"copies are looked for among {len(train):,} of {source.size:,} training examples")
    if len(z) < n:
        notes.append(f"only {len(z)} training examples for {n} held-out ones: the reference uses fewer examples")
    scores = [*_support(x, y, z), *_distances(x, y, z, seed, notes), *_neighbours(x, y, z, seed)]
    if isinstance(extract, Classifies):
        scores.append(_inception(extract, fake, beside))
    say("memorisation")
    copying = None
    if source.size is not None:
        copying = memorisation(x, torch.cat([z, extract(rest)]), y, level=level, seed=seed)
    battery = run_tests(y, x, tests, seed=seed, level=level, watch=watch)
    reference = run_tests(y, z, tests, seed=seed, level=level, watch=lambda name: say(f"{name}, training data"))
    modes = None
    if source.modes is not None and source.spread:
        modes = mode_coverage(fake, source.modes, source.spread)
    shown = (y, x) if source.kind == "image" else (held.double(), fake.double())  # a table's page shows its columns
    where = witness_extremes(*shown, seed=seed)
    real, made = (
        Samples(k, source.decode(v), source.columns) for k, v in (("held-out data", held), (str(run.folder), fake))
    )
    comparison = Comparison(real, made, *shown, battery, where, seed, tuple(notes))
    return Evaluation(
        str(run.folder),
        checkpoint,
        text,
        n,
        tuple(scores),
        battery,
        reference,
        copying,
        modes,
        comparison,
        tuple(notes),
    )


def _training(source: Source, drawn: int, generator: torch.Generator) -> Tensor:
    """Training examples in random order, all of them up to a limit; so many draws of a toy."""
    if source.size is None:
        return source.sample(drawn, generator)
    return source.rows(torch.randperm(source.size, generator=generator)[:MOST_KNOWN])


def _support(x: Tensor, y: Tensor, z: Tensor) -> list[Score]:
    k = min(5, len(y) - 1, len(z) - 1)
    ours, theirs = support(y, x, k), support(y, z, k)
    return [
        Score("precision", ours.precision, theirs.precision, "higher"),
        Score("recall", ours.recall, theirs.recall, "higher"),
        Score("density", ours.density, theirs.density, "near 1", perfect=1.0),
        Score("coverage", ours.coverage, theirs.coverage, "higher", perfect=ours.coverage_expected),
    ]


def _distances(x: Tensor, y: Tensor, z: Tensor, seed: int, notes: list[str]) -> list[Score]:
    if min(len(y), len(z)) < SIZE_FOR_BLOCKS:
        notes.append(f"KID and Frechet distance need {SIZE_FOR_BLOCKS} held-out and training examples: left out")
        return []
    ours, theirs = (kid_interval(v, y, seed=seed) for v in (x, z))
    found = [Score("KID", ours.kid, theirs.kid, "lower", (ours.low, ours.high), (theirs.low, theirs.high), 0.0)]
    if min(len(y), len(z)) < 2 * (x.shape[1] + 2):
        notes.append(
            f"Frechet distance: {x.shape[1]} features need {2 * (x.shape[1] + 2)} examples, {min(len(y), len(z))} are "
            "there: left out"
        )
        return found
    a, b = (frechet_extrapolated(v, y, seed=seed) for v in (x, z))
    return [
        *found,
        Score("Frechet distance", a.plain, b.plain, "lower"),
        Score("Frechet distance, extrapolated", a.distance, b.distance, "lower", (a.low, a.high), (b.low, b.high), 0.0),
    ]


def _neighbours(x: Tensor, y: Tensor, z: Tensor, seed: int) -> list[Score]:
    ours, theirs = (neighbour_accuracy(y, v, seed=seed) for v in (x, z))
    radius = duplicate_radius(y)
    twins = [birthday(v, radius).pairs for v in (x, z)]
    return [
        Score("1-NN accuracy on held-out data", ours.real, theirs.real, "near one half", perfect=ours.expected),
        Score("1-NN accuracy on samples", ours.fake, theirs.fake, "near one half", perfect=ours.expected),
        Score(f"near-duplicate pairs of {len(x) * (len(x) - 1) // 2:,}", twins[0], twins[1], "near that of data"),
    ]


def _inception(extract: Classifies, fake: Tensor, train: Tensor) -> Score:
    splits = max(1, min(10, len(fake) // 50, len(train) // 50))
    ours, theirs = (inception_score(extract.probabilities(v), splits) for v in (fake, train))

    def reach(score: Any) -> tuple[float, float] | None:
        error = score.standard_error
        return None if error is None else (score.score - 1.96 * error, score.score + 1.96 * error)

    return Score("Inception score", ours.score, theirs.score, "higher", reach(ours), reach(theirs))


def _list(interval: tuple[float, float] | None) -> list[float] | None:
    return None if interval is None else list(interval)
