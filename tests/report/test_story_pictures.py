"""Pictures of a motion: a still and an animation of the promised size, in one and two dimensions."""

import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ganneal.dynamics import Story, fokker_planck_story
from ganneal.errors import RunError
from ganneal.report.story import film, gif, mp4, still
from ganneal.report.story_panels import COLOURS, limits_of


@pytest.fixture(scope="module")
def line() -> Story:
    return fokker_planck_story("double_well", particles=500, frames=6, examples=2000, cells=100)


@pytest.fixture(scope="module")
def plane() -> Story:
    return fokker_planck_story("ring", 1.0, time=0.5, particles=500, frames=3, generator=False, cells=40)


def has(picture: Image.Image, colour: str) -> bool:
    """Whether some pixels are of about that colour."""
    rgb = np.array([int(colour[k : k + 2], 16) for k in (1, 3, 5)])
    return bool((np.abs(np.asarray(picture.convert("RGB")).astype(int) - rgb).sum(-1) < 40).sum() > 20)


@pytest.mark.parametrize(("name", "size"), [("line", (1800, 1260)), ("plane", (1800, 1440))])
def test_a_still_shows_every_teller(name: str, size: tuple[int, int], request: pytest.FixtureRequest) -> None:
    story = request.getfixturevalue(name)
    picture = Image.open(io.BytesIO(still(story)))
    assert picture.format == "PNG"
    assert picture.size == size
    assert has(picture, COLOURS["particles"])
    assert has(picture, COLOURS["generator"]) == (name == "line")
    assert np.asarray(picture.convert("RGB"))[0, 0].tolist() == [255, 255, 255]


@pytest.mark.parametrize(("name", "size"), [("line", (990, 540)), ("plane", (990, 594))])
def test_an_animation_has_a_frame_for_each_moment(
    name: str, size: tuple[int, int], request: pytest.FixtureRequest
) -> None:
    story = request.getfixturevalue(name)
    picture = Image.open(io.BytesIO(gif(story)))
    assert picture.format == "GIF"
    assert picture.size == size
    assert picture.n_frames == len(story.times)  # type: ignore[attr-defined]
    assert picture.info["loop"] == 0
    frames = []
    for k in (0, len(story.times) - 1):
        picture.seek(k)
        frames.append(np.asarray(picture.convert("RGB")))
    assert frames[0][0, 0].tolist() == [255, 255, 255]
    assert (frames[0] != frames[1]).any()


def test_limits_hold_the_law_and_the_start(line: Story) -> None:
    ((low, high),) = limits_of(line)
    assert -3.4 < low < -1.5
    assert 1.2 < high < 3.4


def test_a_video_is_made_by_ffmpeg(line: Story, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for ffmpeg counts the bytes it is given: rgb24 frames with even sides."""
    fake = tmp_path / "ffmpeg"
    fake.write_text('#!/bin/sh\nfor last; do :; done\nwc -c > "$last"\n')
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    width, height = next(film(line)).size
    assert int(mp4(line)) == len(line.times) * (width // 2 * 2) * (height // 2 * 2) * 3
    fake.write_text("#!/bin/sh\ncat > /dev/null\necho no such codec >&2\nexit 1\n")
    with pytest.raises(RunError, match="no such codec"):
        mp4(line)
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    with pytest.raises(RunError, match="cannot run it"):
        mp4(line)
