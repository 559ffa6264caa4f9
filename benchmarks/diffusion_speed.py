"""Speed of the diffusion package against plain NumPy, in paired runs, and of the Fokker-Planck solver.

    OMP_NUM_THREADS=2 python benchmarks/diffusion_speed.py [--particles 100000] [--steps 1000] [--pairs 5]

1. Langevin: all particles of the two-dimensional double well 3 (x^2 - 1)^2 per coordinate, dt = .001. The plain loop is
   what one would write in NumPy: float64, whole arrays, one new array per operation. Ours: `ganneal.diffusion.langevin`
   in float64 and float32, one and two threads. Each pair runs both, one after the other; the median of ratios counts,
   as absolute times drift on shared machines.
2. Fokker-Planck in two dimensions: 256 x 256 cells of the kidney to T = 10, 1000 steps, beta constant and moving, and
   how far the mass is from 1 at the end.
3. Training on the kidney with recipe `target`: 1000 steps with an adaptive temperature against a ramp, in pairs, and
   `ganneal train target:kidney` as it comes, verdict and report included.

Writes benchmarks/results/diffusion-speed.json.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ganneal.api import settle
from ganneal.data import open_source
from ganneal.diffusion import Box, fokker_planck, gaussian_cells, langevin
from ganneal.engine.config import complete
from ganneal.engine.devices import environment
from ganneal.engine.trainer import Trainer

DT = 1e-3
RESULTS = Path(__file__).parent / "results" / "diffusion-speed.json"


class DoubleWell:
    """-log u = 3 (x^2 - 1)^2 in each coordinate."""

    def gradient(self, x: Tensor) -> Tensor:
        return (1 - x.square()).mul_(x).mul_(12)

    def value_and_score(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return -3 * (x.square() - 1).square().sum(1), self.gradient(x)


def plain(particles: int, steps: int) -> np.ndarray:
    """The loop of a textbook."""
    random, x = np.random.default_rng(0), np.zeros((particles, 2))
    for _ in range(steps):
        x = x - DT * 12 * x * (x**2 - 1) + np.sqrt(2 * DT) * random.standard_normal(x.shape)
    return x


def seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def compare(particles: int, steps: int, pairs: int) -> dict[str, Any]:
    """The median time of the plain loop and the ratios of each of ours."""
    ours = [(dtype, threads) for dtype in (torch.float64, torch.float32) for threads in (1, 2)]
    ratios: dict[tuple[torch.dtype, int], list[float]] = {kind: [] for kind in ours}
    base = []
    for _ in range(pairs):
        for dtype, threads in ours:
            x0 = torch.zeros(particles, 2, dtype=dtype)
            slow = seconds(lambda: plain(particles, steps))
            fast = seconds(
                lambda x0=x0, threads=threads: langevin(
                    DoubleWell(), x0, 1.0, steps * DT, DT, torch.Generator().manual_seed(0), threads=threads
                )
            )
            base.append(slow)
            ratios[dtype, threads].append(slow / fast)
    print(f"{particles} particles x {steps} steps: plain NumPy loop {statistics.median(base):.2f} s")
    for (dtype, threads), values in ratios.items():
        spread = f"{min(values):.1f} to {max(values):.1f}"
        name = f"langevin, {str(dtype).removeprefix('torch.')}, {threads} thread(s)"
        print(f"  {name:<34} {statistics.median(values):5.1f} times as fast ({spread})")
    told = {f"{str(dtype).removeprefix('torch.')}, {threads} threads": v for (dtype, threads), v in ratios.items()}
    return {"particles": particles, "steps": steps, "plain_seconds": base, "ratios": told}


def plane(pairs: int) -> dict[str, Any]:
    """Seconds of the solver on 256 x 256 cells, and its error of mass."""
    box = Box((-5.0, -5.0), (5.0, 5.0), (256, 256))
    z = box.centres
    lobes = torch.logaddexp(-((z[:, 0] - 2) ** 2) / 0.72, -((z[:, 0] + 2) ** 2) / 0.72)
    psi = ((z.norm(dim=1) - 2) ** 2 / 0.32 - lobes).view(256, 256)
    start = gaussian_cells(box, [2, 0], [0.3, 0.3])
    told = {}
    for beta in ("1", "linear(0.05->1, hold=0.2)"):
        mass = float(fokker_planck(psi, box, start, beta, 10.0, 0.01).final.sum()) * float(box.volume)
        found = [seconds(lambda beta=beta: fokker_planck(psi, box, start, beta, 10.0, 0.01)) for _ in range(pairs)]
        print(f"fokker_planck, 256 x 256, 1000 steps, beta = {beta}: {statistics.median(found):.2f} s, "
              f"mass off by {abs(mass - 1):.1g}")  # fmt: skip
        told[beta] = {"seconds": found, "mass_error": abs(mass - 1)}
    return told


def training(pairs: int) -> dict[str, Any]:
    """Seconds of 1000 steps with a ramp and with an adaptive temperature, and of a whole run."""
    found: dict[str, list[float]] = {"linear(0.05->1, hold=0.3)": [], "adaptive(0.05->1, hold=0.3)": []}
    counts = {}
    for _ in range(pairs):
        for beta, times in found.items():
            source = open_source("target:kidney")
            given = {"source": "target:kidney", "steps": 1000, "beta": beta, "log_every": 1000}
            trainer = Trainer(settle(complete(given, "target"), source), source)
            times.append(seconds(lambda trainer=trainer: trainer.advance(1000)))
            counts[beta] = trainer.evaluations
    ratios = [b / a for a, b in zip(*found.values(), strict=True)]
    print(f"adaptive against a ramp: {statistics.median(ratios):.2f} times ({min(ratios):.2f} to {max(ratios):.2f})")
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "ganneal", "train", "target:kidney", "--out", f"{folder}/run"]
        whole = seconds(lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL))
    print(f"ganneal train target:kidney: {whole:.1f} s")
    return {"seconds": found, "ratios": ratios, "evaluations": counts, "whole_run_seconds": whole}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--particles", type=int, default=100_000)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--pairs", type=int, default=5)
    chosen = parser.parse_args()
    results = {
        "langevin": compare(chosen.particles, chosen.steps, chosen.pairs),
        "fokker_planck": plane(chosen.pairs),
        "training": training(chosen.pairs),
        "pairs": chosen.pairs,
        "environment": environment(torch.device("cpu"), 1),
    }
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")
