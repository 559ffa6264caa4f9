"""How good is a sampler of an unnormalised density? Everything that can be said about its samples, in one place.

| number | needs | what a perfect sampler scores |
|---|---|---|
| `ksd` | the score of the target | uniform p-values |
| `importance` | log q of the samples | ESS share 1, log Z exact |
| `shares` | a target whose shares are known | those shares, within their intervals |
| `mmd`, `energy` | a reference sample | uniform p-values |
| `distances` | a reference sample | the floor: the reference against itself, at the same size |
| `moments` | known moments or a reference sample | `mean_floor`, ratios 1 |

No one of them is enough. The Stein discrepancy and the ESS do not see a far mode that is missed, or the wrong weight of
one (both look only where there are samples); shares do not see the form of a mode; a reference is as good as whoever
made it; W2 is dominated by its own floor in many dimensions. All p-values and intervals are for independent samples:
thin a Markov chain first.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from ganneal.errors import UsageError
from ganneal.metrics.floors import Distance, distance_with_floor
from ganneal.metrics.importance import Importance, importance
from ganneal.metrics.membership import Share, shares, shares_pvalue, total_variation
from ganneal.metrics.moments import Moments, moments
from ganneal.targets.target import Target
from ganneal.twosample.energy import energy_distance, energy_test
from ganneal.twosample.mmd import mmd_test
from ganneal.twosample.multiplicity import holm
from ganneal.twosample.result import TestResult
from ganneal.twosample.samples import as_samples
from ganneal.twosample.stein import ksd_test
from ganneal.twosample.transport import wasserstein

TESTED = 2000
"""Examples on a side that tests look at, at most: their time grows with the square."""
TRANSPORTED = 1000
"""Examples on a side that are transported exactly, at most: the time grows with the cube."""
ROWS = 8192
"""Examples evaluated at once."""
LogQ = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Judgement:
    """What is known about n samples for a target; None and () where something it needs was not there.

    target, n, dim
    ksd, mmd, energy   tests of "the samples come from the target" and of "samples and reference have one law"
    adjusted           p-value of each test and of `shares`, adjusted for their number (Holm)
    rejected           names of those at or below `level`
    importance         ESS share, log Z and bounds, where log q was given; its Monte Carlo error is in it
    log_q_estimated    log q itself was an estimate, whose error is not in those intervals
    log_z_true         exact, where the target has it
    shares             of the modes, with intervals and exact truth
    distances          W2, energy distance and W2 between the values of log u, each with its floor
    moments            mean and standard deviation of each coordinate against the truth
    reference          where the reference came from, None where there was none
    reference_exact    its examples are independent exact draws
    evaluations        rows at which log u was computed for this judgement
    """

    target: str
    n: int
    dim: int
    level: float
    seed: int
    ksd: TestResult
    mmd: TestResult | None
    energy: TestResult | None
    adjusted: dict[str, float]
    importance: Importance | None
    log_q_estimated: bool
    log_z_true: float | None
    shares: tuple[Share, ...]
    distances: tuple[Distance, ...]
    moments: Moments | None
    reference: str | None
    reference_exact: bool
    evaluations: int

    @property
    def rejected(self) -> tuple[str, ...]:
        """Tests that say that the samples are wrong, at `level` for all of them together."""
        return tuple(name for name, p in self.adjusted.items() if p <= self.level)

    @property
    def log_z_error(self) -> float | None:
        """Estimated minus exact log Z, where there are both."""
        return None if self.importance is None or self.log_z_true is None else self.importance.log_z - self.log_z_true

    @property
    def total_variation(self) -> float | None:
        """Probability that sits in wrong modes, where the true shares add up to 1."""
        whole = self.shares and abs(sum(s.truth for s in self.shares) - 1) < 1e-6
        return total_variation(self.shares) if whole else None

    def distance(self, name: str) -> Distance | None:
        """The distance of that name: "W2", "energy", "W2 of log u"."""
        return next((d for d in self.distances if d.name == name), None)

    def sentence(self) -> str:
        """The outcome in one sentence that says which numbers are exact."""
        found = ", ".join(f"{name} p = {p:.2g}" for name, p in self.adjusted.items())
        verdict = f"wrong by {' and '.join(self.rejected)}" if self.rejected else "no misfit found, which is no proof"
        parts = [f"{verdict} ({found}, adjusted)", self._log_z(), self._shares(), self._distance()]
        return f"{self.target}, {self.n} samples: " + "; ".join(part for part in parts if part) + "."

    def _log_z(self) -> str:
        if self.importance is None:
            return "no ESS and no log Z without log q"
        found = self.importance.sentence().rstrip(".").replace("; ", ", ")
        truth = "no exact value known" if self.log_z_true is None else f"exactly {self.log_z_true:.5g}"
        if self.log_z_true is None and {"mmd", "energy"} & {*self.rejected}:
            truth += "; the estimate is that of the part that the samples cover"
        return f"{found} ({truth}{', log q itself estimated' if self.log_q_estimated else ''})"

    def _shares(self) -> str:
        if not self.shares:
            return ""
        worst = max(self.shares, key=lambda s: abs(s.share - s.truth))
        return (
            f"share of {worst.name} {worst.share:.3f} [{worst.low:.3f}, {worst.high:.3f}], exactly {worst.truth:.3f}"
            + (f", the worst of {len(self.shares)}" if len(self.shares) > 1 else "")
        )

    def _distance(self) -> str:
        w2 = self.distance("W2")
        if w2 is None:
            return "no reference" if self.reference is None else f"no W2 without second moments ({self.reference})"
        return f"W2 {w2.value:.3g}, floor {w2.floor:.3g} at {w2.size} samples (reference: {self.reference})"

    def to_dict(self) -> dict[str, Any]:
        """Every field, `rejected`, `log_z_error`, `total_variation` and the sentence, ready for strict JSON."""
        told = {f.name: _plain(getattr(self, f.name)) for f in fields(self)}
        return {
            **told, "rejected": list(self.rejected), "log_z_error": self.log_z_error,
            "total_variation": self.total_variation, "sentence": self.sentence(),
        }  # fmt: skip


def judge(
    target: Target, samples: Any, log_q: LogQ | Tensor | None = None, reference: Any = None, *, seed: int = 0,
    permutations: int = 1000, level: float = 0.05, exact: bool = False, estimated_log_q: bool = False,
    change: float = 0.5,
) -> Judgement:  # fmt: skip
    """Judges samples [n, d] of a sampler for that target.

    log_q            log density of the sampler, normalised: a function [b, d] -> [b], or its values [n]. With a
                     function and exact reference draws there is an upper bound of log Z too
    reference        samples [m, d] taken for the truth, m = 2n or more is best; by default exact draws or the stored
                     reference of the target, where it has them
    seed             of everything random: exact draws, order, relabelings, bootstrap
    permutations     of each test
    exact            the given reference holds independent exact draws
    estimated_log_q  log_q are estimates, as by `marginal_log_density`; said in the sentence
    change           of `ksd_test`, for samples that are states of a chain in their order

    Tests see at most 2,000 and transport at most 1,000 examples of a side, drawn at random from all (by rows in order
    for the Stein test of a chain). Raises `UsageError` for samples or log_q that do not fit, and where log u or its
    gradient is not finite at some sample.
    """
    x = as_samples(samples, "samples")
    if x.shape[1] != target.dim:
        raise UsageError(f"samples: got {x.shape[1]} columns; allowed: {target.dim}, as {target.name} has")
    generator = torch.Generator().manual_seed(seed)
    value, score = _evaluated(target, x)
    truth, told, exact = _reference(target, reference, exact, len(x), generator)
    order = torch.randperm(len(x), generator=generator)
    first = order[:TESTED] if change == 0.5 else torch.arange(min(len(x), TESTED))
    request: dict[str, Any] = {"permutations": permutations, "seed": seed, "level": level}
    tests = [ksd_test(x[first], score[first], change=change, **request)]
    weights = true_value = None
    distances: tuple[Distance, ...] = ()
    if truth is not None:
        true_value = _rows(target.log_prob, truth)
        _refuse(target, true_value.isfinite(), "the reference")
        pair = x[order[:TESTED]], truth[:TESTED]
        tests += [mmd_test(*pair, **request), energy_test(*pair, **request)]
        distances = _distances(target, x[order], value[order], truth, true_value)
    if log_q is not None:
        weights = _importance(x, value, truth, true_value, log_q, exact, level, seed)
    modes: tuple[Share, ...] = ()
    if target.membership is not None and target.shares is not None:
        modes = shares(_rows(target.membership, x), target.shares, target.members, level)
    pvalues = {test.name: test.pvalue for test in tests} | ({"shares": shares_pvalue(modes)} if modes else {})
    return Judgement(
        target=target.name, n=len(x), dim=target.dim, level=level, seed=seed, ksd=tests[0],
        mmd=tests[1] if tests[1:] else None, energy=tests[2] if tests[1:] else None,
        adjusted=dict(zip(pvalues, holm(list(pvalues.values())), strict=True)), importance=weights,
        log_q_estimated=estimated_log_q, log_z_true=target.log_z, shares=modes, distances=distances,
        moments=moments(x, target.mean, target.variance, truth), reference=told, reference_exact=exact,
        evaluations=len(x) + (0 if truth is None else len(truth)),
    )  # fmt: skip


def _rows(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Values at x [n, d], a bounded number of rows at once, float64."""
    with torch.no_grad():
        return torch.cat([function(part).detach() for part in x.split(ROWS)]).to(torch.float64)


