"""Regularisation as temperature: claims 1-3, 5-8 and 22 of the specification, through the library's own game losses,
in float64.

Batches are equally weighted quantiles, so everything is deterministic; critics are refitted by Newton's method or
known in closed form.
"""

import math
from collections.abc import Callable, Mapping

import pytest
import torch
from cases import (
    F64,
    NORMAL_ENTROPY,
    Affine,
    Function,
    Particles,
    Quadratic,
    all_own,
    expected,
    gan,
    normal,
    numbers,
    own,
    quantiles,
    slopes,
    weights,
)
from scipy.optimize import brentq
from torch import Tensor, nn

from ganneal import annealing
from ganneal.game import Tensors, bind, field, input_gradient
from ganneal.objectives import OBJECTIVES
from ganneal.penalties import r1r2
from ganneal.schedules import Constant
from ganneal.scores import affine, dae, exact
from ganneal.solvers import SGD, Alternating, Play
from ganneal.systems.gan import GAN
from ganneal.temperature import Clock, inverse_temperature

STANDARD = exact(lambda x: -x)


# ---- the affine generator


def refit(
    game: GAN,
    params: dict[str, Tensors],
    batch: Mapping[str, Tensor],
    coefficients: Mapping[str, Tensor],
    steps: int = 2,
) -> None:
    """Newton steps of the critic on the game's own loss."""
    names = list(params["critic"])
    shapes = [params["critic"][n].shape for n in names]

    def tree(flat: Tensor) -> Tensors:
        parts = flat.split([s.numel() for s in shapes])
        return {n: p.reshape(s) for n, p, s in zip(names, parts, shapes, strict=True)}

    def loss(flat: Tensor) -> Tensor:
        return game.loss("critic", bind(game.nets, {**params, "critic": tree(flat)}, {}), batch, coefficients)

    flat = torch.cat([params["critic"][n].reshape(-1) for n in names])
    for _ in range(steps):
        flat = flat - torch.linalg.solve(torch.func.hessian(loss)(flat), torch.func.grad(loss)(flat))
    params["critic"] = tree(flat)


def settle(
    game: GAN,
    batch: Mapping[str, Tensor],
    coefficients: Mapping[str, Tensor],
    params: dict[str, Tensors] | None = None,
    steps: int = 40,
) -> tuple[float, float]:
    """Mean and variance of the generator where its gradient flow ends, the critic refitted at every step."""
    params = all_own(game) if params is None else params
    batches = {player: batch for player in game.players}
    dt = min(
        0.4, 0.5 / (1 + coefficients["lambda_likelihood"].item())
    )  # the flow ends at the rate 2 (1 + lambda_likelihood)
    refit(game, params, batch, coefficients, 8)
    for _ in range(steps):
        refit(game, params, batch, coefficients, 1)
        move = field(game, params, {}, batches, coefficients)["generator"]
        params["generator"] = {n: p + dt * move[n] for n, p in params["generator"].items()}
    return params["generator"]["b"].item(), params["generator"]["a"].item() ** 2


def affine_game(objective: str = "rkl", **more: object) -> GAN:
    more = {"data_score": STANDARD, "model_score": affine(1e-12), **more}
    return gan(objective, Quadratic(), Affine(1.3, 0.4), **more)


def quadrature(n: int) -> dict[str, Tensor]:
    q = quantiles(n)
    return {"real": q, "z": q}


def limit(variance: Callable[[int], float]) -> float:
    """Richardson's extrapolation: the tails cost a quantile rule of n points an error of c/n, which two rules
    cancel."""
    return 2 * variance(400) - variance(200)


def settled_variance(objective: str = "rkl", **coefficients: float) -> float:
    return limit(lambda n: settle(affine_game(objective), quadrature(n), numbers(**coefficients))[1])


TEMPERATURES = {
    (0.0, 0.0): 1.0,
    (1.0, 0.0): 0.5,
    (-0.5, 0.0): 2.0,
    (0.0, 1.0): 2.0,
    (1.0, 1.0): 1.0,
    (3.0, 0.0): 0.25,
    (0.0, -0.5): 0.5,
}


