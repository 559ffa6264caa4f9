"""Curves: gaps where numbers are missing, one point a count of examples, thin enough for a page."""

import math

from ganneal.report.charts import charts


def step(examples: int, **keys: object) -> dict[str, object]:
    return {"event": "step", "examples": examples, **keys}


def test_single_run() -> None:
    events = [
        step(10, losses={"critic": 1.0, "generator": math.nan}, beta=1.0, rate=5.0),
        step(20, losses={"critic": 2.0, "generator": 3.0}, beta=0.5),
    ]
    losses, annealing, rate = charts(events)
    assert losses["x"] == [10, 20]
    assert [(s["label"], s["values"]) for s in losses["series"]] == [("critic", [1.0, 2.0]), ("generator", [None, 3.0])]
    assert "critic from 1 to 2, between 1 and 2" in losses["summary"]
    assert [s["label"] for s in annealing["series"]] == ["β"]
    assert rate["series"][0]["values"] == [5.0, None]


def test_a_rolled_back_run_gives_increasing_x_with_the_last_value() -> None:
    events = [step(k, losses={"critic": float(i)}) for i, k in enumerate((10, 20, 30, 20, 30, 40))]
    chart = charts(events)[0]
    assert chart["x"] == [10, 20, 30, 40]
    assert chart["series"][0]["values"] == [0, 3, 4, 5]


def test_population_has_a_chart_a_player_and_mean_clocks() -> None:
    events = [
        step(k, losses={"critic": [0.0] * 70, "generator": [1.0] * 69}, beta=[1.0, math.inf, 3.0]) for k in range(3000)
    ]
    critic, generator, annealing = charts(events)
    assert [len(c["series"]) for c in (critic, generator, annealing)] == [70, 69, 1]
    assert "names the first 8" in critic["note"]
    assert len(critic["x"]) * 70 < 45_000
    assert critic["x"][-1] == 2999
    assert annealing["series"][0]["values"][0] == 2.0


def test_test_statistics_are_drawn_once_there_are_two() -> None:
    one = {"event": "verdict", "examples": 5, "tests": [{"statistic": 0.1}], "reference": {"statistic": 0.0}}
    assert charts([one]) == []
    chart = charts([one, {**one, "examples": 6, "reference": None}])[0]
    assert [(s["values"], s["dash"]) for s in chart["series"]] == [([0.0, None], True), ([0.1, 0.1], False)]
    assert charts([]) == []


def test_the_distance_that_a_witness_tells() -> None:
    """Raw looks and their running median, which one outlier does not move."""
    values = [1.0] * 10 + [50.0] + [1.0] * 10
    events = [{"event": "step", "examples": k, "signs": {"distance": v}} for k, v in enumerate(values, 1)]
    (chart,) = charts(events)
    raw, median = chart["series"]
    assert (chart["id"], raw["label"], median["label"]) == ("distance", "each look", "running median")
    assert raw["values"] == values
    assert median["values"] == [1.0] * 21
    population = [{**e, "signs": {"distance": [1.0, 3.0]}} for e in events]
    *members, median = charts(population)[0]["series"]
    assert [m["values"][0] for m in members] == [1.0, 3.0]
    assert median["values"] == [2.0] * 21
    assert charts([{"event": "step", "examples": 1, "signs": {"gap": 1.0}}]) == []