def _evaluated(target: Target, x: Tensor) -> tuple[Tensor, Tensor]:
    found = [target.value_and_score(part) for part in x.split(ROWS)]
    value, score = (torch.cat(side).to(torch.float64) for side in zip(*found, strict=True))
    _refuse(target, value.isfinite() & score.isfinite().all(1), "samples")
    return value, score


def _refuse(target: Target, fine: Tensor, where: str) -> None:
    bad = (~fine).nonzero()[:, 0]
    if len(bad):
        raise UsageError(
            f"{where}: log u of {target.name} or its gradient is not finite at {len(bad)} of {len(fine)} examples, the "
            f"first is number {int(bad[0])}; allowed: points where both are finite"
        )


def _reference(
    target: Target, given: Any, exact: bool, n: int, generator: torch.Generator
) -> tuple[Tensor | None, str | None, bool]:
    """The reference sample in random order, where it came from, and whether it holds exact draws."""
    if given is not None:
        truth, told = as_samples(given, "reference"), "exact draws" if exact else "samples taken for the truth"
    elif target.draw is not None:
        # three pairs for the floors, each of two samples
        truth = target.draw(max(6 * min(n, TRANSPORTED), min(n, TESTED)), generator)
        truth, told, exact = as_samples(truth, "reference"), "exact draws", True
    elif target.reference is not None:
        truth, told, exact = as_samples(target.reference, "reference"), "stored samples of the target", False
    else:
        return None, None, False
    if truth.shape[1] != target.dim:
        raise UsageError(f"reference: got {truth.shape[1]} columns; allowed: {target.dim}, as {target.name} has")
    return truth[torch.randperm(len(truth), generator=generator)], f"{len(truth)} {told}", exact


