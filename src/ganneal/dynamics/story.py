"""One motion told three times, under one schedule of beta: the Fokker-Planck equation, Langevin particles that follow
it, and a generator that is trained. Numbers only; `ganneal.report.story` draws them."""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ganneal.data.target import TargetSource
from ganneal.diffusion import (
    Box,
    fisher_information,
    fokker_planck,
    free_energy,
    gibbs,
    langevin,
    log_partition,
)
from ganneal.diffusion.langevin import check_clock
from ganneal.dynamics.estimates import fisher_of_samples, kernel_width, minus_log_density
from ganneal.dynamics.learner import Learner, Look
from ganneal.dynamics.room import box_of, finite_potential, stable_step
from ganneal.dynamics.starts import STARTS, Start
from ganneal.errors import UsageError
from ganneal.schedules import Adaptive, Schedule, schedule
from ganneal.targets import Target, check, open_target

CELLS = {1: 600, 2: 200}
STEPS = {1: 2000, 2: 600}
COARSE = 0.05
"""Error of log Z on the grid beyond which curves are not those of the density."""
FINE = 4
"""Points of the density's curves for each frame."""
SHARE = 0.1
MOST_STEPS = 20_000
EXAMPLES = {1: 200_000, 2: 250_000}
SEED = 0x5709


@dataclass(frozen=True)
class Curves:
    """What is known of one teller at `time` [k]: F(rho; beta), KL(rho || mu_beta), I(rho | mu_beta), the mass of each
    member of the target, and the standard errors of the first three where they are estimates (F and KL share theirs).

    All are lists of k numbers; `shares` is a list of k lists.
    """

    time: list[float]
    free_energy: list[float]
    relative_entropy: list[float]
    fisher: list[float]
    shares: list[list[float]]
    error: list[float]
    fisher_error: list[float]


@dataclass(frozen=True)
class Story:
    """Density on a box, particles and generator at the same times (the generator's is progress times `time`).

    times [f]           of the frames, from 0 to the end, with beta [f] and log Z_beta [f]
    rho [f, *cells]     the density, and psi [*cells] the potential
    particles [f, n, d] and generator [f, n, d], or None
    density, particle, model: curves; those of the density at more times, with `floor` = -log Z_beta at each
    shares              exact, of members with these names, where the target knows them
    """

    target: str
    beta_text: str
    clock: str
    start: str
    seed: int
    box: Box
    psi: Float[Tensor, "*cells"]
    times: tuple[float, ...]
    beta: tuple[float, ...]
    log_z: tuple[float, ...]
    rho: Float[Tensor, "f *cells"]
    particles: Float[Tensor, "f n d"]
    generator: Float[Tensor, "f n d"] | None
    density: Curves
    particle: Curves
    model: Curves | None
    floor: tuple[float, ...]
    members: tuple[str, ...]
    shares: tuple[float, ...]
    evaluations: dict[str, int]

    def equilibrium(self, frame: int) -> Float[Tensor, "*cells"]:
        """mu_beta at the beta of a frame."""
        return gibbs(self.psi, self.box, self.beta[frame])

    def to_dict(self) -> dict[str, Any]:
        """Everything but fields and samples, as JSON takes it."""
        return {
            "target": self.target, "beta": self.beta_text, "clock": self.clock, "start": self.start, "seed": self.seed,
            "box": asdict(self.box), "frames": {"time": self.times, "beta": self.beta, "log_z": self.log_z},
            "members": self.members, "shares": self.shares, "evaluations": self.evaluations,
            "floor": self.floor, "density": asdict(self.density), "particles": asdict(self.particle),
            "generator": None if self.model is None else asdict(self.model),
        }  # fmt: skip


