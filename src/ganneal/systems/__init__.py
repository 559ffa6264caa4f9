"""Games: who plays, and what each player minimises.

| game | players | trained from |
|---|---|---|
| `GAN` | critic, scores, generator | examples |
| `ReferenceGame` | moments, critic, generator | log u; log rho from a critic against a moment-matched Gaussian |
| `ExactGame` | generator (a flow) | log u; log rho of the flow |
| `ScoreGame` | model score, generator | log u; grad log rho from a score estimator |
| `WeightedGame` | critic, generator | log u; weighted proposals as data, up to three dimensions |

Samples of a moving population of particles as data for a `GAN` (sampler `replay`) are the engine's.
"""

from ganneal.systems.exact import ExactGame
from ganneal.systems.gan import GAN
from ganneal.systems.reference import ReferenceGame
from ganneal.systems.sampling import SamplingGame
from ganneal.systems.score_only import ScoreGame
from ganneal.systems.weighted import WeightedGame

__all__ = ["GAN", "ExactGame", "ReferenceGame", "SamplingGame", "ScoreGame", "WeightedGame"]
