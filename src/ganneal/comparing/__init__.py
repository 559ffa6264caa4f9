"""Comparing methods: the grid of objectives, penalties, solvers and other keys, over seeds, resumable and ranked.

    axes       texts of the axes
    grid       combinations as complete configurations, and those that cannot be
    sharing    cells that differ in numbers alone, as one population
    training   one population from its configuration to scores
    judging    scores, each beside that of a perfect sampler
    ranking    who is best, and who cannot be told from it
    placing    processes of this machine; `cluster` tasks of Ray
    folder     files

Names that need torch are imported when they are asked for: the help of the command line must not wait for it.
"""

from typing import TYPE_CHECKING, Any

from ganneal.comparing.axes import Axis

if TYPE_CHECKING:
    from ganneal.comparing.grid import Cell, Grid, Refused, make_grid
    from ganneal.comparing.judging import MEASURES, Judge, Measure
    from ganneal.comparing.ranking import Standing, standings
    from ganneal.comparing.results import Results, read
    from ganneal.comparing.running import compare

_LAZY = {
    "MEASURES": "judging",
    "Cell": "grid",
    "Grid": "grid",
    "Judge": "judging",
    "Measure": "judging",
    "Refused": "grid",
    "Results": "results",
    "Standing": "ranking",
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
    "compare",
    "make_grid",
    "read",
    "standings",
]
