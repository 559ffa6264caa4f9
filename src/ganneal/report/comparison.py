"""What `ganneal test` found, as one self-contained page: the verdict, every test, and where the samples differ."""

import inspect
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganneal.errors import UsageError
from ganneal.report.differences import differences
from ganneal.report.page import environment, script, write_page
from ganneal.report.verdict import DASH, LABELS, Outcome, duration, judge, number, p_value

if TYPE_CHECKING:
    from ganneal.comparison import Comparison
    from ganneal.reading import Samples
    from ganneal.twosample.result import TestResult

LONGEST = 34  # characters of a short name
KEPT = 400  # numbers of one list of details that the page's JSON holds
LABELLED = 20  # labels that the conditional test's table names


def render_comparison(found: "Comparison", path: Path | str) -> Path:
    """Write the page of a comparison to `path` and return that path.

    The page needs no network. The file appears whole or not at all. Raises UsageError where there is no such folder.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise UsageError(f"{path}: there is no folder {path.parent}; allowed: a file in a folder that exists")
    return write_page(path, environment().get_template("comparison.html").render(_content(found)))


def _content(found: "Comparison") -> dict[str, Any]:
    first, second = short_names(found.real.name, found.fake.name)
    battery = found.battery
    return {
        "found": found,
        "first": first,
        "second": second,
        "outcome": outcome(found),
        "facts": _facts(found),
        "tests": [_row(r, p, battery.level) for r, p in zip(battery.results, battery.adjusted, strict=True)],
        "given": _given(found.given),
        "relative": _relative(found),
        "where": differences(found, first, second),
        "data": script(_brief(found.to_dict())),
        "written": time.strftime("%Y-%m-%d %H:%M", time.localtime()),
    }  # fmt: skip


def outcome(found: "Comparison") -> Outcome:
    """The state of a whole comparison, in the words of a run's verdict.

    fail        the samples differ, all tests taken together
    undecided   they were not told apart, but could hardly have been (fewer than 100 examples on a side in every test);
                or one test alone would have told them apart, and only the correction for their number says no; or the
                test given the label, which is not among them, rejects
    pass        otherwise
    """
    battery, sentence = found.battery, found.sentence()
    if battery.rejected:
        return Outcome("fail", LABELS["fail"], sentence)
    m, n = max((r.tested or (r.m, r.n) for r in battery.results), key=min)
    judged = judge({"tests": [{"rejected": False, "m": m, "n": n, "level": battery.level}], "sentence": sentence})
    reasons = list(judged.reasons)
    if alone := [f"{r.name} (p = {p_value(r.pvalue)})" for r in battery.results if r.rejected]:
        reasons.append(
            f"taken alone, {' and '.join(alone)} would say that they differ; as one of {len(battery.results)} tests, "
            "that may be chance"
        )
    if found.given is not None and found.given.rejected:
        reasons.append("given the label, the samples differ")
    state = "undecided" if reasons else judged.state
    return Outcome(state, LABELS[state], sentence, tuple(reasons))


def short_names(first: str, second: str) -> tuple[str, str]:
    """Names for captions: the ends of paths, and no more than some letters; the full ones where the short ones agree.

    >>> short_names("/data/real.npz:x", "runs/a/fake.npy")
    ('real.npz:x', 'fake.npy')
    >>> short_names("a/x.npy", "b/x.npy")
    ('a/x.npy', 'b/x.npy')
    """
    short = [_ellipsis(name.rstrip("/").rpartition("/")[2] or name) for name in (first, second)]
    if short[0] == short[1]:
        short = [_ellipsis(name) for name in (first, second)]
    return (short[0], short[1]) if short[0] != short[1] else ("the first sample", "the second sample")


def _ellipsis(name: str) -> str:
    return name if len(name) <= LONGEST else name[: LONGEST // 2 - 1] + "…" + name[-LONGEST // 2 :]


def _facts(found: "Comparison") -> list[tuple[str, str]]:
    """The line of numbers below the verdict."""
    samples = [s for s in (found.real, found.fake, found.other) if s is not None]
    facts = [("examples", " vs ".join(_size(s) for s in samples)), ("each", _shape(found))]
    count = len(found.battery.results)
    facts += [("tests", number(count)), ("level", f"{found.battery.level:g}"), ("seed", str(found.seed))]
    seconds = [r.seconds for r in (*found.battery.results, found.given, found.relative) if r is not None and r.seconds]
    return [*facts, ("time", duration(sum(seconds)))] if seconds else facts


def _size(samples: "Samples") -> str:
    return f"{len(samples):,}" + (f" of {samples.total:,}" if samples.total else "")


def _shape(found: "Comparison") -> str:
    columns = found.x.shape[1]
    if found.real.pictures:
        height, width, *channels = found.real.values.shape[1:]
        seen = "" if columns == found.real.values[0].size else f", compared on {columns:,} features"
        return f"{width} x {height} pixels" + (", colour" if channels == [3] else "") + seen
    return f"{columns:,} column{'s' * (columns != 1)}"


def _row(result: "TestResult", adjusted: float, level: float) -> dict[str, Any]:
    """One line of the table of tests."""
    m, n = result.tested or (result.m, result.n)
    effect = "" if result.effect is None else f"{result.effect:.3g}"
    return {
        "name": result.name,
        "plain": plain(result.name),
        "rejected": adjusted <= level,
        "p": p_value(result.pvalue),
        "adjusted": p_value(adjusted),
        "statistic": result.statistic,
        "effect": effect or DASH,
        "effect_name": result.effect_name if effect else "",
        "power": result.power,
        "examples": f"{m:,} vs {n:,}",
        "part": result.tested is not None,
        "null": result.null,
        "draws": f"{result.permutations:,} draws" if result.permutations else "",
        "seconds": DASH if result.seconds is None else f"{result.seconds:.2f}",
    }


def plain(name: str) -> str:
    """What a test of the battery looks at: the first sentence of its part's docstring, without the name."""
    from ganneal.twosample.battery import TESTS

    entry = TESTS.entries.get(name.partition("(")[0])
    words = " ".join((inspect.getdoc(entry) or "").split()) if entry else ""
    words = words.partition(": ")[2] if words.startswith("`") else words
    words = words.partition(". ")[0].rstrip(".")
    return words[:1].upper() + words[1:] + "." if words else ""


