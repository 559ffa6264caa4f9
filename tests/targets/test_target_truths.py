"""log Z, moments and shares of targets by quadrature of their log_prob alone, and against published numbers."""

import math

import numpy as np
import pytest
import torch
from scipy import integrate, optimize, stats

from ganneal.errors import UsageError
from ganneal.targets import Target, open_target
from ganneal.targets.line import Line


def density(target: Target):
    """u at one point, for scipy."""
    return lambda *x: math.exp(float(target.log_prob(torch.tensor([x], dtype=torch.float64))))


def on_grid(target: Target, box: list[tuple[float, float]], points: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Points [n, d] and u times cell [n], by the trapezoidal rule: exact to rounding for smooth decaying densities."""
    axes = [torch.linspace(a, b, points, dtype=torch.float64) for a, b in box]
    x = torch.cartesian_prod(*axes).reshape(-1, len(box))
    cell = math.prod((b - a) / (points - 1) for a, b in box)
    return x, torch.cat([target.log_prob(part) for part in x.split(50_000)]).exp() * cell


# text, box, points per axis, tolerance: that of masses of halves, which the trapezoidal rule sees to order spacing^2
PLANE = [
    ("gaussian(dim=1, mean=2, std=0.7, log_z=1.3)", [(-6, 10)], 2001, 1e-9),
    ("gaussian(mean=[1, -1], std=[1, 2], correlation=0.6, log_z=-2)", [(-8, 10), (-17, 15)], 401, 1e-9),
    ("gaussian(covariance=[[2, 0.5], [0.5, 1]])", [(-14, 14), (-10, 10)], 401, 1e-9),
    ("kidney", [(-6, 6), (-6, 6)], 801, 1e-6),
    ("kidney(radius=3, width=0.5, lobe=0.5)", [(-8, 8), (-8, 8)], 801, 1e-6),
    ("kidney(radius=1, width=0.8, lobe=0.9)", [(-10, 10), (-10, 10)], 801, 1e-4),
    ("moons(noise=0.2)", [(-3, 4), (-2.5, 3)], 301, 1e-9),
    ("ring(modes=5, radius=3, std=0.5)", [(-7, 7), (-7, 7)], 401, 1e-9),
    ("grid(side=3, spacing=1.5, std=0.4)", [(-5, 5), (-5, 5)], 401, 1e-9),
    ("gmm40", [(-55, 55), (-55, 55)], 501, 1e-7),
    ("mixture(means=[-3, 2], std=[0.5, 1.5], weights=[3, 1], log_z=0.4)", [(-16, 16)], 4001, 1e-9),
    ("banana(bend=0.1, std=2)", [(-18, 18), (-40, 14)], 1001, 1e-9),
    ("funnel(dim=2, std=1)", [(-8, 8), (-90, 90)], 1601, 1e-7),
    ("double_well", [(-4, 4)], 8001, 1e-6),
    ("double_well(height=1.5, tilt=0.7)", [(-5, 5)], 8001, 1e-6),
    ("double_well(dim=2, height=2, tilt=-0.4)", [(-4, 4), (-9, 9)], 801, 1e-5),
    ("many_well(dim=2)", [(-6, 6), (-9, 9)], 1601, 1e-5),
    ("student(dim=1, modes=3, df=9, reach=2)", [(-300, 300)], 400_001, 1e-5),
    ("phi4(side=2, coupling=0, mass=1.5)", [(-5, 5)] * 4, 41, 1e-4),
]


@pytest.mark.parametrize(("text", "box", "points", "tolerance"), PLANE, ids=[row[0] for row in PLANE])
def test_what_is_known_is_what_quadrature_finds(text, box, points, tolerance):
    target = open_target(text)
    x, mass = on_grid(target, box, points)
    z = mass.sum()
    assert float(z.log()) == pytest.approx(target.log_z, abs=tolerance)
    mass = mass / z
    mean = mass @ x
    assert mean == pytest.approx(target.mean, abs=10 * tolerance)
    assert mass @ (x - mean).square() == pytest.approx(target.variance, rel=20 * tolerance)
    if target.membership is not None:
        # points of the grid on the border between two wells count half for each
        shares = mass @ (target.membership(x + 1e-9) + target.membership(x - 1e-9)) / 2
        assert shares == pytest.approx(target.shares, abs=2 * tolerance)
        assert len(target.members) == len(target.shares) == shares.shape[0]


KIDNEYS = [
    ("kidney", 1.87750, 3.30350, 1.39528, 4.862),
    ("kidney(radius=3, lobe=0.5, width=0.5)", 2.11654, 8.22161, 2.16906, 17.307),
    ("kidney(3)", 2.05787, 7.82891, 2.08442, 11.807),
]


@pytest.mark.parametrize(("text", "log_z", "first", "second", "barrier"), KIDNEYS)
def test_the_three_kidneys_of_the_literature(text, log_z, first, second, barrier):
    target = open_target(text)
    assert target.log_z == pytest.approx(log_z, abs=1e-5)
    assert target.variance.tolist() == pytest.approx([first, second], abs=1e-5)
    # the pass between the lobes lies on the line x1 = 0
    up = torch.linspace(0, 6, 60_001, dtype=torch.float64)
    on_line = target.log_prob(torch.stack([0 * up, up], 1)).max()
    grid = torch.cartesian_prod(*[torch.linspace(-5, 5, 1001, dtype=torch.float64)] * 2)
    assert float(target.log_prob(grid).max() - on_line) == pytest.approx(barrier, abs=2e-3)


def test_kidney_by_adaptive_quadrature():
    """Polar coordinates and scipy: nothing in common with the rule inside."""
    u = density(open_target("kidney"))
    value, _ = integrate.dblquad(
        lambda angle, r: r * u(r * math.cos(angle), r * math.sin(angle)), 0, 5, 0, math.pi / 2, epsabs=1e-7
    )
    assert math.log(4 * value) == pytest.approx(1.8775016, abs=1e-6)


def test_many_well_is_the_published_one():
    """Its log Z, the mass of right wells, and where wells and barriers lie; a sampler with equal modes is wrong."""
    target = open_target("many_well")
    u = density(open_target("many_well(dim=2)"))
    line, _ = integrate.quad(lambda x: u(x, 0.0), -6, 6, epsabs=1e-6, epsrel=1e-11)
    right, _ = integrate.quad(lambda x: u(x, 0.0), 0, 6, epsabs=1e-6, epsrel=1e-11)
    assert line == pytest.approx(11784.50927, rel=1e-8)
    assert right / line == pytest.approx(0.84431, abs=5e-6)
    assert target.log_z == pytest.approx(16 * math.log(line * math.sqrt(2 * math.pi)), abs=1e-8)
    assert target.log_z == pytest.approx(164.69568, abs=5e-6)
    assert target.shares == pytest.approx(np.full(16, right / line), abs=1e-7)
    assert target.mean[:2].tolist() == pytest.approx([1.18796, 0], abs=5e-6)
    assert target.variance[:2].tolist() == pytest.approx([1.54855, 1], abs=5e-6)

    def first(v: float) -> float:
        return -float(open_target("many_well(dim=2)").log_prob(torch.tensor([[v, 0.0]], dtype=torch.float64)))

    left, well = (optimize.minimize_scalar(first, bounds=b, method="bounded").x for b in ((-3, -1), (1, 3)))
    top = optimize.minimize_scalar(lambda v: -first(v), bounds=(-1, 1), method="bounded").x
    assert [left, well] == pytest.approx([-1.711, 1.753], abs=1e-3)
    assert [first(top) - first(left), first(top) - first(well)] == pytest.approx([8.15, 9.88], abs=0.01)


def test_many_well_is_independent_copies():
    target, pair = open_target("many_well(dim=6)"), open_target("many_well(dim=2)")
    x = torch.randn(5, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(target.log_prob(x), sum(pair.log_prob(x[:, i : i + 2]) for i in (0, 2, 4)))


def test_double_well_keeps_its_height_in_every_dimension():
    for text in ("double_well", "double_well(dim=2)", "double_well(dim=5)"):
        target = open_target(text)
        x = torch.zeros(3, target.dim, dtype=torch.float64)
        x[:, 0] = torch.tensor([-1.0, 0.0, 1.0])
        assert target.log_prob(x).tolist() == [0, -3, 0]
        assert target.log_z == pytest.approx(0.114006 + (target.dim - 1) * math.log(2 * math.pi) / 2, abs=1e-6)
        assert target.modes[:, 0].tolist() == pytest.approx([-1, 1], abs=1e-3)


def test_gmm40_means_are_those_of_the_global_generator():
    state = torch.get_rng_state()
    torch.manual_seed(0)
    means = (torch.rand((40, 2)) - 0.5) * 2 * 40
    torch.set_rng_state(state)
    target = open_target("gmm40")
    assert torch.equal(target.modes.float(), means)
    assert open_target(f"gmm40(std={math.log1p(math.e)})").name == "gmm40"
    far = target.modes[:1] + torch.tensor([[1.3132616875, 0.0]], dtype=torch.float64)
    assert float(target.log_prob(target.modes[:1]) - target.log_prob(far)) == pytest.approx(0.5, abs=1e-4)
    assert open_target("gmm40_blessing(dim=3)").dim == 3
    assert not torch.equal(open_target("gmm40_blessing(seed=1)").modes, open_target("gmm40_blessing").modes)


def test_funnel_conditionals():
    """Each factor by scipy, and the variance e^{s^2 / 2}."""
    target = open_target("funnel")
    x = np.random.default_rng(0).normal(size=(6, 10)) * 2
    expected = stats.norm(0, 3).logpdf(x[:, 0]) + stats.norm(0, np.exp(x[:, :1] / 2)).logpdf(x[:, 1:]).sum(1)
    assert target.log_prob(torch.from_numpy(x)).numpy() == pytest.approx(expected, rel=1e-12)
    assert target.variance[1:].tolist() == pytest.approx([math.exp(4.5)] * 9)


@pytest.mark.parametrize("df", [1.0, 2.0, 3.5])
def test_student_components(df):
    target = open_target(f"student(dim=3, modes=4, df={df})")
    x = np.random.default_rng(0).normal(size=(5, 3)) * 8
    parts = [stats.t(df, loc=m.numpy()).logpdf(x).sum(1) for m in target.modes]
    expected = np.logaddexp.reduce(parts) - math.log(4)
    assert target.log_prob(torch.from_numpy(x)).numpy() == pytest.approx(expected, rel=1e-12)
    assert target.modes.abs().max() <= 10
    if df == 1:
        assert target.mean is None
        assert target.variance is None
    elif df == 2:
        assert target.variance.isinf().all()
    else:
        assert target.variance == pytest.approx((target.modes.var(0, correction=0) + df / (df - 2)).numpy(), rel=1e-12)


def test_moons_by_fine_averaging():
    """Twenty thousand equal angles instead of Gauss nodes."""
    t = (torch.arange(20_000, dtype=torch.float64) + 0.5) * math.pi / 20_000
    arcs = torch.cat([torch.stack([t.cos(), t.sin()], 1), torch.stack([1 - t.cos(), 0.5 - t.sin()], 1)])
    x = torch.tensor([[0.0, 1.0], [1.0, 0.02], [0.5, 0.3], [-1.05, -0.1]], dtype=torch.float64)
    for noise in (0.05, 0.1, 0.5):
        kernel = torch.exp(-torch.cdist(x, arcs).square() / (2 * noise**2)) / (2 * math.pi * noise**2)
        assert open_target(f"moons(noise={noise})").log_prob(x) == pytest.approx(kernel.mean(1).log(), rel=1e-6)


def test_phi4_is_its_action():
    """Site by site, bond by bond."""
    side, mass, coupling = 3, -1.5, 0.8
    target = open_target(f"phi4(side={side}, mass={mass}, coupling={coupling})")
    field = np.random.default_rng(0).normal(size=(side, side))
    action = 0.0
    for i in range(side):
        for j in range(side):
            here, right, down = field[i, j], field[i, (j + 1) % side], field[(i + 1) % side, j]
            left, up = field[i, j - 1], field[i - 1, j]
            action += here * (4 * here - right - left - up - down) + mass * here**2 + coupling * here**4
    value = target.log_prob(torch.from_numpy(field.reshape(1, -1)))
    assert float(value) == pytest.approx(-action, rel=1e-12)
    assert open_target("phi4").dim == 64
    assert open_target("phi4").log_z is None


def test_logistic_is_likelihood_and_prior(tmp_path):
    rng = np.random.default_rng(0)
    x, y = rng.normal(2, [1, 3], size=(30, 2)), rng.integers(0, 2, 30)
    np.savez(tmp_path / "d.npz", a_x=x.astype(np.float32), a_y=y.astype(np.uint8))
    x = x.astype(np.float32).astype(float)
    design = np.column_stack([np.ones(30), x / x.std(0)])
    b = rng.normal(size=(4, 3))
    p = 1 / (1 + np.exp(-b @ design.T))
    likelihood = (y * np.log(p) + (1 - y) * np.log(1 - p)).sum(1)
    for prior, expected in (("none", likelihood), ("2", likelihood + stats.norm(0, 2).logpdf(b).sum(1))):
        target = open_target(f"logistic('{tmp_path}/d.npz:a', prior={prior})")
        assert target.log_prob(torch.from_numpy(b)).numpy() == pytest.approx(expected, rel=1e-10)
        # Laplace's frame: the gradient vanishes at its centre
        assert target.score(target.centre[None]).abs().max() < 1e-4
        hessian = torch.func.hessian(lambda v, t=target: t.log_prob(v[None])[0])(target.centre)
        torch.testing.assert_close((-hessian).inverse().diagonal().sqrt(), target.scale, rtol=1e-5, atol=0)


def test_a_line_knows_its_normal():
    line = Line(lambda v: -((v - 1) ** 2) / 8, -20, 22)
    assert line.log_z == pytest.approx(math.log(2 * math.sqrt(2 * math.pi)), abs=1e-12)
    assert [line.mean, line.variance] == pytest.approx([1, 4], abs=1e-9)
    assert line.above(2.5) == pytest.approx(stats.norm.sf(0.75), abs=1e-7)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("gaussian(dim=0)", "dim must be a whole number"),
        ("gaussian(dim=3, mean=[1, 2])", "must agree"),
        ("gaussian(std=-1)", "std must be above 0"),
        ("gaussian(dim=3, correlation=-0.6)", "positive definite"),
        ("gaussian(covariance=[[1, 2], [2, 1]])", "least eigenvalue is -1"),
        ("gaussian(covariance=[[1, 2], [0, 9]])", "symmetric"),
        ("gaussian(covariance=[[1, 2], [3]])", "equal length"),
        ("gaussian(covariance=[[1]], std=2)", "not both"),
        ("kidney(width=0)", "width must be above 0"),
        ("kidney(lobe=0.001)", "radius / 100"),
        ("mixture(means=[1, 2], weights=[1, -1])", "weights must be above 0"),
        ("mixture(means=[1, 2], std=[1, 1, 1])", "one number or 2"),
        ("funnel(dim=1)", "in 2.."),
        ("many_well(dim=5)", "even"),
        ("moons(noise=0.001)", "at least 0.01"),
        ("phi4(coupling=0)", "above 0"),
        ("logistic('nowhere.npz:a')", "cannot be read"),
        ("logistic('nowhere.csv')", "file.npz:name"),
        ("lj13(strength=0)", "above 0"),
    ],
)
def test_arguments_out_of_range_are_named(text, words):
    with pytest.raises(UsageError, match=words):
        open_target(text)


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"a_x": np.ones((4, 2)), "b_y": np.ones(4)}, "has no 'a_x' with 'a_y'"),
        ({"a_x": np.eye(4), "a_y": np.arange(4)}, "must hold 0 and 1"),
        ({"a_x": np.ones((4, 2)), "a_y": np.array([0, 1, 0, 1])}, "feature 0 is constant"),
        ({"a_x": np.eye(4), "a_y": np.array([0, 1])}, "must be x"),
        ({"a_x": np.arange(8.0)[:, None], "a_y": np.arange(8) > 3}, "improper"),
    ],
)
def test_data_that_logistic_cannot_use(tmp_path, arrays, words):
    np.savez(tmp_path / "d.npz", **arrays)
    with pytest.raises(UsageError, match=words):
        open_target(f"logistic('{tmp_path}/d.npz:a', prior=none)")
