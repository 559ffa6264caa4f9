"""`ganneal test` and `ganneal evaluate` as a person types them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import ganneal as gn
from ganneal import features
from ganneal.reading import Samples, vectors_of
from ganneal.twosample import run_tests

RNG = np.random.default_rng(0)
QUICK = ("--tests", "mmd(permutations=99)", "ks(permutations=99)")


def csv(path: str, values: np.ndarray, names: str = "height,width,depth") -> str:
    np.savetxt(path, values, delimiter=",", header=names, comments="")
    return path


def pictures(folder: str, values: np.ndarray) -> str:
    Path(folder).mkdir()
    for k, image in enumerate(values):
        Image.fromarray(image).save(f"{folder}/{k}.png")
    return folder


def test_two_tables_in_their_own_units(ganneal) -> None:
    """Columns of whole numbers stay whole: two files with other moments are not told apart by rounding."""
    a, b = RNG.integers(0, 5, (80, 3)) * [1, 100, 10_000], RNG.integers(0, 5, (90, 3)) * [1, 100, 10_000]
    said = ganneal("test", csv("a.csv", a), csv("b.csv", b), "--tests", "nn(permutations=99)", *QUICK[1:])
    assert said.code == 0, said
    assert "verdict: No difference found" in said.out
    assert "80 vs 90" in said.out
    moved = ganneal("test", "a.csv", csv("c.csv", b + np.array([0, 150, 0])), *QUICK, "--json")
    told = json.loads(moved.out)
    assert told["rejected"] is True
    ks = next(t for t in told["tests"] if t["name"].startswith("ks"))
    assert ks["adjusted"] >= ks["pvalue"] > 0


def test_pictures_report_and_relative_test(ganneal, folder: Path) -> None:
    base = RNG.integers(0, 120, (60, 8, 8), dtype=np.uint8)
    near, far = np.roll(base[::-1] + 10, 1, axis=2), RNG.integers(100, 250, (60, 8, 8), dtype=np.uint8)
    for name, values in (("real", base), ("near", near), ("far", far)):
        pictures(name, values)
    said = ganneal("test", "real", "near", "far", "--tests", "mmd(permutations=99)", "--report", "out.html")
    assert said.code == 0, said
    assert "near is closer to real than far" in said.out
    page = (folder / "out.html").read_text(encoding="utf-8")
    assert "<img" in page
    assert (
        "http" not in page.split("<body>")[1].split("<script")[0]
        or "://" not in page.split("<body>")[1].split("<script")[0]
    )
    assert "exists already" in ganneal("test", "real", "near", "--report", "out.html").complaint
    assert ganneal("test", "real", "near", *QUICK[:2], "--report", "out.html", "--force").code == 0


def test_built_in_sources_draw_independently(ganneal) -> None:
    said = ganneal("test", "moons", "moons", "-n", 100, *QUICK, "--json")
    assert json.loads(said.out)["rejected"] is False
    assert json.loads(ganneal("test", "moons", "ring8", "-n", 100, *QUICK, "--json").out)["rejected"] is True


def test_given_a_column(ganneal) -> None:
    label = RNG.integers(0, 2, (2, 120))
    x, y = (np.stack([5 * k + RNG.normal(size=120), k], 1) for k in label)
    csv("x.csv", x, "size,kind")
    csv("y.csv", y, "size,kind")
    said = ganneal("test", "x.csv", "y.csv", "--given", "kind", *QUICK)
    assert "Given the label: No difference found" in said.out


def test_calibrate_and_plan(ganneal) -> None:
    said = ganneal("test", "--calibrate", "--n", 30, "--dim", 2, "--replications", 20, *QUICK[:2], "--json")
    told = json.loads(said.out)["tests"][0]
    assert told["size"]["replications"] == 20
    assert 0 <= told["size"]["interval"][0] <= told["size"]["share"] <= told["power"]["share"] <= 1
    csv("rows.csv", RNG.normal(size=(80, 3)))
    assert "halves of rows.csv" in ganneal("test", "rows.csv", "--calibrate", "--replications", 20, *QUICK).out
    plan = json.loads(ganneal("test", "--plan", "--effect", 0.05, "--power", 0.8, "--json").out)
    assert plan["held_out"] == pytest.approx(617, abs=5)  # ((1.645/2 + .8416 sqrt(.2475)) / .05)^2 = 617
    csv("other.csv", RNG.normal(0.5, 1, size=(80, 3)))
    pilot = json.loads(ganneal("test", "rows.csv", "other.csv", "--plan", "--json").out)
    assert 10 < pilot["each"] < 200


def rejected(said, *parts: str) -> None:
    assert said.code == 2, said
    assert said.complaint.startswith("ganneal: ")
    assert said.complaint.count("\n") == 1
    for part in parts:
        assert part in said.complaint


REQUESTS = {
    "one source": ("test moons", ["two samples are needed"]),
    "unknown test": ("test moons ring8 --tests enrgy", ["unknown test 'enrgy'", "did you mean 'energy'?"]),
    "unknown argument": ("test moons ring8 --tests mmd(kernal=rq)", ["'kernal'", "did you mean 'kernel'?"]),
    "unknown kernel": ("test moons ring8 --tests mmd(kernel=lapace)", ["'lapace'", "laplace"]),
    "level": ("test moons ring8 --level 2", ["level", "2"]),
    "plan without effect": ("test --plan", ["--effect"]),
    "effect too large": ("test --plan --effect 0.7", ["below 0.5"]),
    "power below level": ("test --plan --effect 0.1 --power 0.01", ["power"]),
    "plan and calibrate": ("test --plan --calibrate", ["choose one"]),
    "report format": ("test moons ring8 --report out.pdf", [".html"]),
    "two for calibrate": ("test moons ring8 --calibrate", ["one source"]),
    "no labels": ("test moons ring8 --given labels", ["no labels"]),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_wrong_requests_are_one_line(ganneal, name: str) -> None:
    line, parts = REQUESTS[name]
    rejected(ganneal(*line.split(" ")), *parts)


def test_samples_that_cannot_be_compared(ganneal) -> None:
    rows = RNG.normal(size=(20, 3))
    csv("a.csv", rows)
    csv("wide.csv", RNG.normal(size=(20, 2)), "height,width")
    csv("short.csv", rows[:3])
    csv("hole.csv", np.where(np.arange(60).reshape(20, 3) == 4, np.nan, rows))
    csv("again.csv", rows[::-1])
    csv("named.csv", RNG.normal(size=(20, 3)), "height,weight,depth")
    flat = rows.copy()
    flat[:, 1] = 7
    csv("flat.csv", flat)
    other = RNG.normal(size=(20, 3))
    other[:, 1] = 7
    csv("flat2.csv", other)
    pictures("tiles", RNG.integers(0, 255, (8, 8, 8), dtype=np.uint8))
    for pair, parts in {
        "a.csv wide.csv": ["3 and 2 columns"],
        "a.csv short.csv": ["short.csv", "at least 4"],
        "a.csv hole.csv": ["hole.csv", "'width'", "row 2"],
        "a.csv again.csv": ["a.csv and again.csv hold the same examples"],
        "a.csv a.csv": ["a.csv: given twice"],
        "a.csv named.csv": ["'width' and 'weight'"],
        "flat.csv flat2.csv": ["column 'width' has the same value everywhere", "--without width"],
        "a.csv tiles": ["a table", "images"],
        "a.csv moons": ["3 and 2 columns"],
        "a.csv nowhere.csv": ["no such file"],
    }.items():
        rejected(ganneal("test", *pair.split(), *QUICK), *parts)
    rejected(ganneal("test", "a.csv", "flat.csv", "--without", "hight", *QUICK), "no column 'hight'", "height")
    assert ganneal("test", "flat.csv", "flat2.csv", "--without", "width", *QUICK).code == 0


def test_evaluate_a_run(ganneal, folder: Path, small) -> None:
    assert ganneal("train", "ring8", "--steps", 20, *small, "--out", "run").code == 0
    said = ganneal("evaluate", "run", "--tests", "mmd(permutations=99)")
    assert said.code == 0, said
    for word in ("training data", "precision", "coverage", "KID", "modes"):
        assert word in said.out
    told = json.loads((folder / "run" / "evaluation.json").read_text())
    assert told["rejected"] is True
    assert {s["name"] for s in told["scores"]} >= {"precision", "recall", "density", "coverage", "KID"}
    assert told["modes"]["total"] == 8
    assert (folder / "run" / "differences.html").stat().st_size > 1000
    again = ganneal("evaluate", "run", "--tests", "mmd(permutations=99)", "--json")
    assert json.loads(again.out)["scores"] == told["scores"]  # same seed, same numbers
    rejected(ganneal("evaluate", "run", "--features", "pixels"), "unknown feature 'pixels'")
    rejected(ganneal("evaluate", "run", "--member", 3), "member: got 3")
    rejected(ganneal("evaluate", "nowhere"), "not a run folder")


def test_pictures_on_features(ganneal) -> None:
    pictures("one", RNG.integers(0, 255, (40, 8, 8, 3), dtype=np.uint8))
    pictures("two", RNG.integers(0, 120, (40, 8, 8, 3), dtype=np.uint8))
    said = ganneal("test", "one", "two", "--features", "random(d=16)", *QUICK[:2], "--report", "f.html")
    assert "verdict: The samples differ" in said.out
    rejected(ganneal("test", "one", "two", "--features", "randon"), "unknown feature 'randon'", "random")
    rejected(ganneal("test", "moons", "ring8", "--features", "raw"), "images only")


def test_words_in_a_column_are_left_out_or_are_the_label(ganneal, folder: Path) -> None:
    def table(path: str, shift: float) -> None:
        rows = [f"{RNG.normal() + shift},{RNG.normal()},{'cat' if k % 3 else 'dog'}" for k in range(60)]
        (folder / path).write_text("height,width,species\n" + "\n".join(rows) + "\n")

    table("a.csv", 0)
    table("b.csv", 0)
    table("c.csv", 3)
    rejected(ganneal("test", "a.csv", "b.csv", *QUICK), "'species' (for example", "--without")
    assert "No difference found" in ganneal("test", "a.csv", "b.csv", *QUICK, "--without", "species").out
    said = ganneal("test", "a.csv", "c.csv", *QUICK, "--given", "species", "--json")
    assert {entry["label"] for entry in json.loads(said.out)["given"]["details"]["labels"]} == {"cat", "dog"}
    rejected(ganneal("test", "a.csv", "b.csv", "--given", "spices"), "no column 'spices'", "species")


def test_columns_are_compared_by_name_and_a_label_of_many_values_is_named(ganneal) -> None:
    x, y = RNG.normal(size=(80, 3)), RNG.normal(size=(80, 3))
    csv("x.csv", x, "a,b,c")
    csv("y.csv", y[:, [2, 0, 1]] + [5, 0, 0], "c,a,b")
    said = ganneal("test", "x.csv", "y.csv", "--tests", "ks(permutations=99)")
    assert "another order" in said.out
    assert "(c)" in said.out
    csv("z.csv", np.column_stack([x[:, 0], np.r_[np.zeros(10), np.arange(70)]]), "a,k")
    csv("w.csv", np.column_stack([y[:, 0], np.r_[np.zeros(10), np.arange(70)]]), "a,k")
    assert "have a label that both samples hold twice" in ganneal("test", "z.csv", "w.csv", *QUICK, "--given", "k").out


def test_evaluate_from_python_and_the_sides_of_its_tests(ganneal, monkeypatch: pytest.MonkeyPatch, small) -> None:
    """x is held-out data in the tests as on the page, and y the samples, or training data for the reference."""
    assert ganneal("train", "digits", "--steps", 5, *small, "--out", "run").code == 0
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []

    def spy(x: torch.Tensor, y: torch.Tensor, *args: Any, **more: Any) -> Any:
        seen.append((x, y))
        return run_tests(x, y, *args, **more)

    monkeypatch.setattr("ganneal.evaluation.run_tests", spy)
    found = gn.evaluate("run", tests="mmd(permutations=19)")
    (held, samples), (again, training) = seen
    assert torch.equal(held, found.comparison.x)
    assert torch.equal(samples, found.comparison.y)
    assert torch.equal(again, held)
    assert training.shape == held.shape
    assert not torch.equal(training, samples)
    assert "held-out" in repr(found)
    with pytest.raises(gn.UsageError, match="not a run folder"):
        gn.evaluate("nowhere")


def test_what_is_compared_takes_no_part_in_fitting_features(ganneal, monkeypatch: pytest.MonkeyPatch, small) -> None:
    """Otherwise training data, which would fit them, score better than any generator can."""
    csv("rows.csv", RNG.normal(size=(200, 3)))
    assert ganneal("train", "rows.csv", "--steps", 5, *small, "--out", "run").code == 0
    fitted: list[torch.Tensor] = []
    compared: list[torch.Tensor] = []

    class Recipe:
        def fit(self, train: torch.Tensor) -> Any:
            fitted.append(train)
            extract = features.build("raw").fit(train)
            return lambda x: compared.append(x) or extract(x)

    monkeypatch.setattr("ganneal.evaluation.build_features", lambda text: Recipe())
    gn.evaluate("run", tests="mmd(permutations=19)")
    rows = {tuple(row.tolist()) for row in fitted[0]}
    samples, held, reference, rest = compared
    assert len(fitted[0]) + len(reference) == 180
    assert torch.equal(rest, fitted[0])
    for part in (samples, held, reference):
        assert not rows & {tuple(row.tolist()) for row in part}


def test_columns_are_compared_on_the_scale_of_both_samples_together() -> None:
    names = ("a", "b")
    x, y = (Samples(k, RNG.normal(5, [1, 1000], size=(50, 2)), names) for k in "xy")
    pool = torch.cat(vectors_of(x, y))
    assert pool.mean(0).numpy() == pytest.approx([0, 0], abs=1e-12)
    assert pool.std(0).numpy() == pytest.approx([1, 1])


def test_what_cannot_be_written_is_said_before_anything_is_tested(ganneal, folder: Path) -> None:
    (folder / "page.html").mkdir()
    rejected(ganneal("test", "moons", "ring8", "--report", "page.html", "--force"), "cannot be written")
    rejected(ganneal("test", "moons", "ring8", "--report", "nowhere/page.html"), "cannot be written")
    rejected(ganneal("test", "--calibrate", "--report", "page.html"), "--report")
    rejected(ganneal("test", "a.npy", "b.npy", "--plan", "--effect", "0.1"), "got both")
