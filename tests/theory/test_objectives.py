"""Objectives: gradients by finite differences, optimal critics and divergences by quadrature. Float64 throughout."""

import math

import pytest
import torch
from cases import F64, expected, normal, slopes, weights
from torch import Tensor

from ganneal.objectives import OBJECTIVES, Objective
from ganneal.objectives.log_ratio import HELD_EXPONENT, MAX_EXPONENT

NAMES = tuple(OBJECTIVES)
LOG_RATIO = tuple(n for n in NAMES if OBJECTIVES[n]().optimum == "log_ratio")
GRID = torch.linspace(-4, 4, 161, dtype=F64)
MU, RHO = weights(normal(GRID)), weights(normal(GRID, 0.5, 0.8))
"""Two laws on the grid itself, so that every statement about a free critic is exact. |log mu/rho| stays below 8."""


def objective(name: str) -> Objective:
    return OBJECTIVES[name]()


def best_critic(kind: str) -> Tensor:
    return {
        "log_ratio": (MU / RHO).log(),
        "bounded_ratio": (MU - RHO) / (MU + RHO),
        "margin": (MU - RHO).sign(),
    }[kind]


@pytest.mark.parametrize("scale", [1.0, 6.0], ids=["near", "beyond the exponent's cut"])
@pytest.mark.parametrize("loss", ["critic_loss", "generator_loss"])
@pytest.mark.parametrize("name", NAMES)
def test_autograd_is_the_finite_difference(name: str, loss: str, scale: float) -> None:
    """Claim of every docstring: the two losses are the written functions, differentiable, with the 1/B of a mean."""
    y = scale * torch.randn(14, dtype=F64, generator=torch.Generator().manual_seed(3))
    f = getattr(objective(name), loss)

    def whole(v: Tensor) -> Tensor:
        return f(v[:7], v[7:])

    gradient = torch.func.grad(whole)(y)
    error = (gradient - slopes(whole, y, 1e-6)).abs().max()
    assert error < 1e-7 * max(1.0, gradient.abs().max().item())
    torch.testing.assert_close(f(y[:7].repeat(3), y[7:].repeat(3)), whole(y), rtol=1e-14, atol=0)


@pytest.mark.parametrize("name", [n for n in NAMES if objective(n).optimum in ("log_ratio", "bounded_ratio", "margin")])
def test_the_claimed_critic_is_optimal(name: str) -> None:
    """y* = log mu/rho, (mu - rho)/(mu + rho) or sign(mu - rho): a minimum of the critic's loss over all functions,
    and -y* is none."""
    made = objective(name)
    y = best_critic(made.optimum)

    def loss(v: Tensor) -> Tensor:
        return expected(made.critic_loss, v, MU, RHO)

    if made.optimum != "margin":
        assert (torch.func.grad(loss)(y).abs() / (MU + RHO)).max() < 1e-12
        assert (torch.func.grad(loss)(-y).abs() / (MU + RHO)).max() > 0.1
    generator = torch.Generator().manual_seed(0)
    for size in (1e-3, 0.1, 1.0):
        for _ in range(5):
            other = y + size * torch.randn(GRID.shape, dtype=F64, generator=generator)
            assert loss(other) > loss(y)
    assert loss(-y) > loss(y) + 0.1


@pytest.mark.parametrize("name", LOG_RATIO)
def test_the_log_ratio_is_unique(name: str) -> None:
    """Newton's method on the free critic goes from 0 to log mu/rho (up to a constant for the paired objective, which
    sees differences)."""
    made, y = objective(name), torch.zeros(41, dtype=F64)
    mu, rho = (p[::4] / p[::4].sum() for p in (MU, RHO))

    def loss(v: Tensor) -> Tensor:
        return expected(made.critic_loss, v, mu, rho)

    for _ in range(60):
        step = torch.linalg.lstsq(
            torch.func.hessian(loss)(y), torch.func.grad(loss)(y)[:, None], driver="gelsd", rcond=1e-15
        ).solution[:, 0]
        y = y - step * min(1.0, 1.0 / step.abs().max().item())
    target = (mu / rho).log()
    difference = y - target
    if made.paired:
        difference = difference - difference.mean()
    assert difference.abs().max() < 1e-6