@pytest.mark.parametrize("lambdas", TEMPERATURES)
def test_claims_1_and_2_variance_under_a_refitted_critic(lambdas: tuple[float, float]) -> None:
    """Claims 1, 2: N(0, 1), affine generator, RKL-logistic critic on (1, x, x^2): var 1, 1/2, 2, 2; (1, 1) gives 1:
    always 1/beta."""
    variance, coefficients = TEMPERATURES[lambdas], {"lambda_likelihood": lambdas[0], "lambda_entropy": lambdas[1]}
    assert math.isclose(1 / inverse_temperature(*lambdas), variance)
    assert math.isclose(settled_variance(**coefficients), variance, rel_tol=1e-3)
    assert abs(settle(affine_game(), quadrature(100), numbers(**coefficients))[0]) < 1e-4


def test_claim_1_with_the_nwj_critic() -> None:
    """The same temperature with the other reverse-KL critic."""
    assert math.isclose(settled_variance("nwj", lambda_likelihood=1.0), 0.5, rel_tol=1e-2)


@pytest.mark.parametrize("objective", ["jsd", "nonsaturating"])
def test_claim_7_other_generators_end_elsewhere(objective: str) -> None:
    """Claim 7, in the affine family: with lambda_likelihood = 1 a JSD or non-saturating generator does not end at
    variance 1/2."""
    assert settled_variance(objective, lambda_likelihood=1.0) < 0.45
    assert math.isclose(settled_variance(objective), 1.0, rel_tol=1e-2)


@pytest.mark.parametrize("gamma", [0.02, 0.1])
def test_r1r2_makes_the_regulariser_stronger(gamma: float) -> None:
    """Section 4 asks for claim 1 with R1 + R2 on. The penalty shrinks the critic's response: on Hermite modes of
    order k by 1/(1 + 4 k gamma), so to first order lambda_likelihood acts on the variance as (1 + 8 gamma) lambda.
    The law at lambda = 0 is not moved."""
    game = affine_game(penalties=(r1r2(gamma),))

    def variance(lam: float) -> float:
        return settle(game, quadrature(400), numbers(lambda_likelihood=lam, r1r2=gamma))[1]

    assert math.isclose(variance(0.0), 1.0, rel_tol=1e-6)
    slope = (variance(0.02) - variance(-0.02)) / 0.04
    assert math.isclose(slope, -(1 + 8 * gamma), rel_tol=0.03)


def test_r1r2_caps_the_critic_s_pull_so_that_hot_likelihoods_escape() -> None:
    """With gamma = .02 and lambda_likelihood = -.8 (beta = .2) no variance is stationary, since the pull inwards,
    -q, never exceeds .62; the entropy clock at the same beta has an equilibrium, because its push 4/v weakens as the
    law widens. Gibbs: 5 for both."""
    game = affine_game(penalties=(r1r2(0.02),))
    hot = [settle(game, quadrature(400), numbers(lambda_likelihood=-0.8, r1r2=0.02), steps=n)[1] for n in (10, 20)]
    assert hot[1] > 10 * hot[0] > 100
    found = [settle(game, quadrature(400), numbers(lambda_entropy=4.0, r1r2=0.02), steps=n)[1] for n in (20, 30)]
    assert math.isclose(found[1], found[0], rel_tol=1e-5)
    assert math.isclose(found[1], 6.45, abs_tol=0.05)


def test_claim_1_by_the_library_s_own_steps() -> None:
    """Play + Alternating + SGD, ten critic steps to one of the generator, from var 4 to 1/2."""
    game = affine_game()
    play = Play(game, {"critic": SGD(), "generator": SGD()})
    params = all_own(game)
    params["generator"]["a"].fill_(2.0)
    state = play.start(params, {p: {} for p in game.players})
    solver, batch = Alternating(10), quadrature(100)
    rates = {"lr.critic": torch.tensor(0.8, dtype=F64), "lr.generator": torch.tensor(0.1, dtype=F64)}
    for _ in range(150):
        solver.step(play, state, (batch,) * 11, {**numbers(lambda_likelihood=1.0), **rates})
    assert math.isclose(state.params["generator"]["a"].item() ** 2, 0.5, rel_tol=0.03)


