"""Commands run in this process, in an empty working folder."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from ganneal.cli import run

SMALL = ("--batch", "8", "--network", "mlp(width=8, depth=1)", "--permutations", "19")
"""What makes a training a matter of milliseconds."""


@dataclass(frozen=True)
class Said:
    """What a command left: exit code, standard output, standard error."""

    code: int
    out: str
    complaint: str


Command = Callable[..., Said]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, empty. Nothing waits for the disk, and verdicts are short."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    monkeypatch.setattr("ganneal.engine.verdict.MOST", 60)
    return tmp_path


@pytest.fixture
def ganneal(capsys: pytest.CaptureFixture[str]) -> Command:
    """`ganneal` with those arguments."""

    def command(*arguments: object) -> Said:
        capsys.readouterr()
        try:
            code = run([str(a) for a in arguments])
        except SystemExit as stop:  # help
            code = int(stop.code or 0)
        return Said(code, *capsys.readouterr())

    return command


@pytest.fixture
def small() -> tuple[str, ...]:
    """Flags of a training of milliseconds."""
    return SMALL