def test_the_wasserstein_critic_is_the_kantorovich_potential() -> None:
    """Over 1-Lipschitz critics the best has slope sign(F_rho - F_mu), and minus the loss is W1 = E|m + (s - 1) z|;
    slope rho - mu in y."""
    x = torch.linspace(-9, 9, 1801, dtype=F64)
    m, s = 0.5, 0.5
    mu, rho = weights(normal(x)), weights(normal(x, m, s))
    loss = objective("wasserstein").critic_loss
    torch.testing.assert_close(torch.func.grad(lambda v: expected(loss, v, MU, RHO))(torch.ones_like(GRID)), RHO - MU)
    slope = (rho.cumsum(0) - mu.cumsum(0))[:-1].sign()
    y = torch.cat([torch.zeros(1, dtype=F64), (slope * x.diff()).cumsum(0)])
    ratio = m / (1 - s)
    w1 = (1 - s) * (math.sqrt(2 / math.pi) * math.exp(-(ratio**2) / 2) + ratio * math.erf(ratio / math.sqrt(2)))
    assert math.isclose(-expected(loss, y, mu, rho).item(), w1, rel_tol=1e-4)
    for other in (-x, x, x.abs(), -x.abs(), torch.sin(x), torch.zeros_like(x)):
        assert -expected(loss, other, mu, rho) < w1 - 1e-3


# ---- generators: x = m + s z at a critic that is held fixed where it is optimal

Z = torch.linspace(-8, 8, 401, dtype=F64)
X = torch.linspace(-14, 14, 2801, dtype=F64)


def log_mu(x: Tensor) -> Tensor:
    """A skewed mixture, so that no symmetry hides an error."""
    return torch.logsumexp(torch.stack([math.log(0.7) + normal(x, -1.0, 0.7), math.log(0.3) + normal(x, 1.5, 0.9)]), 0)


def kl(log_p: Tensor, log_q: Tensor) -> Tensor:
    return torch.trapezoid(log_p.exp() * (log_p - log_q), X)


def two_jsd(log_p: Tensor, log_q: Tensor) -> Tensor:
    middle = torch.logaddexp(log_p, log_q) - math.log(2)
    return kl(log_p, middle) + kl(log_q, middle)


DIVERGENCES = {
    "rkl": lambda mu, rho: kl(rho, mu),
    "nwj": lambda mu, rho: kl(rho, mu),
    "kl": lambda mu, rho: kl(mu, rho),
    "jsd": two_jsd,
    "nonsaturating": lambda mu, rho: kl(rho, mu) - two_jsd(mu, rho),
}


def generator_gradient(name: str, theta: Tensor) -> Tensor:
    """d/d(m, s) E_z h(y*(m + s z)), the critic frozen at its optimum for theta."""
    m, s = theta

    def loss(t: Tensor) -> Tensor:
        x = t[0] + t[1] * Z
        y = log_mu(x) - normal(x, m, s)
        if name == "least_squares":
            y = torch.tanh(y / 2)
        return expected(objective(name).generator_loss, y, weights(normal(Z)), weights(normal(Z)))

    return torch.func.grad(loss)(theta)


@pytest.mark.parametrize("theta", [(0.3, 1.1), (-0.8, 1.5), (0.9, 1.7)])
@pytest.mark.parametrize("name", DIVERGENCES)
def test_the_generator_descends_the_claimed_divergence(name: str, theta: tuple[float, float]) -> None:
    """At y* the generator's gradient is that of KL(rho||mu), KL(mu||rho), 2 JSD; non-saturating: KL(rho||mu) - 2 JSD
    (Arjovsky, Bottou 2017)."""
    at = torch.tensor(theta, dtype=F64)
    truth = slopes(lambda t: DIVERGENCES[name](log_mu(X), normal(X, t[0], t[1])), at)
    assert truth.abs().min() > 1e-3
    torch.testing.assert_close(generator_gradient(name, at), truth, rtol=1e-6, atol=1e-7)


def test_least_squares_gradient_is_not_that_of_its_pearson_divergence() -> None:
    """E_rho y*^2/2 has the value of half the chi^2 of the docstring only together with the data term; its gradient,
    the critic held fixed, is that of no chi^2: near rho = mu it is of third order in the distance, where a
    divergence's is of first order."""

    def pull(shift: float) -> float:
        def loss(t: Tensor) -> Tensor:
            x = t + Z
            y = torch.tanh((normal(x) - normal(x, shift)) / 2)
            return expected(objective("least_squares").generator_loss, y, weights(normal(Z)), weights(normal(Z)))

        return torch.func.grad(loss)(torch.tensor(shift, dtype=F64)).item()

    def pearson(shift: float) -> float:
        p, q = normal(X).exp(), normal(X, shift).exp()
        return 0.5 * torch.trapezoid((p - q) ** 2 / (p + q), X).item()

    small, smaller = 0.1, 0.05
    assert math.isclose(pull(small) / pull(smaller), 8, rel_tol=0.02)
    slope = (pearson(small + 1e-4) - pearson(small - 1e-4)) / 2e-4
    assert math.isclose(slope, small / 2, rel_tol=0.02)
    assert 0 < pull(small) < 0.01 * slope


