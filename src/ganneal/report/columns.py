"""Columns of a table by how far two samples differ in them, and the rows that are most unlike the other sample.

D = max over t of |F(t) - G(t)|,   F, G the shares of the samples' values up to t
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ganneal.report.verdict import number

SHOWN = 8
"""Columns of a row that are shown, where there are more."""


@dataclass(frozen=True)
class Column:
    """A column [m], [n] of both samples: D, the value `at` which it is reached and the shares of both samples up to
    there; its p-value where it was tested, and its share of an ARD kernel's weight where one was fitted."""

    name: str
    position: int
    first: np.ndarray
    second: np.ndarray
    distance: float
    at: float
    shares: tuple[float, float]
    medians: tuple[float, float]
    pvalue: float | None = None
    weight: float | None = None


@dataclass(frozen=True)
class Rows:
    """Examples as rows of text, each cell marked where it lies outside the middle 90 % of the other sample's values;
    `typical` is the other sample's median."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, tuple[tuple[str, bool], ...]], ...]
    typical: tuple[str, ...]


def ranked(
    first: np.ndarray, second: np.ndarray, names: Sequence[str], tested: Mapping[str, Any], weighed: Mapping[str, Any]
) -> list[Column]:
    """Columns of first [m, d] and second [n, d], the most different one first.

    tested    details of a `ks` test of them all, or nothing
    weighed   details of an `mmd_ard` test of them all, or nothing
    """
    pvalues, weights = (_listed(details, key, len(names)) for details, key in ((tested, "joint"), (weighed, "weights")))
    columns = []
    for i, name in enumerate(names):
        a, b = first[:, i], second[:, i]
        distance, at, shares = _gap(a, b)
        medians = float(np.median(a)), float(np.median(b))
        columns.append(Column(name, i, a, b, distance, at, shares, medians, pvalues[i], weights[i]))
    return sorted(columns, key=lambda column: -column.distance)


def rows_of(
    own: np.ndarray, other: np.ndarray, names: Sequence[str], index: Sequence[int], values: Sequence[float]
) -> Rows:
    """The examples own[index], with their witness values, in the columns given (at most SHOWN), against the other
    sample."""
    own, other = own[:, :SHOWN], other[:, :SHOWN]
    low, high = np.quantile(other, [0.05, 0.95], axis=0)
    rows = tuple(
        (f"{value:+.1f}", tuple((_cell(v), bool(v < a or v > b)) for v, a, b in zip(own[i], low, high, strict=True)))
        for i, value in zip(index, values, strict=True)
    )
    return Rows(tuple(names[:SHOWN]), rows, tuple(_cell(v) for v in np.median(other, axis=0)))


def _gap(first: np.ndarray, second: np.ndarray) -> tuple[float, float, tuple[float, float]]:
    values = np.unique(np.concatenate([first, second]))
    shares = [np.searchsorted(np.sort(v), values, side="right") / len(v) for v in (first, second)]
    place = int(np.abs(shares[0] - shares[1]).argmax())
    below = float(shares[0][place]), float(shares[1][place])
    return abs(below[0] - below[1]), float(values[place]), below


def _listed(details: Mapping[str, Any], key: str, size: int) -> list[float | None]:
    values = details.get(key)
    return list(values) if isinstance(values, list | tuple) and len(values) == size else [None] * size


def _cell(value: float) -> str:
    return number(int(value)) if float(value).is_integer() and abs(value) < 1e9 else number(float(value))
