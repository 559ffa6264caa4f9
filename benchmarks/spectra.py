"""How long spectra take: the full Jacobian of games of about 100 to 1500 parameters, and Arnoldi's method beyond.

    python benchmarks/spectra.py            # prints a table; goal: 1000 parameters in under 5 s

An MLP critic and generator on a ring of 8 (64 examples, float64), reverse KL with r1r2; medians of three.
"""

import argparse
import json
import os
import platform
import statistics
import time

import torch

from ganneal.data import open_source
from ganneal.dynamics.problem import Problem
from ganneal.dynamics.spectrum import field_spectrum, jacobian
from ganneal.nets import build
from ganneal.objectives import OBJECTIVES
from ganneal.penalties import PENALTIES
from ganneal.systems import GAN

WIDTHS = (5, 10, 20, 24, 64)


def problem_of(width: int, batch: int = 64) -> Problem:
    """An untrained ring game with two hidden layers of that width in both players."""
    source = open_source("ring8")
    torch.manual_seed(0)
    network = build(f"mlp(width={width}, depth=2)")
    nets = {"critic": network.critic(source.shape).double(), "generator": network.generator(2, source.shape).double()}
    penalties = (PENALTIES.build("r1r2(gamma=0.1)"),)
    game = GAN(nets, OBJECTIVES.build("rkl"), penalties, source.shape, 2)
    generator = torch.Generator().manual_seed(1)
    real = source.heldout(batch).double()
    z = torch.randn(batch, 2, generator=generator, dtype=torch.float64)
    params = {p: {n: t.detach() for n, t in net.named_parameters()} for p, net in nets.items()}
    buffers = {p: dict(net.named_buffers()) for p, net in nets.items()}
    batches = {"critic": {"real": real, "z": z}, "generator": {"z": z, "real": real}}
    zero = torch.zeros((), dtype=torch.float64)
    coefficients = {"r1r2": zero + 0.1, "lambda_likelihood": zero, "lambda_entropy": zero, "noise": zero}
    return Problem(game, params, buffers, batches, coefficients)


def seconds(work: object, repeats: int = 3) -> float:
    """Median wall time of a call."""
    assert callable(work)
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def main() -> None:
    """Print the table."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--json", metavar="FILE", help="also write the numbers")
    arguments.add_argument("--threads", type=int, default=torch.get_num_threads())
    request = arguments.parse_args()
    torch.set_num_threads(request.threads)
    rows = []
    print(f"{'parameters':>10} {'Jacobian s':>11} {'spectrum s':>11}  kind")
    for width in WIDTHS:
        problem = problem_of(width)
        whole = problem.size <= 1500
        first = seconds(lambda p=problem: jacobian(p)) if whole else None
        second = seconds(lambda p=problem: field_spectrum(p, 6), 3 if whole else 1)
        rows.append({"parameters": problem.size, "jacobian": first, "spectrum": second, "complete": whole})
        told = f"{first:11.2f}" if first is not None else f"{'-':>11}"
        print(f"{problem.size:>10} {told} {second:11.2f}  {'full' if whole else 'Arnoldi'}", flush=True)
    if request.json:
        about = {"torch": torch.__version__, "threads": request.threads, "cores": os.cpu_count(),
                 "machine": platform.machine()}  # fmt: skip
        with open(request.json, "w") as file:
            json.dump({"environment": about, "rows": rows}, file, indent=1)


if __name__ == "__main__":
    main()
