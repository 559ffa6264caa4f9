"""Augmentations: what each does to an example, how its noise is drawn, and that the critic sees nothing else."""

import math

import pytest
import torch
from penalty_games import F64, Curved, Mapped, coefficients, game, gradient, loss, parameters, random_batch, slopes
from torch import Tensor

from ganneal.augmentation import AUGMENTATIONS
from ganneal.data import open_source
from ganneal.engine.agreement import augmentation_of
from ganneal.engine.config import complete
from ganneal.errors import UsageError

IMAGES = torch.randn(40, 3, 8, 12, dtype=F64, generator=torch.Generator().manual_seed(0))


def drawn(text: str, x: Tensor, seed: int = 0) -> tuple[Tensor, dict[str, Tensor]]:
    """T(x) and its noise."""
    made, generator, noise = AUGMENTATIONS.build(text), torch.Generator().manual_seed(seed), {}
    for name, draw in made.draws(tuple(x.shape[1:])).items():
        e = torch.empty(len(x), *draw.shape, dtype=x.dtype)
        noise[name] = e.uniform_(generator=generator) if draw.kind == "uniform" else e.normal_(generator=generator)
    return made.apply(x, noise), noise


def test_translation_moves_whole_pixels_and_fills_with_zeros() -> None:
    """Every row is the padded image cut out within a quarter of the size, and all 5 x 7 places occur."""
    found, _ = drawn("translation(ratio=0.25)", IMAGES)
    padded = torch.nn.functional.pad(IMAGES, (3, 3, 2, 2))
    places = []
    for x, y in zip(padded, found, strict=True):
        fits = [(i, j) for i in range(5) for j in range(7) if torch.equal(x[:, i : i + 8, j : j + 12], y)]
        assert len(fits) == 1
        places += fits
    assert {i for i, _ in places} == set(range(5))
    assert {j for _, j in places} == set(range(7))


def test_cutout_zeroes_one_rectangle() -> None:
    """Half of each side unless it reaches over the edge, everything else untouched."""
    found, _ = drawn("cutout", IMAGES)
    sizes = set()
    for x, y in zip(IMAGES, found, strict=True):
        gone = (y == 0).all(0)
        rows, columns = gone.any(1), gone.any(0)
        assert torch.equal(gone, rows[:, None] & columns[None])
        assert torch.equal(y[:, ~gone], x[:, ~gone])
        sizes.add((int(rows.sum()), int(columns.sum())))
    assert max(h for h, _ in sizes) == 4
    assert max(w for _, w in sizes) == 6
    assert min(h for h, _ in sizes) >= 2


def test_color_is_brightness_then_saturation_then_contrast() -> None:
    found, noise = drawn("color", IMAGES)
    for x, y, (b, s, c) in zip(IMAGES, found, noise["color"].tolist(), strict=True):
        x = x + b - 0.5
        grey = x.mean(0)
        x = (x - grey) * 2 * s + grey
        torch.testing.assert_close(y, (x - x.mean()) * (c + 0.5) + x.mean())


def test_rotation_keeps_lengths_and_is_within_its_angle() -> None:
    x = torch.randn(200, 2, dtype=F64)
    found, _ = drawn("rotation(degrees=20)", x)
    torch.testing.assert_close(found.norm(dim=1), x.norm(dim=1))
    cross = x[:, 0] * found[:, 1] - x[:, 1] * found[:, 0]
    angle = torch.atan2(cross, (x * found).sum(1))
    assert 0.9 * math.radians(20) < angle.max() <= math.radians(20) + 1e-9
    assert -math.radians(20) - 1e-9 <= angle.min() < -0.9 * math.radians(20)


def test_jitter_and_sequences() -> None:
    """A sequence applies its parts in order, each with noise of its own."""
    x = torch.randn(6, 2, dtype=F64)
    found, noise = drawn("diffaugment(rotation, jitter(std=0.3), jitter(std=2))", x)
    turned = AUGMENTATIONS.build("rotation").apply(x, {"angle": noise["0.angle"]})
    torch.testing.assert_close(found, turned + 0.3 * noise["1.jitter"] + 2 * noise["2.jitter"])
    assert [*AUGMENTATIONS.build("diffaugment").draws((3, 8, 8))] == ["0.color", "1.shift", "2.place"]


@pytest.mark.parametrize("text", ["translation", "cutout", "color", "diffaugment"])
def test_differentiable_and_stackable(text: str) -> None:
    """The derivative along the images is exact (these are affine in x); a leading axis of members changes nothing."""
    x = IMAGES[:4]
    made = AUGMENTATIONS.build(text)
    _, noise = drawn(text, x)
    way = torch.randn_like(x)
    moved = torch.func.jvp(lambda v: made.apply(v, noise), (x,), (way,))[1]
    torch.testing.assert_close(moved, made.apply(x + way, noise) - made.apply(x, noise))
    assert moved.abs().max() > 0
    stacked = torch.vmap(made.apply)(torch.stack([x, x]), {n: torch.stack([v, v]) for n, v in noise.items()})
    torch.testing.assert_close(stacked[1], made.apply(x, noise))


@pytest.mark.parametrize("objective", ["nonsaturating", "relativistic"])
def test_the_critic_sees_only_augmented_examples(objective: str) -> None:
    """Both losses are those of the plain game at T(x) and T(G(z)), with separate noise for data and samples; penalties
    are taken at what the critic sees."""
    aug = AUGMENTATIONS.build("diffaugment(rotation, jitter(std=0.3))")
    text = "r1r2(gamma=2)"
    made = game(objective, Curved(), Mapped(), text, d=2, augmentation=aug)
    plain = game(objective, Curved(), Shown(), text, d=2)
    params = parameters(made)
    for player in ("critic", "generator"):
        batch = random_batch(made, player)
        own = {w: {n.removeprefix(f"{w}.augment."): v for n, v in batch.items() if n.startswith(f"{w}.")}
               for w in ("real", "z")}  # fmt: skip
        shown = {"z": aug.apply(Mapped()(batch["z"]), own["z"]).detach()}
        if "real" in batch:
            shown["real"] = aug.apply(batch["real"], own["real"])
        at = {**params, "generator": {}}
        found = loss(made, player, params, batch, coefficients(text))
        torch.testing.assert_close(found, loss(plain, player, at, shown, coefficients(text)))
        torch.testing.assert_close(
            gradient(made, player, params, batch, coefficients(text)),
            slopes(made, player, params, batch, coefficients(text)),
            rtol=1e-6,
            atol=1e-7,
        )


class Shown(torch.nn.Module):
    """A generator whose latents are its samples."""

    def forward(self, z: Tensor) -> Tensor:
        return z


@pytest.mark.parametrize(
    ("source", "text", "said"),
    [
        ("ring8", "translation", "augment: translation is for images .* use jitter"),
        ("digits", "rotation", "augment: rotation is for points of the plane"),
        ("ring8", "jiter", "augment: unknown augmentation 'jiter': did you mean 'jitter'"),
        ("ring8", "jitter(std=0)", "augment: jitter: std must be above 0"),
        ("ring8", "rotation(degrees=270)", "augment: rotation: degrees must be above 0 and at most 180"),
        ("digits", "diffaugment(color, blur)", "augment: unknown augmentation 'blur'"),
    ],
)
def test_bad_requests(source: str, text: str, said: str) -> None:
    config = complete({"source": source, "augment": text}, "toy")
    with pytest.raises(UsageError, match=said):
        augmentation_of(config, open_source(source))