def fokker_planck_story(
    target: Any, beta: str | float = "linear(0.05->1, hold=0.2)", *, clock: str = "likelihood",
    time: float | None = None, particles: int = 20_000, start: str | Start = "left", cells: int | None = None,
    frames: int = 61, generator: bool = True, examples: int | None = None, seed: int = 0,
    watch: Callable[[str], None] = lambda text: None,
) -> Story:  # fmt: skip
    """Let a density, particles and a generator follow a target of one or two dimensions while beta changes.

    target     whatever `open_target` reads
    beta       a schedule over progress t / time
    clock      "likelihood" (drift beta, noise 1) or "entropy" (drift 1, noise 1 / beta)
    time       how long; by default five times the target's largest variance, to one digit
    start      `left`, `hot` or `gaussian(mean=..., std=...)`: where density and particles begin. The generator begins
               near the Gaussian of the target's mean and variance, and its time is progress of training
    cells      along each axis of the box
    examples   shown to the generator
    watch      is told what is being done

    The density is exact up to the grid (first order in steps of time); F and KL of particles are estimates (k-th
    neighbours), those of the generator means over draws of its exact density; I is estimated for both in the same way,
    from samples (`fisher_of_samples`).
    Raises `UsageError` for what does not fit and `RunError` where particles or training diverge.
    """
    opened = open_target(target)
    if opened.dim not in (1, 2):
        raise UsageError(f"{opened.name}: has {opened.dim} dimensions; a density is drawn in 1 or 2")
    check_clock(clock)
    path, begin = _path(beta), STARTS.build(start)
    for key, value, low, high in (
        ("particles", particles, 100, 1_000_000), ("frames", frames, 2, 1000),
        ("cells", cells or CELLS[opened.dim], 16, 10_000 if opened.dim == 1 else 512),
        ("examples", examples or EXAMPLES[opened.dim], 1000, 10**9),
    ):  # fmt: skip
        if not low <= value <= high:
            raise UsageError(f"{key}: got {value}; allowed: {low:,} to {high:,}")
    check(opened, torch.Generator().manual_seed(SEED))
    source = TargetSource(name=opened.name, kind="target", shape=(opened.dim,), size=None, target=opened, seed=seed)
    coldest, hottest = max(map(path, path.knots)), min(map(path, path.knots))
    if time is None:
        time = _one_digit(5 * float(source.frame.factor.square().sum(1).max()))
    if not 0 < time < math.inf:
        raise UsageError(f"time: got {time:g}; allowed: above 0")
    watch("the box")
    box = box_of(opened, source.frame, hottest, cells or CELLS[opened.dim])
    psi = finite_potential(opened, box)
    _check_grid(opened, psi, box)
    begin = begin.settled(opened, psi, box)
    if begin.mean is not None and begin.std is not None:
        m, s = (torch.tensor([v], dtype=torch.float64) for v in (begin.mean, begin.std))
        box = box_of(opened, source.frame, hottest, cells or CELLS[opened.dim], torch.cat([m - 5 * s, m + 5 * s]))
        psi = finite_potential(opened, box)

    fine = FINE * (frames - 1) + 1
    moments = [k / (fine - 1) for k in range(fine)]
    times, shown = tuple(time * m for m in moments), slice(None, None, FINE)
    watch("the density")
    steps = math.ceil(STEPS[opened.dim] / (fine - 1)) * (fine - 1)
    flow = fokker_planck(
        psi, box, begin.cells(psi, box, path(0.0)), path, time, time / steps, clock=clock, record=times
    )
    watch("the particles")
    step = stable_step(psi, box, [hottest, coldest, math.sqrt(hottest * coldest)], clock, SHARE)
    count = math.ceil(max(500, min(time / step, MOST_STEPS)) / (frames - 1)) * (frames - 1)
    draws = torch.Generator().manual_seed(seed)
    x0 = begin.draw(particles, psi, box, path(0.0), draws)
    paths = langevin(opened, x0, path, time, time / count, draws, clock=clock, record=times[shown])
    betas = [path(m) for m in moments]
    log_z = [log_partition(psi, box, b) for b in betas]
    looks: list[Look] = []
    if generator:
        watch("the generator")
        learner = Learner(source, str(beta), clock, examples or EXAMPLES[opened.dim], seed)
        looks = learner.looks(moments[shown], particles)
    watch("the curves")
    tools = _Curves(opened, psi, box)
    spent = {"particles": paths.evaluations}
    if looks:
        spent["generator"] = learner.trainer.evaluations or 0
    return Story(
        target=opened.name, beta_text=str(beta), clock=clock, start=str(begin), seed=seed, box=box, psi=psi,
        times=times[shown], beta=tuple(betas[shown]), log_z=tuple(log_z[shown]), rho=flow.rho[shown],
        particles=paths.x, generator=torch.stack([look.x for look in looks]) if looks else None,
        density=tools.of_density(times, flow.rho, betas),
        particle=tools.of_particles(times[shown], paths.x, betas[shown], log_z[shown]),
        model=tools.of_model(times[shown], looks, betas[shown], log_z[shown]) if looks else None,
        floor=tuple(-z for z in log_z), members=opened.members,
        shares=tuple(opened.shares.tolist()) if opened.shares is not None else (), evaluations=spent,
    )  # fmt: skip


