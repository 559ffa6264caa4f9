"""What happens while a temperature changes, in time: `fokker_planck_story("double_well").to_dict()`.

| name | what it is |
|---|---|
| `fokker_planck_story` | a density, particles and a generator under one schedule of beta |
| `Story`, `Curves` | its fields, samples, and F, KL and Fisher information in time |
| `STARTS` | where all begin: `left`, `hot`, `gaussian(mean=, std=)` |
| `minus_log_density`, `fisher_of_samples` | estimates from samples |
"""

from ganneal.dynamics.estimates import fisher_of_samples, minus_log_density
from ganneal.dynamics.starts import STARTS, Start
from ganneal.dynamics.story import Curves, Story, fokker_planck_story

__all__ = ["STARTS", "Curves", "Start", "Story", "fisher_of_samples", "fokker_planck_story", "minus_log_density"]
