"""`ganneal dynamics`: help, pictures, numbers, and requests that are refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from ganneal.cli.dynamics import main
from ganneal.errors import UsageError

QUICK = ["fokker-planck", "--particles", "200", "--frames", "3", "--grid", "64"]

Dynamics = Callable[..., tuple[int, str]]


@pytest.fixture
def dynamics(capsys: pytest.CaptureFixture[str]) -> Dynamics:
    def command(*arguments: str) -> tuple[int, str]:
        try:
            code = main(list(arguments))
        except SystemExit as stop:
            code = int(stop.code or 0)
        return code, capsys.readouterr().out

    return command


def test_help_of_the_verb_and_of_its_subject(dynamics: Dynamics) -> None:
    code, said = dynamics("--help")
    assert code == 0
    assert "usage: ganneal dynamics" in said
    assert "Example: ganneal dynamics fokker-planck" in said
    assert dynamics()[0] == 2
    code, said = dynamics("fokker-planck", "--help")
    assert code == 0
    for option in ("--target", "--beta", "--clock", "--time", "--start", "--no-generator", "--animation", "--json"):
        assert option in said


def test_a_picture_an_animation_and_a_table(dynamics: Dynamics, folder: Path) -> None:
    code, said = dynamics(*QUICK, "--examples", "2000", "--animation", "a.gif")
    assert code == 0
    assert Image.open("fokker-planck.png").size == (1800, 1260)
    assert Image.open("a.gif").n_frames == 3  # type: ignore[attr-defined]
    for part in ("time ", "-log Z", "density", "particles", "generator", "mass right", "picture:   fokker-planck.png"):
        assert part in said
    assert sorted(p.name for p in folder.iterdir()) == ["a.gif", "fokker-planck.png"]


def test_json_holds_all_curves(dynamics: Dynamics) -> None:
    code, said = dynamics(*QUICK, "--no-generator", "--json", "-o", "x.png", "--clock", "entropy", "--time", "0.5")
    assert code == 0
    found = json.loads(said)
    assert found["generator"] is None
    assert found["clock"] == "entropy"
    assert found["frames"]["time"][-1] == 0.5
    assert len(found["density"]["free_energy"]) == len(found["floor"]) == 9
    assert len(found["particles"]["fisher"]) == 3
    assert found["members"] == ["left", "right"]


REQUESTS: dict[str, tuple[list[str], list[str]]] = {
    "unknown subject": (["foker-plank"], ["unknown subject 'foker-plank'", "did you mean 'fokker-planck'?"]),
    "unknown option": (["fokker-planck", "--tagret", "kidney"], ["unknown option '--tagret'", "'--target'?"]),
    "unknown target": ([*QUICK, "--target", "kidny"], ["unknown target 'kidny'", "did you mean 'kidney'?"]),
    "too many dimensions": ([*QUICK, "--target", "many_well"], ["has 32 dimensions", "1 or 2"]),
    "unknown clock": ([*QUICK, "--clock", "wall"], ["clock: expected 'likelihood' or 'entropy', got 'wall'"]),
    "no schedule": ([*QUICK, "--beta", "lineer(0.1->1)"], ["'lineer'", "did you mean 'linear'?"]),
    "negative beta": ([*QUICK, "--beta", "-1"], ["beta: is -1 at progress 0", "positive"]),
    "no time": ([*QUICK, "--time", "0"], ["time: expected", "got '0'"]),
    "endless": ([*QUICK, "--time", "inf"], ["time: expected", "got 'inf'"]),
    "few particles": ([*QUICK, "--particles", "5"], ["particles: expected at least 100, got '5'"]),
    "one frame": ([*QUICK, "--frames", "1"], ["frames: expected at least 2, got '1'"]),
    "start": ([*QUICK, "--start", "gausian(mean=1)"], ["unknown start 'gausian'", "did you mean 'gaussian'?"]),
    "still format": ([*QUICK, "-o", "x.jpg"], ["x.jpg: unknown format '.jpg'; allowed: .png"]),
    "film format": ([*QUICK, "--animation", "x.avi"], ["x.avi: unknown format '.avi'; allowed: .gif, .mp4"]),
    "no folder": ([*QUICK, "-o", "nowhere/x.png"], ["nowhere/x.png: cannot be written"]),
    "no ffmpeg": ([*QUICK, "--animation", "x.mp4"], ["x.mp4: .mp4 needs ffmpeg", "use .gif"]),
    "two wishes": ([*QUICK, "--no-generator", "--examples", "5000"], ["--examples", "--no-generator"]),
}


@pytest.mark.parametrize("case", REQUESTS)
def test_a_wrong_request_is_one_line_and_writes_nothing(
    case: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments, parts = REQUESTS[case]
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(UsageError) as caught:
        main(arguments)
    said = str(caught.value)
    assert "\n" not in said
    for part in parts:
        assert part in said
    assert not [*folder.iterdir()]


def test_existing_files_are_kept(dynamics: Any, folder: Path) -> None:
    (folder / "fokker-planck.png").write_text("mine")
    with pytest.raises(UsageError, match="exists already; choose another name or --force"):
        main(QUICK)
    assert (folder / "fokker-planck.png").read_text() == "mine"
    assert dynamics(*QUICK, "--no-generator", "--force")[0] == 0


def test_help_needs_no_torch() -> None:
    import subprocess
    import sys

    probe = """
import sys
from ganneal.cli.dynamics import main
try:
    main(sys.argv[1:])
except SystemExit:
    pass
print('torch' in sys.modules, file=sys.stderr)
"""
    for arguments in (["--help"], ["fokker-planck", "--help"]):
        done = subprocess.run([sys.executable, "-c", probe, *arguments], capture_output=True, text=True, check=True)
        assert done.stderr == "False\n"