def log_ratio_critic(a: Tensor, b: Tensor) -> Tensors:
    """Parameters of the quadratic critic that is exactly log N(x; 0, 1) - log N(x; b, a^2)."""
    return {"c": b**2 / (2 * a**2) + a.log(), "w": (-b / a**2).reshape(1), "q": (1 / a**2 - 1).reshape(1, 1)}


def exact_field(game: GAN, a: float, b: float, coefficients: Mapping[str, Tensor]) -> Tensor:
    """(a', b') of the generator against the exact critic."""
    at = {"a": torch.tensor(a, dtype=F64), "b": torch.tensor([b], dtype=F64)}
    params = {"critic": log_ratio_critic(at["a"], at["b"][0]), "generator": at}
    batch = quadrature(40)
    found = field(game, params, {}, {p: batch for p in game.players}, coefficients)["generator"]
    return torch.stack([found["a"], found["b"][0]])


@pytest.mark.parametrize("beta", [0.25, 0.5, 2.0])
def test_claim_2_the_two_clocks(beta: float) -> None:
    """Claim 2 for any beta: likelihood and entropy lambdas of one beta give fields that differ by the factor 1 +
    lambda_entropy = 1/beta."""
    pairs = {clock: [s(0.3) for s in Clock(Constant(beta), clock).lambdas()] for clock in ("likelihood", "entropy")}
    assert pairs["likelihood"] == [beta - 1, 0]
    assert pairs["entropy"] == [0, 1 / beta - 1]
    for a, b in ((2.0, 3.0), (0.6, -1.0)):
        slow, fast = (
            exact_field(affine_game(), a, b, numbers(lambda_likelihood=p[0], lambda_entropy=p[1]))
            for p in pairs.values()
        )
        torch.testing.assert_close(fast, slow / beta, rtol=1e-9, atol=1e-9)
        closed = torch.tensor([1 / a - beta * a, -beta * b], dtype=F64)
        torch.testing.assert_close(slow, closed, rtol=1e-9, atol=1e-9)


FLOWS = {
    0.0: (1.10364, 1.40601, 3 * math.exp(-1), 1 + 3 * math.exp(-2)),
    1.0: (0.40601, 0.56411, 3 * math.exp(-2), 0.5 + 3.5 * math.exp(-4)),
}


@pytest.mark.parametrize("lam", FLOWS)
def test_claim_8_the_gradient_flow_is_fokker_planck(lam: float) -> None:
    """Claim 8: RK4 on `game.field` with the exact critic from a = 2, b = 3: mean and variance at t = 1 are those of
    Fokker-Planck."""
    game, coefficients = affine_game(model_score=None), numbers(lambda_likelihood=lam)
    y, h = torch.tensor([2.0, 3.0], dtype=F64), 0.02

    def f(v: Tensor) -> Tensor:
        return exact_field(game, v[0].item(), v[1].item(), coefficients)

    for _ in range(50):
        k1 = f(y)
        k2 = f(y + h / 2 * k1)
        k3 = f(y + h / 2 * k2)
        k4 = f(y + h * k3)
        y = y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    mean, variance, exact_mean, exact_variance = FLOWS[lam]
    assert math.isclose(y[1].item(), exact_mean, rel_tol=1e-6)
    assert math.isclose(y[0].item() ** 2, exact_variance, rel_tol=1e-6)
    assert abs(y[1].item() - mean) < 1e-5
    assert abs(y[0].item() ** 2 - variance) < 1e-5


# ---- claim 3: the score of a denoising autoencoder, and the detach that it needs


class Shrink(nn.Module):
    """The best denoiser of a centred normal law is linear: r(x) = k x."""

    def __init__(self) -> None:
        super().__init__()
        self.k = nn.Parameter(torch.zeros((), dtype=F64))

    def forward(self, x: Tensor) -> Tensor:
        return self.k * x


