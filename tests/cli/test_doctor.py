"""`ganneal doctor` as a person types it."""

import json
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def run(ganneal: Any, small: tuple[str, ...]) -> str:
    said = ganneal("train", "ring8", *small, "--steps", "8", "--log-every", "2", "--out", "run")
    assert said.code == 0
    return "run"


def test_a_run_is_told_in_words(run: str, ganneal: Any) -> None:
    said = ganneal("doctor", run)
    assert (said.code, said.complaint) == (0, "")
    assert said.out.startswith("run: ")
    assert "too few looks to tell cycles from noise" in said.out


def test_json_is_strict(run: str, ganneal: Any) -> None:
    said = ganneal("doctor", run, "--json")
    found = json.loads(said.out)
    assert found["run"] == "run"
    assert found["healthy"] == (not found["findings"])


def test_a_failed_run_gets_its_problem_evidence_and_a_command(ganneal: Any) -> None:
    flags = ("--lr-critic", "1e8", "--batch", "16", "--steps", "200", "--log-every", "10", "--out", "run")
    assert ganneal("train", "ring8", *flags).code == 1
    said = ganneal("doctor", "run")
    assert said.code == 0
    assert "non-finite values: the guard acted 4 times" in said.out
    assert "gave up" in said.out
    assert "  try --lr-generator 0.000333 --lr-critic 3.33e+07\n" in said.out
    (first, *_) = json.loads(ganneal("doctor", "run", "--json").out)["findings"]
    assert first["problem"] == "non-finite values"
    assert first["since"] == 160
    assert first["try"] == {"lr_generator": "0.000333", "lr_critic": "3.33e+07"}


def test_only_the_events_are_read_when_asked(run: str, ganneal: Any, folder: Path) -> None:
    for path in (folder / run / "checkpoints").iterdir():
        path.write_bytes(b"damaged")
    assert "was not looked at" in ganneal("doctor", run).out
    assert "was not looked at" not in ganneal("doctor", run, "--events-only").out


def test_no_run_is_one_line(ganneal: Any) -> None:
    said = ganneal("doctor", "nowhere")
    assert (said.code, said.out) == (2, "")
    assert said.complaint == "ganneal: nowhere: not a run folder (it has no config.yaml)\n"
