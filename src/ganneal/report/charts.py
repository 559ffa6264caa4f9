"""Curves of a run as data for uPlot: one dictionary a chart, thinned so that a long run stays a small page."""

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeGuard

Event = Mapping[str, Any]
POINTS = 40_000  # numbers in all curves of a chart together
NAMED = 8  # members that a legend names
MEDIAN = 21  # looks in a running median


def charts(events: Sequence[Event]) -> list[dict[str, Any]]:
    """Charts of losses, a critic's distance, annealing, test statistic and speed: {id, title, note, summary, x,
    series}.

    x is examples seen, increasing. A series is {label, values, colour, thin, dash}; a value that is missing or not
    finite is None, which leaves a gap in the curve. Charts without any number are left out.
    """
    steps = _increasing([e for e in events if e.get("event") == "step"])
    verdicts = _increasing([e for e in events if e.get("event") == "verdict" and e.get("tests")])
    found = [*_losses(steps), _distance(steps), _annealing(steps)]
    if len(verdicts) > 1:
        found.append(_statistics(verdicts))
    found.append(_chart("rate", "Speed", "Examples a second.", steps, [_curve(steps, "examples/s", _value("rate"), 0)]))
    return [chart for chart in found if chart["series"]]


def _losses(steps: Sequence[Event]) -> list[dict[str, Any]]:
    """One chart of all players, or for a population one chart a player with a thin line a member."""
    players = list(dict.fromkeys(player for e in steps for player in e.get("losses") or {}))
    values = [value for e in steps for value in (e.get("losses") or {}).values()]
    size = max((len(value) for value in values if _listed(value)), default=0)
    if not size:
        note = "In a game, losses need not fall: read them for balance and trouble."
        return [_chart("losses", "Losses", note, steps, [_curve(steps, p, _loss(p), k) for k, p in enumerate(players)])]
    note = f"{size} members, one thin line each" + (f"; the legend names the first {NAMED}." if size > NAMED else ".")
    return [
        _chart(
            f"loss-{k}", f"Loss of the {player}", note, steps,
            [_curve(steps, f"member {m}", _loss(player, m), m, thin=True) for m in range(size)],
        )
        for k, player in enumerate(players)
    ]  # fmt: skip


def _distance(steps: Sequence[Event]) -> dict[str, Any]:
    """What a witness critic says about the distance of samples from data, a thin line a member, and the running
    median."""
    size = max((len(v) for e in steps if _listed(v := _told(e))), default=0)
    raw = [
        _curve(steps, f"member {m}" if size else "each look", _distance_of(m), m, thin=True) for m in range(size or 1)
    ]
    median = _running_median([_mean(_told(e)) for e in steps])
    smooth = _curve(steps, "running median", _value("distance"), NAMED - 1)
    note = (
        "Mean output of the critic on held-out data minus that on samples. For Wasserstein critics an estimate of the "
        "distance up to their Lipschitz constant, which a clip leaves unknown: compare it within one network and "
        f"penalty only, and while the critic is near its best. The line is the median of {MEDIAN} looks."
    )
    return _chart("distance", "Distance by the critic", note, steps, [*raw, {**smooth, "values": median}])


def _told(event: Event) -> Any:
    return (event.get("signs") or {}).get("distance")


def _distance_of(member: int) -> Callable[[Event], Any]:
    def get(event: Event) -> Any:
        value = _told(event)
        return value if not _listed(value) else value[member] if member < len(value) else None

    return get


def _mean(value: Any) -> float | None:
    numbers = [v for v in map(_finite, value if _listed(value) else [value]) if v is not None]
    return sum(numbers) / len(numbers) if numbers else None


def _running_median(values: Sequence[float | None]) -> list[float | None]:
    """The median of up to MEDIAN neighbours of each value, centred, of those that there are."""
    half = MEDIAN // 2
    found: list[float | None] = []
    for k in range(len(values)):
        near = [v for v in values[max(0, k - half) : k + half + 1] if v is not None]
        found.append(_finite(statistics.median(near)) if near else None)
    return found


def _annealing(steps: Sequence[Event]) -> dict[str, Any]:
    names = (("beta", "β"), ("lambda_likelihood", "λ likelihood"), ("lambda_entropy", "λ entropy"))
    note = "β = (1 + λ likelihood) / (1 + λ entropy), the inverse temperature of the target."
    curves = [_curve(steps, label, _value(key), k) for k, (key, label) in enumerate(names)]
    return _chart("annealing", "Annealing", note, steps, curves)


def _statistics(verdicts: Sequence[Event]) -> dict[str, Any]:
    size = max(len(e["tests"]) for e in verdicts)
    curves = [
        _curve(
            verdicts, f"member {k}" if size > 1 else "samples against held-out data", _statistic(k), k, thin=size > 1
        )
        for k in range(size)
    ]
    curves.insert(0, _curve(verdicts, "training against held-out data", _reference, NAMED - 1, dash=True))
    note = "Smaller is better. Near the dashed line, samples are as close to held-out data as training data are."
    return _chart("statistic", "Test statistic", note, verdicts, curves)


def _chart(
    key: str, title: str, note: str, events: Sequence[Event], curves: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    curves = [curve for curve in curves if any(value is not None for value in curve["values"])]
    stride = max(1, math.ceil(len(events) * len(curves) / POINTS), math.ceil(len(events) / 2000))
    keep = sorted({*range(0, len(events), stride), len(events) - 1}) if events else []
    return {
        "id": key,
        "title": title,
        "note": note,
        "summary": "; ".join(_summary(curve) for curve in curves[:NAMED]),
        "x": [int(events[i].get("examples", 0)) for i in keep],
        "series": [{**curve, "values": [curve["values"][i] for i in keep]} for curve in curves],
    }


def _curve(
    events: Sequence[Event],
    label: str,
    get: Callable[[Event], Any],
    colour: int,
    *,
    thin: bool = False,
    dash: bool = False,
) -> dict[str, Any]:
    values = [_finite(get(e)) for e in events]
    return {"label": label, "values": values, "colour": colour % NAMED, "thin": thin, "dash": dash}


def _summary(curve: Mapping[str, Any]) -> str:
    values = [value for value in curve["values"] if value is not None]
    return f"{curve['label']} from {values[0]:.4g} to {values[-1]:.4g}, between {min(values):.4g} and {max(values):.4g}"


def _increasing(events: Sequence[Event]) -> list[Event]:
    """Events by examples, the last one of each count: a run that was rolled back passes some counts twice."""
    return list({e.get("examples", 0): e for e in sorted(events, key=lambda e: e.get("examples", 0))}.values())


def _loss(player: str, member: int | None = None) -> Callable[[Event], Any]:
    def get(event: Event) -> Any:
        value = (event.get("losses") or {}).get(player)
        if member is None or not _listed(value):
            return value
        return value[member] if member < len(value) else None

    return get


def _value(key: str) -> Callable[[Event], Any]:
    def get(event: Event) -> Any:
        value = event.get(key)
        numbers = [v for v in map(_finite, value) if v is not None] if _listed(value) else None
        if numbers is not None:  # one clock a member: their mean stands for all
            return sum(numbers) / len(numbers) if numbers else None
        return value

    return get


def _statistic(index: int) -> Callable[[Event], Any]:
    return lambda event: event["tests"][index].get("statistic") if index < len(event["tests"]) else None


def _reference(event: Event) -> Any:
    return (event.get("reference") or {}).get("statistic")


def _listed(value: Any) -> TypeGuard[Sequence[Any]]:
    return isinstance(value, list | tuple)


def _finite(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(f"{value:.5g}")
