"""Denoising score matching (Vincent 2011): the best denoiser of x + sigma e knows the score of p * N(0, sigma^2).

    E[x | y] = y + sigma^2 grad log p_sigma(y),   p_sigma = p * N(0, sigma^2)   (Robbins 1956, Miyasawa 1961)

The bias is therefore exact and known: one gets the score of the smoothed law. For p = N(0, s^2) it is -x / (s^2 +
sigma^2), and the optimum under lambda_likelihood, 1 / (1/s^2 + lambda / (s^2 + sigma^2)), replaces the variance s^2 /
(1 + lambda).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ganneal.errors import UsageError, nearest
from ganneal.game import Draw
from ganneal.nets.denoiser import Denoiser, FeatureDenoiser, ScoreMLP, ScoreUNet
from ganneal.parts import Range
from ganneal.scores.estimator import needed, positive, whole

SIGMAS = Range(0.02, 1.0)


@dataclass(frozen=True)
class DenoisingScoreMatching:
    """Multi-sigma denoising score matching, made by `dsm`."""

    low: float
    high: float
    at: float
    width: int
    depth: int
    conv: bool
    learned = True
    smooths = True
    reads_samples = False

    def network(self, shape: tuple[int, ...]) -> nn.Module:
        if not self.conv:
            return ScoreMLP(shape, self.width, self.depth)
        if len(shape) != 3:
            raise UsageError(
                f"score 'dsm(network=conv)' is for images [C, H, W], got shape {list(shape)}; use network=mlp"
            )
        return ScoreUNet(shape, self.width, self.depth)

    def draws(self, shape: tuple[int, ...]) -> dict[str, Draw]:
        return {"score.eps": Draw("normal", tuple(shape)), "score.sigma": Draw("uniform")}

    def loss(
        self, net: Callable[..., Tensor], x: Float[Tensor, "b *shape"], noise: Mapping[str, Tensor]
    ) -> Float[Tensor, ""]:
        """mean over examples and dimensions of |eps_hat(x + sigma eps, sigma) - eps|^2, with sigma = low
        (high/low)^u."""
        eps = noise["score.eps"]
        sigma = self.low * (self.high / self.low) ** noise["score.sigma"]
        noisy = x + sigma.reshape(-1, *[1] * (x.dim() - 1)) * eps
        return (net(noisy, sigma) - eps).square().mean()

    def score(
        self,
        x: Float[Tensor, "b *shape"],
        *,
        net: Callable[..., Tensor] | None = None,
        samples: Float[Tensor, "m *shape"] | None = None,
    ) -> Float[Tensor, "b *shape"]:
        """-eps_hat(x, at) / at."""
        needed("dsm", net=net)
        assert net is not None
        return -net(x, torch.full_like(x.flatten(1)[:, 0], self.at)) / self.at

    def caution(self, shape: tuple[int, ...]) -> str | None:
        return None


def dsm(sigmas: Any = SIGMAS, at: float | int | None = None, width: int | None = None, depth: int = 3,
        network: str = "mlp") -> DenoisingScoreMatching:  # fmt: skip
    """Multi-sigma denoising score matching, the default choice: `dsm(sigmas=0.02->1, at=none, depth=3, network=mlp)`.

    sigma is log-uniform between the ends of `sigmas`, y = x + sigma eps, and the network predicts eps:

        loss = mean_b mean_d |eps_hat(y, sigma) - eps|^2  (weight sigma^2: Song & Ermon 2019, section 4.2)
        score(x) = -eps_hat(x, at) / at                        (the score of p * N(0, at^2))

    at        the sigma at which the score is read, by default the smallest one
    network   "mlp" on the flattened example (width 128), or "conv", a small U-net for images [C, H, W] (width 32)
    depth     hidden layers of the mlp, levels of the U-net

    Data should be standardised: both networks start at the score of N(0, I). Raises UsageError for values out of
    range. Cost: a forward pass a score; a forward and a backward pass a training step. It works in any dimension; the
    price is a player that has to keep up with the law it follows. Source: Vincent 2011; Song & Ermon 2019; noise
    prediction as in Ho, Jain & Abbeel 2020.
    """
    ends = (sigmas.start, sigmas.end) if isinstance(sigmas, Range) else sigmas
    if not isinstance(ends, Sequence) or isinstance(ends, str) or len(ends) != 2:
        raise UsageError(f"score 'dsm': sigmas must be written low->high, got {sigmas!r}")
    positive("dsm", sigmas=ends[0])
    positive("dsm", sigmas=ends[1])
    if network not in ("mlp", "conv"):
        raise UsageError(f"score 'dsm': unknown network '{network}': {nearest(str(network), ('mlp', 'conv'))}")
    low, high = float(min(ends)), float(max(ends))
    conv = network == "conv"
    width = (32 if conv else 128) if width is None else width
    at = low if at is None else at
    positive("dsm", at=at)
    whole("dsm", width=width, depth=depth)
    if not low <= at <= high:
        raise UsageError(f"score 'dsm': at must lie within sigmas {low:g}->{high:g}, got {at:g}")
    return DenoisingScoreMatching(low, high, float(at), width, depth, conv)


@dataclass(frozen=True)
class DenoisingAutoencoder:
    """Single-sigma denoising autoencoder, made by `dae`."""

    sigma: float
    width: int
    depth: int
    published: bool
    learned = True
    smooths = True

    def network(self, shape: tuple[int, ...]) -> nn.Module:
        if not self.published:
            return Denoiser(shape, self.width, self.depth)
        if len(shape) != 1:
            raise UsageError(f"score 'dae(network=published)' is for feature vectors [f], got shape {list(shape)}")
        return FeatureDenoiser(shape[0], self.depth)

    @property
    def reads_samples(self) -> bool:
        """The published denoiser wants noisy examples beside the query, for its batch norm."""
        return self.published

    def noisy(self, x: Float[Tensor, "b *shape"], noise: Mapping[str, Tensor]) -> Float[Tensor, "b *shape"]:
        """x + sigma eps, what the network is trained on."""
        return x + self.sigma * noise["score.eps"]

    def draws(self, shape: tuple[int, ...]) -> dict[str, Draw]:
        return {"score.eps": Draw("normal", tuple(shape))}

    def loss(
        self, net: Callable[..., Tensor], x: Float[Tensor, "b *shape"], noise: Mapping[str, Tensor]
    ) -> Float[Tensor, ""]:
        """mean over examples and dimensions of |r(x + sigma eps) - x|^2."""
        return (net(self.noisy(x, noise)) - x).square().mean()

    def score(
        self,
        x: Float[Tensor, "b *shape"],
        *,
        net: Callable[..., Tensor] | None = None,
        samples: Float[Tensor, "m *shape"] | None = None,
    ) -> Float[Tensor, "b *shape"]:
        """(r(x) - x) / sigma^2; with `samples` (noisy examples) the batch norm of r uses their statistics, not those
        of x."""
        needed("dae", net=net)
        assert net is not None
        if samples is None:
            clean = net(x)
        else:
            clean = net(torch.cat([samples, x]), reference=samples.shape[0])[samples.shape[0] :]
        return (clean - x) / self.sigma**2

    def caution(self, shape: tuple[int, ...]) -> str | None:
        return None


def dae(
    sigma: float | int = 1.0, width: int = 128, depth: int | None = None, network: str = "mlp"
) -> DenoisingAutoencoder:
    """A denoising autoencoder at one sigma, as in Tao et al. (2019): `dae(sigma=1, network=published)`.

        loss = mean_b mean_d |r(x + sigma eps) - x|^2,    score(x) = (r(x) - x) / sigma^2

    At the optimum this is the score of p * N(0, sigma^2), not of p: a sigma of 1 on standardised data flattens it, and
    with lambda_likelihood = 1 on N(0, 1) the optimum has variance 2/3 instead of 1/2.

    network   "mlp": r(x) = x + f(x) on any shape (2 hidden layers); "published": the denoiser of critic features [f] of
              Tao et al., `depth` = 10 linear layers with batch norm, whose score for other inputs wants `samples`,
              noisy examples of the kind it was trained on, as reference rows (the "test mode" of the published code)

    Raises UsageError for values out of range. Cost: as `dsm`. Source: Alain & Bengio 2014, theorem 1; Tao et al. 2019.
    """
    if network not in ("mlp", "published"):
        raise UsageError(f"score 'dae': unknown network '{network}': {nearest(str(network), ('mlp', 'published'))}")
    published = network == "published"
    depth = (10 if published else 2) if depth is None else depth
    positive("dae", sigma=sigma)
    whole("dae", width=width, depth=depth)
    return DenoisingAutoencoder(float(sigma), width, depth, published)
