"""Samples of any source, in the user's units, and on the common scale that tests compare them on."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ganneal.api import Run
from ganneal.data import Source, open_source
from ganneal.errors import UsageError, nearest
from ganneal.features import build as build_features

MOST = 2000
SPLIT = 20_000
"""Examples of one data set that are cut in halves, at most."""


@dataclass(frozen=True, eq=False)
class Samples:
    """Examples in the user's units: numbers [n, d], or pictures uint8 [n, H, W] or [n, H, W, C]; `total` is how many
    there are where only some were taken."""

    name: str
    values: np.ndarray
    columns: tuple[str, ...] | None = None
    labels: np.ndarray | None = None
    total: int | None = None
    notes: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Of the columns of a table."""
        return self.columns or tuple(f"x{i}" for i in range(self.values.shape[1]))

    @property
    def pictures(self) -> bool:
        """Whether these are images."""
        return self.values.ndim > 2

    def __len__(self) -> int:
        return len(self.values)


def read_samples(
    source: Any, *, n: int = MOST, seed: int = 0, size: int | None = None, name: str | None = None,
    without: Sequence[str] = (), given: str | None = None,
) -> Samples:  # fmt: skip
    """Up to n examples of a source (any that `open_source` opens, or a run folder, of which n samples are drawn).

    size     side of square images, where a folder holds several sizes
    without  columns to leave out
    given    a column to read as labels, in a file also one of words; "labels": those that come with images

    Raises UsageError with one line that names the source.
    """
    label = None if given == "labels" else given
    if isinstance(source, (str, os.PathLike)) and (Path(source) / "config.yaml").is_file():
        run = Run(Path(source))
        drawn = Samples(name or str(source), run.sample(n, seed=seed), run.source().columns)
        note = f"{source} was trained on {run.config.source}; `ganneal evaluate {source}` uses data held out from it"
        return replace(_picked(drawn, without, label), notes=(note,))
    file = isinstance(source, (str, os.PathLike)) and Path(source).suffix.lower() in (".csv", ".tsv", ".parquet")
    reading: dict[str, Any] = {"without": tuple(without), "label": label} if file else {}
    opened = source if isinstance(source, Source) else open_source(source, size=size, **reading)
    values, labels = opened.examples(n, torch.Generator().manual_seed(seed))
    total = opened.count if opened.count != len(values) else None
    found = Samples(name or opened.name, values, opened.columns, labels, total)
    return found if file else _picked(found, without, label)


def read_all(sources: Sequence[Any], *, seed: int = 0, **reading: Any) -> list[Samples]:
    """Independent samples of several sources, each with a seed of its own; arguments as for `read_samples`.

    Raises UsageError for a file, a folder or a finite source that is given twice: two parts of one set overlap.
    """
    texts = list(map(str, sources))
    for text in {text for text in texts if texts.count(text) > 1}:
        if (Path(text) / "config.yaml").is_file() or os.path.exists(text) or open_source(text).count is not None:
            raise UsageError(f"{text}: given twice; allowed: two independent samples (--calibrate compares its halves)")
    return [read_samples(text, seed=seed + k, name=text, **reading) for k, text in enumerate(texts)]


def _picked(samples: Samples, without: Sequence[str], label: str | None) -> Samples:
    """Samples without some columns, one of them read as labels."""
    dropped = [*without, *([label] if label else [])]
    if not dropped:
        return samples
    keep, names = _kept(samples, dropped), samples.names
    labels = samples.labels if label is None else samples.values[:, names.index(label)]
    return replace(samples, values=samples.values[:, keep], columns=tuple(names[i] for i in keep), labels=labels)


def vectors_of(*samples: Samples, features: str | None = None) -> list[Tensor]:
    """Samples of one kind on their common scale, float64 [n, d] each; of images also their features, by a recipe that
    is fitted, where it needs to be, to all samples together, so that no relabeling changes it."""
    for other in samples[1:]:
        _check_alike(samples[0], other)
    vectors = _scaled([s.values for s in samples], samples[0])
    if features is None:
        return vectors
    if not samples[0].pictures:
        raise UsageError(f"features: got {features}; allowed for images only, and {samples[0].name} is a table")
    shape = _channels_first(samples[0].values[:1]).shape[1:]
    signed = [v.reshape(-1, *shape).float().mul(2).sub(1) for v in vectors]
    extract = build_features(features).fit(torch.cat(signed))
    return [extract(v) for v in signed]


