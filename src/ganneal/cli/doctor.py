"""`ganneal doctor RUN`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro
from pydantic import BaseModel

from ganneal.cli.arguments import parse

if TYPE_CHECKING:
    from ganneal.engine.diagnosis import Diagnosis


class Doctor(BaseModel, use_attribute_docstrings=True):
    """What is wrong with a run, what shows it, and the setting to try next.

    Reads the events, the verdict and the last checkpoint of a run that is finished, going on, or failed. The guard
    reads the same table while a run goes on.
    """

    run: tyro.conf.Positional[Path]
    """The run folder."""
    events_only: bool = False
    """Leave the checkpoint and the data alone."""
    spectrum: bool = False
    """Take the eigenvalues of the game at the checkpoint too: seconds for small networks, minutes for large ones."""
    as_json: Annotated[bool, tyro.conf.arg(name="json")] = False
    """Print JSON."""


def main(args: list[str]) -> int:
    """Diagnose and print."""
    request = parse(Doctor, "doctor", args, "ganneal doctor runs/digits-1")
    from ganneal.api import Run
    from ganneal.cli.status import status

    run = Run(request.run)
    with status() as watch:
        watch("reading the run")
        found = run.diagnosis(examine=not request.events_only, spectrum=request.spectrum)
    if request.as_json:
        print(json.dumps({"run": str(run.folder), **found.to_dict()}, indent=1, allow_nan=False))
    else:
        print(_told(run.folder, found, run.config.population > 1, request.events_only))
    return 0


def _told(folder: Path, found: "Diagnosis", several: bool, events_only: bool) -> str:
    count = len(found.findings)
    well = "healthy as far as its events tell" if events_only else "healthy"
    said = [f"{folder}: {well if found.healthy else 'a problem' if count == 1 else f'{count} problems'}"]
    for finding in found.findings:
        who = f"member {finding.member}: " if several else ""
        said.append(f"\n{who}{finding.problem}: {finding.evidence}{finding.when}")
        if finding.treatment is not None:
            said.append(f"  try {finding.treatment.flags()}\n  {finding.treatment.why}")
        elif finding.advice:
            said.append(f"  {finding.advice}")
    said += ["", *found.notes] if found.notes else []
    return "\n".join(said)
