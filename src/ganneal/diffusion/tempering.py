"""Parallel tempering: replicas at a ladder of inverse temperatures that exchange places, so that samples at beta = 1
cross barriers (Geyer 1991; the deterministic even-odd scheme and the tuning of the ladder: Syed, Bouchard-Cote,
Deligiannidis and Doucet 2022).

    levels 0 < beta_1 < ... < beta_K = 1 of u^beta, or, with a base r, beta_1 = 0 of the path r^(1-beta) u^beta
    neighbours k, k+1 swap with chance min(1, exp((beta_(k+1) - beta_k)(V(x_k) - V(x_(k+1))))),  V = log u (- log r)

Even pairs swap at even sweeps and odd pairs at odd ones, so a place keeps its direction until it is refused. All
replicas of all ladders are one batch [levels n, d] with a MALA step (several, `moves`) between sweeps. With a base the
lowest level is drawn afresh from r at every sweep, and log Z comes from Bennett's acceptance ratio between neighbours.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ganneal.diffusion.gaussian_base import GaussianBase, fitted_base, gaussian_base
from ganneal.diffusion.langevin import TARGET_ACCEPTANCE, Chains, Density, Moments, mala, run_mala, start
from ganneal.errors import RunError, UsageError

if TYPE_CHECKING:
    from ganneal.targets.target import Target


@dataclass(frozen=True)
class TemperedRun:
    """draws [m, n, d] at beta = 1 of n independent ladders; betas [levels]; swap rates [levels - 1]; acceptance and
    steps of the moves [levels]; barrier = sum of refusal rates of swaps, which stays as levels are added and of which
    the best number of levels is about twice; log Z with an interval (only with a base); evaluations, warm-up included;
    the state of all replicas."""

    draws: Float[Tensor, "m n d"]
    betas: Float[Tensor, " levels"]
    swap_rates: Float[Tensor, " levels-1"]
    acceptance: Float[Tensor, " levels"]
    steps: Float[Tensor, " levels"]
    barrier: float
    log_z: float | None
    interval: tuple[float, float] | None
    evaluations: int
    chains: Chains

    @property
    def samples(self) -> Float[Tensor, "mn d"]:
        """All draws at beta = 1."""
        return self.draws.flatten(0, 1)


def parallel_tempering(
    density: Density, x0: Float[Tensor, "n d"], sweeps: int, generator: torch.Generator, *, levels: int = 12,
    lowest: float = 0.05, base: GaussianBase | None = None, warmup: int | None = None, moves: int = 1, thin: int = 1,
    betas: Float[Tensor, " levels"] | None = None, level: float = 0.95,
) -> TemperedRun:  # fmt: skip
    """n ladders from x0 (every level of ladder i starts at x0[i]) for `sweeps` kept sweeps after `warmup`.

    levels   replicas per ladder
    lowest   smallest beta without a base; with one it is 0
    betas    a fixed ladder, rising to 1; otherwise geometric (with a base, cubic) at first and, during warm-up, placed
             so that all pairs refuse equally often
    warmup   as many as `sweeps` by default; adapts ladder, steps and preconditioning, which are frozen afterwards
    Raises `RunError` where log u is not finite at the start, and `UsageError` for numbers out of range.
    """
    warmup = sweeps if warmup is None else warmup
    ladder = _first_ladder(levels, lowest, base) if betas is None else torch.as_tensor(betas).double()
    _check_ladder(ladder, base, sweeps, warmup, moves, thin)
    replicas = _Replicas(density, x0, ladder, base, generator, moves)
    edges = [warmup * j // 31 for j in (1, 3, 7, 15, 23)]  # rounds that double; the last quarter is for the steps alone
    for k in range(warmup):
        replicas.sweep(tune=True)
        if k + 1 in edges:
            replicas.retune(betas is None)
    replicas.forget()
    draws, energies = [], []
    for k in range(sweeps):
        replicas.sweep()
        if k % thin == 0:
            draws.append(replicas.coldest())
            if base is not None:
                energies.append(replicas.energy())
    log_z, interval = (
        _log_z(torch.stack(energies), replicas.ladder, replicas.inside / max(replicas.drawn, 1), level)
        if energies
        else (None, None)
    )
    rates = replicas.swap_rates()
    return TemperedRun(
        torch.stack(draws), replicas.ladder, rates, replicas.acceptance(), replicas.steps.clone(),
        float((1 - rates).sum()), log_z, interval, replicas.chains.evaluations, replicas.chains,
    )  # fmt: skip


def reference(
    target: "Target", n: int, generator: torch.Generator, *, ladders: int = 32, levels: int = 16, sweeps: int = 2000,
    moves: int = 2,
) -> Float[Tensor, "n d"]:  # fmt: skip
    """n samples that stand for the truth: exact ones where the target has a sampler, otherwise states of a long
    parallel tempering run (not exact: judge them by a second run with another seed), float64.

    The base is the target's frame (centre, twice its scale), or from a pilot run of MALA chains; it is fitted again to
    a first tempering run.
    """
    if target.draw is not None:
        return target.sample(n, generator)
    if n < 1 or ladders * sweeps < n:
        raise UsageError(f"n: got {n}; allowed: 1 to ladders * sweeps = {ladders * sweeps}")
    if target.centre is not None and target.scale is not None:
        base = gaussian_base(target.centre.double(), 2 * target.scale.double())
    else:
        x0 = torch.randn(ladders, target.dim, generator=generator, dtype=torch.float64)
        pilot = run_mala(target, x0, 600, generator, thin=10)
        base = fitted_base(pilot.samples, widen=2.0)
    x0 = _usable(target, base, ladders, generator)
    first = parallel_tempering(target, x0, sweeps // 4, generator, levels=levels, base=base, moves=moves)
    base = fitted_base(first.samples, widen=1.2)
    thin = max(1, ladders * sweeps // n)
    run = parallel_tempering(
        target, first.draws[-1], sweeps, generator, levels=levels, base=base, moves=moves, thin=thin
    )
    return run.samples[torch.randperm(len(run.samples), generator=generator)[:n]]


def _usable(target: "Target", base: GaussianBase, n: int, generator: torch.Generator) -> Tensor:
    """n draws of the base at which log u is finite."""
    x = base.draw(100 * n, generator)
    value, score = target.value_and_score(x)
    good = x[value.isfinite() & score.isfinite().all(1)]
    if len(good) < n:
        raise RunError(f"{target.name}: log u is finite at {len(good)} of {100 * n} places drawn to start from")
    return good[:n]


class _Replicas:
    """All levels of all ladders, level-major: row k n + i is level k of ladder i."""

    def __init__(
        self, density: Density, x0: Tensor, ladder: Tensor, base: GaussianBase | None, generator: torch.Generator,
        moves: int,
    ):  # fmt: skip
        self.density, self.ladder, self.base, self.generator, self.moves = density, ladder, base, generator, moves
        self.n, self.levels, self.parity, self.count = len(x0), len(ladder), 0, 0
        self.chains = start(density, x0.repeat(self.levels, 1))
        self.factor: Tensor | None = None
        self.steps = torch.full((self.levels,), min(1.0, 0.3 * x0.shape[1] ** (-1 / 3)), dtype=torch.float64)
        self.moments = Moments(x0.shape[1])
        self.forget()

    def forget(self) -> None:
        """Start counting swaps and acceptances anew."""
        self.swapped, self.tried = torch.zeros(2, self.levels - 1, dtype=torch.float64)
        self.accepted, self.moved, self.count = torch.zeros(self.levels, dtype=torch.float64), 0, 0
        self.inside, self.drawn = torch.zeros(self.n, dtype=torch.float64), 0

    def sweep(self, tune: bool = False) -> None:
        """MALA moves of every replica, then swaps of the even or odd pairs."""
        x = self.chains.x
        beta, step = (v.repeat_interleave(self.n).to(x) for v in (self.ladder, self.steps))
        for _ in range(self.moves):
            self.chains, accepted = mala(
                self.density, self.chains, beta, step, self.generator, clock="likelihood", base=self.base,
                factor=self.factor,
            )  # fmt: skip
            share = accepted.view(self.levels, self.n).double().mean(1).cpu()
            self.accepted, self.moved, self.count = self.accepted + share, self.moved + 1, self.count + 1
            if tune:
                self.steps *= (2 * self.count**-0.6 * (share - TARGET_ACCEPTANCE)).exp()
        if tune:
            self.moments.add(self.coldest())
        if self.base is not None:
            self._refresh(self.base)
        self._swap()

    def _refresh(self, base: GaussianBase) -> None:
        """The lowest level, drawn from the base (and kept as it was where log u is not finite): n evaluations."""
        x = base.draw(self.n, self.generator).to(self.chains.x)
        value, score = self.density.value_and_score(x)
        fine = value.isfinite() & score.isfinite().all(1)
        self.inside, self.drawn = self.inside + fine.double().cpu(), self.drawn + 1
        rows = torch.nonzero(fine).flatten()
        old = self.chains
        self.chains = Chains(
            old.x.index_copy(0, rows, x[rows]), old.value.index_copy(0, rows, value[rows]),
            old.score.index_copy(0, rows, score[rows]), old.evaluations + self.n,
        )  # fmt: skip

    def energy(self) -> Float[Tensor, "levels n"]:
        """V = log u (- log r) of all replicas."""
        value = self.chains.value.double()
        if self.base is not None:
            value = value - self.base.log_prob(self.chains.x).double()
        return value.view(self.levels, self.n)

    def _swap(self) -> None:
        energy = self.energy()
        log_ratio = self.ladder.diff()[:, None].to(energy.device) * (energy[:-1] - energy[1:])
        uniform = torch.rand(log_ratio.shape, generator=self.generator, dtype=torch.float64, device=energy.device)
        pairs = slice(self.parity, None, 2)
        self.swapped[pairs] += log_ratio[pairs].clamp(max=0).exp().mean(1).cpu()  # expected, not drawn: less noise
        self.tried[pairs] += 1
        order = torch.arange(self.levels * self.n, device=energy.device).view(self.levels, self.n)
        taken = uniform.log() < log_ratio
        for k in range(self.parity, self.levels - 1, 2):
            lower, upper = order[k].clone(), order[k + 1].clone()
            order[k], order[k + 1] = torch.where(taken[k], upper, lower), torch.where(taken[k], lower, upper)
        rows, old = order.flatten(), self.chains
        self.chains = Chains(old.x[rows], old.value[rows], old.score[rows], old.evaluations)
        self.parity = 1 - self.parity

    def retune(self, ladder: bool) -> None:
        """Place levels so that all pairs refuse equally often, steps with them, and precondition by the covariance at
        beta = 1."""
        if ladder and self.levels > 2 and bool((self.tried > 0).all()):
            barrier = torch.cat([torch.zeros(1).double(), (1 - self.swap_rates()).clamp_min(1e-4).cumsum(0)]).numpy()
            even = np.linspace(0, barrier[-1], self.levels)
            new = torch.from_numpy(np.interp(even, barrier, self.ladder.numpy()))
            new[0], new[-1] = self.ladder[0], self.ladder[-1]
            self.steps = torch.from_numpy(np.interp(new.numpy(), self.ladder.numpy(), self.steps.numpy()))
            self.ladder = new
        if self.moments.spread_out:
            spread = self.moments.factor()
            if self.factor is None:  # a step h in the old frame is about h / (mean variance) in the new one
                self.steps = (self.steps / float(spread.square().sum(1).mean())).clamp(max=2.0)
            self.factor = spread.to(self.chains.x)
        self.moments = Moments(self.chains.x.shape[1])
        self.forget()

    def swap_rates(self) -> Float[Tensor, " levels-1"]:
        """Mean chance of a swap, pair by pair."""
        return self.swapped / self.tried.clamp_min(1)

    def acceptance(self) -> Float[Tensor, " levels"]:
        """Mean acceptance of the moves, level by level."""
        return self.accepted / max(self.moved, 1)

    def coldest(self) -> Float[Tensor, "n d"]:
        """Places at beta = 1."""
        return self.chains.x[-self.n :].clone()


def bennett(forward: Float[Tensor, " a"], backward: Float[Tensor, " b"]) -> float:
    """log Z1 / Z0 by Bennett's acceptance ratio (1976), from w = log q1 - log q0 of unnormalised densities at a samples
    of 0 (forward) and at b samples of 1 (backward): the root c of

        sum over forward of sigmoid(w - c + log b/a) = sum over backward of sigmoid(c - w - log b/a)
    """
    forward, backward = forward.double(), backward.double()
    shift = math.log(len(backward) / len(forward))
    low = float(torch.minimum(forward.min(), backward.min())) - 50
    high = float(torch.maximum(forward.max(), backward.max())) + 50
    for _ in range(200):
        c = (low + high) / 2
        # more weight forward than backward means that c is too small
        surplus = (forward - c + shift).sigmoid().sum() - (c - shift - backward).sigmoid().sum()
        low, high = (c, high) if float(surplus) > 0 else (low, c)
        if high - low < 1e-12 * max(1.0, abs(c)):
            break
    return (low + high) / 2


def _log_z(
    energy: Float[Tensor, "m levels n"], ladder: Tensor, inside: Float[Tensor, " n"], level: float
) -> tuple[float, tuple[float, float]]:
    """log Z relative to the base: the log mass of the base where u is not 0, which is what the lowest level can follow
    (`inside`, the share of its draws in each ladder), plus the sum over rungs; interval by the jackknife over groups of
    whole ladders."""
    from scipy.stats import t as student

    n = energy.shape[2]
    groups = torch.arange(n) % min(n, 10)

    def total(keep: Tensor) -> float:
        kept = energy[:, :, keep]
        return math.log(max(float(inside[keep].mean()), 1e-300)) + sum(
            bennett(*(float(ladder[k + 1] - ladder[k]) * kept[:, j].flatten() for j in (k, k + 1)))
            for k in range(len(ladder) - 1)
        )

    value = total(torch.ones(n, dtype=torch.bool))
    count = int(groups.max()) + 1
    if count < 2:
        return value, (-math.inf, math.inf)
    left_out = torch.tensor([total(groups != g) for g in range(count)], dtype=torch.float64)
    error = math.sqrt((count - 1) / count * float((left_out - left_out.mean()).square().sum()))
    half = float(student.ppf((1 + level) / 2, count - 1)) * error
    return value, (value - half, value + half)


def _first_ladder(levels: int, lowest: float, base: GaussianBase | None) -> Tensor:
    if levels < 2 or not 0 < lowest < 1:
        raise UsageError(f"got levels={levels}, lowest={lowest}; allowed: at least 2 levels, 0 < lowest < 1")
    grid = torch.linspace(0, 1, levels, dtype=torch.float64)
    return grid**3 if base is not None else lowest ** (1 - grid)


def _check_ladder(ladder: Tensor, base: GaussianBase | None, sweeps: int, warmup: int, moves: int, thin: int) -> None:
    if ladder.ndim != 1 or len(ladder) < 2 or not bool((ladder.diff() > 0).all()) or float(ladder[-1]) != 1:
        raise UsageError(f"betas: got {ladder.tolist()}; allowed: at least two, rising, the last one 1")
    if base is None and not float(ladder[0]) > 0:
        raise UsageError(f"betas: the lowest is {float(ladder[0]):g}; allowed without a base: above 0")
    if base is not None and float(ladder[0]) != 0:
        raise UsageError(f"betas: the lowest is {float(ladder[0]):g}; allowed with a base: 0")
    if min(sweeps, moves, thin) < 1 or warmup < 0:
        raise UsageError(
            f"got sweeps={sweeps}, warmup={warmup}, moves={moves}, thin={thin}; allowed: at least 1, warmup 0 or more"
        )
