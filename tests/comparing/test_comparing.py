"""Whole comparisons: what is written, what is left out, and what goes on after it was stopped."""

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ganneal.comparing import Results, Watcher, compare, read
from ganneal.engine import checkpoint
from ganneal.errors import UsageError

Tiny = Callable[..., Results]


class Stop(Exception):
    """Stands for a process that is killed."""


class StopAt(Watcher):
    """A watcher that stops everything at a look."""

    def __init__(self, look: int):
        self.left = look

    def moved(self, name: str, told: Any) -> None:
        self.left -= 1
        if not self.left:
            raise Stop


def _same(one: Results, other: Results) -> None:
    """The same scores of the same cells, bit for bit."""
    assert [r["key"] for r in one.records] == [r["key"] for r in other.records]
    for a, b in zip(one.records, other.records, strict=True):
        assert a["rows"] == b["rows"]
        assert [c["scores"] for c in a["curve"]] == [c["scores"] for c in b["curve"]]


def test_a_grid_is_trained_scored_and_written(tiny: Tiny, tmp_path: Path) -> None:
    found = tiny(objective="rkl, nonsaturating", penalty="none; r1r2(gamma=1)")
    assert [r["label"] for r in found.records] == [
        "rkl · no penalty", "rkl · r1r2(gamma=1)", "nonsaturating · no penalty", "nonsaturating · r1r2(gamma=1)",
    ]  # fmt: skip
    assert [s.place for s in found.standings()] == [1, 2, 3, 4]
    told = json.loads((tmp_path / "it" / "results.json").read_text())
    assert told["standings"][0]["key"] == found.standings()[0].key
    rows = list(csv.DictReader((tmp_path / "it" / "results.csv").open()))
    assert len(rows) == 8
    assert {row["seed"] for row in rows} == {"0", "1"}
    assert {row["evaluations"] for row in rows} == {"40.0"}
    assert (tmp_path / "it" / "report.html").read_text().count("<circle") == 8
    assert not list((tmp_path / "it").glob("working/*/*"))
    assert len(found.records[0]["curve"]) == 10


def test_a_member_of_a_cell_scores_as_it_does_alone(tiny: Tiny, tmp_path: Path) -> None:
    """Populations, and cells that share one because they differ in learning rates alone, change no result."""
    options: dict[str, Any] = {"objective": "rkl", "precision": "float64", "vary": {"lr_critic": ["0.001", "0.01"]}}
    together = tiny(**options, seeds=[3, 5])
    assert [r["shared"] for r in together.records] == [2, 2]
    for seed in (3, 5):
        alone = compare(
            "ring8", **{**options, "vary": None, "lr_critic": "0.01"}, seeds=[seed], out=tmp_path / str(seed),
            network="mlp(width=8, depth=1)", batch=8, steps=20, workers=0, permutations=19,
        )  # fmt: skip
        (expected,) = alone.records[0]["rows"]
        row = next(r for r in together.records[1]["rows"] if r["seed"] == seed)
        for key in ("divergence", "energy", "mmd", "high_quality"):
            assert row[key] == pytest.approx(expected[key], rel=1e-5, abs=1e-9)
    first, second = (r["rows"] for r in together.records)
    assert first[0]["energy"] != second[0]["energy"]


def test_what_was_stopped_goes_on_bit_for_bit(tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ganneal.comparing.training.SAVE_EVERY", 0.0)
    options: dict[str, Any] = {"objective": "rkl, jsd", "penalty": "r1(gamma=1)"}
    whole = tiny(**options, out=tmp_path / "whole")
    with pytest.raises(Stop):
        tiny(**options, watcher=StopAt(14))  # in the second cell
    folder = tmp_path / "it"
    assert len(list(folder.glob("cells/*.json"))) == 1
    (left,) = folder.glob("working/*/*.safetensors")
    assert checkpoint.read(left)[1]["step"] == 6  # look 14 - 10 is told before its checkpoint; one before it is kept
    done = next(folder.glob("cells/*.json"))
    before = done.stat().st_mtime_ns
    again = tiny(**options)
    _same(again, whole)
    assert done.stat().st_mtime_ns == before
    assert read(folder).sentence() == again.sentence()


def test_a_damaged_file_is_made_again(tiny: Tiny, tmp_path: Path) -> None:
    whole = tiny(objective="rkl, jsd", out=tmp_path / "whole")
    shutil.copytree(tmp_path / "whole", tmp_path / "it")
    next((tmp_path / "it" / "cells").glob("*.json")).write_text("{")
    _same(tiny(objective="rkl, jsd"), whole)


def test_more_methods_extend_a_comparison_and_other_conditions_do_not(tiny: Tiny) -> None:
    first = tiny(objective="rkl")
    both = tiny(objective="jsd")
    assert [r["choices"]["objective"] for r in both.records] == ["rkl", "jsd"]
    assert both.records[0]["rows"] == first.records[0]["rows"]
    for other in ({"seeds": 3}, {"steps": 50}, {"source": "grid25"}):
        with pytest.raises(UsageError, match="its cells were made with"):
            tiny(**{"objective": "rkl", **other})


def test_what_does_not_fit_is_left_out_with_the_reason(tiny: Tiny) -> None:
    found = tiny(objective="rkl, hinge", penalty="none; r1(gamma=1) + r1(gamma=2)", vary={"lr_critic": ["0.001", "-1"]})
    assert len(found.records) == 2
    assert len(found.refused) == 6
    reasons = " ".join(r["reason"] for r in found.refused)
    assert "each kind at most once" in reasons
    assert "must not be negative" in reasons
    page = (found.folder / "report.html").read_text()
    assert "each kind at most once" in page


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"objective": "rlk, jds"}, "none of the 2 combinations can be trained: objective: unknown objective 'rlk'"),
        ({"objective": "rlk"}, "objective: unknown objective 'rlk': did you mean 'rkl'"),
        ({"solver": "alternatin"}, "did you mean 'alternating'"),
        ({"rank": "modess"}, "did you mean 'modes'"),
        ({"source": "spiral", "rank": "modes"}, "rank: modes needs known modes"),
        ({"budget": 100}, "budget: sets the number of steps, and so does steps"),
        ({"budget": 1, "steps": None}, "one step of this solver computes 2 gradients"),
        ({"seeds": 0}, "expected 1 to 1024 seeds"),
        ({"seeds": [1, 1]}, "expected different seeds"),
        ({"workers": -1}, "expected 0 to 1024 processes"),
        ({"source": "target:kidney"}, "compare trains on examples"),
    ],
)
def test_a_wrong_request_is_refused_before_a_file_is_written(
    given: dict[str, Any], words: str, tiny: Tiny, tmp_path: Path
) -> None:
    with pytest.raises(UsageError) as error:
        tiny(**{"objective": "rkl", **given})
    assert words in str(error.value)
    assert not (tmp_path / "it").exists()


