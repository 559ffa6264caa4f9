"""`ganneal dynamics SUBJECT`: the Fokker-Planck equation here, games and runs in `ganneal.cli.laboratory`."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro
from pydantic import BaseModel, Field

from ganneal.cli import laboratory
from ganneal.cli.arguments import parse
from ganneal.cli.outputs import free_for
from ganneal.errors import UsageError, nearest

if TYPE_CHECKING:
    from ganneal.dynamics import Curves, Story

SUBJECTS = {
    "fokker-planck": "one law of motion three ways: density, particles, generator",
    **laboratory.GAMES,
}
RUN = "a run folder: the spectrum of its game at a checkpoint"
ROWS = 7
"""Moments in the printed table."""


class FokkerPlanck(BaseModel, use_attribute_docstrings=True):
    """The Fokker-Planck equation of a target in one or two dimensions, Langevin particles, and a generator in training,
    side by side under one schedule of the inverse temperature beta, with free energy, KL divergence and Fisher
    information in time."""

    target: str = "double_well"
    """The density: double_well, double_well(dim=2), kidney, "mixture(means=[-4, 4])", ..., or FILE.py:NAME."""
    beta: str = "linear(0.05->1, hold=0.2)"
    """Schedule of beta over the time."""
    clock: Literal["likelihood", "entropy"] = "likelihood"
    """likelihood: drift beta, noise 1; entropy: drift 1, noise 1 / beta."""
    time: float | None = Field(None, gt=0, allow_inf_nan=False)
    """How long. Default: five times the target's largest variance."""
    particles: int = Field(20_000, ge=100, le=1_000_000)
    """How many particles, and draws of the generator."""
    start: str = "left"
    """Where density and particles begin: left (the leftmost mode), hot (equilibrium at the first beta), or
    "gaussian(mean=-4, std=1)"."""
    grid: int | None = Field(None, ge=16, le=10_000)
    """Cells along each axis [600 in one dimension, 200 in two]."""
    frames: int = Field(61, ge=2, le=1000)
    """Moments that are kept, and frames of the animation."""
    no_generator: bool = False
    """Train none."""
    examples: int | None = Field(None, ge=1000)
    """Length of the generator's training [200000 in one dimension, 250000 in two]."""
    seed: int = Field(0, ge=0, lt=2**31)
    """Seed of everything that is random."""
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])] = Path("fokker-planck.png")
    """The picture (.png)."""
    animation: Path | None = None
    """Also write an animation: .gif, or .mp4 where ffmpeg is installed."""
    as_json: Annotated[bool, tyro.conf.arg(name="json")] = False
    """Print all curves as JSON."""
    force: bool = False
    """Overwrite existing files."""


def usage() -> str:
    """The page of `ganneal dynamics --help`."""
    subjects = "\n".join(f"  {name:<21}{line}" for name, line in {**SUBJECTS, "RUN": RUN}.items())
    return f"""usage: ganneal dynamics SUBJECT [arguments]

What happens in time: while a temperature changes; near the equilibrium of a game that is solved exactly, under any
objective, penalty and solver; and at a checkpoint of a trained run. As pictures and numbers.

{subjects}

`ganneal dynamics SUBJECT --help` shows its arguments.
Example: ganneal dynamics fokker-planck --target double_well --beta "linear(0.05->1, hold=0.2)"
Example: ganneal dynamics dirac --objective jsd --penalty "r1(gamma=0.5)" --solver alternating
"""


def main(args: list[str]) -> int:
    """Run one subject."""
    if not args or args[0] in ("-h", "--help"):
        print(usage(), end="")
        return 0 if args else 2
    found = laboratory.subject(args[0])
    if found:
        return (laboratory.run if found == "run" else laboratory.game)(args)
    if args[0] not in SUBJECTS:
        raise UsageError(f"unknown subject '{args[0]}': {nearest(args[0], SUBJECTS)}; see `ganneal dynamics --help`")
    return _fokker_planck(args[1:])


def _fokker_planck(args: list[str]) -> int:
    example = 'ganneal dynamics fokker-planck --target kidney --beta "linear(0.05->1, hold=0.2)" --animation kidney.gif'
    request = parse(FokkerPlanck, "dynamics fokker-planck", args, example)
    free_for(request.out, (".png",), request.force)
    if request.animation is not None:
        free_for(request.animation, (".gif", ".mp4"), request.force)
        if request.animation.suffix == ".mp4" and shutil.which("ffmpeg") is None:
            raise UsageError(
                f"{request.animation}: .mp4 needs ffmpeg, which is not on the PATH; install it, or use .gif"
            )
    if request.no_generator and request.examples is not None:
        raise UsageError("--examples: is the length of the generator's training, and --no-generator trains none")
    from ganneal.cli.status import status
    from ganneal.dynamics import fokker_planck_story
    from ganneal.engine.checkpoint import write_atomically
    from ganneal.report.story import still

    with status() as watch:
        story = fokker_planck_story(
            request.target, request.beta, clock=request.clock, time=request.time, particles=request.particles,
            start=request.start, cells=request.grid, frames=request.frames, generator=not request.no_generator,
            examples=request.examples, seed=request.seed, watch=watch,
        )  # fmt: skip
        watch("the picture")
        write_atomically(request.out, still(story))
        if request.animation is not None:
            watch("the animation")
            _animate(story, request.animation, write_atomically)
    if request.as_json:
        print(json.dumps(story.to_dict(), indent=1, allow_nan=False))
        return 0
    print(_table(story))
    print(f"picture:   {request.out}")
    if request.animation is not None:
        print(f"animation: {request.animation}")
    return 0


def _animate(story: "Story", path: Path, write: Callable[[Path, bytes], None]) -> None:
    from ganneal.report.story import gif, mp4

    write(path, gif(story) if path.suffix == ".gif" else mp4(story))


def _table(story: "Story") -> str:
    """F, KL, Fisher information and a mass at a few times, of all tellers."""
    from ganneal.cli.tables import aligned

    tellers: list[tuple[str, Curves, int]] = [
        ("density", story.density, (len(story.floor) - 1) // (len(story.times) - 1))
    ]
    tellers += [("particles", story.particle, 1)] + ([("generator", story.model, 1)] if story.model is not None else [])
    two = len(story.members) == 2
    rows = [("time", "beta", "-log Z", "", "F", "KL", "Fisher", *([f"mass {story.members[1]}"] if two else []))]
    last = len(story.times) - 1
    for frame in sorted({round(last * k / (ROWS - 1)) for k in range(ROWS)}):
        head = (f"{story.times[frame]:.3g}", f"{story.beta[frame]:.3f}", _told(-story.log_z[frame]))
        for row, (name, curves, every) in enumerate(tellers):
            k = frame * every
            numbers = [_told(v[k]) for v in (curves.free_energy, curves.relative_entropy, curves.fisher)]
            rows.append((
                *(head if row == 0 else ("", "", "")), name, *numbers,
                *([f"{curves.shares[k][1]:.4f}"] if two else []),
            ))  # fmt: skip
    told = f"{story.target}, beta = {story.beta_text}, {story.clock} clock, start {story.start}"
    errors = f"standard errors of particles at the end: F and KL {story.particle.error[-1]:.4f}, Fisher " \
             f"{story.particle.fisher_error[-1]:.2g}"  # fmt: skip
    exact = f"; exact mass {story.members[1]} {story.shares[1]:.4f}" if two else ""
    return f"{told}\n\n{aligned(rows)}\n\n{errors}{exact}"


def _told(value: float) -> str:
    """Four decimals, and no minus before nothing."""
    return f"{round(value, 4) + 0.0:.4f}"
