"""T8: packed total variation of a collapsed and of a spread model at the same distance from the data."""

import pytest

from ganneal.errors import UsageError
from ganneal.metrics.packing import packed_total_variation


@pytest.mark.parametrize(
    ("m", "collapsed", "spread"), [(1, 0.2, 0.2), (2, 0.36, 0.24), (3, 0.488, 0.284), (4, 0.590, 0.339)]
)
def test_packing_tells_a_missing_part_from_a_little_everywhere(m: int, collapsed: float, spread: float) -> None:
    """Data U[0, 1]; one model misses a fifth, the other has density .6 on one half and 1.4 on the other."""
    assert packed_total_variation([0.2, 0.8], [0, 1], m) == pytest.approx(collapsed, abs=5e-4)
    assert packed_total_variation([0.5, 0.5], [0.3, 0.7], m) == pytest.approx(spread, abs=5e-4)


@pytest.mark.parametrize("bad", [([0.5, 0.6], [0.5, 0.5], 2), ([1.0], [0.5, 0.5], 2), ([1.0], [1.0], 0)])
def test_wrong_requests_are_named(bad: tuple) -> None:
    with pytest.raises(UsageError, match="allowed"):
        packed_total_variation(*bad)
