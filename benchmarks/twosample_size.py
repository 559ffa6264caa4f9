"""Size of every test: the share of rejections when both samples come from one law.

    python benchmarks/twosample_size.py                      2,000 replications, n = 30 and 100; about an hour
    python benchmarks/twosample_size.py --tests mmd c2st --replications 500

Level .05, m = n examples of N(0, I) in 2 dimensions, 99 relabelings (so that the exact size of an unrounded
permutation test is .05), training tests with few steps: what is measured is the null distribution, not the kernel. A
test is at fault if its Wilson interval (95 %) lies wholly above the level; as one in forty does by chance, such a row
is measured once more on new samples, four times as often, and both are kept.
"""

import argparse
import json
import time
import zlib
from pathlib import Path
from typing import Any

import torch

from ganneal.engine.devices import environment
from ganneal.twosample.battery import TESTS, build
from ganneal.twosample.calibrate import gaussians
from ganneal.twosample.conditional import conditional_test
from ganneal.twosample.multiplicity import wilson
from ganneal.twosample.relative import relative_test
from ganneal.twosample.stein import ksd_test

SETTINGS = {
    "me": "me", "scf": "scf", "mmd_d": "mmd_d(permutations=99, steps=10)", "mmd_linear": "mmd_linear(permutations=99)",
}  # fmt: skip
SLOW = ("mmd_d(", "mmd_o", "mmd_ard", "wasserstein", "sinkhorn", "c2st(perm", "c2st(stat", "me", "scf")
EXTRA = (
    "c2st(classifier=logistic, permutations=99)",
    "c2st(statistic=sign, permutations=99)",
    "nn(k=5, permutations=99)",
)


def texts(names: list[str]) -> list[str]:
    """The tests as text, 99 relabelings each."""
    return [SETTINGS.get(name, name if "(" in name else f"{name}(permutations=99)") for name in names]


def special(name: str, n: int, seed: int, generator: torch.Generator) -> bool:
    """Tests that take something else than two samples. The relative test has y and z equally far from x."""
    x, y, z = torch.randn(3, n, 2, dtype=torch.float64, generator=generator)
    if name == "relative":
        shift = torch.tensor([0.7, 0.0])
        return relative_test(x, y + shift, z - shift).rejected
    if name == "ksd":
        return ksd_test(x, lambda v: -v, permutations=99, seed=seed).rejected
    labels = torch.randint(0, 3, (2, n), generator=generator)
    return conditional_test(x, y, labels[0], labels[1], permutations=99, seed=seed).rejected


def measure(text: str, n: int, replications: int, again: int = 0) -> dict[str, Any]:
    """One row of the results; every test, size and repetition has samples of its own."""
    seed = zlib.crc32(f"{text} {n} {again}".encode())
    generator, begun = torch.Generator().manual_seed(seed), time.perf_counter()
    if text in ("relative", "ksd", "conditional"):
        hits = sum(special(text, n, s, generator) for s in range(replications))
    else:
        run, (null, _) = build(text), gaussians(n, 2, 1.0)
        hits = sum(run(*null(generator), seed=s).rejected for s in range(replications))
    low, high = wilson(hits, replications)
    return {
        "test": text, "n": n, "replications": replications, "hits": hits, "size": hits / replications,
        "interval": [low, high], "valid": low <= 0.05, "seconds": time.perf_counter() - begun,
    }  # fmt: skip


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tests", nargs="+", default=[*TESTS, *EXTRA, "relative", "ksd", "conditional"])
    parser.add_argument("--n", nargs="+", type=int, default=[30, 100])
    parser.add_argument("--replications", type=int, default=2000)
    parser.add_argument("--slow", type=int, default=300, help="replications of tests that train or transport")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "twosample-size.json")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for text in texts([t for t in chosen.tests if t not in ("relative", "ksd", "conditional")]) + [
        t for t in chosen.tests if t in ("relative", "ksd", "conditional")
    ]:
        slow = text.startswith(SLOW)
        for n in chosen.n:
            count = min(chosen.slow, chosen.replications) if slow else chosen.replications
            row = measure(text, n, count)
            if not row["valid"]:
                row["again"] = measure(text, n, 4 * count, again=1)
            rows.append(row)
            low, high = row["interval"]
            mark = f"   ABOVE; again: {row['again']['size']:.4f} {row['again']['interval']}" if "again" in row else ""
            print(
                f"{text:<44} n {n:>4}  {row['replications']:>5}  size {row['size']:.4f} [{low:.4f}, {high:.4f}]  "
                f"{row['seconds']:6.1f} s{mark}",
                flush=True,
            )
            found = {"environment": environment(torch.device("cpu"), 1), "level": 0.05, "rows": rows}
            chosen.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
