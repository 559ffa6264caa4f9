"""Judging samplers: which fault is seen by which number, exact shares, floors, moments, and what is refused."""

import dataclasses
import json
import math

import numpy as np
import pytest
import torch
from scipy.stats import binom, binomtest, norm

from ganneal.errors import UsageError
from ganneal.metrics.floors import distance_with_floor
from ganneal.metrics.membership import shares, shares_pvalue
from ganneal.metrics.moments import moments
from ganneal.metrics.sampler import judge
from ganneal.targets.target import Target
from ganneal.twosample.multiplicity import holm
from ganneal.twosample.transport import wasserstein

SHARES = torch.tensor([0.7, 0.3], dtype=torch.float64)
CENTRES = torch.tensor([[3.0, 0.0], [-3.0, 0.0]], dtype=torch.float64)
LOG_Z = 2.5


def components(x: torch.Tensor, shares: torch.Tensor = SHARES) -> torch.Tensor:
    return shares.log() - (x[:, None] - CENTRES).square().sum(2) / 2 - math.log(2 * math.pi)


def log_density(x: torch.Tensor) -> torch.Tensor:
    return components(x).logsumexp(1)


def draw(n: int, generator: torch.Generator, share: float = 0.7) -> torch.Tensor:
    left = (torch.rand(n, generator=generator, dtype=torch.float64) >= share).long()
    return CENTRES[left] + torch.randn(n, 2, generator=generator, dtype=torch.float64)


PAIR = Target(
    name="pair", dim=2, log_prob=lambda x: log_density(x) + LOG_Z, log_z=LOG_Z,
    mean=torch.tensor([1.2, 0.0], dtype=torch.float64), variance=torch.tensor([8.56, 1.0], dtype=torch.float64),
    membership=lambda x: components(x).softmax(1), shares=SHARES, members=("right", "left"), draw=draw,
)  # fmt: skip


def samples(n: int = 400, share: float = 0.7, seed: int = 0) -> torch.Tensor:
    return draw(n, torch.Generator().manual_seed(seed), share)


