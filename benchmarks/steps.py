"""Games per second: our step against the same game written the ordinary eager way, paired in one process.

    python benchmarks/steps.py                      all cases, about 10 minutes on 2 cores
    python benchmarks/steps.py --cases ring ring-r1 --rounds 5

Each round times both sides one after the other; the figure is the median of the per-round ratios, with its range. The
floor is the
arithmetic of the step (counted by torch's FLOP counter on the ordinary step) over the speed of a matrix product of the
size that
dominates the step, measured in the same process with the same threads. The ordinary side runs with one thread or with
as many as ours,
whichever is faster for it.
"""

import argparse
import importlib.util
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
    "ring-jax": {"config": {**RING, "penalty": ()}, "steps": 200, "bar": 0.75, "opponent": "jax"},
    "ring-r1-jax": {"config": {**RING, "penalty": ("r1(gamma=1)",)}, "steps": 200, "bar": 0.75, "opponent": "jax"},
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


def sides(values: dict[str, Any], opponent: str) -> tuple[Callable[[int], None], Callable[[int], None], Trainer, Any]:
    """(ours, theirs, trainer, one of their steps in torch): both run a number of steps of the same game."""
    source = open_source(values["source"]) if "source" in values else open_source(_colour_images())
    trainer = Trainer(config.make({"source": "array", **values, "examples": values["batch"] * 10**6}), source)
    gamma = 1.0 if values["penalty"] else 0.0
    network = build(values["network"])
    members = values.get("population", 1)
    if opponent == "jax":
        from jax_step import jax_step

        return _ours(trainer), _loop([jax_step(source, values["batch"], gamma)]), trainer, None
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

    return _ours(trainer), _loop(steps), trainer, steps[0]


def _ours(trainer: Trainer) -> Callable[[int], None]:
    def run(n: int) -> None:
        for loss in trainer.advance(n).values():
            loss.tolist()

    return run


def _loop(steps: list[Callable[[], None]]) -> Callable[[int], None]:
    def run(n: int) -> None:
        for step in steps:
            for _ in range(n):
                step()

    return run


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


def _faster_threads(run: Callable[[int], None], n: int, most: int) -> int:
    """Whether the other side is faster with one thread or with as many as ours; it gets what suits it."""
    best = {}
    for count in {1, most}:
        torch.set_num_threads(count)
        run(1)
        best[count] = _timed(lambda: run(n))
    torch.set_num_threads(most)
    return min(best, key=best.__getitem__)


def measure(name: str, rounds: int) -> dict[str, Any]:
    """One case: medians of paired rounds."""
    case = CASES[name]
    values = case["config"]
    members, steps = values.get("population", 1), case["steps"]
    opponent = case.get("opponent", "ordinary")
    ours, ordinary, trainer, one = sides(values, opponent)
    threads = torch.get_num_threads()
    begun = time.perf_counter()
    ours(3)
    first = time.perf_counter() - begun
    flop = 0.0
    if one is not None:
        with FlopCounterMode(display=False) as counter:
            one()
        flop = counter.get_total_flops() * members
    theirs = _faster_threads(ordinary, max(1, steps // members), threads)
    pairs = []
    for _ in range(rounds):
        a = _timed(lambda: ours(steps)) / steps
        n = max(1, steps // members)
        torch.set_num_threads(theirs)
        b = _timed(partial(ordinary, n)) / n
        torch.set_num_threads(threads)
        pairs.append((a, b))
    ratios = [b / a for a, b in pairs]
    mine, other = (statistics.median(p[k] for p in pairs) for k in (0, 1))
    speed = product_speed(128, values["batch"], members) if "mlp" in values["network"] and flop else None
    return {
        "case": name,
        "opponent": opponent,
        "threads": threads,
        "ordinary_threads": theirs,
        "compiled": trainer.compiled,
        "first_steps_s": round(first, 2),
        "ours_ms": mine * 1e3,
        "ordinary_ms": other * 1e3,
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
        if name.endswith("jax") and importlib.util.find_spec("jax") is None:
            print(f"{name:<18} left out: jax is not installed")
            continue
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
