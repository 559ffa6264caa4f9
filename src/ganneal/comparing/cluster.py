"""Jobs as tasks of a Ray cluster (Moritz et al. 2018): on this machine, or on as many as an address stands for.

A task writes checkpoints where it sees the comparison's folder (this machine, or a file system that all share), and
starts anew elsewhere when its machine is lost. Records come back to this process, which writes them.
"""

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ganneal.comparing.folder import GRID, Folder
from ganneal.comparing.placing import Place, Request, finish
from ganneal.comparing.training import one_line
from ganneal.comparing.watching import Watcher
from ganneal.errors import GannealError, UsageError

MEMORY = 100_000_000
"""Bytes of the object store of a cluster that is started here: records are small."""
RETRIES = 2
"""How often a task is given again when its machine is lost."""
PATIENCE = 1.0
"""Seconds between looks at a cluster that says nothing."""


def cluster(folder: Folder, opening: Mapping[str, Any], array: np.ndarray | None, address: str) -> Place:
    """On a Ray cluster: `local` starts one here, anything else is the address of one (`auto`, `10.0.0.1:6379`,
    `ray://...`).

    opening, array    how a task opens the source: as `worker.opened`, or from the array itself

    Raises `UsageError` where Ray is not installed or nobody answers at the address.
    """
    ray, ours = _connect(address)
    remote = ray.remote(num_cpus=1, max_retries=RETRIES, scheduling_strategy="SPREAD")(task)

    def place(jobs: Sequence[Request], watcher: Watcher) -> None:
        try:
            _play(ray, remote, jobs, watcher)
        finally:
            if ours:
                ray.shutdown()

    def _play(ray: Any, remote: Any, jobs: Sequence[Request], watcher: Watcher) -> None:
        data = None if array is None else ray.put(array)
        mark = (folder.path / GRID).read_text()
        running = {
            remote.remote(dict(asked), dict(opening), data, str(folder.path.absolute()), mark): asked for asked in jobs
        }
        for asked in jobs:
            watcher.started(asked["name"], "ray")
        while running:
            done, _ = ray.wait(list(running), timeout=PATIENCE)
            for asked in running.values():
                if (told := _progress(folder, asked["name"])) is not None:
                    watcher.moved(asked["name"], told)
            for reference in done:
                asked = running.pop(reference)
                try:
                    records, samples = ray.get(reference)
                except GannealError as error:  # Ray's own error is also of the class of its cause
                    watcher.failed(asked["name"], _cause(error))
                    continue
                except ray.exceptions.RayError as error:
                    cause = getattr(error, "cause", None)
                    lost = f"its task was lost ({type(error).__name__})"
                    watcher.failed(asked["name"], lost if cause is None else one_line(cause))
                    continue
                finish(folder, asked, records, samples)
                watcher.finished(asked["name"], records)

    return place


def task(
    asked: dict[str, Any], opening: dict[str, Any], array: np.ndarray | None, folder: str, mark: str
) -> tuple[list[dict[str, Any]], dict[str, np.ndarray]]:
    """One job on some machine of the cluster: its records, each with the node that made it, and samples."""
    import ray

    from ganneal.comparing.training import run_job
    from ganneal.comparing.worker import opened
    from ganneal.data import open_source

    source = opened(opening) if array is None else open_source(np.array(array), **opening["options"])
    shared = Path(folder)
    sees = (shared / GRID).is_file() and (shared / GRID).read_text() == mark
    with tempfile.TemporaryDirectory() as elsewhere:
        working = Folder(shared if sees else elsewhere).working(asked["name"])
        records, samples = run_job(asked, source, working, lambda told: _note(working, told))
    node = ray.get_runtime_context().get_node_id()
    return [{**record, "node": node} for record in records], samples


def _note(working: Path, told: Mapping[str, Any]) -> None:
    working.mkdir(parents=True, exist_ok=True)
    temporary = working / f".told.{os.getpid()}"
    temporary.write_text(json.dumps(dict(told)))
    os.replace(temporary, working / "told.json")


def _progress(folder: Folder, name: str) -> dict[str, Any] | None:
    """What a task has noted, where its files are seen from here."""
    try:
        found: dict[str, Any] = json.loads((folder.working(name) / "told.json").read_text())
    except (OSError, ValueError):
        return None
    return found


def _cause(error: GannealError) -> str:
    cause = getattr(error, "cause", None)
    return str(error if cause is None else cause)


def _connect(address: str) -> tuple[Any, bool]:
    """(ray, whether this call connected it)."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
    except ImportError:
        raise UsageError(
            "ray: is not installed; install ganneal[cluster], or leave --ray out to use the cores of this machine"
        ) from None
    if ray.is_initialized():
        return ray, False
    options: dict[str, Any] = {"include_dashboard": False, "log_to_driver": False, "logging_level": "error"}
    if address == "local":
        ray.init(address="local", object_store_memory=MEMORY, **options)
        return ray, True
    options.pop("include_dashboard")
    try:
        ray.init(address=address, **options)
    except (ConnectionError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0][:160] if str(error) else type(error).__name__
        raise UsageError(
            f"ray: cannot reach a cluster at {address} ({reason}); allowed: local, or an address"
        ) from None
    return ray, True
