"""Stacked digits: each channel is a digit of its own, the label says which, and no digit is on both sides."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from ganneal.data import open_source
from ganneal.data.digits import digits
from ganneal.data.stacked import TRIPLES, open_stacked, stacked
from ganneal.errors import UsageError
from ganneal.metrics.modes import histogram_kl

SMALL = {"triples": 3000, "heldout": 50}


def test_a_label_is_the_number_that_the_channels_spell() -> None:
    source, grey = stacked(digits(), **SMALL), digits()
    pixels = {image.tobytes(): int(label) for image, label in zip(*_all(grey), strict=True)}
    x, labels = source.examples(200, torch.Generator().manual_seed(0))
    assert x.shape == (200, 8, 8, 3)
    assert labels is not None
    for image, label in zip(x, labels, strict=True):
        spelt = [pixels[np.ascontiguousarray(image[..., c]).tobytes()] for c in range(3)]
        assert int("".join(map(str, spelt))) == label


def test_training_and_held_out_triples_share_no_digit() -> None:
    grey = digits()
    source = stacked(grey, **SMALL)
    training = {row.tobytes() for row in source.rows(torch.arange(1000)).reshape(-1, 64).numpy()}
    held = {row.tobytes() for row in source.heldout(50).reshape(-1, 64).numpy()}
    own = {row.tobytes() for row in grey.heldout(10**6).reshape(-1, 64).numpy()}
    assert held <= own
    assert not training & held - (
        own & {row.tobytes() for row in grey.rows(torch.arange(grey.size)).reshape(-1, 64).numpy()}
    )


def test_the_set_is_fixed_by_the_seed() -> None:
    one, same, other = (stacked(digits(), **SMALL, seed=s) for s in (0, 0, 1))
    assert torch.equal(one.labels, same.labels)
    assert torch.equal(one.rows(torch.arange(20)), same.rows(torch.arange(20)))
    assert not torch.equal(one.labels, other.labels)


def test_there_are_a_thousand_modes_in_the_proportions_of_the_digits() -> None:
    source, grey = stacked(digits()), digits()
    assert source.size == TRIPLES
    counts = torch.bincount(source.labels, minlength=1000)
    assert int((counts > 0).sum()) == 1000
    share = torch.bincount(grey.labels, minlength=10).double() / grey.size
    law = torch.einsum("a,b,c->abc", share, share, share).reshape(-1)
    assert histogram_kl(counts, law) == pytest.approx(999 / (2 * TRIPLES), rel=0.2)


def test_channels_are_independent() -> None:
    labels = stacked(digits()).labels
    channels = [labels // 100, labels // 10 % 10, labels % 10]
    for a, b in pairwise(channels):
        table = torch.bincount(10 * a + b, minlength=100).reshape(10, 10).double()
        expected = table.sum(1, keepdim=True) * table.sum(0) / table.sum()
        assert float(((table - expected) ** 2 / expected).sum()) < 130  # chi2 with 81 degrees of freedom, p = 5e-4


def test_it_is_a_source_by_name_and_from_a_file(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    arrays = {"x_train": random.integers(0, 256, (30, 6, 5), dtype=np.uint8), "y_train": np.arange(30) % 3,
              "x_test": random.integers(0, 256, (9, 6, 5), dtype=np.uint8), "y_test": np.arange(9) % 3}  # fmt: skip
    path = tmp_path / "some digits.npz"
    np.savez(path, **arrays)
    source = open_source(f"stacked('{path}', triples=500, heldout=20)")
    assert (source.shape, source.size, len(source.heldout(100))) == ((3, 6, 5), 500, 20)
    assert sorted(set(source.labels.tolist())) == list(range(27))  # three classes, in base three
    again = open_source(source.name)
    assert torch.equal(again.rows(torch.arange(10)), source.rows(torch.arange(10)))
    assert open_source("stacked(triples=100)").name == "stacked(triples=100)"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('stacked("ring8")', "needs images of one channel, got ring8, a toy"),
        ("stacked(triples=2)", "at least 4 triples and 1 held out, got 2"),
        ('stacked("stacked")', r"needs labelled images of one channel, got stacked of shape \[3, 8, 8\]"),
        ("stacked(nowhere)", "unknown source 'nowhere'"),
    ],
)
def test_what_cannot_be_stacked_is_said_in_one_line(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        open_source(text)


def test_images_without_labels_cannot_be_stacked(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((20, 8, 8), np.uint8))
    with pytest.raises(UsageError, match="without labels"):
        open_stacked(str(tmp_path / "x.npy"))


def _all(source):  # type: ignore[no-untyped-def]
    return source.examples(10**6, torch.Generator().manual_seed(0))