def denoised(sigma: float, lam: float, n: int) -> float:
    """The variance at the end, with the denoiser trained by one Newton step of the game's own data_score loss."""
    game = gan("rkl", Quadratic(), Affine(0.8, 0.2), data_score=dae(sigma), nets={"data_score": Shrink()})
    q = quantiles(40)
    noise = {"real": q.repeat_interleave(40, 0), "score.eps": q.repeat(40, 1)}
    params, coefficients = all_own(game), numbers(lambda_likelihood=lam)

    def loss(k: Tensor) -> Tensor:
        return game.loss("data_score", bind(game.nets, {**params, "data_score": {"k": k}}, {}), noise, coefficients)

    zero = torch.zeros((), dtype=F64)
    params["data_score"] = {"k": -torch.func.grad(loss)(zero) / torch.func.grad(torch.func.grad(loss))(zero)}
    assert math.isclose(params["data_score"]["k"].item(), 1 / (1 + sigma**2), rel_tol=1e-9)
    return settle(game, {**quadrature(n), "score.eps": quantiles(n)}, coefficients, params)[1]


@pytest.mark.parametrize(("sigma", "lam", "variance"), [(1.0, 1.0, 2 / 3), (0.3, 1.0, 0.52153), (1.0, -0.5, 4 / 3)])
def test_claim_3_the_score_of_the_smoothed_law(sigma: float, lam: float, variance: float) -> None:
    """Claim 3: with a denoising autoencoder var = 1/(1 + lambda/(1 + sigma^2))."""
    assert math.isclose(limit(lambda n: denoised(sigma, lam, n)), variance, rel_tol=2e-3)


