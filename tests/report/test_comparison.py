"""The page of a comparison: what it says and shows, what it escapes, and what it leaves out when pieces are missing."""

import base64
import io
import json
import re
from dataclasses import replace
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
import torch
from comparisons import COLUMNS, KINDS, battery, kernels, make, result
from PIL import Image

from ganneal.comparison import Samples
from ganneal.errors import UsageError
from ganneal.report import field as fields
from ganneal.report import image_grid, render_comparison
from ganneal.report.columns import ranked
from ganneal.report.comparison import outcome, plain, short_names
from ganneal.report.differences import differences
from ganneal.report.field import witness_field
from ganneal.report.maps import limits_of, pixel_map, plane
from ganneal.report.scales import said
from ganneal.report.verdict import DASH
from ganneal.twosample.battery import TESTS
from ganneal.twosample.kernels import gaussian

RNG = np.random.default_rng(0)


def page_of(found: Any, folder: Path) -> str:
    path = folder / "out.html"
    assert render_comparison(found, path) == path
    assert [p.name for p in folder.iterdir()] == ["out.html"]  # no temporary file is left
    return path.read_text(encoding="utf-8")


def data_of(page: str) -> dict[str, Any]:
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)[1])


def image_of(url: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))


def pixels_of(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(float)


@pytest.mark.parametrize("differ", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_makes_a_small_page_without_addresses(kind: str, differ: bool, tmp_path: Path) -> None:
    page = page_of(make(kind, differ=differ), tmp_path)
    assert len(page) < 1_500_000
    assert not re.search(r"(src|href|srcset)=.?(https?:)?//", page)
    assert "url(" not in page
    assert "default-src 'none'" in page
    assert all(alt.strip() for alt in re.findall(r'<img [^>]*alt="([^"]*)"', page))
    assert page.count("<img") == page.count('alt="')
    headings = re.findall(r'<h2 id="[^"]*">(.*?)</h2>', page)
    assert headings == ["Tests", "Where they differ", "How to read this"]
    assert f'<div class="verdict {"fail" if differ else "pass"}" role="status">' in page
    assert ("No test told the samples apart" in page) is not differ
    assert ("lacks</h3>" in page and "has too much of</h3>" in page) is (differ and kind in ("digits", "table"))
    assert data_of(page)["tests"][0]["pvalue"] == (0.001 if differ else 0.4)


@pytest.mark.parametrize(
    ("tests", "change", "state", "reason"),
    [
        ([0.001, 0.9], {}, "fail", None),
        ([0.2, 0.9], {}, "pass", None),
        ([0.03, 0.9], {}, "undecided", "taken alone, test0 (p = 0.03) would say that they differ"),
        ([0.2], {"m": 99}, "undecided", "only 99 samples"),
        ([0.2], {"tested": (60, 50)}, "undecided", "only 50 samples"),
        ([0.001], {"m": 10, "n": 10}, "fail", None),
        ([0.2], {"given": 0.01}, "undecided", "given the label"),
        ([0.2], {"given": 0.2}, "pass", None),
    ],
)
def test_the_outcome_is_green_only_where_a_difference_could_have_been_seen(
    tests: list[float], change: dict[str, Any], state: str, reason: str | None
) -> None:
    given = result("conditional", change.pop("given")) if "given" in change else None
    results = [result(f"test{i}", p, **change) for i, p in enumerate(tests)]
    told = outcome(replace(make("line"), battery=battery(*results), given=given))
    assert told.state == state
    assert (reason is None) is (told.reasons == ())
    assert reason is None or reason in told.reasons[0]


def test_the_table_of_tests(tmp_path: Path) -> None:
    found = make("line")
    results = [
        result("mmd", 0.0213, power=0.256, permutations=1000),
        result("c2st(classifier=knn)", 0.5, tested=(100, 75), effect=0.5312, effect_name="accuracy", seconds=None),
        result("scf", 1e-7, null="chi2(10)", permutations=0),
        result("nobody knows", 0.5),
    ]
    page = page_of(replace(found, battery=battery(*results), notes=("half is left out",)), tmp_path)
    rows = re.findall(r"<tr>(.*?)</tr>", page.partition("<tbody>")[2].partition("</tbody>")[0], re.S)
    texts = [" ".join(re.sub(r"<[^>]*>", " ", row).split()) for row in rows]
    words = "Maximum mean discrepancy with one kernel."
    mmd = f"mmd {words} 0.064 0.021 0.5 {DASH} 26 % 200 vs 150 permutation 1,000 draws 0.20"
    assert texts[0] == f"no difference {mmd}"
    held_out = f"1 0.5 0.5 0.531 accuracy {DASH} 100 vs 75 of 200 vs 150 permutation 999 draws {DASH}"
    assert texts[1].endswith(held_out)
    assert texts[1].startswith("no difference c2st(classifier=knn) A classifier learns to tell the samples apart")
    assert texts[2].startswith("differ scf")
    assert "4e-07 1e-07" in texts[2]
    assert texts[2].endswith("chi2(10) 0.20")
    assert [chip for row in rows for chip in re.findall('class="chip (.*?)"', row)] == ["calm", "calm", "fail", "calm"]
    assert "half is left out." in page


def test_every_test_of_the_battery_is_explained() -> None:
    for name in TESTS.entries:
        words = plain(name + "(permutations=99)")
        assert re.fullmatch(r"[A-Z][^`]*\.", words), (name, words)
    assert plain("unknown") == ""


def test_images_are_the_extreme_ones_and_the_confident_ones() -> None:
    found = make("digits")
    panels = differences(found, "a", "b").panels
    lacks, surplus, sure, pixels = panels
    for panel, values, index in (
        (lacks, found.real.values, found.where.x_index),
        (surplus, found.fake.values, found.where.y_index),
    ):
        expected = image_grid(values[list(index)], 4, 72)
        assert (np.asarray(image_of(panel.pictures[0].url)) == np.asarray(expected)).all()
        assert panel.pictures[1].url != panel.pictures[0].url
    assert (lacks.title, lacks.side, surplus.title, surplus.side) == (
        "What b lacks",
        "first",
        "What b has too much of",
        "second",
    )
    for picture, values in zip(sure.pictures, (found.real.values[:9], found.fake.values[20:29]), strict=True):
        assert (np.asarray(image_of(picture.url)) == np.asarray(image_grid(values, 3, 72))).all()
    assert "90 % of a and 80 % of b" in sure.note
    assert [p.caption for p in pixels.pictures] == [
        "mean of a",
        "mean of b",
        "difference of the means",
        "weights of mmd_ard",
    ]


def test_images_compared_on_features_say_so(tmp_path: Path) -> None:
    found = make("photos")
    assert "32 x 32 pixels, colour</dd>" in page_of(found, tmp_path)
    page = page_of(replace(found, x=found.x[:, :64], y=found.y[:, :64]), tmp_path)
    assert "32 x 32 pixels, colour, compared on 64 features</dd>" in page


def test_a_classifier_that_recognises_nothing_is_not_shown() -> None:
    found = make("digits", differ=False)
    assert [panel.title for panel in differences(found, "a", "b").panels] == [
        "Least typical of b", "Least typical of a", "Pixel by pixel",
    ]  # fmt: skip


def test_where_the_witness_never_changes_sign_nobody_is_said_to_lack_anything() -> None:
    found = make("digits")
    where = replace(found.where, x_value=tuple(-1.0 - i for i in range(16)))
    first, second, *_ = differences(replace(found, where=where), "a", "b").panels
    assert first.title == "Least typical of b"
    assert first.note.startswith("b outweighs a at every example of a")
    assert second.title == "What b has too much of"


def test_images_that_cannot_be_drawn_leave_the_rest(tmp_path: Path) -> None:
    values = RNG.integers(0, 256, (200, 8, 8, 5), dtype=np.uint8)
    found = replace(make("digits"), real=Samples("a", values), fake=Samples("b", values[:150]))
    page = page_of(found, tmp_path)
    assert "The examples could not be drawn: images: got uint8" in page
    assert "At which scale" in page


def test_columns_are_ranked_as_the_test_of_columns_ranks_them() -> None:
    found = make("table", without=("weight",))
    shown = differences(found, "a", "b")
    names = [name for name in COLUMNS if name != "weight"]
    ks, ard = (next(r.details for r in found.battery.results if r.name == name) for name in ("ks", "mmd_ard"))
    assert shown.columns[0].name == "income"
    assert sorted(c.name for c in shown.columns) == sorted(names)
    for c in shown.columns:
        i = names.index(c.name)
        assert c.distance == pytest.approx(ks["statistics"][i], abs=1e-12)
        assert c.pvalue == ks["joint"][i]
        assert c.weight == ard["weights"][i]
        assert abs(c.shares[0] - c.shares[1]) == pytest.approx(c.distance)
        assert c.shares[0] == np.mean(c.first <= c.at)
        assert np.sign(c.shares[0] - c.shares[1]) == ks["direction"][i]
    assert [c.distance for c in shown.columns] == sorted((c.distance for c in shown.columns), reverse=True)
    assert [p.caption for p in shown.histograms.pictures] == [c.name for c in shown.columns[:6]]


def test_columns_without_a_test_of_them_have_no_p_value(tmp_path: Path) -> None:
    found = make("table")
    page = page_of(replace(found, battery=battery(result("mmd", 0.001))), tmp_path)
    assert "No test of single columns ran" in page
    assert "Weight:" not in page
    assert "At which scale" not in page
    columns = ranked(np.array([[0.0, 1], [1, 2]]), np.array([[0.0, 5], [1, 6], [1, 7]]), ["a", "b"], {}, {})
    assert [(c.name, c.position, c.at, c.shares, c.pvalue) for c in columns] == [
        ("b", 1, 2.0, (1.0, 0.0), None), ("a", 0, 0.0, (0.5, pytest.approx(1 / 3)), None),
    ]  # fmt: skip


def test_rows_are_in_the_users_units_and_mark_what_the_other_sample_rarely_has() -> None:
    found = make("table")
    shown = differences(found, "a", "b")
    order = [c.position for c in shown.columns][:8]
    for table, own, other, index, values in (
        (shown.tables[0], found.real.values, found.fake.values, found.where.x_index, found.where.x_value),
        (shown.tables[1], found.fake.values, found.real.values, found.where.y_index, found.where.y_value),
    ):
        assert list(table.rows.header) == [COLUMNS[i] for i in order]
        low, high = (np.quantile(other[:, order], q, axis=0) for q in (0.05, 0.95))
        for k, (value, cells) in enumerate(table.rows.rows):
            row = own[index[k], order]
            assert value == f"{values[k]:+.1f}"
            assert [float(text.replace(",", "")) for text, _ in cells] == pytest.approx(row, rel=1e-3)
            assert [marked for _, marked in cells] == [
                bool(v < a or v > b) for v, a, b in zip(row, low, high, strict=True)
            ]
        assert len(table.rows.rows) == 8
        assert any(marked for _, cells in table.rows.rows for _, marked in cells)
        assert [float(t.replace(",", "")) for t in table.rows.typical] == pytest.approx(
            np.median(other[:, order], 0), rel=1e-3
        )
    assert "Marked: outside the middle 90 % of b" in shown.tables[0].note


def test_the_plane_is_coloured_where_each_sample_is_in_the_users_units(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: dict[str, Any] = {}

    def spy(first: Any, second: Any, across: Any, up: Any, witness: Any, band: float, marks: Any, *rest: Any) -> bytes:
        drawn.update(across=across, witness=witness, band=band, marks=marks, rest=rest)
        return plane(first, second, across, up, witness, band, marks, *rest)

    monkeypatch.setattr(fields, "plane", spy)
    found = make("plane")
    moved = [
        replace(r, details={"locations": [[3.9, 3.0], [2.1, 3.0]]}) for r in found.battery.results if r.name == "me"
    ]
    others = [r for r in found.battery.results if r.name != "me"]
    found = replace(found, x=found.x + 3, y=found.y + 3, battery=battery(*others, *moved))  # as a third sample does
    (panel,) = differences(found, "a", "b").panels
    column = drawn["witness"][len(drawn["witness"]) // 2]
    near = [int(np.abs(drawn["across"] - at).argmin()) for at in (4000, 6000)]
    assert (
        column[near[0]] < -drawn["band"] < 0 < drawn["band"] < column[near[1]]
    )  # 3 in 4 of a are at 6000, of b at 4000
    assert np.allclose(drawn["marks"], [[5000 + 1000, 0], [5000 - 1000, 0]], atol=250)
    assert "it leaves the band inside the lines" in panel.note
    assert "Rings" in panel.note
    light, dark = (
        np.asarray(image_of(u).convert("RGB")).astype(float)
        for u in (panel.pictures[0].url, panel.pictures[0].dark_url)
    )
    for pixels in (light, dark):
        warm = (pixels[..., 0] - pixels[..., 2]).mean(0)
        third = len(warm) // 3
        assert warm[-third:].mean() > warm[: third + 60].mean() + 5
    assert light.mean() > 180
    assert dark.mean() < 80


def test_the_witness_leaves_its_band_as_rarely_as_it_says() -> None:
    generator = torch.Generator().manual_seed(0)
    points, outside, rounds = torch.linspace(-2, 2, 25, dtype=torch.float64)[:, None], 0, 400
    for seed in range(rounds):
        x, y = (torch.randn(size, 1, dtype=torch.float64, generator=generator) for size in (20, 30))
        values, band = witness_field(x, y, points, gaussian(0.5), seed)
        outside += bool(np.abs(values).max() > band)
    assert 6 <= outside <= 37  # binomial(400, 0.05) leaves this with probability 1e-4


def test_the_witness_is_the_difference_of_mean_kernels() -> None:
    x, y, v = (torch.from_numpy(RNG.normal(size=(k, 2))) for k in (7, 5, 3))
    values, _ = witness_field(x, y, v, gaussian(0.7))

    def k(a: torch.Tensor, b: torch.Tensor) -> float:
        return float(torch.exp(-((a - b) ** 2).sum() / (2 * 0.7**2)))

    expected = [np.mean([k(a, p) for a in x]) - np.mean([k(b, p) for b in y]) for p in v]
    assert values == pytest.approx(expected)


def test_pixels_have_the_colour_of_the_brighter_sample() -> None:
    values = np.zeros((8, 8))
    values[:, :4], values[:, 4:] = 3.0, -6.0
    sheet = np.asarray(Image.open(io.BytesIO(pixel_map(values, False)))).astype(int)
    assert sheet.shape == (160, 160, 4)
    assert sheet[0, 0, 0] > sheet[0, 0, 2] + 100
    assert sheet[0, -1, 2] > sheet[0, -1, 0] + 100
    assert sheet[0, 0, 3] == 128
    assert sheet[0, -1, 3] == 255


def test_limits_leave_out_one_percent() -> None:
    values = np.concatenate([np.linspace(0, 1, 1000), [1e9]])
    assert limits_of(values) == (pytest.approx(-0.06, abs=0.01), pytest.approx(1.06, abs=0.01))
    assert limits_of(np.array([2.0] * 1000 + [3.0])) == (pytest.approx(1.94), pytest.approx(3.06))
    assert limits_of(np.full(5, 2.0)) == (1.5, 2.5)


FINE, WIDE = (0.1, 0.02, 0.001), (3.0, 0.01, 0.001)
NONE = (1.0, 0.001, 0.3)


@pytest.mark.parametrize(
    ("triples", "differ", "words"),
    [
        ([FINE, NONE], True, "clearest at 0.1 times the median distance: it is in fine detail"),
        ([WIDE, NONE], True, "clearest at 3 times the median distance: it is in the overall location"),
        (
            [FINE, WIDE],
            True,
            "from 0.1 to 3 times the median distance, and MMD² is largest at 0.1 times: small and large",
        ),
        (
            [FINE, NONE],
            False,
            "The smallest p-value (0.001, at 0.1 times the median distance) is what the best of 2 may",
        ),
        ([NONE, (2.0, 0.0, 0.6)], True, "No single width finds a difference."),
    ],
)
def test_the_scale_in_words(triples: list[tuple[float, float, float]], differ: bool, words: str) -> None:
    assert words in said({"gaussian": triples[:1], "laplace": triples[1:]}, 0.05, differ)


def test_widths_are_told_in_median_distances() -> None:
    shown = differences(make("line"), "a", "b").scales
    assert "(Gaussian: " in shown.note
    found = make("line")
    median = float(torch.pdist(torch.cat([found.x, found.y])).median())
    width = kernels(0.001)["kernels"][3]["width"]
    assert f"clearest at {width / median:.2g} times" in shown.note


def test_given_the_label(tmp_path: Path) -> None:
    labels = [
        {"label": 1.0, "statistic": 0.01, "pvalue": 0.4, "m": 50, "n": 40},
        {"label": "<i>shoe</i>", "statistic": 0.2, "pvalue": 0.001, "m": 30, "n": 20},
    ]
    given = result("conditional", 0.002, details={"labels": labels, "left_out": [7.0]})
    page = page_of(make("digits", given=given), tmp_path)
    assert page.index("&lt;i&gt;shoe") < page.index('<th scope="row">1</th>')
    assert "Left out, with fewer than 2 examples on a side: 7." in page
    assert "30 vs 20" in page


@pytest.mark.parametrize(
    ("closer", "score", "words"),
    [
        (
            "y",
            -3.2,
            "<b>runs/model-1</b> is closer to real.npz:x: the difference of their MMD² is -3.2 standard errors",
        ),
        ("z", 3.2, "<b>runs/model-2</b> is closer"),
        ("undecided", 0.25, "Which of the two is closer to real.npz:x cannot be told"),
    ],
)
def test_which_is_closer(closer: str, score: float, words: str, tmp_path: Path) -> None:
    found = make("line")
    other = Samples("runs/model-2", found.fake.values)
    details = {
        "closer": closer, "mmd2_y": 0.0123, "mmd2_z": 0.0456, "pvalue_two_sided": 2 * NormalDist().cdf(-abs(score))
    }  # fmt: skip
    relative = result(
        "relative", NormalDist().cdf(-score), statistic=score, permutations=0, null="normal", details=details
    )
    page = " ".join(page_of(replace(found, other=other, relative=relative), tmp_path).split())
    assert words in page
    assert "200 vs 150 vs 150" in page
    assert f"two-sided p = {0.8 if closer == 'undecided' else 0.0014}." in page
    assert 'MMD² of runs/model-1</th><td class="num">0.0123' in page
    assert ('0.0123 <span class="chip calm">closer' in page) is (closer == "y")
    assert ('0.0456 <span class="chip calm">closer' in page) is (closer == "z")


def test_hostile_text_is_text(tmp_path: Path) -> None:
    attack = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"
    found = make("table", names=(attack, attack + "2"), notes=(attack,))
    labels = [{"label": attack, "statistic": 0.0, "pvalue": 0.5, "m": 2, "n": 2}]
    found = replace(
        found,
        real=replace(found.real, columns=tuple(f"{attack}{i}" for i in range(9))),
        given=result(attack, 0.5, null=attack, details={"labels": labels}),
        battery=battery(result(attack, 0.001, effect=1.0, effect_name=attack), *found.battery.results),
    )
    page = page_of(found, tmp_path)
    assert "alert(1)" in page
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert data_of(page)["real"] == attack


def test_long_lists_stay_out_of_the_page(tmp_path: Path) -> None:
    found = replace(
        make("line"), battery=battery(result("ks", 0.001, details={"statistics": [0.1] * 5000, "worst": [1, 2]}))
    )
    details = data_of(page_of(found, tmp_path))["tests"][0]["details"]
    assert details == {"statistics": "5000 values left out", "worst": [1, 2]}


@pytest.mark.parametrize(
    ("names", "short"),
    [
        (("a/b.npy", "c/d.npy"), ("b.npy", "d.npy")),
        (("a/x.npy", "b/x.npy"), ("a/x.npy", "b/x.npy")),
        (("digits", "runs/digits-1/"), ("digits", "digits-1")),
        (("x" * 50 + "/" + "a" * 60 + "1", "b"), ("a" * 16 + "…" + "a" * 16 + "1", "b")),
        (("a" * 60, "a" * 61), ("the first sample", "the second sample")),
    ],
)
def test_short_names(names: tuple[str, str], short: tuple[str, str]) -> None:
    assert short_names(*names) == short


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"there is no folder .*missing"):
        render_comparison(make("line"), tmp_path / "missing" / "out.html")


def test_the_same_comparison_makes_the_same_page(tmp_path: Path) -> None:
    first, second = (re.sub(r"Written \S+ \S+", "", page_of(make("plane"), tmp_path)) for _ in range(2))
    assert first == second
