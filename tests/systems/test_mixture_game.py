"""Mixtures of generators and critics: payoffs, weights, and sampling. Float64."""

import math

import pytest
import torch
from test_encoded_games import BATCH, COEFFICIENTS, Line

from ganneal.game import bind
from ganneal.latents import Chosen, Normal, Uniform
from ganneal.objectives import OBJECTIVES
from ganneal.penalties import PENALTIES
from ganneal.systems import GAN, MixtureCritic, MixtureGame, MixtureGenerator
from ganneal.systems.mixture import barrier

U, V = ((1.3, -0.4), (0.2, 0.5), (-0.7, 2.0)), (0.9, -0.6, 0.1)
F64 = torch.float64
P, Q = torch.tensor([0.2, 0.5, 0.3], dtype=F64), torch.tensor([0.6, 0.1, 0.3], dtype=F64)
STRENGTH = 0.1
RAW = {**BATCH, "z": torch.cat([BATCH["z"], torch.zeros_like(BATCH["z"])], 1)}


def game(objective: str = "jsd", penalties: tuple[str, ...] = ()) -> MixtureGame:
    critic = MixtureCritic([Line(v, critic=True) for v in V]).double()
    generator = MixtureGenerator([Line(*u) for u in U]).double()
    with torch.no_grad():
        critic.logits.copy_(Q.log() + 1.0)
        generator.logits.copy_(P.log() - 2.0)
    built = tuple(PENALTIES.build(p) for p in penalties)
    return MixtureGame(
        {"critic": critic, "generator": generator}, OBJECTIVES.build(objective), built, (1,), 1,
        latent_law=Chosen(), components=3, strength=STRENGTH,
    )  # fmt: skip


def bound(g: MixtureGame) -> dict[str, object]:
    return dict(bind(g.nets, {p: dict(net.named_parameters()) for p, net in g.nets.items()}, {}))


@pytest.mark.parametrize("objective", ["jsd", "nonsaturating", "wasserstein", "relativistic"])
@pytest.mark.parametrize("player", ["critic", "generator"])
def test_every_pair_plays_the_plain_game(objective: str, player: str) -> None:
    """The loss is the weighted sum over all pairs, and the barrier of the player's own weights."""
    g = game(objective, ("r1(gamma=2)",))
    weighed = COEFFICIENTS | {"r1": torch.tensor(2.0, dtype=F64)}
    expected = -STRENGTH * (Q if player == "critic" else P).log().mean()
    for i, u in enumerate(U):
        for j, v in enumerate(V):
            nets = {"critic": Line(v, critic=True), "generator": Line(*u)}
            pair = GAN(nets, g.objective, g.penalties, (1,), 1)
            expected = expected + P[i] * Q[j] * pair.loss(player, nets, BATCH, weighed)
    found = g.loss(player, bound(g), RAW, weighed)  # type: ignore[arg-type]
    assert found.item() == pytest.approx(expected.item(), abs=1e-12)


def test_least_weights_of_a_fixed_payoff() -> None:
    """min over the simplex of sum w_i c_i - (s/T) sum log w_i is at w_i = s / (T (s + c_i - c)), so that no weight is
    below s / (T (s + R))."""
    payoff, strength = torch.tensor([0.3, -1.1, 2.0, 0.4], dtype=F64), 0.1
    logits = torch.zeros(4, dtype=F64)
    slope = torch.func.grad(lambda at: torch.softmax(at, 0) @ payoff + strength * barrier(at))
    for _ in range(4000):
        logits = logits - slope(logits)
    w = torch.softmax(logits, 0)
    mean = w @ payoff
    torch.testing.assert_close(w, strength / (4 * (strength + payoff - mean)), rtol=1e-6, atol=1e-6)
    spread = (payoff.max() - payoff.min()).item()
    assert w.min().item() >= strength / (4 * (strength + spread))


def test_the_barrier_is_least_at_equal_weights() -> None:
    logits = torch.zeros(5, dtype=torch.float64, requires_grad=True)
    value = barrier(logits)
    assert value.item() == pytest.approx(math.log(5), abs=1e-12)
    assert torch.autograd.grad(value, logits)[0].abs().max() < 1e-12


@pytest.mark.parametrize("law", [Chosen(Normal()), Chosen(Uniform())])
def test_samples_come_from_components_by_weight(law: Chosen) -> None:
    """Components with constant outputs 0, 1, 2: the shares of outputs are the weights, exactly where the coordinate
    that chooses is spread evenly."""
    generator = MixtureGenerator([Line(0.0, float(k)) for k in range(3)]).double()
    with torch.no_grad():
        generator.logits.copy_(P.log())
    n = 10_000
    even = (torch.arange(n, dtype=F64) + 0.5) / n
    last = even if law.kind == "uniform" else torch.special.ndtri(even)
    raw = torch.stack([torch.zeros(n, dtype=F64), last], 1)
    x = generator(law.of(raw))
    assert x.shape == (n, 1)
    shares = torch.bincount(x[:, 0].long(), minlength=3) / n
    torch.testing.assert_close(shares.double(), P, rtol=0, atol=1e-4)


def test_one_component_at_a_time() -> None:
    g = game()
    z = torch.cat([BATCH["z"], torch.full_like(BATCH["z"], 0.65)], 1)
    generator, critic = g.nets["generator"], g.nets["critic"]
    assert torch.equal(generator(z), generator(z, component=1))  # .2 < .65 <= .7
    for i, (a, b) in enumerate(U):
        torch.testing.assert_close(generator(z, component=i), a * BATCH["z"] + b)
    torch.testing.assert_close(critic(BATCH["real"]), (Q @ torch.tensor(V, dtype=F64)) * BATCH["real"][:, 0])
    assert set(g.signs(g.nets, RAW, COEFFICIENTS)) >= {"spread", "gap"}


def test_clipping_is_of_the_critics_and_not_of_their_weights() -> None:
    g = game("wasserstein", ("clip(bound=0.05)",))
    params = {name: p.detach().clone() for name, p in g.nets["critic"].named_parameters()}
    before = params["logits"].clone()
    g.project("critic", params, {})
    assert torch.equal(params["logits"], before)
    assert [params[f"components.{j}.slope"].item() for j in range(3)] == pytest.approx([0.05, -0.05, 0.05])


def test_weights_move_towards_the_better_component() -> None:
    """Gradient of a player's loss in its logits: w_i (c_i - c) + s (w_i - 1/T), c_i the payoff of component i."""
    g = game("wasserstein")
    params = {p: dict(net.named_parameters()) for p, net in g.nets.items()}
    nets = bind(g.nets, params, {})
    loss = g.loss("generator", nets, RAW, COEFFICIENTS)
    (slope,) = torch.autograd.grad(loss, [params["generator"]["logits"]])
    with torch.no_grad():
        payoff = g.payoffs("generator", nets, RAW, COEFFICIENTS) @ Q
    expected = P * (payoff - P @ payoff) + STRENGTH * (P - 1 / 3)
    torch.testing.assert_close(slope, expected, rtol=1e-10, atol=1e-12)
