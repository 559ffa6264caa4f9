"""Packs and minibatch discrimination: what the critic sees, and what that tells it."""

import math
from itertools import product

import pytest
import torch
from penalty_games import F64, Curved, Mapped, coefficients, game, gradient, loss, parameters, random_batch, slopes
from torch import Tensor

from ganneal.engine.config import complete
from ganneal.errors import UsageError
from ganneal.game import bind
from ganneal.systems.sight import SIGHTS, MinibatchCritic, Pack


def test_packs_are_neighbours_side_by_side() -> None:
    """[B, C, H, W] -> [B/m, m C, H, W]; a remainder is left out."""
    x = torch.arange(2 * 5 * 3 * 4, dtype=F64).reshape(5, 2, 3, 4)
    packed = SIGHTS.build("pack(size=2)").arrange(x)
    assert packed.shape == (2, 4, 3, 4)
    torch.testing.assert_close(packed[1], torch.cat([x[2], x[3]]))
    rows = torch.arange(12.0).reshape(6, 2)
    assert SIGHTS.build("pack(size=3)").arrange(rows).tolist() == [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11]]


def total_variation(p: Tensor, q: Tensor, m: int) -> float:
    """Between the laws of m independent draws, by enumeration."""
    return sum(
        abs(math.prod(p[i].item() for i in k) - math.prod(q[i].item() for i in k))
        for k in product(range(len(p)), repeat=m)
    ) / 2  # fmt: skip


def test_packing_tells_a_lost_mode_from_wrong_weights() -> None:
    """Eight modes; a model without one of them, and one with weights (1 +- 1/4) / 8, are both 1/8 away. In pairs they
    are 15/64 and .1406 away; in packs of m the first is 1 - (7/8)^m away."""
    even = torch.full((8,), 1 / 8, dtype=F64)
    lost = torch.tensor([0.0] + [1 / 7] * 7, dtype=F64)
    tilted = torch.tensor([5 / 32] * 4 + [3 / 32] * 4, dtype=F64)
    assert [total_variation(even, q, 1) for q in (lost, tilted)] == pytest.approx([1 / 8, 1 / 8], abs=1e-12)
    assert [total_variation(even, q, 2) for q in (lost, tilted)] == pytest.approx([15 / 64, 9 / 64], abs=1e-12)
    for m in (1, 2, 3):
        assert total_variation(even, lost, m) == pytest.approx(1 - (7 / 8) ** m, abs=1e-12)


@pytest.mark.parametrize("penalty", ["r1r2(gamma=3)", "gp(weight=2)", "dragan(weight=2)"])
@pytest.mark.parametrize("objective", ["nonsaturating", "relativistic"])
def test_a_packed_game_is_the_game_of_packs(penalty: str, objective: str) -> None:
    """Losses on packs of two are those of a plain game whose examples are the pairs: penalties take the gradient in the
    whole pack."""
    pair = Pairwise()
    packed = game(objective, Curved(4), Mapped(), penalty, d=2, sight=Pack(2))
    plain = game(objective, Curved(4), pair, penalty, d=4, latent=4)
    params = parameters(packed)
    for player in ("critic", "generator"):
        batch = random_batch(packed, player, 8)
        pairs = {n: x.reshape(4, -1) if x.dim() > 1 else x[:4] for n, x in batch.items()}
        found = loss(packed, player, params, batch, coefficients(penalty))
        torch.testing.assert_close(found, loss(plain, player, params, pairs, coefficients(penalty)))


class Pairwise(Mapped):
    """The same generator on pairs of latents."""

    def forward(self, z: Tensor) -> Tensor:
        return super().forward(z.reshape(-1, 2)).reshape(len(z), 4)


def test_signs_of_a_packed_game() -> None:
    """The guard looks at single examples, any number of them."""
    made = game("nonsaturating", Curved(4), Mapped(), d=2, sight=Pack(2))
    batch = {"z": torch.randn(7, 2, dtype=F64), "real": torch.randn(7, 2, dtype=F64)}
    found = made.signs(bind(made.nets, parameters(made), {}), batch, {})  # type: ignore[attr-defined]
    net = Curved(4)
    x = Mapped()(batch["z"])
    gap = net(batch["real"][:6].reshape(3, 4)).mean() - net(x[:6].reshape(3, 4)).mean()
    torch.testing.assert_close(found["gap"], gap.detach())


def minibatch_critic() -> MinibatchCritic:
    torch.manual_seed(0)
    net = MinibatchCritic(Curved(), 5, kernels=3, dims=4).double()
    torch.nn.init.normal_(net.head)
    return net


def test_minibatch_features() -> None:
    """o_b(x_i) = mean over j != i of exp(-|M_ib - M_jb|_1), added to the logit."""
    net = minibatch_critic()
    x = torch.randn(4, 2, dtype=F64)
    y, hidden = Curved()(x, features=True)
    m = (hidden @ net.tensor).reshape(4, 3, 4)
    for i in range(4):
        o = sum(torch.exp(-(m[i] - m[j]).abs().sum(-1)) for j in range(4) if j != i) / 3
        torch.testing.assert_close(net(x)[i], y[i] + o @ net.head)
    assert torch.equal(net(x, features=True)[1], hidden)


def test_minibatch_sees_a_collapse() -> None:
    """Samples that all agree have o = 1 in every kernel, spread ones less: a head of one sign tells them apart though
    single examples look alike."""
    net = minibatch_critic()
    with torch.no_grad():
        net.head.fill_(1.0)
        spread = torch.randn(32, 2, dtype=F64)
        same = spread[:1].expand(32, 2)
        assert math.isclose((net(same) - Curved()(same)).mean().item(), 3.0, rel_tol=1e-12)
        assert (net(spread) - Curved()(spread)).mean() < 2.5


def test_minibatch_gradients_and_separate_passes() -> None:
    """Data and samples never share a pass, with penalties or without, and gradients are differences."""
    text = "r1r2(gamma=2)"
    made = game("nonsaturating", minibatch_critic(), Mapped(), text, d=2, batch_coupled=True)
    params, batch = parameters(made), random_batch(made, "critic", 6)
    net = minibatch_critic()
    y, y_fake = net(batch["real"]), net(Mapped()(batch["z"]))
    plain = torch.nn.functional.softplus(-y).mean() + torch.nn.functional.softplus(y_fake).mean()
    torch.testing.assert_close(loss(made, "critic", params, batch, coefficients()), plain.detach())
    found = gradient(made, "critic", params, batch, coefficients(text))
    torch.testing.assert_close(found, slopes(made, "critic", params, batch, coefficients(text)), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "text", ["pack(size=1)", "pack(size=0.5)", "minibatch(kernels=0)", "packs", "minibatch(dims=-1)"]
)
def test_bad_requests(text: str) -> None:
    with pytest.raises(UsageError):
        SIGHTS.build(text)


def test_configuration_names_the_key() -> None:
    from ganneal.engine.agreement import sight_of

    with pytest.raises(UsageError, match=r"critic: pack\(size=3\) needs a batch.*--batch 63"):
        sight_of(complete({"source": "ring8", "critic": "pack(size=3)", "batch": 64}, "toy"))
    with pytest.raises(UsageError, match="critic: unknown critic 'pak'"):
        sight_of(complete({"source": "ring8", "critic": "pak"}, "toy"))
