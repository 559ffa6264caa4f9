"""MMD-D: the kernel is its formula and positive definite, sees what fixed kernels do not, and holds its level."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from ganneal.errors import RunError, UsageError
from ganneal.twosample.deep import DeepGram, DeepKernel, DeepSettings, fit_deep_kernel, mmd_d_test, published
from ganneal.twosample.gram import Given
from ganneal.twosample.learned import mmd_o_test
from ganneal.twosample.mmd import gram_test
from ganneal.twosample.samples import halves

QUICK = DeepSettings(steps=5, width=8, hidden=1)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=generator(seed))


def untrained(shape: tuple[int, ...], settings: DeepSettings = QUICK) -> DeepKernel:
    d = math.prod(shape)
    return DeepKernel(shape, settings, torch.zeros(d).double(), torch.ones(d).double(), generator(1))


@torch.no_grad()
def test_the_kernel_is_its_formula() -> None:
    """[(1 - e) exp(-|phi - phi'|^2 / s_phi) + e] exp(-|x - y|^2 / s_q), no factor of 2, e = sigmoid(raw)."""
    kernel = untrained((3,))
    kernel.log_scale_phi.fill_(math.log(0.2))
    kernel.log_scale_q.fill_(math.log(5.0))
    kernel.raw.fill_(-1.0)
    x, y = normal(0, 4, 3), normal(1, 6, 3)
    e = 1 / (1 + math.exp(1.0))
    for i, j in ((0, 0), (3, 5), (2, 1)):
        kap = math.exp(-float((kernel.features(x)[i] - kernel.features(y)[j]).square().sum()) / 0.2)
        q = math.exp(-float((x[i] - y[j]).square().sum()) / 5.0)
        assert float(kernel.gram(x, y)[i, j]) == pytest.approx(((1 - e) * kap + e) * q, rel=1e-12)
    assert kernel.raw.fill_(0.0).sigmoid() == kernel.share == 0.5
    both = torch.cat([x, y])
    gram = kernel.gram(both, both)
    assert torch.allclose(gram.diagonal(), torch.ones(10).double())
    assert float(torch.linalg.eigvalsh(gram).min()) > 0


@torch.no_grad()
def test_the_witness_and_the_tiles_are_those_of_the_kernel() -> None:
    kernel, x, y = untrained((3,)), normal(0, 11, 3), normal(1, 7, 3)
    pool = torch.cat([x, y])
    whole, tiles = kernel.gram(pool, pool), DeepGram(pool, kernel)
    assert torch.allclose(tiles.tile(slice(2, 9), slice(5, 18))[0], whole[2:9, 5:18], atol=1e-12)
    by_tiles, by_matrix = (gram_test(g, 11, 49, generator())[0] for g in (tiles, Given(whole)))
    assert by_tiles.observed == pytest.approx(by_matrix.observed, abs=1e-13)
    assert by_tiles.pvalue == by_matrix.pvalue
    points = normal(2, 3, 3)
    expected = kernel.gram(points, x).mean(1) - kernel.gram(points, y).mean(1)
    assert torch.allclose(kernel.witness(points, x, y), expected)


def test_it_sees_what_no_single_width_does() -> None:
    """Two clusters, correlated with opposite signs in y: the marginals and the overall covariance are those of x."""
    turned = torch.tensor([[1.0, 0.0], [0.9, math.sqrt(1 - 0.81)]], dtype=torch.float64)
    x, y = normal(0, 600, 2), normal(1, 600, 2)
    x[:300] += 6.0
    y = torch.cat([6.0 + y[:300] @ turned.T, (y[300:] @ turned.T) * torch.tensor([1.0, -1.0])])
    found = mmd_d_test(x, y, permutations=99, settings=DeepSettings(steps=100))
    assert found.rejected
    assert found.tested == (300, 300)
    assert found.details["criterion"] > found.details["criterion_start"]
    kernel = fit_deep_kernel(x, y, settings=DeepSettings(steps=30))
    where = kernel.witness(torch.tensor([[7.5, 7.5], [7.5, 4.5]], dtype=torch.float64), x, y)
    assert where[0] < 0 < where[1]  # y is dense along the diagonal of the first cluster, x off it


def test_images_go_through_convolutions() -> None:
    """A bright bar, upright in x and level in y, at random places: pixel by pixel the laws are nearly equal."""
    x, y = (normal(s, 80, 1, 16, 16) * 0.2 for s in (0, 1))
    places = torch.randint(0, 16, (2, 80), generator=generator(2))
    for i in range(80):
        x[i, 0, :, places[0, i]] += 1.0
        y[i, 0, places[1, i], :] += 1.0
    found = mmd_d_test(x, y, permutations=99, settings=DeepSettings(steps=40, rate=1e-3, batch=40))
    assert found.rejected
    assert found.details["features"] == 100
    kernel = untrained((3, 17, 33))
    layers = [type(layer).__name__ for layer in kernel.network]
    assert layers == ["Conv2d", "LeakyReLU"] * 4 + ["Flatten", "Linear"]
    assert kernel.features(normal(0, 2, 3 * 17 * 33)).shape == (2, 8)
    assert type(untrained((3, 15, 33)).network[0]).__name__ == "Linear"
    tensor, array = (mmd_d_test(a, b, permutations=19, settings=QUICK) for a, b in ((x, y), (x.numpy(), y.numpy())))
    assert tensor.to_dict() == array.to_dict()


@pytest.mark.parametrize(("m", "n"), [(30, 30), (30, 100)])
def test_level(m: int, n: int) -> None:
    """100 null pairs, exact binomial: exceeds by chance once in a thousand. Longer runs: benchmarks."""
    hits = sum(
        mmd_d_test(normal(2 * s, m, 2), normal(2 * s + 1, n, 2), permutations=19, seed=s, settings=QUICK).rejected
        for s in range(100)
    )
    assert hits <= 13


def test_the_test_half_shapes_nothing_and_one_seed_gives_one_result() -> None:
    x, y = normal(0, 40, 2), normal(1, 30, 2)
    places = halves(torch.arange(40), torch.arange(30), generator(5))
    changed_x, changed_y = x.clone(), y.clone()
    changed_x[places[2]] += 9.0
    changed_y[places[3]] -= 9.0
    state = torch.random.get_rng_state()
    first = mmd_d_test(x, y, permutations=49, seed=5, settings=QUICK)
    assert torch.equal(state, torch.random.get_rng_state())
    torch.manual_seed(99)
    assert mmd_d_test(x, y, permutations=49, seed=5, settings=QUICK).to_dict() == first.to_dict()
    changed = mmd_d_test(changed_x, changed_y, permutations=49, seed=5, settings=QUICK)
    assert changed.details == first.details
    assert changed.pvalue < first.pvalue


def test_published_settings() -> None:
    """Table of the code of Liu et al. 2020: these are what is trained with, and eps starts at sigmoid(0) = .5."""
    assert published("hdgm", 10).width == 30
    assert published("hdgm", 10).scale_q == 20
    assert (published("blob").rate, published("blob").scale_phi, published("blob").steps) == (5e-4, 0.002, 1000)
    frozen = replace(published("higgs"), steps=3)
    found = mmd_d_test(normal(0, 40, 4), normal(1, 40, 4), permutations=19, settings=frozen)
    assert found.details["scale_phi"] == pytest.approx(0.005)
    assert found.details["scale_q"] != 8.0
    assert found.details["features"] == 20
    with pytest.raises(UsageError, match="did you mean 'blob'"):
        published("blobs")


def test_where_the_width_of_mmd_o_is_all_there_is_it_does_not_lose_much() -> None:
    x, y = normal(0, 300, 1), 1.4 * normal(1, 300, 1)
    assert mmd_o_test(x, y, permutations=99).rejected
    assert mmd_d_test(x, y, permutations=99, settings=DeepSettings(steps=50)).rejected


def test_what_goes_wrong_is_named() -> None:
    x = normal(0, 12, 2)
    for settings, words in (
        ({"steps": 0}, "steps: got 0"),
        ({"rate": math.nan}, "rate"),
        ({"batch": 2}, "at least 4"),
        ({"scale_q": -1.0}, "scale_q"),
        ({"width": 0}, "width"),
    ):
        bad: dict[str, Any] = settings
        with pytest.raises(UsageError, match=words):
            DeepSettings(**bad)
    with pytest.raises(UsageError, match="at least 8"):
        mmd_d_test(x[:6], x)
    with pytest.raises(RunError, match="diverged"):
        mmd_d_test(x, x + 1, permutations=19, settings=DeepSettings(steps=20, rate=1e300))
    constant = mmd_d_test(np.ones((10, 2)), np.ones((12, 2)), permutations=19, settings=QUICK)
    assert constant.pvalue == 1.0
