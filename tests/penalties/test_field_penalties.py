"""Penalties on the field: values and gradients in closed form on small games, spectra, and the bias of one batch."""

import math

import pytest
import torch
from penalty_games import (
    F64,
    Curved,
    Dirac,
    Mapped,
    Point,
    Scale,
    Square,
    coefficients,
    game,
    gradient,
    loss,
    parameters,
    random_batch,
    slopes,
    spectrum,
)
from torch import Tensor

from ganneal.engine.config import complete
from ganneal.errors import UsageError
from ganneal.game import bind
from ganneal.penalties import PENALTIES

FIELD = ("nk(eta=0.7)", "jare(gamma=0.7)", "consensus(gamma=0.7)")
PSI, THETA = 0.6, -1.3


def dirac(*penalties: str, objective: str = "jsd") -> tuple:
    made = game(objective, Dirac(), Point(), *penalties)
    batch = {n: torch.zeros(2, 1, dtype=F64) for draws in made.draws.values() for n in draws}
    return made, {"critic": batch, "generator": batch}


def closed(penalty: str, objective: str) -> dict[str, Tensor]:
    """Gradients of the penalty's terms at (psi, theta): L_D = softplus(psi theta) and L_G = -softplus(psi theta), or
    psi theta and -psi theta, so that g_psi = theta s and g_theta = -psi s with s a sigmoid, or 1."""
    psi, theta = (torch.tensor(v, dtype=F64, requires_grad=True) for v in (PSI, THETA))
    s = torch.sigmoid(psi * theta) if objective == "jsd" else torch.ones((), dtype=F64)
    g_psi, g_theta = (theta * s).square(), (psi * s).square()
    name = penalty.split("(")[0]
    terms = {
        "nk": {"generator": 0.7 * g_psi},
        "jare": {"critic": 0.35 * g_theta, "generator": 0.35 * g_psi},
        "consensus": {"critic": 0.35 * (g_theta + g_psi), "generator": 0.35 * (g_theta + g_psi)},
    }[name]
    own = {"critic": psi, "generator": theta}
    return {p: torch.autograd.grad(term, own[p], retain_graph=True)[0] for p, term in terms.items()}


@pytest.mark.parametrize("objective", ["jsd", "wasserstein"])
@pytest.mark.parametrize("penalty", FIELD)
@pytest.mark.parametrize("independent", [True, False])
def test_gradients_on_the_dirac_game(penalty: str, objective: str, independent: bool) -> None:
    """Every player's gradient away from equilibrium, with the full second-order term (published plotting code of
    consensus optimisation carries half of it) and nk without a factor 1/2."""
    text = penalty.replace(")", f", independent={str(independent).lower()})")
    made, batches = dirac(text, objective=objective)
    params = parameters(made, psi=PSI, theta=THETA)
    truth = closed(penalty, objective)
    for player in made.players:
        with_it = gradient(made, player, params, batches[player], coefficients(text))
        without = gradient(made, player, params, batches[player], coefficients())
        torch.testing.assert_close((with_it - without)[0], truth.get(player, torch.zeros((), dtype=F64)))


ROWS = [
    ("nk(eta={})", 0.3, lambda w, c: (2 * c * w * w, w * w)),
    ("nk(eta={})", 3.0, lambda w, c: (2 * c * w * w, w * w)),
    ("consensus(gamma={})", 0.4, lambda w, c: (2 * c * w * w, w * w + c * c * w**4)),
    ("jare(gamma={})", 0.4, lambda w, c: (2 * c * w * w, w * w + c * c * w**4)),
]


@pytest.mark.parametrize("objective", ["jsd", "nonsaturating", "wasserstein"])
@pytest.mark.parametrize(("text", "weight", "law"), ROWS)
def test_dirac_spectrum(objective: str, text: str, weight: float, law: object) -> None:
    """x^2 + c x + k at the equilibrium, with w = f'(0): nk damps by 2 eta w^2 and keeps the stiffness, consensus and
    jare have eigenvalues -gamma w^2 +- i w."""
    penalty = text.format(weight)
    made, batches = dirac(penalty, objective=objective)
    found = spectrum(made, parameters(made), batches, coefficients(penalty))
    c, k = law(1.0 if objective == "wasserstein" else 0.5, weight)  # type: ignore[operator]
    root = torch.sqrt(torch.tensor(c * c / 4 - k, dtype=torch.complex128))
    truth = torch.stack([-c / 2 - root, -c / 2 + root])
    torch.testing.assert_close(found, truth[torch.argsort(truth.imag * 1e6 + truth.real)], rtol=1e-5, atol=1e-5)


