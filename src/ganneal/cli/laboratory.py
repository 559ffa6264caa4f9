"""`ganneal dynamics GAME` and `ganneal dynamics RUN`."""

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro
from pydantic import BaseModel, Field

from ganneal.cli.arguments import parse
from ganneal.cli.outputs import free_for
from ganneal.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor

    from ganneal.dynamics import Spectrum, Study


class Game(BaseModel, use_attribute_docstrings=True):
    """An exactly solvable game under any objective, penalties and solver: eigenvalues predicted and measured, rates of
    decay predicted and measured, a safe learning rate, critical damping, and a picture."""

    game: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="GAME")]
    """dirac, bilinear, lq_uniform, lq_wgan, affine, rock_paper_scissors, or with arguments: "affine(std=0.7)"."""
    objective: Annotated[str | None, tyro.conf.arg(metavar="TEXT", help_behavior_hint="[wasserstein]")] = None
    """As in training."""
    penalty: Annotated[tuple[str, ...] | None, tyro.conf.arg(metavar="TEXT ...", help_behavior_hint="")] = None
    """Any number, as in training: "r1(gamma=1)" "nk(eta=0.5)"."""
    solver: str = "alternating"
    """As in training."""
    optimizer: str = "sgd"
    """sgd, or "sgd(momentum=-0.5)"."""
    lr: Annotated[
        float | None,
        tyro.conf.arg(metavar="NUMBER", help_behavior_hint="[half of the largest stable one, at most 0.1]"),
    ] = Field(None, gt=0, allow_inf_nan=False)
    """Learning rate of both players."""
    noise: str = "0"
    """Standard deviation of instance noise, or its schedule."""
    progress: float = Field(1.0, ge=0, le=1)
    """Where schedules are read: 0 is the start of training, 1 its end."""
    out: Annotated[
        Path | None, tyro.conf.arg(metavar="PATH", aliases=["-o"], help_behavior_hint="[dynamics-GAME.png]")
    ] = None
    """The picture (.png); with --json there is none unless it is named."""
    as_json: Annotated[bool, tyro.conf.arg(name="json")] = False
    """Print everything as JSON."""
    force: bool = False
    """Overwrite the picture named by --out."""


class Run(BaseModel, use_attribute_docstrings=True):
    """The spectrum of a trained run at a checkpoint: eigenvalues of the Jacobian of its players' joint field, on one
    batch of data and noise. Complete up to 1500 parameters, the rightmost and the largest beyond."""

    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """A run folder."""
    checkpoint: str = "last"
    """last, best, or a number of examples."""
    member: int = Field(0, ge=0)
    """Of a population."""
    count: int = Field(6, ge=1, le=50)
    """Eigenvalues of each kind that are looked for in a large game."""
    batch: int = Field(512, ge=1, le=100_000)
    """Examples on which the field is evaluated."""
    as_json: Annotated[bool, tyro.conf.arg(name="json")] = False
    """Print everything as JSON."""


def game(args: list[str]) -> int:
    """Study a game, print what was found, and draw it."""
    request = parse(Game, "dynamics", asking(args), 'ganneal dynamics dirac --objective jsd --penalty "r1(gamma=0.5)"')
    from ganneal.cli.status import status
    from ganneal.dynamics.laboratory import question

    asked = question(
        request.game, request.objective, request.penalty or (), request.solver, request.lr, request.noise,
        request.progress, request.optimizer,
    )  # fmt: skip
    out = request.out
    if out is None and not request.as_json:
        plain = "".join(c if c.isalnum() else "-" for c in request.game.partition("(")[0])
        out = Path(f"dynamics-{plain}.png")
    if out is not None:
        free_for(out, (".png",), request.force or request.out is None)
    with status() as watch:
        watch(f"eigenvalues of {request.game}")
        spectrum = asked.spectrum()
    if not request.as_json:
        print(_eigenvalues_told(spectrum, asked.predicted), flush=True)
    with status() as watch:
        watch("learning rates, and what is measured")
        found = asked.study(spectrum)
    if not request.as_json:
        print(f"\n{_rates_told(found)}", flush=True)
    if out is not None:
        with status() as watch:
            watch("the picture")
            from ganneal.engine.checkpoint import write_atomically
            from ganneal.report.portrait import picture

            write_atomically(out, picture(found))
    if request.as_json:
        drawn = None if out is None else str(out)
        print(json.dumps({**found.to_dict(), "picture": drawn}, indent=1, allow_nan=False))
    else:
        print(f"\npicture: {out}")
    return 0


def asking(args: list[str]) -> list[str]:
    """A wish for help alone: a page that is printed after a first argument leaves that one out."""
    wish = [arg for arg in args if arg in ("-h", "--help")]
    return wish[:1] or args


def run(args: list[str]) -> int:
    """The spectrum of a run."""
    request = parse(Run, "dynamics", asking(args), "ganneal dynamics runs/ring8-1")
    from ganneal.cli.status import status
    from ganneal.dynamics import run_spectrum

    with status() as watch:
        watch(f"the spectrum of {request.run}")
        found = run_spectrum(request.run, request.checkpoint, request.member, request.batch, request.count)
    if request.as_json:
        print(json.dumps({"run": str(request.run), **found.to_dict()}, indent=1, allow_nan=False))
        return 0
    print(_spectrum_told(found))
    return 0


