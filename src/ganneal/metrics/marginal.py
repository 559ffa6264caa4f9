"""The density of a generator's samples, x = G(z0) + sigma e with z0 and e normal, by importance sampling over z.

    q(x) = E_z N(x; G(z), sigma^2 I) = E_r [ p(z) N(x; G(z), sigma^2 I) / r(z) ]

The proposal r follows the posterior of z: around each start, some damped Gauss-Newton steps to a mode z*, and there

    N(z*, P^-1),    P = I + J'J / sigma^2,    J = dG/dz (z*)                                     (Laplace, Gauss-Newton)

in a mixture with the prior, which bounds the weights where G is far from linear. The estimate of q(x) is unbiased, so
that of log q(x) is too small on average, by about Var / (2 draws) (Burda, Grosse and Salakhutdinov 2016, theorem 1). In
consequence entropies and weights u / q come out too large; the former vanishes as draws grow. For linear G the
proposal is the posterior and, without the prior's share, one draw is exact.

Where several far-apart z give the same x (folds), a proposal around z0 alone misses the others, and log q is too small
by up to log of their number until a draw of the prior finds them. `starts` > 1 adds, for each x, latents of the batch
whose images are near x and which are far apart: with as many starts as folds that is put right.
"""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from ganneal.errors import UsageError

Network = Callable[[Tensor], Tensor]
ROWS = 2**15
"""Examples that go through the network at once."""
LENGTHS = (1.0, 0.5, 0.25, 0.1, 0.03)
"""Of the Gauss-Newton step; the best one is taken, none where none is better."""


def marginal_log_density(
    network: Network, x: Float[Tensor, "n d"], z: Float[Tensor, "m k"], sigma: float, draws: int,
    generator: torch.Generator, *, starts: int = 1, prior_share: float = 0.1, steps: int = 5,
) -> Float[Tensor, " n"]:  # fmt: skip
    """log q(x) [n] in float64, too small on average (see above); its spread comes from `marginal_log_weights`.

    network      G: z [b, k] -> [b, ...], each row by itself (no batch statistics)
    x            samples [n, d], d the size of an image of G
    z            the latents that they were made from, or good guesses [n, k], m = n
    draws        of the proposal for each x
    starts       places around which r lies: z itself and starts - 1 others of the batch
    prior_share  of the draws that come from the prior
    steps        of Gauss-Newton before

    Cost: n (starts (steps (k + 6) + k) + draws) rows through the network. Raises `UsageError` for numbers out of range
    and sizes that do not fit.
    """
    weights = marginal_log_weights(
        network, x, z, sigma, draws, generator, starts=starts, prior_share=prior_share, steps=steps
    )
    return weights.logsumexp(0) - math.log(draws)


