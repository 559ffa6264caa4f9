"""Permutation MMD against other libraries, a naive recomputation, and the arithmetic floor; paired in one process.

    python benchmarks/twosample_speed.py                     all cases, about 15 minutes on 2 cores
    python benchmarks/twosample_speed.py --cases 5000 20000

The other libraries are optional; a case without its opponent is left out, and that is said:

    pip install --target OTHERS hyppo alibi-detect && PYTHONPATH=OTHERS python benchmarks/twosample_speed.py

Each round times both sides one after the other; the figure is the median of the per-round ratios with its range. All
sides use a Gaussian kernel of the median width, the same samples and the same number of permutations; compilation
(hyppo's) and a first call are not counted. The floor is the Gram matrix of N points by one matrix product and one
exponential, held in memory, and one product of it with the matrix of all labelings, by torch in float64.
"""

import argparse
import importlib.util
import json
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ganneal.engine.devices import environment
from ganneal.twosample import median_distance, mmd_test

CASES: dict[str, dict[str, Any]] = {
    "300-hyppo": {"n": 300, "d": 2, "permutations": 200, "opponent": "hyppo", "workers": 1, "bar": 50.0},
    "300-hyppo-default": {"n": 300, "d": 2, "permutations": 200, "opponent": "hyppo", "workers": -1, "bar": None},
    "300-naive": {"n": 300, "d": 2, "permutations": 200, "opponent": "naive", "bar": None},
    "1000-alibi-2": {"n": 1000, "d": 2, "permutations": 500, "opponent": "alibi", "bar": 20.0},
    "1000-alibi-784": {"n": 1000, "d": 784, "permutations": 500, "opponent": "alibi", "bar": 20.0},
    "1000-hyppo": {"n": 1000, "d": 2, "permutations": 500, "opponent": "hyppo", "workers": 1, "bar": None, "rounds": 1},
    "3000-floor-2": {"n": 3000, "d": 2, "permutations": 500, "opponent": "floor", "bar": 1 / 1.3},
    "5000-floor-2": {"n": 5000, "d": 2, "permutations": 500, "opponent": "floor", "bar": 1 / 1.3},
    "5000-floor-784": {"n": 5000, "d": 784, "permutations": 500, "opponent": "floor", "bar": 1 / 1.3},
    "20000": {"n": 20_000, "d": 2, "permutations": 500, "opponent": "memory", "bar": 4.0},
    "20000-features": {"n": 20_000, "d": 2, "permutations": 500, "opponent": "memory", "bar": 4.0},
}


def hyppo(x: np.ndarray, y: np.ndarray, width: float, permutations: int, workers: int) -> Callable[[], Any]:
    """hyppo's permutation MMD, its fast approximation off."""
    from hyppo.ksample import MMD

    warnings.simplefilter("ignore")
    gamma = 1 / (2 * width**2)
    return lambda: MMD(gamma=gamma).test(x, y, reps=permutations, workers=workers, auto=False)


def alibi(x: np.ndarray, y: np.ndarray, width: float, permutations: int) -> Callable[[], Any]:
    """alibi-detect's permutation MMD on PyTorch."""
    from alibi_detect.cd.pytorch.mmd import MMDDriftTorch

    detector = MMDDriftTorch(x.astype(np.float32), n_permutations=permutations, sigma=np.array([width]))
    return lambda: detector.predict(y.astype(np.float32))


def naive(x: np.ndarray, y: np.ndarray, width: float, permutations: int) -> Callable[[], Any]:
    """A loop that makes the Gram matrix anew for every relabeling."""
    pool = np.concatenate([x, y])
    rng, m = np.random.default_rng(0), len(x)

    def value(order: np.ndarray) -> float:
        points = pool[order]
        squared = ((points[:, None] - points[None]) ** 2).sum(-1)
        k = np.exp(-squared / (2 * width**2))
        np.fill_diagonal(k, 0)
        return k[:m, :m].sum() / (m * (m - 1)) + k[m:, m:].sum() / (m * (m - 1)) - 2 * k[:m, m:].mean()

    return lambda: [value(rng.permutation(2 * m)) for _ in range(permutations)]


def floor(x: np.ndarray, y: np.ndarray, width: float, permutations: int) -> Callable[[], Any]:
    """The Gram matrix once, and one product with as many columns as there are labelings."""
    pool = torch.from_numpy(np.concatenate([x, y]))
    labels = torch.randint(0, 2, (len(pool), permutations)).double()

    def run() -> torch.Tensor:
        norms = pool.square().sum(1)
        gram = torch.addmm(norms[None].expand(len(pool), -1), pool, pool.T, alpha=-2).add_(norms[:, None])
        return gram.mul_(-0.5 / width**2).exp_() @ labels

    return run


