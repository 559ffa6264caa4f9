"""`ganneal compare SOURCE`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro
from pydantic import BaseModel, Field, create_model

from ganneal.cli.arguments import parse, request_model
from ganneal.comparing.axes import PARTS
from ganneal.comparing.measures import COUNTED
from ganneal.engine.config import read_yaml
from ganneal.engine.problems import whole
from ganneal.errors import UsageError

if TYPE_CHECKING:
    from ganneal.comparing.results import Results

EXAMPLE = (
    'ganneal compare ring8 --objective "rkl, nonsaturating" --penalty "none; r1r2(gamma=1)" --solver alternating '
    "--seeds 8 --steps 2000"
)
OWN: dict[str, tuple[str, str]] = {
    "objective": ("TEXT", 'Objectives, with commas between them: "rkl, jsd".'),
    "penalty": (
        "TEXT",
        "Sets of penalties, with semicolons between them; the parts of a set are joined by plus signs: "
        '"none; r1r2(gamma=1); r1(gamma=1) + spectral".',
    ),
    "solver": ("TEXT", 'Solvers, with commas between them: "alternating, simultaneous".'),
    "vary": ("TEXT ...", 'Values of other keys, with bars between them: "lr_critic=0.0005|0.002" "noise=0|0.1".'),
    "seeds": ("TEXT", "How many seeds, or which, with commas between them: 8, or 3,5,9. [8]"),
    "budget": ("INT", "Gradient evaluations of every run, in place of steps: costly solvers then make fewer steps. "
               + COUNTED),
    "rank": ("TEXT", "What ranks: divergence, modes, high_quality, kl, energy, mmd, seconds. [KL of modes and outside; "
             "without known modes the energy distance]"),
    "workers": ("INT", "Processes on this machine, 0 for this one alone. [one for each core]"),
    "ray": ("TEXT", "Compute on Ray: local, or the address of a cluster."),
    "out": ("PATH", "Folder. One that holds this comparison already is continued, or extended by new combinations. "
            "[comparisons/SOURCE-NUMBER]"),
}  # fmt: skip
LEFT_OUT = (*PARTS, "seeds", "population", "out", "checkpoint_every", "keep", "sample_every")


def model() -> type[BaseModel]:
    """The options of this verb, and every key of a training that all cells share."""
    fields: dict[str, Any] = {}
    shared = request_model().model_fields
    for name in ("source", *OWN, *(k for k in shared if k not in OWN and k not in LEFT_OUT and k != "source")):
        if name in OWN:
            word, about = OWN[name]
            kind: Any = tuple[str, ...] if name == "vary" else str
            aliases = ["-o"] if name == "out" else None
            mark = tyro.conf.arg(metavar=word, help_behavior_hint="", aliases=aliases)
            fields[name] = (Annotated[kind | None, mark], Field(None, description=about))
        else:
            field = shared[name]
            marks = field.metadata
            form = Field(description=field.description) if field.is_required() else Field(
                None, description=field.description
            )  # fmt: skip
            fields[name] = (Annotated[field.annotation, *marks] if marks else field.annotation, form)
    fields["as_json"] = (
        Annotated[bool, tyro.conf.arg(name="json")],
        Field(False, description="Print the results as JSON."),
    )
    about = (
        "Train every combination of objectives, penalties, solvers and other keys over the same seeds, and rank them. "
        "Combinations that do not fit together are left out, with the reason."
    )
    return create_model("Compare", __doc__=about, **fields)


def main(args: list[str]) -> int:
    """Compare, show it live, print the ranking and where the page is."""
    request = parse(model(), "compare", args, EXAMPLE)
    given: dict[str, Any] = {k: v for k, v in request.model_dump().items() if v is not None}
    as_json = given.pop("as_json")
    if "config" in given:
        told = read_yaml(Path(given.pop("config")))
        given = {**{k: v for k, v in told.items() if k not in ("source", "out")}, **given}
    for key in ("budget", "workers"):
        if key in given:
            given[key] = whole(key, given[key]) if given[key] != "0" or key == "budget" else 0
    if "seeds" in given:
        given["seeds"] = _seeds(given["seeds"])
    from ganneal.cli.board import Board
    from ganneal.comparing import compare

    with Board(quiet=as_json) as board:
        found = compare(given.pop("source"), watcher=board, **given)
    if as_json:
        print(json.dumps(found.to_dict(), indent=1, allow_nan=False))
    else:
        print(_told(found))
    return 1 if found.failed else 0


def _seeds(text: str) -> int | list[int]:
    """A count, or a list with commas."""
    words = [word.strip() for word in text.split(",")]
    if not all(word.isdigit() for word in words):
        raise UsageError(f"seeds: expected a number of seeds, or seeds with commas between them, got {text!r}")
    numbers = [int(word) for word in words]
    return numbers[0] if len(numbers) == 1 else numbers


def _told(found: "Results") -> str:
    from ganneal.cli.tables import aligned
    from ganneal.report.grid_table import columns, row_of

    measures = columns(found)
    rows = [("", "method", *(m.name for m in measures), "places", "against the best")]
    for standing in found.standings():
        row = row_of(found, standing, measures)
        rows.append((str(standing.place), row.label, *(cell.text for cell in row.cells), row.places, row.against))
    rows.append(("", "perfect", *(cell.text for cell in row_of(found, None, measures).cells), "", ""))
    said = [aligned([row[1:2] + row[:1] + row[2:] for row in rows]) if found.records else "", ""]
    said += [found.sentence()]
    said += [f"note:     {r['label']}: {line}" for r in found.records for line in r.get("notes", ())]
    said += [f"left out: {one['label']}: {one['reason']}" for one in found.refused]
    said += [f"failed:   {one['label']}: {one['reason']}" for one in found.failed]
    if found.records:
        said.append(f"report:  {found.folder / 'report.html'}")
    return "\n".join(said)
