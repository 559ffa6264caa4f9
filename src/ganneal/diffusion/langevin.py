"""Langevin steps for mu_beta = u^beta / Z_beta, without and with the Metropolis-Hastings correction.

    dX = a grad log u(X) dt + sqrt(2 b) dW,   a / b = beta

| clock | drift a | noise b |
|---|---|---|
| entropy (default) | 1 | 1 / beta: overdamped motion at temperature 1 / beta |
| likelihood | beta | 1: the same path of laws, slower by the factor beta where beta < 1 |

Everything is a batch: n chains [n, d] move at once, `beta` and `step` are one number or one per chain. All randomness
comes from the generator that is passed in. With `base` r the law is that of the path log pi = beta log u + (1 - beta)
log r, which parallel tempering and annealed sampling walk along; chains always carry log u itself.
"""

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ganneal.errors import RunError, UsageError, nearest

CLOCKS = ("entropy", "likelihood")
TARGET_ACCEPTANCE = 0.574
"""Optimal for MALA as d grows (Roberts and Rosenthal 1998)."""


class Density(Protocol):
    """Anything with log u and its gradient, such as a `ganneal.targets.Target`."""

    def value_and_score(self, x: Float[Tensor, "n d"], /) -> tuple[Float[Tensor, " n"], Float[Tensor, "n d"]]: ...


@dataclass(frozen=True)
class Chains:
    """States of n chains: x [n, d], value log u(x) [n], score grad log u(x) [n, d]; `evaluations` counts the rows at
    which log u was computed so far."""

    x: Float[Tensor, "n d"]
    value: Float[Tensor, " n"]
    score: Float[Tensor, "n d"]
    evaluations: int = 0


def start(density: Density, x: Float[Tensor, "n d"]) -> Chains:
    """Chains at x: n evaluations. Raises `RunError` if log u or its gradient is not finite there."""
    value, score = density.value_and_score(x)
    bad = ~(value.isfinite() & score.isfinite().all(1))
    if bool(bad.any()):
        raise RunError(f"log u or its gradient is not finite at {int(bad.sum())} of {len(x)} starting points")
    return Chains(x.detach(), value, score, len(x))


def ula(
    density: Density, chains: Chains, beta: float | Tensor, step: float | Tensor, generator: torch.Generator,
    *, clock: str = "entropy",
) -> Chains:  # fmt: skip
    """One unadjusted step x' = x + a h grad log u(x) + sqrt(2 b h) xi: n evaluations.

    Its stationary law is biased: for psi = k x^2 / 2 on the entropy clock the variance is 1 / (beta k (1 - k h / 2)).
    Raises `UsageError` for a step or beta that is not positive, or an unknown clock.
    """
    h = _clock_step(step, beta, clock)
    x, _, _ = _propose(chains.x, _column(beta) * chains.score, h, None, generator)
    value, score = density.value_and_score(x)
    return Chains(x, value, score, chains.evaluations + len(x))


def mala(
    density: Density, chains: Chains, beta: float | Tensor, step: float | Tensor, generator: torch.Generator,
    *, clock: str = "entropy", base: Density | None = None, factor: Tensor | None = None, bound: float = 2.0,
) -> tuple[Chains, Bool[Tensor, " n"]]:  # fmt: skip
    """One Metropolis-adjusted Langevin step, which leaves u^beta invariant: n evaluations, and which chains moved [n].

        y = x + L (m(x) + sqrt(2 h) xi),   m = h L' g,   g = grad log pi
        log ratio = log pi(y) - log pi(x) + |xi|^2 / 2 - |L^-1 (x - y) - m(y)|^2 / (4 h)

    with log pi = beta log u (+ (1 - beta) log r with a base), h = step / beta on the entropy clock and step on the
    likelihood clock (Roberts and Tweedie 1996). factor L: [d] diagonal or [d, d] lower triangular; the identity by
    default. A proposal where log u or its gradient is not finite is refused.
    bound: m is shortened to `bound` sqrt(2 h d) (their truncated form, with the same correction, so as exact): where
    tails are lighter than Gaussian, a chain far out would overshoot and stay for ever; inf is the plain form.
    Raises `UsageError` for a step or beta that is not positive, an unknown clock, or a base with the entropy clock.
    """
    if base is not None and clock != "likelihood":
        raise UsageError(f"clock: got {clock!r}; allowed with a base: 'likelihood', as beta may be 0 there")
    h = _clock_step(step, beta, clock)
    log_pi, slope = tempered(chains.x, chains.value, chains.score, beta, base)
    y, moved, xi = _propose(chains.x, slope, h, factor, generator, bound)
    value, score = density.value_and_score(y)
    log_pi_y, slope_y = tempered(y, value, score, beta, base)
    back = -moved - _drift(slope_y, h, factor, bound)
    log_ratio = log_pi_y - log_pi + xi.square().sum(1) / 2 - back.square().sum(1) / (4 * h)
    log_uniform = torch.rand(len(y), generator=generator, dtype=y.dtype, device=y.device).log()
    # comparison with nan is false: a proposal off the support, or where u overflows, is refused
    accepted = (log_uniform < log_ratio) & value.isfinite() & score.isfinite().all(1)
    x, score = (torch.where(accepted[:, None], new, old) for new, old in ((y, chains.x), (score, chains.score)))
    return Chains(x, torch.where(accepted, value, chains.value), score, chains.evaluations + len(y)), accepted


