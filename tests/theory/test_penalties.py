"""Penalties and constraints: values in closed form, gradients by finite differences, and the spectra that they give
to known games."""

import math
from collections.abc import Mapping

import pytest
import torch
from cases import F64, Affine, Function, Quadratic, all_own, gan, numbers, own, slopes
from torch import Tensor, nn

from ganneal.engine.coefficients import Coefficients
from ganneal.game import Tensors, bind, field
from ganneal.nets import BatchNorm, build
from ganneal.objectives import OBJECTIVES
from ganneal.penalties import PENALTIES, InputGradientPenalty, clip, spectral
from ganneal.schedules import Constant, schedule
from ganneal.systems.gan import GAN

# ---- values on a quadratic critic, whose gradient w + (A + A')x/2 has known moments

D = 2
W = torch.tensor([0.3, -0.7], dtype=F64)
A = torch.tensor([[1.2, 0.5], [0.1, -0.8]], dtype=F64)
REAL = torch.tensor([[1.0, 0.2], [-0.5, 1.5], [2.0, -1.0]], dtype=F64)
FAKE = torch.tensor([[0.3, -1.1], [1.7, 0.4]], dtype=F64)
ANCHOR = torch.tensor([2.0, -1.0], dtype=F64)
ALPHA = 0.5 + torch.tensor([-1, 1], dtype=F64) / math.sqrt(12)
"""Two equally weighted points with the first three moments of U(0, 1)."""


def design() -> dict[str, Tensor]:
    """Every combination of a real point, a fake point and an alpha, so that batch means are expectations over
    independent draws."""
    i, j, k = torch.cartesian_prod(torch.arange(3), torch.arange(2), torch.arange(2)).T
    return {"real": REAL[i], "z": FAKE[j], "penalty.alpha": ALPHA[k]}


def moments(x: Tensor) -> tuple[Tensor, Tensor]:
    return x.mean(0), x.T @ x / len(x)


def measure_moments(measure: str) -> tuple[Tensor, Tensor]:
    """Mean and second moment matrix of each penalty measure, by hand: E alpha = 1/2, E alpha^2 = 1/3, E alpha (1 -
    alpha) = 1/6."""
    (m, s), (n, t), a = moments(REAL), moments(FAKE), ANCHOR
    cross = torch.outer
    return {
        "data": (m, s),
        "model": (n, t),
        "interpolate": ((m + n) / 2, (s + t) / 3 + (cross(m, n) + cross(n, m)) / 6),
        "midpoint": ((m + n) / 2, (s + t + cross(m, n) + cross(n, m)) / 4),
        "anchor": ((a + n) / 2, (cross(a, a) + t) / 3 + (cross(a, n) + cross(n, a)) / 6),
    }[measure]


def square_gradient(w: Tensor, q: Tensor, measure: str) -> Tensor:
    """E |w + Sx|^2 with S = (A + A')/2."""
    m, second = measure_moments(measure)
    s = (q + q.T) / 2
    return w @ w + 2 * w @ s @ m + (s @ s * second).sum()


SGP = "sgp(rho=0.6, measure={}, anchor=[2.0, -1.0])"
VALUES = {
    "r1(gamma=3)": (1.5, ("data",)),
    "r2(gamma=3)": (1.5, ("model",)),
    "r1r2(gamma=3)": (1.5, ("data", "model")),
    **{SGP.format(m): (0.3, (m,)) for m in ("data", "model", "interpolate", "midpoint", "anchor")},
    "sgp(rho=20, measure=interpolate)": (10.0, ("interpolate",)),
}


def game(penalty: str, critic: nn.Module | None = None, objective: str = "rkl") -> GAN:
    return gan(objective, critic or Quadratic(D), Function(lambda z: z), D, penalties=(PENALTIES.build(penalty),))


def penalty_of(made: GAN, params: Tensors, batch: Mapping[str, Tensor] | None = None) -> Tensor:
    """The penalty's share of the critic's loss: with it minus without it."""
    batch = design() if batch is None else batch
    nets = bind(made.nets, {"critic": params, "generator": {}}, {})
    (penalty,) = made.penalties
    assert isinstance(penalty, InputGradientPenalty)
    weight = {penalty.name: torch.tensor(penalty.weight(0.0), dtype=F64)}  # type: ignore[operator]
    return made.loss("critic", nets, batch, {**numbers(), **weight}) - made.loss("critic", nets, batch, numbers())


