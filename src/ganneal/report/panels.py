"""A panel: pictures of a comparison that belong together, with a title and a note."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ganneal.report.pictures import Picture, picture

if TYPE_CHECKING:
    from ganneal.comparison import Comparison
    from ganneal.twosample.result import TestResult

Details = Mapping[str, Any]


@dataclass(frozen=True)
class Panel:
    """Pictures that belong together; `side` is the sample that they are of ("first", "second", or neither), `style` how
    they stand on the page ("grids", "pixels", "columns", "wide")."""

    title: str
    note: str
    pictures: tuple[Picture, ...]
    style: str = "grids"
    side: str = ""


def result_with(found: "Comparison", *keys: str) -> "TestResult | None":
    """The first test whose details have all keys."""
    return next((r for r in found.battery.results if all(key in r.details for key in keys)), None)


def details_of(found: "Comparison", *keys: str) -> Details:
    """The details of the first test that has all keys, or nothing."""
    result = result_with(found, *keys)
    return result.details if result else {}


def both(draw: Callable[[bool], bytes], alt: str, caption: str) -> Picture:
    """A picture for light and dark pages."""
    return picture(draw(False), alt, caption, draw(True))