class _Curves:
    """Curves of each teller, on one target and box."""

    def __init__(self, target: Target, psi: Tensor, box: Box):
        self.target, self.psi, self.box = target, psi, box

    def of_density(self, times: Sequence[float], rho: Tensor, betas: Sequence[float]) -> Curves:
        """Exact on the grid."""
        rows = list(zip(rho, betas, strict=True))
        energy = [free_energy(r, self.psi, self.box, b) for r, b in rows]
        divergence = [e + log_partition(self.psi, self.box, b) for e, (_, b) in zip(energy, rows, strict=True)]
        information = [fisher_information(r, self.psi, self.box, b) for r, b in rows]
        centres = self._member(self.box.centres)
        mass = (rho.flatten(1) * self.box.volume) @ centres if centres is not None else rho.new_empty(len(rho), 0)
        nothing = [0.0] * len(times)
        return Curves(list(times), energy, divergence, information, mass.tolist(), nothing, nothing)

    def of_particles(self, times: Sequence[float], x: Tensor, betas: Sequence[float], log_z: Sequence[float]) -> Curves:
        """Entropy by neighbours."""
        return self._curves(times, x, [-minus_log_density(one) for one in x], betas, log_z)

    def of_model(
        self, times: Sequence[float], looks: Sequence[Look], betas: Sequence[float], log_z: Sequence[float]
    ) -> Curves:
        """Means over draws of an exact density."""
        x = torch.stack([look.x for look in looks])
        return self._curves(times, x, [look.log_density for look in looks], betas, log_z)

    def _curves(
        self, times: Sequence[float], x: Tensor, log_rho: Sequence[Tensor], betas: Sequence[float],
        log_z: Sequence[float],
    ) -> Curves:  # fmt: skip
        terms = [r - b * self.target.log_prob(one).double() for r, b, one in zip(log_rho, betas, x, strict=True)]
        found = [
            fisher_of_samples(one, self.psi, self.box, b, kernel_width(r, x.shape[2]))
            for r, one, b in zip(log_rho, x, betas, strict=True)
        ]
        energy = [float(t.mean()) for t in terms]
        shares = [[] if (m := self._member(one)) is None else m.mean(0).tolist() for one in x]
        return Curves(
            list(times), energy, [e + z for e, z in zip(energy, log_z, strict=True)], [f[0] for f in found], shares,
            [float(t.std()) / math.sqrt(len(t)) for t in terms], [f[1] for f in found],
        )  # fmt: skip

    def _member(self, x: Tensor) -> Tensor | None:
        return None if self.target.membership is None else self.target.membership(x).double()


def _path(beta: Any) -> Schedule:
    path = schedule(beta)
    if not isinstance(path, Schedule):
        raise UsageError(f"beta: got {beta!r}; allowed: one schedule, as all follow the same one")
    if isinstance(path, Adaptive):
        raise UsageError("beta: adaptive waits for a generator, time does not; use linear(...) or geometric(...)")
    for t in path.knots:
        if not path(t) > 0:
            raise UsageError(f"beta: is {path(t):g} at progress {t:g}; allowed: positive numbers")
    return path


def _check_grid(target: Target, psi: Tensor, box: Box) -> None:
    """Raises `UsageError` where log Z on the grid shows that its cells are too coarse for the density."""
    if target.log_z is None:
        return
    off = log_partition(psi, box, 1.0) - target.log_z
    if abs(off) > COARSE:
        raise UsageError(
            f"{target.name}: the grid is too coarse, log Z on it is off by {off:.2g}; use --grid with more cells, or a "
            f"schedule that begins at a larger beta, so that the box is smaller"
        )


def _one_digit(value: float) -> float:
    return float(f"{value:.0e}")
