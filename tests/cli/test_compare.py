"""`ganneal compare` as a person types it."""

import json
from pathlib import Path
from typing import Any

import pytest

TINY = (
    "--network", "mlp(width=8, depth=1)", "--batch", "8", "--steps", "20", "--seeds", "2", "--permutations", "19",
    "--workers", "0", "-o", "it",
)  # fmt: skip


def test_a_comparison_prints_its_ranking_and_goes_on(ganneal: Any, folder: Path) -> None:
    said = ganneal("compare", "ring8", "--objective", "rkl, jsd", "--penalty", "none; r1(gamma=1) + r1", *TINY)
    assert said.code == 0
    assert "comparing 2 combinations on ring8, 2 seeds each; 2 populations to train" in said.complaint
    assert "each kind at most once" in said.complaint
    lines = said.out.splitlines()
    assert lines[0].split()[:1] == ["method"]
    assert lines[3].startswith("perfect")
    assert "report:  it/report.html" in said.out
    again = ganneal("compare", "ring8", "--objective", "rkl, jsd", *TINY, "--json")
    told = json.loads(again.out)
    assert again.complaint == ""
    assert [cell["choices"].get("penalty") for cell in told["cells"]] == ["no penalty", "no penalty", None, None]
    assert told["rank"] == "divergence"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--objective", "rlk"), "did you mean 'rkl'"),
        (("--seeds", "two"), "seeds: expected a number of seeds"),
        (("--seeds", "1,1"), "expected different seeds"),
        (("--vary", "lr_critic"), "expected key=value|value"),
        (("--workers", "many"), "workers: expected a whole number"),
        (("--population", "3"), "unknown option '--population'"),
        (("--budget", "0"), "budget: expected at least 1"),
    ],
)
def test_a_wrong_request_is_one_line(arguments: tuple[str, ...], words: str, ganneal: Any, folder: Path) -> None:
    said = ganneal("compare", "ring8", *TINY[:-2], "--out", "it", *arguments)
    assert said.code == 2
    assert words in said.complaint
    assert said.complaint.count("\n") == 1
    assert not Path("it").exists()