def test_claim_3_a_missing_detach_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Claim 3: the published surrogate (sg[r(f)] - f) f without the detach on f ends at variance .4 instead of 2/3."""

    def undetached(x: Tensor, score: Tensor) -> Tensor:
        return (x * (score.detach() + x.detach() - x)).flatten(1).sum(1).mean()

    monkeypatch.setattr(annealing, "surrogate", undetached)
    assert math.isclose(limit(lambda n: denoised(1.0, 1.0, n)), 0.4, rel_tol=1e-3)


# ---- claims 5 and 6: values


LINE = torch.linspace(-10, 10, 401, dtype=F64)


def regularised(log_rho: Tensor, lambda_likelihood: float, lambda_entropy: float = 0.0) -> float:
    """J(rho) = KL - lambda_L E log mu + lambda_E E log rho with KL from the library's NWJ critic loss at the optimal
    critic."""
    log_mu, step = normal(LINE), (LINE[1] - LINE[0]).item()
    mu, rho = weights(log_mu), weights(log_rho)
    log_rho = rho.clamp(min=1e-300).log() - math.log(step)
    divergence = 1 - expected(OBJECTIVES["nwj"]().critic_loss, log_mu - log_rho, mu, rho)
    return (divergence - lambda_likelihood * rho @ log_mu + lambda_entropy * rho @ log_rho).item()


def renyi(beta: float) -> float:
    """H_beta of N(0, 1): log int mu^beta / (1 - beta)."""
    return NORMAL_ENTROPY + math.log(beta) / (2 * (beta - 1))


@pytest.mark.parametrize(("lam", "value"), [(1.0, 1.26551), (3.0, 3.44996), (-0.5, -0.80604)])
def test_claim_5_the_minimum_is_lambda_times_renyi_entropy(lam: float, value: float) -> None:
    """Claim 5: J* = lambda_L H_beta(mu), at the Gibbs law and nowhere lower; J - J* = KL(rho||mu_beta)."""
    beta = inverse_temperature(lam, 0.0)
    best = regularised(beta * normal(LINE), lam)
    assert math.isclose(best, value, abs_tol=1e-5)
    assert math.isclose(best, lam * renyi(beta), abs_tol=5e-6)  # exp is cut at e^10 in the far tails
    for m, s in ((0.3, 1.0), (0.0, 0.9), (0.1, 1.05)):
        s = s / math.sqrt(beta)
        gap = 0.5 * (beta * (s**2 + m**2) - 1 - math.log(beta * s**2))
        assert math.isclose(regularised(normal(LINE, m, s), lam) - best, gap, abs_tol=2e-5)


def test_claim_2_objectives_differ_by_a_factor_of_two() -> None:
    """Claim 2: J for (0, 1) is twice J for (-1/2, 0), whatever rho."""
    for m, s in ((0.0, 1.0), (0.4, 1.2), (-0.3, 0.8)):
        rho = normal(LINE, m, s)
        assert math.isclose(regularised(rho, 0.0, 1.0), 2 * regularised(rho, -0.5), rel_tol=1e-6)


MIXTURE = {
    "m": torch.tensor([-1.0, 1.5], dtype=F64),
    "s": torch.tensor([0.7, 0.9], dtype=F64),
    "w": torch.tensor([0.7, 0.3], dtype=F64),
}


def log_mixture(x: Tensor) -> Tensor:
    """log density [B] of a two-mode law at x [B, 1]."""
    return torch.logsumexp(MIXTURE["w"].log() + normal(x, MIXTURE["m"], MIXTURE["s"]), 1)


@pytest.mark.parametrize("law", ["normal", "mixture"])
def test_claim_6_the_surrogate_has_the_gradient_and_not_the_value(law: str) -> None:
    """Claim 6: autograd of `annealing.surrogate` is the finite difference of E log mu(G); on N(0, 1) the values
    differ by -E x^2/2 + .919."""
    z = quantiles(200)

    def log_mu(x: Tensor) -> Tensor:
        return normal(x[:, 0]) if law == "normal" else log_mixture(x)

    def score(x: Tensor) -> Tensor:
        return torch.func.grad(lambda v: log_mu(v).sum())(x)

    def generator(theta: Tensor) -> Tensor:
        return theta[0] * z + theta[1] + theta[2] * torch.sin(2 * z)

    at = torch.tensor([0.9, 0.4, 0.5], dtype=F64)
    found = torch.func.grad(lambda t: annealing.surrogate(generator(t), score(generator(t))))(at)
    torch.testing.assert_close(found, slopes(lambda t: log_mu(generator(t)).mean(), at), rtol=1e-7, atol=1e-8)
    if law == "normal":
        x = generator(at)
        difference = annealing.surrogate(x, score(x)) - log_mu(x).mean()
        torch.testing.assert_close(difference, -0.5 * x.square().mean() + NORMAL_ENTROPY, rtol=1e-12, atol=0)


def test_claim_6_per_example_sums_over_coordinates() -> None:
    """Theory units: on [B, C, H, W] the surrogate is the mean over examples of the SUM over coordinates, and
    doubling a batch changes nothing."""
    x, s = torch.randn(2, 5, 3, 2, 2, dtype=F64, generator=torch.Generator().manual_seed(0)).unbind()
    torch.testing.assert_close(annealing.surrogate(x, s), 12 * (x * s).mean(), rtol=1e-12, atol=0)
    torch.testing.assert_close(
        annealing.surrogate(x.repeat(2, 1, 1, 1), s.repeat(2, 1, 1, 1)), annealing.surrogate(x, s), rtol=1e-12, atol=0
    )


# ---- claim 7: which law is stationary for which objective. Particles, and the critic that is optimal for the law


def force(
    objective: str, x: Tensor, critic: Callable[[Tensor], Tensor], lam: float, score: Callable[[Tensor], Tensor]
) -> Tensor:
    """The force [n] on particles at x: minus n times the gradient of the game's generator loss in their positions."""
    points = x[:, None]
    game = gan(objective, Function(lambda v: critic(v[:, 0])), Particles(len(x)), data_score=exact(score))
    params = {"critic": {}, "generator": own(game.nets["generator"])}
    batch = {"z": points, "real": points}
    found = field(game, params, {}, {p: batch for p in game.players}, numbers(lambda_likelihood=lam))["generator"]
    return len(x) * found["shift"][:, 0]


def mass(log_density: Callable[[Tensor], Tensor], x: Tensor, power: int = 0) -> float:
    return torch.trapezoid(log_density(x).exp() * x**power, x).item()


FINE = torch.linspace(-12, 12, 24001, dtype=F64)


def gibbs(lam: float) -> Callable[[Tensor], Tensor]:
    return lambda x: normal(x, 0.0, 1 / math.sqrt(1 + lam))


def jsd_law(lam: float) -> Callable[[Tensor], Tensor]:
    """log of mu^(1+l) C/(1 - C mu^l), normalised by C = exp(c) < 1/max mu^l."""

    def law(x: Tensor, c: float) -> Tensor:
        return c + (1 + lam) * normal(x) - torch.log1p(-torch.exp(c + lam * normal(x)))

    top = lam * NORMAL_ENTROPY
    c = brentq(lambda v: mass(lambda x: law(x, v), FINE) - 1, top - 30, top - 1e-9, xtol=1e-14)
    return lambda x: law(x, c)


