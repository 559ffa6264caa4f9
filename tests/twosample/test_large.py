"""MMD for large samples: pairs in linear time, and random features."""

import math
from statistics import NormalDist

import numpy as np
import pytest
import torch

from ganneal.errors import UsageError
from ganneal.twosample.kernels import gaussian, laplace
from ganneal.twosample.linear import mmd_linear_test
from ganneal.twosample.mmd import mmd_test
from ganneal.twosample.random_features import fourier_features, mmd_features_test


def test_the_linear_statistic_by_hand() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(7, 2)), rng.normal(size=(7, 2))

    def k(a: np.ndarray, b: np.ndarray) -> float:
        return math.exp(-((a - b) ** 2).sum() / (2 * 1.5**2))

    h = [k(x[i], x[i + 1]) + k(y[i], y[i + 1]) - k(x[i], y[i + 1]) - k(x[i + 1], y[i]) for i in (0, 2, 4)]
    assert mmd_linear_test(x, y, kernel=1.5, permutations=19).statistic == pytest.approx(np.mean(h), rel=1e-12)


def test_size_and_power_of_the_linear_test() -> None:
    rng = np.random.default_rng(0)
    for n in (30, 100):
        pvalues = np.array(
            [
                mmd_linear_test(rng.normal(size=(n, 2)), rng.normal(size=(n, 2)), permutations=99, seed=s).pvalue
                for s in range(400)
            ]
        )
        assert np.mean(pvalues <= 0.05) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 400)
    assert mmd_linear_test(rng.normal(size=(500, 1)), 1 + rng.normal(size=(500, 1))).rejected


def test_power_of_the_linear_test_is_that_at_its_level() -> None:
    """Phi(T / sd - z): at T = z sd it is one half, whatever the level."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(400, 1)), rng.normal(0.7, 1, size=(400, 1))
    powers = [mmd_linear_test(x, y, permutations=19, level=level).power for level in (0.2, 0.05, 0.001)]
    normal = NormalDist()
    assert powers == sorted(powers, reverse=True)
    gaps = [normal.inv_cdf(p) + normal.inv_cdf(1 - level) for p, level in zip(powers, (0.2, 0.05, 0.001), strict=True)]
    assert gaps == pytest.approx([gaps[0]] * 3, rel=1e-6)


def test_many_pairs_use_the_normal_law() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40_000, 1))
    same, moved = (mmd_linear_test(x, rng.normal(m, 1, size=(40_000, 1))) for m in (0, 0.4))
    assert (same.null, same.permutations, same.rejected, moved.rejected) == ("normal", 0, False, True)
    with pytest.raises(UsageError, match="pairs"):
        mmd_linear_test(x, x[:50])


@pytest.mark.parametrize(("name", "kernel"), [("gaussian", gaussian(1.3)), ("laplace", laplace(1.3))])
def test_random_features_have_the_kernel_as_their_mean(name: str, kernel) -> None:
    x = torch.randn(20, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    maps = fourier_features(x, name, 1.3, 40_000, torch.Generator().manual_seed(1))
    torch.testing.assert_close(maps @ maps.T, kernel.gram(x, x), rtol=0, atol=5 / math.sqrt(40_000))


def test_size_and_power_of_random_features() -> None:
    rng = np.random.default_rng(0)
    pvalues = [
        mmd_features_test(
            rng.normal(size=(30, 2)), rng.normal(size=(40, 2)), features=20, permutations=99, seed=s
        ).pvalue
        for s in range(300)
    ]
    assert np.mean(np.array(pvalues) <= 0.05) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 300)
    x, y = rng.normal(size=(200, 2)), rng.normal(0.4, 1, size=(200, 2))
    assert mmd_features_test(x, y, permutations=199).rejected
    assert mmd_features_test(x, y, kernel="laplace", permutations=199).rejected
    with pytest.raises(UsageError, match="gaussian or laplace"):
        mmd_features_test(x, y, kernel="energy")


def test_memory_does_not_grow_with_the_square() -> None:
    """6,000 against 6,000 in tiles is the same test; the Gram matrix would be 1.1 GiB."""
    rng = np.random.default_rng(0)
    shares: list[float] = []
    found = mmd_test(rng.normal(size=(6000, 1)), rng.normal(size=(6000, 1)), permutations=19, progress=shares.append)
    assert 0 < found.pvalue <= 1
    assert shares == sorted(shares)
    assert shares[-1] == 1
