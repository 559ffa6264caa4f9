"""Features: what distances between samples are measured on.

    extractor = features.build("pca(d=20)").fit(train)
    extractor(x)        # [n, *shape] -> float64 [n, d]

| name | needs | use it |
|---|---|---|
| `raw` | | tables |
| `pca` | training data | tables with many columns, small images |
| `random` | | images without a trained network: coarse, but fair to every data set |
| `classifier` | a file | digits (LeNet) and CIFAR-10 (ResNet) |
| `inception` | a file | numbers that are to be compared with published ones |
"""

from typing import Any

from ganneal.errors import UsageError
from ganneal.features.classifier import Classifier, classifier
from ganneal.features.extractor import Classifies, Extractor, Features
from ganneal.features.inception import Program, inception
from ganneal.features.pca import PCA, PCAFeatures, pca
from ganneal.features.random_network import RandomConvolutions, RandomFeatures, RandomRectified, random
from ganneal.features.raw import Raw, RawFeatures, raw
from ganneal.parts import Registry

FEATURES: Registry[Features] = Registry("feature", {f.__name__: f for f in (raw, pca, random, classifier, inception)})


def build(value: Any) -> Features:
    """A recipe from its text form, or an object that already is one.

    >>> build("random(d=64)").d
    64
    """
    recipe = FEATURES.build(value)
    if not isinstance(recipe, Features):
        raise UsageError(f"expected a feature such as raw or pca(d=20), got {value!r}")
    return recipe


__all__ = [
    "FEATURES",
    "PCA",
    "Classifier",
    "Classifies",
    "Extractor",
    "Features",
    "PCAFeatures",
    "Program",
    "RandomConvolutions",
    "RandomFeatures",
    "RandomRectified",
    "Raw",
    "RawFeatures",
    "build",
    "classifier",
    "inception",
    "pca",
    "random",
    "raw",
]
