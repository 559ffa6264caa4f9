"""`ganneal evaluate RUN`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro
from pydantic import BaseModel, Field

from ganneal.cli.arguments import parse
from ganneal.errors import UsageError

if TYPE_CHECKING:
    from ganneal.evaluation import Evaluation


class Evaluate(BaseModel, use_attribute_docstrings=True):
    """Everything about a run's generator against held-out data, each number beside what training data score.

    Writes evaluation.json and differences.html into the run folder.
    """

    run: tyro.conf.Positional[Path]
    """The run folder."""
    features: str | None = None
    """What distances are measured on: raw, pca(d=20), random(d=512), "classifier('FILE.npz')" or "inception('FILE')".
    Default: raw for tables, random(d=64) for images."""
    checkpoint: str = "last"
    """last, best (by the held-out test), or a number of examples."""
    member: int = Field(0, ge=0)
    """Member of a population."""
    n: Annotated[int, tyro.conf.arg(aliases=["-n"])] = Field(1000, ge=8, le=1000)
    """Held-out examples, at most; as many samples are drawn."""
    tests: tuple[str, ...] | None = None
    """Two-sample tests to run, as for `ganneal test`."""
    level: float = Field(0.05, gt=0, lt=1)
    """Chance of a false alarm, of all tests together."""
    seed: int = Field(0, ge=0, lt=2**31)
    """Seed of everything that is random."""
    as_json: Annotated[bool, tyro.conf.arg(name="json")] = False
    """Print JSON."""


def main(args: list[str]) -> int:
    """Evaluate, write, and print."""
    request = parse(Evaluate, "evaluate", args, "ganneal evaluate runs/digits-1")
    from ganneal.api import Run
    from ganneal.cli.status import status
    from ganneal.engine.checkpoint import write_atomically
    from ganneal.evaluation import TESTS, evaluate
    from ganneal.report import render_comparison

    run = Run(request.run)
    if not run.config.population > request.member:
        raise UsageError(f"member: got {request.member}; allowed: 0 to {run.config.population - 1}")
    with status() as watch:
        found = evaluate(
            run, features=request.features, checkpoint=request.checkpoint, member=request.member, n=request.n,
            tests=request.tests or TESTS, level=request.level, seed=request.seed, watch=watch,
        )  # fmt: skip
    text = json.dumps(found.to_dict(), indent=1, allow_nan=False)
    write_atomically(run.folder / "evaluation.json", (text + "\n").encode())
    page = render_comparison(found.comparison, run.folder / "differences.html")
    if request.as_json:
        print(text)
        return 0
    print(_told(found))
    print(f"\nwhere samples and data differ: {page}")
    return 0


def _told(found: "Evaluation") -> str:
    from ganneal.cli.tables import evaluation_table, reference_table

    said = [
        f"{found.run}, checkpoint {found.checkpoint}: {found.n} samples against {found.n} held-out examples, on "
        f"{found.features} features",
        "",
        evaluation_table(found.scores),
        "",
        reference_table(found.battery, found.reference),
        *(f"note: {note}" for note in found.notes),
        "",
        *(f"- {sentence}" for sentence in found.sentences()),
    ]
    return "\n".join(said)
