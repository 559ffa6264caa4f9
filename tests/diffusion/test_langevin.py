"""Langevin steps: closed forms of the biased and the adjusted chain, both clocks, and invariance of u^beta."""

import math

import pytest
import torch
from diffusion_laws import F64, LogDensity, double_well, kidney, seeded
from torch import Tensor

from ganneal.diffusion import Chains, langevin, mala, run_mala, start, ula
from ganneal.diffusion.gaussian_base import gaussian_base
from ganneal.errors import RunError, UsageError

NORMAL = LogDensity(lambda x: -0.5 * x.square().sum(1))
WELL = LogDensity(double_well)


def well_variance(beta: float) -> float:
    x = torch.linspace(-4, 4, 8001, dtype=F64)
    weight = (-3 * beta * (x**2 - 1) ** 2).exp()
    return float((weight * x**2).sum() / weight.sum())


@pytest.mark.parametrize(
    ("k", "beta", "step", "expected"),
    [(1.0, 1.0, 0.1, 1.05263), (1.0, 1.0, 0.5, 1.33333), (2.0, 3.0, 0.2, 1 / (6 * 0.8))],
)
@pytest.mark.parametrize("clock", ["entropy", "likelihood"])
def test_the_variance_of_the_unadjusted_chain(k: float, beta: float, step: float, expected: float, clock: str) -> None:
    """1 / (beta k (1 - k h / 2)) on the entropy clock, h / beta on the other. Standard error of the mean square over
    20000 chains 1 %, averaged over 20 late states: about .5 %. Bounds at 3 %: fails by chance below 1e-6."""
    density = LogDensity(lambda x: -k * x.square().sum(1) / 2)
    generator = seeded(3)
    chains = start(density, torch.randn(20000, 1, generator=generator, dtype=F64))
    total, h = 0.0, step if clock == "entropy" else step / beta
    for t in range(80):
        chains = ula(density, chains, beta, h, generator, clock=clock)
        total += float(chains.x.square().mean()) / 40 if t >= 40 else 0.0
    assert total == pytest.approx(expected, rel=0.03)
    assert chains.evaluations == 20000 * 81


@pytest.mark.parametrize("clock", ["entropy", "likelihood"])
def test_one_unadjusted_step_is_its_formula(clock: str) -> None:
    """Mean x + a h g, variance 2 b h, with a / b = beta: 2e5 draws, standard errors below .3 %."""
    x, beta, h = 0.7, 0.25, 0.05
    chains = ula(WELL, start(WELL, torch.full((200_000, 1), x, dtype=F64)), beta, h, seeded(), clock=clock)
    a, b = (1.0, 1 / beta) if clock == "entropy" else (beta, 1.0)
    slope = -12 * x * (x**2 - 1)
    assert float(chains.x.mean()) == pytest.approx(x + a * h * slope, abs=5 * math.sqrt(2 * b * h / 2e5))
    assert float(chains.x.var()) == pytest.approx(2 * b * h, rel=0.016)