def tempered(
    x: Tensor, value: Tensor, score: Tensor, beta: float | Tensor, base: Density | None
) -> tuple[Float[Tensor, " n"], Float[Tensor, "n d"]]:
    """log pi and its gradient at x, from log u and its gradient: log pi = beta log u (+ (1 - beta) log r)."""
    if base is None:
        return beta * value, _column(beta) * score
    r, slope = base.value_and_score(x)
    return beta * value + (1 - beta) * r, _column(beta) * score + (1 - _column(beta)) * slope


@dataclass(frozen=True)
class MalaRun:
    """draws [m, n, d], in time order, of n chains; mean acceptance and the step after warm-up; evaluations in all."""

    draws: Float[Tensor, "m n d"]
    acceptance: float
    step: float
    evaluations: int
    chains: Chains
    factor: Tensor | None = None

    @property
    def samples(self) -> Float[Tensor, "mn d"]:
        """All draws of all chains."""
        return self.draws.flatten(0, 1)


def run_mala(
    density: Density, x0: Float[Tensor, "n d"], steps: int, generator: torch.Generator, *, beta: float = 1.0,
    step: float = 0.1, warmup: int | None = None, precondition: bool = False, thin: int = 1,
) -> MalaRun:  # fmt: skip
    """n chains of `steps` MALA steps on u^beta from x0; draws are kept every `thin` steps after `warmup`.

    warmup        steps that adapt and are thrown away, a third by default. log step moves by k^-0.6 (acceptance - .574)
                  at step k (Robbins-Monro), and is frozen afterwards, so the kept chains are exactly invariant
    precondition  use the pooled covariance of all chains, from the middle half of warm-up
    Raises `UsageError` for counts out of range, and what `mala` raises.
    """
    warmup = steps // 3 if warmup is None else warmup
    if not (0 <= warmup < steps and thin >= 1):
        raise UsageError(f"got steps={steps}, warmup={warmup}, thin={thin}; allowed: 0 <= warmup < steps, thin >= 1")
    chains, factor = start(density, x0), None
    tuned, moments, moved, kept = StepSize(step), Moments(x0.shape[1]), 0.0, []
    for k in range(steps):
        h = tuned.value
        chains, accepted = mala(density, chains, beta, h, generator, factor=factor)
        if k < warmup:
            tuned.update(float(accepted.double().mean()))
            if precondition and k >= warmup // 4:
                moments.add(chains.x)
            if precondition and k == 3 * warmup // 4:
                factor = moments.factor().to(x0)
                tuned = StepSize(min(1.0, x0.shape[1] ** (-1 / 3)))
            continue
        moved += float(accepted.double().mean())
        if (k - warmup) % thin == 0:
            kept.append(chains.x)
    return MalaRun(torch.stack(kept), moved / (steps - warmup), tuned.value, chains.evaluations, chains, factor)


