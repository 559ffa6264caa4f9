"""Numbers about samples, each with its floor: what a perfect sampler of the same size would score.

| name | question | what equal laws score |
|---|---|---|
| `frechet_distance` | do two moments of the features agree? | `frechet_floor`; 0 when extrapolated |
| `kid` | do three moments agree? | 0 on average |
| `support` | do the laws cover each other? | density 1, coverage `coverage_expected` |
| `neighbour_accuracy` | are neighbours of one's own kind? | a little below 1/2 |
| `memorisation` | are samples closer to the training data than fresh data? | uniform p-values |
| `birthday` | how many different samples are there? | what held-out data have |
| `inception_score` | sharp to a classifier, classes used evenly? | what held-out data have |
| `mode_score` | sharp to a classifier, classes used as the data use them? | what held-out data have |
| `mode_coverage` | are known modes reached? | `kl_floor`, `high_quality_ceiling` |
| `importance` | how far is a sampler from u / Z, and what is Z? | ESS share 1 |
| `marginal_log_density` | what is the density of a generator's samples G(z) + sigma e? | |
| `decoder_log_likelihood`, `bidirectional` | what is log p(x) of a decoder? | `upper` on simulated data |
| `judge` | all that can be said of samples for a known u | tests, floors and intervals in one object |
| `shares` | is each mode visited as often as it should? | intervals that hold the exact share |
| `moments` | means and deviations of each coordinate | `mean_floor`, ratios 1 |
| `distance_with_floor` | how far is a sample from a reference? | the floor |
"""

from ganneal.metrics.birthday import Birthday, birthday, duplicate_radius
from ganneal.metrics.decoder import DecoderLikelihood, bidirectional, decoder_log_likelihood
from ganneal.metrics.floors import Distance, distance_with_floor
from ganneal.metrics.frechet import (
    FrechetExtrapolated,
    frechet_distance,
    frechet_extrapolated,
    frechet_floor,
    frechet_from_moments,
)
from ganneal.metrics.importance import Importance, ess_share, importance, pareto_k
from ganneal.metrics.inception import InceptionScore, inception_score
from ganneal.metrics.kid import KID, kid, kid_interval
from ganneal.metrics.marginal import marginal_log_density, marginal_log_weights
from ganneal.metrics.membership import Share, shares
from ganneal.metrics.memorisation import Memorisation, memorisation
from ganneal.metrics.mode_score import mode_score
from ganneal.metrics.modes import ModeCoverage, histogram_kl, histogram_kl_floor, mode_coverage
from ganneal.metrics.moments import Moments, moments
from ganneal.metrics.neighbours import NeighbourAccuracy, neighbour_accuracy
from ganneal.metrics.sampler import Judgement, judge
from ganneal.metrics.support import Support, coverage_expected, support

__all__ = [
    "KID",
    "Birthday",
    "DecoderLikelihood",
    "Distance",
    "FrechetExtrapolated",
    "Importance",
    "InceptionScore",
    "Judgement",
    "Memorisation",
    "ModeCoverage",
    "Moments",
    "NeighbourAccuracy",
    "Share",
    "Support",
    "bidirectional",
    "birthday",
    "coverage_expected",
    "decoder_log_likelihood",
    "distance_with_floor",
    "duplicate_radius",
    "ess_share",
    "frechet_distance",
    "frechet_extrapolated",
    "frechet_floor",
    "frechet_from_moments",
    "histogram_kl",
    "histogram_kl_floor",
    "importance",
    "inception_score",
    "judge",
    "kid",
    "kid_interval",
    "marginal_log_density",
    "marginal_log_weights",
    "memorisation",
    "mode_coverage",
    "mode_score",
    "moments",
    "neighbour_accuracy",
    "pareto_k",
    "shares",
    "support",
]
