"""The verdict on a trained generator: a calibrated two-sample test against held-out data, beside what real data
score."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ganneal.data import Source
from ganneal.engine.batches import mix
from ganneal.engine.config import Config
from ganneal.metrics import mode_coverage
from ganneal.twosample import Gram, TestResult, mmd_test
from ganneal.twosample.gram import mmd_of, sums
from ganneal.twosample.kernels import kernel_for
from ganneal.twosample.permutation import observed_labels
from ganneal.twosample.samples import LEAST

KERNEL = "multiscale"
MOST = 1000
"""Held-out examples a verdict reads at most."""


def parts(source: Source) -> tuple[Tensor, Tensor]:
    """(selection, verdict): the best checkpoint is selected on one third of the held-out data and judged on the rest,
    so that the verdict stays honest."""
    held = source.heldout(MOST * 3 // 2)
    cut = max(1, len(held) // 3)
    return (held[:cut], held[cut:]) if len(held) >= 6 else (held, held)


def distance(x: Tensor, y: Tensor) -> float:
    """Unbiased MMD^2 between samples and held-out data, for selection only."""
    pool = torch.cat([x.flatten(1), y.flatten(1)]).double().cpu()
    found = sums(Gram(pool, [kernel_for(KERNEL, pool)]), observed_labels(len(x), len(y)))
    return float(mmd_of(found, len(x), len(y)))


def verdict(
    config: Config, source: Source, samples: list[Tensor], mixtures: Sequence[tuple[Tensor, int] | None] = ()
) -> dict[str, Any]:
    """All that `verdict.json` holds, for the samples of every member, and for those of its mixture over past generators
    (with their number) where its solver has one.

    Each member is tested against the same held-out data; with several members the level is divided among them (Holm's
    first step is reported by `rejected`), so that the sentence is right for all of them together. The reference is the
    same test on training data.
    """
    _, held = parts(source)
    n = len(held)
    if n < LEAST:
        return {
            "sentence": f"cannot tell: only {n} held-out examples, and a test needs {LEAST}",
            "tests": [],
            "reference": None,
            "modes": None,
            "metrics": {},
        }
    level = config.level / len(samples)
    tests = [_test(config, x[:n], held, level, member) for member, x in enumerate(samples)]
    generator = torch.Generator().manual_seed(mix(config.seed, 8))
    known = source.sample(n, generator) if source.size is None else source.rows(
        torch.randperm(source.size, generator=generator)[:n]
    )  # fmt: skip
    reference = _test(config, known, held, config.level, 0)
    coverage = (
        [mode_coverage(x, source.modes, source.spread) for x in samples]
        if source.modes is not None and source.spread
        else []
    )
    return {
        "sentence": _sentence(tests, reference, config.level),
        "tests": [{**t.to_dict(), "member": k} for k, t in enumerate(tests)],
        "reference": reference.to_dict(),
        "modes": coverage[0].to_dict() if coverage else None,
        "metrics": {
            **{f"modes covered, member {k}": f"{c.modes} of {c.total}" for k, c in enumerate(coverage) if coverage[1:]},
            **_mixed(config, source, held, level, mixtures),
        },
    }


def _mixed(
    config: Config, source: Source, held: Tensor, level: float, mixtures: Sequence[tuple[Tensor, int] | None]
) -> dict[str, str]:
    """What the mixtures over past generators score, in words."""
    found = {}
    for member, mixture in enumerate(mixtures):
        if mixture is None:
            continue
        x, generators = mixture[0].cpu(), mixture[1]
        told = f"p = {_test(config, x[: len(held)], held, level, member).pvalue:.2g}"
        if source.modes is not None and source.spread:
            coverage = mode_coverage(x, source.modes, source.spread)
            told += f", {coverage.modes} of {coverage.total} modes"
        where = f", member {member}" if len(mixtures) > 1 else ""
        found[f"mixture of the last {generators} generators{where}"] = told
    return found


def _test(config: Config, x: Tensor, y: Tensor, level: float, member: int) -> TestResult:
    return mmd_test(
        x.flatten(1),
        y.flatten(1),
        kernel=KERNEL,
        permutations=config.permutations,
        seed=mix(config.seed, 9, member) % 2**31,
        level=level,
    )


def _sentence(tests: list[TestResult], reference: TestResult, level: float) -> str:
    rejected = sum(t.rejected for t in tests)
    if len(tests) == 1:
        said = tests[0].sentence().replace("The samples differ", "The generator's samples differ from held-out data")
    else:
        said = (
            f"{rejected} of {len(tests)} members differ from held-out data (level {level:g} divided among "
            f"them, {tests[0].n} examples each)."
        )
    if reference.rejected:
        said += (
            f" Beware: training data differ from held-out data too (p = {reference.pvalue:.2g}), so the "
            f"split itself is uneven."
        )
    return said
