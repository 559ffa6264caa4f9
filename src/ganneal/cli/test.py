"""`ganneal test REAL FAKE [FAKE_B]`, `--calibrate` and `--plan`."""

import json
import os
from pathlib import Path
from typing import Annotated, Any

import tyro
from pydantic import BaseModel, Field

from ganneal.cli.arguments import parse
from ganneal.errors import UsageError


class Test(BaseModel, use_attribute_docstrings=True):
    """Do two sets of samples come from the same distribution, and where do they differ?

    REAL, FAKE and FAKE_B are files (.npy, .npz, .csv, .parquet), folders or zips of images, names such as digits or
    ring8, or run folders, from which samples are drawn. With FAKE_B: which of the two is closer to REAL. With
    --calibrate: how often each test rejects when nothing differs, and when something does. With --plan: how many
    examples are needed.
    """

    real: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="[REAL]")] = ""
    """The first sample; with --calibrate optional: data to split in halves."""
    fake: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="[FAKE]")] = ""
    """The second sample."""
    fake_b: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="[FAKE_B]")] = ""
    """Another model's sample, for the relative test."""
    tests: tuple[str, ...] | None = None
    """Tests to run, as name or name(argument=value): mmd, mmdagg, mmd_fuse, mmd_o, mmd_ard, mmd_d, mmd_linear,
    mmd_features, energy, c2st, nn, me, scf, ks, wasserstein, sliced, sinkhorn. Default: a battery of quick ones."""
    n: Annotated[int | None, tyro.conf.arg(aliases=["-n"])] = Field(None, ge=4, le=1_000_000)
    """Examples used of each sample, at most [2000]; so many are drawn from run folders and built-in sources. With
    --calibrate: of each sample of a replication [100, or half of the data]."""
    size: int | None = None
    """Side of square images, where their sizes differ."""
    without: tuple[str, ...] | None = None
    """Columns to leave out."""
    given: str | None = None
    """Also test equality given a label: a column's name, or `labels` for images that come with them."""
    features: str | None = None
    """What images are compared on: random(d=64), pca(d=20), "classifier('FILE.npz')" or "inception('FILE')". Default:
    pixels."""
    level: float = Field(0.05, gt=0, lt=1)
    """Chance of a false alarm, of all tests together."""
    seed: int = Field(0, ge=0, lt=2**31)
    """Seed of everything that is random."""
    report: Path | None = None
    """Write a page that shows where the samples differ (.html)."""
    as_json: Annotated[bool, tyro.conf.arg(name="json")] = False
    """Print JSON."""
    force: bool = False
    """Overwrite an existing report."""
    calibrate: bool = False
    """Measure size and power of the tests."""
    replications: int = Field(200, ge=20, le=100_000)
    """Of --calibrate."""
    dim: int = Field(2, ge=1, le=10_000)
    """Dimensions of the normal samples of --calibrate."""
    effect: float | None = Field(None, gt=0)
    """Of --calibrate: shift of the alternative, in standard deviations [0.5]. Of --plan: excess accuracy over one half
    of a classifier, such as 0.05."""
    plan: bool = False
    """Say how many examples are needed: for --effect, or for a difference as large as that of REAL and FAKE."""
    power: float = Field(0.8, gt=0, lt=1)
    """Of --plan."""


def main(args: list[str]) -> int:
    """Test, calibrate or plan; print, and write the page."""
    request = parse(Test, "test", args, "ganneal test real.npy fake.npy --report differences.html")
    if request.plan and request.calibrate:
        raise UsageError("--plan and --calibrate: choose one")
    if request.plan or request.calibrate:
        if request.report is not None:
            raise UsageError("--report: shows a comparison, and --plan and --calibrate make none")
        return _plan(request) if request.plan else _calibrate(request)
    if not request.real or not request.fake:
        raise UsageError("two samples are needed: ganneal test REAL FAKE; see `ganneal test --help`")
    return _test(request)


