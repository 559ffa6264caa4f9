"""Annealed importance sampling and sequential Monte Carlo, from a Gaussian r to u, with log Z = log int u and an
interval (Neal 2001; Del Moral, Doucet and Jasra 2006).

    log u_t = (1 - t) log r + t log u,   t = beta from 0 to 1
    log w += (beta' - beta) (log u(x) - log r(x)),   then MALA moves that leave u_beta' invariant

The mean of the weights w is an unbiased estimate of Z: exactly so where the ladder, the steps and the preconditioning
do not depend on the particles, that is with a `Plan` (which a pilot run of its own makes). Weights survive resampling
as their mean, so they are proper at any moment: sum w f(x) / n estimates int f u_t. An island is a group of particles
that resamples within itself; islands are independent, which gives the interval.
"""

import math
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float
from torch import Tensor

from ganneal.diffusion.gaussian_base import GaussianBase
from ganneal.diffusion.langevin import Chains, Density, StepSize, cholesky, mala
from ganneal.errors import RunError, UsageError


@dataclass(frozen=True)
class Particles:
    """x [n, d] with value log u(x) [n] and score grad log u(x) [n, d]; log_weight [n] float64, proper for u_beta;
    `evaluations` of u so far. Rows are grouped in `islands` equal groups."""

    x: Float[Tensor, "n d"]
    value: Float[Tensor, " n"]
    score: Float[Tensor, "n d"]
    log_weight: Float[Tensor, " n"]
    beta: float
    evaluations: int
    islands: int = 1

    @property
    def log_z_islands(self) -> Float[Tensor, " islands"]:
        """One independent estimate of log int u_beta per island."""
        grouped = self.log_weight.view(self.islands, -1)
        return grouped.logsumexp(1) - math.log(grouped.shape[1])

    @property
    def log_z(self) -> float:
        """log of the mean weight: its exponential is an unbiased estimate of int u_beta."""
        return float(self.log_weight.logsumexp(0)) - math.log(len(self.log_weight))

    @property
    def ess(self) -> float:
        """Effective share of the sample, (mean w)^2 / mean w^2, in (0, 1]."""
        return ess_share(self.log_weight)

    @property
    def weights(self) -> Float[Tensor, " n"]:
        """Normalised weights, float64, sum 1."""
        return self.log_weight.softmax(0)


def launch(density: Density, base: GaussianBase, n: int, generator: torch.Generator, islands: int = 1) -> Particles:
    """n independent particles of the base, at beta = 0 with weights 1: n evaluations of u.

    log u may be -inf there (weight 0 later); raises `RunError` if it is nan or +inf, `UsageError` if islands do not
    divide n.
    """
    if n < 1 or islands < 1 or n % islands:
        raise UsageError(f"got n={n}, islands={islands}; allowed: n a multiple of islands, both positive")
    x = base.draw(n, generator)
    value, score = density.value_and_score(x)
    bad = value.isnan() | (value == math.inf)
    if bool(bad.any()):
        raise RunError(
            f"log u is nan or +inf at {int(bad.sum())} of {n} draws of the base, such as {x[bad][0].tolist()}"
        )
    weight = torch.zeros(n, dtype=torch.float64, device=x.device)
    return Particles(x, value, score.nan_to_num(0, 0, 0), weight, 0.0, n, islands)


def advance(particles: Particles, density: Density, base: GaussianBase, beta: float) -> Particles:
    """The same places, weighted for u_beta: log w += (beta - beta_old)(log u - log r). No evaluation of u: particles
    carry log u.

    Raises `UsageError` for a beta outside [0, 1] and `RunError` where a weight is not finite or all are zero.
    """
    if not 0 <= beta <= 1:
        raise UsageError(f"beta: got {beta}; allowed: 0 to 1")
    if beta == particles.beta:
        return particles
    weight = particles.log_weight + (beta - particles.beta) * _log_ratio(particles, base)
    if bool(weight.isnan().any()) or bool((weight == math.inf).any()) or not bool(weight.isfinite().any()):
        raise RunError(f"weights are not finite, or all zero, on the way from beta {particles.beta:g} to {beta:g}")
    return replace(particles, log_weight=weight, beta=float(beta))


def resample(particles: Particles, generator: torch.Generator) -> Particles:
    """Systematic resampling within each island: row i is copied floor(n w_i) or ceil(n w_i) times, n w_i on average;
    all weights of an island become their mean, so `log_z` does not change (Kitagawa 1996)."""
    groups, m = particles.islands, len(particles.x) // particles.islands
    weight = particles.log_weight.view(groups, m)
    cumulated = weight.softmax(1).nan_to_num(1 / m).cumsum(1)  # an island of zero weights stays one
    offset = torch.rand(groups, 1, generator=generator, dtype=torch.float64, device=weight.device)
    points = (torch.arange(m, device=weight.device) + offset) / m * cumulated[:, -1:]
    chosen = torch.searchsorted(cumulated, points).clamp_(max=m - 1)
    rows = (chosen + torch.arange(groups, device=weight.device)[:, None] * m).flatten()
    mean = (weight.logsumexp(1, keepdim=True) - math.log(m)).expand(groups, m).reshape(-1)
    return replace(
        particles, x=particles.x[rows], value=particles.value[rows], score=particles.score[rows], log_weight=mean
    )


