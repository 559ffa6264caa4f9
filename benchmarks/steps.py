"""Games per second: our step against the same game written the ordinary eager way, paired in one process.

    python benchmarks/steps.py                      all cases, about 10 minutes on 2 cores
    python benchmarks/steps.py --cases ring ring-r1 --rounds 5

Each round times both sides one after the other; the figure is the median of the per-round ratios, with its range. The
floor is the
arithmetic of the step (counted by torch's FLOP counter on the ordinary step) over the speed of a matrix product of the
size that
dominates the step, measured in the same process with the same threads.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from ganneal.data import open_source
from ganneal.engine import config
from ganneal.engine.devices import environment
from ganneal.engine.trainer import Trainer
from ganneal.nets import build
from ordinary import ordinary_step

RING = {"source": "ring8", "network": "mlp(width=128, depth=2)", "latent": 2, "batch": 256, "compile": "on"}
CASES: dict[str, dict[str, Any]] = {
    "ring": {"config": {**RING, "penalty": ()}, "steps": 200, "bar": 1.9},
    "ring-r1": {"config": {**RING, "penalty": ("r1(gamma=1)",)}, "steps": 200, "bar": 2.0},
    "ring-512": {"config": {**RING, "batch": 512, "penalty": ()}, "steps": 100, "bar": None},
    "ring-512-r1": {"config": {**RING, "batch": 512, "penalty": ("r1(gamma=1)",)}, "steps": 100, "bar": None},
    "ring-eager": {"config": {**RING, "penalty": (), "compile": "off"}, "steps": 200, "bar": None},
    "ring-r1-eager": {"config": {**RING, "penalty": ("r1(gamma=1)",), "compile": "off"}, "steps": 200, "bar": None},
    "population-64": {"config": {**RING, "penalty": (), "population": 64}, "steps": 10, "bar": 10.0},
    "population-64-r1": {"config": {**RING, "penalty": ("r1(gamma=1)",), "population": 64}, "steps": 10, "bar": None},
    "dcgan-32": {
        "config": {"network": "dcgan(width=64)", "latent": 128, "batch": 64, "penalty": (), "compile": "off"},
        "steps": 3,
        "bar": 1.15,
    },
    "dcgan-32-r1": {
        "config": {
            "network": "dcgan(width=64)",
            "latent": 128,
            "batch": 64,
            "penalty": ("r1(gamma=1)",),
            "compile": "off",
        },
        "steps": 2,
        "bar": None,
    },
}


def sides(values: dict[str, Any]) -> tuple[Callable[[int], None], Callable[[int], None], Trainer, Any]:
    """(ours, ordinary, trainer, one ordinary step): both run a number of steps of the same game."""
    source = open_source(values["source"]) if "source" in values else open_source(_colour_images())
    trainer = Trainer(config.make({"source": "array", **values, "examples": values["batch"] * 10**6}), source)
    gamma = 1.0 if values["penalty"] else 0.0
    network = build(values["network"])
    members = values.get("population", 1)
    steps = [
        ordinary_step(
            network.generator(values["latent"], source.shape),
            network.critic(source.shape),
            source,
            values["batch"],
            values["latent"],
            gamma,
        )
        for _ in range(members)
    ]

    def ordinary(n: int) -> None:
        for step in steps:
            for _ in range(n):
                step()

    return lambda n: {k: v.tolist() for k, v in trainer.advance(n).items()} and None, ordinary, trainer, steps[0]


def _colour_images() -> Any:
    return torch.randint(
        0, 256, (2048, 32, 32, 3), generator=torch.Generator().manual_seed(0), dtype=torch.uint8
    ).numpy()


def product_speed(width: int, batch: int, members: int) -> float:
    """Multiply-adds a second (as FLOP) of the matrix product that dominates a dense step."""
    a, b = torch.randn(members, batch, width), torch.randn(members, width, width)
    best = min(_timed(lambda: torch.bmm(a, b)) for _ in range(20))
    return 2 * members * batch * width * width / best


def _timed(call: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


def measure(name: str, rounds: int) -> dict[str, Any]:
    """One case: medians of paired rounds."""
    case = CASES[name]
    values = case["config"]
    members, steps = values.get("population", 1), case["steps"]
    ours, ordinary, trainer, one = sides(values)
    begun = time.perf_counter()
    ours(3)
    first = time.perf_counter() - begun
    counter = FlopCounterMode(display=False)
    with counter:
        one()
    flop = counter.get_total_flops() * members
    ordinary(1)
    pairs = []
    for _ in range(rounds):
        a = _timed(lambda: ours(steps)) / steps
        n = max(1, steps // members)
        b = _timed(partial(ordinary, n)) / n
        pairs.append((a, b))
    ratios = [b / a for a, b in pairs]
    mine, theirs = (statistics.median(p[k] for p in pairs) for k in (0, 1))
    speed = product_speed(128, values["batch"], members) if "mlp" in values["network"] else None
    return {
        "case": name,
        "threads": torch.get_num_threads(),
        "compiled": trainer.compiled,
        "first_steps_s": round(first, 2),
        "ours_ms": mine * 1e3,
        "ordinary_ms": theirs * 1e3,
        "games_steps_per_s": members / mine,
        "ratio": statistics.median(ratios),
        "ratio_low": min(ratios),
        "ratio_high": max(ratios),
        "rounds": rounds,
        "bar": case["bar"],
        "mflop": flop / 1e6,
        "product_gflops": speed / 1e9 if speed else None,
        "floor_ms": flop / speed * 1e3 if speed else None,
        "share_of_floor": flop / speed / mine if speed else None,
    }


def main() -> None:
    """Measure the chosen cases and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="+", default=list(CASES), choices=list(CASES))
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "steps.json")
    chosen = parser.parse_args()
    rows = []
    for name in chosen.cases:
        row = measure(name, chosen.rounds)
        rows.append(row)
        floor = f"  floor {row['floor_ms']:.2f} ms ({row['share_of_floor']:.0%} reached)" if row["floor_ms"] else ""
        bar = f"  bar {row['bar']:g}x" if row["bar"] else ""
        print(
            f"{name:<18} ours {row['ours_ms']:8.2f} ms  ordinary {row['ordinary_ms']:8.2f} ms  "
            f"{row['ratio']:.2f}x [{row['ratio_low']:.2f}, {row['ratio_high']:.2f}]{bar}{floor}",
            flush=True,
        )
    chosen.out.write_text(json.dumps({"environment": environment(torch.device("cpu"), 1), "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
