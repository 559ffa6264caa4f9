"""`ganneal train SOURCE`."""

from pathlib import Path
from typing import Any

from ganneal.cli.arguments import parse, request_model
from ganneal.engine.config import read_yaml

EXAMPLE = 'ganneal train digits --lambda-likelihood "linear(-0.8->0, hold=0.2)" --penalty "r1r2(gamma=1)" --seed 1'


def main(args: list[str]) -> int:
    """Train, show progress, print the verdict and where the report is."""
    request = parse(request_model(), "train", args, EXAMPLE)
    given: dict[str, Any] = {k: v for k, v in request.model_dump().items() if v is not None}
    if "config" in given:
        given = {**read_yaml(Path(given.pop("config"))), **given}
    from ganneal.api import train
    from ganneal.cli.progress import Progress, conclude, stopped
    from ganneal.engine.training import Interrupted

    watcher = Progress()
    source = given.pop("source")
    try:
        with watcher:
            run = train(source, watcher=watcher, **given)
    except Interrupted as stop:
        return stopped(watcher, stop)
    conclude(watcher, run)
    return 0
