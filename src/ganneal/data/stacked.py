"""Stacked digits: three random digits as the red, green and blue of one image, which makes 1000 modes with known
classes (Metz et al. 2017; the fixed set of 128,000 triples is that of Srivastava et al. 2017 and Lin et al. 2018)."""

import numpy as np

from ganneal.data.contract import Indices, Options, own_split
from ganneal.data.pixels import Images, images
from ganneal.errors import UsageError

TRIPLES = 128_000
HELDOUT = 10_000
CHANNELS = 3


def stacked(digits: Images, triples: int = TRIPLES, heldout: int = HELDOUT, seed: int = 0) -> Images:
    """The source of `triples` fixed random triples of labelled grey images [1, H, W]: images [3, H, W] with label
    100 r + 10 g + b (in base K, for K classes).

    Training triples are made of training digits, the `heldout` ones of held-out digits, so that no digit is in both.
    Channels are drawn independently and with replacement by `seed`. The pixels of a triple are put together when they
    are asked for: 128,000 of 28x28 would be 300 MB.

    Raises `UsageError` for images with more than one channel or without labels.
    """
    if digits.shape[0] != 1 or digits.labels is None or digits.heldout_labels is None:
        raise UsageError(
            f"stacked: needs labelled images of one channel, got {digits.name} of shape {list(digits.shape)}"
            + (" without labels" if digits.labels is None else "")
        )
    if triples < 4 or heldout < 1:
        raise UsageError(f"stacked: at least 4 triples and 1 held out, got {triples} and {heldout}")
    random = np.random.default_rng(seed)
    index = np.concatenate(
        [digits.train[random.integers(len(digits.train), size=(triples, CHANNELS))],
         digits.test[random.integers(len(digits.test), size=(heldout, CHANNELS))]]
    )  # fmt: skip
    known = np.full(int(max(digits.train.max(), digits.test.max())) + 1, -1, np.int64)
    known[digits.train], known[digits.test] = digits.labels.numpy(), digits.heldout_labels.numpy()
    classes = int(known.max()) + 1
    labels = known[index] @ classes ** np.arange(CHANNELS - 1, -1, -1)

    def fetch(positions: Indices) -> np.ndarray:
        return digits.fetch(index[positions].reshape(-1)).reshape(len(positions), CHANNELS, *digits.shape[1:])

    name, options = f"stacked({digits.name})", Options(seed=seed)
    parts = own_split(name, triples, heldout, options)
    return images(name, fetch, (CHANNELS, *digits.shape[1:]), parts, options, labels)


def open_stacked(file: str = "digits", triples: int = TRIPLES, heldout: int = HELDOUT, *, seed: int = 0) -> Images:
    """Stacked digits of a labelled source with a held-out part: the 8x8 digits that come with the library, or a file
    such as MNIST as .npz (`x_train`, `y_train`, `x_test`, `y_test`) or idx."""
    from ganneal.data.source import open_source

    digits = open_source(file)
    if not isinstance(digits, Images):
        raise UsageError(f"stacked: needs images of one channel, got {digits.name}, a {digits.kind}")
    return stacked(digits, triples, heldout, seed)


__all__ = ["open_stacked", "stacked"]