def move(
    particles: Particles, density: Density, base: GaussianBase, step: float, generator: torch.Generator,
    moves: int = 1, factor: Tensor | None = None,
) -> tuple[Particles, float]:  # fmt: skip
    """`moves` MALA steps that leave u_beta invariant, and their mean acceptance: n evaluations each."""
    chains, total = Chains(particles.x, particles.value, particles.score, particles.evaluations), 0.0
    for _ in range(moves):
        chains, accepted = mala(
            density, chains, particles.beta, step, generator, clock="likelihood", base=base, factor=factor
        )
        total += float(accepted.double().mean())
    moved = replace(particles, x=chains.x, value=chains.value, score=chains.score, evaluations=chains.evaluations)
    return moved, total / max(moves, 1)


def ess_share(log_weight: Float[Tensor, " n"]) -> float:
    """(mean w)^2 / mean w^2 of log weights, in (0, 1]."""
    log_weight = log_weight.double()
    return math.exp(float(2 * log_weight.logsumexp(0) - (2 * log_weight).logsumexp(0)) - math.log(len(log_weight)))


@dataclass(frozen=True)
class Plan:
    """A ladder fixed in advance: betas[k], and the step and preconditioner of the moves made at it."""

    betas: tuple[float, ...]
    steps: tuple[float, ...]
    factors: tuple[Tensor | None, ...]


@dataclass(frozen=True)
class AnnealedRun:
    """particles at beta = 1 with their weights; log Z with its interval; the plan that was walked; mean acceptance of
    each rung; ESS share at the end; evaluations of u, pilot included."""

    particles: Particles
    log_z: float
    interval: tuple[float, float]
    level: float
    plan: Plan
    acceptance: tuple[float, ...]
    ess: float
    evaluations: int

    def samples(self, n: int, generator: torch.Generator) -> Float[Tensor, "n d"]:
        """n rows drawn by weight, with replacement."""
        return self.particles.x[torch.multinomial(self.particles.weights, n, True, generator=generator)]


def smc(
    density: Density, base: GaussianBase, n: int, generator: torch.Generator, *, share: float = 0.9, moves: int = 5,
    islands: int = 16, plan: Plan | None = None, level: float = 0.95,
) -> AnnealedRun:  # fmt: skip
    """Sequential Monte Carlo: reweight, resample where the ESS share fell below `share`, move.

    Without a plan each beta is the largest at which the weights added since the last one keep an ESS share of `share`
    (bisection; Jasra et al. 2011), steps follow acceptance .574, and moves are preconditioned by the weighted
    covariance: consistent as n grows, with a bias of Z of order 1/n. With a plan (such as `run.plan` of an earlier run
    with another generator) the mean weight is exactly unbiased. The interval is Student's, over independent islands, on
    the scale of Z.
    Raises `RunError` for weights that are not finite, and `UsageError` for numbers out of range.
    """
    if islands < 2:
        raise UsageError(f"islands: got {islands}; allowed: at least 2, as the interval is over islands")
    particles, walked, accepted = _walk(density, base, n, generator, share, moves, islands, plan, True)
    values = particles.log_z_islands
    return _finished(particles, values, walked, accepted, level, particles.evaluations)


def ais(
    density: Density, base: GaussianBase, n: int, generator: torch.Generator, *, share: float = 0.995, moves: int = 1,
    pilot: int = 256, plan: Plan | None = None, level: float = 0.95,
) -> AnnealedRun:  # fmt: skip
    """Annealed importance sampling: n independent weighted paths, never resampled; the mean weight is unbiased for Z.

    Without a plan, a pilot SMC run of `pilot` particles makes one: betas at which neighbouring laws have ESS share
    `share`, and tuned moves. The interval is Student's over the n weights on the scale of Z: do not trust it where the
    final `ess` is tiny.
    """
    extra = 0
    if plan is None:
        guide, plan, _ = _walk(density, base, pilot, generator, share, moves, 1, None, True)
        extra = guide.evaluations
    particles, _, accepted = _walk(density, base, n, generator, share, moves, 1, plan, False)
    return _finished(particles, particles.log_weight, plan, accepted, level, particles.evaluations + extra)


@dataclass
class _Walk:
    """What is decided on the way: the ladder, the steps, the acceptance of each rung."""

    betas: list[float] = field(default_factory=list)
    steps: list[float] = field(default_factory=list)
    factors: list[Tensor | None] = field(default_factory=list)
    accepted: list[float] = field(default_factory=list)


