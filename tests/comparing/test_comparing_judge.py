"""Scores of perfect and of broken samples: floors, ceilings, and what a missed mode costs."""

import math

import pytest
import torch

from ganneal.comparing import Judge
from ganneal.data import open_source
from ganneal.engine.config import make
from ganneal.metrics import histogram_kl, mode_coverage
from ganneal.twosample.energy import mean_distance


@pytest.fixture(scope="module")
def judge() -> Judge:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ganneal.engine.verdict.MOST", 60)
        patch.setattr("ganneal.comparing.judging.REFERENCE", 1000)
        return Judge(open_source("ring8"), make({"source": "ring8", "permutations": 19}))


def _perfect(judge: Judge, seed: int, n: int = 2500) -> torch.Tensor:
    return judge.source.sample(n, torch.Generator().manual_seed(seed))


def test_perfect_samples_score_at_the_floor(judge: Judge) -> None:
    rows = [judge.row(_perfect(judge, seed), seed) for seed in range(6)]
    perfect = judge.perfect()
    for key, tolerance in (("divergence", 0.35), ("kl", 0.35), ("energy", 0.7)):
        mean = sum(row[key] for row in rows) / len(rows)
        assert mean == pytest.approx(perfect[key], rel=tolerance)
    assert perfect["divergence"] == pytest.approx(8 / (2 * 2500), rel=0.03)  # K / (2 n), K + 1 cells
    assert {row["modes"] for row in rows} == {8}
    assert sum(row["high_quality"] for row in rows) / 6 == pytest.approx(0.9889, abs=3e-3)


def test_the_floor_of_the_energy_distance_is_its_mean() -> None:
    """(1/m + 1/n) E|y - y'|, over references and samples drawn anew."""
    judge = Judge(open_source("spiral"), make({"source": "spiral", "permutations": 19}))
    rng, values, floors = torch.Generator().manual_seed(0), [], []
    judge.draws = 150
    for _ in range(80):
        judge.reference = judge.source.sample(100, rng).double()
        judge.inner = mean_distance(judge.reference, judge.reference)
        values.append(judge.quick(judge.source.sample(150, rng)))
        floors.append(judge.perfect()["energy"])
    assert sum(values) / 80 == pytest.approx(sum(floors) / 80, rel=0.15)


def test_a_missed_mode_costs_its_logarithm(judge: Judge) -> None:
    assert judge.source.modes is not None
    modes = judge.source.modes
    x = modes[:6].repeat(400, 1)  # two of eight missed, none outside
    ceiling = judge.perfect()["high_quality"]
    found = judge.row(x, 0)
    assert found["divergence"] == pytest.approx(math.log(8 / 6 / ceiling), abs=1e-9)
    assert (found["modes"], found["kl"]) == (6, pytest.approx(math.log(8 / 6)))


def test_samples_between_modes_cost_too(judge: Judge) -> None:
    good = _perfect(judge, 0, 1250)
    half = torch.cat([good, torch.zeros(1250, 2)])
    found, ceiling = judge.row(half, 0), judge.perfect()["high_quality"]
    assert found["kl"] < 0.01  # the histogram alone sees nothing
    inside = 0.5 * math.log(0.5 / ceiling) + 0.5 * math.log(0.5 / (1 - ceiling))
    assert found["divergence"] == pytest.approx(inside, rel=0.03)


def test_samples_that_are_not_finite_have_the_worst_divergence_and_no_distance(judge: Judge) -> None:
    found = judge.row(torch.full((2500, 2), torch.nan), 0)
    assert (found["modes"], found["high_quality"], found["kl"], found["energy"], found["p"]) == (
        0,
        0.0,
        None,
        None,
        None,
    )
    assert found["divergence"] == pytest.approx(-math.log(1 - judge.perfect()["high_quality"]))
    assert judge.quick(torch.full((100, 2), torch.nan)) == found["divergence"]


def test_without_modes_the_energy_distance_ranks() -> None:
    judge = Judge(open_source("spiral"), make({"source": "spiral", "permutations": 19}))
    assert judge.score == "energy"
    good = judge.row(_perfect(judge, 0), 0)
    shifted = judge.row(_perfect(judge, 0) + 0.5, 0)
    assert shifted["energy"] > 10 * good["energy"]
    assert shifted["p"] < good["p"]
    assert "modes" not in good


@pytest.mark.parametrize(("within", "share"), [(3.0, 0.98889), (3 * math.sqrt(2), 0.99988)])
def test_ceilings_by_rule(within: float, share: float) -> None:
    """P(chi2_2 <= r^2) = 1 - exp(-r^2 / 2): 98.89 % at 3 standard deviations, 99.99 % at 3 sqrt(2)."""
    source = open_source("ring8")
    found = mode_coverage(source.sample(20_000, torch.Generator().manual_seed(0)), source.modes, source.spread, within)
    assert found.high_quality_ceiling == pytest.approx(share, abs=1e-5)
    assert found.high_quality == pytest.approx(share, abs=2.5e-3)
    box = math.erf(3 / math.sqrt(2)) ** 2  # the rule |dx| < 3 std and |dy| < 3 std
    assert box == pytest.approx(0.9946, abs=1e-4)


def test_the_floor_of_the_kl_of_a_thousand_modes() -> None:
    """Twenty multinomial draws of 26,000 over 1,000 modes: 0.0193 +- 0.0006 for each, (K - 1) / (2 N) = 0.0192."""
    rng = torch.Generator().manual_seed(0)
    weights = torch.full((1000,), 1e-3, dtype=torch.float64)
    found = [
        histogram_kl(torch.bincount(torch.randint(1000, (26_000,), generator=rng), minlength=1000), weights)
        for _ in range(20)
    ]
    assert sum(found) / 20 == pytest.approx(0.0193, abs=6e-4)


def test_the_ring_has_eight_different_centres() -> None:
    modes = open_source("ring8").modes
    assert modes is not None
    assert len(modes) == 8
    assert float(torch.pdist(modes).min()) == pytest.approx(2 * 2 * math.sin(math.pi / 8), abs=1e-5)
