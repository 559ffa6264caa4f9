"""What is linear near an equilibrium: the blocks of the Jacobian of a game of one critic and one generator, in closed
form for every method.

Near an equilibrium with a critic that is 0, x = critic - critic*, y = generator - generator*,

    x' = -P x - B y,    y' = G' x,

P the curvature of the critic's own problem, B the coupling it feels and G the one that the generator feels. Zero-sum
games (and the non-saturating one) have G = B; eliminating y leaves x'' + C x' + B B' x = 0, and every method is a
choice of damping C (Nagarajan and Kolter 2017; Mescheder, Geiger, Nowozin 2018; Kim, Park, Hwang 2018).
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from ganneal.dynamics.games.quadrature import F64
from ganneal.errors import UsageError, nearest

RESPONSES: dict[str, tuple[float, float, float]] = {
    "jsd": (0.5, 0.5, 0.5),
    "nonsaturating": (0.5, 0.5, 0.5),
    "rkl": (0.5, 0.5, 1.0),
    "kl": (0.5, 0.5, 1.0),
    "nwj": (1.0, 1.0, 1.0),
    "least_squares": (2.0, 1.0, 0.0),
    "hinge": (0.0, 1.0, 1.0),
    "wasserstein": (0.0, 1.0, 1.0),
    "relativistic": (0.5, 0.5, 0.5),
}
"""(c, b, g) of the objectives at a critic that is 0: P = c E[f f'], B = b R, G = g R, where f are the critic's features
(its gradient in its parameters) and R = d/dtheta E[f]. Logistic critics have c = 2 * 1/4 and b = 1/2; `relativistic`
has the covariance of f for its second moment, since it compares pairs."""


@dataclass(frozen=True, eq=False)
class Linear:
    """The blocks of a game at its equilibrium, before any penalty.

    P               [m, m] curvature of the critic's problem
    B, G            [m, n] couplings, as the critic and as the generator feel them
    penalised       by name of an input-gradient penalty: Q [m, m], the Hessian in x of the penalty at weight 1
    """

    P: Tensor
    B: Tensor
    G: Tensor
    penalised: dict[str, Tensor] = field(default_factory=dict)

    def jacobian(self, weights: dict[str, float] | None = None) -> Tensor:
        """[m + n, m + n] of the field (critic, generator), with penalties of those weights.

        input-gradient penalties    P becomes P + weight Q
        nk          generator loss + eta |grad_x V|^2: G' - 2 eta B'P and -2 eta B'B. No factor 1/2 before eta
        consensus   v - gamma J'v: J - gamma J'J
        jare        + (gamma/2) |grad_y L_G|^2 for the critic, + (gamma/2) |grad_x L_C|^2 for the generator

        Field penalties read the objective without the other penalties, as the trained game does.
        """
        weights = dict(weights or {})
        (m, n), top = self.B.shape, self.P
        across: dict[str, float] = {k: weights.pop(k) for k in ("nk", "jare", "consensus") if k in weights}
        for name, weight in weights.items():
            if name not in self.penalised:
                raise UsageError(f"no closed form for penalty '{name}': {nearest(name, self.penalised)}")
            top = top + weight * self.penalised[name]
        found = torch.zeros(m + n, m + n, dtype=F64)
        found[:m, :m], found[:m, m:], found[m:, :m] = -top, -self.B, self.G.T
        plain = found.clone()
        plain[:m, :m] = -self.P
        if eta := across.get("nk"):
            found[m:, :m] -= 2 * eta * self.B.T @ self.P
            found[m:, m:] -= 2 * eta * self.B.T @ self.B
        if gamma := across.get("consensus"):
            found -= gamma * plain.T @ plain
        if gamma := across.get("jare"):
            found[:m, :m] -= gamma * self.G @ self.G.T
            found[m:, :m] -= gamma * self.B.T @ self.P
            found[m:, m:] -= gamma * self.B.T @ self.B
        return found

    def eigenvalues(self, weights: dict[str, float] | None = None) -> Tensor:
        """Complex eigenvalues [m + n] of `jacobian`."""
        return torch.linalg.eigvals(self.jacobian(weights))


def linear(
    objective: str, second: Tensor, covariance: Tensor, response: Tensor, penalised: dict[str, Tensor]
) -> Linear:
    """The blocks for an objective, from E[f f'], Cov[f] and R = d/dtheta E[f] of the critic's features at the
    equilibrium, all float64.

    Raises UsageError for an objective whose response at a zero critic is not known.
    """
    if objective not in RESPONSES:
        raise UsageError(f"no closed form for objective '{objective}': {nearest(objective, RESPONSES)}")
    c, b, g = RESPONSES[objective]
    return Linear(c * (covariance if objective == "relativistic" else second), b * response, g * response, penalised)


def gradient_penalties(on_data: Tensor, mixing: dict[str, Tensor] | None = None) -> dict[str, Tensor]:
    """Hessians Q in the critic's parameters of the input-gradient penalties at weight 1, at an equilibrium where data
    and model agree, from Q_mu = E_mu[(d_x grad f)(d_x grad f)'] on data and on the mixing measures.

    r1, r2 : Q_mu (the factor 1/2 of the penalty is in its square);  r1r2 : 2 Q_mu
    roth   : Q_mu / 2, since (1 - s)^2 + s^2 = 1/2 at s = 1/2 (Roth et al. 2017)
    """
    sgp = {f"sgp.{measure}": q for measure, q in (mixing or {}).items()}
    return {"r1": on_data, "r2": on_data, "r1r2": 2 * on_data, "roth": on_data / 2, **sgp}
