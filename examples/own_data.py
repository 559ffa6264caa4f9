"""Train on a table of your own, judge the result, and use it.

Well under a minute on two CPU cores.

python examples/own_data.py
"""

import tempfile
from pathlib import Path

import numpy as np

import ganneal as gn


def measurements(n: int, seed: int) -> np.ndarray:
    """n rows (height, weight) of two groups of people, as a stand-in for your data."""
    rng = np.random.default_rng(seed)
    group = rng.random(n) < 0.4
    height = np.where(group, rng.normal(164, 6, n), rng.normal(178, 7, n))
    weight = 0.9 * (height - 100) + rng.gamma(2.0, 4.0, n)
    return np.stack([height, weight], axis=1)


def spread(x: np.ndarray) -> str:
    """Mean and standard deviation as text."""
    return f"{x.mean():.1f} +- {x.std():.1f}"


def main() -> None:
    """Write a table, train on it, compare."""
    folder = Path(tempfile.mkdtemp(prefix="ganneal-"))
    path = folder / "people.csv"
    np.savetxt(path, measurements(5000, seed=0), delimiter=",", header="height,weight", comments="")

    run = gn.train(path, steps=1500, seed=0, out=str(folder / "run"))
    print("verdict:", run.verdict["sentence"])

    x = run.sample(1000)  # in the units of the table
    fresh = measurements(1000, seed=1)
    for k, column in enumerate(("height", "weight")):
        print(f"{column}: samples {spread(x[:, k])}, people {spread(fresh[:, k])}")
    print("correlation:", f"samples {np.corrcoef(x.T)[0, 1]:.2f}, people {np.corrcoef(fresh.T)[0, 1]:.2f}")

    # The test is also there for any two sets of samples. Columns should have comparable scales.
    print("fresh people:", gn.mmd_test(x / fresh.std(0), fresh / fresh.std(0)).sentence())
    print("report:", folder / "run" / "report.html")


if __name__ == "__main__":
    main()
