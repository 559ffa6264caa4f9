"""Annealed importance sampling and sequential Monte Carlo: log Z on known targets, unbiasedness, resampling, errors."""

import math
from dataclasses import replace

import pytest
import torch
from diffusion_laws import F64, LogDensity, double_well, double_well_log_z, kidney, many_well, seeded
from torch import Tensor

from ganneal.diffusion import (
    GaussianBase,
    Particles,
    Plan,
    advance,
    ais,
    ess_share,
    fitted_base,
    gaussian_base,
    launch,
    log_mean_interval,
    move,
    resample,
    smc,
)
from ganneal.errors import RunError, UsageError


def narrow(x: Tensor) -> Tensor:
    """4 N(1, .5^2 I) without its constant, times e^2."""
    return 2 - 2 * (x - 1).square().sum(1)


TARGETS = [
    ("gaussian", narrow, 5, 2.0, 2 + 2.5 * math.log(2 * math.pi / 4)),
    ("double well", double_well, 2, 1.5, 2 * double_well_log_z()),
    ("kidney", kidney, 2, 2.0, 1.87750),
]


@pytest.mark.parametrize("method", [smc, ais])
@pytest.mark.parametrize(("name", "log_prob", "dim", "scale", "log_z"), TARGETS, ids=[t[0] for t in TARGETS])
def test_log_z(method: object, name: str, log_prob: object, dim: int, scale: float, log_z: float) -> None:
    """Six runs each: |error| of every one below .2, of the mean below .06, and at most two 90 % intervals miss
    (chance of three misses by bad luck 2 %; seeds are fixed)."""
    density, errors, missed = LogDensity(log_prob), [], 0  # type: ignore[arg-type]
    for seed in range(6):
        base = gaussian_base(torch.zeros(dim, dtype=F64), scale)
        run = method(density, base, 1024, seeded(seed), level=0.9)  # type: ignore[operator]
        errors.append(run.log_z - log_z)
        missed += not run.interval[0] < log_z < run.interval[1]
        assert run.interval[0] < run.log_z < run.interval[1]
        assert run.plan.betas[-1] == 1
    assert max(map(abs, errors)) < 0.2
    assert abs(sum(errors)) / 6 < 0.06
    assert missed <= 2


def test_many_wells() -> None:
    """32 dimensions: log Z = 164.69568, P(x > 0) = .84431 in each of the 16 wells (.5 would be wrong). Over seeds log Z
    varies by .2 and the share by .02: few of 65536 modes are occupied."""
    base = gaussian_base(torch.zeros(32, dtype=F64), 1.5)
    run = smc(LogDensity(many_well), base, 2048, seeded(0), share=0.95, islands=4)
    assert run.interval[0] < 164.69568 < run.interval[1]
    assert run.log_z == pytest.approx(164.69568, abs=0.4)
    x = run.samples(4000, seeded(1))[:, ::2]
    assert float((x > 0).double().mean()) == pytest.approx(0.84431, abs=0.035)


def test_with_a_plan_the_mean_weight_is_unbiased() -> None:
    """Many short runs on a fixed, coarse ladder, where the log of the mean is far too low but the mean is right: the
    mean of Z over 400 runs of 16 particles within 4 standard errors, for both methods."""
    density, base = LogDensity(narrow), gaussian_base(torch.zeros(5, dtype=F64), 2.0)
    log_z = TARGETS[0][4]
    plan = Plan((0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 1.0), (0.5, 0.4, 0.3, 0.2, 0.15, 0.1, 0.08), (None,) * 7)
    for method in (smc, ais):
        extra = {"islands": 400} if method is smc else {}
        ratios = []
        for seed in range(1 if method is smc else 4):
            n = 6400 if method is smc else 4000
            run = method(density, base, n, seeded(seed), plan=plan, **extra)  # type: ignore[operator]
            values = run.particles.log_z_islands if method is smc else run.particles.log_weight
            ratios.append((values - log_z).exp())
        z = torch.cat(ratios)
        assert float(z.log().mean()) < -0.1
        assert abs(float(z.mean()) - 1) < 4 * float(z.std()) / math.sqrt(len(z))
        assert float(z.std()) / math.sqrt(len(z)) < 0.1


def test_samples_follow_the_law() -> None:
    """Moments of the kidney 3.3035 / 1.3953 and left mass 1/2 from the weighted particles: 8192 of them, standard
    errors about .03, .02, .006 (independent); the bounds allow for the dependence that resampling makes."""
    base = gaussian_base(torch.zeros(2, dtype=F64), 2.0)
    run = smc(LogDensity(kidney), base, 8192, seeded(3))
    for x, w in (
        (run.particles.x, run.particles.weights),
        (run.samples(8192, seeded(4)), torch.full((8192,), 1 / 8192, dtype=F64)),
    ):
        second = (w[:, None] * x.square()).sum(0)
        assert second.tolist() == pytest.approx([3.3035, 1.3953], rel=0.05)
        assert float((w * (x[:, 0] < 0)).sum()) == pytest.approx(0.5, abs=0.03)
    assert run.ess > 0.5
    assert all(0.35 < a < 0.9 for a in run.acceptance)


