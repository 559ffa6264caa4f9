"""Games against a density, in float64 on affine generators and Gaussian targets, where everything has a closed form.

For x = a z + b and u = exp(-x^2 / (2 s^2)):  F(a, b) = -(1 + l_E) log a + (1 + l_L)(a^2 + b^2) / (2 s^2) + const.
"""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ganneal.nets import Moments, moment_loss
from ganneal.scores import build as build_score
from ganneal.scores import exact
from ganneal.systems import ExactGame, ReferenceGame, ScoreGame, WeightedGame
from ganneal.targets import Frame, Framed, Target

S = 1.5
N = 4001


class Affine(nn.Module):
    """x = a z + b, with its density."""

    def __init__(self, a: float = 1.0, b: float = 0.0):
        super().__init__()
        self.a, self.b = (nn.Parameter(torch.tensor(value, dtype=torch.float64)) for value in (a, b))

    def forward(self, z: Tensor, density: bool = False, inverse: bool = False) -> Any:
        x = self.a * z + self.b
        log_q = -z.square().sum(1) / 2 - math.log(2 * math.pi) / 2 - self.a.log()
        return (x, log_q) if density else x


class Flat(nn.Module):
    """A critic that knows nothing: T = 0, which is optimal where the model is Gaussian."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.zeros(1).double())

    def forward(self, x: Tensor, features: bool = False) -> Tensor:
        return (0 * self.w * x).sum(1)


def gaussian(s: float = S, opaque: bool = False) -> Target:
    return Target(
        name="gaussian", dim=1, log_prob=lambda x: -x.square().sum(1) / (2 * s * s), opaque=opaque,
        log_z=math.log(s) + math.log(2 * math.pi) / 2,
    )  # fmt: skip


def framed(target: Target, centre: float = 0.0, factor: float = 1.0) -> Framed:
    return Framed(
        target, Frame(torch.full((1,), centre, dtype=torch.float64), torch.full((1, 1), factor, dtype=torch.float64))
    )


def latents() -> Tensor:
    """Standard normal quantiles with mean 0 and variance 1 exactly."""
    z = torch.special.ndtri((torch.arange(N, dtype=torch.float64) + 0.5) / N)[:, None]
    return z / z.square().mean().sqrt()


def coefficients(likelihood: float = 0.0, entropy: float = 0.0, noise: float = 0.0) -> dict[str, Tensor]:
    values = {"lambda_likelihood": likelihood, "lambda_entropy": entropy, "noise": noise}
    return {name: torch.tensor(value, dtype=torch.float64) for name, value in values.items()}


def reference_game(a: float, b: float, **more: Any) -> ReferenceGame:
    moments = Moments(1).double()
    moments.mean.data.fill_(b)
    moments.covariance.data.fill_(a * a - 1e-4)  # the game adds this much
    nets = {"moments": moments, "critic": Flat(), "generator": Affine(a, b)}
    return ReferenceGame(nets, more.pop("density", framed(gaussian())), 1, 1, **more)


def exact_game(a: float, b: float, **more: Any) -> ExactGame:
    return ExactGame({"generator": Affine(a, b)}, more.pop("density", framed(gaussian())), 1, 1, **more)


def score_game(a: float, b: float, **more: Any) -> ScoreGame:
    score = exact(lambda x: -(x - b) / a**2)
    return ScoreGame(
        {"generator": Affine(a, b)}, more.pop("density", framed(gaussian())), 1, 1, model_score=score, **more
    )


GAMES = [reference_game, exact_game, score_game]


def gradient(game: Any, lambdas: dict[str, Tensor], z: Tensor | None = None) -> tuple[float, float]:
    nets = game.nets
    batch = {"z": latents() if z is None else z}
    loss = game.loss("generator", nets, batch, lambdas)
    a, b = torch.autograd.grad(loss, [nets["generator"].a, nets["generator"].b])
    return float(a), float(b)


@pytest.mark.parametrize("make", GAMES)
@pytest.mark.parametrize(("likelihood", "entropy"), [(0.0, 0.0), (-0.6, 0.0), (0.0, 1.5), (0.5, 0.7)])
def test_the_generator_descends_the_free_energy(make: Any, likelihood: float, entropy: float) -> None:
    a, b = 0.7, 0.4
    found = gradient(make(a, b), coefficients(likelihood, entropy))
    assert found[0] == pytest.approx(-(1 + entropy) / a + (1 + likelihood) * a / S**2, abs=1e-9)
    assert found[1] == pytest.approx((1 + likelihood) * b / S**2, abs=1e-9)


@pytest.mark.parametrize("make", GAMES)
def test_its_fixed_point_is_the_gibbs_law(make: Any) -> None:
    """beta = (1 + l_L) / (1 + l_E) = .4 / 2.5: variance s^2 / beta."""
    a = S * math.sqrt(2.5 / 0.4)
    assert gradient(make(a, 0.0), coefficients(-0.6, 1.5)) == pytest.approx((0, 0), abs=1e-9)


@pytest.mark.parametrize("make", GAMES[:2])
def test_the_value_is_the_free_energy(make: Any) -> None:
    """F = KL(rho||mu) - log Z at lambda = 0."""
    a, b = 0.7, 0.4
    kl = math.log(S / a) + (a * a + b * b) / (2 * S * S) - 0.5
    loss = make(a, b).loss("generator", make(a, b).nets, {"z": latents()}, coefficients())
    assert float(loss.detach()) == pytest.approx(kl - math.log(S) - math.log(2 * math.pi) / 2, abs=1e-6)


@pytest.mark.parametrize(
    ("likelihood", "mean", "variance"), [(0.0, 1.10364, 1.40601), (1.0, 0.40601, 0.56411)]
)  # claim 8 of the specification
def test_the_gradient_flow_of_an_affine_generator_is_the_fokker_planck_solution(
    likelihood: float, mean: float, variance: float
) -> None:
    """From a = 2, b = 3 at mu = N(0, 1), time 1: mean 3 e^-1, variance 1 + 3 e^-2; with lambda_L = 1 mean 3 e^-2,
    variance .5 + 3.5 e^-4."""
    state, steps = [2.0, 3.0], 400
    lambdas, z, h = coefficients(likelihood), latents(), 1 / 400

    def field(a: float, b: float) -> tuple[float, float]:
        da, db = gradient(exact_game(a, b, density=framed(gaussian(1.0))), lambdas, z)
        return -da, -db

    for _ in range(steps):  # midpoint rule
        da, db = field(*state)
        ma, mb = field(state[0] + h / 2 * da, state[1] + h / 2 * db)
        state = [state[0] + h * ma, state[1] + h * mb]
    assert state[1] == pytest.approx(mean, abs=2e-5)
    assert state[0] ** 2 == pytest.approx(variance, abs=2e-5)


def test_the_likelihood_and_the_entropy_clock_differ_by_the_factor_beta() -> None:
    """(l_L, l_E) = (beta - 1, 0) and (0, 1/beta - 1): one field, 1/beta times faster on the entropy clock."""
    beta = 0.2
    slow = gradient(exact_game(0.7, 0.4), coefficients(beta - 1, 0))
    fast = gradient(exact_game(0.7, 0.4), coefficients(0, 1 / beta - 1))
    assert fast == pytest.approx((slow[0] / beta, slow[1] / beta), rel=1e-12)


def test_noise_is_part_of_the_model() -> None:
    """x = a z + sigma e has variance a^2 + sigma^2, so dF/da = a (1/s^2 - 1/(a^2 + sigma^2))."""
    a, sigma = 0.7, 0.5
    generator = torch.Generator().manual_seed(0)
    e = torch.randn(N, 1, generator=generator, dtype=torch.float64)
    z = latents()[torch.randperm(N, generator=generator)]
    e = e - z * (e * z).mean() / z.square().mean()
    e = (e - e.mean()) / (e - e.mean()).square().mean().sqrt()
    game = reference_game(math.sqrt(a * a + sigma * sigma), 0.0, noisy=True)
    game.nets["generator"].a.data.fill_(a)
    loss = game.loss("generator", game.nets, {"z": z, "z.noise": e}, coefficients(noise=sigma))
    (da,) = torch.autograd.grad(loss, [game.nets["generator"].a])
    assert float(da) == pytest.approx(a * (1 / S**2 - 1 / (a * a + sigma * sigma)), abs=1e-3)


def test_a_step_of_gradient_descent_on_the_moments_is_a_running_average() -> None:
    moments, rate = Moments(2).double(), 0.05
    x = torch.tensor([[1.0, 2.0], [3.0, -2.0], [5.0, 3.0]], dtype=torch.float64)
    before = [p.detach().clone() for p in moments.parameters()]
    grads = torch.autograd.grad(moment_loss(*moments(), x), list(moments.parameters()))
    mean, covariance = (p - rate * g for p, g in zip(before, grads, strict=True))
    assert torch.allclose(mean, (1 - rate) * before[0] + rate * x.mean(0))
    assert torch.allclose(covariance, (1 - rate) * before[1] + rate * x.mT @ x / 3)


def test_the_reference_critic_tells_samples_from_its_gaussian() -> None:
    """The critic's loss is least at T = log rho/r, with the critic high on r."""
    game = reference_game(1.0, 0.0)
    generator = torch.Generator().manual_seed(1)
    z = torch.randn(200_000, 1, generator=generator, dtype=torch.float64)
    contrast = torch.randn(200_000, 1, generator=generator, dtype=torch.float64)
    model = 0.5  # u ~ N(0, .25) against N(0, 1): log rho/r = log 2 - 1.5 u^2
    nets = dict(game.nets)
    nets["generator"] = Affine(model, 0.0)

    def loss(c: float, k: float) -> float:
        nets["critic"] = lambda u: -(c - k * u.square().sum(1))
        return float(game.loss("critic", nets, {"z": z, "contrast": contrast}, coefficients()).detach())

    best = loss(math.log(2), 1.5)
    for c, k in [(math.log(2) + 0.2, 1.5), (math.log(2) - 0.2, 1.5), (math.log(2), 1.8), (math.log(2), 1.2)]:
        assert loss(c, k) > best
    assert best < loss(-math.log(2), -1.5)


