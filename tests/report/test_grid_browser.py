"""The page of a comparison of methods: numbers beside perfect ones, and a real browser without a network."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from grids import grid_results
from test_browser import browser  # noqa: F401

from ganneal.errors import UsageError
from ganneal.report.curves import Scale
from ganneal.report.grid_table import columns, row_of

LONG = "with_a_very_long_name" * 6 + " <b>&amp;</b>"


@pytest.mark.parametrize("kind", ["toy", "image"])
def test_the_page_opens_without_network_on_desktop_and_phone(kind: str, browser: Any, tmp_path: Path) -> None:  # noqa: F811
    found = grid_results(tmp_path / kind, 10 if kind == "toy" else 2, kind=kind, name="data/" + LONG)
    path = found.report()
    for width, scheme in ((1200, "light"), (390, "dark")):
        context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
        page = context.new_page()
        requests, problems = [], []
        page.on("request", lambda request, seen=requests: seen.append(request.url))
        page.on("console", lambda message, seen=problems: seen.append(message.text))
        page.on("pageerror", lambda error, seen=problems: seen.append(str(error)))
        page.goto(path.as_uri())
        page.wait_for_timeout(100)
        assert problems == []
        assert [url for url in requests if not url.startswith("data:")] == [path.as_uri()]
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate("[...document.images].every((image) => image.complete && image.naturalWidth > 0)")
        dots = page.evaluate("document.querySelectorAll('.board circle').length")
        assert dots == sum(v is not None for values in found.values(found.measure.key).values() for v in values)
        context.close()


def test_every_row_says_what_it_is_worth(tmp_path: Path) -> None:
    found = grid_results(tmp_path / "it", 4, seeds=16)
    measures = columns(found)
    assert measures[0].key == "divergence"
    best, *_, last = [row_of(found, s, measures) for s in found.standings()]
    assert best.against == "the best"
    assert last.against.startswith("worse (p = ")
    assert last.failed == 2
    perfect = row_of(found, None, measures)
    assert perfect.cells[0].text == "0.0016"
    text = found.report().read_text()
    assert "2 failed" in text
    assert "each kind at most once" in text
    assert "its process died" in text
    assert "collapse (seeds 1, 5)" in text


def test_one_seed_says_that_nothing_can_be_told(tmp_path: Path) -> None:
    found = grid_results(tmp_path / "it", 2, seeds=1)
    assert "cannot be told" in found.sentence()
    assert row_of(found, found.standings()[1], columns(found)).against == "one seed: cannot tell"


def test_nothing_finished_is_no_page(tmp_path: Path) -> None:
    found = grid_results(tmp_path / "it", 2)
    with pytest.raises(UsageError, match="no cell has been finished"):
        type(found)(found.folder, found.asked, ()).report()


@pytest.mark.parametrize("values", [[0.001, 4.5], [0.0, 1.0], [5.0, 5.0], [-2.0, 3.0], [0.9, 0.95, 0.989]])
def test_an_axis_shows_all_values_and_has_ticks(values: list[float]) -> None:
    scale = Scale.of(values)
    assert all(0 < scale.at(v) < 1 for v in values)
    ticks = scale.ticks()
    assert 2 <= len(ticks) <= 6
    assert all(0 <= scale.at(t) <= 1 for t in ticks)


def test_a_perfect_score_far_away_does_not_squeeze_the_axis(tmp_path: Path) -> None:
    near, far = grid_results(tmp_path / "near", 8), grid_results(tmp_path / "far", 8)
    far = replace(far, records=tuple({**r, "perfect": {**r["perfect"], "divergence": 1e-12}} for r in far.records))
    assert "the dashed line what a perfect sampler scores" in near.report().read_text()
    text = far.report().read_text()
    assert "a perfect sampler scores 1e-12, far off the axis" in text
    assert 'class="floor"' not in text


def test_a_score_that_no_run_has_is_a_page_still(tmp_path: Path) -> None:
    found = grid_results(tmp_path / "it", 2, kind="image")
    lost = [{**r, "rows": [{**row, "energy": None} for row in r["rows"]]} for r in found.records]
    assert replace(found, records=tuple(lost)).report().is_file()
