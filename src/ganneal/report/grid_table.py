"""Methods as rows of text: every score with its spread over seeds, the place, and how it stands against the best. The
page and the command line both print them."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ganneal.comparing.measures import Measure
from ganneal.report.verdict import DASH, p_value

if TYPE_CHECKING:
    from ganneal.comparing.ranking import Standing
    from ganneal.comparing.results import Results

COLOURS = 8
"""Methods with a colour and a curve."""


@dataclass(frozen=True)
class Score:
    """A number of a table: its text, and the spread over seeds as text."""

    text: str
    spread: str = ""


@dataclass(frozen=True)
class Row:
    """A method in the tables."""

    label: str
    place: int | None
    colour: int | None
    cells: tuple[Score, ...]
    places: str
    against: str
    tied: bool
    failed: int
    strip: Mapping[str, Any] | None = None


def columns(found: "Results") -> list[Measure]:
    """The measures that are shown: the one that ranks first, and only what some method has."""
    present = {m.key: m for m in found.measures()}
    first = [found.measure.key] if found.records else []
    return [present[key] for key in dict.fromkeys([*first, *present]) if key in present]


def row_of(found: "Results", standing: "Standing | None", measures: Sequence[Measure]) -> Row:
    """A method as text; None for a perfect sampler."""
    if standing is None:
        perfect = found.records[0]["perfect"] if found.records else {}
        cells = tuple(Score(DASH if perfect.get(m.key) is None else _perfect(perfect[m.key], m)) for m in measures)
        return Row("a perfect sampler", None, None, cells, "", "", False, 0)
    record = found.record(standing.key)
    values = {m.key: found.values(m.key)[standing.key] for m in measures}
    low, high = standing.places
    return Row(
        label=record["label"], place=standing.place,
        colour=standing.place - 1 if standing.place <= COLOURS else None,
        cells=tuple(_score(values[m.key], m) for m in measures),
        places=f"{low}" if low == high else f"{low} to {high}", against=_against(standing),
        tied=standing.tied and standing.place > 1, failed=sum(bool(row["failed"]) for row in record["rows"]),
    )  # fmt: skip


def _against(standing: "Standing") -> str:
    if standing.place == 1:
        return "the best"
    if standing.adjusted is None:
        return "one seed: cannot tell"
    word = "within noise" if standing.tied else "worse"
    return f"{word} (p = {p_value(standing.adjusted)})"


def _perfect(value: float, measure: Measure) -> str:
    return "0.5 on average" if measure.key == "p" else text_of(value, measure)


def _score(values: Sequence[float | None], measure: Measure) -> Score:
    known = [v for v in values if v is not None]
    if not known:
        return Score(DASH)
    spread = statistics.stdev(known) if len(known) > 1 else 0.0
    told = "" if not spread or measure.key == "evaluations" else f"± {text_of(spread, measure, spread=True)}"
    if measure.key == "p":
        low = sum(v <= 0.05 for v in known)
        return Score(p_value(statistics.median(known)), f"{low} of {len(known)} below 0.05")
    return Score(text_of(statistics.fmean(known), measure), told)


def text_of(value: float, measure: Measure, spread: bool = False) -> str:
    """A value of a measure for people."""
    if measure.digits == "%":
        return f"{100 * value:.1f} %"
    if measure.digits == "d":
        return f"{value:,.0f}" if float(value).is_integer() or abs(value) >= 1000 else f"{value:.2g}" if spread else (
            f"{value:.3g}"
        )  # fmt: skip
    return f"{value:.2g}" if spread else f"{value:.3g}"
