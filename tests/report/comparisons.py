"""Made-up comparisons of each kind. Tests that take long are stand-ins with the details that the real ones have."""

from dataclasses import replace
from typing import Any

import numpy as np

from ganneal.comparison import Comparison
from ganneal.reading import Samples, vectors_of
from ganneal.twosample.battery import Battery
from ganneal.twosample.columns import ks_test
from ganneal.twosample.multiplicity import holm
from ganneal.twosample.result import TestResult
from ganneal.twosample.witness import witness_extremes

KINDS = ("digits", "photos", "table", "plane", "line")
COLUMNS = ("age", "income", "children", "weight", "height", "pulse", "score", "hours", "years")


def values_of(kind: str, n: int, rng: np.random.Generator, shifted: bool) -> np.ndarray:
    """Examples: digits and photos uint8, a table of 9 columns, two clusters in a plane or on a line. Shifted, images
    are darker, incomes larger, and the clusters unequal."""
    if kind in ("digits", "photos"):
        side, channels = (8, ()) if kind == "digits" else (32, (3,))
        noise = rng.integers(0, 256, (n, side, side, *channels))
        return (noise * (0.8 if shifted else 1.0)).astype(np.uint8)
    if kind == "table":
        table = rng.normal(size=(n, len(COLUMNS))) * 10.0 ** np.arange(len(COLUMNS)) / 100
        table[:, 1] += 0.08 * shifted
        table[:, 2] = rng.integers(0, 4, n)
        return table
    right = rng.random(n) < (0.25 if shifted else 0.75)
    across = np.where(right, 1.0, -1.0) + 0.2 * rng.normal(size=n)
    points = np.stack([5000 + 1000 * across, 0.2 * rng.normal(size=n)], 1)
    return points if kind == "plane" else points[:, :1]


def result(name: str, pvalue: float, m: int = 200, n: int = 150, **change: Any) -> TestResult:
    """A stand-in."""
    given = {"statistic": 0.5, "level": 0.05, "permutations": 999, "seconds": 0.2, **change}
    return TestResult(name=name, pvalue=pvalue, m=m, n=n, **given)


def kernels(smallest: float, at: int = 3) -> dict[str, Any]:
    """Details of `mmd_fuse`: p-values that are smallest at one width of each kernel."""
    rows = [(name, k, abs(k - at)) for name in ("gaussian", "laplace") for k in range(8)]
    return {
        "kernels": [
            {"kernel": name, "width": 0.1 * 2.0**k, "mmd2": 0.01 - 0.002 * far, "pvalue": smallest + 0.1 * far}
            for name, k, far in rows
        ]
    }


def battery(*results: TestResult) -> Battery:
    """Results with Holm's correction."""
    return Battery(results, tuple(holm([r.pvalue for r in results])), 0.05)


def make(
    kind: str, *, differ: bool = True, m: int = 200, n: int = 150, without: tuple[str, ...] = (), **change: Any
) -> Comparison:
    """A comparison of one of KINDS. `differ` moves the data and makes p-values small."""
    rng = np.random.default_rng(0)
    columns = {"table": COLUMNS, "plane": ("east", "north"), "line": ("income",)}.get(kind)
    names = change.pop("names", ("data/real.npz:x", "runs/model-1"))
    real, fake = (
        Samples(name, values_of(kind, size, rng, shifted), columns)
        for name, size, shifted in zip(names, (m, n), (False, differ), strict=True)
    )
    if columns is not None:
        keep = [i for i, name in enumerate(columns) if name not in without]
        columns = tuple(columns[i] for i in keep)
        real, fake = (replace(s, values=s.values[:, keep], columns=columns) for s in (real, fake))
    x, y = vectors_of(real, fake)
    p, size = (0.001, x.shape[1]) if differ else (0.4, x.shape[1])
    half = {"tested": (m // 2, n // 2), "m": m, "n": n}
    sure = {"confident_x": list(range(10)), "confident_y": list(range(20, 30)), "accuracy_x": 0.9, "accuracy_y": 0.8}
    weights = np.arange(1.0, size + 1) / sum(range(1, size + 1))
    results = [
        result("mmd", p, m, n, power=0.8, bandwidth=(1.0,)),
        result("mmd_fuse", p, m, n, details=kernels(p)),
        result("c2st", p, **half, effect=0.85, effect_name="accuracy", details=sure),
        result("mmd_ard", p, **half, details={"weights": weights.tolist(), "columns": list(range(size))[::-1]}),
    ]
    if columns is not None and kind != "line":
        results.append(ks_test(x, y, permutations=199))
    if kind == "plane":
        results.append(
            result("me", p, m, n, null="chi2(2)", permutations=0, details={"locations": [[0.9, 0.0], [-0.9, 0.0]]})
        )
    found = Comparison(real, fake, x, y, battery(*results), witness_extremes(x, y), seed=0)
    return replace(found, **change)
