"""The page of made-up runs of each kind: what it says, what it escapes, and what it does when pieces are missing."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from ganneal.engine.events import EventLog
from ganneal.errors import RunError, UsageError
from ganneal.report import render

KINDS = ("digits", "photos", "toy", "table", "curve", "population", "empty")


def page_of(run: Path) -> str:
    path = render(run)
    assert path == run / "report.html"
    assert sorted(p.name for p in run.iterdir() if p.name.startswith(".")) == []  # no temporary file is left
    return path.read_text(encoding="utf-8")


def data_of(page: str) -> list[dict]:
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)[1])


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_run_makes_a_small_page_without_addresses(kind: str, make_run) -> None:
    page = page_of(make_run(kind))
    assert len(page) < 1_500_000
    assert not re.search(r"(src|href|srcset)=.?(https?:)?//", page)
    assert "url(" not in page
    assert "default-src 'none'" in page
    assert all(alt.strip() for alt in re.findall(r'<img [^>]*alt="([^"]*)"', page))
    assert page.count("<img") == page.count('alt="')
    headings = re.findall(r'<h2 id="[^"]*">(.*?)</h2>', page)
    modes = ["Modes"] if kind in ("toy", "population") else []
    assert headings == ["Samples", "Training", *modes, "Verdict", "Guard", "Setting"]


def test_toy(make_run) -> None:
    page = page_of(make_run("toy"))
    assert '<div class="verdict pass" role="status">' in page
    assert "No difference found at level 0.05 with 400 vs 400 samples" in page
    assert "8 of 8" in page
    assert "for comparison: training data" in page
    assert "Scatter plot of 2,000 samples after 960,000 examples, over held-out data" in page
    assert "not finite (value nan); action: roll back; learning rates now at 0.5" in page
    assert "schedules.lambda_likelihood" in page
    assert "AMD EPYC" in page
    assert page.count('<figure class="">') == 6
    titles = [chart["title"] for chart in data_of(page)]
    assert titles == ["Losses", "Annealing", "Test statistic", "Speed"]


def test_a_missed_mode_is_never_green(make_run) -> None:
    page = page_of(make_run("toy", missed=True))
    assert '<div class="verdict undecided"' in page
    assert "only 6 of 8 modes are covered" in page
    assert page.count('<rect class="missed"') == 2


def test_images(make_run) -> None:
    page = page_of(make_run("digits"))
    assert "Grid of generated images after 960,000 examples" in page
    assert "Held-out data" in page
    assert '<div class="verdict undecided"' in page  # 64 samples are too few to pass


def test_population(make_run) -> None:
    page = page_of(make_run("population", members=70))
    charts = data_of(page)
    assert [chart["title"] for chart in charts[:2]] == ["Loss of the critic", "Loss of the generator"]
    assert len(charts[0]["series"]) == 70
    assert "the legend names the first 8" in page
    assert page.count('<span class="chip') == 70
    assert "chance alone would reject 3.5 at level 0.05" in page
    assert "Member 0: not finite" in page
    assert len(page) < 1_500_000


def test_an_empty_folder_says_what_is_missing(make_run) -> None:
    page = page_of(make_run("empty"))
    for words in (
        "No samples have been written yet",
        "No training step",
        "No test has been made yet",
        "has not been tested",
        "no <code>config.yaml",
    ):
        assert words in page


def test_hostile_text_is_text(tmp_path: Path) -> None:
    attack = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"
    (tmp_path / "config.yaml").write_text(json.dumps({"source": attack, attack: attack}))
    with EventLog(tmp_path / "events.jsonl") as log:
        log.write("start", 0, environment={attack: attack}, total=1, members=1)
        log.write("step", 1, losses={attack: 1.0})
        log.write("guard", 1, member=0, problem=attack, action=attack, value=attack)
    test = {"name": attack, "member": attack, "pvalue": attack, "rejected": False, "m": 1, "n": 1}
    verdict = {"sentence": attack, "tests": [{**test, "member": 0}], "metrics": {attack: attack}}
    (tmp_path / "verdict.json").write_text(json.dumps(verdict))
    page = page_of(tmp_path)
    assert "alert(1)" in page
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert data_of(page)[0]["series"][0]["label"] == attack


def test_unreadable_pieces_are_notes(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("a: [")
    (tmp_path / "verdict.json").write_text('{"sentence": "tor')
    (tmp_path / "samples").mkdir()
    (tmp_path / "samples/000000000001.npz").write_bytes(b"PK rubbish")
    page = page_of(tmp_path)
    assert "config.yaml could not be read" in page
    assert "verdict.json could not be read" in page
    assert "The samples could not be drawn" in page


def test_samples_that_are_not_finite_are_news_not_errors(tmp_path: Path) -> None:
    (tmp_path / "samples").mkdir()
    good = np.random.default_rng(0).normal(size=(50, 2))
    np.savez(tmp_path / "samples/000000000001.npz", x=good * np.nan)
    np.savez(tmp_path / "samples/000000000002.npz", x=good)
    assert "1: not finite" in page_of(tmp_path)
    np.savez(tmp_path / "samples/000000000003.npz", x=good * np.inf)
    assert "at least one finite example" in page_of(tmp_path)


def test_samples_that_a_resume_has_made_void_are_not_shown(make_run) -> None:
    run = make_run("toy")
    with EventLog(run / "events.jsonl") as log:
        log.write("resume", 480_000, environment={}, total=960_000, members=1)
    page = page_of(run)
    assert "Samples after 480,000 examples" in page
    assert "840 k" not in page
    assert "running, or ended without a word" in page


def test_object_arrays_are_never_unpickled(tmp_path: Path) -> None:
    (tmp_path / "samples").mkdir()
    np.savez(tmp_path / "samples/000000000001.npz", x=np.array([{"a": 1}], dtype=object))
    assert "The samples could not be drawn" in page_of(tmp_path)


def test_no_such_folder_and_damaged_events(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such run folder"):
        render(tmp_path / "nowhere")
    (tmp_path / "events.jsonl").write_text('rubbish\n{"event": "step", "examples": 2}\n')
    with pytest.raises(RunError, match="line 1"):
        render(tmp_path)


def test_an_old_report_survives_a_failed_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    render(tmp_path)
    before = (tmp_path / "report.html").read_bytes()

    def full(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(RunError, match="disk full"):
        render(tmp_path)
    assert (tmp_path / "report.html").read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1
