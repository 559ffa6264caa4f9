"""`ganneal sample RUN -n N -o FILE`."""

from pathlib import Path
from typing import Annotated

import tyro
from pydantic import BaseModel, Field

from ganneal.cli.arguments import parse
from ganneal.errors import UsageError

FORMATS = (".npz", ".npy", ".csv", ".png", ".nc")


class Sample(BaseModel, use_attribute_docstrings=True):
    """Draw samples from a run's averaged generator, in the units of its data."""

    run: tyro.conf.Positional[Path]
    """The run folder."""
    n: Annotated[int, tyro.conf.arg(aliases=["-n"])] = Field(64, ge=1, le=10_000_000)
    """How many."""
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])] = Path("samples.npz")
    """File to write: .npz, .npy, .csv (one row each), .png (a grid of pictures, or a plot), or for a density .nc
    (ArviZ, with log weights)."""
    seed: int = Field(0, ge=0, lt=2**31)
    """Seed of the latent draws."""
    member: int = Field(0, ge=0)
    """Member of a population."""
    checkpoint: str = "last"
    """last, best (by the held-out test), or a number of examples."""
    force: bool = False
    """Overwrite an existing file."""


def main(args: list[str]) -> int:
    """Sample and write one file, whole or not at all."""
    request = parse(Sample, "sample", args, "ganneal sample runs/digits-1 -n 64 -o digits.png")
    if request.out.suffix not in FORMATS:
        raise UsageError(f"{request.out}: unknown format '{request.out.suffix}'; allowed: {', '.join(FORMATS)}")
    if request.out.exists() and not request.force:
        raise UsageError(f"{request.out}: exists already; choose another name or --force")
    from ganneal.api import Run
    from ganneal.cli.files import write_samples

    run = Run(request.run)
    if request.out.suffix == ".nc":
        from ganneal.export_arviz import save

        data = run.to_arviz(request.n, request.seed, request.member, request.checkpoint)
        save(data, request.out)
        if "sample_stats" not in data.groups():
            print("note: without log weights, as the density of the samples, or the target's, is not at hand")
        print(f"{request.n} samples in {request.out}")
        return 0
    source_columns = run.source().columns
    x = run.sample(request.n, seed=request.seed, member=request.member, which=request.checkpoint)
    write_samples(request.out, x, source_columns)
    print(f"{request.n} samples of shape {tuple(x.shape[1:])} in {request.out}")
    return 0
