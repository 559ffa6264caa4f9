"""Everything a person can train on, as a `Source`: toy distributions, digits, arrays, tables, images.

`open_source("ring8")`, `open_source("photos/", size=64)`, `open_source("rows.csv")`, `open_source(array)`.
"""

from ganneal.data.contract import Source
from ganneal.data.source import SOURCES, open_source

__all__ = ["SOURCES", "Source", "open_source"]
