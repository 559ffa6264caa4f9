"""Roth's weighted penalty, DRAGAN and LeCam: values in closed form, gradients by differences, spectra, and the cycles
of constraints that are not smooth at the equilibrium."""

import math

import pytest
import torch
from penalty_games import (
    F64,
    Curved,
    Dirac,
    Mapped,
    Point,
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

from ganneal.errors import UsageError
from ganneal.game import Tensors
from ganneal.penalties import PENALTIES, Anchors, anchor_loss
from ganneal.schedules import Schedule
from ganneal.solvers import OPTIMIZERS, SOLVERS, Play


def share(text: str, objective: str, batch: Tensors) -> Tensor:
    """The penalty's part of the critic's loss on smooth networks."""
    made = game(objective, Curved(), Mapped(), text, d=2)
    params = parameters(made)
    return loss(made, "critic", params, batch, coefficients(text)) - loss(made, "critic", params, batch, coefficients())


def by_hand(x: Tensor) -> tuple[Tensor, Tensor]:
    """Logits and squared input gradients of the smooth critic: y = v . tanh(x W), grad = W (v (1 - tanh^2))."""
    net = Curved()
    hidden = torch.tanh(x @ net.inner)
    slope = ((1 - hidden.square()) * net.outer) @ net.inner.T
    return (hidden @ net.outer).detach(), slope.square().sum(1).detach()


def test_roth_weighs_each_side_with_the_other_one_s_probability() -> None:
    """(gamma/2) ( E (1 - s)^2 |grad|^2 on data + E s^2 |grad|^2 on samples ); with the two weights swapped it would be
    another number."""
    made = game("nonsaturating", Curved(), Mapped(), "roth(gamma=3)", d=2)
    batch = random_batch(made, "critic", 9)
    with torch.no_grad():
        (y, g), (y_fake, g_fake) = by_hand(batch["real"]), by_hand(Mapped()(batch["z"]))
    s, s_fake = torch.sigmoid(y), torch.sigmoid(y_fake)
    truth = 1.5 * (((1 - s) ** 2 * g).mean() + (s_fake**2 * g_fake).mean())
    swapped = 1.5 * ((s**2 * g).mean() + ((1 - s_fake) ** 2 * g_fake).mean())
    found = share("roth(gamma=3)", "nonsaturating", batch)
    torch.testing.assert_close(found, truth, rtol=1e-12, atol=1e-12)
    assert abs(swapped - truth) > 0.05


@pytest.mark.parametrize("text", ["roth(gamma=3)", "dragan(weight=2, scale=0.7)", "lecam(weight=0.6)"])
@pytest.mark.parametrize("player", ["critic", "generator"])
def test_gradients_are_differences(text: str, player: str) -> None:
    more = {"nets": {"anchors": Anchors().double()}} if text.startswith("lecam") else {}
    made = game("nonsaturating", Curved(), Mapped(), text, d=2, **more)
    params = parameters(made)
    if more:
        params["anchors"]["means"] = torch.tensor([0.4, -0.9], dtype=F64)
    batch, weights = random_batch(made, player), coefficients(text)
    found = gradient(made, player, params, batch, weights)
    torch.testing.assert_close(found, slopes(made, player, params, batch, weights), rtol=1e-6, atol=1e-7)


ROTH_DIRAC = [2.0, 0.02, 8.0]


@pytest.mark.parametrize("gamma", ROTH_DIRAC)
def test_roth_on_the_dirac_game(gamma: float) -> None:
    """Eigenvalues -g/4 +- sqrt(g^2/16 - 1/4): as R1 of half the weight."""
    text = f"roth(gamma={gamma})"
    made = game("nonsaturating", Dirac(), Point(), text)
    batch = {n: torch.zeros(2, 1, dtype=F64) for n in ("real", "z")}
    found = spectrum(made, parameters(made), {"critic": batch, "generator": batch}, coefficients(text))
    root = torch.sqrt(torch.tensor(gamma**2 / 16 - 0.25, dtype=torch.complex128))
    truth = torch.stack([-gamma / 4 - root, -gamma / 4 + root])
    torch.testing.assert_close(found, truth[torch.argsort(truth.imag * 1e6 + truth.real)], rtol=1e-5, atol=1e-5)


def test_roth_is_annealed_by_default() -> None:
    """gamma0 = 2 falls geometrically to a hundredth, so that the damping goes from .5 to .005."""
    weight = PENALTIES.build("roth").weight  # type: ignore[union-attr]
    assert isinstance(weight, Schedule)
    for t, truth in ((0.0, 2.0), (0.5, 0.2), (1.0, 0.02)):
        assert math.isclose(weight(t), truth, rel_tol=1e-12)
    assert [weight(t) / 4 for t in (0, 1)] == pytest.approx([0.5, 0.005])


def test_dragan_looks_around_the_data() -> None:
    """weight E (|grad y| - 1)^2 at x + alpha scale std u, with one alpha an example and std that of all numbers of the
    batch, not of each coordinate."""
    text = "dragan(weight=2, scale=0.7)"
    made = game("nonsaturating", Curved(), Mapped(), text, d=2)
    batch = random_batch(made, "critic", 9)
    real = torch.stack([batch["real"][:, 0], 3 + 5 * batch["real"][:, 1]], 1)
    batch = {**batch, "real": real}
    spread = (real - real.mean()).square().mean().sqrt()
    at = real + batch["penalty.alpha"][:, None] * 0.7 * spread * batch["penalty.around"]
    truth = 2 * (by_hand(at)[1].sqrt() - 1).square().mean()
    torch.testing.assert_close(share(text, "nonsaturating", batch), truth, rtol=1e-10, atol=1e-12)
    assert {d.kind for n, d in made.draws["critic"].items() if n.startswith("penalty")} == {"uniform"}


# ---- LeCam


def test_lecam_crosses_its_anchors() -> None:
    """Outputs on data are pulled towards the running mean on samples, and the other way round."""
    penalty = PENALTIES.build("lecam(weight=0.6)")
    real, fake = torch.tensor([1.0, 3.0], dtype=F64), torch.tensor([-2.0, 0.5], dtype=F64)
    anchors = torch.tensor([0.7, -0.3], dtype=F64)
    truth = ((1 + 0.3) ** 2 + (3 + 0.3) ** 2) / 2 + ((-2 - 0.7) ** 2 + (0.5 - 0.7) ** 2) / 2
    assert math.isclose(penalty.term(real, fake, anchors).item(), truth, rel_tol=1e-12)  # type: ignore[union-attr]


def test_lecam_s_optimal_witness() -> None:
    """On two points of probabilities p, q with anchors a, -a the critic that minimises E_q y - E_p y + w R has y =
    ((p - q)(1 / (2 w) - a)) / (p + q)."""
    penalty, w, a = PENALTIES.build("lecam"), 0.3, 0.8
    p, q = torch.tensor([0.9, 0.1], dtype=F64), torch.tensor([0.2, 0.8], dtype=F64)
    counts = [(10 * v).round().long() for v in (p, q)]
    anchors = torch.tensor([a, -a], dtype=F64)

    def value(y: Tensor) -> Tensor:
        real, fake = (y.repeat_interleave(c) for c in counts)
        return fake.mean() - real.mean() + w * penalty.term(real, fake, anchors)  # type: ignore[union-attr]

    best = (p - q) * (1 / (2 * w) - a) / (p + q)
    torch.testing.assert_close(torch.func.grad(value)(best), torch.zeros(2, dtype=F64), rtol=0, atol=1e-12)


def test_anchors_are_running_means() -> None:
    """A plain gradient step of rate 1 - decay on the quadratic loss is decay a + (1 - decay) mean, and the critic's
    outputs feel nothing of it."""
    a = torch.tensor([0.5, -1.0], dtype=F64)
    real, fake = (torch.tensor(v, dtype=F64, requires_grad=True) for v in ([2.0, 4.0], [0.0, 1.0]))
    step = torch.func.grad(anchor_loss)(a, real, fake)
    torch.testing.assert_close(a - 0.01 * step, 0.99 * a + 0.01 * torch.tensor([3.0, 0.5], dtype=F64))
    value = anchor_loss(a.clone().requires_grad_(), real, fake)
    assert torch.autograd.grad(value, [real, fake], allow_unused=True) == (None, None)


def test_anchors_follow_the_critic_in_the_game() -> None:
    made = game("wasserstein", Curved(), Mapped(), "lecam", d=2, nets={"anchors": Anchors().double()})
    assert made.players == ("critic", "anchors", "generator")
    params, batch = parameters(made), random_batch(made, "anchors")
    net, generator = Curved(), Mapped()
    means = torch.stack([net(batch["real"]).mean(), net(generator(batch["z"])).mean()]).detach()
    torch.testing.assert_close(-gradient(made, "anchors", params, batch, coefficients()), means)


# ---- constraints that are not smooth at the equilibrium


def orbit(penalty: str, solver: str, h: float, steps: int, start: tuple[float, float]) -> Tensor:
    """(psi, theta) [steps, 2] of the Wasserstein Dirac game under plain gradient steps of size h."""
    made = game("wasserstein", Dirac(), Point(), penalty)
    play = Play(made, {p: OPTIMIZERS.build("sgd") for p in made.players})
    state = play.start(parameters(made, psi=start[0], theta=start[1]), {p: {} for p in made.players})
    moves = SOLVERS.build(solver)
    weights = {**coefficients(penalty), **{f"lr.{p}": torch.tensor(h, dtype=F64) for p in made.players}}
    batch = {n: torch.zeros(1, *d.shape, dtype=F64) for draws in made.draws.values() for n, d in draws.items()}
    if "penalty.alpha" in batch:
        batch["penalty.alpha"] = torch.tensor([0.5], dtype=F64)
    found = []
    for _ in range(steps):
        moves.step(play, state, tuple(batch for _ in moves.plan(made.players)), weights)
        found.append(torch.stack([state.params["critic"]["psi"], state.params["generator"]["theta"]]))
    return torch.stack(found).detach()


def test_clipping_ends_on_a_circle() -> None:
    """From outside, alternating steps end on the circle of radius c = .3; inside they stay where they are, as |w|^2
    - h psi theta is kept. Simultaneous ones end a little outside of c wherever they start: theta reaches .3248."""
    outside = orbit("clip(bound=0.3)", "alternating", 0.1, 400, (0.3, 1.0))[-70:]
    assert math.isclose(outside[:, 1].abs().max().item(), 0.3, rel_tol=2e-3)
    inside = orbit("clip(bound=0.3)", "alternating", 0.1, 100, (0.1, 0.1))
    kept = inside.square().sum(1) - 0.1 * inside.prod(1)
    torch.testing.assert_close(kept, torch.full_like(kept, 0.019), rtol=1e-10, atol=0)
    simultaneous = orbit("clip(bound=0.3)", "simultaneous", 0.1, 400, (0.3, 0.2))[-70:]
    assert math.isclose(simultaneous[:, 1].abs().max().item(), 0.3248, rel_tol=3e-3)


def test_wgan_gp_cycles_for_ever() -> None:
    """theta' = -psi, psi' = theta - g (|psi| - 1) sign psi with g = 2 weight: amplitude near 4/pi for small g, 1.2826
    at g = .3, and no convergence."""
    found = orbit("gp(weight=0.15)", "alternating", 0.05, 800, (0.9, 0.9))[-130:]
    assert math.isclose(found[:, 1].abs().max().item(), 1.2826, rel_tol=6e-3)
    assert found.norm(dim=1).min() > 1.1


@pytest.mark.parametrize(
    "text", ["roth(gamma=-1)", "dragan(scale=0)", "dragan(every=0.5)", "lecam(decay=1)", "lecam(weight=-1)"]
)
def test_bad_requests(text: str) -> None:
    with pytest.raises(UsageError, match=text.split("(")[0]):
        PENALTIES.build(text)
