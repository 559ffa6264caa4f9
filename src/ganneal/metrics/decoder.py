"""log p(x) of a decoder z ~ N(0, I), x | z ~ N(G(z), sigma^2 I), by annealed importance sampling from the prior of z to
its posterior, with an upper bound on simulated data (Wu, Burda, Salakhutdinov and Grosse 2017).

    p_t(z) ~ p(z) p(x | z)^(b_t),  0 = b_0 < ... < b_T = 1
    log w = sum_t (b_t - b_{t-1}) log p(x | z_{t-1}),     z_t by one HMC move that keeps p_t        (Neal 2001)

E w = p(x), so that the log of a mean of w is too small on average: a lower bound, exceeding log p(x) by c at most once
in e^c runs (Markov). The same path walked back from an exact posterior sample has E 1/w = 1/p(x): an upper bound
(Grosse, Ghahramani and Adams 2015). Exact posterior samples exist for data that the decoder made itself, x = G(z) +
sigma e: there the gap of the two bounds measures how far to trust the lower one, which is all there is for other data.

Step sizes come from a pilot run, one for each example and temperature, and stay fixed then: steps that adapt to the
chain they move would void both bounds. sigma is part of the model: log p(x) of different sigma are not comparable, and
as sigma goes to 0 that of any point off the manifold goes to minus infinity.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ganneal.errors import RunError, UsageError

Decoder = Callable[[Tensor], Tensor]
ACCEPTANCE = 0.65
"""Aim of the pilot run (optimal for HMC in many dimensions: Beskos et al. 2013)."""
PILOT_CHAINS = 4
RATE = 0.2
"""Of the pilot's steps: change of log step at full disagreement."""
POWER = 4.0


@dataclass(frozen=True, eq=False)
class DecoderLikelihood:
    """Bounds of log p(x), each [n] in float64.

    lower        log of the mean weight over `chains` forward chains
    error        standard error of `lower` from their spread, to first order
    upper        minus the log of the mean inverse weight of reverse chains, None without exact latents
    acceptance   of all moves, forward and reverse
    evaluations  rows that went through the decoder, with the pilot run
    """

    lower: Float[Tensor, " n"]
    error: Float[Tensor, " n"]
    upper: Float[Tensor, " n"] | None
    chains: int
    temperatures: int
    sigma: float
    acceptance: float
    evaluations: int

    @property
    def mean(self) -> float:
        """Mean of `lower` over examples."""
        return float(self.lower.mean())

    @property
    def mean_upper(self) -> float | None:
        """Mean of `upper` over examples."""
        return None if self.upper is None else float(self.upper.mean())

    @property
    def gap(self) -> float | None:
        """mean_upper - mean: what the two are off together, on average over runs."""
        return None if self.upper is None else float((self.upper - self.lower).mean())

    def sentence(self) -> str:
        """The outcome in plain words."""
        spread = float(self.lower.std()) / math.sqrt(len(self.lower)) if len(self.lower) > 1 else math.inf
        found = f"log p(x) = {self.mean:.2f} ± {spread:.2f} on average over {len(self.lower)} examples, "
        rest = "a lower bound of unknown gap" if self.gap is None else f"and at most {self.gap:.2g} above (on average)"
        return f"{found}{rest}, at sigma = {self.sigma:g}."

    def to_dict(self) -> dict[str, Any]:
        """Every field, lists for tensors, and the means."""
        return {
            "lower": self.lower.tolist(), "error": self.error.tolist(), "mean": self.mean, "gap": self.gap,
            "upper": None if self.upper is None else self.upper.tolist(), "mean_upper": self.mean_upper,
            "chains": self.chains, "temperatures": self.temperatures, "sigma": self.sigma,
            "acceptance": self.acceptance, "evaluations": self.evaluations,
        }  # fmt: skip


