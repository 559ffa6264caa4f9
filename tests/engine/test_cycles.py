"""A line in the spectrum is told from red noise: the size of the test, its power, the period, and what is no cycle."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy.signal import lfilter

from ganneal.engine.cycles import LEAST, MOST, find_cycle

Draw = Callable[[np.random.Generator, int], np.ndarray]


def autoregression(random: np.random.Generator, n: int, phi: float) -> np.ndarray:
    return np.asarray(lfilter([1.0], [1.0, -phi], random.standard_normal(n + 300)))[300:]


NOISES: dict[str, Draw] = {
    "white": lambda r, n: r.standard_normal(n),
    "AR(1), 0.5": lambda r, n: autoregression(r, n, 0.5),
    "AR(1), 0.9": lambda r, n: autoregression(r, n, 0.9),
    "AR(1), 0.97": lambda r, n: autoregression(r, n, 0.97),
    "random walk": lambda r, n: r.standard_normal(n).cumsum(),
    "AR(1) under white noise": lambda r, n: autoregression(r, n, 0.95) + 2 * r.standard_normal(n),
    "heavy tails": lambda r, n: r.standard_t(3, n),
    "transient": lambda r, n: 3 * np.exp(-3 * np.arange(n) / n) + 0.1 * r.standard_normal(n),
    "trend": lambda r, n: np.linspace(0, 5, n) + 0.3 * r.standard_normal(n),
}


@pytest.mark.parametrize("noise", NOISES)
def test_noise_is_no_cycle(noise: str) -> None:
    """P(p <= 0.05) <= 0.12 in 100 series: three standard errors above the level."""
    random = np.random.default_rng(0)
    found = [find_cycle(NOISES[noise](random, 120), seed=k, simulations=99) for k in range(100)]
    assert np.mean([c is not None and c.pvalue <= 0.05 for c in found]) <= 0.12
    assert not any(c is not None and c.pvalue < 1e-4 for c in found)


@pytest.mark.parametrize("period", [5.0, 12.3, 25.0])
@pytest.mark.parametrize("noise", [0.05, 0.3])
def test_a_cycle_in_noise_is_found_with_its_period(period: float, noise: float) -> None:
    random = np.random.default_rng(1)
    t = np.arange(200)
    for k in range(2):
        y = np.cos(2 * np.pi * t / period + k) + noise * autoregression(random, 200, 0.5)
        cycle = find_cycle(3.0 + 0.01 * y, seed=k)
        assert cycle is not None
        assert cycle.pvalue < 1e-4
        assert cycle.period == pytest.approx(period, rel=0.02)
        assert cycle.share > 0.7
        assert cycle.growth == pytest.approx(1, rel=0.4)


@pytest.mark.parametrize("rate", [-0.02, 0.02])
def test_growth_is_the_ratio_of_amplitudes_half_a_window_apart(rate: float) -> None:
    t = np.arange(200)
    noise = 1e-3 * np.random.default_rng(2).standard_normal(200)
    cycle = find_cycle(np.exp(rate * t) * np.sin(2 * np.pi * t / 10) / np.exp(200 * max(rate, 0)) + noise)
    assert cycle is not None
    assert cycle.growth == pytest.approx(np.exp(100 * rate), rel=0.15)


def test_a_long_series_is_averaged_and_keeps_its_unit() -> None:
    t = np.arange(5 * MOST)
    cycle = find_cycle(np.sin(2 * np.pi * t / 200) + np.random.default_rng(3).standard_normal(len(t)))
    assert cycle is not None
    assert cycle.period == pytest.approx(200, rel=0.02)


@pytest.mark.parametrize(
    "series", [np.zeros(100), np.full(100, 1.386), np.arange(LEAST - 1.0), np.full(100, np.nan), np.empty(0)]
)
def test_nothing_is_said_of_a_constant_or_too_short_series(series: np.ndarray) -> None:
    assert find_cycle(series) is None


def test_a_spike_does_not_hide_a_cycle() -> None:
    t = np.arange(150)
    y = np.sin(2 * np.pi * t / 15) + 0.1 * np.random.default_rng(4).standard_normal(150)
    y[70] = 1e6
    cycle = find_cycle(y)
    assert cycle is not None
    assert cycle.pvalue < 1e-4
    assert cycle.period == pytest.approx(15, rel=0.02)


def test_the_same_series_gives_the_same_answer() -> None:
    y = autoregression(np.random.default_rng(5), 100, 0.8)
    assert find_cycle(y, seed=3) == find_cycle(y, seed=3)
