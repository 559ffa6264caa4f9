"""A comparison of methods as one self-contained page: the ranking with intervals, every score beside a perfect one,
curves over gradient evaluations, samples, and what was left out. Pictures are drawn as SVG, in the page's colours."""

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from ganneal.comparing.measures import COUNTED, MEASURES
from ganneal.errors import UsageError
from ganneal.report.curves import Scale, curves
from ganneal.report.grid_table import COLOURS, Row, columns, row_of, text_of
from ganneal.report.page import environment, script, write_page
from ganneal.report.pictures import Picture, picture
from ganneal.report.plots import frame, image_grid, png, scatter
from ganneal.report.verdict import duration, number

if TYPE_CHECKING:
    from ganneal.comparing.ranking import Standing
    from ganneal.comparing.results import Results

PICTURES = 24
"""Methods whose samples are shown."""
WIDTH = 320
"""Of a strip of the ranking, in its own units."""
ROOM = 0.3
"""Of the strip that the methods must take for a perfect score to be on it."""


def render_grid(found: "Results") -> Path:
    """Write `report.html` into the comparison's folder and return its path. Raises `UsageError` without any cell."""
    if not found.records:
        raise UsageError(f"{found.folder}: no cell has been finished, so there is nothing to report")
    return write_page(found.folder / "report.html", environment().get_template("grid.html").render(_content(found)))


def _content(found: "Results") -> dict[str, Any]:
    measures, order = columns(found), found.standings()
    rows = [_with_strip(found, s, row_of(found, s, measures)) for s in order]
    perfect = row_of(found, None, measures)
    charts = [c for c in (_curve(found, order, "evaluations"), _curve(found, order, "seconds")) if c]
    return {
        "source": found.asked["source"],
        "folder": str(found.folder),
        "sentence": found.sentence(),
        "facts": _facts(found),
        "measure": found.measure,
        "measures": measures,
        "rows": rows,
        "perfect": perfect,
        "scale": _scale(found),
        "charts": charts,
        "pictures": _pictures(found, order),
        "counted": f"Gradient evaluations are counted {COUNTED[0].lower()}{COUNTED[1:]}",
        "draws": found.records[0]["draws"],
        "refused": found.refused,
        "failed": found.failed,
        "troubles": _troubles(found, order),
        "cautions": _cautions(found),
        "asked": [(key, number(value)) for key, value in found.asked.items() if value is not None],
        "environment": [(k, number(v)) for k, v in found.records[0]["environment"].items()],
        "data": script({"standings": [s.to_dict() for s in order], "rows": found.rows()}),
        "written": time.strftime("%Y-%m-%d %H:%M", time.localtime()),
    }  # fmt: skip


def _facts(found: "Results") -> list[tuple[str, str]]:
    first = found.records[0]
    runs = sum(len(r["rows"]) for r in found.records)
    steps = {r["steps"] for r in found.records}
    failed = sum(bool(row["failed"]) for r in found.records for row in r["rows"])
    facts = [
        ("methods", f"{len(found.records):,}"), ("seeds each", f"{len(first['rows']):,}"), ("runs", f"{runs:,}"),
        ("steps", f"{min(steps):,}" if len(steps) == 1 else f"{min(steps):,} to {max(steps):,}"),
        ("computing", duration(sum(r["seconds"] + r["judging_seconds"] for r in found.records))),
    ]  # fmt: skip
    facts += [("failed runs", f"{failed:,}")] if failed else []
    return [*facts, *([("left out", f"{len(found.refused):,}")] if found.refused else [])]


def _axis(found: "Results") -> tuple[Scale, bool]:
    """The scale of the measure that ranks, and whether a perfect sampler's score is on it: left out where all methods
    would stand close together far from it."""
    values = [v for seeds in found.values(found.measure.key).values() for v in seeds if v is not None] or [0.0]
    floor = _floor(found)
    own = Scale.of(values)
    if floor is None:
        return own, False
    whole = Scale.of([*values, floor])
    room = whole.at(max(values)) - whole.at(min(values))
    return (own, False) if max(values) > min(values) and room < ROOM else (whole, True)


def _floor(found: "Results") -> float | None:
    """What a perfect sampler scores."""
    floor = found.records[0]["perfect"].get(found.measure.key)
    return None if floor is None else float(floor)


