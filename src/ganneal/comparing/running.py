"""`compare`: from a request to results."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from ganneal.comparing import placing
from ganneal.comparing.axes import axes
from ganneal.comparing.folder import Folder
from ganneal.comparing.grid import Cell, make_grid
from ganneal.comparing.measures import MEASURES
from ganneal.comparing.results import Results, read
from ganneal.comparing.sharing import Job, jobs
from ganneal.comparing.training import request
from ganneal.comparing.watching import Watcher
from ganneal.data import Source, open_source
from ganneal.engine.devices import device_of
from ganneal.errors import UsageError, nearest

PERMUTATIONS = 199
SEEDS = 8


def compare(
    source: Any, *, objective: Any = None, penalty: Any = None, solver: Any = None, vary: Any = None,
    seeds: int | Sequence[int] = SEEDS, budget: int | None = None, out: str | Path | None = None, rank: str = "",
    workers: int | None = None, ray: str | None = None, watcher: Watcher | None = None, **options: Any,
) -> Results:  # fmt: skip
    """Train every combination of objectives, penalties, solvers and other keys on a source, over the same seeds, and
    rank them.

    source              what `train` takes, densities left out
    objective, solver   values, or a text with commas between them
    penalty             sets of penalties: texts such as "r1r2(gamma=1)" or "nk + sgp", or tuples; "none" for none
    vary                values of other keys: {"lr_critic": ["0.001", "0.002"]}, or texts "lr_critic=0.001|0.002"
    seeds               how many, or which; they are members of one population
    budget              gradient evaluations of every run, as solvers count them: derivatives inside a penalty and the
                        pairs of a mixture are not counted
    out                 folder; a comparison that is there already is continued, or extended by new combinations
    rank                the measure that ranks; by default KL of modes and outside, or the energy distance
    workers             processes on this machine, by default one for each core; 0 for this process
    ray                 "local", or the address of a Ray cluster: cells become its tasks
    watcher             is told how it goes
    options             any other key of the configuration, the same for all

    >>> found = compare("ring8", objective="rkl, jsd", penalty="none; r1r2(gamma=1)", seeds=4)      # doctest: +SKIP
    >>> found.standings()[0].key                                                                    # doctest: +SKIP

    Raises `UsageError` for a request that cannot be carried out at all; combinations that do not fit together are left
    out, with the reason.
    """
    watcher = watcher or Watcher()
    array = _array(source)
    given = {key: value for key, value in options.items() if value is not None}
    opening: dict[str, Any] = {key: given[key] for key in ("size", "heldout") if key in given}
    data = open_source(source if array is None else array, **opening)
    _check_rank(rank, data)
    if budget is not None and (clash := [key for key in ("steps", "examples") if key in given]):
        raise UsageError(f"budget: sets the number of steps, and so does {clash[0]}; give one of the two")
    chosen = _seeds(seeds, int(given.pop("seed", 0)))
    base = {"permutations": PERMUTATIONS, **given}
    found = axes(objective, penalty, solver, vary)
    grid = make_grid(found, base, data, chosen, budget)
    folder = Folder(out or _free(data.name))
    code = None if array is None else hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:16]
    told = {
        "source": data.name,
        "data": code,
        "seeds": list(chosen),
        "budget": budget,
        **{k: _plain(v) for k, v in given.items()},
    }
    count = 0 if isinstance(source, Source) and ray is None else _workers(workers, grid.cells, ray)
    left = [cell for cell in grid.cells if folder.finished(cell.key) is None]
    planned = jobs(left, max(1, count)) if left else []
    ordered = sorted(planned, key=_cost, reverse=True)  # the longest first, so that none is left alone at the end
    asked = [request(job) for job in ordered]
    place = _place(folder, data, array, opening, count, ray) if asked else None
    folder.open(told, grid, array)
    if data.kind != "image":
        folder.keep_reference(_landmarks(data))
    watcher.planned(grid, ordered, len(grid.cells) - len(left))
    noting = _Noting(watcher, ordered)
    if place is not None:
        place(asked, noting)
    results = replace(
        read(folder.path, rank),
        refused=tuple({"label": r.label, "choices": r.choices, "reason": r.reason} for r in grid.refused),
        failed=tuple(noting.failures),
    )
    folder.conclude(results.to_dict(), results.rows())
    if results.records:
        results.report()
    return results


class _Noting(Watcher):
    """Passes on to a watcher, and keeps the failures."""

    def __init__(self, watcher: Watcher, jobs: Sequence[Job]):
        self.watcher = watcher
        self.labels = {job.name: [cell.label for cell in job.cells] for job in jobs}
        self.failures: list[dict[str, str]] = []

    def started(self, name: str, where: str) -> None:
        self.watcher.started(name, where)

    def moved(self, name: str, told: Mapping[str, Any]) -> None:
        self.watcher.moved(name, told)

    def finished(self, name: str, records: Sequence[Mapping[str, Any]]) -> None:
        self.watcher.finished(name, records)

    def failed(self, name: str, reason: str) -> None:
        self.failures += [{"label": label, "reason": reason} for label in self.labels[name]]
        self.watcher.failed(name, reason)


def _place(
    folder: Folder, data: Source, array: np.ndarray | None, opening: dict[str, Any], count: int, ray: str | None
) -> placing.Place:
    text = _everywhere(data.name) if array is None else str(folder.path.absolute() / "data.npy")
    again = {"text": text, "options": opening}
    if ray is not None:
        from ganneal.comparing.cluster import cluster

        return cluster(folder, again, array, ray)
    return placing.processes(folder, again, count) if count > 1 else placing.here(folder, data)


def _cost(job: Job) -> float:
    return sum(cell.evaluations * cell.config.steps for cell in job.cells)


def _seeds(seeds: int | Sequence[int], first: int) -> tuple[int, ...]:
    if isinstance(seeds, int) and not isinstance(seeds, bool):
        if not 1 <= seeds <= 1024:
            raise UsageError(f"seeds: expected 1 to 1024 seeds, or a list of them, got {seeds}")
        return tuple(range(first, first + seeds))
    found = tuple(int(s) for s in seeds) if isinstance(seeds, Sequence) else ()
    if not found or len(set(found)) != len(found):
        raise UsageError(f"seeds: expected different seeds, got {list(found)}")
    return found


def _landmarks(data: Source) -> dict[str, Any]:
    """Held-out examples and modes, for pictures."""
    modes, spread = data.landmarks
    arrays: dict[str, Any] = {"x": data.heldout(1000).flatten(1).numpy()}
    return arrays if modes is None else {**arrays, "modes": modes.numpy(), "spread": np.float64(spread or 0.0)}


def _workers(workers: int | None, cells: Sequence[Cell], ray: str | None) -> int:
    if workers is not None and not 0 <= workers <= 1024:
        raise UsageError(f"workers: expected 0 to 1024 processes, got {workers}")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if ray is not None:
        return len(cells)
    if workers is None and device_of(cells[0].config).type == "cuda":
        return 1  # the cells share the device in turn
    return cores if workers is None else workers


def _check_rank(rank: str, data: Source) -> None:
    if rank and rank not in MEASURES:
        raise UsageError(f"rank: unknown measure '{rank}': {nearest(rank, MEASURES)}")
    if rank in ("modes", "high_quality", "kl", "divergence") and data.modes is None:
        raise UsageError(f"rank: {rank} needs known modes, and {data.name} has none; use energy, mmd or p")


def _everywhere(text: str) -> str:
    """The text of a source as another folder or machine understands it."""
    head = text.rpartition(":")[0]
    return str(Path.cwd() / text) if any(name and Path(name).exists() for name in (text, head)) else text


def _array(source: Any) -> np.ndarray | None:
    if isinstance(source, (str, os.PathLike, Source)):
        return None
    plain = source.detach().cpu().float().numpy() if isinstance(source, Tensor) else source
    return np.asarray(plain)


def _plain(value: Any) -> Any:
    return value if isinstance(value, (int, float, str)) else str(value)


def _free(name: str) -> Path:
    stem = "".join(c if c.isalnum() else "-" for c in Path(name).stem).strip("-")[:40] or "comparison"
    numbers = (Path("comparisons") / f"{stem}-{k}" for k in range(1, 1_000_000))
    return next(p for p in numbers if not p.exists())