def _walk(
    density: Density, base: GaussianBase, n: int, generator: torch.Generator, share: float, moves: int, islands: int,
    plan: Plan | None, resampled: bool,
) -> tuple[Particles, Plan, tuple[float, ...]]:  # fmt: skip
    if not (0 < share < 1 and moves >= 1):
        raise UsageError(f"got share={share}, moves={moves}; allowed: 0 < share < 1, moves >= 1")
    particles, walk = launch(density, base, n, generator, islands), _Walk()
    size = StepSize(min(1.0, base.dim ** (-1 / 3)))
    while particles.beta < 1:
        k = len(walk.betas)
        beta = plan.betas[k] if plan else _next_beta(particles, base, share)
        particles = advance(particles, density, base, beta)
        factor = plan.factors[k] if plan else _weighted_factor(particles)
        if resampled and _mean_ess(particles) < max(share, 0.5):
            particles = resample(particles, generator)
        if plan:
            step = plan.steps[k]
            particles, accepted = move(particles, density, base, step, generator, moves, factor)
        else:
            particles, accepted = _tuned_moves(particles, density, base, size, generator, moves, factor)
            step = size.value
        for kept, new in zip(
            (walk.betas, walk.steps, walk.factors, walk.accepted), (beta, step, factor, accepted), strict=True
        ):
            kept.append(new)  # type: ignore[attr-defined]
    return particles, Plan(tuple(walk.betas), tuple(walk.steps), tuple(walk.factors)), tuple(walk.accepted)


def _tuned_moves(
    particles: Particles, density: Density, base: GaussianBase, size: StepSize, generator: torch.Generator,
    moves: int, factor: Tensor | None,
) -> tuple[Particles, float]:  # fmt: skip
    """Moves whose step follows acceptance from one to the next. The law differs from rung to rung, so the gain starts
    anew at each."""
    size.count, total = 0, 0.0
    for _ in range(moves):
        particles, accepted = move(particles, density, base, size.value, generator, 1, factor)
        size.update(accepted)
        total += accepted / moves
    return particles, total


def _finished(
    particles: Particles, log_values: Tensor, plan: Plan, accepted: tuple[float, ...], level: float, evaluations: int
) -> AnnealedRun:
    low, high = log_mean_interval(log_values, level)
    return AnnealedRun(particles, particles.log_z, (low, high), level, plan, accepted, particles.ess, evaluations)


def log_mean_interval(log_values: Float[Tensor, " k"], level: float = 0.95) -> tuple[float, float]:
    """Interval for log E exp(v) from k independent v: Student's, for the mean of exp(v); -inf where it reaches 0.

    Raises `UsageError` for a level outside (0, 1) or fewer than two values.
    """
    from scipy.stats import t as student

    if not 0 < level < 1 or len(log_values) < 2:
        raise UsageError(f"got level={level} and {len(log_values)} values; allowed: 0 < level < 1, at least 2 values")
    top = log_values.double().max()
    scaled = (log_values.double() - top).exp()
    half = float(student.ppf((1 + level) / 2, len(scaled) - 1)) * float(scaled.std()) / math.sqrt(len(scaled))
    mean = float(scaled.mean())
    low = math.log(mean - half) if mean > half else -math.inf
    return float(top) + low, float(top) + math.log(mean + half)


def _log_ratio(particles: Particles, base: GaussianBase) -> Tensor:
    return particles.value.double() - base.log_prob(particles.x).double()


def _mean_ess(particles: Particles) -> float:
    """Mean over islands of their ESS shares: each resamples by its own weights, all at the same moment."""
    weight = particles.log_weight.view(particles.islands, -1)
    shares = (2 * weight.logsumexp(1) - (2 * weight).logsumexp(1)).exp() / weight.shape[1]
    return float(shares.nan_to_num(0).mean())


def _next_beta(particles: Particles, base: GaussianBase, share: float) -> float:
    """The largest beta at which the conditional ESS of the step is at least `share`: with W the present weights and
    v the new factors, (sum W v)^2 / sum W v^2 (Zhou, Johansen and Aston 2016)."""
    ratio = _log_ratio(particles, base)
    alive = (ratio > -math.inf) & (particles.log_weight > -math.inf)  # off the support weights vanish at any beta
    if not bool(alive.any()):
        raise RunError("weights are all zero: u vanishes at every particle")
    ratio, weight = ratio[alive], particles.log_weight[alive].log_softmax(0)

    def conditional(beta: float) -> float:
        gain = (beta - particles.beta) * ratio
        return math.exp(float(2 * (weight + gain).logsumexp(0) - (weight + 2 * gain).logsumexp(0)))

    if conditional(1.0) >= share:
        return 1.0
    low, high = particles.beta, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if conditional(middle) >= share else (low, middle)
    if low - particles.beta < 1e-9:
        raise RunError(f"annealing stopped at beta {particles.beta:g}: u / r varies too much; take a base nearer to u")
    return low


def _weighted_factor(particles: Particles) -> Tensor | None:
    """Cholesky factor of the weighted covariance; none where a handful of particles carry all weight."""
    if ess_share(particles.log_weight) * len(particles.x) < 4 * particles.x.shape[1]:
        return None
    weight, x = particles.weights[:, None], particles.x.double()
    centred = x - (weight * x).sum(0)
    return cholesky((weight * centred).T @ centred).to(particles.x)