class StepSize:
    """Robbins-Monro: log h <- log h + 2 k^-0.6 (acceptance - .574). The gain falls, so late noise averages out."""

    def __init__(self, value: float, target: float = TARGET_ACCEPTANCE):
        if not 0 < value < float("inf"):
            raise UsageError(f"step: got {value}; allowed: a positive number")
        self.value, self.target, self.count = float(value), target, 0

    def update(self, acceptance: float) -> None:
        """Take in the share of proposals accepted at the present step."""
        self.count += 1
        self.value *= float(torch.tensor(2 * self.count**-0.6 * (acceptance - self.target)).exp())


class Moments:
    """Mean and covariance of everything added, in float64."""

    def __init__(self, dim: int):
        self.count, self.first, self.second = 0, torch.zeros(dim).double(), torch.zeros(dim, dim).double()
        self.shift: Tensor | None = None

    def add(self, x: Float[Tensor, "n d"]) -> None:
        """Take in n rows."""
        x = x.detach().double().cpu()
        self.shift = x.mean(0) if self.shift is None else self.shift
        x = x - self.shift  # sums of squares around a point nearby, as the mean may be large
        self.count, self.first, self.second = self.count + len(x), self.first + x.sum(0), self.second + x.T @ x

    @property
    def spread_out(self) -> bool:
        """Whether every coordinate has taken different values."""
        return self.count > 1 and bool((self.second.diagonal() > self.first.square() / self.count).all())

    def factor(self) -> Float[Tensor, "d d"]:
        """Lower Cholesky factor of the covariance, shrunk a little to its diagonal so that it exists."""
        mean = self.first / self.count
        return cholesky(self.second / self.count - mean.outer(mean))


def cholesky(covariance: Float[Tensor, "d d"], shrink: float = 1e-3) -> Float[Tensor, "d d"]:
    """Lower factor of (1 - shrink) C + shrink diag C. Raises `RunError` where that is not positive definite."""
    mixed = (1 - shrink) * covariance + shrink * covariance.diagonal().diag()
    factor, failed = torch.linalg.cholesky_ex(mixed)
    if bool(failed) or not bool(factor.isfinite().all()):
        raise RunError("the covariance of the chains is singular: they did not move, or left the support")
    return factor


def check_clock(clock: str) -> None:
    """Raise `UsageError` unless `clock` is a known one."""
    if clock not in CLOCKS:
        raise UsageError(f"clock: got {clock!r}; {nearest(str(clock), CLOCKS)}")


def _clock_step(step: float | Tensor, beta: float | Tensor, clock: str) -> float | Tensor:
    """h of the likelihood clock: x + (step / beta) (beta grad log u) is the drift of the entropy clock, and its noise
    is 2 step / beta too."""
    check_clock(clock)
    if not bool((torch.as_tensor(step) > 0).all()):
        raise UsageError(f"step: got {step}; allowed: positive numbers")
    if clock == "likelihood":
        return step
    if not bool((torch.as_tensor(beta) > 0).all()):
        raise UsageError(f"beta: got {beta}; allowed: positive numbers")
    return step / beta


def _propose(
    x: Tensor, slope: Tensor, h: float | Tensor, factor: Tensor | None, generator: torch.Generator,
    bound: float = math.inf,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """y = x + L moved; moved = m + sqrt(2 h) xi; and xi."""
    xi = torch.randn(x.shape, generator=generator, dtype=x.dtype, device=x.device)
    moved = _drift(slope, h, factor, bound) + (2 * _column(h)) ** 0.5 * xi
    if factor is None:
        return x + moved, moved, xi
    return x + (moved * factor if factor.ndim == 1 else moved @ factor.T), moved, xi


def _drift(slope: Tensor, h: float | Tensor, factor: Tensor | None, bound: float) -> Tensor:
    """m = h L' slope, row by row, no longer than bound sqrt(2 h d)."""
    if factor is not None:
        slope = slope * factor if factor.ndim == 1 else slope @ factor
    drift = _column(h) * slope
    if bound == math.inf:
        return drift
    longest = bound * (2 * h * slope.shape[1]) ** 0.5
    return drift * (longest / drift.norm(dim=1).clamp_min(1e-30)).clamp(max=1)[:, None]


def _column(value: float | Tensor) -> float | Tensor:
    return value[:, None] if isinstance(value, Tensor) and value.ndim == 1 else value