def _given(result: "TestResult | None") -> dict[str, Any] | None:
    """The test given the label, and its labels, the most different first."""
    if result is None:
        return None
    told = result.details.get("labels") or []
    labels = [{**row, "label": _label(row["label"]), "p": p_value(row["pvalue"])} for row in told]
    labels.sort(key=lambda row: (row["pvalue"], -row["statistic"]))
    left_out = [_label(value) for value in result.details.get("left_out") or []]
    return {
        **_row(result, result.pvalue, result.level), "sentence": result.sentence(), "labels": labels[:LABELLED],
        "more": len(labels) - LABELLED, "left_out": left_out,
    }  # fmt: skip


def _label(value: Any) -> str:
    return number(int(value)) if isinstance(value, float) and value.is_integer() else number(value)


def _relative(found: "Comparison") -> dict[str, Any] | None:
    """The test of which model is closer: both with their MMD^2 to the first sample and whether they are the closer one,
    and its name, None where that cannot be told."""
    result, other = found.relative, found.other
    if result is None or other is None:
        return None
    told = result.details
    models = [
        (sample.name, told.get(f"mmd2_{key}"), told.get("closer") == key)
        for sample, key in ((found.fake, "y"), (other, "z"))
    ]
    closer = next((name for name, _, is_closer in models if is_closer), None)
    return {
        "closer": closer,
        "models": models,
        "p": p_value(told["pvalue_two_sided"]),
        "statistic": result.statistic,
        "level": result.level,
    }


def _brief(value: Any) -> Any:
    """Without the long lists of a test's details, which would outweigh the page."""
    if isinstance(value, Mapping):
        return {str(key): _brief(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_brief(item) for item in value] if len(value) <= KEPT else f"{len(value)} values left out"
    return value
