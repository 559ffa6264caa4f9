"""MMD-GAN: the statistic against loops, gradients against differences and the witness, penalties on the witness.
Float64."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ganneal.game import bind
from ganneal.objectives import OBJECTIVES
from ganneal.penalties import PENALTIES
from ganneal.systems import MMDGame
from ganneal.systems.mmd import RATIONAL, WIDTHS, kernel, median_distance
from ganneal.twosample.variance import power_criterion

F64 = torch.float64
ZERO = torch.zeros((), dtype=F64)
COEFFICIENTS = {"lambda_likelihood": ZERO, "lambda_entropy": ZERO, "noise": ZERO}
B, DIM, OUT = 6, 2, 3


def game(kernel: str = "rq", statistic: str = "mmd", critic: bool = True, penalties: tuple[str, ...] = ()) -> Any:
    torch.manual_seed(0)
    nets: dict[str, nn.Module] = {}
    if critic:
        nets["critic"] = nn.Sequential(nn.Linear(DIM, 5), nn.Tanh(), nn.Linear(5, OUT)).double()
    nets["generator"] = nn.Linear(2, DIM).double()
    built = tuple(PENALTIES.build(p) for p in penalties)
    return MMDGame(
        nets, OBJECTIVES.build("wasserstein"), built, (DIM,), 2, kernel=kernel, statistic=statistic, scale=0.7
    )  # type: ignore[arg-type]


def batch(seed: int = 1) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    made = {name: torch.randn(B, 2, dtype=F64, generator=generator) for name in ("real", "z")}
    return made | {"penalty.alpha": torch.rand(B, dtype=F64, generator=generator)}


def k(kind: str, a: Tensor, b: Tensor) -> float:
    s = float((a - b).square().sum())
    if kind == "rq":
        return sum((1 + s / (2 * p)) ** -p for p in RATIONAL) / len(RATIONAL)
    return sum(math.exp(-s / (2 * w * w)) for w in WIDTHS) / len(WIDTHS)


@pytest.mark.parametrize("kind", ["rq", "gaussian"])
@pytest.mark.parametrize("critic", [True, False])
def test_the_unbiased_distance(kind: str, critic: bool) -> None:
    g, b = game(kind, critic=critic), batch()
    fake = g.nets["generator"](b["z"])
    f = g.nets["critic"] if critic else lambda x: x / 0.7
    x, y = f(b["real"]).detach(), f(fake).detach()
    pairs = [(i, j) for i in range(B) for j in range(B) if i != j]
    expected = (
        sum(k(kind, x[i], x[j]) for i, j in pairs) / (B * (B - 1))
        + sum(k(kind, y[i], y[j]) for i, j in pairs) / (B * (B - 1))
        - 2 * sum(k(kind, a, c) for a in x for c in y) / B**2
    )
    assert g.loss("generator", g.nets, b, COEFFICIENTS).item() == pytest.approx(expected, abs=1e-12)
    if critic:
        assert g.loss("critic", g.nets, b, COEFFICIENTS).item() == pytest.approx(-expected, abs=1e-12)


def test_the_distance_between_equal_laws_is_zero_on_average() -> None:
    """Unbiased: over many batches the mean is within its error of 0, and a biased one (with the diagonal) is not."""
    g, generator = game(critic=False), torch.Generator().manual_seed(3)
    draws = torch.randn(400, 2, B, DIM, dtype=F64, generator=generator)
    values = torch.vmap(lambda pair: g.distance(g.nets, pair[0], pair[1]))(draws)
    error = values.std() / math.sqrt(len(values))
    assert abs(values.mean()) < 3 * error
    same = torch.stack([kernel("rq", p[0] / 0.7, p[0] / 0.7).mean() for p in draws[:50]]).mean()
    across = torch.stack([kernel("rq", p[0] / 0.7, p[1] / 0.7).mean() for p in draws[:50]]).mean()
    assert 2 * (same - across) > 20 * error


@pytest.mark.parametrize("statistic", ["mmd", "t"])
@pytest.mark.parametrize("player", ["critic", "generator"])
def test_gradients_are_differences(statistic: str, player: str) -> None:
    g, b = game(statistic=statistic), batch()
    params = {p: {n: v.detach() for n, v in net.named_parameters()} for p, net in g.nets.items()}

    def loss(own: dict[str, Tensor]) -> Tensor:
        found: Tensor = g.loss(player, bind(g.nets, {**params, player: own}, {}), b, COEFFICIENTS)
        return found

    slopes = torch.func.grad(loss)(params[player])
    for name, value in params[player].items():
        flat = value.flatten()
        for index in (0, len(flat) - 1):
            step = torch.zeros_like(flat)
            step[index] = 1e-6
            move = step.view_as(value)
            ahead, behind = (loss({**params[player], name: value + sign * move}) for sign in (1, -1))
            assert slopes[name].flatten()[index].item() == pytest.approx(
                (ahead - behind).item() / 2e-6, rel=1e-5, abs=1e-8
            )


def test_t_is_the_distance_over_its_standard_deviation() -> None:
    g, b = game(statistic="t"), batch()
    ab = torch.cat([g.nets["critic"](x) for x in (b["real"], g.nets["generator"](b["z"]))])
    expected = power_criterion(kernel("rq", ab, ab), B, "h1")
    assert g.loss("generator", g.nets, b, COEFFICIENTS).item() == pytest.approx(expected.item(), rel=1e-10)


def test_the_witness_moves_the_generator() -> None:
    """For a fixed critic, d MMD^2 / d y_j of samples is -(2/n) grad w(y_j), up to the sample's own weight in the
    witness: (n - 1)/n of the second mean counts."""
    g, b = game(), batch()
    y = g.nets["generator"](b["z"]).detach()
    slope = torch.func.grad(lambda at: g.distance(g.nets, b["real"], at))(y)
    f = g.nets["critic"]
    for j in range(B):
        others = torch.cat([y[:j], y[j + 1 :]])

        def witness(at: Tensor, others: Tensor = others) -> Tensor:
            point = f(at[None])
            return (kernel("rq", point, f(b["real"])).mean() - kernel("rq", point, f(others)).mean()).squeeze()

        torch.testing.assert_close(slope[j], -2 / B * torch.func.grad(witness)(y[j]), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("penalty", "name", "of"),
    [
        ("r1(gamma=2)", "r1", lambda data, model, mixed: data.square().sum(1).mean() / 2),
        ("r1r2(gamma=2)", "r1r2", lambda data, model, mixed: (data.square() + model.square()).sum(1).mean() / 2),
        ("gp(weight=2)", "gp", lambda data, model, mixed: (mixed.norm(dim=1) - 1).square().mean()),
    ],
)
def test_penalties_are_on_the_witness(penalty: str, name: str, of: Any) -> None:
    g, b = game(penalties=(penalty,)), batch()
    y = g.nets["generator"](b["z"]).detach()
    f = g.nets["critic"]

    def gradient(points: Tensor) -> Tensor:
        x = points.clone().requires_grad_()
        w = kernel("rq", f(x), f(b["real"]).detach()).mean(1) - kernel("rq", f(x), f(y).detach()).mean(1)
        return torch.autograd.grad(w.sum(), x)[0]

    alpha = b["penalty.alpha"][:, None]
    expected = 2 * of(gradient(b["real"]), gradient(y), gradient(alpha * b["real"] + (1 - alpha) * y))
    weighed = COEFFICIENTS | {name: torch.tensor(2.0, dtype=F64)}
    found = g.loss("critic", g.nets, b, weighed) - g.loss("critic", g.nets, b, COEFFICIENTS)
    assert found.item() == pytest.approx(expected.item(), rel=1e-8)


def test_who_plays() -> None:
    assert game().players == ("critic", "generator")
    assert game(critic=False).players == ("generator",)
    assert "real" in game().draws["generator"]


def test_the_median_distance() -> None:
    assert median_distance(torch.tensor([[0.0], [1.0], [4.0]])) == pytest.approx(3.0)
