"""The page in a real browser: no request, no error, curves drawn, nothing wider than a phone, both colour schemes."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ganneal.report import render

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
# pixels of a canvas that are not transparent and not grey: the curves, not the grid
COLOURED = """() => [...document.querySelectorAll("canvas")].map((canvas) => {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let n = 0;
  for (let i = 0; i < data.length; i += 4) n += data[i + 3] > 100 && Math.abs(data[i] - data[i + 2]) > 40;
  return n;
})"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not Path(CHROMIUM).exists():
        pytest.skip(f"there is no browser at {CHROMIUM}; set CHROMIUM to the path of one")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.mark.parametrize("kind", ["photos", "toy", "population", "empty"])
def test_the_page_opens_without_network_on_desktop_and_phone(kind: str, browser: Any, make_run: Any) -> None:
    path = render(make_run(kind, source="ring " + "with_a_very_long_name" * 6 + " <b>&amp;</b>"))
    for width, scheme in ((1200, "light"), (390, "dark")):
        context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
        page = context.new_page()
        requests, problems = [], []
        page.on("request", lambda request, seen=requests: seen.append(request.url))
        page.on("console", lambda message, seen=problems: seen.append(message.text))
        page.on("pageerror", lambda error, seen=problems: seen.append(str(error)))
        page.goto(path.as_uri())
        page.wait_for_timeout(150)
        assert problems == []
        assert [url for url in requests if not url.startswith("data:")] == [path.as_uri()]
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        drawn = page.evaluate(COLOURED)
        assert len(drawn) == {"empty": 0, "population": 5}.get(kind, 4)
        assert all(n > 100 for n in drawn)
        assert page.evaluate("[...document.images].every((image) => image.complete && image.naturalWidth > 0)")
        context.close()


def test_legend_shows_last_values_hides_curves_and_follows_the_scheme(browser: Any, make_run: Any) -> None:
    page = browser.new_page(color_scheme="light")
    page.goto(render(make_run("toy")).as_uri())
    page.wait_for_timeout(150)
    legend = page.locator("#chart-losses .u-series")
    assert "960,000" in legend.nth(0).inner_text()
    before = page.evaluate(COLOURED)[0]
    colour = (
        "getComputedStyle(document.querySelector('#chart-losses .u-series:nth-child(2) .u-marker')).backgroundColor"
    )
    light = page.evaluate(colour)
    legend.nth(1).locator("th").click()
    page.wait_for_timeout(100)
    assert page.evaluate(COLOURED)[0] < 0.8 * before
    page.emulate_media(color_scheme="dark")
    page.wait_for_timeout(100)
    assert page.evaluate(colour) != light
    page.close()


def test_a_population_names_eight_members(browser: Any, make_run: Any) -> None:
    page = browser.new_page()
    page.goto(render(make_run("population", members=20)).as_uri())
    assert page.locator("#chart-loss-0 .u-series").count() == 20
    assert sum(row.is_visible() for row in page.locator("#chart-loss-0 .u-series").all()) == 8
    page.close()


def test_without_javascript_the_ranges_are_in_words(browser: Any, make_run: Any) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(render(make_run("toy")).as_uri())
    assert page.get_by_text("The curves need JavaScript").is_visible()
    assert page.get_by_text("critic from 0.").first.is_visible()
    context.close()
