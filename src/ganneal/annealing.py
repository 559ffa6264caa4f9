"""Variational annealing: likelihood and entropy regularisation as temperature.

The regularised game minimises

    J(rho) = KL(rho||mu) - lambda_likelihood E_rho[log mu] + lambda_entropy E_rho[log rho],

whose minimiser is the tempered Gibbs law mu^beta / Z with beta = (1 + lambda_likelihood) / (1 + lambda_entropy); both
lambdas are ADDED to a minimised objective, in theory units (per-example sums over coordinates). A schedule of a lambda
is therefore annealing: beta below 1 is hot and covers modes, beta above 1 is cold and seeks them. (Tao et al. 2019;
signs of the published slides and code corrected, see docs/theory.md.) Only the scores grad log mu and grad log rho are
needed.
"""

from jaxtyping import Float
from torch import Tensor

from ganneal.temperature import Clock, check_path, inverse_temperature, members


def surrogate(x: Float[Tensor, "b *shape"], score: Float[Tensor, "b *shape"]) -> Float[Tensor, ""]:
    """The stop-gradient surrogate of E log p(G): R = mean_i sum_d x_id stopgrad(S(x_i))_d with x = G(z).

    grad_theta R = E[J_G^T S(G)] = grad_theta E log p(G) when S = grad log p. Its VALUE is no log-likelihood: never
    stop or select on it. The whole score, including the x at which it was evaluated, is a constant here.
    """
    return (x * score.detach()).flatten(1).sum(1).mean()


def clip_norm(score: Float[Tensor, "b *shape"], most: float) -> Float[Tensor, "b *shape"]:
    """Scores with a norm of at most `most` per example, their direction kept. Exact where |S| <= most; elsewhere it
    bounds the force."""
    norms = score.flatten(1).square().sum(1).clamp(min=1e-24).sqrt()
    return score * (most / norms).clamp(max=1.0).reshape(-1, *[1] * (score.dim() - 1))


__all__ = ["Clock", "check_path", "clip_norm", "inverse_temperature", "members", "surrogate"]
