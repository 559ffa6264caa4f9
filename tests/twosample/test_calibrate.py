"""Calibration: what is drawn, what is counted, and that a test above its level is named."""

from typing import Any

import pytest
import torch

from ganneal.cli.tables import calibration_table
from ganneal.errors import UsageError
from ganneal.twosample import TestResult, battery, calibrate
from ganneal.twosample.calibrate import gaussians, splits


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_the_alternative_is_the_null_moved_by_the_effect() -> None:
    null, other = gaussians(400, 3, 0.7)
    x, y = null(generator())
    a, b = other(generator())
    assert torch.equal(x, a)
    moved = b - y
    assert torch.equal(moved, moved[:1].expand_as(moved).clone()) or float(moved.std(0).max()) < 1e-12
    assert float(moved[0].norm()) == pytest.approx(0.7)


def test_halves_of_data_are_disjoint_and_move_in_units_of_their_columns() -> None:
    data = torch.randn(50, 2, generator=generator()) * torch.tensor([1.0, 100.0])
    null, other = splits(data, 0.5)
    x, y = null(generator(1))
    assert (len(x), len(y)) == (25, 25)
    assert len({tuple(row.tolist()) for row in torch.cat([x, y])}) == 50
    a, b = other(generator(1))
    shift = (b - y)[0] / data.double().std(0)
    assert torch.equal(a, x)
    assert float(shift.norm()) == pytest.approx(0.5, rel=1e-6)
    with pytest.raises(UsageError, match="half of them"):
        splits(data, 0.5, n=26)


def test_size_and_power_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sound test holds its level and finds the shift; one that always rejects is named, one that never does not."""

    def made(pvalue: float) -> Any:
        return lambda x, y, seed, level: TestResult("made", 0.0, pvalue, level, len(x), len(y))

    entries = battery.TESTS.entries | {"always": lambda: made(0.001), "never": lambda: made(1.0)}
    monkeypatch.setattr(battery.TESTS, "entries", entries)
    found = calibrate(["mmd(permutations=99)", "always", "never"], *gaussians(40, 1, 1.2), replications=100)
    sound, always, never = found
    assert sound.valid
    assert sound.size.share < 0.12 < 0.9 < sound.power.share
    assert (always.size.hits, always.power.hits, always.valid) == (100, 100, False)
    assert (never.size.hits, never.power.hits, never.valid) == (0, 0, True)
    table = calibration_table(found)
    assert "above their level: always" in table
    assert table.count("ABOVE ITS LEVEL") == 1
    assert "no test is above" in calibration_table([sound])
    with pytest.raises(UsageError, match="at least 20"):
        calibrate(["never"], *gaussians(40, 1, 1), replications=5)
