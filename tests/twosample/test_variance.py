"""The variance of MMD^2 by enumeration: the unbiased estimator is that exactly, the published one is not (T2, T3)."""

import itertools
import math
from functools import cache

import numpy as np
import pytest
import torch

from ganneal.errors import UsageError
from ganneal.twosample import Gram, gram_test, mmd_test, power_criterion
from ganneal.twosample.gram import sums
from ganneal.twosample.kernels import gaussian
from ganneal.twosample.permutation import observed_labels
from ganneal.twosample.variance import Blocks, mmd_power, mmd_squared, mmd_variance

KERNEL = torch.tensor([[1, 0.3, 0.7], [0.3, 0.8, 0.1], [0.7, 0.1, 1.2]], dtype=torch.float64)
P, Q = (0.2, 0.5, 0.3), (0.4, 0.1, 0.5)


@cache
def enumerated(m: int, n: int, q: tuple[float, ...], kind: str) -> tuple[float, float]:
    """(true variance of T, mean of its estimate) over all samples on three points; both are functions of how often
    each point occurs, so that samples are enumerated by counts."""
    first = second = estimate = 0.0
    for cx, cy in itertools.product(counts(m), counts(n)):
        weight = chance(cx, P) * chance(cy, q)
        points = [i for c in (cx, cy) for i in range(3) for _ in range(c[i])]
        blocks = Blocks.of_gram(KERNEL[points][:, points], m)
        value = float(mmd_squared(blocks))
        first, second = first + weight * value, second + weight * value**2
        estimate += weight * float(mmd_variance(blocks, kind))
    return second - first**2, estimate


def counts(size: int) -> list[tuple[int, ...]]:
    return [c for c in itertools.product(range(size + 1), repeat=3) if sum(c) == size]


def chance(c: tuple[int, ...], p: tuple[float, ...]) -> float:
    ways = math.factorial(sum(c)) / math.prod(map(math.factorial, c))
    return ways * math.prod(a**b for a, b in zip(p, c, strict=True))


@pytest.mark.parametrize(("m", "n"), [(4, 4), (4, 5), (5, 4), (6, 4)])
@pytest.mark.parametrize("q", [P, Q])
def test_the_estimator_is_unbiased(m: int, n: int, q: tuple[float, ...]) -> None:
    truth, estimate = enumerated(m, n, q, "unbiased")
    assert estimate == pytest.approx(truth, rel=1e-9)


@pytest.mark.parametrize(("m", "truth", "published"), [(4, 0.1485, 0.0668), (5, 0.1099, 0.0588), (6, 0.0870, 0.0522)])
def test_the_published_estimator_is_not(m: int, truth: float, published: float) -> None:
    found = enumerated(m, m, Q, "sutherland")
    assert found == pytest.approx((truth, published), abs=1e-4)
    if m == 4:
        assert found[1] / found[0] == pytest.approx(0.4498, abs=1e-4)


def test_the_first_order_estimator_by_enumeration_of_pairs() -> None:
    """Its H pairs x_i with y_i, so all ordered samples count: E s2/m = 0.0956 at m = 4."""
    mean = 0.0
    for points in itertools.product(range(3), repeat=6):
        weight = math.prod(np.array(P)[list(points[:3])]) * math.prod(np.array(Q)[list(points[3:])])
        gram = KERNEL[list(points)][:, list(points)].numpy()
        h = gram[:3, :3] + gram[3:, 3:] - gram[:3, 3:] - gram[3:, :3]
        mean += weight * (4 / 27 * (h.sum(1) ** 2).sum() - 4 / 81 * h.sum() ** 2) / 3
    ours = 0.0
    padded = list(itertools.product(range(3), repeat=4))
    rng = np.random.default_rng(0)
    for _ in range(50):  # the library wants four examples, so it is compared on single samples
        x, y = padded[rng.integers(81)], padded[rng.integers(81)]
        points = [*x, *y]
        gram = KERNEL[points][:, points]
        h = gram[:4, :4] + gram[4:, 4:] - gram[:4, 4:] - gram[4:, :4]
        value = (4 / 64 * h.sum(1).square().sum() - 4 / 256 * h.sum() ** 2) / 4
        ours = float(mmd_variance(Blocks.of_gram(gram, 4), "h1"))
        assert ours == pytest.approx(float(value), rel=1e-10, abs=1e-14)
    assert mean > 0


def test_tiles_give_the_variance_of_the_whole_matrix_and_no_constant_matters() -> None:
    pool = torch.randn(23, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    kernel = gaussian(1.0)
    whole = kernel.gram(pool, pool)
    dense = mmd_variance(Blocks.of_gram(whole, 9))
    for tile in (4, 100):
        tiled = Blocks.of_sums(sums(Gram(pool, [kernel]), observed_labels(9, 14), moments=True, tile=tile), 9)
        torch.testing.assert_close(mmd_variance(tiled), dense, rtol=1e-9, atol=1e-15)
    torch.testing.assert_close(mmd_variance(Blocks.of_gram(whole + 3, 9)), dense, rtol=1e-9, atol=1e-15)


def test_the_criterion_is_differentiable_and_is_the_ratio() -> None:
    generator = torch.Generator().manual_seed(0)
    pool = torch.randn(40, 2, dtype=torch.float64, generator=generator)
    pool[20:, 0] += 1
    width = torch.tensor(0.0, dtype=torch.float64, requires_grad=True)

    def criterion(log_width: torch.Tensor, kind: str) -> torch.Tensor:
        squared = torch.cdist(pool, pool).square()
        return power_criterion((-squared / (2 * (2 * log_width).exp())).exp(), 20, kind)

    for kind in ("unbiased", "sutherland", "h1"):
        assert torch.autograd.gradcheck(lambda w, kind=kind: criterion(w, kind), (width,))


def test_power_agrees_with_simulation() -> None:
    """Estimated from one large sample for its own size: the share of rejections of fresh samples."""
    rng = np.random.default_rng(0)
    estimates, hits = [], 0
    for s in range(120):
        found = mmd_test(rng.normal(size=80), rng.normal(0.45, 1, 60), kernel=1.0, permutations=99, seed=s)
        hits += found.rejected
        estimates.append(found.power)
    assert np.mean([e for e in estimates if e is not None]) == pytest.approx(hits / 120, abs=0.1)
    assert mmd_power(0.1, -1e-9, 0.05) is None
    assert mmd_power(0.1, 0.01, 0.1) == 0.5


@pytest.mark.parametrize(
    ("m", "n", "kind", "words"),
    [(4, 4, "best", "allowed: unbiased"), (3, 5, "unbiased", "at least 4"), (4, 5, "h1", "equally many")],
)
def test_wrong_requests_are_named(m: int, n: int, kind: str, words: str) -> None:
    gram = torch.eye(m + n, dtype=torch.float64)
    with pytest.raises(UsageError, match=words):
        mmd_variance(Blocks.of_gram(gram, m), kind)


def test_too_few_examples_for_a_variance_still_have_a_test() -> None:
    found, variance = gram_test(torch.rand(5, 5, dtype=torch.float64), 2, 19, torch.Generator().manual_seed(0))
    assert 0 < found.pvalue <= 1
    assert math.isnan(variance)
