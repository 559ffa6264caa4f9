"""What a game does in time: its field, the spectrum of that field and of a solver's map, and games that are solved
exactly; and what happens while a temperature changes.

| name | what it is |
|---|---|
| `Problem` | a game at a point, with batches held fixed |
| `field_spectrum`, `Spectrum` | eigenvalues of the field's Jacobian, neutral directions left out and counted |
| `solver_spectrum`, `stable_rate` | multipliers of a solver's step, and its largest stable learning rate |
| `run_spectrum` | the spectrum of a trained run at a checkpoint |
| `integrate`, `play_out`, `decay` | the field integrated, a solver played, and the rate at which either decays |
| modules `follow_the_leader`, `primal_dual` | learning with guarantees in games of a few numbers |
| `GAMES` | games with closed forms: `dirac`, `lq_uniform`, `lq_wgan`, `affine`, `bilinear`, `rock_paper_scissors` |
| `fokker_planck_story`, `Story`, `Curves` | a density, particles and a generator under one schedule of beta |
| `STARTS` | where they begin: `left`, `hot`, `gaussian(mean=, std=)` |
| `minus_log_density`, `fisher_of_samples` | estimates from samples |
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ganneal.dynamics.estimates import fisher_of_samples, minus_log_density
    from ganneal.dynamics.games import GAMES, SmallGame
    from ganneal.dynamics.laboratory import Study, study
    from ganneal.dynamics.multipliers import SolverSpectrum, solver_spectrum, stable_rate
    from ganneal.dynamics.problem import Problem
    from ganneal.dynamics.runs import run_problem, run_spectrum
    from ganneal.dynamics.spectrum import Spectrum, field_spectrum, path
    from ganneal.dynamics.starts import STARTS, Start
    from ganneal.dynamics.story import Curves, Story, fokker_planck_story
    from ganneal.dynamics.trajectory import decay, integrate, play_out

PLACES = {
    "estimates": ("fisher_of_samples", "minus_log_density"),
    "games": ("GAMES", "SmallGame"),
    "laboratory": ("Study", "study"),
    "multipliers": ("SolverSpectrum", "solver_spectrum", "stable_rate"),
    "problem": ("Problem",),
    "runs": ("run_problem", "run_spectrum"),
    "spectrum": ("Spectrum", "field_spectrum", "path"),
    "starts": ("STARTS", "Start"),
    "story": ("Curves", "Story", "fokker_planck_story"),
    "trajectory": ("decay", "integrate", "play_out"),
}
"""Where the names live. They are imported when they are first asked for: the engine's own checks read spectra, and a
story trains with the engine."""


def __getattr__(name: str) -> Any:
    for module, names in PLACES.items():
        if name in names:
            return getattr(import_module(f"ganneal.dynamics.{module}"), name)
    raise AttributeError(f"module 'ganneal.dynamics' has no attribute '{name}'")


__all__ = [
    "GAMES",
    "STARTS",
    "Curves",
    "Problem",
    "SmallGame",
    "SolverSpectrum",
    "Spectrum",
    "Start",
    "Story",
    "Study",
    "decay",
    "field_spectrum",
    "fisher_of_samples",
    "fokker_planck_story",
    "integrate",
    "minus_log_density",
    "path",
    "play_out",
    "run_problem",
    "run_spectrum",
    "solver_spectrum",
    "stable_rate",
    "study",
]
