"""One run folder in, one self-contained HTML page out."""

import json
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from ganneal.engine.events import read
from ganneal.errors import UsageError
from ganneal.report.charts import charts
from ganneal.report.page import environment, script, write_page
from ganneal.report.pictures import gallery
from ganneal.report.verdict import duration, guard_sentence, judge, number, tests_of

Events = Sequence[Mapping[str, Any]]


def render(run_dir: Path | str) -> Path:
    """Write `report.html` into a run folder, from what lies in that folder alone, and return its path.

    Reads config.yaml, events.jsonl, verdict.json and samples/; what is missing is said on the page. The page needs no
    network. The file appears whole or not at all. Raises UsageError when there is no such folder, RunError when
    events.jsonl is damaged.
    """
    run_dir = Path(run_dir)
    if not run_dir.is_dir():
        raise UsageError(f"{run_dir}: no such run folder; allowed: a folder that `ganneal train` has written")
    return write_page(run_dir / "report.html", environment().get_template("page.html").render(_content(run_dir)))


def _content(run_dir: Path) -> dict[str, Any]:
    notes: list[str] = []
    events = read(run_dir / "events.jsonl")
    config = _mapping(run_dir / "config.yaml", yaml.safe_load, notes)
    verdict = _mapping(run_dir / "verdict.json", json.loads, notes)
    drawn = charts(events)
    guards = [e for e in events if e.get("event") == "guard"]
    start: Mapping[str, Any] = next((e for e in reversed(events) if e.get("event") in ("start", "resume")), {})
    tests = tests_of(verdict)
    population = int(start.get("members") or 1) > 1 or len({test.get("member") for test in tests}) > 1
    return {
        "source": _source(config, run_dir),
        "recipe": config.get("recipe"),
        "folder": run_dir.resolve().name,
        "outcome": judge(verdict),
        "facts": _facts(events, start),
        "gallery": gallery(run_dir, events),
        "charts": drawn,
        "chart_data": script(drawn),
        "modes": _modes((verdict or {}).get("modes")),
        "metrics": (verdict or {}).get("metrics") or {},
        "tests": tests,
        "reference": (verdict or {}).get("reference"),
        "population": population,
        "density": "samplers" in (verdict or {}),
        "guards": [{"examples": e.get("examples", 0), "words": guard_sentence(e, population)} for e in guards],
        "config": list(_flat(config)),
        "environment": list(_flat(start.get("environment") or {})),
        "notes": notes,
        "written": time.strftime("%Y-%m-%d %H:%M", time.localtime()),
    }


def _mapping(path: Path, parse: Any, notes: list[str]) -> dict[str, Any]:
    """The mapping in a file; an unreadable file is a note on the page, not a reason to have no page."""
    if not path.exists():
        return {}
    try:
        content = parse(path.read_text(encoding="utf-8"))
    except (ValueError, yaml.YAMLError) as error:
        notes.append(f"{path.name} could not be read: {error}")
        return {}
    return content if isinstance(content, dict) else {}


def _source(config: Mapping[str, Any], run_dir: Path) -> str:
    data = config.get("data")
    nested = data.get("source") if isinstance(data, Mapping) else data
    return str(config.get("source") or nested or config.get("target") or run_dir.resolve().name)


def _facts(events: Events, start: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The line of numbers below the title."""
    if not events:
        return []
    end: Mapping[str, Any] = next((e for e in reversed(events) if e.get("event") in ("start", "resume", "end")), {})
    seen, total = max(int(e.get("examples", 0)) for e in events), start.get("total")
    facts = [
        ("state", str(end.get("reason", "ended")) if end.get("event") == "end" else "running, or ended without a word"),
        ("examples", f"{seen:,}" + (f" of {total:,}" if isinstance(total, int) and total > seen else "")),
    ]
    if int(start.get("members") or 1) > 1:
        facts.append(("members", f"{start['members']:,}"))
    rates = [e["rate"] for e in events if isinstance(e.get("rate"), int | float) and e.get("event") == "step"]
    if rates:
        facts.append(("speed", f"{number(round(statistics.median(rates)))} examples/s"))
    seconds = [e["seconds"] for e in events if e.get("event") == "end" and isinstance(e.get("seconds"), int | float)]
    if seconds:
        facts.append(("time", duration(seconds[-1])))
    return facts


def _modes(modes: Any) -> dict[str, Any] | None:
    """Mode coverage with a bar for each mode: heights in percent of the highest, and whether it is covered."""
    if not isinstance(modes, Mapping) or not modes.get("total"):
        return None
    counts = [int(count) for count in modes.get("counts") or []]
    highest = max([*counts, 1])
    bars = [{"count": count, "height": 100 * count / highest} for count in counts]
    defaults = {"high_quality": None, "high_quality_ceiling": None, "kl": None, "kl_floor": None, "samples": None}
    return {**defaults, **modes, "bars": bars, "even": 100 * sum(counts) / max(1, len(counts)) / highest}


def _flat(value: Any, prefix: str = "") -> Any:
    """Pairs of dotted key and text of a nested mapping."""
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from _flat(item, f"{prefix}.{key}" if prefix else str(key))
    elif prefix:
        scalar = isinstance(value, str | int | float | bool) or value is None
        yield prefix, str(value) if scalar else json.dumps(value, default=str, ensure_ascii=False)