def test_a_folder_of_something_else_is_refused(tiny: Tiny, tmp_path: Path) -> None:
    (tmp_path / "it").mkdir()
    (tmp_path / "it" / "photo.png").write_text("")
    with pytest.raises(UsageError, match="exists and is no comparison"):
        tiny(objective="rkl")


def test_a_budget_gives_costly_solvers_fewer_steps(tiny: Tiny) -> None:
    found = tiny(solver="alternating, alternating(n_critic=3)", steps=None, budget=40)
    assert [(r["steps"], r["evaluations"]) for r in found.records] == [(20, 40), (10, 40)]


@pytest.mark.parametrize("kind", ["array", "digits", "spiral"])
def test_other_sources(kind: str, tiny: Tiny) -> None:
    rng = np.random.default_rng(0)
    source = rng.normal(size=(500, 3)).astype(np.float32) if kind == "array" else kind
    options: dict[str, Any] = {"score_warmup": 0} if kind == "digits" else {}
    found = tiny(source, objective="jsd", **options)
    assert found.measure.key == "energy"
    assert all(row["energy"] > 0 and 0 < row["p"] <= 1 for r in found.records for row in r["rows"])
    assert "modes" not in [m.key for m in found.measures()]
    again = tiny(source, objective="jsd, hinge", **options)
    assert len(again.records) == 2


def test_a_run_that_is_lost_counts_as_failed(tiny: Tiny) -> None:
    found = tiny(objective="wasserstein", penalty="none", vary={"lr_critic": ["0.001", "1e30"]}, log_every=1)
    lost = found.records[1]["rows"]
    assert all(row["failed"] for row in lost)
    assert {t["problem"] for row in lost for t in row["troubles"]} >= {"non-finite values"}
    assert not any(row["failed"] for row in found.records[0]["rows"])
    assert "failed" in (found.folder / "report.html").read_text()


def test_what_does_not_compile_is_computed_without(tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torch._dynamo.exc import Unsupported

    def refuse(method: Any, device: Any) -> Any:
        def step(*arguments: Any) -> Any:
            raise Unsupported("a call that cannot be traced\n  with a long explanation", "")

        return step

    plain = tiny(objective="rkl", compile="off", out=tmp_path / "plain")
    monkeypatch.setattr("ganneal.engine.devices.compiled", refuse)
    found = tiny(objective="rkl", compile="on")
    (record,) = found.records
    assert record["notes"] == ["computed without the compiler, which failed: Unsupported: a call that cannot be traced"]
    assert (record["compiled"], record["rows"]) == (False, plain.records[0]["rows"])
    assert record["notes"][0] in (found.folder / "report.html").read_text()


@pytest.mark.slow
def test_a_process_that_dies_says_why(tiny: Tiny, tmp_path: Path) -> None:
    class Remove(Watcher):
        """Takes the data away before the processes read it."""

        def planned(self, *arguments: Any) -> None:
            (tmp_path / "it" / "data.npy").unlink()

    x = np.random.default_rng(0).normal(size=(300, 2)).astype(np.float32)
    found = tiny(x, objective="jsd, hinge", workers=2, watcher=Remove())
    assert len(found.failed) == 2
    assert all("data.npy" in one["reason"] for one in found.failed)


@pytest.mark.slow
def test_processes_give_the_same_as_this_one(tiny: Tiny, tmp_path: Path) -> None:
    """Samples agree in every bit; scores here are against another reference, shortened for the tests."""
    one = tiny(objective="rkl, jsd, hinge", out=tmp_path / "one")
    two = tiny(objective="rkl, jsd, hinge", workers=2)
    assert [r["key"] for r in one.records] == [r["key"] for r in two.records]
    for record in one.records:
        a, b = (np.load(found.folder / "cells" / f"{record['key']}.npz")["x"] for found in (one, two))
        assert np.array_equal(a, b)
