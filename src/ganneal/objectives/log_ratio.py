"""Objectives whose optimal critic is the log-ratio y* = log mu/rho: one critic loss, several generator losses.

The critic's logistic loss E_mu softplus(-y) + E_rho softplus(y) has y* as its minimiser (Goodfellow et al. 2014, Prop.
1, in logits). A generator loss E_rho h(y) moves the generator along h'(y*) grad y*, so the choice of h is the choice
of divergence. All cost one critic pass; `softplus` and logits throughout, never log(sigmoid).
"""

from torch import Tensor
from torch.nn.functional import softplus

from ganneal.objectives.objective import Objective

MAX_EXPONENT = 10.0
"""exp(y) is followed to y = 10 and continued along its tangent: beyond, batches are too small for the estimate to mean
anything."""
HELD_EXPONENT = 20.0
"""-y in the NWJ bound is held here, which keeps it a lower bound (a tangent would not)."""


def _logistic(real: Tensor, fake: Tensor) -> Tensor:
    return softplus(-real).mean() + softplus(fake).mean()


def _exp(y: Tensor) -> Tensor:
    low = y.clamp(max=MAX_EXPONENT)
    return low.exp() * (1 + y - low)


def _nwj_critic(real: Tensor, fake: Tensor) -> Tensor:
    v_real, v_fake = (-real).clamp(max=HELD_EXPONENT), (-fake).clamp(max=HELD_EXPONENT)
    return v_real.exp().mean() - v_fake.mean()


def rkl() -> Objective:
    """Reverse KL with a logistic critic, the default: the generator minimises KL(rho||mu) = E_rho[-y*].

    Generator loss E_rho[-y]. The only objective (with `nwj`) whose regularised optimum is the Gibbs law mu^beta / Z
    with beta = (1 + lambda_likelihood)/(1 + lambda_entropy) (Tao et al. 2019). Mode seeking without annealing.
    """
    return Objective("rkl", _logistic, lambda real, fake: -fake.mean(), "log_ratio", gibbs=True)


def nwj() -> Objective:
    """Reverse KL by the Nguyen-Wainwright-Jordan bound: KL(rho||mu) = 1 + sup_y { E_rho[-y] - E_mu[exp(-y)] }.

    The same optimal critic as `rkl`, with weights exp(-y) on data: noisier gradients, and the negative critic loss
    plus 1 is an estimate of KL(rho||mu) from below. -y is held at 20 in this bound, so ratios rho/mu above e^20 count
    as e^20. (Nguyen, Wainwright, Jordan 2010; D = -exp(-y) in Tao et al. 2019.)
    """
    return Objective(
        "nwj",
        _nwj_critic,
        lambda real, fake: -fake.mean(),
        "log_ratio",
        gibbs=True,
    )


def jsd() -> Objective:
    """Saturating GAN (Goodfellow et al. 2014, eq. 1): generator loss -E_rho softplus(y) = E_rho log(1 - sigmoid(y)),
    i.e. 2 JSD - 2 log 2.

    Weak gradient where the critic is sure (sigmoid(y) near 0). Regularised optimum: mu^(1+l) C/(1 - C mu^l), not Gibbs.
    """
    return Objective("jsd", _logistic, lambda real, fake: -softplus(fake).mean(), "log_ratio")


def nonsaturating() -> Objective:
    """Non-saturating GAN (Goodfellow et al. 2014, section 3): generator loss E_rho softplus(-y).

    The same fixed point as `jsd` when nothing else is added; with a regulariser its equilibrium is mu (C mu^l - 1)_+,
    not Gibbs.
    """
    return Objective("nonsaturating", _logistic, lambda real, fake: softplus(-fake).mean(), "log_ratio")


def kl() -> Objective:
    """Forward KL with a logistic critic: generator loss -E_rho exp(y), whose gradient at y* is that of KL(mu||rho).

    Mode covering; heavy-tailed gradients where the model misses data (exp is continued linearly above y = 10).
    (f-GAN, Nowozin et al. 2016, Table 6: -f*(f'(mu/rho)) = -mu/rho for f(u) = u log u.)
    """
    return Objective("kl", _logistic, lambda real, fake: -_exp(fake).mean(), "log_ratio")
