"""`ganneal dynamics GAME` and `ganneal dynamics RUN`: numbers, pictures, and requests that are refused."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from ganneal.cli import run
from ganneal.cli.dynamics import main
from ganneal.cli.laboratory import GAMES
from ganneal.errors import UsageError

Dynamics = Callable[..., str]


@pytest.fixture
def dynamics(capsys: pytest.CaptureFixture[str]) -> Dynamics:
    def command(*arguments: str) -> str:
        capsys.readouterr()
        assert main(list(arguments)) == 0
        return capsys.readouterr().out

    return command


def test_a_game_in_words_and_as_a_picture(dynamics: Dynamics, folder: Path) -> None:
    said = dynamics("dirac", "--objective", "jsd", "--penalty", "r1(gamma=0.3)")
    for part in ("-0.15 + 0.47697i", "closed form", "slowest rate of the field", "halves every 4.621",
                 "critical damping: r1 with weight 1", "picture: dynamics-dirac.png"):  # fmt: skip
        assert part in said
    image = Image.open("dynamics-dirac.png").convert("RGB")
    assert image.size == (1725, 690)
    assert len(image.getcolors(10**6) or []) > 20
    assert [p.name for p in folder.iterdir()] == ["dynamics-dirac.png"]


def test_json_holds_predictions_and_measurements(dynamics: Dynamics) -> None:
    """Every number of the table, for a game of more than two parameters, whose picture has no portrait."""
    said = dynamics("rock_paper_scissors", "--solver", "extragradient", "--lr", "0.5", "--json", "-o", "x.png")
    found = json.loads(said)
    assert found["field"]["neutral"] == 2
    assert found["field"]["rotation"] is None  # infinite
    assert math.isclose(found["step"]["radius"], math.sqrt(1 - 0.25 / 27 + (0.25 / 27) ** 2), abs_tol=1e-8)
    assert math.isclose(found["measured_factor"], found["step"]["radius"], abs_tol=1e-4)
    assert len(found["predicted"]) == 4
    assert abs(found["stable_lr"] / (3 * math.sqrt(3)) - 1) < 0.01
    assert found["critical_weight"] is None
    assert Image.open("x.png").size == (1200, 690)


def test_a_run(dynamics: Dynamics, small: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    """The spectrum of a small run is complete, the same each time, and as JSON."""
    assert run(["train", "ring8", "--steps", "20", "--out", "r", "--penalty", "r1r2", *small]) == 0
    first, second = (json.loads(dynamics("r", "--json", "--batch", "64")) for _ in range(2))
    assert first == second
    assert first["complete"]
    assert first["automatic"]
    assert first["size"] == len(first["eigenvalues"]) + first["neutral"]
    assert "parameters, all eigenvalues" in dynamics("r")
    with pytest.raises(UsageError, match="member: got 3; allowed: 0 to 0"):
        main(["r", "--member", "3"])


def test_the_names_of_the_command_line_are_the_library_s() -> None:
    from ganneal.dynamics.games import GAMES as built

    assert set(GAMES) == set(built)


REQUESTS: dict[str, tuple[list[str], list[str]]] = {
    "unknown game": (["diraq"], ["unknown subject 'diraq'", "did you mean 'dirac'"]),
    "no run": (["runs/none"], ["runs/none: not a run folder"]),
    "argument": (["lq_wgan(din=2)"], ["has no argument 'din'", "did you mean 'dim'"]),
    "objective": (["dirac", "--objective", "jds"], ["unknown objective 'jds'", "'jsd'"]),
    "penalty": (["dirac", "--penalty", "r3"], ["unknown penalty 'r3'"]),
    "solver": (["dirac", "--solver", "alternate"], ["unknown solver 'alternate'", "'alternating'"]),
    "optimizer": (["dirac", "--optimizer", "adam"], ["adam divides", "allowed: sgd"]),
    "rate": (["dirac", "--lr", "-1"], ["lr: expected", "got '-1'"]),
    "own objective": (["rock_paper_scissors", "--objective", "jsd"], ["is its own objective"]),
    "format": (["dirac", "-o", "x.svg"], ["x.svg: unknown format '.svg'; allowed: .png"]),
}


@pytest.mark.parametrize("case", REQUESTS)
def test_a_wrong_request_is_one_line(case: str, folder: Path) -> None:
    arguments, parts = REQUESTS[case]
    with pytest.raises(UsageError) as caught:
        main(arguments)
    assert "\n" not in str(caught.value)
    for part in parts:
        assert part in str(caught.value)
    assert not [*folder.iterdir()]