def _distances(
    target: Target, x: Tensor, value: Tensor, truth: Tensor, true_value: Tensor
) -> tuple[Distance, ...]:  # fmt: skip
    """Those whose moments exist: W2 needs a second one, the energy distance a first one."""
    found = []
    if target.variance is None or bool(target.variance.isfinite().all()):
        found.append(distance_with_floor("W2", wasserstein, x, truth, TRANSPORTED))
    if target.mean is None or bool(target.mean.isfinite().all()):
        found.append(distance_with_floor("energy", energy_distance, x, truth, TRANSPORTED))
    found.append(distance_with_floor("W2 of log u", wasserstein, value[:, None], true_value[:, None], TRANSPORTED))
    return tuple(found)


def _importance(
    x: Tensor, value: Tensor, truth: Tensor | None, true_value: Tensor | None, log_q: LogQ | Tensor, exact: bool,
    level: float, seed: int,
) -> Importance:  # fmt: skip
    """Weights at the samples and, where that is possible, at exact ones: an inexact reference bounds nothing."""
    given = _rows(log_q, x) if callable(log_q) else log_q.detach().cpu()
    if given.shape != value.shape:
        raise UsageError(f"log_q: got shape {tuple(given.shape)}; allowed: ({len(x)},), one number for each sample")
    forward = None
    if exact and callable(log_q) and truth is not None and true_value is not None:
        forward = true_value - _rows(log_q, truth)
    return importance(value - given.to(value), forward, level=level, seed=seed)


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value.to_dict() if hasattr(value, "to_dict") else value