def test_the_weighted_critic_is_best_at_the_log_ratio_to_the_tempered_law() -> None:
    """mu = N(0, s^2), beta = .5: mu_beta = N(0, s^2/.5) against the model N(0, 1): y* = log mu_beta/rho."""
    game = WeightedGame({"critic": Flat(), "generator": Affine(1.0, 0.0)}, framed(gaussian(1.0)), 1, 1, width=3.0)
    z = latents()
    mixed = z[torch.randperm(N, generator=torch.Generator().manual_seed(2))]
    nets, variance = dict(game.nets), 1 / 0.5

    def loss(shift: float, factor: float) -> float:
        def critic(x: Tensor) -> Tensor:
            ratio = -x.square().sum(1) / 2 * (1 / variance - 1) - math.log(variance) / 2
            return factor * ratio + shift

        nets["critic"] = critic
        return float(game.loss("critic", nets, {"z": z, "proposal": mixed}, coefficients(-0.5)))

    best = loss(0, 1)
    for shift, factor in [(0.1, 1), (-0.1, 1), (0, 1.2), (0, 0.8), (0, -1)]:
        assert loss(shift, factor) > best
    assert float(game.loss("generator", nets, {"z": z}, coefficients(-0.5))) == pytest.approx(
        -float(nets["critic"](z).mean())
    )


