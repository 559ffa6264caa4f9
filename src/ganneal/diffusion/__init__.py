"""Langevin motion, the Fokker-Planck equation it follows, and samplers built from both; nothing here is learned.

Densities are anything with `value_and_score(x) -> (log u [n], grad log u [n, d])`, such as a `ganneal.targets.Target`.

| name | what it does | use it |
|---|---|---|
| `mala`, `run_mala` | adjusted Langevin chains: exact law | one mode, or moves inside other samplers |
| `ula`, `langevin` | unadjusted; many particles fast, along a schedule of beta | to see what annealing does in time |
| `parallel_tempering` | replicas at a ladder of beta that swap; log Z | the baseline any learned sampler must beat |
| `reference` | exact draws, or a long tempered run | truth for judging samplers |
| `smc`, `ais` | weighted particles from a Gaussian to u; log Z with interval | log Z; targets for replay |
| `fokker_planck` | the density itself, one or two dimensions | truth for laws in time |
| `free_energy`, `relative_entropy`, `fisher_information` | what the flow lowers, and how fast | checks of theory |
| `mean_passage_time`, `simulate_passage`, `kramers_time` | time from well to well | how long plain Langevin needs |
| `jko_step`, `jko_flow` | the same flow as steps of least W2 cost, on the line | checks of theory |

Two clocks walk the same laws mu_beta: "entropy" (drift 1, noise 1/beta) and "likelihood" (drift beta, noise 1), slower
by the factor beta.
"""

from ganneal.diffusion.annealed import (
    AnnealedRun,
    Particles,
    Plan,
    advance,
    ais,
    ess_share,
    launch,
    log_mean_interval,
    move,
    resample,
    smc,
)
from ganneal.diffusion.fokker_planck import (
    Box,
    Flow,
    fokker_planck,
    gaussian_cells,
    gibbs,
    log_partition,
    normalised,
    potential,
)
from ganneal.diffusion.free_energy import (
    cumulated,
    fisher_information,
    free_energy,
    kolmogorov_distance,
    moments,
    relative_entropy,
)
from ganneal.diffusion.gaussian_base import GaussianBase, fitted_base, gaussian_base
from ganneal.diffusion.jko import (
    free_energy_of_quantiles,
    jko_flow,
    jko_step,
    normal_quantiles,
    wasserstein_line,
)
from ganneal.diffusion.langevin import Chains, Density, MalaRun, mala, run_mala, start, ula
from ganneal.diffusion.passage import Passage, kramers_time, mean_passage_time, simulate_passage
from ganneal.diffusion.paths import Paths, langevin
from ganneal.diffusion.tempering import TemperedRun, bennett, parallel_tempering, reference

__all__ = [
    "AnnealedRun",
    "Box",
    "Chains",
    "Density",
    "Flow",
    "GaussianBase",
    "MalaRun",
    "Particles",
    "Passage",
    "Paths",
    "Plan",
    "TemperedRun",
    "advance",
    "ais",
    "bennett",
    "cumulated",
    "ess_share",
    "fisher_information",
    "fitted_base",
    "fokker_planck",
    "free_energy",
    "free_energy_of_quantiles",
    "gaussian_base",
    "gaussian_cells",
    "gibbs",
    "jko_flow",
    "jko_step",
    "kolmogorov_distance",
    "kramers_time",
    "langevin",
    "launch",
    "log_mean_interval",
    "log_partition",
    "mala",
    "mean_passage_time",
    "moments",
    "move",
    "normal_quantiles",
    "normalised",
    "parallel_tempering",
    "potential",
    "reference",
    "relative_entropy",
    "resample",
    "run_mala",
    "simulate_passage",
    "smc",
    "start",
    "ula",
    "wasserstein_line",
]
