"""The tests by name, and several of them at once with one verdict.

A test is written as any other part, `name(argument=value, ...)`: `mmd(kernel=laplace)`, `c2st(classifier=logistic)`.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from inspect import signature
from typing import Any

import numpy as np
import torch

from ganneal.errors import UsageError
from ganneal.parts import Registry, parse
from ganneal.twosample.aggregated import mmd_fuse_test, mmdagg_test
from ganneal.twosample.characteristic import scf_test
from ganneal.twosample.classifier import c2st_test
from ganneal.twosample.columns import ks_test
from ganneal.twosample.deep import DeepSettings, mmd_d_test
from ganneal.twosample.energy import energy_test
from ganneal.twosample.learned import mmd_ard_test, mmd_o_test
from ganneal.twosample.linear import mmd_linear_test
from ganneal.twosample.mean_embedding import me_test
from ganneal.twosample.mmd import mmd_test
from ganneal.twosample.multiplicity import holm
from ganneal.twosample.neighbours import nn_test
from ganneal.twosample.random_features import mmd_features_test
from ganneal.twosample.result import TestResult
from ganneal.twosample.samples import as_pair
from ganneal.twosample.sinkhorn import sinkhorn_test
from ganneal.twosample.transport import sliced_wasserstein_test, wasserstein_test

Run = Callable[..., TestResult]
"""(x, y, seed=..., level=...) -> TestResult."""

PAIRED = ("mmd_linear", "me", "scf")
"""Tests that take examples in pairs; the larger sample is cut at random to the size of the smaller."""

DEFAULT = ("mmd", "mmd_fuse", "energy", "c2st", "nn", "ks")
"""Different eyes: one scale, all scales, location and spread, what a classifier learns, neighbourhoods, single
columns. All are quick, and none but c2st gives away examples."""


def mmd(kernel: str | float | list = "median", permutations: int = 1000) -> Run:
    """`mmd`: maximum mean discrepancy with one kernel."""
    return partial(mmd_test, kernel=kernel, permutations=permutations)


def mmdagg(permutations: int = 2000, widths: int = 10) -> Run:
    """`mmdagg`: MMD with many kernels; the smallest p-value counts, corrected exactly."""
    return partial(mmdagg_test, permutations=permutations, widths=widths)


def mmd_fuse(permutations: int = 2000, widths: int = 10) -> Run:
    """`mmd_fuse`: MMD with many kernels, their soft maximum."""
    return partial(mmd_fuse_test, permutations=permutations, widths=widths)


def mmd_o(permutations: int = 1000) -> Run:
    """`mmd_o`: MMD, the width chosen for power on one half of the samples."""
    return partial(mmd_o_test, permutations=permutations)


def mmd_ard(permutations: int = 1000) -> Run:
    """`mmd_ard`: MMD, a weight for every column chosen on one half."""
    return partial(mmd_ard_test, permutations=permutations)


def mmd_d(permutations: int = 1000, steps: int = 300) -> Run:
    """`mmd_d`: MMD with a deep kernel that is trained on one half."""
    return partial(mmd_d_test, permutations=permutations, settings=DeepSettings(steps=steps))


def mmd_linear(kernel: str | float = "median", permutations: int = 1000) -> Run:
    """`mmd_linear`: MMD over disjoint pairs, in linear time; for millions of examples."""
    return partial(mmd_linear_test, kernel=kernel, permutations=permutations)


def mmd_features(kernel: str = "gaussian", features: int = 500, permutations: int = 1000) -> Run:
    """`mmd_features`: MMD by random Fourier features; for large samples."""
    return partial(mmd_features_test, kernel=kernel, features=features, permutations=permutations)


def energy(permutations: int = 1000) -> Run:
    """`energy`: energy distance; no width to choose."""
    return partial(energy_test, permutations=permutations)


def c2st(
    classifier: str = "network", statistic: str = "logit", folds: int | None = None, permutations: int = 1000
) -> Run:
    """`c2st`: a classifier learns to tell the samples apart on one half and is examined on the other."""
    return partial(c2st_test, classifier=classifier, statistic=statistic, folds=folds, permutations=permutations)


def nn(k: int = 1, graph: str = "knn", permutations: int = 1000) -> Run:
    """`nn`: are nearest neighbours from the same sample more often than by chance."""
    return partial(nn_test, k=k, graph=graph, permutations=permutations)


def me(locations: int = 5, permutations: int = 1000) -> Run:
    """`me`: mean embeddings compared at a few locations, which say where the samples differ."""
    return partial(me_test, locations=locations, permutations=permutations)


def scf(frequencies: int = 5, permutations: int = 1000) -> Run:
    """`scf`: smooth characteristic functions compared at a few frequencies."""
    return partial(scf_test, frequencies=frequencies, permutations=permutations)


def ks(permutations: int = 1000) -> Run:
    """`ks`: Kolmogorov-Smirnov column by column, the largest statistic counts."""
    return partial(ks_test, permutations=permutations)


def wasserstein(permutations: int = 200) -> Run:
    """`wasserstein`: optimal transport, exact for small samples and sliced for large ones."""
    return partial(wasserstein_test, permutations=permutations)


def sliced(permutations: int = 1000) -> Run:
    """`sliced`: Wasserstein distance along random directions."""
    return partial(sliced_wasserstein_test, permutations=permutations)


def sinkhorn(permutations: int = 200) -> Run:
    """`sinkhorn`: the debiased Sinkhorn divergence."""
    return partial(sinkhorn_test, permutations=permutations)


TESTS: Registry[Run] = Registry(
    "test",
    {
        "mmd": mmd,
        "mmdagg": mmdagg,
        "mmd_fuse": mmd_fuse,
        "mmd_o": mmd_o,
        "mmd_ard": mmd_ard,
        "mmd_d": mmd_d,
        "mmd_linear": mmd_linear,
        "mmd_features": mmd_features,
        "energy": energy,
        "c2st": c2st,
        "nn": nn,
        "me": me,
        "scf": scf,
        "ks": ks,
        "wasserstein": wasserstein,
        "sliced": sliced,
        "sinkhorn": sinkhorn,
    },
)


@dataclass(frozen=True, repr=False)
class Battery:
    """Several tests of the same two samples. `adjusted` are Holm's p-values, one a test; the samples differ if the
    smallest of them is at most the level."""

    results: tuple[TestResult, ...]
    adjusted: tuple[float, ...]
    level: float

    @property
    def rejected(self) -> bool:
        """Whether the samples differ, all tests taken together."""
        return min(self.adjusted) <= self.level

    def __repr__(self) -> str:
        return self.sentence()

    def sentence(self) -> str:
        """The verdict in one sentence."""
        first = self.results[0]
        sizes = f"{first.m} vs {first.n} examples"
        best = min(range(len(self.results)), key=lambda i: self.adjusted[i])
        if len(self.results) == 1:
            return first.sentence()
        finding = [r.name for r, p in zip(self.results, self.adjusted, strict=True) if p <= self.level]
        if self.rejected:
            return (
                f"The samples differ (p = {self.adjusted[best]:.2g} at level {self.level:g} after correction for "
                f"{len(self.results)} tests, {sizes}); found by {', '.join(finding)}."
            )
        return (
            f"No difference found at level {self.level:g} by {len(self.results)} tests together ({sizes}, smallest "
            f"corrected p = {self.adjusted[best]:.2g}, {self.results[best].name}). This is not proof of equality."
        )


def run_tests(
    x: Any, y: Any, tests: Sequence[str] | str = DEFAULT, *, seed: int = 0, level: float = 0.05,
    watch: Callable[[str], None] | None = None,
) -> Battery:  # fmt: skip
    """Run tests, given as text, on x [m, ...] and y [n, ...]; each with the same seed, so that a test's outcome does
    not depend on the company it is in. Images [n, C, H, W] go to `mmd_d` as such, to all other tests flattened.

    watch   is told the name of each test before it runs, and how far the long ones are

    Raises UsageError for unknown tests or arguments, before anything is computed.
    """
    shape = np.shape(x)[1:]
    x, y = (v.reshape(len(v), *shape) for v in as_pair(x, y))
    tests = [tests] if isinstance(tests, str) else tests
    runs = [(text, build(text)) for text in dict.fromkeys(tests)]
    if not runs:
        raise UsageError(f"tests: none given; allowed: {', '.join(TESTS)}")
    results = []
    for text, run in runs:
        if watch is not None:
            watch(text)
        a, b = _cut(x, y, seed) if parse(text).name in PAIRED and len(x) != len(y) else (x, y)
        started = time.perf_counter()
        extra = {"progress": _shares(text, watch)} if watch and "progress" in signature(run).parameters else {}
        found = run(a, b, seed=seed, level=level, **extra)
        tested = found.tested if len(a) + len(b) == len(x) + len(y) else found.tested or (len(a), len(b))
        name = found.name if "(" not in text else text
        results.append(
            replace(found, name=name, m=len(x), n=len(y), tested=tested, seconds=time.perf_counter() - started)
        )
    return Battery(tuple(results), tuple(holm([r.pvalue for r in results])), level)


def _shares(text: str, watch: Callable[[str], None]) -> Callable[[float], None]:
    return lambda share: watch(f"{text}: {share:.0%}")


def build(text: str) -> Run:
    """The test that a text stands for. Raises UsageError for anything that is none."""
    run = TESTS.build(text)
    if not callable(run):
        raise UsageError(f"test: got {text!r}; allowed: {', '.join(TESTS)}")
    return run


def _cut(x: torch.Tensor, y: torch.Tensor, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    size, generator = min(len(x), len(y)), torch.Generator().manual_seed(seed)
    return tuple(v[torch.randperm(len(v), generator=generator)[:size]] for v in (x, y))  # type: ignore[return-value]