def _check_alike(real: Samples, fake: Samples) -> None:
    """Raises UsageError for pictures against numbers, other sizes, other columns."""
    a, b = real.values.shape[1:], fake.values.shape[1:]
    if real.pictures != fake.pictures:
        kinds = ["images" if s.pictures else "a table" for s in (real, fake)]
        raise UsageError(f"{real.name} holds {kinds[0]} and {fake.name} {kinds[1]}; allowed: two of a kind")
    if a != b:
        what = (
            "x".join(map(str, a)) + " pixels and " + "x".join(map(str, b))
            if real.pictures
            else f"{a[0]} and {b[0]} columns"
        )
        hint = "pass --size, or convert to the same channels" if real.pictures else "choose the same columns in both"
        raise UsageError(f"{real.name} and {fake.name}: got {what}; allowed: equal ({hint})")
    named = [s.columns for s in (real, fake) if s.columns and s.columns != _default_columns(a[0])]
    if len(named) == 2 and named[0] != named[1]:
        odd = next((p, q) for p, q in zip(*named, strict=True) if p != q)
        raise UsageError(
            f"{real.name} and {fake.name}: columns differ ('{odd[0]}' and '{odd[1]}'); allowed: the same, in order"
        )


def aligned(real: Samples, fake: Samples) -> Samples:
    """The second sample with the columns of the first in their order, where both name the same ones."""
    if not (real.columns and fake.columns) or real.columns == fake.columns or set(real.columns) != set(fake.columns):
        return fake
    order = [fake.columns.index(name) for name in real.columns]
    note = f"the columns of {fake.name} stand in another order; they are compared by name"
    return replace(fake, values=fake.values[:, order], columns=real.columns, notes=(*fake.notes, note))


def _default_columns(width: int) -> tuple[str, ...]:
    return tuple(f"x{i}" for i in range(width))


def _kept(real: Samples, without: Sequence[str]) -> list[int]:
    if real.pictures:
        if without:
            raise UsageError(f"without: got {without[0]}; allowed for tables only, and {real.name} holds images")
        return []
    columns = real.names
    for name in without:
        if name not in columns:
            raise UsageError(f"{real.name} has no column '{name}': {nearest(name, columns)}")
    keep = [i for i, name in enumerate(columns) if name not in without]
    if not keep:
        raise UsageError("without: no column is left to compare")
    return keep


def _scaled(values: Sequence[np.ndarray], real: Samples) -> list[Tensor]:
    """Pixels in [0, 1]; columns over the standard deviation of all samples together, which no relabeling changes."""
    if real.pictures:
        return [torch.from_numpy(_channels_first(v).reshape(len(v), -1) / 255.0) for v in values]
    tensors = [torch.from_numpy(np.ascontiguousarray(v, dtype=np.float64)) for v in values]
    pool = torch.cat(tensors)
    if constant := [i for i, column in enumerate(pool.T) if bool((column == column[0]).all())]:
        names = real.names
        listing = " ".join(names[i] for i in constant)
        raise UsageError(
            f"{real.name}: column '{names[constant[0]]}' has the same value everywhere, so it says nothing; leave it "
            f"out with --without {listing}"
        )
    middle, spread = pool.mean(0), pool.std(0)
    if not bool((spread.isfinite() & (spread > 0)).all()):
        column = real.names[int((~(spread.isfinite() & (spread > 0))).nonzero()[0])]
        raise UsageError(f"{real.name}: column '{column}' holds numbers too large or too close to compare; rescale it")
    return [(t - middle) / spread for t in tensors]


def _channels_first(pixels: np.ndarray) -> np.ndarray:
    return pixels[:, None] if pixels.ndim == 3 else np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))


def example_shape(real: Samples, x: Tensor) -> tuple[int, ...]:
    """[-1, d], or [-1, C, H, W] of pictures."""
    return (-1, *(_channels_first(real.values[:1]).shape[1:] if real.pictures else x.shape[1:]))
