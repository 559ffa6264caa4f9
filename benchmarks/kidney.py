"""Does annealing find the other lobe? The kidney (2, .4, .6), from an initial model that lies in its right lobe.

    python benchmarks/kidney.py                                   all cells, resumable
    python benchmarks/kidney.py --samplers exact --seeds 0,1
    python benchmarks/kidney.py --figure                          docs/images/kidney.png

Figure 6 of Tao et al. (2019) shows target, initial model, and the result without and with variational annealing; it
gives no numbers, and neither its constants nor its algorithm are public. This is a reconstruction. Every sampler starts
at N((2, 0), .3^2 I), by its frame, and evaluates the density equally often:

exact       a flow, whose density is known (the affine kind: a spline flow is the identity beyond 5 units of its frame,
            and the left lobe is 13 away)
reference   a noise-injected generator and a critic against a Gaussian of the same moments
score       the same generator, with the spectral estimate of the score of its samples; denoising score matching, the
            default, finds no other lobe here, as its noise levels are for samples about as wide as the frame
langevin    unadjusted particles for time 10; drift beta and noise 1, as in training (likelihood clock)
langevin_entropy    drift 1 and noise 1 / beta, which moves faster where it is hot

each with beta = 1 all the way (none), linear(0.05->1, hold=0.2) and adaptive(0.05->1). Particles know no density: their
adaptive temperature takes them to be at mu_beta, as `score` does. The left lobe has half of the mass. KSD^2 and the
effective sample size do not see that a lobe is missing.
"""

import argparse
import math
import statistics
import time
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ganneal.data import open_source
from ganneal.data.target import TargetSource
from ganneal.diffusion import langevin
from ganneal.engine.judging import MARGINAL, SAMPLES, drawn, estimated_log_q, exact_log_q
from ganneal.engine.pace import PLACES, Pace
from ganneal.metrics.importance import importance
from ganneal.metrics.sampler import judge
from ganneal.schedules import schedule
from ganneal.targets import Frame
from sampling import Cells, interval, prepared, trained

GAME = {"recipe": "target-reference"}
SAMPLERS: dict[str, dict[str, Any]] = {
    "exact": {"recipe": "target", "network": "flow(kind=affine, layers=8, width=64)"},
    "reference": GAME,
    "score": {**GAME, "sampler": "score", "model_score": "ssge"},
    "langevin": {"clock": "likelihood"},
    "langevin_entropy": {"clock": "entropy"},
}
BETAS = {"none": "1", "linear": "linear(0.05->1, hold=0.2)", "adaptive": "adaptive(0.05->1)"}
START, WIDTH, TIME, PARTICLES = (2.0, 0.0), 0.3, 10.0, 1000
PERMUTATIONS = 499
COLUMNS = {
    "left": "left mass", "ksd2": "KSD^2", "p": "p", "w2": "W2", "floor": "floor", "log_z": "log Z", "ess": "ESS share",
    "evaluations": "evaluations", "seconds": "seconds",
}  # fmt: skip


def displaced() -> TargetSource:
    """The kidney in a frame whose standard normal lies in the right lobe."""
    frame = Frame(torch.tensor(START).double(), WIDTH * torch.eye(2).double())
    source = open_source("target:kidney", frame=frame)
    assert isinstance(source, TargetSource)
    return source


