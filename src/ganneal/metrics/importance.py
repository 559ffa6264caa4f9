"""Importance weights: how far is a sampler q from the target u / Z, and what is Z?

    w(x) = u(x) / q(x),  x ~ q:     Z = E_q w,   ESS share = (E_q w)^2 / E_q w^2 = 1 / (1 + chi^2(mu, q))
    bounds:                         E_q log w = log Z - KL(q, mu) <= log Z <= log Z + KL(mu, q) = E_mu log w

All but the upper bound come from samples of q only, so they see no mode that q misses: a sampler that reproduces one
of two equal modes has ESS share 1 and log Z too small by log 2. With exact samples of mu such a sampler is found out by
the upper bound and by the forward ESS share Z / E_mu w (Midgley et al. 2023; Blessing et al. 2024). It is computed
with Z from the samples of q: Z = 1 / E_mu 1/w has no variance where q is wide.

The estimate of Z is unbiased, that of log Z is too small by about Var / 2. Its error is by the delta method
(sd of w / mean of w / sqrt n) and by the bootstrap. Neither sees a heavy tail that has not been drawn yet: the shape k
of a generalised Pareto law fitted to the largest weights says whether they can be believed (moments of order 1 / k and
above do not exist; at k > 0.7 errors are of no use at any affordable n; Vehtari et al. 2024, section 3).
"""

import math
from dataclasses import dataclass, fields
from statistics import NormalDist
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ganneal.errors import UsageError

HEAVIEST = 0.7
"""Pareto shape above which an interval is not to be trusted, whatever the number of samples."""
LEAST_TAIL = 5
"""Fewer weights in the tail fit no law."""
BLOCK = 2**22
"""Numbers drawn at once by the bootstrap."""
EQUAL = 1e-10
"""Log weights closer than this are equal up to rounding."""


@dataclass(frozen=True)
class Importance:
    """What log weights say.

    n               samples of q; the ESS share depends on it: with few samples it is too large
    ess_share       (mean w)^2 / mean w^2, between 1/n and 1
    log_z           log of the mean weight
    standard_error  of log_z, delta method
    low, high       the wider ends of the delta and the bootstrap interval, at `level`
    bootstrap       the bootstrap interval alone
    pareto_k        shape of the tail of the weights: -inf where the largest weights are equal, inf where n is too small
    pareto_limit    min(0.7, 1 - 1 / log10 n): the largest k with which the interval is trusted
    lower_bound, lower_error    mean of log w over q, and its standard error
    upper_bound, upper_error    mean of log w over exact samples, where there are any
    forward_ess_share           exp(log_z) / mean w over exact samples, at most 1, where there are any
    exact           number of exact samples
    """

    n: int
    ess_share: float
    log_z: float
    standard_error: float
    low: float
    high: float
    level: float
    bootstrap: tuple[float, float]
    pareto_k: float
    pareto_limit: float
    lower_bound: float
    lower_error: float
    upper_bound: float | None = None
    upper_error: float | None = None
    forward_ess_share: float | None = None
    exact: int = 0

    @property
    def trusted(self) -> bool:
        """pareto_k <= pareto_limit: log_z and its interval can be believed, as far as q reaches."""
        return self.pareto_k <= self.pareto_limit

    def sentence(self) -> str:
        """The outcome in plain words."""
        found = (
            f"log Z = {self.log_z:.4g} [{self.low:.4g}, {self.high:.4g}], ESS {self.ess_share:.1%} of {self.n} samples"
        )
        if self.trusted:
            return f"{found}."
        return f"{found}; not to be trusted, the weights have a heavy tail (k = {self.pareto_k:.2g})."

    def to_dict(self) -> dict[str, Any]:
        """Every field and `trusted`, ready for strict JSON: numbers that are not finite become None."""
        told: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        plain = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in told.items()}
        return {**plain, "bootstrap": list(self.bootstrap), "trusted": self.trusted}


def importance(
    log_weights: Any, exact_log_weights: Any = None, level: float = 0.05, resamples: int = 500, seed: int = 0
) -> Importance:
    """ESS, log Z with an interval, and bounds, from log weights log u - log q [n].

    log_weights        at independent samples of q
    exact_log_weights  at independent exact samples of the target [m], for the upper bound
    resamples          of the bootstrap, at least 19
    seed               of the bootstrap

    Raises `UsageError` for fewer than 2 weights, weights that are not finite and numbers out of range.
    """
    log_w = as_log_weights(log_weights, "log_weights")
    if not 0 < level < 1:
        raise UsageError(f"level: got {level}; allowed: between 0 and 1")
    if isinstance(resamples, bool) or not isinstance(resamples, int) or resamples < 19:
        raise UsageError(f"resamples: got {resamples}; allowed: at least 19")
    n, log_z, error = len(log_w), log_mean(log_w), _relative_error(log_w)
    reach = NormalDist().inv_cdf(1 - level / 2) * error
    ends = _bootstrap(log_w, level, resamples, torch.Generator().manual_seed(seed))
    upper: dict[str, Any] = {}
    if exact_log_weights is not None:
        forward = as_log_weights(exact_log_weights, "exact_log_weights")
        upper = {
            "upper_bound": float(forward.mean()), "upper_error": float(forward.std()) / math.sqrt(len(forward)),
            "forward_ess_share": math.exp(min(0.0, log_z - log_mean(forward))), "exact": len(forward),
        }  # fmt: skip
    return Importance(
        n=n, ess_share=ess_share(log_w), log_z=log_z, standard_error=error, low=min(log_z - reach, ends[0]),
        high=max(log_z + reach, ends[1]), level=level, bootstrap=ends, pareto_k=pareto_k(log_w),
        pareto_limit=min(HEAVIEST, 1 - 1 / math.log10(n)) if n > 10 else -math.inf, lower_bound=float(log_w.mean()),
        lower_error=float(log_w.std()) / math.sqrt(n), **upper,
    )  # fmt: skip


