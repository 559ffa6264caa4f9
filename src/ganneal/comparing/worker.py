"""A process of a comparison: reads jobs from its standard input, one JSON object a line, and writes what happens to its
standard output, one JSON object a line. `python -m ganneal.comparing.worker FOLDER OPENING`."""

import json
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from ganneal.comparing.folder import Folder
from ganneal.comparing.placing import finish
from ganneal.comparing.training import one_line, run_job
from ganneal.data import Source, open_source
from ganneal.errors import GannealError


def opened(opening: Mapping[str, Any]) -> Source:
    """The source of a comparison, opened again: {"text": ..., "options": {...}}."""
    return open_source(opening["text"], **opening["options"])


def main() -> None:
    """Serve until the input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal sends it to all; the one that started this ends it
    voice = os.fdopen(os.dup(1), "w")  # what a library prints must not end up between the lines
    os.dup2(2, 1)

    def say(**told: Any) -> None:
        voice.write(json.dumps(told) + "\n")
        voice.flush()

    def died(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        say(event="died", reason=one_line(error))
        if not isinstance(error, GannealError):
            sys.__excepthook__(kind, error, trace)

    sys.excepthook = died
    folder, source = Folder(Path(sys.argv[1])), opened(json.loads(sys.argv[2]))
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            records, samples = run_job(
                asked, source, folder.working(asked["name"]), lambda told: say(event="moved", **told)
            )
            finish(folder, asked, records, samples)
        except GannealError as error:
            say(event="failed", reason=str(error))
            continue
        say(event="finished")


if __name__ == "__main__":
    main()
