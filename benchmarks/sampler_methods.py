"""The methods that `samplers.py` compares, each as a function of a target, a budget of evaluations and a seed.

All of them start from the same knowledge: the frame that the target declares, rough mean and standard deviations of the
whole law, in whose coordinates they work. Everything that evaluates the density is counted: warm-up, pilots,
adaptation, looks of the guard, and the rows behind importance weights.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ganneal.data.target import TargetSource, target_source
from ganneal.diffusion import gaussian_base, parallel_tempering, run_mala, smc
from ganneal.engine.judging import drawn, exact_log_q
from ganneal.metrics.importance import importance
from ganneal.targets import Framed, Target, frame_of
from sampling import trained

WEIGHED = 4096
"""Samples of ours whose importance weights are taken."""
TIMED = 100_000
WIDE = 2.0
"""Standard deviation of the base of tempering and SMC, in the frame."""
LEVELS, LADDERS, CHAINS, ISLANDS, MOVES, SHARE = 12, 16, 64, 16, 5, 0.9
KEPT = 400_000
"""Draws of all chains together that are kept, about, evenly thinned."""


@dataclass
class Draws:
    """x [n, d], equally weighted, and what they cost. `effective`: what they are worth in independent draws, by the
    `ess_kind` of the method; `per_second`: effective draws a second once everything is set up (ours: after training)
    or in all (the others)."""

    x: Tensor
    evaluations: int
    seconds: float
    ess_kind: str
    ess_share: float | None
    effective: float | None
    per_second: float | None
    log_z: float | None = None
    log_z_interval: tuple[float, float] | None = None
    more: dict[str, Any] = field(default_factory=dict)


def ours(target: Target, budget: int, seed: int, options: dict[str, Any]) -> Draws:
    """A run of recipe `target`, but for `options`; log Z and ESS by importance weights where its density is known."""
    source = target_source(target, None, seed, None)
    assert isinstance(source, TargetSource)
    trainer, told = trained(source, budget - WEIGHED, seed=seed, **options)
    begun = time.perf_counter()
    x = source.coordinates(trainer.sample(TIMED, seed=2, block=4096))
    rate = TIMED / (time.perf_counter() - begun)
    points, log_q = drawn(trainer, source, 0, WEIGHED, seed=3), exact_log_q(trainer, source, 0)
    found = None
    if log_q is not None:
        log_u = target.log_prob(points).double()
        found = importance(log_u - (log_q(points) if callable(log_q) else log_q), seed=seed)
        told["evaluations"] += len(points)
        told["pareto_k"] = found.pareto_k
    share = found and found.ess_share
    return Draws(
        x, told.pop("evaluations"), told.pop("seconds"), "importance weights", share, share and share * TIMED,
        share and share * rate, found and found.log_z, found and (found.low, found.high),
        {**told, "draws_per_second": rate},
    )  # fmt: skip


def mala(target: Target, budget: int, seed: int, wide: int = 1) -> Draws:
    """Independent chains from N(0, I) in the frame; a third is warm-up, in which the step is adapted."""
    density, generator = framed(target), torch.Generator().manual_seed(seed)
    chains = CHAINS * wide
    steps = budget // chains - 1
    begun = time.perf_counter()
    x0 = torch.randn(chains, target.dim, generator=generator, dtype=torch.float64)
    run = run_mala(density, x0, steps, generator, thin=max(1, 2 * steps * chains // (3 * KEPT)))
    seconds = time.perf_counter() - begun
    return chained(target, run.draws, run.evaluations, seconds, {"acceptance": run.acceptance, "chains": chains})


def tempering(target: Target, budget: int, seed: int, wide: int = 1) -> Draws:
    """Parallel tempering from N(0, WIDE^2 I) in the frame; a third of the sweeps adapts ladder and steps."""
    density, generator = framed(target), torch.Generator().manual_seed(seed)
    ladders = LADDERS * wide
    sweeps = (budget - LEVELS * ladders) // (ladders * (LEVELS + 1))
    begun = time.perf_counter()
    base = gaussian_base(torch.zeros(target.dim, dtype=torch.float64), WIDE)
    run = parallel_tempering(
        density, base.draw(ladders, generator), sweeps - sweeps // 3, generator, levels=LEVELS, base=base,
        warmup=sweeps // 3, thin=max(1, 2 * sweeps * ladders // (3 * KEPT)),
    )  # fmt: skip
    seconds = time.perf_counter() - begun
    more = {"barrier": run.barrier, "lowest_swap_rate": float(run.swap_rates.min()), "ladders": ladders}
    found = chained(target, run.draws, run.evaluations, seconds, more)
    found.log_z, found.log_z_interval = run.log_z, run.interval
    return found


def sequential(target: Target, budget: int, seed: int, wide: int = 1) -> Draws:
    """SMC from the same base. A pilot with few particles counts the rungs, which sets the number of particles."""
    density, generator = framed(target), torch.Generator().manual_seed(seed)
    base = gaussian_base(torch.zeros(target.dim, dtype=torch.float64), WIDE)
    begun = time.perf_counter()
    pilot = smc(density, base, 512, generator, share=SHARE, moves=MOVES)
    rungs = len(pilot.plan.betas)
    left, pilot_seconds = budget - pilot.evaluations, time.perf_counter() - begun
    while True:  # with more particles there can be more rungs than the pilot had: then once more, with fewer
        n = max(1, left // (1 + MOVES * rungs) // ISLANDS) * ISLANDS
        begun = time.perf_counter()
        run = smc(density, base, n, generator, share=SHARE, moves=MOVES, islands=ISLANDS)
        if run.evaluations <= left or n == ISLANDS:
            break
        rungs = max(rungs + 1, len(run.plan.betas))
    seconds = pilot_seconds + time.perf_counter() - begun
    x = frame_of(target).outward(run.samples(n, generator))
    groups = run.particles.x.view(ISLANDS, -1, target.dim)
    weights = run.particles.log_weight.view(ISLANDS, -1, 1).softmax(1)
    effective = worth((weights * groups).sum(1), run.particles.x, n)
    more = {"particles": n, "rungs": rungs, "ess_of_last_weights": run.ess}
    return Draws(
        x, run.evaluations + pilot.evaluations, seconds, "variance between islands", effective / n, effective,
        effective / seconds, run.log_z, run.interval, more,
    )  # fmt: skip


MCMC: dict[str, Callable[..., Draws]] = {"pt": tempering, "mala": mala, "smc": sequential}


def in_time(method: str, target: Target, budget: int, seed: int, seconds: float) -> Draws:
    """The method at a budget that takes `seconds`, by the evaluations a second of a first run that does not count.
    Four times as many chains at once, as a wall clock rewards large batches."""
    first = MCMC[method](target, budget, seed, wide=4)
    for _ in range(2):
        wanted = max(budget // 8, int(first.evaluations / first.seconds * seconds))
        first = MCMC[method](target, wanted, seed, wide=4)
        if 0.75 < first.seconds / seconds < 1.33:
            break
    return first


def framed(target: Target) -> Framed:
    """The target in the coordinates of the frame it declares."""
    return Framed(target, frame_of(target))


def chained(target: Target, draws: Tensor, evaluations: int, seconds: float, more: dict[str, Any]) -> Draws:
    """Draws [m, n, d] of n independent chains, in the frame."""
    m, n, _ = draws.shape
    effective = worth(draws.mean(0), draws.flatten(0, 1), m * n)
    x = frame_of(target).outward(draws.flatten(0, 1))
    kind = "variance between chains"
    return Draws(x, evaluations, seconds, kind, effective / (m * n), effective, effective / seconds, more=more)


def worth(means: Tensor, x: Tensor, most: int) -> float:
    """Independent draws whose mean has the error that the means [n, d] of n independent groups show:

        n sum_d Var(x_d) / sum_d Var(means_d)

    Var(x) over all draws, so a group that stays where it began counts as one draw. The weights of particles say nothing
    of common ancestors; this does. Its relative error is about sqrt(2 / (n - 1)).
    """
    between, within = float(means.var(0).sum()), float(x.var(0).sum())
    return min(float(most), len(means) * within / between) if between > 0 and math.isfinite(within) else math.nan
