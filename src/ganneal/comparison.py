"""One comparison of two samples: tests, verdict, and where they differ; with a third one, which is closer."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from ganneal.errors import UsageError
from ganneal.reading import Samples, aligned, example_shape, vectors_of
from ganneal.twosample.battery import DEFAULT, PAIRED, Battery, build, run_tests
from ganneal.twosample.conditional import conditional_test
from ganneal.twosample.relative import relative_test
from ganneal.twosample.result import TestResult
from ganneal.twosample.witness import Extremes, witness_extremes

COLUMNS = 50
"""Columns up to which a test of single columns is part of the default battery."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """What `ganneal test` found: the samples as they were compared, the tests, the verdict, and where they differ.

    x, y      float64 [m, d], [n, d] on the common scale: columns divided by the pooled standard deviation, pixels in
              [0, 1], or features
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
    fake, other = aligned(real, fake), None if other is None else aligned(real, other)
    third = (other,) if other is not None else ()
    vectors = vectors_of(real, fake, *third, features=features)
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
    shape = (-1, *vectors[0].shape[1:]) if features else example_shape(real, vectors[0])
    battery = run_tests(
        vectors[0].reshape(shape), vectors[1].reshape(shape), chosen, seed=seed, level=level, watch=watch
    )
    where = witness_extremes(vectors[0], vectors[1], seed=seed)
    return Comparison(
        real, fake, vectors[0], vectors[1], battery, where, seed, tuple(notes), conditional, relative, other
    )


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