def _test(request: Test) -> int:
    path = request.report
    if path is not None and path.suffix != ".html":
        raise UsageError(f"{path}: unknown format '{path.suffix}'; allowed: .html")
    if path is not None and not (path.parent.is_dir() and os.access(path.parent, os.W_OK) and not path.is_dir()):
        raise UsageError(f"{path}: cannot be written; allowed: a file in a folder that exists and may be written to")
    if path is not None and path.exists() and not request.force:
        raise UsageError(f"{path}: exists already; choose another name or --force")
    from ganneal.cli.status import status
    from ganneal.cli.tables import test_table
    from ganneal.comparison import compare
    from ganneal.reading import MOST, read_all

    with status() as watch:
        watch("reading")
        texts = [text for text in (request.real, request.fake, request.fake_b) if text]
        samples = read_all(
            texts, n=request.n or MOST, seed=request.seed, size=request.size, without=request.without or (),
            given=request.given,
        )  # fmt: skip
        found = compare(
            *samples, tests=request.tests, given=request.given is not None, features=request.features,
            level=request.level, seed=request.seed, watch=watch,
        )  # fmt: skip
    if request.as_json:
        print(json.dumps(found.to_dict(), indent=1, allow_nan=False))
    else:
        notes = "".join(f"note: {note}\n" for note in found.notes)
        print(f"{test_table(found)}\n{notes}verdict: {found.sentence()}", flush=True)
    if path is not None:
        from ganneal.report import render_comparison

        render_comparison(found, path)
        if not request.as_json:
            print(f"report:  {path}")
    return 0


def _calibrate(request: Test) -> int:
    from ganneal.cli.status import status
    from ganneal.cli.tables import calibration_table
    from ganneal.reading import SPLIT, read_samples, vectors_of
    from ganneal.twosample.battery import DEFAULT
    from ganneal.twosample.calibrate import calibrate, gaussians, splits

    effect, n = request.effect or 0.5, request.n
    if request.fake:
        raise UsageError("--calibrate takes one source, whose halves are compared, or none; got two")
    if request.real:
        draws = splits(
            vectors_of(
                read_samples(request.real, n=SPLIT, seed=request.seed, size=request.size, without=request.without or ())
            )[0],
            effect,
            n,
        )
        what = f"halves of {request.real}"
    else:
        draws = gaussians(n or 100, request.dim, effect)
        what = f"{n or 100} vs {n or 100} normal examples in {request.dim} dimensions"
    with status() as watch:
        found = calibrate(
            request.tests or DEFAULT, *draws, replications=request.replications, level=request.level, seed=request.seed,
            watch=lambda name, k: watch(f"{name}: replication {k + 1} of {request.replications}"),
        )  # fmt: skip
    if request.as_json:
        told = {"what": what, "effect": effect, "tests": [c.to_dict() for c in found]}
        print(json.dumps(told, indent=1, allow_nan=False))
        return 0
    print(f"{what}; power against a shift of {effect:g} standard deviations; {request.replications} replications\n")
    print(calibration_table(found))
    return 0


def _plan(request: Test) -> int:
    from ganneal.twosample.planning import check_power

    check_power(request.power, request.level)
    if request.effect is not None:
        if request.real:
            raise UsageError("--plan takes --effect or a pilot (REAL FAKE), got both")
        from ganneal.twosample.classifier import c2st_sample_size

        if not request.effect < 0.5:
            raise UsageError(f"--effect: got {request.effect:g}; allowed with --plan: excess accuracy, below 0.5")
        n = c2st_sample_size(request.effect, request.power, request.level)
        told: dict[str, Any] = {
            "test": "c2st", "effect": request.effect, "power": request.power, "level": request.level, "held_out": n,
            "each": n,
        }  # fmt: skip
        said = (
            f"A classifier that is right {0.5 + request.effect:.1%} of the time is told from guessing with power "
            f"{request.power:g} at level {request.level:g} by {n:,} held-out examples in all. As half of each sample "
            f"trains the classifier, that takes {n:,} real and {n:,} fake ones."
        )
    else:
        if not request.real or not request.fake:
            raise UsageError("--plan needs --effect, or a pilot: ganneal test REAL FAKE --plan --power 0.8")
        from ganneal.reading import MOST, read_all, vectors_of
        from ganneal.twosample.planning import plan_mmd

        pilot = read_all(
            [request.real, request.fake], n=request.n or MOST, seed=request.seed, size=request.size,
            without=request.without or (),
        )  # fmt: skip
        x, y = vectors_of(*pilot)
        plan = plan_mmd(x, y, request.power, level=request.level, seed=request.seed)
        told = {
            "test": "mmd", "effect": plan.effect, "power": plan.power, "level": plan.level, "each": plan.n,
            "low": plan.low, "high": plan.high, "pilot_power": plan.pilot_power,
        }  # fmt: skip
        most = "more than can be told" if plan.high is None else f"{plan.high:,}"
        said = (
            f"MMD (median width) finds a difference as large as that of the pilot (MMD^2 = {plan.effect:.3g}, "
            f"{len(x)} vs {len(y)} examples) with power {plan.power:g} at level {plan.level:g} from {plan.n:,} "
            f"examples of each ({plan.low:,} to {most} as the pilot's MMD^2 is "
            f"uncertain). The pilot's own size has power {plan.pilot_power:.2f}."
        )
    print(json.dumps(told, indent=1) if request.as_json else said)
    return 0
