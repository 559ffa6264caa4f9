"""What every stabiliser costs: its step against the plain step of the same game, paired in one process.

    python benchmarks/costs.py                        all parts, eager, some minutes on 2 cores
    python benchmarks/costs.py --parts nk unrolled --rounds 15 --compile

The game is the ring of 8 with mlp(width=128, depth=2), batch 256, Adam, one thread: the plain step is one critic and
one generator update of the non-saturating game. Each round times both sides one after the other; the figure is the
median of the per-round ratios, with its range. Beside it stand the gradient evaluations of a step, which is what
solvers are compared at.
"""

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

import torch

from ganneal.data import open_source
from ganneal.engine import config
from ganneal.engine.devices import environment
from ganneal.engine.trainer import Trainer

RESULTS = Path(__file__).parent / "results" / "costs.json"
GAME = {
    "source": "ring8", "network": "mlp(width=128, depth=2)", "latent": 2, "batch": 256, "objective": "nonsaturating",
    "penalty": (), "threads": 1,
}  # fmt: skip
PARTS: dict[str, dict[str, Any]] = {
    "r1": {"penalty": "r1(gamma=1)"},
    "r1r2": {"penalty": "r1r2(gamma=1)"},
    "sgp": {"penalty": "sgp(rho=1)"},
    "gp": {"penalty": "gp(weight=10)"},
    "dragan": {"penalty": "dragan(weight=10)"},
    "roth": {"penalty": "roth"},
    "lecam": {"penalty": "lecam"},
    "spectral": {"penalty": "spectral"},
    "clip": {"penalty": "clip(bound=0.1)"},
    "nk": {"penalty": "nk(eta=0.5)"},
    "jare": {"penalty": "jare(gamma=1)"},
    "consensus": {"penalty": "consensus(gamma=0.1)"},
    "coverage": {"penalty": "coverage"},
    "isometry": {"penalty": "isometry"},
    "pack": {"critic": "pack(size=2)"},
    "minibatch": {"critic": "minibatch"},
    "simultaneous": {"solver": "simultaneous"},
    "extragradient": {"solver": "extragradient"},
    "optimistic": {"solver": "optimistic"},
    "prediction": {"solver": "prediction"},
    "lookahead": {"solver": "lookahead"},
    "averaging": {"solver": "averaging"},
    "unrolled": {"solver": "unrolled(steps=5)"},
    "symplectic": {"solver": "symplectic", "objective": "jsd"},
    "competitive": {"solver": "competitive", "objective": "jsd"},
    "chekhov": {"solver": "chekhov(opponents=10)"},
    "mode_regularised": {"system": "mode_regularised"},
    "mdgan": {"system": "mdgan"},
    "mix": {"system": "mix"},
    "mmd": {"system": "mmd"},
}
BARS = {"nk": 3.0, "unrolled": 8.0, "chekhov": 4.0}


def trainer(options: dict[str, Any], compile_it: bool) -> Trainer:
    """A training of the game with some of its parts replaced."""
    values = {**GAME, "compile": "on" if compile_it else "off", **options}
    return Trainer(config.make({**values, "examples": values["batch"] * 10**6}), open_source("ring8"))


def seconds(side: Trainer, steps: int) -> float:
    """Seconds of a step."""
    begun = time.perf_counter()
    for loss in side.advance(steps).values():
        loss.tolist()
    return (time.perf_counter() - begun) / steps


def measure(name: str, rounds: int, steps: int, compile_it: bool) -> dict[str, Any]:
    """One part against the plain step."""
    options = PARTS[name]
    plain = trainer({k: v for k, v in options.items() if k == "objective"}, compile_it)
    part = trainer(options, compile_it)
    for side in (plain, part):
        seconds(side, 12)
    fair = max(3, steps // 5)
    pairs = [(seconds(plain, steps), seconds(part, fair)) for _ in range(rounds)]
    ratios = [b / a for a, b in pairs]
    players = part.play.players
    return {
        "part": name,
        "options": options,
        "compiled": compile_it,
        "plain_ms": statistics.median(a for a, _ in pairs) * 1e3,
        "part_ms": statistics.median(b for _, b in pairs) * 1e3,
        "ratio": statistics.median(ratios),
        "ratio_low": min(ratios),
        "ratio_high": max(ratios),
        "rounds": rounds,
        "evaluations": part.assembly.solver.evaluations(players),
        "bar": BARS.get(name),
    }


def main() -> None:
    """Measure the chosen parts and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=list(PARTS))
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--out", type=Path, default=RESULTS)
    chosen = parser.parse_args()
    rows = []
    for name in chosen.parts:
        row = measure(name, chosen.rounds, chosen.steps, chosen.compile)
        rows.append(row)
        bar = f"  bar {row['bar']:g}x" if row["bar"] else ""
        print(
            f"{name:<18}{row['part_ms']:8.2f} ms  plain {row['plain_ms']:6.2f} ms  {row['ratio']:5.2f}x "
            f"[{row['ratio_low']:.2f}, {row['ratio_high']:.2f}]  {row['evaluations']} gradients a step{bar}",
            flush=True,
        )
    chosen.out.write_text(json.dumps({"environment": environment(torch.device("cpu"), 1), "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