# ---- values

NWJ = {"model, data": (0.5, 0.8, 0.0, 1.0, -0.83186), "swapped": (0.0, 1.0, 0.5, 0.8, -0.74658)}


@pytest.mark.parametrize("case", NWJ)
def test_claim_4_value_of_the_nwj_bound(case: str) -> None:
    """Claim 4: -.8319 for rho = N(.5, .8^2), mu = N(0, 1), -.7466 with the laws swapped; plus 1 it is KL(rho||mu),
    from below."""
    m, s, m_data, s_data, value = NWJ[case]
    x = torch.linspace(-9, 9, 451, dtype=F64)
    mu, rho = weights(normal(x, m_data, s_data)), weights(normal(x, m, s))
    y = (normal(x, m_data, s_data) - normal(x, m, s)).clamp(-MAX_EXPONENT, MAX_EXPONENT)

    def found(v: Tensor) -> float:
        return -expected(objective("nwj").critic_loss, v, mu, rho).item()

    assert math.isclose(found(y), value, abs_tol=1e-5)
    assert math.isclose(
        found(y) + 1, math.log(s_data / s) + (s**2 + (m - m_data) ** 2) / (2 * s_data**2) - 0.5, abs_tol=1e-6
    )
    for other in (y + 0.1, y - 0.1, 0.8 * y, torch.zeros_like(x), -y):
        assert found(other) < found(y)


def test_claim_4_a_minus_sign_has_no_optimum() -> None:
    """Claim 4: with the slides' minus sign the loss falls without end already at constant critics; with the library's
    sign it is at D = -1."""
    loss = objective("nwj").critic_loss
    constants = torch.linspace(-5, 20, 501, dtype=F64)[:, None]
    right = torch.stack([loss(c, c) for c in constants])
    wrong = torch.stack([loss(c, -c) for c in constants])
    assert constants[right.argmin()].abs() < 1e-9
    assert math.isclose(right.min().item(), 1.0)
    assert wrong[-1] < -19.9
    assert (wrong.diff() < 0).all()  # and so on without end, but for the bound on exponents


def test_exp_beyond_its_bound() -> None:
    """`kl` follows exp to y = 10 and then its tangent e^10 (y - 9); `nwj` holds -y at 20."""
    for y in (-30.0, 0.0, 9.9, 10.0, 10.5, 30.0):
        truth = math.exp(y) if y <= MAX_EXPONENT else math.exp(MAX_EXPONENT) * (1 + y - MAX_EXPONENT)
        one, zero = torch.tensor([y], dtype=F64), torch.zeros(1, dtype=F64)
        assert math.isclose(-objective("kl").generator_loss(zero, one).item(), truth, rel_tol=1e-14)
        held = math.exp(min(y, HELD_EXPONENT))
        assert math.isclose(objective("nwj").critic_loss(-one, zero).item(), held, rel_tol=1e-14)


def test_the_nwj_estimate_stays_below_kl_where_the_ratio_is_large() -> None:
    """`nwj`: "the negative critic loss plus 1 is an estimate of KL(rho||mu) from below", at rho/mu = 5e5 on one of
    two points."""
    mu, rho = torch.tensor([1 - 1e-6, 1e-6], dtype=F64), torch.tensor([0.5, 0.5], dtype=F64)
    y = torch.stack([(mu / rho).log()[0].expand(200), torch.linspace(-60, 0, 200, dtype=F64)], 1)
    truth = (rho * (rho / mu).log()).sum()
    found = torch.stack([1 - expected(objective("nwj").critic_loss, v, mu, rho) for v in y])
    assert found.max() < truth + 1e-9


def test_the_jsd_value() -> None:
    """-L_C at y* is 2 JSD - 2 log 2 for the logistic critic (Goodfellow et al. 2014, theorem 1)."""
    value = -expected(objective("jsd").critic_loss, (MU / RHO).log(), MU, RHO)
    middle = (MU + RHO) / 2
    truth = (MU * (MU / middle).log()).sum() + (RHO * (RHO / middle).log()).sum() - 2 * math.log(2)
    torch.testing.assert_close(value, truth, rtol=1e-12, atol=0)


def test_which_objectives_claim_the_gibbs_law() -> None:
    """Section 2.4: exactly the reverse-KL generators, whose loss is -E y on a log-ratio critic."""
    y = torch.linspace(-3, 3, 7, dtype=F64)
    for name in NAMES:
        made = objective(name)
        linear = torch.func.grad(lambda v, f=made.generator_loss: f(y, v))(y)
        reverse_kl = made.optimum == "log_ratio" and not made.paired and bool((linear == -1 / 7).all())
        assert made.gibbs == reverse_kl, name