def nonsaturating_law(lam: float) -> Callable[[Tensor], Tensor]:
    """log of mu (C mu^l - 1)_+, minus infinity outside its support."""

    def law(x: Tensor, c: float) -> Tensor:
        return normal(x) + torch.expm1(c + lam * normal(x)).clamp(min=0).log()

    c = brentq(lambda v: mass(lambda x: law(x, v), FINE) - 1, -1 if lam > 0 else -3, 10, xtol=1e-14)
    return lambda x: law(x, c)


def kl_law(lam: float) -> Callable[[Tensor], Tensor]:
    """log of mu / (c - l log mu): forward KL with a regulariser, by the same argument."""

    def law(x: Tensor, c: float) -> Tensor:
        return normal(x) - (c - lam * normal(x)).log()

    c = brentq(lambda v: mass(lambda x: law(x, v), FINE) - 1, -lam * NORMAL_ENTROPY + 1e-9, 50, xtol=1e-14)
    return lambda x: law(x, c)


LAWS = [
    *((o, lam, gibbs, 1 / (1 + lam), 3.5) for o in ("rkl", "nwj") for lam in (-0.5, 0.5, 1.0)),
    *(("jsd", lam, jsd_law, v, 2.5) for lam, v in ((0.25, 0.6909), (0.5, 0.5350), (1.0, 0.3669), (2.0, 0.2196))),
    ("nonsaturating", 1.0, nonsaturating_law, 0.2853, 1.40),
    ("nonsaturating", -0.5, nonsaturating_law, 2 / (1 - 0.5) - 1, 3.0),
    ("nonsaturating", -0.25, nonsaturating_law, 2 / (1 - 0.25) - 1, 3.0),
    ("kl", 1.0, kl_law, None, 3.0),
]


@pytest.mark.parametrize(("objective", "lam", "law", "variance", "reach"), LAWS)
def test_claim_7_the_stationary_law(
    objective: str, lam: float, law: Callable[[float], Callable[[Tensor], Tensor]], variance: float | None, reach: float
) -> None:
    """Claim 7 and the table of 2.4: the law has the stated variance, no force acts on it, and the Gibbs law is
    pushed unless it is the law."""
    log_rho = law(lam)
    assert math.isclose(mass(log_rho, FINE), 1.0, abs_tol=1e-5)
    if variance is not None:
        assert abs(mass(log_rho, FINE, 2) - variance) < 1e-4
    x = torch.linspace(-reach, reach, 101, dtype=F64)
    found = force(objective, x, lambda v: normal(v) - log_rho(v), lam, lambda v: -v)
    assert found.abs().max() < 1e-8
    tempered = gibbs(lam)
    pushed = force(objective, x, lambda v: normal(v) - tempered(v), lam, lambda v: -v)
    assert (pushed.abs().max() < 1e-8) == OBJECTIVES[objective]().gibbs
    wrong_sign = force(objective, x, lambda v: normal(v) - log_rho(v), -lam, lambda v: -v)
    assert wrong_sign.abs().max() > 0.3


def test_claim_7_compact_support_of_the_nonsaturating_law() -> None:
    """Claim 7: |x| < 1.417; outside, where rho = 0 and the critic is sure, only the regulariser's pull inwards is
    left."""
    log_rho = nonsaturating_law(1.0)
    inside = FINE[log_rho(FINE) > -math.inf]
    assert abs(inside.max().item() - 1.417) < 1e-3
    x = torch.tensor([-2.5, -1.6, 1.6, 2.5], dtype=F64)
    torch.testing.assert_close(
        force("nonsaturating", x, lambda v: 50 + 0 * v, 1.0, lambda v: -v), -x, rtol=1e-9, atol=1e-9
    )


CLIPPED = {0.5: (0.92054, 0.02275), 1.0: (0.51606, 0.15866)}