def cell(sampler: str, beta: str, seed: int, budget: int) -> dict[str, Any]:
    """One training, or one cloud of particles, and what is known about its samples."""
    source = displaced()
    if sampler.startswith("langevin"):
        points, told = particles(source, BETAS[beta], SAMPLERS[sampler]["clock"], seed, budget)
        known = estimated = None
    else:
        trainer, told = trained(source, budget, **SAMPLERS[sampler], beta=BETAS[beta], seed=seed)
        points, known = drawn(trainer, source, 0, SAMPLES, seed=2), exact_log_q(trainer, source, 0)
        estimated = estimated_log_q(trainer, source, 0, MARGINAL, seed=3)
    found = judge(source.target, points, known, seed=seed, permutations=PERMUTATIONS)
    weights = found.importance
    if estimated is not None:
        weights = importance(source.target.log_prob(drawn(trainer, source, 0, MARGINAL, seed=3)) - estimated, seed=seed)
    w2 = found.distance("W2")
    assert w2 is not None
    return {
        "sampler": sampler, "beta_is": beta, "seed": seed, "n": len(points), "left": found.shares[0].share,
        "left_interval": [found.shares[0].low, found.shares[0].high], "ksd2": found.ksd.statistic,
        "p": found.ksd.pvalue, "w2": w2.value, "floor": w2.floor, "w2_n": w2.size,
        "log_z": weights and weights.log_z, "log_z_interval": weights and [weights.low, weights.high],
        "log_q": "exact" if known else "estimated" if weights else "unknown", "ess": weights and weights.ess_share,
        "pareto_k": weights and weights.pareto_k, **told,
    }  # fmt: skip


def particles(source: TargetSource, beta: str, clock: str, seed: int, budget: int) -> tuple[Tensor, dict[str, Any]]:
    """Unadjusted Langevin particles for TIME; an adaptive temperature is decided at PLACES places, each of which
    evaluates log u of every particle."""
    generator = torch.Generator().manual_seed(seed)
    x = source.frame.outward(torch.randn(PARTICLES, 2, generator=generator, dtype=torch.float64))
    adaptive = beta.startswith("adaptive")
    steps = budget // PARTICLES - (PLACES if adaptive else 0)
    begun, count = time.perf_counter(), 0
    if not adaptive:
        path = langevin(source.target, x, beta, TIME, TIME / steps, generator, clock=clock, threads=1)
        x, count = path.final, path.evaluations
    else:
        pace, each = Pace(schedule(beta), clock, 1), steps // PLACES
        for place in range(PLACES):
            if place:
                value = source.target.log_prob(x)[None]
                pace.move(place / PLACES, value, pace.betas[0] * value)
                count += PARTICLES
            span = TIME / PLACES
            path = langevin(source.target, x, pace.betas[0], span, span / each, generator, clock=clock, threads=1)
            x, count = path.final, count + path.evaluations
    seconds = time.perf_counter() - begun
    return x, {"evaluations": count, "seconds": seconds, "beta": beta, "dt": TIME / steps}


def table(cells: dict[str, Any]) -> None:
    """Markdown: mean and t interval over seeds."""
    truth = displaced().target.log_z
    print(f"Mean ± half of a 95 % t interval over seeds; exactly: left mass .5, log Z {truth:.5f}.\n")
    print("| sampler | annealing | seeds | " + " | ".join(COLUMNS.values()) + " |")
    print("| --- | --- | ---: |" + " ---: |" * len(COLUMNS))
    for sampler in SAMPLERS:
        for beta in BETAS:
            rows = [c for c in cells.values() if (c["sampler"], c["beta_is"]) == (sampler, beta)]
            if not rows:
                continue
            told = [
                f"{statistics.fmean(r[k] for r in rows):.0f}" if k == "evaluations" else interval([r[k] for r in rows])
                for k in COLUMNS
            ]
            print(f"| {sampler} | {beta} | {len(rows)} | " + " | ".join(told) + " |")


