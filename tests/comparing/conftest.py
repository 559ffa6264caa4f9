"""Comparisons of milliseconds."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ganneal.comparing import Results, compare

TINY: dict[str, Any] = {
    "network": "mlp(width=8, depth=1)", "batch": 8, "steps": 20, "seeds": 2, "workers": 0, "permutations": 19,
}  # fmt: skip


@pytest.fixture(autouse=True)
def light(monkeypatch: pytest.MonkeyPatch) -> None:
    """No waiting for the disk, short tests, few samples, few looks."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    monkeypatch.setattr("ganneal.engine.verdict.MOST", 60)
    monkeypatch.setattr("ganneal.comparing.judging.REFERENCE", 400)
    monkeypatch.setattr("ganneal.comparing.training.QUICK", 100)
    monkeypatch.setattr("ganneal.comparing.training.LOOKS", 10)


@pytest.fixture
def tiny(tmp_path: Path) -> Callable[..., Results]:
    """`compare` on the ring of 8, into tmp_path / "it" unless said otherwise."""

    def run(source: Any = "ring8", **options: Any) -> Results:
        return compare(source, **{**TINY, "out": tmp_path / "it", **options})

    return run
