"""Reg-GAN and MDGAN on linear networks, where every loss and gradient is a formula. Float64.

G(z) = a z + b, E(x) = c x, y(x) = w x (critic of the game) and v x (critic of the manifold), Wasserstein unless said.
"""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ganneal.game import bind
from ganneal.objectives import OBJECTIVES
from ganneal.penalties import PENALTIES
from ganneal.systems import GAN, ManifoldDiffusion, ModeRegularised

A, B, C, W, V = 1.3, -0.4, 0.7, 0.9, -0.6
L1, L2 = 0.25, 0.5
X = torch.linspace(-1, 2, 7, dtype=torch.float64).unsqueeze(1)
Z = torch.linspace(-1.5, 1.1, 7, dtype=torch.float64).unsqueeze(1)
BATCH = {"real": X, "z": Z}
ZERO = torch.zeros((), dtype=torch.float64)
COEFFICIENTS = {"lambda_likelihood": ZERO, "lambda_entropy": ZERO, "noise": ZERO}


class Line(nn.Module):
    """x -> slope x + offset, every coordinate alike; a critic sums them."""

    def __init__(self, slope: float, offset: float | None = None, critic: bool = False):
        super().__init__()
        self.slope = nn.Parameter(torch.tensor(slope, dtype=torch.float64))
        self.offset = None if offset is None else nn.Parameter(torch.tensor(offset, dtype=torch.float64))
        self.critic = critic

    def forward(self, x: Tensor, features: bool = False) -> Tensor:
        y = self.slope * x if self.offset is None else self.slope * x + self.offset
        return y.sum(1) if self.critic else y


def game(
    kind: Any = ModeRegularised, objective: str = "wasserstein", distance: float = L1, mode: float = L2, dim: int = 1,
    penalties: tuple[str, ...] = (),
) -> Any:  # fmt: skip
    nets: dict[str, nn.Module] = {"critic": Line(W, critic=True)}
    if kind is ManifoldDiffusion:
        nets["manifold"] = Line(V, critic=True)
    nets |= {"encoder": Line(C), "generator": Line(A, B)}
    built = tuple(PENALTIES.build(p) for p in penalties)
    return kind(nets, OBJECTIVES.build(objective), built, (dim,), dim, distance=distance, mode=mode)


def gradients(g: GAN, player: str, batch: dict[str, Tensor] = BATCH, **more: float) -> tuple[float, dict[str, float]]:
    """(loss, gradient in the player's own parameters), everybody bound as the trainer binds them."""
    params = {p: dict(net.named_parameters()) for p, net in g.nets.items()}
    coefficients = COEFFICIENTS | {name: torch.tensor(value, dtype=torch.float64) for name, value in more.items()}
    loss = g.loss(player, bind(g.nets, params, {}), batch, coefficients)
    own = list(params[player].values())
    return loss.item(), dict(
        zip(params[player], (t.item() for t in torch.autograd.grad(loss, own, allow_unused=True)), strict=True)
    )


MADE = A * C * X + B
OFF = MADE - X


def test_the_encoder_minimises_distance_and_looks_real() -> None:
    loss, slopes = gradients(game(), "encoder")
    assert loss == pytest.approx((L1 * OFF.square().mean() - L2 * W * MADE.mean()).item(), abs=1e-12)
    expected = (2 * L1 * (OFF * A * X).mean() - L2 * W * A * X.mean()).item()
    assert slopes["slope"] == pytest.approx(expected, abs=1e-12)


def test_the_generator_adds_the_same_to_its_own_loss() -> None:
    loss, slopes = gradients(game(), "generator")
    told = L1 * OFF.square().mean() - L2 * W * MADE.mean()
    assert loss == pytest.approx((told - W * (A * Z + B).mean()).item(), abs=1e-12)
    by_slope = 2 * L1 * (OFF * C * X).mean() - L2 * W * C * X.mean() - W * Z.mean()
    by_offset = 2 * L1 * OFF.mean() - L2 * W - W
    assert slopes["slope"] == pytest.approx(by_slope.item(), abs=1e-12)
    assert slopes["offset"] == pytest.approx(by_offset.item(), abs=1e-12)


def test_the_critic_does_not_see_reconstructions() -> None:
    plain, _ = gradients(game(), "critic")
    assert plain == pytest.approx((W * (A * Z + B).mean() - W * X.mean()).item(), abs=1e-12)