QUADRATIC = {"c": torch.tensor(0.4, dtype=F64), "w": W, "q": A}


@pytest.mark.parametrize("penalty", VALUES)
def test_value_on_a_quadratic_critic(penalty: str) -> None:
    """weight/2 times the sum over measures of E|grad y|^2: the convention with 1/2 of Mescheder et al. and of
    mu-WGAN, where rho = 2 LAMBDA."""
    factor, measures = VALUES[penalty]
    truth = sum(factor * square_gradient(W, A, m) for m in measures)
    assert isinstance(truth, Tensor)
    torch.testing.assert_close(penalty_of(game(penalty), QUADRATIC), truth, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("penalty", ["gp(weight=7)", "r1", "r2", "r1r2", "gp", "sgp"])
def test_on_a_linear_critic(penalty: str) -> None:
    """|grad y| = |w| everywhere: weight (|w| - 1)^2 for gp (no 1/2), |w|^2/2 per measure for the others at their
    default weight."""
    linear = {**QUADRATIC, "q": torch.zeros(D, D, dtype=F64)}
    norm = W.norm()
    truth = {"gp(weight=7)": 7 * (norm - 1) ** 2, "gp": 10 * (norm - 1) ** 2, "r1r2": norm**2}.get(penalty, norm**2 / 2)
    torch.testing.assert_close(penalty_of(game(penalty), linear), truth, rtol=1e-12, atol=1e-12)


def test_gp_on_a_radial_critic() -> None:
    """y = |x|^2/2: weight E(|x| - 1)^2, the norm per example and not of a mean, at alpha data + (1 - alpha) model."""
    radial = {"c": torch.zeros((), dtype=F64), "w": torch.zeros(D, dtype=F64), "q": torch.eye(D, dtype=F64)}
    batch = design()
    norms = [
        math.hypot(*(a * r + (1 - a) * f))
        for r, f, a in zip(batch["real"], batch["z"], batch["penalty.alpha"].tolist(), strict=True)
    ]
    truth = 5 * sum((n - 1) ** 2 for n in norms) / len(norms)
    assert math.isclose(penalty_of(game("gp(weight=5)"), radial).item(), truth, rel_tol=1e-12)


def test_images_sum_over_all_coordinates() -> None:
    """|grad|^2 is the sum over C, H, W of an example, not their mean: y = s * sum(x) has |grad|^2 = s^2 C H W."""
    shape = (2, 3, 4)
    penalty = PENALTIES.build("r1(gamma=1)")
    made = GAN(
        architectures={
            "critic": Function(lambda x: 0.5 * x.flatten(1).sum(1)),
            "generator": Function(lambda z: z.new_zeros(len(z), *shape)),
        },
        objective=OBJECTIVES["wasserstein"](),
        penalties=(penalty,),
        shape=shape,
        latent=1,
    )
    batch = {"real": torch.randn(5, *shape, dtype=F64), "z": torch.zeros(5, 1, dtype=F64)}
    assert math.isclose(penalty_of(made, {}, batch).item(), 0.5 * 0.25 * 24, rel_tol=1e-12)


class Curved(nn.Module):
    """A smooth nonlinear critic whose parameters all matter to the penalty."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.inner = nn.Parameter(torch.randn(D, 5, dtype=F64, generator=generator))
        self.shift = nn.Parameter(torch.randn(5, dtype=F64, generator=generator))
        self.outer = nn.Parameter(torch.randn(5, dtype=F64, generator=generator))

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(x @ self.inner + self.shift) @ self.outer


@pytest.mark.parametrize("penalty", [*VALUES, "gp(weight=7)"])
@pytest.mark.parametrize("net", [Quadratic, Curved])
def test_gradient_in_the_critic_s_parameters(net: type[nn.Module], penalty: str) -> None:
    """Double backward: the gradient of the penalised critic loss in every parameter is the finite difference."""
    made = game(penalty, net(D) if net is Quadratic else net())
    params = QUADRATIC if net is Quadratic else own(made.nets["critic"])
    names, shapes = list(params), [p.shape for p in params.values()]

    def value(flat: Tensor) -> Tensor:
        parts = flat.split([s.numel() for s in shapes])
        return penalty_of(made, {n: p.reshape(s) for n, p, s in zip(names, parts, shapes, strict=True)})

    at = torch.cat([p.reshape(-1) for p in params.values()])
    gradient = torch.func.grad(value)(at)
    assert gradient.abs().max() > 0.01
    torch.testing.assert_close(gradient, slopes(value, at), rtol=1e-7, atol=1e-7)


def test_two_penalties_add_up() -> None:
    """r1 and gp together: each has its own measure, weight and law in one loss."""
    both = gan(
        "rkl",
        Quadratic(D),
        Function(lambda z: z),
        D,
        penalties=tuple(PENALTIES.build(p) for p in ("r1(gamma=3)", "gp(weight=7)", "sgp(rho=2)")),
    )
    nets = bind(both.nets, {"critic": QUADRATIC, "generator": {}}, {})
    weights = numbers(r1=3.0, gp=7.0, sgp=2.0)
    found = both.loss("critic", nets, design(), weights) - both.loss("critic", nets, design(), numbers())
    apart = sum(penalty_of(game(p), QUADRATIC) for p in ("r1(gamma=3)", "gp(weight=7)", "sgp(rho=2)"))
    torch.testing.assert_close(found, apart, rtol=1e-12, atol=1e-12)


# ---- spectra


def spectrum(
    made: GAN, params: dict[str, Tensors], batch: Mapping[str, Tensor], coefficients: Mapping[str, Tensor]
) -> Tensor:
    """Eigenvalues of the Jacobian of `game.field`, by central differences, sorted by imaginary part."""
    keys = [(player, name) for player in params for name in params[player]]
    sizes = [params[p][n].numel() for p, n in keys]

    def flow(flat: Tensor) -> Tensor:
        tree: dict[str, Tensors] = {p: {} for p in params}
        for (p, n), part in zip(keys, flat.split(sizes), strict=True):
            tree[p][n] = part.reshape(params[p][n].shape)
        found = field(made, tree, {}, {p: batch for p in params}, coefficients)
        return torch.cat([found[p][n].reshape(-1) for p, n in keys])

    at = torch.cat([params[p][n].reshape(-1) for p, n in keys])
    h = 1e-5
    steps = h * torch.eye(at.numel(), dtype=F64)
    jacobian = torch.stack([(flow(at + e) - flow(at - e)) / (2 * h) for e in steps], 1)
    values = torch.linalg.eigvals(jacobian)
    return values[torch.argsort(values.imag * 1e6 + values.real)]


class Dirac(nn.Module):
    """D(x) = psi x."""

    def __init__(self) -> None:
        super().__init__()
        self.psi = nn.Parameter(torch.zeros((), dtype=F64))

    def forward(self, x: Tensor) -> Tensor:
        return self.psi * x[:, 0]


class Point(nn.Module):
    """G(z) = theta."""

    def __init__(self) -> None:
        super().__init__()
        self.theta = nn.Parameter(torch.zeros((), dtype=F64))

    def forward(self, z: Tensor) -> Tensor:
        return self.theta.expand(len(z), 1)


def pair(c: float, k: float) -> Tensor:
    """The roots of x^2 + c x + k."""
    root = torch.sqrt(torch.tensor(c * c / 4 - k, dtype=torch.complex128))
    values = torch.stack([-c / 2 - root, -c / 2 + root])
    return values[torch.argsort(values.imag * 1e6 + values.real)]


def coefficients_of(penalties: tuple[str, ...]) -> Tensors:
    found = numbers()
    for text in penalties:
        penalty = PENALTIES.build(text)
        assert isinstance(penalty, InputGradientPenalty)
        found[penalty.name] = torch.tensor(penalty.weight(0.0), dtype=F64)  # type: ignore[operator]
    return found


ONE = [f"sgp(rho={{}}, measure={m})" for m in ("data", "model", "interpolate", "midpoint", "anchor")]
DIRAC = [
    ("wasserstein", (), 0.0, 1.0),
    *(
        (("wasserstein", (text.format(rho),), rho, 1.0))
        for text in (*ONE, "r1(gamma={})", "r2(gamma={})")
        for rho in (0.5, 3.0)
    ),
    ("wasserstein", ("r1r2(gamma=0.5)",), 1.0, 1.0),
    *((o, (), 0.0, 0.25) for o in ("jsd", "nonsaturating", "relativistic")),
    *((o, ("r1(gamma=0.6)",), 0.6, 0.25) for o in ("jsd", "nonsaturating", "relativistic")),
    *((o, ("r1r2(gamma=0.6)",), 1.2, 0.25) for o in ("jsd", "nonsaturating", "relativistic")),
    ("rkl", ("r1(gamma=0.6)",), 0.6, 0.5),
]


@pytest.mark.parametrize(("objective", "penalties", "damping", "stiffness"), DIRAC)
def test_dirac_gan(objective: str, penalties: tuple[str, ...], damping: float, stiffness: float) -> None:
    """Specification of stabilizers 3.2 Lemma 1 and 3.7: -rho M/2 +- sqrt(rho^2 M^2/4 - 1) for the Wasserstein Dirac
    game and any measure of mass M, +-i undamped; f1^2 = 1/4 for logistic losses, and 1/2 for rkl, whose players have
    slopes 1/2 and 1."""
    made = gan(objective, Dirac(), Point(), penalties=tuple(PENALTIES.build(p) for p in penalties))
    batch = {
        "real": torch.zeros(4, 1, dtype=F64),
        "z": torch.zeros(4, 1, dtype=F64),
        "penalty.alpha": torch.rand(4, dtype=F64),
    }
    found = spectrum(made, all_own(made), batch, coefficients_of(penalties))
    torch.testing.assert_close(found, pair(damping, stiffness), rtol=1e-6, atol=1e-8)


class Bowl(nn.Module):
    """D(x) = w x^2."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.zeros((), dtype=F64))

    def forward(self, x: Tensor) -> Tensor:
        return self.w * x[:, 0].square()


class Scale(nn.Module):
    """G(z) = a z."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.ones((), dtype=F64))

    def forward(self, z: Tensor) -> Tensor:
        return self.a * z


UNIFORM = {
    "data": 1 / 3,
    "model": 1 / 3,
    "interpolate": 2 / 9,
    "midpoint": 1 / 6,
    "anchor=0": 1 / 9,
    "anchor=1": 1 / 3 + 1 / 9,
}
CHEBYSHEV = torch.tensor([-0.7946544722917661, -0.1875924740850799, 0.1875924740850799, 0.7946544722917661], dtype=F64)
"""Four equally weighted points with the first five moments of U(-1, 1)."""


def uniform_batch() -> dict[str, Tensor]:
    i, j, k = torch.cartesian_prod(CHEBYSHEV, CHEBYSHEV, ALPHA).T
    return {"real": i[:, None], "z": j[:, None], "penalty.alpha": k}


@pytest.mark.parametrize("measure", UNIFORM)
def test_uniform_toy(measure: str) -> None:
    """Lemma 2: data U(-1, 1), G = a z, D = w x^2: -2 rho A2 +- sqrt(4 rho^2 A2^2 - 4/9) with A2 = E x^2 under each
    measure; undamped +-2i/3."""
    name, _, anchor = measure.partition("=")
    text = f"sgp(rho=1, measure={name}, anchor={anchor or 0})"
    made = gan("wasserstein", Bowl(), Scale(), penalties=(PENALTIES.build(text),))
    found = spectrum(made, all_own(made), uniform_batch(), coefficients_of((text,)))
    double_root = abs(UNIFORM[measure] - 1 / 3) < 1e-9
    torch.testing.assert_close(found, pair(4 * UNIFORM[measure], 4 / 9), rtol=1e-6, atol=1e-4 if double_root else 1e-8)
    torch.testing.assert_close(
        spectrum(made, all_own(made), uniform_batch(), numbers()), pair(0, 4 / 9), rtol=1e-6, atol=1e-8
    )


@pytest.mark.parametrize("objective", ["jsd", "nonsaturating"])
def test_uniform_toy_with_a_logistic_critic(objective: str) -> None:
    """3.1a: the logistic critic's own curvature P = 1/10 and coupling 1/3 give -.05 +- .3296 i."""
    made = gan(objective, Bowl(), Scale())
    found = spectrum(made, all_own(made), uniform_batch(), numbers())
    torch.testing.assert_close(found, pair(0.1, 1 / 9), rtol=1e-6, atol=1e-8)
    assert math.isclose(found[1].imag.item(), 0.3296, abs_tol=5e-5)


# ---- lazy penalties


@pytest.mark.parametrize("every", [1, 4, 5])
def test_lazy_weights_average_to_the_weight(every: int) -> None:
    """Karras et al. 2020: absent between, `every` times the weight where applied, on each `every`-th step: the mean
    over a period is the weight."""
    penalty = PENALTIES.build(f"r1(gamma=0.7, every={every})")
    rates = {"lr.critic": Constant(0.1), "lambda_likelihood": Constant(-0.5)}
    for size in (None, 3):
        table = Coefficients(rates, (penalty,), 0.999, size).table(
            range(7, 7 + 3 * every), [0.5] * (3 * every), [1.0] * (size or 1), torch.zeros((), dtype=F64)
        )
        applied = [row["r1"] for row in table if "r1" in row]
        assert len(applied) == 3
        assert [step for step, row in zip(range(7, 7 + 3 * every), table, strict=True) if "r1" in row] == [
            s for s in range(7, 7 + 3 * every) if s % every == 0
        ]
        mean = torch.stack(applied).sum(0) / (3 * every)
        assert mean.shape == (() if size is None else (size,))
        torch.testing.assert_close(mean, torch.full_like(mean, 0.7), rtol=1e-12, atol=0)
        assert all("lambda_likelihood" in row and "lr.critic" in row for row in table)


def test_lazy_gradient_averages_to_the_gradient() -> None:
    """The critic's gradient, averaged over a period of a lazy penalty, is that of the penalty applied always."""
    gradients = {}
    for every in (1, 4):
        penalty = PENALTIES.build(f"r1r2(gamma=0.7, every={every})")
        made = gan("rkl", Quadratic(D), Function(lambda z: z), D, penalties=(penalty,))
        table = Coefficients({"lambda_likelihood": Constant(0.0)}, (penalty,), 0.9, None).table(
            range(8), [0.0] * 8, [], torch.zeros((), dtype=F64)
        )

        def loss(params: Tensors, made: GAN = made, table: list[Tensors] = table) -> Tensor:
            nets = bind(made.nets, {"critic": params, "generator": {}}, {})
            return torch.stack([made.loss("critic", nets, design(), row) for row in table]).mean()

        gradients[every] = torch.func.grad(loss)(QUADRATIC)
    for name in QUADRATIC:
        torch.testing.assert_close(gradients[1][name], gradients[4][name], rtol=1e-12, atol=1e-12)


# ---- constraints


def critics() -> dict[str, tuple[nn.Module, tuple[int, ...]]]:
    torch.manual_seed(0)
    return {
        "mlp": (build("mlp(width=7, depth=2)").critic((3,)).double(), (3,)),
        "conv": (build("dcgan(width=4)").critic((1, 8, 8)).double(), (1, 8, 8)),
        "residual": (build("residual(width=4)").critic((1, 8, 8)).double(), (1, 8, 8)),
    }


@pytest.mark.parametrize("coefficient", [1.0, 0.7])
@pytest.mark.parametrize("kind", ["mlp", "conv", "residual"])
@pytest.mark.parametrize("members", [None, 3])
def test_spectral_norm_of_every_layer(kind: str, coefficient: float, members: int | None) -> None:
    """After projections the effective matrix of every layer, [out, in kh kw] for a convolution, has largest singular
    value `coefficient`."""
    net, shape = critics()[kind]
    penalty = spectral(coefficient)
    wrapped = penalty.wrap(net)
    generator = torch.Generator().manual_seed(1)

    def changed(value: Tensor) -> Tensor:
        size = value.shape if members is None else (members, *value.shape)
        return torch.randn(size, dtype=F64, generator=generator)

    params = {n: changed(p) for n, p in wrapped.named_parameters()}
    buffers = {n: (b.clone() if members is None else torch.stack([b] * members)) for n, b in wrapped.named_buffers()}
    before = {n: p.clone() for n, p in params.items()}
    for _ in range(2000):
        penalty.project(wrapped, params, buffers)
    assert all((params[n] == before[n]).all() for n in params)  # acts on the vectors alone

    seen: dict[str, Tensor] = {}
    layers = {m: n for n, m in net.named_modules() if isinstance(m, (nn.Linear, nn.Conv2d))}
    hooks = [
        m.register_forward_hook(lambda m, i, o: seen.__setitem__(layers[m], m.weight.detach().clone())) for m in layers
    ]
    x = torch.randn(2, *shape, dtype=F64, generator=generator)
    for k in range(members or 1):
        mine, vectors = ({n: (v if members is None else v[k]) for n, v in tree.items()} for tree in (params, buffers))
        seen.clear()
        torch.func.functional_call(wrapped, {**mine, **vectors}, (x,))
        assert len(seen) == len(layers) >= 3
        for name, weight in seen.items():
            largest = torch.linalg.matrix_norm(weight.flatten(1), 2).item()
            assert math.isclose(largest, coefficient, rel_tol=1e-3), name
    for hook in hooks:
        hook.remove()


def test_spectral_norm_differentiates_through_sigma() -> None:
    """Miyato et al. eq. 12: u and v are constants, sigma = u'Wv is not, so moving W along itself changes nothing."""
    net, shape = critics()["mlp"]
    wrapped = spectral().wrap(net)
    params = own(wrapped)
    x = torch.randn(4, *shape, dtype=F64)

    def scaled(t: Tensor) -> Tensor:
        grown = {n: (p * t if p.dim() >= 2 else p) for n, p in params.items()}
        return torch.func.functional_call(wrapped, {**grown, **dict(wrapped.named_buffers())}, (x,)).sum()

    one = torch.ones((), dtype=F64)
    assert torch.func.grad(scaled)(one).abs() < 1e-12


@pytest.mark.parametrize("members", [None, 3])
def test_clip_spares_normalisation_layers_and_clamps_everything_else(members: int | None) -> None:
    """Clipping a normalisation's scale to .01 would switch the layer off."""
    net = nn.Sequential(
        nn.Linear(3, 4),
        nn.LayerNorm(4),
        nn.Sequential(nn.Linear(4, 4), BatchNorm(4)),
        nn.GroupNorm(2, 4),
        nn.BatchNorm1d(4),
        nn.Linear(4, 1),
    )
    shape = () if members is None else (members,)
    params = {
        n: 5 * torch.randn(*shape, *p.shape, dtype=F64, generator=torch.Generator().manual_seed(0))
        for n, p in net.named_parameters()
    }
    before = {n: p.clone() for n, p in params.items()}
    clip(0.25).project(net, params, {})
    spared = {"1.weight", "1.bias", "2.1.weight", "2.1.bias", "3.weight", "3.bias", "4.weight", "4.bias"}
    for name, value in params.items():
        torch.testing.assert_close(
            value, before[name] if name in spared else before[name].clamp(-0.25, 0.25), rtol=0, atol=0
        )
    assert params["0.bias"].abs().max() == 0.25


def test_game_projects_the_critic_only() -> None:
    """`GAN.project` clips after a step of the critic and of nobody else."""
    made = gan("wasserstein", Quadratic(D), Affine(d=D), D, penalties=(clip(0.01),))
    for player in made.players:
        params = {n: p + 1 for n, p in own(made.nets[player]).items()}
        made.project(player, params, {})
        assert all((p <= 0.01).all() for p in params.values()) == (player == "critic")


def test_the_table_of_coefficients() -> None:
    """Every schedule at every step and for every member, learning rates scaled by the guard, and the averaging
    weight that warms up."""
    schedules = {"lr.critic": schedule("linear(0.4->0)"), "beta": schedule("each(1, linear(0->2))")}
    steps, progress = [0, 5, 1000], [0.0, 0.5, 1.0]
    table = Coefficients(schedules, (PENALTIES.build("r1(gamma=each(1, 3), every=5)"),), 0.99, 2)
    rows = table.table(steps, progress, [1.0, 0.5], torch.zeros((), dtype=F64))
    assert [row["lr.critic"].tolist() for row in rows] == [[0.4, 0.2], [0.2, 0.1], [0.0, 0.0]]
    assert [row["beta"].tolist() for row in rows] == [[1, 0], [1, 1], [1, 2]]
    assert [row["average"][0].item() for row in rows] == [0.1, 0.4, 0.99]
    assert all(row["r1"].tolist() == [5, 15] for row in rows)


def test_spectral_norm_of_a_matrix_whose_columns_sum_to_zero() -> None:
    """The power iteration must find a singular vector that is orthogonal to its start."""
    net = nn.Sequential(nn.Linear(2, 2, bias=False).double(), nn.Linear(2, 1, bias=False).double())
    with torch.no_grad():
        net[0].weight.copy_(torch.tensor([[1.0, -1.0], [-1.0, 1.0]]))
    assert spectral().wrap(net)(torch.ones(1, 2, dtype=F64)).isfinite().all()
