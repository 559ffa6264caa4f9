"""Laws of latent coordinates: their moments, the distances of the embedding, and what is learned once and kept."""

import math

import pytest
import torch
from torch import Tensor

from ganneal.errors import UsageError
from ganneal.latents import LATENT_LAWS, Chosen, Mixture, Normal, Uniform, bourgain, draw, raw, subset_distances

F64 = torch.float64


def clusters(k: int = 4, each: int = 4) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    centres = 10 * torch.randn(k, 3, generator=generator, dtype=F64)
    return (centres[:, None] + 0.1 * torch.randn(k, each, 3, generator=generator, dtype=F64)).flatten(0, 1)


def distances(x: Tensor) -> Tensor:
    return (x[:, None] - x[None]).square().sum(-1).sqrt()


@pytest.mark.parametrize("dims", [2, 8, 64])
def test_the_embedding_keeps_the_gaps_of_the_data(dims: int) -> None:
    """Points of one cluster stay close and clusters stay apart; the whole is as large as N(0, I)."""
    x = clusters()
    centres = bourgain(x, dims)
    assert centres.shape == (16, dims)
    assert centres.square().mean().item() == pytest.approx(1.0, abs=1e-12)
    assert centres.mean(0).abs().max() < 1e-12
    near = torch.block_diag(*[torch.ones(4, 4)] * 4).bool()
    d = distances(centres)
    assert d[near].max() < 0.2 * d[~near].min()


def test_coordinates_are_distances_to_subsets() -> None:
    """Each is 0 on its subset, which holds about half, a quarter, ... of the points, and non-expansive."""
    x = clusters()
    f = subset_distances(x, 2)
    assert f.shape == (16, 4 * 8)
    shares = (f == 0).double().mean(0).view(4, 8).mean(1)
    assert (f == 0).any(0).all()
    assert shares.tolist() == pytest.approx([0.5, 0.25, 0.125, 0.0625], abs=0.08)
    steps = (f[:, None] - f[None]).abs()
    assert (steps <= distances(x)[..., None] + 1e-12).all()


def test_distortion_is_at_most_logarithmic() -> None:
    """With as many dimensions as there are subsets, d/D times a constant lies within O(log n)."""
    x = torch.randn(32, 5, generator=torch.Generator().manual_seed(1), dtype=F64)
    off = ~torch.eye(32).bool()
    ratio = (distances(bourgain(x, 64)) / distances(x).clamp(min=1e-12))[off]
    assert ratio.max() / ratio.min() < 2 * math.log2(32)


def test_the_embedding_depends_on_the_data_alone() -> None:
    torch.manual_seed(5)
    one = bourgain(clusters(), 4)
    torch.manual_seed(6)
    assert torch.equal(one, bourgain(clusters(), 4))
    torch.testing.assert_close(bourgain(clusters() * 3 + 1, 4), one)  # units and origin do not matter


def test_a_mixture_has_its_centres_and_width() -> None:
    centres = torch.tensor([[-3.0, 0.0], [3.0, 1.0], [0.0, 8.0]], dtype=F64)
    law = Mixture(centres, 0.1)
    n = 9000
    even = torch.special.ndtri((torch.arange(n, dtype=F64) + 0.5) / n)
    generator = torch.Generator().manual_seed(2)
    z = law.of(torch.cat([torch.randn(n, 2, generator=generator, dtype=F64), even[:, None]], 1))
    parts = z.split(n // 3)
    for part, centre in zip(parts, centres, strict=True):
        torch.testing.assert_close(part.mean(0), centre, rtol=0, atol=5 * 0.1 / math.sqrt(n / 3))
        assert part.std(0).tolist() == pytest.approx([0.1, 0.1], rel=0.05)


@pytest.mark.parametrize("law", [Normal(), Uniform(), Mixture(torch.zeros(3, 4), 1.0), Chosen(), Chosen(Uniform())])
def test_raw_noise_has_the_width_of_its_law(law: object) -> None:
    noise = raw(law, 4, 50, torch.Generator().manual_seed(0))  # type: ignore[arg-type]
    assert noise.shape == (50, *draw(law, 4).shape)  # type: ignore[arg-type]
    z = law.of(noise)  # type: ignore[attr-defined]
    assert z.shape == (50, 4 + isinstance(law, Chosen))
    rows = torch.vmap(law.of)(noise.reshape(5, 10, -1))  # type: ignore[attr-defined]
    assert torch.equal(rows.flatten(0, 1), z)
    if isinstance(law, Chosen):
        assert 0 <= z[:, -1].min() <= z[:, -1].max() <= 1


def test_bourgan_is_fitted_to_data() -> None:
    law = LATENT_LAWS.build("bourgan(modes=16, scale=0.2)")
    x = clusters()
    fitted = law.fit(lambda n: x[:n], 3)
    assert isinstance(fitted, Mixture)
    assert fitted.scale == 0.2
    assert torch.equal(fitted.centres, bourgain(x, 3))
    assert set(Chosen(fitted).tensors) == {"centres"}
    with pytest.raises(UsageError, match="before it was fitted"):
        law.of(x)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("bourgan(modes=1)", "from 2 to 4096"),
        ("bourgan(scale=0)", "above 0"),
        ("gauss", "unknown latent_law 'gauss'"),
        ("bourgan(centres=3)", "no argument 'centres'"),
    ],
)
def test_bad_requests(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        LATENT_LAWS.build(text)