def _eigenvalues_told(found: "Spectrum", predicted: "Tensor | None") -> str:
    from ganneal.cli.tables import aligned

    rows: list[tuple[str, ...]] = [("eigenvalue", "closed form", "|Im|/|Re|")]
    exact = [] if predicted is None else predicted.tolist()
    for z in map(lambda z: rounded(z, found.scale), found.eigenvalues.tolist()):
        near = min(exact, key=lambda w, z=z: abs(w - z)) if exact else None  # type: ignore[misc]
        if near is not None:
            exact.remove(near)
        rows.append((number(z), "-" if near is None else number(rounded(near, found.scale)), turning(z)))
    note = "\n-: no closed form is known for this combination" if any(row[1] == "-" for row in rows) else ""
    return aligned(rows) + note


def _rates_told(found: "Study") -> str:
    from ganneal.cli.tables import aligned

    spectrum, radius = found.spectrum, found.multipliers.radius
    lost = "overflow" if radius > 1 else "-"
    rate = 0.0 if abs(found.rate) < 1e-7 * abs(spectrum.slowest) else found.rate
    slowest = rounded(spectrum.slowest, spectrum.scale).real
    factor = f"{found.step_rate:.8g}" if math.isfinite(found.step_rate) else lost
    rates = [
        ("", "predicted", "measured"),
        ("slowest rate of the field", f"{slowest:.6g}", "-" if math.isnan(rate) else f"{rate:.6g}"),
        (f"factor per step at rate {found.lr:.4g}", f"{radius:.8g}", factor),
    ]
    return f"{aligned(rates)}\n\n" + "\n".join(found.words)


def _spectrum_told(found: "Spectrum") -> str:
    from ganneal.cli.tables import aligned

    rows: list[tuple[str, ...]] = [("eigenvalue", "|z|", "|Im|/|Re|")]
    for z in found.eigenvalues.tolist()[:20]:
        z = rounded(z, found.scale)
        rows.append((number(z), f"{abs(z):.4g}", turning(z)))
    kind = "all eigenvalues" if found.complete else "the rightmost and the largest eigenvalues"
    more = f", {len(found.eigenvalues) - 20} more not shown" if len(found.eigenvalues) > 20 else ""
    gauge = "" if found.neutral is None else f"; {found.neutral} neutral directions left out"
    settles = "deviations shrink in every direction" if found.abscissa < 0 else "some deviations grow"
    if not found.complete and found.abscissa < 0:
        settles = "deviations shrink in every direction that was found"
    lines = [
        f"{found.size} parameters, {kind if found.rightmost else 'the largest eigenvalues'}{more}{gauge}",
        f"field at the checkpoint: norm {found.norm:.4g} (a spectrum speaks of convergence where this is nearly 0)",
        f"largest real part {found.abscissa:.4g}: {settles}"
        if found.rightmost
        else "largest real part unknown: the rightmost eigenvalues were not found among those near 0",
        f"rotation |Im|/|Re| up to {found.rotation:.3g}",
    ]
    return aligned(rows) + "\n\n" + "\n".join(lines)


def number(z: complex) -> str:
    """A complex number in six digits, real ones without an imaginary part."""
    if abs(z.imag) <= 1e-9 * max(abs(z), 1e-300):
        return f"{z.real:.6g}"
    return f"{z.real:.6g} {'+' if z.imag > 0 else '-'} {abs(z.imag):.6g}i"


def rounded(z: complex, scale: float) -> complex:
    """Without parts that are rounding: below 1e-7 of the number itself (double eigenvalues have eight digits), or with
    all of it below 1e-12 of the largest."""
    if abs(z) <= 1e-12 * scale:
        return 0j
    real, imaginary = (part if abs(part) > 1e-7 * abs(z) else 0.0 for part in (z.real, z.imag))
    return complex(real, imaginary)


def turning(z: complex) -> str:
    """|Im|/|Re|."""
    return "0" if z == 0 else "inf" if z.real == 0 else f"{abs(z.imag / z.real):.3g}"


def subject(word: str) -> str:
    """What `ganneal dynamics WORD` is about: "run", "game" or "" for neither."""
    if (Path(word) / "config.yaml").is_file():
        return "run"
    if Path(word).is_dir() or "/" in word:
        raise UsageError(
            f"{word}: not a run folder (it has no config.yaml); allowed: a run, {', '.join(GAMES)}, or fokker-planck"
        )
    return "game" if word.partition("(")[0] in GAMES else ""


GAMES = {
    "dirac": "a point that looks for a point: rotation, and what every penalty does to it",
    "bilinear": "rotations of given frequencies: what solvers do to them",
    "lq_uniform": "the width of a uniform law, with a quadratic critic",
    "lq_wgan": "mean and covariance of a Gaussian, with a quadratic critic",
    "affine": "the mean of a Gaussian, with a linear critic: one slow mode beside a rotation",
    "rock_paper_scissors": "a matrix game between two mixed strategies",
}
"""Names and one line each, without importing torch."""
