"""What the laboratory says of a game under a method: pages of the command line, and edges of what is looked for."""

import json
import math
from pathlib import Path

import pytest

from ganneal.cli.dynamics import main
from ganneal.cli.laboratory import number, rounded
from ganneal.dynamics import solver_spectrum
from ganneal.dynamics.laboratory import critical_weight, measured_factor, question
from ganneal.errors import UsageError


def test_a_second_run_overwrites_its_own_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The name that nobody chose may be written again, a chosen one only by force; JSON draws nothing unasked."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dynamics-dirac.png").write_text("an older one")
    assert main(["dirac", "--solver", "simultaneous", "--objective", "jsd"]) == 0
    said = capsys.readouterr().out
    for part in ("0 + 0.5i", "turns around", "driven away at every learning rate", "picture: dynamics-dirac.png"):
        assert part in said
    assert (tmp_path / "dynamics-dirac.png").read_bytes()[:4] == b"\x89PNG"
    with pytest.raises(UsageError, match=r"dynamics-dirac\.png: exists already; choose another name or --force"):
        main(["dirac", "-o", "dynamics-dirac.png"])
    with pytest.raises(UsageError, match="unknown penalty 'r3'"):  # before the picture's name is looked at
        main(["dirac", "-o", "dynamics-dirac.png", "--penalty", "r3"])
    (tmp_path / "dynamics-dirac.png").unlink()
    assert main(["dirac", "--penalty", "consensus(gamma=1)", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["picture"] is None
    assert not [*tmp_path.iterdir()]
    assert found["critical_weight"]["weight"] is None
    assert any("faster with every weight of consensus up to 1000" in line for line in found["verdict"])


def test_what_jumps_is_refused_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="not differentiable") as caught:
        main(["dirac", "--penalty", "gp"])
    assert "\n" not in str(caught.value)
    assert not [*tmp_path.iterdir()]


def test_help_names_the_game(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["dirac", "--help"])
    said = capsys.readouterr().out
    assert "GAME" in said.partition("An exactly")[0]
    assert "default: None" not in said


def test_a_folder_that_is_no_run_names_the_games() -> None:
    with pytest.raises(UsageError, match=r"runs/nothing: not a run folder.*a run, dirac, bilinear.*fokker-planck"):
        main(["runs/nothing"])


EDGES = {
    "inside": ("dirac", ("r1",), 2.0),
    "every weight is faster": ("dirac", ("consensus(gamma=1)",), math.inf),
    "beside another one": ("dirac", ("nk(eta=0.5)", "r1(gamma=6)"), 4.0),
}


@pytest.mark.parametrize("case", EDGES)
def test_critical_weights(case: str) -> None:
    name, penalties, expected = EDGES[case]
    found = critical_weight(name, "wasserstein", penalties)
    assert found is not None
    assert found[1] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("name", "objective"), [("dirac", "least_squares"), ("lq_wgan(dim=2)", "wasserstein")])
def test_measured_factors_do_not_see_neutral_directions(name: str, objective: str) -> None:
    """The motion ends beside the equilibrium, along a direction that is not perpendicular to the others."""
    asked = question(name, objective, ("r1(gamma=1)",))
    solver, problem = asked.solver, asked.game.problem
    found = solver_spectrum(problem, solver, 0.2)
    assert found.neutral > 0
    assert abs(measured_factor(asked.game, solver, 0.2, found, asked.optimizer) - found.radius) < 0.01


ROUNDED = {"0.5i": (complex(1e-9, 0.5), 1.0), "-3e-05": (complex(-3e-5, 1e-15), 4e3), "0": (1e-14 + 1e-14j, 1.0)}


@pytest.mark.parametrize("said", ROUNDED)
def test_rounding_is_not_printed_and_slow_modes_are(said: str) -> None:
    z, scale = ROUNDED[said]
    assert number(rounded(z, scale)).endswith(said)