@pytest.mark.parametrize("beta", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("clock", ["entropy", "likelihood"])
def test_adjusted_steps_leave_the_law_invariant(beta: float, clock: str) -> None:
    """Start from exact draws of u^beta (inverse distribution function on a grid): after 20 large steps, of which many
    are refused, mean square and fourth moment have not moved. 5 standard errors."""
    generator, n = seeded(1), 100_000
    grid = torch.linspace(-4, 4, 40001, dtype=F64)
    mass = (-3 * beta * (grid**2 - 1) ** 2).exp().cumsum(0)
    x = grid[torch.searchsorted(mass / mass[-1], torch.rand(n, generator=generator, dtype=F64))][:, None]
    chains, moved = start(WELL, x), 0.0
    for _ in range(20):
        chains, accepted = mala(WELL, chains, beta, 0.08, generator, clock=clock)
        moved += float(accepted.double().mean()) / 20
    assert 0.2 < moved < 0.97
    for power in (2, 4):
        weight = (-3 * beta * (grid**2 - 1) ** 2).exp()
        expected = float((weight * grid**power).sum() / weight.sum())
        error = float((chains.x**power).std()) / math.sqrt(n)
        assert abs(float((chains.x**power).mean()) - expected) < 5 * error
    assert torch.equal(chains.value, WELL.value_and_score(chains.x)[0])
    assert chains.evaluations == 21 * n


def test_a_chain_far_out_in_a_light_tail_comes_back() -> None:
    """From x = 8 the plain proposal overshoots, is refused and stays; the truncated one arrives, and its law is right
    (2000 chains, 40 late states: 3 % is 5 standard errors)."""
    chains, plain, generator = start(WELL, torch.full((2000, 1), 8.0, dtype=F64)), 0, seeded(6)
    stuck = chains
    total = 0.0
    for t in range(400):
        chains, _ = mala(WELL, chains, 0.5, 0.05, generator)
        stuck, moved = mala(WELL, stuck, 0.5, 0.05, generator, bound=float("inf"))
        plain += int(moved.sum())
        total += float(chains.x.square().mean()) / 40 if t % 5 == 0 and t >= 200 else 0.0
    assert plain == 0
    assert total == pytest.approx(well_variance(0.5), rel=0.03)


@pytest.mark.parametrize("factor", ["none", "diagonal", "full"])
def test_detailed_balance_of_one_step(factor: str) -> None:
    """P(A to B) = P(B to A) from the stationary law N(0, S), S = [[1, .8], [.8, 2]], also with a preconditioner: flows
    between {x1 > 0} and its complement, and between {x1 > x2} and its, in 4e5 draws agree to 5 standard errors."""
    covariance = torch.tensor([[1.0, 0.8], [0.8, 2.0]], dtype=F64)
    precision = torch.linalg.inv(covariance)
    density = LogDensity(lambda x: -0.5 * ((x @ precision) * x).sum(1))
    root = torch.linalg.cholesky(covariance)
    generator, n = seeded(5), 400_000
    x = torch.randn(n, 2, generator=generator, dtype=F64) @ root.T
    chosen = {"none": None, "diagonal": torch.tensor([1.0, 1.4], dtype=F64), "full": root}[factor]
    chains, accepted = mala(density, start(density, x), 1.0, 0.9, generator, factor=chosen)
    assert 0.3 < float(accepted.double().mean()) < 0.98
    assert chains.x.T.cov() == pytest.approx(covariance, abs=5 * 3 / math.sqrt(n))
    radius = (lambda v: (v @ precision * v).sum(1) > 1.4), (lambda v: v[:, 0] > v[:, 1] + 0.5), (lambda v: v[:, 1] > 1)
    for inside in radius:
        before, after = inside(x), inside(chains.x)
        there, back = int((before & ~after).sum()), int((~before & after).sum())
        assert abs(there - back) < 5 * math.sqrt(there + back)


def test_the_preconditioner_makes_the_law_round() -> None:
    """With L the factor of its covariance, N(0, LL') is to the step what N(0, I) is: equal acceptance, standard error
    .1 %. (A drift of LLg instead of LL'g would still be exact, and refuse more.)"""
    root = torch.tensor([[1.0, 0.0], [3.0, 0.5]], dtype=F64)
    precision = torch.linalg.inv(root @ root.T)
    density = LogDensity(lambda x: -0.5 * ((x @ precision) * x).sum(1))
    white = torch.randn(200_000, 2, generator=seeded(), dtype=F64)
    _, plain = mala(NORMAL, start(NORMAL, white), 1.0, 0.8, seeded(1))
    _, shaped = mala(density, start(density, white @ root.T), 1.0, 0.8, seeded(1), factor=root)
    assert float(shaped.double().mean()) == pytest.approx(float(plain.double().mean()), abs=1e-3)


def test_the_tempered_path_with_a_base() -> None:
    """log pi = beta log u + (1 - beta) log r with r = N(3, 4), u = exp(-x^2/2): precision .5 + .5/4 at beta = .5 and
    mean (.5 * 3/4) / precision."""
    base = gaussian_base(torch.tensor([3.0], dtype=F64), 2.0)
    precision = 0.5 + 0.125
    generator = seeded(2)
    chains = start(NORMAL, torch.randn(20000, 1, generator=generator, dtype=F64))
    for _ in range(60):
        chains, _ = mala(NORMAL, chains, 0.5, 0.8, generator, clock="likelihood", base=base)
    assert float(chains.x.mean()) == pytest.approx(0.375 / precision, abs=0.05)
    assert float(chains.x.var()) == pytest.approx(1 / precision, rel=0.05)


def test_each_chain_may_have_its_own_temperature_and_step() -> None:
    beta = torch.tensor([0.5, 2.0], dtype=F64).repeat_interleave(20000)
    generator = seeded(4)
    chains = start(NORMAL, torch.randn(40000, 1, generator=generator, dtype=F64))
    for _ in range(60):
        chains, _ = mala(NORMAL, chains, beta, 0.7 / beta, generator, clock="likelihood")
    assert float(chains.x[:20000].var()) == pytest.approx(2.0, rel=0.06)
    assert float(chains.x[20000:].var()) == pytest.approx(0.5, rel=0.06)


def test_the_adapted_run_reaches_its_acceptance_and_law() -> None:
    """5-D Gaussian with standard deviations 1 to 10: the preconditioned run accepts .574 +- .06 and has the right
    variances within 10 % (200 chains, 400 kept states; without preconditioning the widest would be far off)."""
    scale = torch.tensor([1.0, 2.0, 4.0, 7.0, 10.0], dtype=F64)
    density = LogDensity(lambda x: -0.5 * (x / scale).square().sum(1))
    run = run_mala(density, torch.randn(200, 5, generator=seeded(), dtype=F64), 600, seeded(1), precondition=True)
    assert run.acceptance == pytest.approx(0.574, abs=0.06)
    assert run.samples.var(0) == pytest.approx(scale**2, rel=0.1)
    assert run.draws.shape == (400, 200, 5)
    assert run.evaluations == 601 * 200
    plain = run_mala(WELL, torch.randn(300, 1, generator=seeded(), dtype=F64), 1200, seeded(1), beta=0.5)
    assert float(plain.samples.square().mean()) == pytest.approx(well_variance(0.5), rel=0.03)


def test_places_where_log_u_is_not_finite_are_refused() -> None:
    class Exponential:
        def value_and_score(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return torch.where(x[:, 0] > 0, -x[:, 0], -torch.inf), -torch.ones_like(x)

    half, generator = Exponential(), seeded()
    chains = start(half, torch.ones(20000, 1, dtype=F64))
    for _ in range(200):
        chains, _ = mala(half, chains, 1.0, 0.3, generator)
    assert bool((chains.x > 0).all())
    assert float(chains.x.mean()) == pytest.approx(1.0, abs=0.05)
    with pytest.raises(RunError, match="not finite at 2 of 3"):
        start(half, torch.tensor([[-1.0], [1.0], [-3.0]]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"clock": "likelyhood"}, "did you mean 'likelihood'"),
        ({"step": 0.0}, "step: got 0.0"),
        ({"step": float("nan")}, "step: got nan"),
        ({"beta": -1.0}, "beta: got -1.0"),
        ({"base": gaussian_base(torch.zeros(1), 1.0)}, "allowed with a base"),
    ],
)
def test_errors(arguments: dict[str, object], message: str) -> None:
    chains = Chains(torch.zeros(2, 1), torch.zeros(2), torch.zeros(2, 1))
    with pytest.raises(UsageError, match=message):
        mala(NORMAL, chains, **{"beta": 1.0, "step": 0.1, "generator": seeded(), **arguments})  # type: ignore[arg-type]


