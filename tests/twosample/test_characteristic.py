"""SCF: the features are smoothed sines and cosines, the frequencies found those of the difference, the level holds."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from ganneal.errors import UsageError
from ganneal.twosample.characteristic import differences, scf_test
from ganneal.twosample.mean_embedding import RIDGE, paired_parts


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=generator(seed))


def test_the_mean_is_the_smoothed_characteristic_function() -> None:
    """E h(x) exp(i t x) of N(m, 1) with h of width w: sqrt(w^2/(1+w^2)) exp(-(t^2 w^2 + m^2)/(2(1+w^2))) times
    exp(i t m w^2/(1+w^2)), by completing the square; here by quadrature weights in place of examples."""
    frequencies, w, m = torch.tensor([[0.7], [2.0]], dtype=torch.float64), 1.5, 0.6
    grid = torch.linspace(-9, 9, 4001, dtype=torch.float64)[:, None]
    weights = torch.exp(-0.5 * (grid - m).square())
    weights /= weights.sum()
    nothing = torch.full_like(grid, 1e3)  # where h is zero
    z = (weights * differences([frequencies, torch.tensor(math.log(w))], grid, nothing)).sum(0)
    for j, t in enumerate((0.7, 2.0)):
        size = math.sqrt(w**2 / (1 + w**2)) * math.exp(-(t**2 * w**2 + m**2) / (2 * (1 + w**2)))
        phase = t * m * w**2 / (1 + w**2)
        assert z[2 * j : 2 * j + 2].tolist() == pytest.approx(
            [size * math.sin(phase), size * math.cos(phase)], abs=1e-6
        )


def test_the_statistic_from_what_the_result_tells() -> None:
    """n zbar' (S + g I)^-1 zbar with the reported frequencies, in radians per data unit, 2 J numbers an example."""
    units = torch.tensor([1.0, 1e4], dtype=torch.float64)
    x, y = normal(0, 80, 2) * units + units, (normal(1, 80, 2) * 1.5) * units
    found = scf_test(x, y, frequencies=3, seed=2)
    train, test, _ = paired_parts(x, y, 99, 2, 0.05, 0.5)
    middle, spread = torch.cat(train).mean(0), torch.cat(train).std(0)
    told = torch.tensor(found.details["frequencies"], dtype=torch.float64)

    def smooth(part: Tensor) -> Tensor:
        h = torch.exp(-0.5 * ((part - middle) / spread).square().sum(1, keepdim=True) / found.bandwidth[0] ** 2)
        phase = (part - middle) @ told.T
        return torch.cat([h * phase.sin(), h * phase.cos()], 1)

    z = (smooth(test[0]) - smooth(test[1])).numpy()
    expected = len(z) * z.mean(0) @ np.linalg.solve(np.cov(z, rowvar=False) + RIDGE * np.eye(6), z.mean(0))
    assert found.statistic == pytest.approx(float(expected), rel=1e-6)
    assert np.allclose(found.details["differences"], np.hypot(z.mean(0)[:3], z.mean(0)[3:]), atol=1e-9)
    assert np.allclose(np.array(found.details["wavelengths"]) * told.norm(dim=1).numpy(), 2 * math.pi)
    scores = np.abs(z.mean(0) / z.std(0, ddof=1) * math.sqrt(len(z))).reshape(2, 3).max(0)
    assert np.allclose(found.details["scores"], scores)


def test_it_finds_the_wavelength_of_a_pattern() -> None:
    """y is x but for stripes, 0.8 apart, along the first column: SCF names the wavelength and the direction."""
    x = 4 * torch.rand(1000, 2, dtype=torch.float64, generator=generator(0))
    y = 4 * torch.rand(1000, 2, dtype=torch.float64, generator=generator(1))
    y[:, 0] -= 0.12 * torch.sin(2 * math.pi * y[:, 0] / 0.8)
    found = scf_test(x, y, frequencies=2)
    assert found.pvalue < 0.01
    assert found.details["wavelengths"][0] == pytest.approx(0.8, rel=0.05)
    across, along = found.details["frequencies"][0]
    assert abs(along) < 0.1 * abs(across)


@pytest.mark.parametrize("n", [30, 100])
def test_level(n: int) -> None:
    """150 null pairs of samples with heavy tails, exact binomial: exceeds by chance once in a thousand."""
    hits = 0
    for s in range(150):
        x, y = normal(2 * s, n, 2) ** 3, normal(2 * s + 1, n, 2) ** 3
        hits += scf_test(x, y, permutations=19, seed=s, steps=5).rejected
    assert hits <= 17


def test_chi2_has_two_degrees_for_each_frequency() -> None:
    found = scf_test(normal(0, 400, 1), normal(1, 400, 1) + 0.5, frequencies=3, null="chi2")
    assert (found.null, found.permutations) == ("chi2(6)", 0)
    assert found.rejected
    rates = [
        scf_test(normal(2 * s, 200, 1), normal(2 * s + 1, 200, 1), frequencies=1, steps=3, null="chi2").rejected
        for s in range(150)
    ]
    assert np.mean(rates) < 0.12  # 100 pairs, 2 degrees: near its level


def test_equal_and_constant_samples_are_told_nothing() -> None:
    x = normal(0, 20, 2)
    for a, b in ((x, x), (np.ones((20, 2)), np.ones((20, 2)))):
        found = scf_test(a, b, permutations=19)
        assert (found.statistic, found.pvalue) == (0.0, 1.0)


def test_same_seed_same_bits_and_exchange_of_the_samples() -> None:
    x, y = normal(0, 60, 3), normal(1, 60, 3) + 0.3
    first = scf_test(x, y, seed=7)
    assert scf_test(x, y, seed=7).to_dict() == first.to_dict()
    assert scf_test(y, x, seed=7).details["differences"] == pytest.approx(first.details["differences"], rel=1e-6)


@pytest.mark.parametrize(
    ("n", "arguments", "words"),
    [
        (19, {}, "in pairs"),
        (20, {"frequencies": 0}, "frequencies: got 0"),
        (20, {"frequencies": 2.5}, "frequencies: got 2.5"),
        (20, {"null": "permutation"}, "signs"),
        (20, {"null": "chi2", "frequencies": 5}, "more than 10"),
        (20, {"share": 1.5}, "between 0 and 1"),
    ],
)
def test_wrong_requests_are_named(n: int, arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        scf_test(normal(0, 20, 2), normal(1, n, 2), **arguments)