def decoder_log_likelihood(
    decoder: Decoder, x: Float[Tensor, "n d"], latent: int, sigma: float, generator: torch.Generator, *,
    chains: int = 16, temperatures: int = 500, leaps: int = 10, betas: Tensor | None = None,
    exact: Float[Tensor, "m k"] | None = None,
) -> DecoderLikelihood:  # fmt: skip
    """Bounds of log p(x) for x [n, d].

    decoder       G: z [b, k] -> [b, ...], each row by itself; z has the dtype of x
    latent        k
    chains        for each example
    temperatures  T; `betas` [T + 1] in place of the default (t / T)^4 (Friel and Pettitt 2008)
    leaps         leapfrog steps of a move
    exact         exact posterior samples [n, k], m = n: the latents that simulated x were made from; gives `upper`

    Cost: n (2 chains + 4) T leaps rows forward and backward through the decoder (without `exact`: n (chains + 4) T
    leaps). Raises `UsageError` for numbers out of range and sizes that do not fit, `RunError` where a weight is not
    finite.
    """
    path = power_path(temperatures) if betas is None else betas.to(torch.float64)
    _check(decoder, x, latent, sigma, chains, leaps, path, exact)
    n = len(x)
    walk = _Walk(decoder, x, sigma, path, leaps, generator)
    steps = walk.pilot(latent)
    start = torch.randn(chains, n, latent, generator=generator, dtype=torch.float64)
    forward = walk.forward(start, steps)
    lower = forward.logsumexp(0) - math.log(chains)
    share = (forward - forward.max(0).values).exp()
    error = (share.std(0) if chains > 1 else math.nan * share[0]) / share.mean(0) / math.sqrt(chains)
    upper = None
    if exact is not None:
        reverse = walk.reverse(exact.to(torch.float64).cpu().expand(chains, n, latent), steps)
        upper = math.log(chains) - (-reverse).logsumexp(0)
    return DecoderLikelihood(
        lower=lower, error=error, upper=upper, chains=chains, temperatures=len(path) - 1, sigma=float(sigma),
        acceptance=walk.accepted / walk.moves, evaluations=walk.evaluations,
    )  # fmt: skip


def bidirectional(
    decoder: Decoder, n: int, latent: int, sigma: float, generator: torch.Generator, **options: Any
) -> DecoderLikelihood:
    """Both bounds for n examples that the decoder makes itself: how good is `decoder_log_likelihood` with these
    options? Errors: as there."""
    if n < 1 or latent < 1:
        raise UsageError(f"n, latent: got {n}, {latent}; allowed: at least 1")
    z = torch.randn(n, latent, generator=generator, dtype=torch.float64).to(_like(decoder))
    with torch.no_grad():
        image = decoder(z).flatten(1)
    x = image + sigma * torch.randn(image.shape, generator=generator, dtype=torch.float64).to(image)
    return decoder_log_likelihood(decoder, x, latent, sigma, generator, exact=z, **options)


def power_path(temperatures: int, power: float = POWER) -> Float[Tensor, " t"]:
    """(t / T)^power for t = 0 ... T: most of them where the posterior first takes shape."""
    if temperatures < 1:
        raise UsageError(f"temperatures: got {temperatures}; allowed: at least 1")
    return torch.linspace(0, 1, temperatures + 1, dtype=torch.float64) ** power