FAULTS = {
    "none": (samples(), set()),
    "wide": (samples() * 1.3, {"ksd", "energy", "mmd"}),
    "shifted": (samples() + torch.tensor([0.0, 0.5]), {"ksd", "energy", "mmd"}),
    "half and half": (samples(share=0.5), {"energy", "mmd", "shares"}),
    "one mode": (samples(share=1.0), {"energy", "mmd", "shares"}),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_which_fault_is_seen_by_what(fault: str) -> None:
    """The Stein test sees no wrong weight of a far mode; shares see nothing else."""
    x, expected = FAULTS[fault]
    found = judge(PAIR, x, permutations=199)
    assert set(found.rejected) == expected
    assert found.reference == "2400 exact draws"
    assert found.reference_exact
    if not expected:
        assert found.sentence().startswith("pair, 400 samples: no misfit found, which is no proof (ksd p = ")
        assert found.total_variation < 0.06
    else:
        assert "wrong by " in found.sentence()
    if fault in ("wide", "one mode"):
        assert found.distance("W2").excess > 0.5
    if fault == "one mode":
        assert found.total_variation == pytest.approx(0.3, abs=0.01)
        # only the first column moves: W2 of the line, from quantiles of the two-mode law and of N(3, 1)
        grid = np.linspace(-9, 9, 200_001)
        mixture = 0.7 * norm.cdf(grid - 3) + 0.3 * norm.cdf(grid + 3)
        u = (np.arange(100_000) + 0.5) / 100_000
        exact = np.sqrt(np.mean((np.interp(u, mixture, grid) - 3 - norm.ppf(u)) ** 2))
        assert found.distance("W2").value == pytest.approx(exact, rel=0.06)


def test_a_perfect_sampler_is_rejected_at_the_level() -> None:
    """40 replications at level .05: 8 or more rejections happen by chance once in 1,500 runs."""
    rejected = sum(bool(judge(PAIR, samples(60, seed=s), permutations=99, seed=s).rejected) for s in range(40))
    assert rejected <= 7


def test_p_values_are_adjusted_together() -> None:
    found = judge(PAIR, samples(share=0.6), permutations=19)
    raw = [found.ksd.pvalue, found.mmd.pvalue, found.energy.pvalue, shares_pvalue(found.shares)]
    assert list(found.adjusted.values()) == holm(raw)
    assert list(found.adjusted.values()) != raw


def test_the_order_of_samples_and_reference_does_not_matter() -> None:
    """Both sorted by what log u sees and by the mode, and cut to half of them."""
    x, truth = samples(400, seed=1), samples(400, seed=2)
    x, truth = (v[PAIR.log_prob(v).argsort()] for v in (x, truth))
    by_height = judge(PAIR, x, reference=truth, permutations=99)
    assert by_height.distance("W2 of log u").size == 200
    assert by_height.distance("W2 of log u").value < 0.3
    assert by_height.distance("W2 of log u").floor < 0.3
    x, truth = (v[v[:, 0].argsort()] for v in (x, truth))
    by_mode = judge(PAIR, x, reference=truth, permutations=99)
    assert by_mode.distance("W2").value < 1.5
    assert by_mode.distance("W2").floor < 1.5
    assert not by_mode.rejected


def test_log_z_and_bounds() -> None:
    """The sampler with equal weights of the modes: E_q log w and E_mu log w by the two discrete divergences."""
    even = torch.tensor([0.5, 0.5], dtype=torch.float64)

    def log_q(x: torch.Tensor) -> torch.Tensor:
        return components(x, even).logsumexp(1)

    found = judge(PAIR, samples(1000, share=0.5), log_q, permutations=19)
    weights = found.importance
    assert weights.ess_share == pytest.approx(1 / (2 * (0.49 + 0.09)), abs=0.02)
    assert found.log_z_error == weights.log_z - LOG_Z
    assert abs(found.log_z_error) < 4 * weights.standard_error < 0.06
    reverse = 0.5 * math.log(0.5 / 0.7) + 0.5 * math.log(0.5 / 0.3)
    forward = 0.7 * math.log(0.7 / 0.5) + 0.3 * math.log(0.3 / 0.5)
    assert weights.lower_bound == pytest.approx(LOG_Z - reverse, abs=5 * weights.lower_error)
    assert weights.upper_bound == pytest.approx(LOG_Z + forward, abs=5 * weights.upper_error)
    assert weights.upper_error < 0.01
    assert "(exactly 2.5)" in found.sentence()
    # values say the same about samples, but nothing about exact draws; an inexact reference bounds nothing
    values = judge(PAIR, samples(1000, share=0.5), log_q(samples(1000, share=0.5)), samples(60), permutations=19)
    assert values.importance.log_z == weights.log_z
    assert values.importance.upper_bound is None
    given = judge(PAIR, samples(100), log_q, samples(200, seed=1), permutations=19, estimated_log_q=True)
    assert given.importance.upper_bound is None
    assert "log q itself estimated" in given.sentence()
    assert "200 samples taken for the truth" in given.sentence()
    known = judge(PAIR, samples(100), log_q, samples(200, seed=1), permutations=19, exact=True)
    assert known.importance.exact == 200


def test_it_says_what_it_cannot_know() -> None:
    bare = Target(name="bare", dim=2, log_prob=PAIR.log_prob)
    found = judge(bare, samples(50), permutations=19)
    assert (found.mmd, found.energy, found.importance, found.moments, found.reference) == (None,) * 5
    assert (found.shares, found.distances, found.total_variation, found.log_z_error) == ((), (), None, None)
    assert list(found.adjusted) == ["ksd"]
    assert found.evaluations == 50
    assert found.sentence().endswith("; no ESS and no log Z without log q; no reference.")
    weighed = judge(bare, samples(50), log_density, permutations=19)
    assert "(no exact value known)" in weighed.sentence()
    stored = judge(dataclasses.replace(bare, reference=samples(100, seed=2)), samples(50), permutations=19)
    assert stored.reference == "100 stored samples of the target"
    assert not stored.reference_exact
    assert not stored.moments.exact


def test_no_w2_where_the_second_moment_is_infinite() -> None:
    def student(x: torch.Tensor) -> torch.Tensor:
        return -1.5 * torch.log1p(x.square() / 2).sum(1)

    heavy = Target(
        name="student", dim=1, log_prob=student, mean=torch.zeros(1), variance=torch.full((1,), math.inf),
        draw=lambda n, g: torch.randn(n, 1, generator=g) / torch.empty(n, 1).exponential_(generator=g).sqrt(),
    )  # fmt: skip
    found = judge(heavy, heavy.sample(200, torch.Generator().manual_seed(0)), permutations=99)
    assert [d.name for d in found.distances] == ["energy", "W2 of log u"]
    assert found.moments is None
    assert not found.rejected
    assert "no W2 without second moments" in found.sentence()


def test_evaluations_are_counted_and_judgements_repeat() -> None:
    rows = []

    def counted(x: torch.Tensor) -> torch.Tensor:
        rows.append(len(x))
        return PAIR.log_prob(x)

    target = dataclasses.replace(PAIR, log_prob=counted, opaque=True)
    found = judge(target, samples(100), log_density, permutations=19, seed=5)
    assert found.evaluations == sum(rows) == 100 + 600
    again = judge(target, samples(100), log_density, permutations=19, seed=5)
    assert found == again
    assert judge(target, samples(100), log_density, permutations=19, seed=6) != again
    told = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert told["sentence"] == found.sentence()
    assert told["shares"][1]["name"] == "left"
    assert told["ksd"]["pvalue"] == found.ksd.pvalue


def test_a_chain_keeps_its_order() -> None:
    """Each of 40 exact points repeated ten times: independent signs call that wrong, slow signs do not."""
    x = samples(40, seed=1).repeat_interleave(10, 0)
    assert judge(PAIR, x, permutations=199).ksd.pvalue < 0.02
    assert judge(PAIR, x, permutations=199, change=0.05).ksd.pvalue > 0.05


@pytest.mark.parametrize(("count", "n", "truth"), [(0, 20, 0.1), (3, 20, 0.4), (20, 20, 0.9), (57, 100, 0.5)])
def test_shares_of_indicators_are_exact(count: int, n: int, truth: float) -> None:
    """Clopper-Pearson and the two tails of the binomial, by SciPy."""
    hit = torch.arange(n) < count
    members = torch.stack([hit, ~hit], 1).double()
    found = shares(members, torch.tensor([truth, 1 - truth], dtype=torch.float64), ("hit", "miss"), level=0.1)
    interval = binomtest(count, n).proportion_ci(0.95, method="exact")
    assert (found[0].low, found[0].high) == pytest.approx((interval.low, interval.high), abs=1e-9)
    tails = 2 * min(binom.cdf(count, n, truth), binom.sf(count - 1, n, truth))
    assert found[0].pvalue == pytest.approx(min(1.0, tails), abs=1e-9)
    assert found[1].pvalue == pytest.approx(found[0].pvalue, abs=1e-9)
    assert shares_pvalue(found) == pytest.approx(min(1.0, 2 * found[0].pvalue))
    assert found[0].wrong == (not interval.low <= truth <= interval.high)


@pytest.mark.parametrize(("n", "truth", "expected"), [(100, 0.0, 0.0), (100, 1.0, 0.0)])
def test_a_mode_that_must_be_empty_or_full(n: int, truth: float, expected: float) -> None:
    half = (torch.arange(n) % 2).double()[:, None]
    assert shares(half, torch.tensor([truth]).double())[0].pvalue == expected
    assert shares(torch.full((n, 1), truth).double(), torch.tensor([truth]).double())[0].pvalue == 1.0


def test_shares_of_responsibilities_keep_the_level() -> None:
    """Overlapping components, 400 replications: more than 8 % at level .05 happens once in 200 runs at exactly .05; the
    interval is conservative."""
    generator = torch.Generator().manual_seed(0)
    wrong = 0
    for _ in range(400):
        left = (torch.rand(50, generator=generator) >= 0.7).double()
        x = 2 - 4 * left + 2 * torch.randn(50, generator=generator, dtype=torch.float64)
        share = 0.7 / (0.7 + 0.3 * torch.exp(-(x + 2).square() / 8 + (x - 2).square() / 8))
        wrong += shares(share[:, None], torch.tensor([0.7]).double())[0].wrong
    assert wrong / 400 <= 0.05


def test_the_floor_is_that_of_disjoint_pairs_at_the_same_size() -> None:
    seen = []

    def mean_gap(a: torch.Tensor, b: torch.Tensor) -> float:
        seen.append((a, b))
        return float((a.mean() - b.mean()).abs())

    reference = torch.arange(40.0).double()[:, None]
    found = distance_with_floor("gap", mean_gap, torch.full((9, 1), 100.0).double(), reference, most=8)
    assert (found.size, found.pairs) == (8, 2)
    assert (found.floor, found.floor_spread) == (8.0, 0.0)
    assert found.value == pytest.approx((100 - 3.5 + 100 - 19.5) / 2)
    assert found.excess == found.value - 8
    assert all(len(a) == len(b) == 8 for a, b in seen)
    single = distance_with_floor("gap", mean_gap, torch.zeros(9, 1).double(), reference[:11])
    assert (single.size, single.pairs, single.floor_spread) == (5, 1, None)
    with pytest.raises(UsageError, match="at least 8"):
        distance_with_floor("gap", mean_gap, torch.zeros(9, 1), reference[:7])


def test_the_w2_floor_of_the_mixture_of_forty() -> None:
    """Published for 1,000 against 1,000: 4.159 +- .604 (means of torch seed 0, deviation softplus(1))."""
    torch_seed_0 = torch.Generator().manual_seed(0)
    means = (torch.rand(40, 2, generator=torch_seed_0) - 0.5) * 80
    chosen = torch.randint(40, (6000,), generator=torch_seed_0)
    x = (means[chosen] + math.log1p(math.e) * torch.randn(6000, 2, generator=torch_seed_0)).double()
    found = distance_with_floor("W2", wasserstein, x[4000:5000], x[:4000])
    assert (found.size, found.pairs) == (1000, 2)
    assert 3.0 < found.floor < 5.4
    assert 3.0 < found.value < 5.4


def test_moments_against_the_truth() -> None:
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(20_000, 3, dtype=torch.float64, generator=generator)
    mean, variance = torch.tensor([1.0, -2.0, 0.0]), torch.tensor([4.0, 9.0, math.inf])
    x = noise * torch.tensor([2.0, 1.5, 1.0]) + torch.tensor([1.6, -2.0, 7.0])
    found = moments(x, mean, variance)
    assert found.mean_error == pytest.approx(0.3 / math.sqrt(2), abs=0.02)
    assert found.mean_floor == pytest.approx(1 / math.sqrt(20_000))
    assert (found.least_ratio, found.most_ratio) == pytest.approx((0.5, 1.0), abs=0.02)
    assert (found.least_at, found.most_at, found.coordinates, found.exact) == (1, 0, 2, True)
    reference = torch.randn(5000, 3, dtype=torch.float64, generator=generator) * 2
    against = moments(x, None, variance, reference)
    assert (against.coordinates, against.exact) == (2, False)
    assert against.mean_floor == pytest.approx(math.sqrt(1 / 20_000 + 1 / 5000))
    assert against.mean_error == pytest.approx(math.sqrt((0.8**2 + 1) / 2), abs=0.05)
    assert moments(x, mean, None) is None
    floors = [moments(noise[i : i + 50], torch.zeros(3), torch.ones(3)).mean_error ** 2 for i in range(0, 20_000, 50)]
    assert np.mean(floors) == pytest.approx(1 / 50, rel=0.15)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"samples": torch.randn(50, 3)}, "samples: got 3 columns; allowed: 2, as pair has"),
        ({"samples": torch.full((50, 2), math.nan)}, "NaN or infinity"),
        ({"reference": torch.randn(50, 1)}, "reference: got 1 columns; allowed: 2"),
        ({"reference": torch.randn(6, 2)}, "at least 8"),
        ({"log_q": torch.zeros(3)}, r"log_q: got shape \(3,\); allowed: \(50,\)"),
        ({"log_q": lambda x: x}, r"log_q: got shape \(50, 2\)"),
        ({"log_q": torch.full((50,), math.inf)}, "log_weights: 50 of 50 are NaN or infinite"),
        ({"permutations": 3}, "at least 19"),
        ({"level": 2.0}, "level: got 2.0"),
        ({"target": dataclasses.replace(PAIR, log_prob=lambda x: (x[:, 0] - 2).log())}, "not finite at [0-9]+ of 50"),
        ({"target": dataclasses.replace(PAIR, members=("right",))}, "equally many"),
        ({"target": dataclasses.replace(PAIR, membership=lambda x: 2 * components(x).softmax(1))}, "outside"),
    ],
)
def test_wrong_requests_are_refused(change: dict, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        judge(**{"target": PAIR, "samples": samples(50), "permutations": 19, **change})
