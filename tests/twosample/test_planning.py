"""How many examples: the formula against its own inverse and against simulation."""

import numpy as np
import pytest

from ganneal.errors import UsageError
from ganneal.twosample import mmd_test, plan_mmd
from ganneal.twosample.planning import _power, _solve, check_power


def test_the_answer_is_the_smallest_size_with_that_power() -> None:
    """Power Phi((sqrt(n) d - c / sqrt(n)) / s), solved by hand: sqrt(n) = (z s + sqrt(z^2 s^2 + 4 c d)) / (2 d)."""
    d, s, c, z = 0.02, 0.3, 1.1, 0.8416212
    root = (z * s + np.sqrt(z**2 * s**2 + 4 * c * d)) / (2 * d)
    found = _solve(d, s, c, 0.8)
    assert found == int(np.ceil(root**2))
    assert _power(found, d, s, c) >= 0.8 > _power(found - 1, d, s, c)
    assert _solve(5.0, 0.1, 0.1, 0.8) == 4
    assert _solve(1e-9, 0.3, 1.1, 0.8) is None


def test_a_planned_size_has_the_power_asked_for() -> None:
    """From a large pilot, so that the plan is good: fresh samples of the planned size are told apart four times in
    five."""
    rng = np.random.default_rng(0)
    plan = plan_mmd(rng.normal(size=(1500, 1)), rng.normal(0.4, 1, size=(1500, 1)), 0.8, kernel=1.0)
    assert plan.low <= plan.n <= (plan.high or plan.n)
    assert plan.pilot_power > 0.99
    hits = sum(
        mmd_test(rng.normal(size=plan.n), rng.normal(0.4, 1, plan.n), kernel=1.0, permutations=199, seed=s).rejected
        for s in range(200)
    )
    assert hits / 200 == pytest.approx(0.8, abs=0.1)


def test_no_difference_no_plan() -> None:
    rng = np.random.default_rng(1)
    with pytest.raises(UsageError, match="no difference to plan for"):
        plan_mmd(rng.normal(size=60), rng.normal(size=60))


@pytest.mark.parametrize(("power", "level"), [(0.04, 0.05), (1.0, 0.05), (0.8, 0.0)])
def test_wrong_requests_are_named(power: float, level: float) -> None:
    with pytest.raises(UsageError, match="allowed"):
        check_power(power, level)