@pytest.mark.parametrize("lam", CLIPPED)
def test_claim_7_w1_clips_instead_of_annealing(lam: float) -> None:
    """Claim 7: the optimum is mu clipped to |x| <= 1/lambda. Saddle point: the 1-Lipschitz Huber witness is optimal
    for the pair of laws, and against it no particle wants to move."""
    variance, atom = CLIPPED[lam]
    edge, n = 1 / lam, 20_000
    data = quantiles(n)[:, 0]
    clipped = data.clamp(-edge, edge)
    assert math.isclose(clipped.square().mean().item(), variance, abs_tol=2e-4)
    assert math.isclose((clipped == edge).double().mean().item(), atom, abs_tol=1e-4)

    def witness(x: Tensor) -> Tensor:
        inner = x.clamp(-edge, edge)
        return lam * inner.square() / 2 + (x.abs() - inner.abs())

    _, slope = input_gradient(witness, torch.linspace(-6, 6, 1201, dtype=F64))
    assert slope.abs().max() <= 1 + 1e-12
    wasserstein = OBJECTIVES["wasserstein"]()
    distance = (data - clipped).abs().mean()
    torch.testing.assert_close(-wasserstein.critic_loss(witness(data), witness(clipped)), distance, rtol=1e-9, atol=0)

    inside = torch.linspace(-edge, edge, 41, dtype=F64)[1:-1]
    assert force("wasserstein", inside, witness, lam, lambda v: -v).abs().max() < 1e-12
    outside = torch.tensor([-edge - 1, -edge - 0.1, edge + 0.1, edge + 1], dtype=F64)
    pull = force("wasserstein", outside, witness, lam, lambda v: -v)
    torch.testing.assert_close(pull, outside.sign() - lam * outside, rtol=1e-12, atol=1e-12)
    assert (pull * outside < 0).all()

    def value(law: Tensor) -> float:
        """W1 - lambda E log mu, of sorted equally weighted points."""
        return ((data - law).abs().mean() - lam * normal(law).mean()).item()

    rivals = [
        data,
        data / math.sqrt(1 + lam),
        data.clamp(-1.1 * edge, 1.1 * edge),
        data.clamp(-0.9 * edge, 0.9 * edge),
        clipped + 0.05,
    ]
    assert all(value(clipped) < value(other) for other in rivals)

    # On the Gibbs law the Kantorovich potential is |x|: particles are pushed by sign(x) - lambda x.
    x = torch.linspace(-0.5, 0.5, 20, dtype=F64)
    assert force("wasserstein", x, torch.abs, lam, lambda v: -v).abs().min() > 0.4


@pytest.mark.parametrize("lam", [-0.9, -0.4, 0.4, 0.9])
def test_claim_7_laplace_under_w1_is_not_annealed(lam: float) -> None:
    """Claim 7: Laplace(1), |lambda| < 1: rho = mu is stationary, held by the 1-Lipschitz witness lambda |x|, which
    is optimal where the laws are equal. With |lambda| > 1 that witness is not admissible."""
    x = torch.linspace(-3, 3, 40, dtype=F64)

    def witness(v: Tensor) -> Tensor:
        return lam * v.abs()

    assert force("wasserstein", x, witness, lam, lambda v: -v.sign()).abs().max() < 1e-12
    assert input_gradient(witness, x)[1].abs().max() < 1
    assert OBJECTIVES["wasserstein"]().critic_loss(witness(x), witness(x)) == 0
    assert force("rkl", x, lambda v: 0 * v, lam, lambda v: -v.sign()).abs().min() > 0.3


# ---- claim 22: published units


@pytest.mark.parametrize(("published", "variance"), [(50.0, 1.02502), (-50.0, 0.97617)])
def test_claim_22_published_units(published: float, variance: float) -> None:
    """Claim 22: the code's l times a mean over 2048 features is lambda_likelihood = -l/2048; l = 50 moves the
    variance by 1/(1 -+ .0244)."""
    d = 2048
    x, s = torch.randn(2, 3, d, dtype=F64, generator=torch.Generator().manual_seed(0)).unbind()
    theirs = published * (x * s).mean()
    lam = -published / d
    torch.testing.assert_close(-lam * annealing.surrogate(x, s), theirs, rtol=1e-12, atol=0)
    assert math.isclose(abs(lam), 0.0244, abs_tol=5e-5)
    assert math.isclose(1 / inverse_temperature(lam, 0.0), variance, abs_tol=1e-4)
    assert math.isclose(settled_variance(lambda_likelihood=lam), variance, rel_tol=5e-4)
