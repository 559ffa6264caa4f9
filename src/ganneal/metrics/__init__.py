"""Numbers about samples, each with its floor: what a perfect sampler of the same size would score."""

from ganneal.metrics.frechet import frechet_distance, frechet_floor, frechet_from_moments
from ganneal.metrics.modes import ModeCoverage, histogram_kl, histogram_kl_floor, mode_coverage

__all__ = [
    "ModeCoverage",
    "frechet_distance",
    "frechet_floor",
    "frechet_from_moments",
    "histogram_kl",
    "histogram_kl_floor",
    "mode_coverage",
]
