"""The grid of a comparison: every combination of the axes as a complete configuration, and those that cannot be."""

import hashlib
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ganneal.api import settle
from ganneal.comparing.axes import PARTS, Axis
from ganneal.data import Source
from ganneal.data.target import TargetSource
from ganneal.engine import config
from ganneal.engine.assembly import assemble
from ganneal.engine.building import network_of
from ganneal.engine.config import Config
from ganneal.engine.devices import device_of
from ganneal.errors import UsageError
from ganneal.nets import MLPArchitecture

PAYS = 30_000
"""Steps of all members together above which compiling small dense networks pays: it takes 10-50 s and saves about half
of a step of 1-3 ms a member (benchmarks/steps.py)."""
IDENTITY = ("out", "threads", "keep", "checkpoint_every", "sample_every", "log_every", "recipe", "seeds", "population")
"""Keys that do not tell one cell from another: they change nothing, or are the same in all cells."""


@dataclass(frozen=True)
class Cell:
    """One combination.

    key           a name for files: readable, and different for different configurations
    label         the values of the axes that vary
    choices       the value of every axis, as text
    config        complete, for all seeds as one population
    evaluations   gradients of a loss on one batch that one step computes
    cautions      what the assembly warns of
    """

    key: str
    label: str
    choices: dict[str, str]
    config: Config
    evaluations: int
    cautions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Refused:
    """A combination that cannot be, and why."""

    label: str
    choices: dict[str, str]
    reason: str


@dataclass(frozen=True)
class Grid:
    """All combinations that can be trained, and those that were left out."""

    axes: tuple[Axis, ...]
    cells: tuple[Cell, ...]
    refused: tuple[Refused, ...]


def make_grid(
    axes: Sequence[Axis], base: Mapping[str, Any], source: Source, seeds: Sequence[int], budget: int | None = None
) -> Grid:
    """Every combination of the axes on top of `base`, checked by building its parts.

    base     the other keys of the configuration, as for `train`
    seeds    of the members
    budget   gradient evaluations of each run: its steps are budget // evaluations of a step

    Raises `UsageError` where no combination is left, with the reasons.
    """
    if isinstance(source, TargetSource):
        raise UsageError(
            f"{source.name}: compare trains on examples, and this is a density; draw from it first, or use "
            f"`ganneal train {source.name}` for each"
        )
    cells: list[Cell] = []
    refused: list[Refused] = []
    for values in itertools.product(*(axis.values for axis in axes)):
        given = {axis.key: value for axis, value in zip(axes, values, strict=True)}
        choices = {key: _text(key, value) for key, value in given.items()}
        label = _label(axes, choices)
        try:
            cell = _cell(given, base, source, tuple(seeds), budget, choices, label)
        except UsageError as error:
            refused.append(Refused(label, choices, str(error)))
            continue
        if cell.key not in [c.key for c in cells]:
            cells.append(cell)
    if not cells:
        reasons = list(dict.fromkeys(r.reason for r in refused))
        count = f"none of the {len(refused)} combinations can be trained: " if len(refused) > 1 else ""
        raise UsageError(count + "; ".join(reasons[:3]) + ("; ..." if len(reasons) > 3 else ""))
    return Grid(tuple(axes), tuple(cells), tuple(refused))


def _cell(
    given: Mapping[str, Any], base: Mapping[str, Any], source: Source, seeds: tuple[int, ...], budget: int | None,
    choices: dict[str, str], label: str,
) -> Cell:  # fmt: skip
    values = {**base, **given, "source": source.name, "population": len(seeds), "seed": seeds[0]}
    if len(seeds) > 1:
        values["seeds"] = seeds
    wanted = config.complete({k: v for k, v in values.items() if v is not None}, source.kind)
    built = assemble(wanted, source)
    evaluations = built.solver.evaluations(built.game.players)
    if budget is not None:
        if budget < evaluations:
            raise UsageError(f"budget: got {budget}; one step of this solver computes {evaluations} gradients")
        wanted = wanted.model_copy(update={"examples": budget // evaluations * wanted.batch})
    settled = settle(_compiled(wanted), source)
    return Cell(_key(settled, label), label, choices, settled, evaluations, built.cautions)


def _compiled(wanted: Config) -> Config:
    """Compiled where its runs together are long enough, unless the configuration decides: a population compiles once
    for all its members."""
    if wanted.compile != "auto" or device_of(wanted).type != "cpu" or wanted.steps * wanted.population < PAYS:
        return wanted
    return wanted.model_copy(update={"compile": "on"}) if isinstance(network_of(wanted), MLPArchitecture) else wanted


def _key(settled: Config, label: str) -> str:
    told = {k: v for k, v in json.loads(settled.model_dump_json()).items() if k not in IDENTITY}
    code = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:10]
    words = "".join(c if c.isalnum() else "-" for c in label)
    while "--" in words:
        words = words.replace("--", "-")
    return f"{words.strip('-')[:60] or 'cell'}-{code}"


def _label(axes: Sequence[Axis], choices: Mapping[str, str]) -> str:
    """The values that tell this combination from the others."""
    telling = [axis.key for axis in axes if len(axis.values) > 1] or [axis.key for axis in axes]
    words = [choices[key] if key in PARTS else f"{key}={choices[key]}" for key in telling]
    return " · ".join(words) or "one setting"


def _text(key: str, value: Any) -> str:
    return (" + ".join(value) or "no penalty") if key == "penalty" else str(value)