def figure(path: Path, samplers: list[str], budget: int, extent: float = 3.6) -> None:
    """A row of four panels for each sampler: target, initial model, result without and with annealing."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    axis = torch.linspace(-extent, extent, 181, dtype=torch.float64)
    centres = torch.cartesian_prod(axis, axis)
    target = displaced().target
    assert target.log_z is not None
    truth = (target.log_prob(centres) - target.log_z).exp().view(181, 181)
    rows = []
    for sampler in samplers:
        panels = [("target", truth)]
        for name, beta in (("without annealing", "none"), ("with annealing", "linear")):
            trainer, _ = trained(displaced(), budget, **SAMPLERS[sampler], beta=BETAS[beta], seed=0)
            if len(panels) == 1:
                start = prepared(displaced(), budget, **SAMPLERS[sampler], beta=BETAS[beta], seed=0)
                panels.append(("initial model", smoothed(start.source.coordinates(start.sample(200_000)), axis)))
            panels.append((name, smoothed(trainer.source.coordinates(trainer.sample(200_000, seed=2)), axis)))
        rows.append((sampler, panels))
    shape: dict[str, Any] = {"figsize": (10, 2.75 * len(rows) + 0.25), "sharex": True, "sharey": True}
    drawing, axes = plt.subplots(len(rows), 4, squeeze=False, layout="constrained", **shape)
    for line, (sampler, panels) in zip(axes, rows, strict=True):
        for place, (name, density) in zip(line, panels, strict=True):
            box = (-extent, extent, -extent, extent)
            picture = place.imshow(
                density.T, origin="lower", extent=box, cmap="magma", vmin=0, vmax=float(truth.max()), aspect="equal"
            )
            place.set_title(name, fontsize=13)
            place.set_xticks([-2, 0, 2])
            place.set_yticks([-2, 0, 2])
        if len(rows) > 1:
            line[0].set_ylabel(sampler, fontsize=13)
    bar = drawing.colorbar(picture, ax=axes, shrink=0.9, extend="max", pad=0.01)
    bar.set_label("density")
    path.parent.mkdir(parents=True, exist_ok=True)
    drawing.savefig(path, dpi=150)
    print(f"{path}: one colour scale, that of the target; denser places have its end colour. Seed 0.")


def smoothed(x: Tensor, axis: Tensor, width: float = 1.0) -> Tensor:
    """Density of samples on a grid: counts in its cells, smoothed by a Gaussian of `width` cells."""
    from scipy.ndimage import gaussian_filter

    step = float(axis[1] - axis[0])
    edges = torch.cat([axis - step / 2, axis[-1:] + step / 2])
    counts, _ = torch.histogramdd(x, [edges, edges])
    return torch.from_numpy(gaussian_filter(counts.numpy() / (len(x) * step * step), width))


def main() -> None:
    """Measure what is not there yet, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samplers", default=",".join(SAMPLERS))
    parser.add_argument("--betas", default=",".join(BETAS))
    parser.add_argument("--seeds", default="0,1,2,3,4")
    parser.add_argument("--budget", type=int, default=1_024_000, help="evaluations of the density in a cell")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "kidney.json")
    parser.add_argument("--figure", action="store_true", help="draw docs/images/kidney.png and nothing else")
    parser.add_argument("--figure-samplers", default="exact")
    parser.add_argument("--figure-out", type=Path, default=Path(__file__).parents[1] / "docs/images/kidney.png")
    parser.add_argument("--table", action="store_true", help="only print the table")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    if chosen.figure:
        figure(chosen.figure_out, chosen.figure_samplers.split(","), chosen.budget)
        return
    store = Cells(chosen.out, {"budget": chosen.budget})
    for seed in [] if chosen.table else map(int, chosen.seeds.split(",")):
        for sampler in chosen.samplers.split(","):
            for beta in chosen.betas.split(","):
                found = store.measure(
                    f"{sampler}/{beta}/{seed}",
                    partial(cell, sampler, beta, seed, chosen.budget),
                )
                if found:
                    log_z = math.nan if found["log_z"] is None else found["log_z"]
                    print(
                        f"{sampler:<16} {beta:<9} seed {seed}  left {found['left']:.3f}  W2 {found['w2']:.3f} (floor "
                        f"{found['floor']:.3f})  log Z {log_z:.3f}  {found['seconds']:.0f} s {found.get('guard', '')}",
                        flush=True,
                    )
    table(store.cells)


if __name__ == "__main__":
    main()