def test_evaluations_are_counted() -> None:
    for method, n in ((smc, 320), (ais, 300)):
        density = LogDensity(kidney)
        run = method(density, gaussian_base(torch.zeros(2, dtype=F64), 2.0), n, seeded())  # type: ignore[operator]
        assert run.evaluations == density.rows


def test_weights_on_the_way() -> None:
    """Advancing in one step or in three gives the same weights: beta (log u - log r); and mean weights estimate
    int r^(1-beta) u^beta, here in closed form: r = N(0, 4), u = exp(-x^2/2), beta = .5."""
    density, base = LogDensity(lambda x: -0.5 * x.square().sum(1)), gaussian_base(torch.zeros(1, dtype=F64), 2.0)
    particles = launch(density, base, 100_000, seeded())
    assert particles.log_z == 0
    once = advance(particles, density, base, 0.5)
    often = advance(advance(advance(particles, density, base, 0.1), density, base, 0.3), density, base, 0.5)
    assert often.log_weight == pytest.approx(once.log_weight, abs=1e-12)
    r = -0.5 * math.log(2 * math.pi * 4) - particles.x[:, 0] ** 2 / 8
    assert once.log_weight == pytest.approx(0.5 * (-0.5 * particles.x[:, 0] ** 2 - r), abs=1e-12)
    precision = 0.5 + 0.125
    expected = -0.25 * math.log(2 * math.pi * 4) + 0.5 * math.log(2 * math.pi / precision)
    assert once.log_z == pytest.approx(expected, abs=0.01)
    assert advance(once, density, base, 0.0).log_weight.abs().max() < 1e-12
    assert once.evaluations == particles.evaluations == density.rows


def test_systematic_resampling() -> None:
    """Row i is copied floor(n w) or ceil(n w) times, n w on average; the mean weight of an island does not change."""
    n = 6
    weight = torch.tensor([0.5, 0.1, 0.2, 0.05, 0.15, 0.0, 0.0, 0.3, 0.3, 0.3, 0.05, 0.05], dtype=F64)
    x = torch.arange(2 * n, dtype=F64)[:, None]
    log_weight = weight.log() + torch.tensor([1.0, 3.0], dtype=F64).repeat_interleave(n)
    particles = Particles(x, x[:, 0], x, log_weight, 0.5, 7, islands=2)
    generator, counts = seeded(), torch.zeros(2 * n, dtype=F64)
    for _ in range(2000):
        new = resample(particles, generator)
        row = torch.bincount(new.x[:, 0].long(), minlength=2 * n).double()
        assert bool(((row - n * weight).abs() < 1).all())
        counts += row / 2000
        assert torch.equal(new.value, new.x[:, 0])
    assert counts == pytest.approx(n * weight, abs=0.06)
    assert new.log_z_islands == pytest.approx(particles.log_z_islands, abs=1e-12)
    assert new.log_z == pytest.approx(particles.log_z, abs=1e-12)
    assert new.log_weight[:n] == pytest.approx(torch.full((n,), 1 - math.log(6), dtype=F64))


@pytest.mark.parametrize("dim", [1, 2, 10])
def test_share_of_effective_samples(dim: int) -> None:
    """N(0, I) from N(0, 4 I): .6614 per dimension (by 4e5 draws; the weights are bounded)."""
    x = 2 * torch.randn(400_000, dim, generator=seeded(), dtype=F64)
    log_weight = (-0.5 * x.square() + x.square() / 8).sum(1) + 3000
    assert ess_share(log_weight) == pytest.approx(0.6614**dim, rel=0.03)
    assert ess_share(torch.zeros(7)) == pytest.approx(1.0)


def test_interval_of_a_mean_of_exponentials() -> None:
    """Student's interval on the scale of exp: 3, 5, 7 have mean 5, standard error 2/sqrt(3), quantile 4.3027."""
    values = torch.tensor([3.0, 5.0, 7.0], dtype=F64).log()
    half = 4.302653 * 2 / math.sqrt(3)
    low, high = log_mean_interval(values + 1000)
    assert high - 1000 == pytest.approx(math.log(5 + half), abs=1e-5)
    assert low - 1000 == pytest.approx(math.log(5 - half), abs=1e-5)
    assert log_mean_interval(torch.tensor([0.0, 10.0]))[0] == -math.inf


