"""`ganneal compare ring8` of 6 methods x 8 seeds against the same 48 runs one after another, written the ordinary eager
way.

    python benchmarks/compare_speed.py                     the whole comparison; the ordinary loop is projected
    python benchmarks/compare_speed.py --steps 300         shorter: the fixed costs weigh more

Ours is the whole command: processes start, networks compile where that pays, every run is scored (modes, distances, a
two-sample test), and the page is written. Theirs is the training alone, of `--sample` steps of every method, times the
number of steps and seeds; it is timed with one thread and with all, and the faster counts. Both sides are timed in
turn, half of the ordinary loop before ours and half after it.
"""

import argparse
import json
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import relu, softplus

from ganneal.comparing import compare
from ganneal.data import open_source
from ganneal.engine.devices import environment
from ganneal.nets import build

OBJECTIVES = ("rkl", "nonsaturating", "hinge")
GAMMAS = {"none": 0.0, "r1r2(gamma=1)": 1.0}
SEEDS, LATENT = 8, 2


def network_of(width: int) -> str:
    """Generator and critic of two hidden layers."""
    return f"mlp(width={width}, depth=2)"


def critic_loss(objective: str, real: Tensor, fake: Tensor) -> Tensor:
    """The usual losses of a critic."""
    if objective == "hinge":
        return relu(1 - real).mean() + relu(1 + fake).mean()
    return softplus(-real).mean() + softplus(fake).mean()


def generator_loss(objective: str, fake: Tensor) -> Tensor:
    """The usual losses of a generator."""
    return softplus(-fake).mean() if objective == "nonsaturating" else -fake.mean()


def ordinary(objective: str, gamma: float, source: Any, width: int, batch: int) -> Callable[[], None]:
    """One step of both players: live modules, optim.Adam, loss.backward(), .item(), a running average, the penalties by
    autograd.grad(create_graph=True)."""
    network = build(network_of(width))
    generator, critic = network.generator(LATENT, source.shape), network.critic(source.shape)
    average = [p.detach().clone() for p in generator.parameters()]
    adam = [torch.optim.Adam(net.parameters(), 1e-3, betas=(0.5, 0.9)) for net in (critic, generator)]
    order = torch.Generator().manual_seed(0)

    def slope(net: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
        x = x.detach().requires_grad_()
        y = net(x)
        (g,) = torch.autograd.grad(y.sum(), x, create_graph=True)
        return y, g.square().sum(1).mean()

    def step() -> None:
        real, fake = source.sample(batch, order), generator(torch.randn(batch, LATENT)).detach()
        adam[0].zero_grad()
        if gamma:
            (y, a), (z, b) = slope(critic, real), slope(critic, fake)
            loss = critic_loss(objective, y, z) + gamma / 2 * (a + b)
        else:
            loss = critic_loss(objective, critic(real), critic(fake))
        loss.backward()
        adam[0].step()
        loss.item()
        adam[1].zero_grad()
        loss = generator_loss(objective, critic(generator(torch.randn(batch, LATENT))))
        loss.backward()
        adam[1].step()
        loss.item()
        with torch.no_grad():
            for mean, value in zip(average, generator.parameters(), strict=True):
                mean.lerp_(value, 1e-3)

    return step


def seconds_of(call: Callable[[], None], n: int) -> float:
    """Of one of n calls."""
    begun = time.perf_counter()
    for _ in range(n):
        call()
    return (time.perf_counter() - begun) / n


def ordinary_seconds(sample: int, threads: int, width: int, batch: int) -> dict[str, float]:
    """Seconds of a step of every method."""
    torch.set_num_threads(threads)
    source, found = open_source("ring8"), {}
    for objective in OBJECTIVES:
        for penalty, gamma in GAMMAS.items():
            step = ordinary(objective, gamma, source, width, batch)
            seconds_of(step, 10)
            found[f"{objective} {penalty}"] = seconds_of(step, sample)
    return found


def ours(steps: int, folder: Path, workers: int | None, compile: str, width: int, batch: int) -> tuple[float, Any]:
    """(seconds, results) of the whole comparison."""
    begun = time.perf_counter()
    found = compare(
        "ring8", objective=OBJECTIVES, penalty=list(GAMMAS), seeds=SEEDS, steps=steps, network=network_of(width),
        batch=batch, latent=LATENT, out=folder, workers=workers, compile=compile,
    )  # fmt: skip
    return time.perf_counter() - begun, found


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--sample", type=int, default=150)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--workers", type=int, default=None)
    parser.add_argument("--compile", default="auto")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "compare-speed.json")
    chosen = parser.parse_args()
    size = (chosen.width, chosen.batch)
    cores = len(os.sched_getaffinity(0))
    before = {threads: ordinary_seconds(chosen.sample, threads, *size) for threads in {1, cores}}
    folder = Path(tempfile.mkdtemp())
    mine, found = ours(chosen.steps, folder / "it", chosen.workers, chosen.compile, *size)
    after = {threads: ordinary_seconds(chosen.sample, threads, *size) for threads in {1, cores}}
    totals = {
        side: min(sum(table.values()) for table in tables.values()) * chosen.steps * SEEDS
        for side, tables in (("before", before), ("after", after))
    }
    theirs = statistics.fmean(totals.values())
    told = {
        "environment": environment(torch.device("cpu"), 1),
        "network": network_of(chosen.width),
        "batch": chosen.batch,
        "steps": chosen.steps,
        "runs": len(OBJECTIVES) * len(GAMMAS) * SEEDS,
        "ours_s": mine,
        "training_s": sum(r["seconds"] for r in found.records),
        "judging_s": sum(r["judging_seconds"] for r in found.records),
        "compiled": sum(bool(r["compiled"]) for r in found.records),
        "ordinary_s": theirs,
        "ordinary_s_before_and_after": totals,
        "ordinary_steps_timed": chosen.sample,
        "ratio": theirs / mine,
        "bar": 5.0,
        "cells": [{"label": r["label"], "seconds": r["seconds"], "compiled": r["compiled"]} for r in found.records],
    }
    chosen.out.write_text(json.dumps(told, indent=1))
    shutil.rmtree(folder)
    print(
        f"ours {mine:,.1f} s (training {told['training_s']:,.1f} s and scoring {told['judging_s']:,.1f} s of all "
        f"processes); ordinary {theirs:,.1f} s, projected from {chosen.sample} steps: {theirs / mine:.2f}x (bar 5x)"
    )


if __name__ == "__main__":
    main()
