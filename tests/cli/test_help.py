"""Help is there at once, and shows what to type."""

import subprocess
import sys
import time
from typing import Any

import pytest

from ganneal.cli import VERBS

HEAVY = ("torch", "numpy", "scipy", "matplotlib", "PIL", "tyro", "pydantic", "yaml")


def test_help_comes_at_once_and_imports_nothing_heavy() -> None:
    probe = (
        "import sys; from ganneal.cli import run; code = run(['--help']); "
        f"print(code, *[name for name in {HEAVY} if name in sys.modules])"
    )
    fastest = float("inf")
    for _ in range(3):
        begun = time.perf_counter()
        done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, timeout=30, check=True)
        fastest = min(fastest, time.perf_counter() - begun)
    assert done.stdout.splitlines()[-1] == "0"
    assert fastest < 0.5


@pytest.mark.parametrize("verb", VERBS)
def test_the_help_of_a_verb_needs_no_torch(verb: str) -> None:
    probe = f"""
import sys
from ganneal.cli import run
try:
    code = run([{verb!r}, "--help"])
except SystemExit as stop:
    code = stop.code or 0
print(code, "torch" in sys.modules, file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, timeout=30, check=True)
    assert done.stderr == "0 False\n"


@pytest.mark.parametrize("word", ["--help", "-h", "help"])
def test_the_page_lists_every_verb_with_an_example(word: str, ganneal: Any) -> None:
    said = ganneal(word)
    assert (said.code, said.complaint) == (0, "")
    for verb in VERBS:
        assert f"  {verb}" in said.out
        assert f"ganneal {verb}" in said.out


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_an_example(verb: str, ganneal: Any) -> None:
    said = ganneal(verb, "--help")
    assert (said.code, said.complaint) == (0, "")
    assert f"Example: ganneal {verb}" in " ".join(said.out.split())
    assert f"usage: ganneal {verb}" in said.out


def test_train_shows_every_key_with_its_meaning(ganneal: Any) -> None:
    from ganneal.engine.config import Config

    shown = " ".join(ganneal("train", "--help").out.replace("│", " ").split())
    for name, field in Config.model_fields.items():
        assert name == "source" or f"--{name.replace('_', '-')} " in shown
        assert field.description
        assert " ".join(field.description.split())[:40] in shown
    assert "--steps INT" in shown
    assert "--config FILE" in shown


def test_the_version(ganneal: Any) -> None:
    import ganneal as gn

    assert ganneal("--version").out == f"ganneal {gn.__version__}\n"
