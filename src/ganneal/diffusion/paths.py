"""Many Langevin particles at once, along a schedule of beta: d_t rho = div(a rho grad psi) + b Lap rho, sampled.

Euler-Maruyama, X += a dt grad log u(X) + sqrt(2 b dt) xi, on either clock (see `langevin`). Particles are cut into
blocks that stay in the processor's cache for the whole run, each with a generator of its own seeded from the one passed
in; two threads share the blocks. Results depend on the seed and the block size, never on the number of threads.
"""

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ganneal.diffusion.langevin import Density, check_clock
from ganneal.errors import RunError, UsageError
from ganneal.schedules import Schedule, schedule

BLOCK = 1 << 15
"""Numbers in a block: positions, gradient and noise of 32,768 numbers fit in half a MiB."""


@dataclass(frozen=True)
class Paths:
    """times [k] and positions [k, n, d] recorded then, the last at the end; evaluations of u."""

    times: tuple[float, ...]
    x: Float[Tensor, "k n d"]
    evaluations: int

    @property
    def final(self) -> Float[Tensor, "n d"]:
        """Positions at the end."""
        return self.x[-1]


def langevin(
    density: Density, x0: Float[Tensor, "n d"], beta: Any, time: float, dt: float, generator: torch.Generator,
    *, clock: str = "entropy", record: Sequence[float] = (), threads: int | None = None,
) -> Paths:  # fmt: skip
    """Move n particles from x0 for `time` in steps of about `dt` (the last number that divides `time`).

    beta     a number, a schedule over progress in [0, 1], or its text: `linear(0.05->1, hold=0.2)`
    record   times to keep positions at, rounded to the step; the end is always kept
    threads  blocks worked on at once; by default torch.get_num_threads()

    Noise is drawn in float32 also for float64 positions: 2 to 3 times faster, and cut at 5.8 standard deviations
    (chance 1e-8), far below the error of a step.
    Raises `UsageError` for numbers out of range and `RunError` where particles leave finite numbers (dt too large).
    """
    betas, steps = beta_steps(beta, time, dt)
    threads = torch.get_num_threads() if threads is None else threads
    check_clock(clock)
    if x0.ndim != 2 or threads < 1:
        raise UsageError(f"got x0 {tuple(x0.shape)}, threads={threads}; allowed: [n, d] and at least 1")
    if any(not 0 <= at <= time for at in record):
        raise UsageError(f"record: got {tuple(record)}; allowed: times from 0 to {time:g}")
    stops = sorted({*(round(at / time * steps) for at in record), steps})
    h = time / steps
    drift = [h if clock == "entropy" else h * b for b in betas]
    noise = [math.sqrt(2 * h / b) if clock == "entropy" else math.sqrt(2 * h) for b in betas]
    out = x0.new_empty(len(stops), *x0.shape)
    rows = max(1, BLOCK // x0.shape[1])
    blocks = [slice(i, min(i + rows, len(x0))) for i in range(0, len(x0), rows)]
    seeds = torch.randint(2**62, (len(blocks),), generator=generator, device=generator.device).tolist()
    gradient = score_function(density)

    def run(block: slice, seed: int) -> None:
        own = torch.Generator(device=x0.device).manual_seed(seed)
        x = x0[block].detach().clone()
        xi, kept = torch.empty_like(x, dtype=torch.float32), 0
        for k in range(steps + 1):
            if k == stops[kept]:
                out[kept, block] = x
                kept += 1
            if k == steps:
                break
            xi.normal_(generator=own)
            x.add_(gradient(x), alpha=drift[k]).add_(xi, alpha=noise[k])

    with torch.inference_mode(False), torch.no_grad():
        if threads == 1 or len(blocks) == 1:
            for block, seed in zip(blocks, seeds, strict=True):
                run(block, seed)
        else:
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(run, blocks, seeds))
    if not bool(out.isfinite().all()):
        lost = int((~out.isfinite()).any(2).any(0).sum())
        raise RunError(f"{lost} of {len(x0)} particles left finite numbers; take a smaller dt than {h:g}")
    return Paths(tuple(k * h for k in stops), out, steps * len(x0))


def beta_steps(beta: Any, time: float, dt: float) -> tuple[list[float], int]:
    """beta in the middle of each step, and the number of steps. Raises `UsageError` where it is not positive."""
    if not (0 < dt <= time < math.inf):
        raise UsageError(f"got time={time}, dt={dt}; allowed: 0 < dt <= time, finite")
    steps = max(1, math.ceil(time / dt - 1e-9))
    path = schedule(beta)
    if not isinstance(path, Schedule):
        raise UsageError(f"beta: got {beta!r}; allowed: one schedule")
    betas = [path((k + 0.5) / steps) for k in range(steps)]
    if not min(betas) > 0:
        raise UsageError(f"beta: reaches {min(betas):g}; allowed: positive numbers")
    return betas, steps


def score_function(density: Density) -> Callable[[Tensor], Tensor]:
    """x -> grad log u(x), by the closed form where there is one, as log u itself is not needed here."""
    closed: Callable[[Tensor], Tensor] | None = getattr(density, "gradient", None)
    return closed if closed is not None else lambda x: density.value_and_score(x)[1]
