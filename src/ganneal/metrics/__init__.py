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
| `mode_coverage` | are known modes reached? | `kl_floor`, `high_quality_ceiling` |
"""

from ganneal.metrics.birthday import Birthday, birthday, duplicate_radius
from ganneal.metrics.frechet import (
    FrechetExtrapolated,
    frechet_distance,
    frechet_extrapolated,
    frechet_floor,
    frechet_from_moments,
)
from ganneal.metrics.inception import InceptionScore, inception_score
from ganneal.metrics.kid import KID, kid, kid_interval
from ganneal.metrics.memorisation import Memorisation, memorisation
from ganneal.metrics.modes import ModeCoverage, histogram_kl, histogram_kl_floor, mode_coverage
from ganneal.metrics.neighbours import NeighbourAccuracy, neighbour_accuracy
from ganneal.metrics.support import Support, coverage_expected, support

__all__ = [
    "KID",
    "Birthday",
    "FrechetExtrapolated",
    "InceptionScore",
    "Memorisation",
    "ModeCoverage",
    "NeighbourAccuracy",
    "Support",
    "birthday",
    "coverage_expected",
    "duplicate_radius",
    "frechet_distance",
    "frechet_extrapolated",
    "frechet_floor",
    "frechet_from_moments",
    "histogram_kl",
    "histogram_kl_floor",
    "inception_score",
    "kid",
    "kid_interval",
    "memorisation",
    "mode_coverage",
    "neighbour_accuracy",
    "support",
]
