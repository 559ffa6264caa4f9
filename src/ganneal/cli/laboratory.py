"""`ganneal dynamics GAME` and `ganneal dynamics RUN`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro
from pydantic import BaseModel, Field

from ganneal.cli.arguments import parse
from ganneal.cli.outputs import free_for
from ganneal.errors import UsageError

if TYPE_CHECKING:
    from ganneal.dynamics import Spectrum, Study


class Game(BaseModel, use_attribute_docstrings=True):
    """An exactly solvable game under any objective, penalties and solver: eigenvalues predicted and measured, rates of
    decay predicted and measured, a safe learning rate, critical damping, and a picture."""

    game: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="GAME")]
    """dirac, bilinear, lq_uniform, lq_wgan, affine, rock_paper_scissors, or with arguments: "affine(std=0.7)"."""
    objective: str | None = None
    """As in training [wasserstein]."""
    penalty: Annotated[tuple[str, ...] | None, tyro.conf.arg(metavar="TEXT ...")] = None
    """Any number, as in training: "r1(gamma=1)" "nk(eta=0.5)"."""
    solver: str = "alternating"
    """As in training."""
    optimizer: str = "sgd"
    """sgd, or "sgd(momentum=-0.5)"."""
    lr: float | None = Field(None, gt=0, allow_inf_nan=False)
    """Learning rate of both players [half of the largest stable one, at most 0.1]."""
    noise: str = "0"
    """Standard deviation of instance noise, or its schedule."""
    progress: float = Field(1.0, ge=0, le=1)
    """Where schedules are read: 0 is the start of training, 1 its end."""
    out: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None
    """The picture (.png) [dynamics-GAME.png]."""
    as_json: Annotated[bool, tyro.conf.arg(name="json")] = False
    """Print everything as JSON."""
    force: bool = False
    """Overwrite an existing picture."""


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
    request = parse(Game, "dynamics", args, 'ganneal dynamics dirac --objective jsd --penalty "r1(gamma=0.5)"')
    plain = "".join(c if c.isalnum() else "-" for c in request.game.partition("(")[0])
    out = request.out or Path(f"dynamics-{plain}.png")
    free_for(out, (".png",), request.force)
    from ganneal.cli.status import status
    from ganneal.dynamics import study
    from ganneal.engine.checkpoint import write_atomically

    with status() as watch:
        watch(f"spectra of {request.game}")
        found = study(
            request.game, request.objective, request.penalty or (), request.solver, request.lr, request.noise,
            request.progress, request.optimizer,
        )  # fmt: skip
        watch("the picture")
        from ganneal.report.portrait import picture

        write_atomically(out, picture(found))
    if request.as_json:
        print(json.dumps({**found.to_dict(), "picture": str(out)}, indent=1, allow_nan=False))
        return 0
    print(_told(found))
    print(f"\npicture: {out}")
    return 0


def run(args: list[str]) -> int:
    """The spectrum of a run."""
    request = parse(Run, "dynamics", args, "ganneal dynamics runs/ring8-1")
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


def _told(found: "Study") -> str:
    from ganneal.cli.tables import aligned

    rows: list[tuple[str, ...]] = [("eigenvalue", "closed form", "|Im|/|Re|")]
    measured = found.spectrum.eigenvalues.tolist()
    exact = [] if found.predicted is None else found.predicted.tolist()
    for z in measured:
        near = min(exact, key=lambda w, z=z: abs(w - z)) if exact else None  # type: ignore[misc]
        if near is not None:
            exact.remove(near)
        small = 1e-9 * max(found.spectrum.scale, 1e-300)
        turning = "inf" if abs(z.real) < small else f"{abs(z.imag / z.real):.3g}"
        rows.append((number(z), "-" if near is None else number(near), turning))
    rates = [
        ("", "predicted", "measured"),
        ("slowest rate of the field", f"{found.spectrum.abscissa:.6g}", f"{found.rate:.6g}"),
        (f"factor per step at rate {found.lr:.4g}", f"{found.solver.radius:.8g}", f"{found.step_rate:.8g}"),
    ]
    return f"{aligned(rows)}\n\n{aligned(rates)}\n\n" + "\n".join(found.words)


def _spectrum_told(found: "Spectrum") -> str:
    from ganneal.cli.tables import aligned

    rows: list[tuple[str, ...]] = [("eigenvalue", "|z|", "|Im|/|Re|")]
    for z in found.eigenvalues.tolist()[:20]:
        rows.append((number(z), f"{abs(z):.4g}", "inf" if z.real == 0 else f"{abs(z.imag / z.real):.3g}"))
    kind = "all eigenvalues" if found.complete else "the rightmost and the largest eigenvalues"
    more = f", {len(found.eigenvalues) - 20} more not shown" if len(found.eigenvalues) > 20 else ""
    lines = [
        f"{found.size} parameters, {kind}{more}; {found.neutral} neutral directions left out",
        f"field at the checkpoint: norm {found.norm:.4g} (a spectrum speaks of convergence where this is nearly 0)",
        f"largest real part {found.abscissa:.4g}: "
        + ("deviations shrink in every direction" if found.abscissa < 0 else "some deviations grow"),
        f"rotation |Im|/|Re| up to {found.rotation:.3g}",
    ]
    return aligned(rows) + "\n\n" + "\n".join(lines)


def number(z: complex) -> str:
    """A complex number in six digits, real ones without an imaginary part."""
    if abs(z.imag) <= 1e-9 * max(abs(z), 1e-300):
        return f"{z.real:.6g}"
    real = 0.0 if abs(z.real) <= 1e-12 * abs(z) else z.real
    return f"{real:.6g} {'+' if z.imag > 0 else '-'} {abs(z.imag):.6g}i"


def subject(word: str) -> str:
    """What `ganneal dynamics WORD` is about: "run", "game" or "" for neither."""
    if (Path(word) / "config.yaml").is_file():
        return "run"
    if Path(word).is_dir() or "/" in word:
        raise UsageError(f"{word}: not a run folder (it has no config.yaml); allowed: a run, a game, or fokker-planck")
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
