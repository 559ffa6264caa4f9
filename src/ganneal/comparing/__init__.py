"""Comparing methods: the grid of objectives, penalties, solvers and other keys, over seeds, resumable and ranked.

    running    from a request to results
    axes       texts of the axes
    grid       combinations as complete configurations, and those that cannot be
    sharing    cells that differ in numbers alone, as one population
    training   one population from its configuration to scores
    judging    scores, each beside that of a perfect sampler
    measures   their names
    ranking    who is best, and who cannot be told from it
    placing    this process, or processes of this machine; `worker` is one of them
    cluster    tasks of Ray
    watching   what is told on the way
    folder     files
    results    what was found

Names that need torch are imported when they are asked for: the help of the command line must not wait for it.
"""

from typing import TYPE_CHECKING, Any

from ganneal.comparing.axes import Axis

if TYPE_CHECKING:
    from ganneal.comparing.grid import Cell, Grid, Refused, make_grid
    from ganneal.comparing.judging import Judge
    from ganneal.comparing.measures import MEASURES, Measure
    from ganneal.comparing.ranking import Standing, standings
    from ganneal.comparing.results import Results, read
    from ganneal.comparing.running import compare
    from ganneal.comparing.watching import Watcher

_LAZY = {
    "MEASURES": "measures",
    "Cell": "grid",
    "Grid": "grid",
    "Judge": "judging",
    "Measure": "measures",
    "Refused": "grid",
    "Results": "results",
    "Standing": "ranking",
    "Watcher": "watching",
    "compare": "running",
    "make_grid": "grid",
    "read": "results",
    "standings": "ranking",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        from importlib import import_module

        return getattr(import_module(f"ganneal.comparing.{_LAZY[name]}"), name)
    raise AttributeError(f"module 'ganneal.comparing' has no attribute '{name}'")


__all__ = [
    "MEASURES",
    "Axis",
    "Cell",
    "Grid",
    "Judge",
    "Measure",
    "Refused",
    "Results",
    "Standing",
    "Watcher",
    "compare",
    "make_grid",
    "read",
    "standings",
]