def test_nk_and_sgp_add_their_dampings() -> None:
    """On the Dirac Wasserstein game c = rho + 2 eta, and as the gradient that nk takes is that of the objective alone,
    k = 1 + 2 eta rho."""
    both = ("nk(eta=0.2)", "sgp(rho=0.3, measure=midpoint)")
    made, batches = dirac(*both, objective="wasserstein")
    found = spectrum(made, parameters(made), batches, coefficients(*both))
    root = torch.sqrt(torch.tensor(0.7**2 / 4 - 1.12, dtype=torch.complex128))
    torch.testing.assert_close(found, torch.stack([-0.35 - root, -0.35 + root]), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("objective", ["jsd", "relativistic", "rkl"])
@pytest.mark.parametrize("penalty", FIELD)
def test_gradients_are_differences_of_the_loss(penalty: str, objective: str) -> None:
    """The losses of smooth networks on random batches; every gradient in own parameters is a finite difference."""
    made = game(objective, Curved(), Mapped(), penalty, "r1(gamma=2)", d=2)
    params, weights = parameters(made), coefficients(penalty, "r1(gamma=2)")
    for player in made.players:
        batch = random_batch(made, player)
        found = gradient(made, player, params, batch, weights)
        torch.testing.assert_close(found, slopes(made, player, params, batch, weights), rtol=1e-6, atol=1e-7)


def explicit(made: object, params: dict, batch: dict, objective: str = "jsd") -> Tensor:
    """grad_psi of the critic's objective on a batch, by hand: no penalties, no regularisers."""
    plain = game(objective, Curved(), Mapped(), d=2)
    return gradient(plain, "critic", params, batch, coefficients())


def test_nk_is_the_product_of_two_objectives_gradients() -> None:
    """eta <g1, g2>, g_i the gradient of the plain objective on the player's own and on the second batch, whatever other
    penalties weigh; the critic's loss is as it was."""
    text, more = "nk(eta=0.7)", ("r1(gamma=2)", "jare(gamma=0)")
    made = game("jsd", Curved(), Mapped(), text, *more, d=2)
    params, weights = parameters(made), coefficients(text, *more)
    batch = random_batch(made, "generator")
    other = {n.removeprefix("other."): x for n, x in batch.items() if n.startswith("other.")}
    assert {"real", "z"} <= {*other}
    truth = 0.7 * explicit(made, params, batch) @ explicit(made, params, other)
    without = {n: w for n, w in weights.items() if n != "nk"}
    share = loss(made, "generator", params, batch, weights) - loss(made, "generator", params, batch, without)
    torch.testing.assert_close(share, truth)
    critic = random_batch(made, "critic")
    torch.testing.assert_close(
        loss(made, "critic", params, critic, weights), loss(made, "critic", params, critic, without), rtol=0, atol=0
    )


def test_on_one_batch_it_is_the_square() -> None:
    text = "nk(eta=0.7, independent=false)"
    made = game("jsd", Curved(), Mapped(), text, d=2)
    params, batch = parameters(made), random_batch(made, "generator")
    assert not any(name.startswith("other.") for name in batch)
    share = loss(made, "generator", params, batch, coefficients(text)) - loss(
        made, "generator", params, batch, coefficients()
    )
    torch.testing.assert_close(share, 0.7 * explicit(made, params, batch).square().sum())


def test_a_critic_at_rest_gives_no_gradient_and_no_nan() -> None:
    """Sums of squares, never squares of norms: at the equilibrium the gradient is 0."""
    for text in FIELD:
        made, batches = dirac(text)
        for player in made.players:
            assert gradient(made, player, parameters(made), batches[player], coefficients(text)).abs().max() == 0


def test_regularisers_stay_outside() -> None:
    """With a likelihood regulariser the penalty is that of the game without it: the surrogate's value means nothing."""
    from ganneal.scores.exact import Exact

    text = "consensus(gamma=0.7)"
    made = game("jsd", Curved(), Mapped(), text, d=2, data_score=Exact(lambda x: -x))
    params, batch = parameters(made), random_batch(made, "generator")
    shares = []
    for weight in (0.0, -0.5):
        weights = coefficients(text, lambda_likelihood=weight)
        without = {n: w for n, w in weights.items() if n != "consensus"}
        shares.append(loss(made, "generator", params, batch, weights) - loss(made, "generator", params, batch, without))
    torch.testing.assert_close(*shares)
    assert shares[0] > 0


@pytest.mark.parametrize(("independent", "shift"), [(False, 6 * 0.5 * (4 / 45) / 8), (True, 0.0)])
def test_bias_of_one_batch(independent: bool, shift: float) -> None:
    """D = w x^2, G = a z, both laws U(-1, 1), batches of 8: the generator's mean gradient at a = 1 vanishes at
    w* = 6 eta Var(u^2) / B = .0333 with one batch, and at w* = 0 with two."""
    text = f"nk(eta=0.5, independent={str(independent).lower()})"
    made = game("wasserstein", Square(), Scale(), text)
    draws = torch.rand(
        100_000, len(made.draws["generator"]), 8, 1, dtype=F64, generator=torch.Generator().manual_seed(3)
    )
    draws = 2 * draws - 1

    def mean(w: float) -> float:
        params = parameters(made, w=w)

        def one(x: Tensor) -> Tensor:
            batch = dict(zip(made.draws["generator"], x, strict=True))
            return gradient(made, "generator", params, batch, coefficients(text))

        return torch.vmap(one)(draws).mean().item()

    at_zero, at_one = mean(0.0), mean(1.0)
    assert math.isclose(-at_zero / (at_one - at_zero), shift, rel_tol=0.15, abs_tol=0.003)


@pytest.mark.parametrize("text", ["nk(eta=-1)", "nk(every=0)", "jare(gamma=linear(1->-1))", "consensus(independent=2)"])
def test_bad_requests(text: str) -> None:
    with pytest.raises(UsageError, match=text.split("(")[0]):
        PENALTIES.build(text)


def test_the_wrapped_game_answers_as_the_game() -> None:
    made = game("jsd", Curved(), Mapped(), "nk", d=2, noisy=True)
    assert made.shape == (2,)  # type: ignore[attr-defined]
    assert made.objective.name == "jsd"  # type: ignore[attr-defined]
    batch = {"z": torch.randn(5, 2, dtype=F64), "real": torch.randn(5, 2, dtype=F64)}
    assert {"spread", "gap"} <= {*made.signs(bind(made.nets, parameters(made), {}), batch, {})}  # type: ignore[attr-defined]
    with pytest.raises(AttributeError):
        _ = made.nothing  # type: ignore[attr-defined]


def test_configuration_keeps_the_text() -> None:
    config = complete({"source": "ring8", "penalty": ["nk(eta=0.5, every=4)", "sgp(rho=1)"]}, "toy")
    assert config.penalty == ("nk(eta=0.5, every=4)", "sgp(rho=1)")
