"""Games: who plays, and what each player minimises.

| game | players | trained from |
|---|---|---|
| `GAN` | critic, scores, generator | examples |
| `ModeRegularised` | critic, encoder, generator | examples; reconstructions must look real |
| `ManifoldDiffusion` | two critics, encoder, generator | examples; reconstructions between data and samples |
| `MixtureGame` | critic (a mixture), generator (a mixture) | examples; every pair of components plays |
| `MMDGame` | critic (features) or none, generator | examples; distance of kernel mean embeddings |
| `ReferenceGame` | moments, critic, generator | log u; log rho from a critic against a moment-matched Gaussian |
| `FieldPenalised` | those of the game that it wraps | the same; losses with gradients of each other's |
| `ExactGame` | generator (a flow) | log u; log rho of the flow |
| `ScoreGame` | model score, generator | log u; grad log rho from a score estimator |
| `WeightedGame` | critic, generator | log u; weighted proposals as data, up to three dimensions |

Samples of a moving population of particles as data for a `GAN` (sampler `replay`) are the engine's.
"""

from ganneal.systems.exact import ExactGame
from ganneal.systems.field_penalised import FieldPenalised, field_penalised, unpenalised
from ganneal.systems.gan import GAN
from ganneal.systems.mixture import MixtureCritic, MixtureGame, MixtureGenerator
from ganneal.systems.mmd import MMDGame
from ganneal.systems.mode_regularised import ManifoldDiffusion, ModeRegularised
from ganneal.systems.reference import ReferenceGame
from ganneal.systems.sampling import SamplingGame
from ganneal.systems.score_only import ScoreGame
from ganneal.systems.weighted import WeightedGame

__all__ = [
    "GAN",
    "ExactGame",
    "FieldPenalised",
    "MMDGame",
    "ManifoldDiffusion",
    "MixtureCritic",
    "MixtureGame",
    "MixtureGenerator",
    "ModeRegularised",
    "ReferenceGame",
    "SamplingGame",
    "ScoreGame",
    "WeightedGame",
    "field_penalised",
    "unpenalised",
]