class _Walk:
    """HMC along the path for a batch of chains [c, n, k], float64 on the processor but for what the decoder
    does, which is in the dtype and on the device of x."""

    def __init__(
        self, decoder: Decoder, x: Tensor, sigma: float, betas: Tensor, leaps: int, generator: torch.Generator
    ):  # fmt: skip
        self.decoder, self.x, self.sigma, self.leaps, self.generator = decoder, x, sigma, leaps, generator
        self.target = x.to(torch.float64)
        self.betas = betas.tolist()
        self.evaluations, self.moves, self.accepted = 0, 0, 0.0

    def pilot(self, latent: int) -> Tensor:
        """Step sizes [T, n] with which about 65 % of the moves are accepted."""
        n = len(self.x)
        z = torch.randn(PILOT_CHAINS, n, latent, generator=self.generator, dtype=torch.float64)
        log_step = torch.full((n,), math.log(0.5), dtype=torch.float64)
        steps = []
        likelihood, slope = self._likelihood(z)
        for beta in self.betas[1:]:
            steps.append(log_step.exp())
            z, likelihood, slope, chance = self._move(z, likelihood, slope, beta, steps[-1])
            log_step = log_step + RATE * (chance.mean(0) - ACCEPTANCE)
        self.moves, self.accepted = 0, 0.0
        return torch.stack(steps)

    def forward(self, z: Tensor, steps: Tensor) -> Tensor:
        """log w [c, n] from prior samples."""
        likelihood, slope = self._likelihood(z)
        log_w = torch.zeros_like(likelihood)
        for t in range(1, len(self.betas)):
            log_w += (self.betas[t] - self.betas[t - 1]) * likelihood
            if t < len(self.betas) - 1:  # a move at the end changes no weight
                z, likelihood, slope, _ = self._move(z, likelihood, slope, self.betas[t], steps[t - 1])
        return self._finite(log_w)

    def reverse(self, z: Tensor, steps: Tensor) -> Tensor:
        """log w [c, n] of the forward path, walked from posterior samples: the same moves in reverse order."""
        likelihood, slope = self._likelihood(z)
        log_w = torch.zeros_like(likelihood)
        for t in range(len(self.betas) - 1, 0, -1):
            log_w += (self.betas[t] - self.betas[t - 1]) * likelihood
            if t > 1:
                z, likelihood, slope, _ = self._move(z, likelihood, slope, self.betas[t - 1], steps[t - 2])
        return self._finite(log_w)

    def _finite(self, log_w: Tensor) -> Tensor:
        if not bool(log_w.isfinite().all()):
            bad = int((~log_w.isfinite()).any(0).sum())
            raise RunError(f"decoder: the weights of {bad} of {log_w.shape[1]} examples are not finite")
        return log_w

    def _likelihood(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """log p(x | z) [c, n] and its gradient in z [c, n, k]."""
        c, n, k = z.shape
        self.evaluations += c * n
        with torch.enable_grad():
            leaf = z.detach().reshape(c * n, k).to(self.x).requires_grad_()
            image = self.decoder(leaf).flatten(1).to(torch.float64).reshape(c, n, -1)
            d = image.shape[2]
            residual = (self.target - image) / self.sigma
            value = -residual.square().sum(2) / 2 - d * math.log(self.sigma * math.sqrt(2 * math.pi))
            (slope,) = torch.autograd.grad(value.sum(), leaf)
        return value.detach().cpu(), slope.to(torch.float64).cpu().reshape(c, n, k)

    def _move(
        self, z: Tensor, likelihood: Tensor, slope: Tensor, beta: float, step: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
        """One HMC move that keeps p(z) p(x | z)^beta; the chance [c, n] with which it was accepted comes last."""
        c, n, k = z.shape
        # a random factor, drawn anew for each move, keeps trajectories from closing on themselves
        jitter = 0.8 + 0.4 * torch.rand(c, n, generator=self.generator, dtype=torch.float64)
        h = (step * jitter)[..., None]
        start = torch.randn(c, n, k, generator=self.generator, dtype=torch.float64)
        position, momentum, value, gradient = z, start, likelihood, slope
        for _ in range(self.leaps):
            momentum = momentum + h / 2 * (beta * gradient - position)
            position = position + h * momentum
            value, gradient = self._likelihood(position)
            momentum = momentum + h / 2 * (beta * gradient - position)
        gain = beta * (value - likelihood) + (
            z.square() - position.square() + start.square() - momentum.square()
        ).sum(2) / 2  # fmt: skip
        chance = gain.nan_to_num(nan=-math.inf, posinf=-math.inf).clamp(max=0).exp()
        accept = torch.rand(c, n, generator=self.generator, dtype=torch.float64) < chance
        self.moves += accept.numel()
        self.accepted += float(accept.sum())
        column = accept[..., None]
        return (
            torch.where(column, position, z), torch.where(accept, value, likelihood),
            torch.where(column, gradient, slope), chance,
        )  # fmt: skip


def _like(decoder: Decoder) -> Tensor:
    """A tensor with dtype and device of a module's weights; float64 on the processor for a function."""
    weight = next(decoder.parameters(), None) if isinstance(decoder, torch.nn.Module) else None
    return torch.zeros((), dtype=torch.float64) if weight is None else weight


def _check(
    decoder: Decoder, x: Tensor, latent: int, sigma: float, chains: int, leaps: int, betas: Tensor,
    exact: Tensor | None,
) -> None:  # fmt: skip
    if not sigma > 0:
        raise UsageError(f"sigma: got {sigma}; allowed: above 0")
    if min(latent, chains, leaps, len(x)) < 1:
        raise UsageError(
            f"latent, chains, leaps, examples: got {latent}, {chains}, {leaps}, {len(x)}; allowed: at least 1"
        )
    if betas.ndim != 1 or len(betas) < 2 or betas[0] != 0 or betas[-1] != 1 or not bool((betas.diff() > 0).all()):
        raise UsageError(f"betas: got {betas.tolist()[:5]} ...; allowed: increasing numbers from 0 to 1")
    if exact is not None and exact.shape != (len(x), latent):
        raise UsageError(f"exact: got shape {tuple(exact.shape)}; allowed: {(len(x), latent)}")
    if not bool(x.isfinite().all()):
        raise UsageError("x: holds NaN or infinity; allowed: finite numbers")
    with torch.no_grad():
        image = decoder(torch.zeros(1, latent, dtype=x.dtype, device=x.device)).flatten(1)
    if image.shape[1] != x.shape[1]:
        raise UsageError(f"x: got examples of {x.shape[1]} numbers; allowed: {image.shape[1]}, as the decoder makes")
