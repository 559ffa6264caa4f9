"""The page of a comparison in a real browser: no request, no error, pictures that load, nothing wider than a phone."""

from pathlib import Path
from typing import Any

import pytest
from comparisons import KINDS, make, result
from test_browser import browser  # noqa: F401

from ganneal.report import render_comparison

NAMES = ("data/" + "with_a_very_long_name" * 6 + " <b>&amp;</b>", "model")


@pytest.mark.parametrize("kind", KINDS)
def test_the_page_opens_without_network_on_desktop_and_phone(kind: str, browser: Any, tmp_path: Path) -> None:  # noqa: F811
    path = render_comparison(make(kind, names=NAMES, given=result("conditional", 0.5)), tmp_path / "out.html")
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
        themed = page.evaluate(
            "[...document.querySelectorAll('source')]"
            ".map((source) => source.parentElement.lastElementChild.currentSrc === source.srcset)"
        )
        assert themed == [scheme == "dark"] * len(themed)
        assert len(themed) > 0
        context.close()


def test_samples_keep_their_colours(browser: Any, tmp_path: Path) -> None:  # noqa: F811
    page = browser.new_page(color_scheme="light")
    page.goto(render_comparison(make("table"), tmp_path / "out.html").as_uri())
    colour = """(side) => [...new Set([...document.querySelectorAll(".side." + side)]
        .map((element) => getComputedStyle(element, "::before").backgroundColor))]"""
    light = [page.evaluate(colour, side) for side in ("first", "second")]
    assert light == [["rgb(194, 73, 29)"], ["rgb(37, 99, 184)"]]  # those of the pictures
    page.emulate_media(color_scheme="dark")
    assert [page.evaluate(colour, side) for side in ("first", "second")] == [
        ["rgb(255, 155, 115)"],
        ["rgb(127, 176, 255)"],
    ]
    page.close()
