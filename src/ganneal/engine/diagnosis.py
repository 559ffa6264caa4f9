"""What is wrong with a run: from its events, its verdict and a look at its checkpoint to named problems, with the
numbers that show them, since when, and the setting to try next."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch

from ganneal.engine.cycles import LEAST, TURNS, Cycle, find_cycle
from ganneal.engine.records import Record
from ganneal.engine.symptoms import PATIENCE, SIGNS, streaks
from ganneal.engine.treatment import Treatment, advice, treatment
from ganneal.schedules import schedule
from ganneal.temperature import members

LEVEL = 1e-3
"""Chance of calling noise a cycle, of all series of a run together."""
COHERENT = 0.5
"""Part of the variance that a line must hold to be called a cycle. Noise that excites a damped rotation has a broad
peak instead."""
MATERIAL = 0.05
"""Amplitude of an oscillation over half the range of its series in the whole run, below which it does not matter."""
SWING = {"spread": 0.25, "offset": 0.25, "gap": 0.1}
"""Amplitude below which an oscillation of samples, in spreads of the data, or of logits does not matter: trainings of
Gaussians that pass their test swing by 0.1 to 0.2 in their last iterate, and their running averages stand still."""
SETTLED = 0.5
"""Growth below which an oscillation dies out."""
GROWING = 2.0
"""Growth above which it does not stay as it is."""
SCATTERED = 0.25
"""Share of samples near a mode below which they are not in modes at all."""
BLIND = 0.02
"""Gap of logits below which a critic tells nothing apart. At the optimum the gap is KL(mu || rho) + KL(rho || mu), so
that a thousand examples could hardly tell them apart either: where a test can, the critic is too weak."""
SEVERE = 8.0
"""Gap of logits from which samples and data are told apart without an error: a logistic generator keeps e^-8 of its
gradient."""
RUNAWAY = 20.0
"""Factor by which losses or samples grow, beyond which a run is diverging."""
COUPLING = 1e-3
"""Change of the generator's loss, in nats, when a sample moves by the spread of the data, below which the critic no
longer tells the generator where to go."""


@dataclass(frozen=True)
class Finding:
    """One problem of one member.

    since      examples from which on it was seen; None where that is not known
    numbers    what shows it, by name
    advice     what to try, in the words in which the guard says it too; the settings alone are the treatment
    """

    problem: str
    member: int
    evidence: str
    since: int | None
    numbers: dict[str, float]
    treatment: Treatment | None
    advice: str = ""

    @property
    def when(self) -> str:
        """Since when it was seen, in brackets; "" where that is not known."""
        return "" if self.since is None else f" (since {self.since} examples)"

    def sentence(self) -> str:
        """Problem, evidence and what to try, in one line."""
        return f"{self.problem}: {self.evidence}{self.when}" + (f"; {self.advice}" if self.advice else "")


@dataclass(frozen=True)
class Diagnosis:
    """All findings of a run, gravest first, and what was seen to be in order."""

    findings: tuple[Finding, ...]
    notes: tuple[str, ...] = field(default=())

    @property
    def healthy(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    def to_dict(self) -> dict[str, Any]:
        """Ready for strict JSON."""
        return {"healthy": self.healthy, "findings": [_plain(f) for f in self.findings], "notes": list(self.notes)}


def _plain(finding: Finding) -> dict[str, Any]:
    found = asdict(finding)
    found["numbers"] = {k: v if math.isfinite(v) else None for k, v in finding.numbers.items()}
    found["try"] = None if finding.treatment is None else finding.treatment.settings
    return {k: v for k, v in found.items() if k != "treatment"} | {"sentence": finding.sentence()}


def diagnose(found: Sequence[Record]) -> Diagnosis:
    """Findings of all members, and what was in order in a word each."""
    findings, notes = [], []
    for record in found:
        own = [finding for detect in DETECTORS for finding in detect(record)]
        runs_away = any(f.problem in ("diverging", "non-finite values") for f in own)
        if runs_away:  # lost modes are then what follows
            own = [f for f in own if f.problem != "modes missing"]
        cycles = {} if runs_away else _cycles(record)
        own += _periodic(record, cycles)
        if any(f.problem == "limit cycle" for f in own):  # then the force passes through 0 twice in every turn
            own = [f for f in own if f.problem != "vanishing coupling"]
        findings += own
        if not own:
            notes.append(_sound(record, cycles))
        elif len(record.examples[record.settled]) < LEAST:
            notes.append(f"{_who(record)}too few looks to tell cycles from noise; a smaller --log-every shows more")
    order = {problem: k for k, problem in enumerate(GRAVITY)}
    findings.sort(key=lambda f: (order.get(f.problem, len(order)), f.member))
    return Diagnosis(tuple(findings), tuple(notes))


def _finding(record: Record, problem: str, evidence: str, since: Any = None, **numbers: float) -> Finding:
    when = None if since is None else int(since)
    config = record.config
    return Finding(problem, record.member, evidence, when, numbers, treatment(problem, config), advice(problem, config))


def _who(record: Record) -> str:
    return f"member {record.member}: " if record.config.population > 1 else ""


def _guarded(record: Record) -> Iterator[Finding]:
    """What a single look shows, by the guard's own table and patience; and what made the guard go back."""
    back = [g for g in record.guards if not str(g.get("action", "")).startswith("named")]
    for problem in dict.fromkeys([*SIGNS, *(g["problem"] for g in back)]):
        sign = SIGNS.get(problem)
        values = record.signs.get(sign.of, np.empty(0)) if sign is not None else np.empty(0)
        counts = streaks(sign.seen(torch.from_numpy(values)).tolist()) if sign is not None and len(values) else [0]
        times = [g for g in back if g["problem"] == problem]
        said, since, numbers = [], [int(g["examples"]) for g in times[:1]], {}
        if sign is not None and counts[-1] >= PATIENCE:
            said.append(f"{sign.of} is {values[-1]:.3g} at the last {counts[-1]} looks")
            since.append(int(record.examples[len(values) - counts[-1]]))
            numbers[sign.of] = float(values[-1])
        if times:
            gave_up = " and gave up" if any("gave up" in str(g["action"]) for g in times) else ""
            often = "once" if len(times) == 1 else f"{len(times)} times, the last time"
            said.append(f"the guard acted {often} after {times[-1]['examples']} examples{gave_up}")
            numbers["times"] = float(len(times))
        if said:
            yield _finding(record, problem, "; ".join(said), min(since), **numbers)
    loss = np.array(list(record.losses.values()))
    if loss.size and not np.isfinite(loss[:, -1]).all() and not back:
        bad = ~np.isfinite(loss).all(0)
        yield _finding(record, "non-finite values", "losses are no numbers", record.examples[int(np.argmax(bad))])