def test_the_same_seed_gives_the_same_bits() -> None:
    x = torch.randn(50, 2, generator=seeded())
    one, two = (run_mala(WELL, x, 30, seeded(7), precondition=True) for _ in range(2))
    assert torch.equal(one.draws, two.draws)


# many particles


def test_ornstein_uhlenbeck_in_time() -> None:
    """psi = k x^2 / 2: mean m0 e^-kt, variance 1/(beta k) + (v0 - 1/(beta k)) e^-2kt on the entropy clock; time runs
    beta times as fast on the other. 1e5 particles: standard errors .3 %; step error k h / 2 = .5 %."""
    k, beta = 2.0, 0.5
    density = LogDensity(lambda x: -k * x.square().sum(1) / 2)
    x0 = 3 + 2 * torch.randn(50_000, 2, generator=seeded(), dtype=F64)
    for clock, speed in (("entropy", 1.0), ("likelihood", beta)):
        paths = langevin(density, x0, beta, 0.6, 0.005, seeded(1), clock=clock, record=(0.0, 0.3))
        assert torch.equal(paths.x[0], x0)
        assert paths.times == pytest.approx((0.0, 0.3, 0.6))
        for t, x in zip(paths.times, paths.x, strict=True):
            fall = math.exp(-k * speed * t)
            assert float(x.mean()) == pytest.approx(3 * fall, abs=0.03)
            assert float(x.var(0).mean()) == pytest.approx(1 / (beta * k) + (4 - 1 / (beta * k)) * fall**2, rel=0.02)
        assert paths.evaluations == 50_000 * 120