def test_distance_is_averaged_over_dimensions() -> None:
    """Repeating a coordinate changes nothing: the weight does not mean another thing for larger images."""
    wide = {"real": X.repeat(1, 5), "z": Z.repeat(1, 5)}
    one, many = gradients(game(mode=0.0), "encoder"), gradients(game(mode=0.0, dim=5), "encoder", wide)
    assert one[0] == pytest.approx(many[0], abs=1e-12)


@pytest.mark.parametrize("kind", [ModeRegularised, ManifoldDiffusion])
@pytest.mark.parametrize(("sign", "rises"), [(1.0, True), (-1.0, False)])
@pytest.mark.parametrize("player", ["encoder", "generator"])
def test_the_sign_of_the_mode_term(kind: Any, sign: float, rises: bool, player: str) -> None:
    """One small step on - l2 log D(G(E x)) alone raises D there; the printed sign, + l2 log D, lowers it."""
    g = game(kind, "nonsaturating", distance=0.0, mode=sign)
    judge = g.nets["manifold" if kind is ManifoldDiffusion else "critic"]

    def told() -> float:
        y = judge(g.nets["generator"](g.nets["encoder"](X)))
        return torch.nn.functional.logsigmoid(y).mean().item()

    before = told()
    params = {p: dict(net.named_parameters()) for p, net in g.nets.items()}
    loss = g.regulariser(bind(g.nets, params, {}), BATCH, COEFFICIENTS)
    own = list(params[player].values())
    with torch.no_grad():
        for p, slope in zip(own, torch.autograd.grad(loss, own), strict=True):
            p -= 1e-3 * slope
    assert (told() > before) is rises
    assert abs(told() - before) > 1e-7


def test_manifold_and_diffusion_critics() -> None:
    g = game(ManifoldDiffusion)
    manifold, by_v = gradients(g, "manifold")
    diffusion, by_w = gradients(g, "critic")
    samples = A * Z + B
    assert manifold == pytest.approx((V * MADE.mean() - V * X.mean()).item(), abs=1e-12)
    assert by_v["slope"] == pytest.approx((MADE.mean() - X.mean()).item(), abs=1e-12)
    assert diffusion == pytest.approx((W * samples.mean() - W * MADE.mean()).item(), abs=1e-12)
    assert by_w["slope"] == pytest.approx((samples.mean() - MADE.mean()).item(), abs=1e-12)


def test_both_critics_are_penalised() -> None:
    """R1 of a linear critic is gamma/2 slope^2."""
    g = game(ManifoldDiffusion, penalties=("r1(gamma=3)",))
    for player, slope in (("manifold", V), ("critic", W)):
        with_it, without = gradients(g, player, r1=3.0)[0], gradients(g, player)[0]
        assert with_it - without == pytest.approx(1.5 * slope**2, abs=1e-12)


def test_the_diffusion_step_leaves_reconstructions_alone() -> None:
    """With a paired objective the generator reads the real side, which is held fixed."""
    g = game(ManifoldDiffusion, "relativistic", distance=0.0, mode=0.0)
    _, slopes = gradients(g, "generator")
    real, fake = W * MADE[:, 0], W * (A * Z + B)[:, 0]
    pull = -W * torch.sigmoid(real - fake)
    assert slopes["slope"] == pytest.approx((pull * Z[:, 0]).mean().item(), abs=1e-12)
    assert slopes["offset"] == pytest.approx(pull.mean().item(), abs=1e-12)


def test_who_plays_and_what_is_drawn() -> None:
    assert game().players == ("critic", "encoder", "generator")
    assert game(ManifoldDiffusion).players == ("manifold", "critic", "encoder", "generator")
    for kind in (ModeRegularised, ManifoldDiffusion):
        g = game(kind)
        assert set(g.draws) == set(g.players)
        assert all({"real", "z"} <= set(d) for d in g.draws.values())


def test_the_gap_of_two_critics_is_between_reconstructions_and_samples() -> None:
    g = game(ManifoldDiffusion, "jsd")
    signs = g.signs(g.nets, BATCH, COEFFICIENTS)
    assert signs["gap"].item() == pytest.approx((W * MADE.mean() - W * (A * Z + B).mean()).item(), abs=1e-12)
    assert signs["spread"].item() == pytest.approx((A * Z.std() / X.std()).item(), abs=1e-12)
