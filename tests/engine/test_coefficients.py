"""The table of coefficients is the schedules, evaluated one by one."""

import pytest
import torch

from ganneal.engine.coefficients import Coefficients
from ganneal.penalties import PENALTIES
from ganneal.schedules import schedule

LIKE = torch.zeros((), dtype=torch.float64)
STEPS, PROGRESS = [0, 1, 2, 3, 4, 5, 6], [k / 6 for k in range(7)]


def test_a_single_game_gets_plain_numbers() -> None:
    ramp = schedule("linear(-0.8->0, hold=0.2)")
    table = Coefficients({"lambda_likelihood": ramp, "lr.critic": schedule(0.5)}, [], 0.9, None).table(
        STEPS, PROGRESS, [0.5], LIKE
    )
    assert [row["lambda_likelihood"].item() for row in table] == pytest.approx([ramp(t) for t in PROGRESS])
    assert [row["lr.critic"].item() for row in table] == [0.25] * 7
    assert all(value.dim() == 0 and value.dtype == torch.float64 for row in table for value in row.values())


def test_the_average_forgets_the_initial_parameters() -> None:
    table = Coefficients({}, [], 0.5, None).table([0, 1, 8, 100], [0, 0, 0, 0], [1.0], LIKE)
    assert [row["average"].item() for row in table] == [0.1, pytest.approx(2 / 11), 0.5, 0.5]


def test_a_lazy_penalty_is_absent_between_and_weighted_where_it_is() -> None:
    penalties = [
        PENALTIES.build("r1r2(gamma=0.5, every=3)"),
        PENALTIES.build("gp(weight=10)"),
        PENALTIES.build("spectral"),
    ]
    table = Coefficients({}, penalties, 0.9, None).table(STEPS, PROGRESS, [1.0], LIKE)
    assert [step for step, row in zip(STEPS, table, strict=True) if "r1r2" in row] == [0, 3, 6]
    assert table[3]["r1r2"].item() == 1.5
    assert [row["gp"].item() for row in table] == [10.0] * 7
    assert all("spectral" not in row for row in table)


def test_members_have_their_own_schedules_and_guarded_rates() -> None:
    each = schedule("each(0, -0.5, linear(0->0.6))")
    penalty = PENALTIES.build("r1r2(gamma=each(1, 2, 3), every=2)")
    coefficients = Coefficients({"lambda_likelihood": each, "lr.generator": schedule(0.1)}, [penalty], 0.9, 3)
    table = coefficients.table(STEPS, PROGRESS, [1.0, 0.5, 0.0], LIKE)
    torch.testing.assert_close(table[2]["lambda_likelihood"], torch.tensor([0, -0.5, 0.2], dtype=torch.float64))
    torch.testing.assert_close(table[2]["lr.generator"], torch.tensor([0.1, 0.05, 0], dtype=torch.float64))
    torch.testing.assert_close(table[2]["r1r2"], torch.tensor([2.0, 4, 6], dtype=torch.float64))
    assert coefficients.values("lambda_likelihood", 1.0) == pytest.approx([0, -0.5, 0.6])
    assert all(value.shape == (3,) for row in table for value in row.values())
