"""Tables of numbers: rows standardised by the training part; CSV and parquet files."""

from array import array
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ganneal.data.contract import Indices, Options, Source, choose, split
from ganneal.errors import UsageError, nearest


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Table(Source):
    """Rows [size, d] of numbers; x = (value - mean) / std with the moments [d] of the training part. `original` [N, d]
    is the whole table as it was read, `given` [N] the column of labels."""

    original: np.ndarray
    given: np.ndarray | None = None
    values: Tensor
    held: Tensor
    mean: np.ndarray
    std: np.ndarray

    def rows(self, index: Tensor) -> Tensor:
        """float32 [B, d], standardised."""
        return self.values[index.to(self.values.device)]

    def heldout(self, n: int) -> Tensor:
        """float32 [<= n, d], standardised with the training part's moments."""
        return self.held[: max(n, 0)].clone()

    @property
    def count(self) -> int:
        """Rows, training and held-out."""
        return len(self.original)

    def examples(self, n: int, generator: torch.Generator) -> tuple[np.ndarray, np.ndarray | None]:
        """float64 [<= n, d], bit for bit as read."""
        chosen = choose(len(self.original), n, generator)
        return self.original[chosen], None if self.given is None else self.given[chosen]

    def decode(self, x: Tensor) -> np.ndarray:
        """x [B, d] to float64 [B, d] in the table's own units."""
        return x.detach().double().cpu().numpy() * self.std + self.mean


def table(
    name: str,
    values: np.ndarray,
    options: Options,
    columns: tuple[str, ...] | None = None,
    parts: tuple[Indices, Indices] | None = None,
    given: np.ndarray | None = None,
) -> Table:
    """The source of a matrix [N, d] of finite real numbers; `parts` where the data set has a split of its own."""
    options.refuse_size(name, "table")
    values = values.astype(np.float64)
    if values.shape[1] == 0:
        raise UsageError(f"{name}: has no columns; at least 1 is needed")
    columns = columns or tuple(f"x{i}" for i in range(values.shape[1]))
    bad = ~np.isfinite(values)
    if bad.any():
        row, column = (int(i) for i in np.argwhere(bad)[0])
        raise UsageError(
            f"{name}: column '{columns[column]}' has {values[row, column]} in data row {row + 1}; "
            "all values must be finite (an empty cell counts as nan)"
        )
    train, test = parts or split(name, len(values), options)
    mean, std = _moments(values[train])
    return Table(
        name=name,
        kind="table",
        shape=(values.shape[1],),
        size=len(train),
        columns=columns,
        original=values,
        given=given,
        values=torch.from_numpy(((values[train] - mean) / std).astype(np.float32)),
        held=torch.from_numpy(((values[test] - mean) / std).astype(np.float32)),
        mean=mean,
        std=std,
    )


