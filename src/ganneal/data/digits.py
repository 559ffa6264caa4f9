"""The handwritten digits that come with the library (E. Alpaydin, C. Kaynak, UCI, doi 10.24432/C50P49, CC BY 4.0)."""

from importlib import resources

import numpy as np

from ganneal.data.contract import Options, check_fraction
from ganneal.data.pixels import Images, images


def digits(heldout: float = 0.2, *, seed: int = 0, size: int | None = None) -> Images:
    """1797 images (1, 8, 8) with labels 0..9; the same fraction of every digit is held out, 20% unless told otherwise.

    The 17 grey levels k = 0..16 become the nearest of 256: round(255 k / 16).
    """
    check_fraction("digits: heldout", heldout)
    with (
        resources.files("ganneal.data").joinpath("digits.npz").open("rb") as file,
        np.load(file, allow_pickle=False) as packed,
    ):
        levels, labels = packed["x"], packed["y"]
    pixels = np.rint(levels[:, None] * (255 / 16)).astype(np.uint8)
    random = np.random.default_rng(seed)
    classes = [random.permutation(np.flatnonzero(labels == digit)) for digit in range(10)]
    cuts = [max(1, round(heldout * len(members))) for members in classes]
    train = np.sort(np.concatenate([members[cut:] for members, cut in zip(classes, cuts, strict=True)]))
    test = random.permutation(np.concatenate([members[:cut] for members, cut in zip(classes, cuts, strict=True)]))
    return images("digits", pixels.__getitem__, (1, 8, 8), (train, test), Options(size=size, seed=seed), labels)
