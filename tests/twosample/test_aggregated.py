"""Many kernels at once: exact level, power at every scale, and what the constants must not depend on."""

import math

import numpy as np
import pytest
import torch

from ganneal.errors import UsageError
from ganneal.twosample.aggregated import _mean_square, collection, mmd_fuse_test, mmdagg_test
from ganneal.twosample.gram import Gram, sums
from ganneal.twosample.mmd import mmd_test
from ganneal.twosample.permutation import observed_labels
from ganneal.twosample.problems import blobs

TESTS = [mmdagg_test, mmd_fuse_test]


@pytest.mark.parametrize("test", TESTS)
def test_size_under_the_null(test) -> None:
    rng = np.random.default_rng(7)
    pvalues = [
        test(rng.normal(size=(25, 2)), rng.normal(size=(35, 2)), permutations=199, seed=s).pvalue for s in range(400)
    ]
    for level in (0.05, 0.2, 0.5):
        assert np.mean(np.array(pvalues) <= level) <= level + 3 * math.sqrt(level * (1 - level) / 400)
    assert np.mean(pvalues) == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("test", TESTS)
def test_the_scale_need_not_be_known(test) -> None:
    """Where the median width sees nothing (Sutherland's blobs), the collection does; and it names the width."""
    problem, generator = blobs(8), torch.Generator().manual_seed(0)
    x, y = problem.p(400, generator), problem.q(400, generator)
    assert not mmd_test(x, y, permutations=199).rejected
    found = test(x, y, permutations=299)
    assert found.rejected
    gaussians = [k for k in found.details["kernels"] if k["kernel"] == "gaussian"]
    assert min(gaussians, key=lambda k: k["pvalue"])["width"] < 3 < max(k["width"] for k in gaussians)


def test_the_pvalue_is_never_below_that_of_its_best_kernel_and_ties_are_kept() -> None:
    rng = np.random.default_rng(1)
    found = mmdagg_test(rng.normal(size=(30, 1)), 5 + rng.normal(size=(30, 1)), permutations=199)
    best = min(k["pvalue"] for k in found.details["kernels"])
    assert best == 1 / 200
    assert found.pvalue >= best
    assert found.statistic == pytest.approx(math.log(200))
    assert found.pvalue == 1 / 200  # others have the same smallest p-value, but none lies as far out
    for test in TESTS:
        assert test(np.ones((10, 2)), np.ones((10, 2)), permutations=99).pvalue == 1


def test_fuse_is_the_soft_maximum_of_normalised_mmd() -> None:
    x = torch.randn(12, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    y = torch.randn(9, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) + 0.5
    pool, values = torch.cat([x, y]), []
    for kernel in collection(pool, 3, 0.95):
        k = kernel.gram(pool, pool).fill_diagonal_(0)
        mmd = k[:12, :12].sum() / 132 + k[12:, 12:].sum() / 72 - 2 * k[:12, 12:].mean()
        values.append(mmd / (k.square().sum() / (21 * 20)).sqrt())
    sharpness = math.sqrt(9 * 8)
    expected = math.log(np.mean(np.exp(sharpness * np.array(values)))) / sharpness
    assert mmd_fuse_test(x, y, permutations=19, widths=3).statistic == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("tile", [5, 100])
def test_the_normaliser_is_the_mean_square_of_the_kernel(tile: int) -> None:
    """Of the kernel itself, although sums are taken of what is left after a constant, which is no mean where there are
    several tiles."""
    pool = torch.randn(21, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    kernels = collection(pool, 3, 0.95)
    found = _mean_square(sums(Gram(pool, kernels), observed_labels(12, 9), moments=True, tile=tile))
    expected = [float(k.gram(pool, pool).fill_diagonal_(0).square().sum()) / (21 * 20) for k in kernels]
    assert found.tolist() == pytest.approx(expected, rel=1e-9)


def test_widths_follow_units_and_not_the_order_of_the_pool() -> None:
    pool = torch.randn(1500, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    widths = torch.tensor([k.bandwidth[0] for k in collection(pool, 4, 1.0)], dtype=torch.float64)
    shuffled = pool[torch.randperm(1500, generator=torch.Generator().manual_seed(1))]
    again = torch.tensor([k.bandwidth[0] for k in collection(shuffled, 4, 1.0)], dtype=torch.float64)
    torch.testing.assert_close(again, widths, rtol=1e-9, atol=0)
    scaled = torch.tensor([k.bandwidth[0] for k in collection(1e-3 * pool, 4, 1.0)], dtype=torch.float64)
    torch.testing.assert_close(scaled, 1e-3 * widths, rtol=1e-9, atol=0)


def test_wrong_requests_are_named() -> None:
    for test in TESTS:
        with pytest.raises(UsageError, match="widths"):
            test(np.eye(4), np.eye(4), widths=1)
        with pytest.raises(UsageError, match="at least 19"):
            test(np.eye(4), np.eye(4), permutations=5)