def _diverging(record: Record) -> Iterator[Finding]:
    n = len(record.examples)
    tenth = slice(-max(PATIENCE, n // 10), None)
    if n < 2 * PATIENCE:
        return
    scales = {f"loss of the {p}": (np.abs(v), 1.0) for p, v in record.losses.items()}
    scales |= {s: (np.abs(record.signs[s]), 1.0) for s in ("spread", "offset") if s in record.signs}
    for name, (values, unit) in scales.items():
        if not np.isfinite(values[tenth]).all():
            continue
        early = values[: n // 2][np.isfinite(values[: n // 2])]
        limit = RUNAWAY * max(unit, float(np.median(early)) if len(early) else unit)
        if values[tenth].min() > limit:
            since = record.examples[n - streaks((values > limit).tolist())[-1]]
            yield _finding(
                record, "diverging", f"{name} has grown to {values[-1]:.3g} in absolute value", since,
                value=float(values[-1]),
            )  # fmt: skip
            return


def _modes(record: Record) -> Iterator[Finding]:
    coverage = None if record.examination is None else record.examination.coverage
    if coverage is None:
        return
    fair = sum(coverage.counts) / coverage.total
    held = sum(count >= max(1.0, 0.1 * fair) for count in coverage.counts)
    if held < coverage.total:
        scattered = coverage.high_quality < SCATTERED
        how = "samples lie between the modes: far from trained, or off the data" if scattered else "the others are lost"
        yield _finding(
            record, "modes missing", f"samples are in {held} of {coverage.total} modes, "
            f"{coverage.high_quality:.0%} of {coverage.samples} near one; {how}",
            modes=held, total=coverage.total, high_quality=coverage.high_quality,
        )  # fmt: skip


def _critic(record: Record) -> Iterator[Finding]:
    gap, differs = record.late("gap"), bool(record.test and record.test["rejected"])
    saturated = SIGNS["saturated critic"].seen(torch.tensor(gap)).item()
    if gap > SEVERE and not saturated:
        counts = streaks((record.signs["gap"] > SEVERE).tolist())
        since = record.examples[-counts[-1]] if counts[-1] else None
        yield _finding(
            record, "critic too strong", f"its logits tell data from samples by {gap:.3g} (median of the last third)",
            since, gap=gap,
        )  # fmt: skip
    # data without spread differ from every sample: their spread is no number, and the test says nothing
    if abs(gap) < BLIND and differs and record.test is not None and not math.isnan(record.late("spread")):
        p = float(record.test["pvalue"])
        yield _finding(
            record, "critic too weak", f"a test tells samples from data (p = {p:.2g}), the critic does not "
            f"(its logits differ by {gap:.2g})", gap=gap, pvalue=p,
        )  # fmt: skip
    force = math.nan if record.examination is None else record.examination.force
    if force < COUPLING and (differs or abs(gap) > SEVERE or _apart(record)):
        yield _finding(
            record, "vanishing coupling", f"moving a sample by the spread of the data changes the generator's loss by "
            f"{force:.2g} only, though samples and data differ", force=force,
        )  # fmt: skip


def _spectral(record: Record) -> Iterator[Finding]:
    """Simultaneous gradient steps h are stable while h < min 2 |Re| / |z|^2 over the eigenvalues z of the field, where
    all have Re < 0 (Mescheder et al. 2017, lemma 4). Other solvers and optimizers have other bounds."""
    spectrum = None if record.examination is None else record.examination.spectrum
    config, plain = record.config, ("sgd", "sgd()", "sgd(momentum=0)")
    if spectrum is None or not config.solver.startswith("simultaneous") or config.optimizer not in plain:
        return
    rates = [schedule(text) for text in (config.lr_generator, config.lr_critic)]
    ends = {members(rate)[record.member if len(members(rate)) > 1 else 0](1.0) for rate in rates}
    rate = ends.pop() * (record.guards[-1]["lr_scale"] if record.guards else 1.0)
    if not ends and 0 < spectrum.euler < rate:
        yield _finding(
            record, "learning rate above the stable one", f"steps of {rate:.3g} where {spectrum.euler:.3g} is the most "
            f"that is stable (slowest eigenvalue {spectrum.slowest:.3g})", rate=rate, stable=spectrum.euler,
        )  # fmt: skip


def _turning(record: Record) -> str:
    """What the spectrum says of a cycle, where it is known."""
    spectrum = None if record.examination is None else record.examination.spectrum
    if spectrum is None:
        return ""
    return (
        f"; the slowest eigenvalue at the checkpoint is {spectrum.slowest:.3g}, the largest |Im/Re| "
        f"{spectrum.rotation:.3g}"
    )


def _apart(record: Record) -> bool:
    """Whether the samples are plainly not where the data are."""
    spread, offset = record.late("spread"), record.late("offset")
    coverage = None if record.examination is None else record.examination.coverage
    return spread < 0.5 or spread > 2 or abs(offset) > 0.5 or bool(coverage and coverage.modes < coverage.total)


def _cycles(record: Record) -> dict[str, Cycle]:
    """The strongest line of every series after the transient, where it is one beyond chance."""
    all_series = {f"loss of the {p}": v for p, v in record.losses.items()} | dict(record.signs)
    found = {}
    for name, values in all_series.items():
        finite, cycle = np.isfinite(values), find_cycle(values[record.settled], seed=record.member)
        if cycle is None or cycle.pvalue > LEVEL / record.series or cycle.share < COHERENT:
            continue
        if len(values[record.settled]) / cycle.period < TURNS - 0.5:  # a line between two harmonics
            continue
        amplitude = math.sqrt(2 * cycle.share) * float(np.std(values[record.settled]))
        if amplitude >= max(MATERIAL * float(np.ptp(values[finite])) / 2, SWING.get(name, 0.0)):
            found[name] = cycle
    return found


def _periodic(record: Record, cycles: Mapping[str, Cycle]) -> list[Finding]:
    lasting = {name: c for name, c in cycles.items() if c.growth >= SETTLED}
    if not lasting:
        return []
    window = record.examples[record.settled]
    spacing = float(np.median(np.diff(window)))
    name = max(lasting, key=lambda key: lasting[key].share)
    # a loss is often even in the parameters and turns twice as fast as they do
    period = max(c.period for c in lasting.values() if c.share >= lasting[name].share / 2) * spacing
    problem = "growing oscillation" if lasting[name].growth > GROWING else "limit cycle"
    told = ", ".join(f"{key} (p = {c.pvalue:.1g}, {c.share:.0%} of its variance)" for key, c in lasting.items())
    return [
        _finding(
            record,
            problem,
            f"of period {period:.3g} examples in {told}{_turning(record)}",
            window[0],
            period=period,
            pvalue=lasting[name].pvalue,
            share=lasting[name].share,
            growth=lasting[name].growth,
        )
    ]


def _sound(record: Record, cycles: Mapping[str, Cycle]) -> str:
    """What was looked at and in order."""
    if not len(record.examples):
        return f"{_who(record)}nothing logged yet"
    said = ["losses finite"]
    if not math.isnan(spread := record.late("spread")):
        said.append(f"spread of samples {spread:.2f} of the data's")
    if not math.isnan(gap := record.late("gap")):
        said.append(f"the critic's logits differ by {gap:.2g}")
    if record.examination is not None and record.examination.coverage is not None:
        coverage = record.examination.coverage
        said.append(f"{coverage.modes} of {coverage.total} modes, {coverage.high_quality:.0%} of samples near one")
    if len(record.examples[record.settled]) < LEAST:
        said.append("too few looks to tell cycles from noise (a smaller --log-every shows more)")
    else:
        said.append("an oscillation that dies out" if cycles else "no cycle beyond noise")
    if record.test is not None:
        said.append(f"test against held-out data p = {record.test['pvalue']:.2g}")
    if record.examination is not None and (found := record.examination.spectrum) is not None:
        said.append(f"slowest eigenvalue {found.slowest:.3g}" if found.rightmost else "slowest eigenvalue unknown")
    return _who(record) + ", ".join(said)


DETECTORS: tuple[Callable[[Record], Iterator[Finding]], ...] = (_guarded, _diverging, _modes, _critic, _spectral)
GRAVITY = (
    "non-finite values", "diverging", "collapse", "saturated critic", "vanishing coupling", "growing oscillation",
    "limit cycle", "learning rate above the stable one", "modes missing", "critic too strong", "critic too weak",
)  # fmt: skip

__all__ = ["Diagnosis", "Finding", "diagnose"]
