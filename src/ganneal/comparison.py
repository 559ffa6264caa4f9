"""From two sources to one comparison: read them, put them on a common scale, test them, and find where they differ."""

import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ganneal.api import Run
from ganneal.data import Source, open_source
from ganneal.errors import UsageError, nearest
from ganneal.features import build as build_features
from ganneal.twosample.battery import DEFAULT, PAIRED, Battery, build, run_tests
from ganneal.twosample.conditional import conditional_test
from ganneal.twosample.relative import relative_test
from ganneal.twosample.result import TestResult
from ganneal.twosample.witness import Extremes, witness_extremes

MOST = 2000
SPLIT = 20_000
"""Examples of one data set that are cut in halves, at most."""
COLUMNS = 50
"""Columns up to which a test of single columns is part of the default battery."""


@dataclass(frozen=True, eq=False)
class Samples:
    """Examples in the user's units: numbers [n, d], or pictures uint8 [n, H, W] or [n, H, W, C]; `total` is how many
    there are where only some were taken."""

    name: str
    values: np.ndarray
    columns: tuple[str, ...] | None = None
    labels: np.ndarray | None = None
    total: int | None = None
    notes: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Of the columns of a table."""
        return self.columns or tuple(f"x{i}" for i in range(self.values.shape[1]))

    @property
    def pictures(self) -> bool:
        """Whether these are images."""
        return self.values.ndim > 2

    def __len__(self) -> int:
        return len(self.values)


@dataclass(frozen=True, eq=False)
class Comparison:
    """What `ganneal test` found: the samples as they were compared, the tests, the verdict, and where they differ.

    x, y      float64 [m, d], [n, d] on the common scale: columns divided by the pooled standard deviation, pixels in
              [0, 1], or features
    kept      the columns that x is made of; none for images
    notes     what a reader must know: examples left out, shares of examples that both samples hold
    given     the test of equality given a label, where one was asked for
    relative  the test of which of two models is closer, where there are two
    """

    real: Samples
    fake: Samples
    x: Tensor
    y: Tensor
    battery: Battery
    where: Extremes
    seed: int
    kept: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()
    given: TestResult | None = None
    relative: TestResult | None = None
    other: Samples | None = None

    def to_dict(self) -> dict[str, Any]:
        """Everything but the samples, ready for JSON."""
        tests = [
            {**r.to_dict(), "adjusted": p} for r, p in zip(self.battery.results, self.battery.adjusted, strict=True)
        ]
        return {
            "real": self.real.name, "fake": self.fake.name, "other": self.other.name if self.other else None,
            "sentence": self.sentence(), "rejected": self.battery.rejected, "level": self.battery.level,
            "seed": self.seed, "tests": tests, "where": self.where.to_dict(), "notes": list(self.notes),
            "given": self.given.to_dict() if self.given else None,
            "relative": self.relative.to_dict() if self.relative else None,
        }  # fmt: skip

    def sentence(self) -> str:
        """The verdict in one sentence, and the relative one where there is one."""
        said = [self.battery.sentence()]
        if self.given is not None:
            said.append("Given the label: " + self.given.sentence())
        if self.relative is not None:
            said.append(self._closer())
        return " ".join(said)

    def _closer(self) -> str:
        assert self.relative is not None
        assert self.other is not None
        closer = self.relative.details["closer"]
        p = self.relative.details["pvalue_two_sided"]
        if closer == "undecided":
            return f"Which of {self.fake.name} and {self.other.name} is closer cannot be told (two-sided p = {p:.2g})."
        first, second = (self.fake, self.other) if closer == "y" else (self.other, self.fake)
        return f"{first.name} is closer to {self.real.name} than {second.name} (two-sided p = {p:.2g})."


def read_samples(
    source: Any, *, n: int = MOST, seed: int = 0, size: int | None = None, name: str | None = None,
    without: Sequence[str] = (), given: str | None = None,
) -> Samples:  # fmt: skip
    """Up to n examples of a source (any that `open_source` opens, or a run folder, of which n samples are drawn).

    size     side of square images, where a folder holds several sizes
    without  columns to leave out
    given    a column to read as labels, in a file also one of words; "labels": those that come with images

    Raises UsageError with one line that names the source.
    """
    label = None if given == "labels" else given
    if isinstance(source, (str, os.PathLike)) and (Path(source) / "config.yaml").is_file():
        run = Run(Path(source))
        drawn = Samples(name or str(source), run.sample(n, seed=seed), run.source().columns)
        note = f"{source} was trained on {run.config.source}; `ganneal evaluate {source}` uses data held out from it"
        return replace(_picked(drawn, without, label), notes=(note,))
    file = isinstance(source, (str, os.PathLike)) and Path(source).suffix.lower() in (".csv", ".tsv", ".parquet")
    reading: dict[str, Any] = {"without": tuple(without), "label": label} if file else {}
    opened = source if isinstance(source, Source) else open_source(source, size=size, **reading)
    values, labels = opened.examples(n, torch.Generator().manual_seed(seed))
    total = opened.count if opened.count != len(values) else None
    found = Samples(name or opened.name, values, opened.columns, labels, total)
    return found if file else _picked(found, without, label)


def read_all(sources: Sequence[Any], *, seed: int = 0, **reading: Any) -> list[Samples]:
    """Independent samples of several sources, each with a seed of its own; arguments as for `read_samples`.

    Raises UsageError for a file, a folder or a finite source that is given twice: two parts of one set overlap.
    """
    texts = list(map(str, sources))
    for text in {text for text in texts if texts.count(text) > 1}:
        if (Path(text) / "config.yaml").is_file() or os.path.exists(text) or open_source(text).count is not None:
            raise UsageError(f"{text}: given twice; allowed: two independent samples (--calibrate compares its halves)")
    return [read_samples(text, seed=seed + k, name=text, **reading) for k, text in enumerate(texts)]


def _picked(samples: Samples, without: Sequence[str], label: str | None) -> Samples:
    """Samples without some columns, one of them read as labels."""
    dropped = [*without, *([label] if label else [])]
    if not dropped:
        return samples
    keep, names = _kept(samples, dropped), samples.names
    labels = samples.labels if label is None else samples.values[:, names.index(label)]
    return replace(samples, values=samples.values[:, keep], columns=tuple(names[i] for i in keep), labels=labels)


def compare(
    real: Samples, fake: Samples, other: Samples | None = None, *, tests: Sequence[str] | None = None,
    given: bool = False, features: str | None = None, level: float = 0.05, seed: int = 0,
    watch: Callable[[str], None] | None = None,
) -> Comparison:  # fmt: skip
    """Test whether two samples come from one distribution; with a second model `other`, also which of both is closer.

    tests     names with arguments (default: a battery of quick ones that suits the width)
    features  what images are compared on, such as "random(d=64)" or "classifier('FILE.npz')"; default: pixels
    given     also test equality given the labels that the samples have

    Raises UsageError, in one line, for samples that cannot be compared.
    """
    fake, other = _aligned(real, fake), None if other is None else _aligned(real, other)
    third = (other,) if other is not None else ()
    vectors = vectors_of(real, fake, *third, features=features)
    kept = () if real.pictures else tuple(range(real.values.shape[1]))
    notes = [f"{len(s):,} random examples of {s.total:,} in {s.name} are used" for s in (real, fake, *third) if s.total]
    chosen = tests or [t for t in DEFAULT if t != "ks" or vectors[0].shape[1] <= COLUMNS]
    if len(real) != len(fake) and (paired := [t for t in chosen if t.partition("(")[0] in PAIRED]):
        notes.append(
            f"{', '.join(paired)}: examples come in pairs, so the larger sample is cut to {min(len(real), len(fake)):,}"
        )
    notes += [note for s in (real, fake, *third) for note in s.notes]
    if shared := _shared(vectors[0], vectors[1], real.name, fake.name):
        notes.append(f"{shared:.0%} of the examples of {fake.name} are also in {real.name}, number by number")
    for text in chosen:
        build(text)
    conditional = None
    if given:
        if watch is not None:
            watch("given the label")
        a, b = _labels(real), _labels(fake)
        conditional = conditional_test(vectors[0], vectors[1], a, b, seed=seed, level=level)
        used, whole = conditional.m + conditional.n, len(real) + len(fake)
        if used < whole:
            notes.append(
                f"given the label: only {used:,} of {whole:,} examples have a label that both samples hold twice; a "
                "column of very many values is no label"
            )
    relative = None
    if other is not None:
        if watch is not None:
            watch("relative")
        relative = relative_test(vectors[0], vectors[1], vectors[2], level=level)
    shape = (-1, *vectors[0].shape[1:]) if features else _example_shape(real, vectors[0])
    battery = run_tests(
        vectors[0].reshape(shape), vectors[1].reshape(shape), chosen, seed=seed, level=level, watch=watch
    )
    where = witness_extremes(vectors[0], vectors[1], seed=seed)
    return Comparison(
        real, fake, vectors[0], vectors[1], battery, where, seed, kept, tuple(notes), conditional, relative, other
    )


def vectors_of(*samples: Samples, without: Sequence[str] = (), features: str | None = None) -> list[Tensor]:
    """Samples of one kind on their common scale, float64 [n, d] each; of images also their features, by a recipe that
    is fitted, where it needs to be, to all samples together, so that no relabeling changes it."""
    for other in samples[1:]:
        _check_alike(samples[0], other)
    vectors = _scaled([s.values for s in samples], samples[0], _kept(samples[0], without))
    if features is None:
        return vectors
    if not samples[0].pictures:
        raise UsageError(f"features: got {features}; allowed for images only, and {samples[0].name} is a table")
    shape = _channels_first(samples[0].values[:1]).shape[1:]
    signed = [v.reshape(-1, *shape).float().mul(2).sub(1) for v in vectors]
    extract = build_features(features).fit(torch.cat(signed))
    return [extract(v) for v in signed]


def _check_alike(real: Samples, fake: Samples) -> None:
    """Raises UsageError for pictures against numbers, other sizes, other columns."""
    a, b = real.values.shape[1:], fake.values.shape[1:]
    if real.pictures != fake.pictures:
        kinds = ["images" if s.pictures else "a table" for s in (real, fake)]
        raise UsageError(f"{real.name} holds {kinds[0]} and {fake.name} {kinds[1]}; allowed: two of a kind")
    if a != b:
        what = (
            "x".join(map(str, a)) + " pixels and " + "x".join(map(str, b))
            if real.pictures
            else f"{a[0]} and {b[0]} columns"
        )
        hint = "pass --size, or convert to the same channels" if real.pictures else "choose the same columns in both"
        raise UsageError(f"{real.name} and {fake.name}: got {what}; allowed: equal ({hint})")
    named = [s.columns for s in (real, fake) if s.columns and s.columns != _default_columns(a[0])]
    if len(named) == 2 and named[0] != named[1]:
        odd = next((p, q) for p, q in zip(*named, strict=True) if p != q)
        raise UsageError(
            f"{real.name} and {fake.name}: columns differ ('{odd[0]}' and '{odd[1]}'); allowed: the same, in order"
        )


def _aligned(real: Samples, fake: Samples) -> Samples:
    """The second sample with the columns of the first in their order, where both name the same ones."""
    if not (real.columns and fake.columns) or real.columns == fake.columns or set(real.columns) != set(fake.columns):
        return fake
    order = [fake.columns.index(name) for name in real.columns]
    note = f"the columns of {fake.name} stand in another order; they are compared by name"
    return replace(fake, values=fake.values[:, order], columns=real.columns, notes=(*fake.notes, note))


def _default_columns(width: int) -> tuple[str, ...]:
    return tuple(f"x{i}" for i in range(width))


def _kept(real: Samples, without: Sequence[str]) -> list[int]:
    if real.pictures:
        if without:
            raise UsageError(f"without: got {without[0]}; allowed for tables only, and {real.name} holds images")
        return []
    columns = real.names
    for name in without:
        if name not in columns:
            raise UsageError(f"{real.name} has no column '{name}': {nearest(name, columns)}")
    keep = [i for i, name in enumerate(columns) if name not in without]
    if not keep:
        raise UsageError("without: no column is left to compare")
    return keep


def _scaled(values: Sequence[np.ndarray], real: Samples, keep: list[int]) -> list[Tensor]:
    """Pixels in [0, 1]; columns over the standard deviation of all samples together, which no relabeling changes."""
    if real.pictures:
        return [torch.from_numpy(_channels_first(v).reshape(len(v), -1) / 255.0) for v in values]
    tensors = [torch.from_numpy(np.ascontiguousarray(v[:, keep], dtype=np.float64)) for v in values]
    pool = torch.cat(tensors)
    if constant := [i for i, column in zip(keep, pool.T, strict=True) if bool((column == column[0]).all())]:
        names = real.names
        listing = " ".join(names[i] for i in constant)
        raise UsageError(
            f"{real.name}: column '{names[constant[0]]}' has the same value everywhere, so it says nothing; leave it "
            f"out with --without {listing}"
        )
    middle, spread = pool.mean(0), pool.std(0)
    if not bool((spread.isfinite() & (spread > 0)).all()):
        column = real.names[keep[int((~(spread.isfinite() & (spread > 0))).nonzero()[0])]]
        raise UsageError(f"{real.name}: column '{column}' holds numbers too large or too close to compare; rescale it")
    return [(t - middle) / spread for t in tensors]


def _channels_first(pixels: np.ndarray) -> np.ndarray:
    return pixels[:, None] if pixels.ndim == 3 else np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))


def _example_shape(real: Samples, x: Tensor) -> tuple[int, ...]:
    """[-1, d], or [-1, C, H, W] of pictures."""
    return (-1, *(_channels_first(real.values[:1]).shape[1:] if real.pictures else x.shape[1:]))


def _shared(x: Tensor, y: Tensor, first: str, second: str) -> float:
    """The share of y's examples that x holds too. Raises UsageError where all of both are shared."""
    rows, others = (Counter(row.tobytes() for row in v.numpy()) for v in (x, y))
    distinct = len(rows) > len(x) // 2  # of numbers that repeat, equal ones in both samples say nothing
    if (x.shape == y.shape and bool((x == y).all())) or (distinct and rows == others):
        raise UsageError(f"{first} and {second} hold the same examples; allowed: two independent samples")
    return sum(others[row] for row in others if row in rows) / len(y) if distinct else 0.0


def _labels(samples: Samples) -> np.ndarray:
    if samples.labels is None:
        raise UsageError(f"{samples.name} has no labels; allowed with --given: data that come with labels")
    return samples.labels