def samples(n: int, d: int) -> tuple[np.ndarray, np.ndarray]:
    """Two samples of n normal examples in d dimensions, the second moved a little."""
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, d)), rng.normal(size=(n, d)) + 0.1 / np.sqrt(d)


def measure(name: str, rounds: int) -> dict[str, Any] | None:
    """One case, or None where its opponent is not installed."""
    case = CASES[name]
    n, d, permutations, opponent = case["n"], case["d"], case["permutations"], case["opponent"]
    modules = {"hyppo": "hyppo", "alibi": "alibi_detect"}
    if opponent in modules and importlib.util.find_spec(modules[opponent]) is None:
        print(f"{name:<18} left out: {modules[opponent]} is not installed")
        return None
    if opponent == "memory":
        return memory(name, case)
    x, y = samples(n, d)
    width = median_distance(torch.from_numpy(np.concatenate([x, y])))
    extra = {"workers": case["workers"]} if opponent == "hyppo" else {}
    theirs = {"hyppo": hyppo, "alibi": alibi, "naive": naive, "floor": floor}[opponent](
        x, y, width, permutations, **extra
    )

    def ours() -> Any:
        return mmd_test(x, y, kernel=width, permutations=permutations)

    if opponent == "hyppo":
        hyppo(x[:20], y[:20], width, 5, 1)()  # compiles
    if opponent == "floor":
        theirs()
    ours()
    pairs = []
    for _ in range(case.get("rounds", rounds)):
        pairs.append((timed(ours), timed(theirs)))
    ratios = [b / a for a, b in pairs]
    return {
        "case": name, "n": n, "d": d, "permutations": permutations, "opponent": opponent,
        "ours_s": statistics.median(a for a, _ in pairs), "theirs_s": statistics.median(b for _, b in pairs),
        "ratio": statistics.median(ratios), "ratio_low": min(ratios), "ratio_high": max(ratios),
        "rounds": len(pairs), "bar": case["bar"], "threads": torch.get_num_threads(),
    }  # fmt: skip


def memory(name: str, case: dict[str, Any]) -> dict[str, Any]:
    """Seconds and peak memory of one test, in a process of its own."""
    code = (
        "import sys, json; sys.path.insert(0, sys.argv[1]); from twosample_speed import *; "
        f"print(json.dumps(alone({name!r})))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(Path(__file__).parent)], capture_output=True, text=True, check=True
    )
    return {"case": name, **case, **json.loads(done.stdout.splitlines()[-1]), "threads": torch.get_num_threads()}


def alone(name: str) -> dict[str, Any]:
    """What `memory` runs: base memory after the imports, peak memory and seconds of one test, progress told."""
    from ganneal.twosample.random_features import mmd_features_test

    case = CASES[name]
    x, y = samples(case["n"], case["d"])
    before = peak_gib()
    shares: list[float] = []
    begun = time.perf_counter()
    if name.endswith("features"):
        mmd_features_test(x, y, permutations=case["permutations"])
    else:
        mmd_test(x, y, permutations=case["permutations"], progress=shares.append)
    seconds = time.perf_counter() - begun
    return {"ours_s": seconds, "peak_gib": peak_gib(), "before_gib": before, "progress_reports": len(shares)}


def peak_gib() -> float:
    """The most memory that this process has held. (getrusage would tell what the process held that started it.)"""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 2**20


def timed(call: Callable[[], Any]) -> float:
    """Seconds of one call."""
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


def main() -> None:
    """Measure the chosen cases and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="+", default=list(CASES), choices=list(CASES))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "twosample-speed.json")
    chosen = parser.parse_args()
    rows = []
    for name in chosen.cases:
        row = measure(name, chosen.rounds)
        if row is None:
            continue
        rows.append(row)
        if "ratio" in row:
            print(
                f"{name:<18} ours {row['ours_s']:8.3f} s   {row['opponent']} {row['theirs_s']:8.3f} s   ratio "
                f"{row['ratio']:7.2f} [{row['ratio_low']:.2f}, {row['ratio_high']:.2f}]   bar {row['bar'] or '-'}"
            )
        else:
            print(f"{name:<18} ours {row['ours_s']:8.1f} s   peak {row['peak_gib']:.2f} GiB   bar {row['bar']} GiB")
    found = {"environment": environment(torch.device("cpu"), 1), "rows": rows}
    chosen.out.write_text(json.dumps(found, indent=1) + "\n")
    print(chosen.out)


if __name__ == "__main__":
    main()
