"""The event log survives crashes, resumes and numbers that are not finite."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from ganneal.engine.events import EventLog, read
from ganneal.errors import RunError


def test_round_trip_with_numbers_that_are_not_finite(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    with EventLog(path) as log:
        log.write("start", 0, environment={"torch": "2", "device": torch.device("cpu")}, total=10, members=2)
        log.write("step", 5, losses={"critic": [math.nan, 1.0], "generator": -math.inf}, beta=torch.tensor(0.5))
        log.write("guard", 6, member=1, problem="nan", value=math.inf, path=tmp_path, scale=np.float32(0.5))
        assert len(read(path)) == 3  # flushed, not yet closed
    for line in path.read_text().splitlines():
        json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is not strict JSON"))
    start, step, guard = read(path)
    assert start["environment"]["device"] == "cpu"
    assert math.isnan(step["losses"]["critic"][0])
    assert step["losses"]["generator"] == -math.inf
    assert step["beta"] == 0.5
    assert (guard["problem"], guard["value"], guard["path"], guard["scale"]) == ("nan", math.inf, str(tmp_path), 0.5)
    assert guard["time"] > 1e9


def test_absent_and_empty_logs_have_no_events(tmp_path: Path) -> None:
    assert read(tmp_path / "events.jsonl") == []
    (tmp_path / "events.jsonl").touch()
    with EventLog(tmp_path / "events.jsonl") as log:
        log.write("start", 0)
    assert len(read(tmp_path / "events.jsonl")) == 1


@pytest.mark.parametrize(
    "fragment", [b'{"event": "step", "exam', b'{"event": "step", "x": "\xe2\x82', b"{", b"\x00\x00"]
)
def test_a_torn_line_is_dropped_also_after_a_resume(tmp_path: Path, fragment: bytes) -> None:
    path = tmp_path / "events.jsonl"
    with EventLog(path) as log:
        log.write("step", 1)
    with path.open("ab") as file:
        file.write(fragment)
    assert [e["examples"] for e in read(path)] == [1]
    with EventLog(path) as log:
        log.write("resume", 1)
        log.write("step", 2)
    assert [e["event"] for e in read(path)] == ["step", "resume", "step"]


def test_a_last_line_that_only_lacks_its_newline_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text('{"event": "step", "examples": 3}')
    assert len(read(path)) == 1
    with EventLog(path) as log:
        log.write("resume", 3)
    assert len(read(path)) == 2


def test_a_resume_voids_what_lies_beyond_it(tmp_path: Path) -> None:
    with EventLog(tmp_path / "e") as log:
        for examples in (0, 10, 20, 30):
            log.write("step", examples, run=1)
        log.write("resume", 10)
        for examples in (20, 30, 40):
            log.write("step", examples, run=2)
        log.write("resume", 30)
        log.write("step", 40, run=3)
    steps = [(e["examples"], e["run"]) for e in read(tmp_path / "e") if e["event"] == "step"]
    assert steps == [(0, 1), (10, 1), (20, 2), (30, 2), (40, 3)]


def test_damage_in_the_middle_is_named(tmp_path: Path) -> None:
    (tmp_path / "e").write_text('{"event": "step", "examples": 1}\nrubbish\n{"event": "step", "examples": 2}\n')
    with pytest.raises(RunError, match="line 2 is not a JSON object"):
        read(tmp_path / "e")
