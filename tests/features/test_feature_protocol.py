"""Every feature obeys one contract; principal components and random networks against what they should be."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from ganneal import features
from ganneal.errors import UsageError
from ganneal.features import FEATURES, Extractor, Features
from ganneal.features.random_network import RandomConvolutions

PARTS = ["raw", "pca(d=3)", "pca(d=3, whiten=true)", "random(d=16)", "random(d=16, seed=4)"]
SHAPES = [(5,), (1, 8, 8), (3, 12, 7)]


def data(shape: tuple[int, ...], n: int = 40, seed: int = 0) -> Tensor:
    return torch.rand(n, *shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("text", PARTS)
def test_contract(text: str, shape: tuple[int, ...]) -> None:
    """Shape, type, the same bits again, an example's features do not depend on its company, training data untouched."""
    train, x = data(shape), data(shape, 9, seed=1)
    before, recipe = train.clone(), features.build(text)
    extractor = recipe.fit(train)
    assert isinstance(recipe, Features)
    assert isinstance(extractor, Extractor)
    assert extractor.shape == shape
    found = extractor(x)
    assert found.shape == (9, extractor.dimension)
    assert found.dtype == torch.float64
    assert not found.requires_grad
    assert torch.equal(found, features.build(text).fit(train)(x))
    assert torch.equal(train, before)
    torch.testing.assert_close(extractor(x[3:5]), found[3:5], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(extractor(x.double().numpy()), found, rtol=1e-5, atol=1e-6)
    state = torch.get_rng_state()
    recipe.fit(train)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("text", PARTS)
def test_another_shape_is_refused(text: str) -> None:
    extractor = features.build(text).fit(data((5,)))
    with pytest.raises(UsageError, match=r"got shape \[40, 6\]; allowed: \[n, 5\], as fitted"):
        extractor(data((6,)))
    with pytest.raises(UsageError, match="got shape"):
        features.build(text).fit(torch.zeros(3))


def test_registry() -> None:
    assert list(FEATURES) == ["raw", "pca", "random", "classifier", "inception"]
    assert features.build(features.raw()) == features.build("raw")
    for text, message in (
        ("rwa", "did you mean 'raw'"),
        ("pca(k=3)", "has no argument 'k'"),
        ("pca(d=0)", "got d = 0"),
        ("pca(d=1.5)", "must be a whole number"),
        ("random(d=0)", "got d = 0"),
        ("classifier", "missing a required argument: 'path'"),
    ):
        with pytest.raises(UsageError, match=message):
            features.build(text)
    with pytest.raises(UsageError, match="expected a feature"):
        features.build(print)


@pytest.mark.parametrize(("n", "p", "d"), [(60, 8, 3), (60, 8, 8), (60, 8, 50), (6, 20, 4), (6, 20, 19)])
def test_components_against_the_covariance(n: int, p: int, d: int) -> None:
    x = data((p,), n).double() * torch.arange(1, p + 1) + 5
    extractor = features.pca(d).fit(x)
    kept = min(d, p, n - 1)
    covariance = np.cov(x.numpy().T)
    values, vectors = np.linalg.eigh(covariance)
    assert extractor.dimension == kept
    found = extractor(x)
    torch.testing.assert_close(torch.cov(found.T), torch.diag(torch.from_numpy(values[::-1][:kept].copy())))
    overlap = np.abs((vectors[:, ::-1][:, :kept] * extractor.directions.numpy()).sum(0))
    np.testing.assert_allclose(overlap, 1, rtol=1e-6)
    torch.testing.assert_close(found.mean(0), torch.zeros(kept, dtype=torch.float64), atol=1e-8, rtol=0)
    whitened = features.pca(d, whiten=True).fit(x)(x)
    torch.testing.assert_close(torch.cov(whitened.T), torch.eye(kept, dtype=torch.float64))


def test_components_come_from_the_training_data_only() -> None:
    train, x = data((4,)), 3 + data((4,), 9, seed=1)
    extractor = features.pca(2).fit(train)
    torch.testing.assert_close(extractor(x) - extractor(train[:1]), (x - train[:1]).double() @ extractor.directions)


def test_directions_without_variance_are_left_out() -> None:
    x = data((3,)).double()
    flat = torch.cat([x, x[:, :1] + x[:, 1:2], torch.ones(40, 2)], 1)
    for d in (5, 6):
        assert features.pca(d, whiten=True).fit(flat).dimension == 3
    line = x[:, :1] * torch.arange(1, 11)
    assert features.pca(4).fit(line).dimension == 1
    assert torch.equal(features.pca(4).fit(line)(line), features.pca(4).fit(line)(line))
    with pytest.raises(UsageError, match="all training examples are equal"):
        features.pca(2).fit(torch.ones(9, 3))
    with pytest.raises(UsageError, match="NaN"):
        features.pca(2).fit(torch.full((9, 3), math.nan))


def test_random_networks_differ_by_seed_only() -> None:
    train, x = data((1, 8, 8)), data((1, 8, 8), 6, seed=1)
    first, second = (features.random(8, seed).fit(train)(x) for seed in (0, 1))
    assert not torch.allclose(first, second)
    assert torch.equal(first, features.random(8, 0).fit(data((1, 8, 8), seed=5))(x))


@pytest.mark.parametrize(("side", "layers"), [(4, 1), (8, 1), (28, 3), (32, 3), (64, 4)])
def test_depth_follows_the_side_and_activations_keep_their_size(side: int, layers: int) -> None:
    extractor = features.random(256).fit(torch.zeros(1, 3, side, side))
    assert isinstance(extractor, RandomConvolutions)
    assert len(extractor.convolutions) == layers
    spread = extractor(torch.randn(8, 3, side, side, generator=torch.Generator().manual_seed(0))).square().mean()
    assert 0.3 < float(spread) < 1.5


def test_random_table_features_by_hand() -> None:
    train = data((3,)) * torch.tensor([1.0, 100.0, 0.0]) + 7
    extractor = features.random(5).fit(train)
    z = (train.double() - train.double().mean(0)) / torch.tensor([*train.double().std(0, correction=0)[:2], 1.0])
    torch.testing.assert_close(extractor(train), (z @ extractor.weight + extractor.bias).clamp(min=0))
    units = features.random(5).fit(train * 10)(train * 10)
    torch.testing.assert_close(units, extractor(train), rtol=1e-4, atol=1e-4)
    wide = features.random(4000).fit(data((6,)))
    assert float(wide.weight.var()) == pytest.approx(1 / 6, rel=0.05)
    assert float(wide.bias.var()) == pytest.approx(1, rel=0.1)