def ess_share(log_weights: Any) -> float:
    """(mean w)^2 / mean w^2 of log weights [n]: 1 for equal weights, 1/n where one of them is all. Errors: as
    `importance`."""
    log_w = as_log_weights(log_weights, "log_weights")
    return min(1.0, math.exp(2 * log_mean(log_w) - log_mean(2 * log_w)))


def log_mean(log_weights: Float[Tensor, " n"]) -> float:
    """log of the mean of exp(log_weights), without overflow."""
    return float(log_weights.logsumexp(0)) - math.log(len(log_weights))


def pareto_k(log_weights: Any) -> float:
    """Shape of the generalised Pareto law of the largest min(n / 5, 3 sqrt n) weights of log weights [n] (Zhang and
    Stephens 2009, with the prior of Vehtari et al. 2024, appendix C).

    About 0 and below for bounded weights; weights have finite variance below 1/2. -inf where the largest weights are
    equal, inf where there are too few to say. Errors: as `importance`.
    """
    log_w = as_log_weights(log_weights, "log_weights").sort().values
    log_w = log_w - log_w[-1]
    n = len(log_w)
    size = math.ceil(min(0.2 * n, 3 * math.sqrt(n)))
    if float(-log_w[0]) < EQUAL:
        return -math.inf
    if size < LEAST_TAIL or size >= n:
        return math.inf
    # weights below the smallest normal number are no tail
    threshold = max(float(log_w[-size - 1]), math.log(torch.finfo(torch.float64).tiny))
    tail = log_w[log_w > threshold].exp() - math.exp(threshold)
    tail = tail[tail > 0]
    if len(tail) == 0:
        return -math.inf
    return _pareto_shape(tail) if len(tail) >= LEAST_TAIL else math.inf


def as_log_weights(values: Any, name: str) -> Float[Tensor, " n"]:
    """Finite float64 [n], n >= 2, from an array or tensor. Raises `UsageError` for anything else."""
    try:
        log_w = torch.as_tensor(values).detach().cpu()
    except (TypeError, ValueError, RuntimeError) as error:
        raise UsageError(f"{name}: got {type(values).__name__}; allowed: an array of numbers ({error})") from error
    if log_w.ndim != 1 or len(log_w) < 2 or log_w.is_complex():
        raise UsageError(f"{name}: got {log_w.dtype} of shape {tuple(log_w.shape)}; allowed: at least 2 numbers [n]")
    log_w = log_w.to(torch.float64)
    bad = int((~log_w.isfinite()).sum())
    if bad:
        raise UsageError(f"{name}: {bad} of {len(log_w)} are NaN or infinite; allowed: finite numbers")
    return log_w


def _relative_error(log_w: Tensor) -> float:
    """sd(w) / mean(w) / sqrt(n): the standard error of log of the mean, to first order."""
    w = (log_w - log_w.max()).exp()
    return float(w.std() / w.mean()) / math.sqrt(len(w))


def _bootstrap(log_w: Tensor, level: float, resamples: int, generator: torch.Generator) -> tuple[float, float]:
    """Percentile interval of log of the mean."""
    top = log_w.max()
    w, n = (log_w - top).exp(), len(log_w)
    rows = max(1, BLOCK // n)
    means = torch.cat([
        w[torch.randint(n, (min(rows, resamples - start), n), generator=generator)].mean(1)
        for start in range(0, resamples, rows)
    ])  # fmt: skip
    ends = means.quantile(torch.tensor([level / 2, 1 - level / 2], dtype=torch.float64)).log() + top
    return float(ends[0]), float(ends[1])


def _pareto_shape(tail: Tensor) -> float:
    """Posterior mean of the shape of a generalised Pareto law of ascending excesses [t] > 0: Zhang and Stephens' grid
    of b = -k / scale with profile likelihoods for weights, drawn to 1/2 by ten prior observations."""
    t = len(tail)
    count = 30 + int(math.sqrt(t))
    steps = torch.arange(1, count + 1, dtype=torch.float64) - 0.5
    b = 1 / tail[-1] + (1 - (count / steps).sqrt()) / (3 * tail[int(t / 4 + 0.5) - 1])

    def shape(v: Tensor) -> Tensor:
        return torch.log1p(-v[:, None] * tail).mean(1)

    k = shape(b)
    profile = t * ((-b / k).log() - k - 1)
    found = float(shape((profile.softmax(0) * b).sum()[None])[0])
    return (t * found + 5) / (t + 10)
