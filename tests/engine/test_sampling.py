"""Training from a density: every sampler trains, is judged, counts its evaluations, and goes on bit by bit."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import ganneal as gn
from ganneal.api import settle
from ganneal.data import open_source
from ganneal.engine.config import complete
from ganneal.engine.events import read
from ganneal.engine.guard import PATIENCE, SIGNS, Guard
from ganneal.engine.judging import drawn, estimated_log_q, exact_log_q
from ganneal.engine.pace import Pace, effective_share
from ganneal.engine.trainer import Trainer
from ganneal.errors import RunError, UsageError
from ganneal.schedules import Adaptive, schedule
from ganneal.solvers import OPTIMIZERS
from ganneal.targets import Frame, Framed, Target

SMALL: dict[str, dict[str, Any]] = {
    "exact": {"sampler": "exact", "network": "flow(kind=affine, layers=2, width=8)"},
    "spline": {"sampler": "exact", "network": "flow(kind=spline, layers=2, width=8)"},
    "reference": {"recipe": "target-reference", "network": "mlp(width=8, skip=true)"},
    "score": {
        "recipe": "target-reference", "sampler": "score", "network": "mlp(width=8)", "model_score": "dsm(width=8)",
    },
    "stein": {"recipe": "target-reference", "sampler": "score", "network": "mlp(width=8)", "model_score": "stein"},
    "weighted": {"recipe": "target-reference", "sampler": "weighted", "network": "mlp(width=8)"},
    "replay": {"recipe": "target-reference", "sampler": "replay", "network": "mlp(width=8)"},
    "replay, adaptive": {
        "recipe": "target-reference", "sampler": "replay", "network": "mlp(width=8)", "beta": "adaptive(0.05->1)",
    },
    "adaptive": {
        "sampler": "exact", "network": "flow(kind=affine, layers=2, width=8)", "beta": "adaptive(0.05->1)",
    },
    "entropy clock": {
        "sampler": "exact", "network": "flow(kind=affine, layers=2, width=8)", "clock": "entropy",
    },
}  # fmt: skip
COMMON = {"batch": 32, "steps": 40, "log_every": 10, "checkpoint_every": 320, "permutations": 99, "reference": "none"}


def trainer(name: str, source: Any = "target:kidney", **more: Any) -> Trainer:
    data = open_source(source, dim=more.get("dim"))
    given = {"source": "target:kidney", **COMMON, **SMALL[name], **more}
    return Trainer(settle(complete(given, "target"), data), data)


@pytest.mark.parametrize("name", ["spline", "reference", "score", "replay"])
def test_a_run_is_judged(name: str, tmp_path: Path) -> None:
    whole = gn.train("target:kidney", out=str(tmp_path / "whole"), **COMMON, **SMALL[name])
    verdict = whole.verdict
    assert verdict is not None
    assert verdict["samplers"][0]["ksd"]["n"] > 0
    assert verdict["evaluations"] > 0
    assert whole.sample(5).shape == (5, 2)
    assert whole.sample(5).dtype == np.float64


@pytest.mark.parametrize("name", SMALL)
def test_a_run_resumes_bit_by_bit(name: str) -> None:
    first = trainer(name)
    first.advance(17)
    first.check({})
    tree, meta = first.snapshot()
    second = trainer(name)
    second.restore(tree, meta)
    for one in (first, second):
        one.advance(23)
        one.check({})
    assert torch.equal(first.sample(64), second.sample(64))
    assert first.looked == second.looked
    assert first.evaluations == second.evaluations
    assert first.temperature(39) == second.temperature(39)


@pytest.mark.parametrize("name", ["exact", "reference", "score", "weighted"])
def test_members_of_a_population_train_as_they_would_alone(name: str) -> None:
    together = trainer(name, population=3, precision="float64", seed=4)
    together.advance(15)
    alone = trainer(name, precision="float64", seed=5)
    alone.advance(15)
    averages = together.state.averages["generator"]
    for key, value in alone.state.averages["generator"].items():
        assert torch.allclose(averages[key][1], value, atol=1e-9)


@pytest.mark.parametrize("known", [True, False], ids=["log Z known", "log Z unknown"])
@pytest.mark.parametrize("population", [1, 3])
@pytest.mark.parametrize("name", ["exact", "reference", "score", "weighted", "adaptive", "replay"])
def test_every_evaluation_of_a_density_is_counted(name: str, population: int, known: bool) -> None:
    seen = [0]

    def log_prob(x: Tensor) -> Tensor:
        seen[0] += len(x)
        return -x.square().sum(1) / 2

    one = torch.ones(2, dtype=torch.float64)
    log_z = math.log(2 * math.pi) if known else None
    target = Target(
        name="counted", dim=2, log_prob=log_prob, opaque=True, centre=0 * one, scale=one, log_z=log_z
    )  # fmt: skip
    if name == "replay":
        population = 1
    source = open_source(target)
    source.look()  # type: ignore[attr-defined]
    made = trainer(name, source, population=population)
    made.advance(30)
    made.check({})
    assert made.evaluations == seen[0]
    tree, meta = made.snapshot()
    again = trainer(name, open_source(target), population=population)
    again.restore(tree, meta)
    assert again.evaluations == made.evaluations


def test_samples_carry_the_noise_of_the_model() -> None:
    """Before training a skipping generator is the identity: variance 1 + noise^2 in the frame."""
    made = trainer("reference", noise="0.75")
    assert float(made.sample(20_000).var()) == pytest.approx(1 + 0.75**2, rel=0.03)


def test_an_adaptive_temperature_weighs_the_target_against_the_model() -> None:
    """u = N(0, .05^2) in a frame of 1, the model near N(0, 1): only far below beta = 1 does half of the samples count.
    Weights to precision p = 400 beta have the share (sqrt(2 p - 1) / p)^2 in two dimensions, 1/2 at p = 2 + sqrt 2."""
    one = torch.ones(2, dtype=torch.float64)
    narrow = Target(
        name="narrow", dim=2, log_prob=lambda x: -x.square().sum(1) * 200, centre=0 * one, scale=one
    )  # fmt: skip
    made = trainer("adaptive", open_source(narrow), beta="adaptive(0.0025->1)", steps=1000, lr_generator="0")
    made.advance(11)
    assert made.pace is not None
    assert made.pace.betas[0] * 400 == pytest.approx(2 + math.sqrt(2), rel=0.15)


def test_particles_are_drawn_by_their_weight() -> None:
    made = trainer("replay")
    assert made.replay is not None
    heavy = torch.full_like(made.replay.particles.log_weight, -30.0)
    heavy[7] = 0.0
    made.replay.particles = replace(made.replay.particles, log_weight=heavy)
    drawn = made.replay.sample(50, torch.Generator().manual_seed(0))
    assert torch.equal(drawn, made.replay.particles.x[7].expand(50, 2))


def test_a_frame_far_from_the_origin_keeps_its_digits() -> None:
    """Centre 1e6, width 1: in float32 positions would be rounded to 1/16 of a width."""
    centre, one = torch.full((2,), 1e6, dtype=torch.float64), torch.ones(2, dtype=torch.float64)
    target = Target(name="far", dim=2, log_prob=lambda x: -(x - centre.to(x)).square().sum(1) / 2)
    framed = Framed(target, Frame(centre, torch.diag(one)))
    y = torch.randn(64, 2, generator=torch.Generator().manual_seed(0))
    value, score = framed.value_and_score(y)
    assert value.dtype == torch.float32
    assert torch.allclose(score, -y, atol=1e-6)


def test_a_black_box_trains_like_the_same_function_in_the_open() -> None:
    def log_prob(x: Tensor) -> Tensor:
        return -x.square().sum(1) / 2 - x[:, 0].pow(4) / 4

    one = torch.ones(2, dtype=torch.float64)
    made = [
        trainer("exact", Target(name="f", dim=2, log_prob=log_prob, opaque=o, centre=0 * one, scale=one), population=2)
        for o in (True, False)
    ]
    for each in made:
        each.advance(10)
    assert torch.equal(made[0].sample(16, member=1), made[1].sample(16, member=1))


def test_fit_density_finds_a_density_far_from_the_origin(tmp_path: Path) -> None:
    mean, factor = torch.tensor([300.0, -20.0]), torch.tensor([[0.1, 0.0], [2.0, 1.0]])

    def log_prob(x: Tensor) -> Tensor:
        z = torch.linalg.solve_triangular(factor.to(x), (x - mean.to(x)).T, upper=False)
        return -z.square().sum(0) / 2

    options = {**COMMON, "steps": 300, "batch": 128} | {"network": "flow(kind=affine, layers=4, width=16)"}
    run = gn.fit_density(log_prob, dim=2, out=str(tmp_path / "run"), **options)
    x = run.sample(4000)
    assert x.mean(0) == pytest.approx(mean.numpy(), abs=0.3)
    assert np.cov(x.T) == pytest.approx((factor @ factor.T).numpy(), abs=0.6)
    found = run.verdict["samplers"][0]["importance"]  # type: ignore[index]
    assert found["ess_share"] > 0.9
    assert found["low"] < math.log(2 * math.pi) + math.log(0.1) < found["high"]
    again = gn.Run(run.folder)
    assert np.array_equal(again.sample(50), run.sample(50))  # drawing needs no density
    with pytest.raises(UsageError, match="pass it again"):
        again.trainer().advance(1)
    with pytest.raises(UsageError, match="expected a function"):
        gn.fit_density("ring8", dim=2)
    assert gn.Run(run.folder, log_prob).trainer().source.target.dim == 2  # type: ignore[attr-defined]


def test_the_run_folder_holds_the_frame_and_events_count_evaluations(tmp_path: Path) -> None:
    run = gn.train("target:kidney", out=str(tmp_path / "run"), **COMMON, **SMALL["exact"])
    assert (run.folder / "frame.npz").is_file()
    steps = [e for e in read(run.folder / "events.jsonl") if e["event"] == "step"]
    counts = [e["evaluations"] for e in steps]
    assert np.diff(counts).tolist() == [320] * 3
    assert 256 < counts[0] - 320 < 1000  # what the checks looked at before
    assert steps[-1]["beta"] == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"network": "mlp"}, "exact needs a generator with a density"),
        ({"noise": "0.1"}, "exact takes none"),
        ({"objective": "jsd"}, "must be rkl"),
        ({"sampler": "score", "network": "mlp", "model_score": "exact"}, "model's score is not known"),
        ({"network": "flow", "latent": 5}, "latent=2"),
        ({"sampler": "replay", "network": "mlp", "beta": "linear(1->0.2)"}, "must rise"),
        ({"sampler": "replay", "network": "mlp", "population": 2}, "one cloud"),
        ({"latent_law": "uniform"}, "needs normal latent"),
        ({"compile": "on"}, "cannot be compiled"),
        ({"beta": "adaptive(1->0.05)"}, "hot to cold"),
        ({"beta": "adaptive(0.05->1, ess=2)"}, "between 0 and 1"),
        ({"beta": "each(adaptive(0.05->1), 1)", "population": 2}, "one schedule for all members"),
    ],
)
def test_what_does_not_fit_is_said(options: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=said):
        gn.train("target:kidney", out=str(tmp_path / "run"), **{**COMMON, **options})
    assert not (tmp_path / "run").exists()


def test_a_density_that_is_zero_in_places_is_refused(tmp_path: Path) -> None:
    def half(x: Tensor) -> Tensor:
        return torch.where(x[:, 0] > -1, -x.square().sum(1) / 2, -torch.inf)

    with pytest.raises(UsageError, match="transform to unconstrained coordinates"):
        gn.fit_density(half, dim=2, out=str(tmp_path / "run"), **COMMON)


def test_an_adaptive_temperature_is_for_densities(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="adaptive is for densities"):
        gn.train("ring8", steps=10, beta="adaptive(0.1->1)", out=str(tmp_path / "run"))


def test_the_pace_is_the_largest_beta_with_enough_effective_samples() -> None:
    """Model at N(0, 1) = mu_beta of u = exp(-a x^2 / 2) for beta a = 1. Weights to precision p = beta' a have the
    effective share sqrt(2 p - 1) / p, which is 1/2 at p = 4 + 2 sqrt 3."""
    x = torch.special.ndtri((torch.arange(200_000, dtype=torch.float64) + 0.5) / 200_000)
    a = 20.0
    pace = Pace(Adaptive("geometric", 1 / a, 1.0, 0.2, ess=0.5), "likelihood", 1)
    shares = pace.move(0.0, (-a * x.square() / 2)[None], (-x.square() / 2)[None])
    assert pace.betas[0] * a == pytest.approx(4 + 2 * math.sqrt(3), rel=1e-3)
    assert shares[0] == pytest.approx(0.5, abs=1e-6)
    assert pace.forced == [0]
    assert pace.lambdas()["lambda_likelihood"][0] == pytest.approx(pace.betas[0] - 1)
    pace.move(0.8, (-a * x.square() / 2)[None], (-x.square() / 2)[None])
    assert pace.betas == [1.0]  # the ramp has arrived and takes the model along
    assert pace.forced == [1]
    entropy = Pace(Adaptive("geometric", 0.5, 1.0, 0.2), "entropy", 1)
    assert entropy.lambdas() == {"lambda_likelihood": [0.0], "lambda_entropy": [1.0]}


def test_a_temperature_never_goes_back() -> None:
    pace = Pace(Adaptive("geometric", 0.1, 1.0, 0.2), "likelihood", 1, [0.7])
    wrong = torch.linspace(0, 500, 64, dtype=torch.float64)[None]
    pace.move(0.0, wrong, torch.zeros_like(wrong))
    assert pace.betas == [0.7]


def test_the_effective_share_has_its_ends() -> None:
    assert float(effective_share(torch.zeros(1, 8))) == 1
    assert float(effective_share(torch.tensor([[0.0] + [-1e9] * 7]))) == pytest.approx(1 / 8)
    assert float(effective_share(torch.tensor([[math.nan, 0.0]]))) == 0


def test_an_adaptive_schedule_is_a_geometric_ramp_at_least() -> None:
    built = schedule("adaptive(0.05->1, ess=0.3, hold=0.25)")
    assert isinstance(built, Adaptive)
    assert (built.ess, built(0.0), built(0.75)) == pytest.approx((0.3, 0.05, 1.0))
    assert built(0.375) == pytest.approx(math.sqrt(0.05))


@pytest.mark.parametrize(("sign", "value"), [("reach", 16.0), ("lag", 1.5), ("share", 0.001), ("held", 0.3)])
def test_the_guard_names_signs_without_going_back(sign: str, value: float) -> None:
    guard = Guard(2)
    signs = {"spread": torch.ones(2), sign: torch.tensor([value, torch.nan])}
    finite = torch.ones(2, dtype=torch.bool)
    looks = []
    for _ in range(PATIENCE + 2):
        assert guard.judge(finite, signs) == {}
        looks.append(guard.notice(signs))
    assert [len(found) for found in looks] == [0] * (PATIENCE - 1) + [1, 0, 0]  # once, not at every look
    (member, problem, _) = looks[PATIENCE - 1][0]
    assert member == 0
    assert SIGNS[problem].of == sign
    assert guard.trusted() == [0, 1]
    assert Guard(2, **guard.state()) == guard


def test_freeze_out_is_spread_lost_in_the_hold() -> None:
    guard = Guard(1)
    assert bool(guard.held(torch.tensor([3.0]), holding=False).isnan())
    assert float(guard.held(torch.tensor([2.0]), holding=True)) == 1
    assert float(guard.held(torch.tensor([0.5]), holding=True)) == 0.25


def test_weights_of_a_buffer_that_are_not_finite_are_refused() -> None:
    one = torch.ones(2, dtype=torch.float64)

    def log_prob(x: Tensor) -> Tensor:
        return torch.where(x[:, 0] > 0, torch.full_like(x[:, 0], math.nan), -x.square().sum(1) / 2)

    broken = Target(name="broken", dim=2, log_prob=log_prob, opaque=True, centre=0 * one, scale=one)
    with pytest.raises(RunError, match="nan"):
        trainer("replay", broken)


@pytest.mark.parametrize("name", ["exact", "reference"])
def test_the_density_of_a_model_is_that_of_its_samples_in_the_users_coordinates(name: str) -> None:
    """Before training a skipping generator is the identity and a flow is near it: in the frame x ~ N(0, 1 + noise^2),
    outside 3 and 5 times as wide, around (10, 20)."""
    centre, scale = torch.tensor([10.0, 20.0]).double(), torch.tensor([3.0, 5.0]).double()
    target = Target(name="f", dim=2, log_prob=lambda x: -x.square().sum(1), centre=centre, scale=scale)
    made = trainer(name, open_source(target))
    source = made.source
    points, log_q = drawn(made, source, 0, 400, seed=3), exact_log_q(made, source, 0)  # type: ignore[arg-type]
    values = log_q(points) if log_q else estimated_log_q(made, source, 0, 400, seed=3)  # type: ignore[arg-type]
    assert values is not None
    sigma = math.sqrt(1 + made.noise() ** 2) * scale
    z = (points - centre) / sigma
    expected = -z.square().sum(1) / 2 - sigma.log().sum() - math.log(2 * math.pi)
    assert float((values - expected).mean()) == pytest.approx(0, abs=0.15)


def test_particles_that_stand_for_data_are_resampled_and_follow_an_adaptive_temperature() -> None:
    made = trainer("replay")
    assert made.replay is not None
    for beta in (0.3, 1.0):
        made.replay.follow(beta)
    weights = made.replay.particles.log_weight
    assert float(effective_share(weights[None])) > 0.49
    assert made.replay.log_z == pytest.approx(1.8775, abs=0.4)
    made = trainer("replay")
    assert made.replay is not None
    made.replay.follow(0.2)
    ratio, base = made.replay.weighing()
    weights = 0.2 * ratio[0] - base[0]  # at the present beta: the particles' own weights
    assert torch.allclose(weights, made.replay.particles.log_weight)


def test_the_force_of_a_density_is_clipped_as_configured() -> None:
    assert trainer("exact", score_clip=7.0).assembly.game.clip == 7.0  # type: ignore[union-attr]


def test_the_moments_of_a_reference_are_a_running_average_whatever_the_optimizer() -> None:
    made = trainer("reference", optimizer="adam")
    assert made.assembly.optimizers["moments"] == OPTIMIZERS.build("sgd")
    assert made.assembly.optimizers["critic"] == OPTIMIZERS.build("adam")


def test_a_source_of_a_density_gives_its_exact_draws() -> None:
    source = open_source("target:kidney")
    values, labels = source.examples(7, torch.Generator().manual_seed(0))
    assert values.shape == (7, 2)
    assert labels is None
    y = source.sample(5, torch.Generator().manual_seed(1))
    assert source.decode(y) == pytest.approx(
        source.target.sample(5, torch.Generator().manual_seed(1)).numpy(),
        abs=1e-5,  # type: ignore[attr-defined]
    )


def test_a_frame_and_back() -> None:
    frame = Frame(torch.tensor([1.0, 2.0]).double(), torch.tensor([[2.0, 0.0], [1.0, 3.0]]).double())
    y = torch.randn(4, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert torch.allclose(frame.inward(frame.outward(y)), y)
    assert frame.log_det == pytest.approx(math.log(6))
