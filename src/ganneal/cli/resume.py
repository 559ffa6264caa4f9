"""`ganneal resume RUN`."""

from pathlib import Path

import tyro
from pydantic import BaseModel

from ganneal.cli.arguments import parse


class Resume(BaseModel, use_attribute_docstrings=True):
    """Continue an interrupted training, bit for bit as if it had not been interrupted."""

    run: tyro.conf.Positional[Path]
    """The run folder."""


def main(args: list[str]) -> int:
    """Resume and conclude as `train` does."""
    request = parse(Resume, "resume", args, "ganneal resume runs/digits-1")
    from ganneal.api import Run
    from ganneal.cli.progress import Progress, conclude, stopped
    from ganneal.engine.training import Interrupted

    watcher = Progress()
    run = Run(request.run)
    finished = run.finished
    try:
        with watcher:
            run.resume(watcher)
    except Interrupted as stop:
        return stopped(watcher, stop)
    if finished:
        watcher.noted(f"{run.folder}: finished already, at {run.config.examples:,} examples; nothing to do")
    conclude(watcher, run)
    return 0
