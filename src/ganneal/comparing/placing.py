"""Where jobs are computed: in this process, or in one process for each core of this machine.

Both write each finished cell into the folder at once, so that nothing is lost when anything dies.
"""

import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ganneal.comparing.folder import Folder
from ganneal.comparing.training import run_job
from ganneal.comparing.watching import Watcher
from ganneal.data import Source
from ganneal.errors import GannealError

Request = Mapping[str, Any]


Place = Callable[[Sequence[Request], Watcher], None]


def finish(folder: Folder, asked: Request, records: Sequence[dict[str, Any]], samples: Mapping[str, Any]) -> None:
    """Keep every record of a job, completed by what the grid knows of its cell."""
    for record in records:
        folder.finish({**record, **asked["extra"][record["key"]]}, samples.get(record["key"]))


def here(folder: Folder, source: Source) -> Place:
    """In this process, one after the other."""

    def place(jobs: Sequence[Request], watcher: Watcher) -> None:
        for asked in jobs:
            name = asked["name"]
            watcher.started(name, "here")
            try:
                tell = partial(watcher.moved, name)
                records, samples = run_job(dict(asked), source, folder.working(name), tell)
                finish(folder, asked, records, samples)
            except GannealError as error:
                watcher.failed(name, str(error))
                continue
            watcher.finished(name, records)

    return place


def processes(folder: Folder, opening: Mapping[str, Any], count: int) -> Place:
    """In `count` processes, each of which takes the next job when it is done with one. A process that dies takes only
    its job with it.

    opening    how another process opens the source: keyword arguments of `worker.opened`
    """

    def place(jobs: Sequence[Request], watcher: Watcher) -> None:
        waiting: queue.SimpleQueue[Request] = queue.SimpleQueue()
        for asked in jobs:
            waiting.put(asked)
        said: queue.SimpleQueue[tuple[str, tuple[Any, ...]]] = queue.SimpleQueue()
        crew = [_Crew(folder, opening, waiting, said, k) for k in range(min(count, len(jobs)))]
        try:
            for member in crew:
                member.start()
            left = len(jobs)
            while left:
                event, arguments = said.get()
                getattr(watcher, event)(*arguments)
                left -= event in ("finished", "failed")
        finally:
            for member in crew:
                member.stop()

    return place


class _Crew(threading.Thread):
    """A thread that feeds one process with jobs and passes on what it says."""

    def __init__(
        self, folder: Folder, opening: Mapping[str, Any], waiting: "queue.SimpleQueue[Request]",
        said: "queue.SimpleQueue[tuple[str, tuple[Any, ...]]]", number: int,
    ):  # fmt: skip
        super().__init__(daemon=True)
        self.folder, self.opening, self.waiting, self.said, self.number = folder, opening, waiting, said, number
        self.process: subprocess.Popen[str] | None = None
        self.stopping = False

    def run(self) -> None:
        while not self.stopping:
            try:
                asked = self.waiting.get_nowait()
            except queue.Empty:
                return
            self.said.put(("started", (asked["name"], f"process {self.number + 1}")))
            self.said.put(self._outcome(asked))

    def _outcome(self, asked: Request) -> tuple[str, tuple[Any, ...]]:
        name = asked["name"]
        if self.process is None or self.process.poll() is not None:
            self.process = _process(self.folder.path, self.opening)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.stdin.write(json.dumps(dict(asked)) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            return "failed", (name, "its process could not be started")
        for line in self.process.stdout:
            told = json.loads(line)
            if told["event"] == "moved":
                self.said.put(("moved", (name, told)))
            elif told["event"] == "failed":
                return "failed", (name, told["reason"])
            elif told["event"] == "died":
                self.process.wait()
                return "failed", (name, told["reason"])
            else:
                return "finished", (name, [self.folder.finished(key) for key, _ in asked["cells"]])
        code = self.process.wait()
        died = f"signal {-code}" if code < 0 else f"exit code {code}"
        return "failed", (name, f"its process died ({died}); give the same command again to go on with it")

    def stop(self) -> None:
        """End the process; its job goes on from its last checkpoint when the comparison is called again."""
        self.stopping = True
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait()


def _process(folder: Path, opening: Mapping[str, Any]) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "ganneal.comparing.worker", str(folder), json.dumps(dict(opening))]
    alone = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=alone)