def test_the_generator_of_the_weighted_game_follows_the_entropy_clock() -> None:
    game = WeightedGame({"critic": Flat(), "generator": Affine(1.0, 0.0)}, framed(gaussian()), 1, 1)
    nets = {**game.nets, "critic": lambda x: 3 * x[:, 0] + 1}
    loss = game.loss("generator", nets, {"z": latents()}, coefficients(entropy=0.5))
    assert float(loss.detach()) == pytest.approx(-1.5)


def test_the_critic_of_the_reference_game_is_high_on_the_reference() -> None:
    """y = 2 u + .3, so T = -2 u - .3 and log rho = T + log r: its part of dF/db is -2 (1 + l_E) / a."""
    a, b = 0.7, 0.4
    game = reference_game(a, b)
    nets = {**game.nets, "critic": lambda u: 2 * u[:, 0] + 0.3}
    batch, lambdas = {"z": latents()}, coefficients(entropy=0.5)
    plain, tilted = game.loss("generator", game.nets, batch, lambdas), game.loss("generator", nets, batch, lambdas)
    assert float((tilted - plain).detach()) == pytest.approx(-1.5 * 0.3, abs=1e-9)
    (db,) = torch.autograd.grad(tilted - plain, [nets["generator"].b])
    assert float(db) == pytest.approx(-1.5 * 2 / a, rel=1e-6)
    x = a * latents() + b
    shifted, level = game.log_model(nets, x, batch), game.log_model(game.nets, x, batch)
    assert torch.allclose(shifted - level, -2 * latents()[:, 0] - 0.3, atol=1e-3)


