"""`ganneal report RUN`."""

from pathlib import Path

import tyro
from pydantic import BaseModel

from ganneal.cli.arguments import parse


class Report(BaseModel, use_attribute_docstrings=True):
    """Write report.html of a run anew; it opens without a network."""

    run: tyro.conf.Positional[Path]
    """The run folder."""


def main(args: list[str]) -> int:
    """Render and say where."""
    request = parse(Report, "report", args, "ganneal report runs/digits-1")
    from ganneal.api import Run

    print(Run(request.run).report())
    return 0
