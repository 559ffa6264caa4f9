"""Coverage targets and latent isometry: closed forms, the direction of the pull, and a model that a gradient GAN leaves
on one cluster."""

import math

import pytest
import torch
from penalty_games import (
    F64,
    Curved,
    Dirac,
    Mapped,
    coefficients,
    game,
    gradient,
    loss,
    parameters,
    random_batch,
    slopes,
)
from torch import Tensor, nn

from ganneal.errors import UsageError
from ganneal.objectives import OBJECTIVES
from ganneal.penalties import PENALTIES
from ganneal.penalties.coverage import dual_slope, kernel_coverage

WIDTH = {"coverage.bandwidth": 0.8}


def test_kernel_coverage() -> None:
    """p_hat(a) = mean_j exp(-|x_j - a|^2 / s^2): no factor 1/2, no normaliser."""
    x, at = torch.randn(5, 3, dtype=F64), torch.randn(4, 3, dtype=F64)
    truth = torch.stack([sum(torch.exp(-((p - a) ** 2).sum() / 0.49) for p in x) / 5 for a in at])  # type: ignore[arg-type]
    torch.testing.assert_close(kernel_coverage(x, at, torch.tensor(0.7, dtype=F64)), truth)


def test_the_constraint_of_each_critic() -> None:
    """log(2 (1 - sigmoid y)), 0 at y = 0, held at log 2e-6 from below; -y for a witness."""
    y = torch.tensor([-2.0, 0.0, 3.0, 80.0], dtype=F64)
    truth = torch.tensor([math.log(2 / (1 + math.exp(-2))), 0.0, math.log(2 / (1 + math.exp(3))), math.log(2e-6)])
    torch.testing.assert_close(dual_slope(y, OBJECTIVES["jsd"]()), truth.to(F64), rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(dual_slope(y, OBJECTIVES["wasserstein"]()), -y)


@pytest.mark.parametrize("objective", ["nonsaturating", "wasserstein"])
def test_coverage_value_and_gradient(objective: str) -> None:
    """The value is alpha^2 E f1^2, and the gradient that of 2 alpha mean_i f1(D(x_i)) p_hat(x_i): coverage rises where
    f1 < 0, that is where the critic is sure of data."""
    text = "coverage(alpha=0.3, bandwidth=0.8, weight=2)"
    made = game(objective, Curved(), Mapped(), text, d=2)
    params, batch = parameters(made), random_batch(made, "generator")
    weights, without = coefficients(text, **WIDTH), coefficients()
    f1 = dual_slope(Curved()(batch["real"]).detach(), made.objective)  # type: ignore[attr-defined]
    share = loss(made, "generator", params, batch, weights) - loss(made, "generator", params, batch, without)
    torch.testing.assert_close(share, 2 * 0.09 * f1.square().mean())

    def linear(own: dict) -> Tensor:
        x = torch.tanh(batch["z"] @ own["matrix"]) + own["shift"]
        return 2 * 2 * 0.3 * (f1 * kernel_coverage(x, batch["real"], torch.tensor(0.8, dtype=F64))).mean()

    truth = torch.cat([g.reshape(-1) for g in torch.func.grad(linear)(params["generator"]).values()])
    found = gradient(made, "generator", params, batch, weights) - gradient(made, "generator", params, batch, without)
    torch.testing.assert_close(found, truth)


class Pairs(nn.Module):
    """G(z) = a particle of its own for every row of a fixed batch."""

    def __init__(self, start: Tensor) -> None:
        super().__init__()
        self.at = nn.Parameter(start)

    def forward(self, z: Tensor) -> Tensor:
        return self.at


class Bumps(nn.Module):
    """A critic of two flat levels, smooth in between: y = b + w tanh(4 x)."""

    def __init__(self) -> None:
        super().__init__()
        self.w, self.b = nn.Parameter(torch.zeros((), dtype=F64)), nn.Parameter(torch.zeros((), dtype=F64))

    def forward(self, x: Tensor) -> Tensor:
        return self.b + self.w * torch.tanh(4 * x[:, 0])


@pytest.mark.parametrize(
    ("penalty", "reached"), [(None, False), ("coverage(alpha=0.2, bandwidth=1.2, weight=5)", True)]
)
def test_two_clusters(penalty: str | None, reached: bool) -> None:
    """Data half at -1 and half at +1, all samples near +1, where the critic is flat: without the targets nobody leaves;
    with them samples cross to -1."""
    real = torch.cat([torch.full((8, 1), -1.0, dtype=F64), torch.full((8, 1), 1.0, dtype=F64)])
    start = 1.0 + 0.2 * torch.linspace(-1, 1, 16, dtype=F64)[:, None]
    made = game("jsd", Bumps(), Pairs(start.clone()), *([penalty] if penalty else []))
    params = parameters(made)
    weights = coefficients(*([penalty] if penalty else []), **{"coverage.bandwidth": 1.2})
    batch = {"real": real, "z": torch.zeros(16, 1, dtype=F64)}
    rates = {"critic": 0.5, "generator": 0.2}
    for _ in range(300):
        for player, rate in rates.items():
            own = params[player]
            step = torch.func.grad(lambda p, player=player: loss(made, player, {**params, player: p}, batch, weights))(
                own
            )
            params[player] = {n: own[n] - rate * step[n] for n in own}
    share = (params["generator"]["at"] < 0).double().mean().item()
    assert (0.2 < share < 0.8) if reached else share == 0


def test_isometry() -> None:
    """Mean over neighbouring rows of (log|x - x'| - log(s |z - z'|))^2; nothing is left if samples are s times the
    latents, and a collapsed generator has a finite value."""
    penalty = PENALTIES.build("isometry(scale=3)")
    z = torch.randn(6, 2, dtype=F64)
    x = torch.randn(6, 2, dtype=F64)
    pairs = [(i, (i - 1) % 6) for i in range(6)]
    truth = sum(math.log((x[i] - x[j]).norm() / (3 * (z[i] - z[j]).norm())) ** 2 for i, j in pairs) / 6
    rest = (x, lambda v: v[:, 0], OBJECTIVES["jsd"](), {})
    assert math.isclose(penalty.term(x, z, *rest).item(), truth, rel_tol=1e-10)  # type: ignore[union-attr]
    assert penalty.term(3 * z, z, *rest) < 1e-20  # type: ignore[union-attr]
    assert penalty.term(0 * z, z, *rest).isfinite()  # type: ignore[union-attr]


@pytest.mark.parametrize("text", ["isometry(weight=0.7, scale=2)"])
def test_isometry_gradient_in_the_game(text: str) -> None:
    made = game("nonsaturating", Curved(), Mapped(), text, d=2)
    params, batch, weights = parameters(made), random_batch(made, "generator"), coefficients(text)
    assert "real" not in made.draws["generator"]
    found = gradient(made, "generator", params, batch, weights)
    torch.testing.assert_close(found, slopes(made, "generator", params, batch, weights), rtol=1e-6, atol=1e-7)


def test_penalties_of_the_generator_leave_the_critic_alone() -> None:
    made = game("nonsaturating", Dirac(), Mapped(2, 1), "coverage", "isometry", latent=2)
    plain = game("nonsaturating", Dirac(), Mapped(2, 1), latent=2)
    assert made.draws["critic"] == plain.draws["critic"]
    params, batch = parameters(made, psi=0.7), random_batch(made, "critic")
    weights = coefficients("coverage", "isometry", **WIDTH)
    assert torch.equal(loss(made, "critic", params, batch, weights), loss(plain, "critic", params, batch, weights))


@pytest.mark.parametrize(
    "text",
    [
        "coverage(alpha=0)",
        "coverage(bandwidth=linear(1->0))",
        "coverage(weight=-1)",
        "isometry(scale=0)",
        "isometry(every=0)",
    ],
)
def test_bad_requests(text: str) -> None:
    with pytest.raises(UsageError, match=text.split("(")[0]):
        PENALTIES.build(text)