def _moments(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation [d] of the columns of x, computed on [-1, 1] so that nothing over- or underflows."""
    low, high = x.min(0), x.max(0)
    centre, half = low / 2 + high / 2, high / 2 - low / 2
    constant = half == 0
    u = (x - centre) / np.where(constant, 1, half)
    mean = np.where(constant, low, centre + half * u.mean(0))
    return mean, np.where(constant, 1, half * u.std(0))


def open_csv(path: Path, name: str, options: Options) -> Table:
    """A CSV file of numbers, with or without a header; cells are separated by commas, semicolons or tabs.

    The commonest of the three in the first line is the separator. The first row is a header if a cell of it is no
    number where the second row has one, or if none of its cells is a number.
    """
    import csv

    values, columns = array("d"), None
    problems: dict[str, str] = {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            first = file.readline()
            file.seek(0)
            reader = csv.reader(file, delimiter=max(",;\t", key=first.count), strict=True)
            lines = ((reader.line_num, [cell.strip() for cell in row]) for row in reader if row)
            head = list(islice(lines, 2))
            if not head:
                raise UsageError(f"{name}: the file is empty; rows of numbers are needed")
            width, width_line = len(head[0][1]), head[0][0]
            if _is_header([row for _, row in head]):
                columns = tuple(cell or f"x{i}" for i, cell in enumerate(head.pop(0)[1]))
            columns = columns or tuple(f"x{i}" for i in range(width))
            keep, label = _chosen(name, columns, options)
            labels: list[str] = []
            for source in (head, lines):
                for line, row in source:
                    if len(row) != width:
                        raise UsageError(
                            f"{name}: line {line} has {len(row)} cells but line {width_line} has {width}; "
                            "all lines must have the same number"
                        )
                    if label is not None:
                        labels.append(row[label])
                    cells = [row[i] for i in keep]
                    try:
                        values.extend([float(cell) if cell else np.nan for cell in cells])
                    except ValueError:
                        values.extend([np.nan] * len(keep))
                        for i, cell in zip(keep, cells, strict=True):
                            if cell and not _is_number(cell):
                                problems.setdefault(columns[i], cell)
    except UnicodeDecodeError:
        raise UsageError(f"{name}: the file is not UTF-8 text; save it as CSV in UTF-8") from None
    except csv.Error as error:
        raise UsageError(f"{name}: cannot read the CSV file: {error}") from None
    _refuse_words(name, problems)
    matrix = np.array(values).reshape(-1, len(keep))
    return table(name, matrix, options, tuple(columns[i] for i in keep), given=_labels(labels) if labels else None)


def open_parquet(path: Path, name: str, options: Options) -> Table:
    """A parquet file of numeric columns (integers, floats, booleans, decimals)."""
    try:
        import pyarrow as pa
        import pyarrow.parquet
    except ImportError:
        raise UsageError(
            f'{name}: parquet files need pyarrow; install it with: pip install "ganneal[tables]"'
        ) from None
    try:
        content = pyarrow.parquet.read_table(path)
        types = pa.types
        keep, label = _chosen(name, tuple(content.column_names), options)
        given = None if label is None else _labels([str(v) for v in content.column(label).to_pylist()])
        content = content.select(keep)
        problems = {}
        for column, data in zip(content.column_names, content.columns, strict=True):
            t = data.type
            if not (types.is_integer(t) or types.is_floating(t) or types.is_boolean(t) or types.is_decimal(t)):
                problems[column] = str(next((v for v in data.to_pylist() if v is not None), None))
        _refuse_words(name, problems)
        arrays = [column.cast(pa.float64(), safe=False).to_numpy() for column in content.columns]
    except (pa.ArrowException, OSError) as error:
        raise UsageError(f"{name}: cannot read the parquet file: {str(error).splitlines()[0]}") from None
    matrix = np.stack(arrays, 1) if arrays else np.empty((content.num_rows, 0))
    return table(name, matrix, options, tuple(content.column_names), given=given)


def _chosen(name: str, columns: tuple[str, ...], options: Options) -> tuple[list[int], int | None]:
    """Positions of the columns to read as numbers, and of the one to read as labels."""
    for wanted in (*options.without, *([options.label] if options.label else [])):
        if wanted not in columns:
            raise UsageError(f"{name} has no column '{wanted}': {nearest(wanted, columns)}")
    left_out = {*options.without, options.label}
    keep = [i for i, column in enumerate(columns) if column not in left_out]
    if not keep:
        raise UsageError(f"{name}: no column is left")
    return keep, columns.index(options.label) if options.label else None


def _labels(cells: list[str]) -> np.ndarray:
    """Labels as numbers where all of them are, so that 1 and 1.0 are one label; else as text."""
    return np.array([float(cell) for cell in cells] if all(map(_is_number, cells)) else cells)


def _refuse_words(name: str, problems: dict[str, str]) -> None:
    if problems:
        listing = ", ".join(f"'{column}' (for example '{cell[:40]}')" for column, cell in problems.items())
        raise UsageError(
            f"{name}: columns must be numbers, and these are not: {listing}; encode them, or leave them out (in "
            "`ganneal test`: --without)"
        )


def _is_header(rows: list[list[str]]) -> bool:
    numbers = [[not cell or _is_number(cell) for cell in row] for row in rows]
    if not any(numbers[0]):
        return True
    return len(rows) == 2 and any(below and not above for above, below in zip(*numbers, strict=False))


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