def _scale(found: "Results") -> dict[str, Any]:
    """Ticks of the ranking's strips, and where a perfect sampler stands."""
    (scale, shown), floor = _axis(found), _floor(found)
    return {
        "ticks": [(scale.at(t) * WIDTH, text_of(t, found.measure)) for t in scale.ticks()],
        "floor": scale.at(floor) * WIDTH if shown and floor is not None else None,
        "perfect": "" if floor is None else text_of(floor, found.measure),
        "width": WIDTH,
        "log": scale.log,
    }


def _with_strip(found: "Results", standing: "Standing", row: Row) -> Row:
    """The row with its strip: a dot for each seed, the mean, and its interval."""
    scale, _ = _axis(found)
    seeds = [scale.at(v) * WIDTH for v in found.values(found.measure.key)[standing.key] if v is not None]
    told, interval = text_of(standing.mean, found.measure), None
    if standing.low is not None and standing.high is not None:
        interval = (scale.at(standing.low) * WIDTH, scale.at(standing.high) * WIDTH)
        told += f" [{text_of(standing.low, found.measure)}, {text_of(standing.high, found.measure)}]"
    strip = {"seeds": seeds, "mean": scale.at(standing.mean) * WIDTH, "interval": interval, "told": told}
    return replace(row, strip=strip)


def _curve(found: "Results", order: Sequence["Standing"], over: str) -> dict[str, Any] | None:
    """The score over gradient evaluations or seconds: median over seeds, and the range of seeds."""
    lines = []
    for standing in order[:COLOURS]:
        record = found.record(standing.key)
        points = []
        for look in record["curve"]:
            known = [s for s in look["scores"] if s is not None]
            if known:
                x = look["step"] * record["per_step"] if over == "evaluations" else look["seconds"]
                points.append((x, statistics.median(known), min(known), max(known)))
        if len(points) > 1:
            lines.append((standing.place - 1, str(record["label"]), points))
    if not lines:
        return None
    names = {"evaluations": "gradient evaluations of a run", "seconds": "seconds of the population"}
    score = MEASURES[str(found.records[0]["score"])]
    return {"title": f"{score.name[0].upper()}{score.name[1:]} over {names[over]}", "svg": curves(lines)}


def _pictures(found: "Results", order: Sequence["Standing"]) -> list[Picture]:
    """Samples of the first seed of every method."""
    from ganneal.comparing.folder import Folder

    folder = Folder(found.folder)
    real = folder.reference()
    made = []
    limits = None if real is None or "x" not in real else frame(real["x"], None, real.get("modes"), _spread(real))
    for standing in order[:PICTURES]:
        x = folder.samples(standing.key)
        if x is None:
            continue
        label = f"{standing.place}. {found.record(standing.key)['label']}"
        if x.dtype == np.uint8:
            made.append(picture(png(image_grid(x[:16], 4, 24)), f"Generated images of {label}", label))
            continue
        try:
            light, dark = (
                scatter(x, None if real is None else real["x"], limits=limits, dark=d, small=True)
                for d in (False, True)
            )
        except UsageError:  # not a finite sample
            light = dark = png(Image.new("LA", (135, 135), (128, 40)))
            label += " (not finite)"
        made.append(picture(light, f"Samples of {label}", label, dark))
    return made


def _spread(real: Mapping[str, np.ndarray]) -> float | None:
    return float(real["spread"]) if "spread" in real else None


def _troubles(found: "Results", order: Sequence["Standing"]) -> list[tuple[str, str]]:
    """What the guard saw, by method."""
    told = []
    for standing in order:
        record = found.record(standing.key)
        seen: dict[str, list[int]] = {}
        for row in record["rows"]:
            for problem in {t["problem"] for t in row["troubles"]}:
                seen.setdefault(problem, []).append(row["seed"])
        failed = [row["seed"] for row in record["rows"] if row["failed"]]
        words = [f"{problem} (seed{'s' * (len(s) > 1)} {', '.join(map(str, s))})" for problem, s in seen.items()]
        words += [f"given up: seed{'s' * (len(failed) > 1)} {', '.join(map(str, failed))}"] if failed else []
        if words:
            told.append((str(record["label"]), "; ".join(words)))
    return told


def _cautions(found: "Results") -> list[str]:
    by: dict[str, list[str]] = {}
    for record in found.records:
        for line in (*record.get("cautions", ()), *record.get("notes", ())):
            by.setdefault(line, []).append(str(record["label"]))
    return [f"{', '.join(labels[:3])}{' and more' * (len(labels) > 3)}: {line}" for line, labels in by.items()]