@pytest.mark.parametrize(
    ("beta", "clock", "left"),
    [
        (1, "entropy", (0.008, 0.030, 0.061)),
        ("linear(0.05->1, hold=0.2)", "likelihood", (0.032, 0.115, 0.247)),
    ],
)
def test_annealing_fills_the_left_lobe_of_the_kidney(beta: object, clock: str, left: tuple[float, ...]) -> None:
    """Left fractions at T = 2, 5, 10 from the right lobe. 10000 particles: standard errors .001 to .004, as have the
    specification's numbers (20000 particles). Bounds: 4 standard errors of the difference, and .003 for the step."""
    x0 = torch.tensor([2.0, 0.0]) + 0.3 * torch.randn(10_000, 2, generator=seeded())
    for time, expected in zip((2.0, 5.0, 10.0), left, strict=True):
        x = langevin(LogDensity(kidney), x0, beta, time, 0.01, seeded(int(time)), clock=clock).final
        share = float((x[:, 0] < 0).double().mean())
        assert share == pytest.approx(expected, abs=0.003 + 4 * math.sqrt(expected * (1 - expected) * 1.5e-4))


def test_threads_do_not_change_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ganneal.diffusion.paths.BLOCK", 64)
    x0 = torch.randn(500, 2, generator=seeded())
    one, two = (langevin(WELL, x0, 1.0, 0.1, 0.01, seeded(1), threads=k).final for k in (1, 2))
    assert torch.equal(one, two)
    assert not torch.equal(one, langevin(WELL, x0, 1.0, 0.1, 0.01, seeded(2)).final)


def test_errors_of_many_particles() -> None:
    x0 = torch.full((10, 1), 50.0)
    with pytest.raises(RunError, match=r"10 of 10 particles left finite numbers; take a smaller dt than 0\.1"):
        langevin(WELL, x0, 1.0, 2.0, 0.1, seeded())
    for arguments, message in (
        ({"beta": "linear(-0.5->1)"}, "beta: reaches -0.4"),
        ({"beta": "each(1, 2)"}, "allowed: one schedule"),
        ({"time": 0.001}, "0 < dt <= time"),
        ({"record": (3.0,)}, "times from 0 to 1"),
        ({"clock": "entrpy"}, "did you mean 'entropy'"),
        ({"threads": 0}, "at least 1"),
    ):
        with pytest.raises(UsageError, match=message):
            langevin(WELL, x0, **{"beta": 1.0, "time": 1.0, "dt": 0.1, "generator": seeded(), **arguments})  # type: ignore[arg-type]
