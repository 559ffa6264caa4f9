"""Estimators of the score grad log p(x) from samples of p.

| name | learned | use it |
|---|---|---|
| `dsm` | yes | by default: any dimension |
| `dae` | yes | to reproduce Tao et al. (2019): one noise level, on features |
| `ssm` | yes | where smoothing bias matters and p has a smooth density |
| `stein`, `ssge` | no | up to 5 dimensions, a few hundred samples |
| `affine` | no | near-Gaussian laws, and tests |
| `noise_posterior` | no | a generator that adds noise, up to 5 dimensions |
| `exact` | no | targets with a formula |
"""

from typing import Any

from ganneal.errors import UsageError
from ganneal.parts import Registry
from ganneal.scores.affine import Affine, affine
from ganneal.scores.denoising import DenoisingAutoencoder, DenoisingScoreMatching, dae, dsm
from ganneal.scores.estimator import ScoreEstimator
from ganneal.scores.exact import Exact, exact
from ganneal.scores.noise_posterior import NoisePosterior, noise_posterior
from ganneal.scores.sliced import SlicedScoreMatching, ssm
from ganneal.scores.spectral import Spectral, ssge
from ganneal.scores.stein import Stein, stein

SCORES: Registry[ScoreEstimator] = Registry(
    "score", {f.__name__: f for f in (dsm, dae, ssm, stein, ssge, affine, exact, noise_posterior)}
)


def build(value: Any) -> ScoreEstimator:
    """An estimator from its text form, or an object that already is one.

    >>> build("dsm(sigmas=0.1->1)").learned
    True
    """
    estimator = SCORES.build(value)
    if not isinstance(estimator, ScoreEstimator):
        raise UsageError(f"expected a score such as dsm or ssge(keep=0.99), got {value!r}")
    return estimator


__all__ = [
    "SCORES",
    "Affine",
    "DenoisingAutoencoder",
    "DenoisingScoreMatching",
    "Exact",
    "NoisePosterior",
    "ScoreEstimator",
    "SlicedScoreMatching",
    "Spectral",
    "Stein",
    "affine",
    "build",
    "dae",
    "dsm",
    "exact",
    "noise_posterior",
    "ssge",
    "ssm",
    "stein",
]