def test_the_spread_is_that_of_a_coordinate() -> None:
    nets = {"generator": nn.Linear(2, 2, bias=False).double()}
    nets["generator"].weight.data.copy_(3 * torch.eye(2))
    target = Target(name="plane", dim=2, log_prob=lambda x: -x.square().sum(1) / 2)
    game = ScoreGame(nets, Framed(target, Frame(torch.zeros(2), torch.eye(2))), 2, 2, model_score=exact(lambda x: -x))
    z = torch.randn(50_000, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert float(game.signs(nets, {"z": z}, coefficients())["spread"]) == pytest.approx(3, abs=0.05)


def test_the_share_of_proposals_that_counts_has_its_closed_form() -> None:
    """N(0, 1) from N(0, 4): .6614 (claim 18)."""
    game = WeightedGame({"critic": Flat(), "generator": Affine()}, framed(gaussian(1.0)), 1, 1, width=2.0)
    signs = game.signs(game.nets, {"z": latents(), "proposal": latents()}, coefficients())
    assert float(signs["share"]) == pytest.approx(0.6614, abs=1e-3)


def test_a_learned_score_is_trained_on_samples_and_read_through_its_average() -> None:
    score = build_score("dsm(sigmas=0.1->1, width=8)")
    nets = {"model_score": score.network((1,)).double(), "generator": Affine(0.7, 0.4)}
    game = ScoreGame(nets, framed(gaussian()), 1, 1, model_score=score)
    assert game.players == ("model_score", "generator")
    assert game.averaged == {"model_score"}
    assert set(game.draws["model_score"]) == {"z", "score.eps", "score.sigma"}


@pytest.mark.parametrize("make", GAMES)
def test_a_frame_changes_coordinates_and_nothing_else(make: Any) -> None:
    """The model x' = a z + b in a frame x = c + f x' is x = f a z + (f b + c); its free energy is the same number."""
    c, f, a, b = -0.3, 2.0, 0.35, 0.35
    inside = make(a, b, density=framed(gaussian(), c, f))
    outside = make(f * a, f * b + c)
    if make is not score_game:  # whose value is no free energy
        values = [
            float(g.loss("generator", g.nets, {"z": latents()}, coefficients()).detach()) for g in (inside, outside)
        ]
        assert values[0] == pytest.approx(values[1], abs=1e-3 if make is reference_game else 1e-12)
    da, db = gradient(inside, coefficients())
    outer = gradient(outside, coefficients())
    assert (da, db) == pytest.approx((f * outer[0], f * outer[1]), abs=1e-3)


def test_the_force_of_a_density_is_clipped_and_its_value_is_not() -> None:
    x = torch.tensor([[0.1], [9.0]], dtype=torch.float64, requires_grad=True)
    game = exact_game(1.0, 0.0, clip=1.0)
    value = game.log_density(x)
    (force,) = torch.autograd.grad(value.sum(), x)
    assert torch.allclose(value.detach(), -x.detach().square().sum(1) / (2 * S * S))
    assert force.flatten().tolist() == pytest.approx([-0.1 / S**2, -1.0])


def test_an_infinite_force_is_clipped_too() -> None:
    target = replace(
        gaussian(), log_prob=lambda x: -x.square().sum(1), gradient=lambda x: torch.full_like(x, -math.inf)
    )
    x = torch.ones(2, 1, dtype=torch.float64, requires_grad=True)
    (force,) = torch.autograd.grad(exact_game(1.0, 0.0, clip=3.0, density=framed(target)).log_density(x).sum(), x)
    assert force.flatten().tolist() == pytest.approx([-3.0, -3.0])


def test_a_black_box_is_called_once_for_a_whole_population() -> None:
    calls: list[tuple[int, ...]] = []

    def log_prob(x: Tensor) -> Tensor:
        calls.append(tuple(x.shape))
        assert bool((x == x).all())  # control flow on values, which vmap does not allow
        return -x.square().sum(1) / 2

    density = framed(Target(name="box", dim=1, log_prob=log_prob, opaque=True))
    y = torch.randn(3, 5, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    value, score = torch.vmap(density.value_and_score)(y)
    assert calls == [(15, 1)]
    assert torch.equal(value, -y.square().sum(2) / 2)
    assert torch.equal(score, -y)


def test_what_the_guard_looks_at() -> None:
    game = reference_game(1.0, 0.0)
    batch = {"z": latents(), "contrast": latents()}
    signs = game.signs(game.nets, batch, coefficients())
    assert float(signs["spread"]) == pytest.approx(1, abs=1e-6)
    assert float(signs["reach"]) == 0
    assert float(signs["lag"]) == pytest.approx(0, abs=1e-9)
    nets = {**game.nets, "critic": lambda u: torch.full_like(u[:, 0], -2.0)}  # T = 2: rho = e^2 r, which is no density
    assert float(game.signs(nets, batch, coefficients())["lag"]) == pytest.approx(2, abs=1e-6)
    blind = replace(game, density=framed(replace(gaussian(), log_z=None)))
    few = {**game.nets, "critic": lambda u: torch.full_like(u[:, 0], 2.0)}  # T = -2: draws of r may miss where rho is
    assert float(blind.signs(few, batch, coefficients())["lag"]) <= 0
    nets["critic"] = lambda u: 50.0 * (u[:, 0] > 5)  # T = -50 where the samples are, and no draw of r
    nets["generator"] = Affine(1.0, 9.0)  # log rho so small that KL(rho||mu) would be negative
    expected = 50 + (81 + 1) / 2 * (1 - 1 / S**2) - math.log(S)
    assert float(game.signs(nets, batch, coefficients())["lag"]) == pytest.approx(expected, abs=0.1)


@pytest.mark.parametrize("make", GAMES)
def test_weighing_gives_log_u_and_log_rho(make: Any) -> None:
    a, b, beta = 0.7, 0.4, 0.5
    z = latents()
    value, log_rho = make(a, b).weighing(make(a, b).nets, {"z": z}, coefficients(beta - 1))
    x = a * z + b
    assert torch.allclose(value, -x.square().sum(1) / (2 * S * S))
    if make is score_game:  # knows no density: taken to be where it should be
        assert torch.allclose(log_rho, beta * value)
    else:
        expected = -z.square().sum(1) / 2 - math.log(a) - math.log(2 * math.pi) / 2
        assert torch.allclose(log_rho, expected, atol=1e-4)