def marginal_log_weights(
    network: Network, x: Float[Tensor, "n d"], z: Float[Tensor, "m k"], sigma: float, draws: int,
    generator: torch.Generator, *, starts: int = 1, prior_share: float = 0.1, steps: int = 5,
) -> Float[Tensor, "draws n"]:  # fmt: skip
    """log of p(z) N(x; G(z), sigma^2 I) / r(z) at draws of r. Arguments and errors as for `marginal_log_density`."""
    counts = _counts(draws, starts, prior_share)
    if not sigma > 0 or steps < 0:
        raise UsageError(f"sigma, steps: got {sigma}, {steps}; allowed: above 0, at least 0")
    if not len(x) == len(z) >= starts:
        raise UsageError(f"x and z: got {len(x)} and {len(z)} rows; allowed: equally many, at least `starts`")
    images = _images(network, z)
    if images.shape != x.shape:
        raise UsageError(f"x: got examples of {x.shape[1]} numbers; allowed: {images.shape[1]}, as the network makes")
    centres, factors = [], []
    for start in _starts(x, z, images, starts):
        mode = _mode(network, x, start, sigma, steps)
        centres.append(mode.to(torch.float64))
        factors.append(torch.linalg.cholesky(_precision(_jacobian(network, mode), sigma)))
    n, k = z.shape
    noise = torch.randn(draws, n, k, generator=generator, dtype=torch.float64).to(z.device)
    parts = list(noise.split(counts))
    for s in range(starts):
        # P = L L', so L'^-1 e has covariance P^-1
        parts[s] = centres[s] + _solved(factors[s], parts[s])
    drawn = torch.cat(parts)
    mixture = [
        math.log(count / draws) + _log_proposal(drawn, centres[s], factors[s])
        for s, count in enumerate(counts[:-1])
    ]  # fmt: skip
    if counts[-1]:
        mixture.append(math.log(counts[-1] / draws) + _log_prior(drawn))
    # images are not kept: draws n d numbers can be many
    seen = [
        _log_normal(x - _images(network, part.reshape(-1, k).to(z.dtype)).reshape(len(part), n, -1), sigma)
        for part in drawn.split(max(1, ROWS // n))
    ]
    return _log_prior(drawn) + torch.cat(seen) - torch.stack(mixture).logsumexp(0)


def _counts(draws: int, starts: int, prior_share: float) -> list[int]:
    """Draws of each start and, last, of the prior: fixed numbers, which keep the estimate unbiased with less noise than
    random ones (Owen and Zhou 2000)."""
    if starts < 1 or not 0 <= prior_share < 1:
        raise UsageError(f"starts, prior_share: got {starts}, {prior_share}; allowed: at least 1, from 0 to below 1")
    prior = math.ceil(prior_share * draws)
    if draws - prior < starts:
        raise UsageError(f"draws: got {draws}; allowed: at least one for each of {starts} starts and for the prior")
    each, rest = divmod(draws - prior, starts)
    return [each + (s < rest) for s in range(starts)] + [prior]


def _images(network: Network, z: Tensor) -> Tensor:
    """G(z) [b, d] in float64."""
    with torch.no_grad():
        return torch.cat([network(part).flatten(1) for part in z.split(ROWS)]).to(torch.float64)


def _jacobian(network: Network, z: Tensor) -> Float[Tensor, "n d k"]:
    """dG/dz at each row."""

    def single(row: Tensor) -> Tensor:
        return network(row[None]).flatten()

    jacobian = torch.func.vmap(torch.func.jacfwd(single), chunk_size=1024)(z)
    return jacobian.detach().to(torch.float64)


def _precision(jacobian: Tensor, sigma: float) -> Tensor:
    eye = torch.eye(jacobian.shape[2], dtype=torch.float64, device=jacobian.device)
    return eye + jacobian.mT @ jacobian / sigma**2


def _mode(network: Network, x: Tensor, z: Tensor, sigma: float, steps: int) -> Tensor:
    """A place of larger p(z) N(x; G(z), sigma^2 I) near z: damped Gauss-Newton, never downhill."""
    x = x.to(torch.float64)
    height = _log_prior(z.to(torch.float64)) + _log_normal(x - _images(network, z), sigma)
    for _ in range(steps):
        jacobian = _jacobian(network, z)
        residual = x - _images(network, z)
        uphill = (jacobian.mT @ residual[..., None])[..., 0] / sigma**2 - z
        factor = torch.linalg.cholesky(_precision(jacobian, sigma))
        move = torch.cholesky_solve(uphill[..., None], factor)[..., 0]
        for length in LENGTHS:
            trial = (z + length * move).to(z.dtype)
            found = _log_prior(trial.to(torch.float64)) + _log_normal(x - _images(network, trial), sigma)
            better = found > height
            z, height = torch.where(better[:, None], trial, z), torch.where(better, found, height)
    return z


def _starts(x: Tensor, z: Tensor, images: Tensor, starts: int) -> list[Tensor]:
    """z itself and, one after the other, that latent of the batch which is farthest from those taken so far, among
    those whose images are nearest to x."""
    taken = [z]
    if starts == 1:
        return taken
    size = min(len(z), max(8 * starts, math.isqrt(len(z))))
    near = torch.cdist(x.to(torch.float64), images).topk(size, largest=False).indices
    candidates = z[near]
    distance = (candidates - z[:, None]).norm(dim=2)
    for _ in range(starts - 1):
        chosen = candidates[torch.arange(len(z), device=z.device), distance.argmax(1)]
        taken.append(chosen)
        distance = torch.minimum(distance, (candidates - chosen[:, None]).norm(dim=2))
    return taken


def _solved(factor: Tensor, noise: Tensor) -> Tensor:
    """L'^-1 e for factors [n, k, k] and e [m, n, k]."""
    return torch.linalg.solve_triangular(factor.mT, noise.permute(1, 2, 0), upper=True).permute(2, 0, 1)


def _log_proposal(z: Tensor, centre: Tensor, factor: Tensor) -> Tensor:
    """log N(z; centre, (L L')^-1) for z [m, n, k]."""
    whitened = torch.einsum("nij,mni->mnj", factor, z - centre)
    return _log_prior(whitened) + factor.diagonal(dim1=1, dim2=2).log().sum(1)


def _log_prior(z: Tensor) -> Tensor:
    return _log_normal(z, 1.0)


def _log_normal(x: Tensor, sigma: float) -> Tensor:
    """log N(x; 0, sigma^2 I) of [..., d]."""
    return -(x / sigma).square().sum(-1) / 2 - x.shape[-1] * math.log(sigma * math.sqrt(2 * math.pi))