def test_the_base() -> None:
    factor = torch.tensor([[1.0, 0.0], [0.5, 2.0]], dtype=F64)
    base = GaussianBase(torch.tensor([1.0, -1.0], dtype=F64), factor)
    law = torch.distributions.MultivariateNormal(base.mean, scale_tril=factor)
    x = base.draw(50_000, seeded())
    value, score = base.value_and_score(x)
    assert value == pytest.approx(law.log_prob(x), abs=1e-10)
    assert score == pytest.approx(-(x - base.mean) @ torch.linalg.inv(factor @ factor.T), abs=1e-9)
    assert x.T.cov() == pytest.approx(factor @ factor.T, abs=0.1)
    refitted = fitted_base(x, widen=1.5)
    assert refitted.factor @ refitted.factor.T == pytest.approx(2.25 * factor @ factor.T, rel=0.05, abs=0.05)


def test_single_precision_particles() -> None:
    run = smc(LogDensity(kidney), gaussian_base(torch.zeros(2), 2.0), 2048, seeded())
    assert run.particles.x.dtype == torch.float32
    assert run.particles.log_weight.dtype == F64
    assert run.log_z == pytest.approx(1.8775, abs=0.15)


def test_zero_weights_are_allowed_and_others_refused() -> None:
    class Half(LogDensity):
        """A Gaussian on x > 0 only."""

        def value_and_score(self, x: Tensor) -> tuple[Tensor, Tensor]:
            value, score = super().value_and_score(x)
            return torch.where(x[:, 0] > 0, value, -math.inf), torch.where(x > 0, score, math.nan)

    base = gaussian_base(torch.zeros(1, dtype=F64), 2.0)
    run = smc(Half(lambda x: -0.5 * x.square().sum(1)), base, 4096, seeded())
    assert run.log_z == pytest.approx(0.5 * math.log(2 * math.pi) - math.log(2), abs=0.05)
    assert bool((run.samples(100, seeded())[:, 0] > 0).all())
    for bad in (math.nan, math.inf):
        density = LogDensity(lambda x, bad=bad: torch.where(x[:, 0] > 2, bad, -(x[:, 0] ** 2)))
        with pytest.raises(RunError, match="nan or"):
            launch(density, base, 100, seeded())
    nowhere = LogDensity(lambda x: torch.full_like(x[:, 0], -math.inf) + 0 * x[:, 0])
    with pytest.raises(RunError, match="weights are all zero"):
        smc(nowhere, base, 64, seeded())
    particles = launch(LogDensity(narrow), base, 8, seeded())
    with pytest.raises(RunError, match="not finite"):
        advance(replace(particles, value=particles.value * math.nan), LogDensity(narrow), base, 0.5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda d, b: advance(launch(d, b, 8, seeded()), d, b, 1.5), "beta: got 1.5"),
        (lambda d, b: launch(d, b, 10, seeded(), islands=3), "n a multiple of islands"),
        (lambda d, b: smc(d, b, 64, seeded(), islands=1), "islands: got 1"),
        (lambda d, b: smc(d, b, 64, seeded(), share=1.0), "0 < share < 1"),
        (lambda d, b: gaussian_base(torch.zeros(2), -1.0), "positive diagonal"),
        (lambda d, b: GaussianBase(torch.zeros(2), torch.ones(3, 3)), r"\[d\] and \[d, d\]"),
        (lambda d, b: fitted_base(torch.zeros(1, 2)), "n > 1"),
        (lambda d, b: log_mean_interval(torch.zeros(1)), "at least 2 values"),
    ],
)
def test_errors(call: object, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        call(LogDensity(narrow), gaussian_base(torch.zeros(5, dtype=F64), 2.0))  # type: ignore[operator]


def test_moves_leave_the_middle_of_the_path_invariant() -> None:
    """r = N(0, 4), u = exp(-x^2 / 2): at beta = .5 precision .625. Start there, move: the variance stays (1 %)."""
    density, base = LogDensity(lambda x: -0.5 * x.square().sum(1)), gaussian_base(torch.zeros(1, dtype=F64), 2.0)
    x = torch.randn(100_000, 1, generator=seeded(), dtype=F64) / math.sqrt(0.625)
    value, score = density.value_and_score(x)
    particles = Particles(x, value, score, torch.zeros(100_000, dtype=F64), 0.5, 0)
    moved, acceptance = move(particles, density, base, 1.5, seeded(1), moves=10)
    assert 0.2 < acceptance < 0.95
    assert float(moved.x.var()) == pytest.approx(1.6, rel=0.02)
    assert torch.equal(moved.value, density.value_and_score(moved.x)[0])
