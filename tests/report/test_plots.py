"""Pictures: grids of images with crisp pixels, scatter plots of every dimension, errors that name what is allowed."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ganneal.errors import UsageError
from ganneal.report import image_grid, save_grid, scatter
from ganneal.report.plots import frame

RNG = np.random.default_rng(0)


def size(data: bytes) -> tuple[int, int]:
    return Image.open(io.BytesIO(data)).size


def test_tiny_images_are_enlarged_by_whole_pixels() -> None:
    digits = RNG.integers(0, 256, (10, 8, 8), dtype=np.uint8)
    grid = np.asarray(image_grid(digits))
    gap = 3
    assert grid.shape == (3 * 48 + 2 * gap, 4 * 48 + 3 * gap, 2)
    assert (grid[:48, :48, 0] == digits[0].repeat(6, 0).repeat(6, 1)).all()
    top, left = 48 + gap, 2 * (48 + gap)
    assert (grid[top : top + 48, left : left + 48, 0] == digits[6].repeat(6, 0).repeat(6, 1)).all()
    assert not grid[:48, 48 : 48 + gap, 1].any()  # gaps and empty places are transparent
    assert not grid[2 * top :, left + 48 :, 1].any()


@pytest.mark.parametrize(("shape", "mode"), [((4, 64, 64, 3), "RGBA"), ((4, 64, 64, 1), "LA"), ((1, 100, 30), "LA")])
def test_large_images_keep_their_size(shape: tuple[int, ...], mode: str) -> None:
    grid = image_grid(np.zeros(shape, np.uint8), columns=2)
    assert grid.mode == mode
    assert grid.size[0] >= shape[2]


def test_save_grid_writes_png(tmp_path: Path) -> None:
    path = save_grid(tmp_path / "a.png", np.zeros((4, 8, 8), np.uint8))
    assert Image.open(path).format == "PNG"
    with pytest.raises(UsageError, match=r"allowed: \.png"):
        save_grid(tmp_path / "a.jpg", np.zeros((4, 8, 8), np.uint8))


@pytest.mark.parametrize("bad", [np.zeros((4, 8, 8)), np.zeros((8, 8), np.uint8), np.zeros((2, 8, 8, 5), np.uint8)])
def test_images_of_another_layout_are_refused(bad: np.ndarray) -> None:
    with pytest.raises(UsageError, match="uint8"):
        image_grid(bad)


@pytest.mark.parametrize("d", [1, 2, 3, 7])
@pytest.mark.parametrize("small", [False, True])
def test_vectors_of_every_dimension(d: int, small: bool) -> None:
    x, real, modes = RNG.normal(size=(300, d)), RNG.normal(size=(200, d)), RNG.normal(size=(4, d))
    width, height = size(scatter(x, real, modes, spread=0.1, small=small, dark=small))
    assert width < 200 if small else width > 500
    assert height > 50


def test_values_that_are_not_finite_are_left_out() -> None:
    x = RNG.normal(size=(50, 2))
    x[::2, 1] = np.nan
    assert size(scatter(x))[0] > 500
    with pytest.raises(UsageError, match="at least one finite example"):
        scatter(np.full((5, 2), np.inf))


def test_the_frame_shows_data_and_modes_not_stray_samples() -> None:
    real, stray = RNG.normal(size=(500, 2)), RNG.normal(size=(500, 2))
    stray[0] = 1e6
    assert np.abs(frame(stray, real)).max() < 10
    assert np.abs(frame(stray)).max() < 10
    (low, high), _ = frame(stray, real, [[20.0, 0.0]], spread=1.0)
    assert low < -2
    assert high > 23
