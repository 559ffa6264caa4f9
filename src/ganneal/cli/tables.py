"""Outcomes of tests as tables of plain text."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ganneal.report.verdict import DASH, number
from ganneal.twosample.battery import Battery
from ganneal.twosample.calibrate import Calibration, Rate
from ganneal.twosample.result import TestResult

if TYPE_CHECKING:
    from ganneal.comparison import Comparison
    from ganneal.evaluation import Score


def test_table(found: "Comparison") -> str:
    """One line a test: statistic, p-value, corrected p-value, estimated power, effect, examples, seconds."""
    rows = [("test", "statistic", "p", "corrected", "power", "effect", "examples", "seconds", "")]
    for result, adjusted in zip(found.battery.results, found.battery.adjusted, strict=True):
        m, n = result.tested or (result.m, result.n)
        rows.append(
            (
                result.name,
                number(result.statistic),
                f"{result.pvalue:.3g}",
                f"{adjusted:.3g}",
                DASH if result.power is None else f"{result.power:.2f}",
                _effect(result, found.real.names if not found.real.pictures else ()),
                f"{m} vs {n}",
                f"{result.seconds or 0:.2f}",
                "differ" if adjusted <= found.battery.level else "",
            )
        )
    return aligned(rows)


def calibration_table(found: Sequence[Calibration]) -> str:
    """One line a test: size and power with their intervals, and the names of tests above their level."""
    rows = [("test", "size", "95 % interval", "power", "95 % interval", "")]
    rows += [
        (c.name, *_rate(c.size), *_rate(c.power), "" if c.valid else f"ABOVE ITS LEVEL {c.level:g}") for c in found
    ]
    wrong = [c.name for c in found if not c.valid]
    said = f"above their level: {', '.join(wrong)}" if wrong else "no test is above its level beyond chance"
    return f"{aligned(rows)}\n\n{said}"


def evaluation_table(scores: "Sequence[Score]") -> str:
    """One line a score: the generator, training data, what equal laws score, and which way is good."""
    rows = [("score", "generator", "95 % interval", "training data", "95 % interval", "equal laws", "better")]
    for s in scores:
        perfect = DASH if s.perfect is None else number(s.perfect)
        rows.append(
            (s.name, number(s.value), _interval(s.interval), number(s.reference), _interval(s.reference_interval),
             perfect, s.better)
        )  # fmt: skip
    return aligned(rows)


def reference_table(battery: Battery, reference: Battery) -> str:
    """One line a test: p-values of the generator's samples and of training data, both against held-out data."""
    rows = [("test against held-out data", "p", "corrected", "effect", "training data: p", "corrected", "effect")]
    for a, p, b, q in zip(battery.results, battery.adjusted, reference.results, reference.adjusted, strict=True):
        rows.append((a.name, f"{a.pvalue:.3g}", f"{p:.3g}", _effect(a), f"{b.pvalue:.3g}", f"{q:.3g}", _effect(b)))
    return aligned(rows)


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as their widest cell: the first flush left, the others flush right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _rate(rate: Rate) -> tuple[str, str]:
    low, high = rate.interval
    return f"{rate.share:.3f}", f"{low:.3f} to {high:.3f}"


def _effect(result: TestResult, columns: Sequence[str] = ()) -> str:
    if result.effect is None:
        return DASH
    column = str(result.details.get("column", ""))
    where = f" ({columns[int(column)]})" if column.isdigit() and int(column) < len(columns) else ""
    return f"{result.effect_name} {result.effect:.3f}{where}"


def _interval(interval: tuple[float, float] | None) -> str:
    return DASH if interval is None else f"{number(interval[0])} to {number(interval[1])}"
