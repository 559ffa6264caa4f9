"""The packed data sets, where they are there: GANNEAL_DATA, or shared/data beside the repository."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from ganneal.data import open_source

FOLDER = Path(os.environ.get("GANNEAL_DATA") or Path(__file__).resolve().parents[3] / "shared" / "data")


def path(name: str) -> str:
    file = FOLDER / name.partition(":")[0]
    if not file.exists():
        pytest.skip(f"{file.name} is not there; set GANNEAL_DATA to the folder of packed data sets")
    return str(FOLDER / name)


@pytest.mark.parametrize(
    ("name", "shape", "size"),
    [
        ("mnist.npz", (1, 28, 28), 60000),
        ("uci-small.npz:german_x", (24,), 900),
        ("uci-adult.npz:x_num", (6,), 43958),
        ("reference-samples.npz:dw4", (8,), 9000),
    ],
)
def test_arrays(name, shape, size):
    source = open_source(path(name))
    assert (source.shape, source.size) == (shape, size)
    assert source.heldout(7).shape == (7, *shape)
    if source.kind == "image":
        assert torch.bincount(source.labels).tolist()[:2] == [5923, 6742]
        assert len(source.heldout_labels) == 10000


def test_faces():
    source = open_source(path("faces64.webp"))
    assert (source.shape, source.size) == ((3, 64, 64), 4500)
    assert source.rows(torch.arange(4)).std() > 0.1


def test_cifar():
    path("cifar10-train-0.webp")
    source = open_source(FOLDER / "cifar10")
    assert (source.shape, source.size) == ((3, 32, 32), 50000)
    assert torch.bincount(source.labels).tolist() == [5000] * 10
    assert torch.bincount(source.heldout_labels).tolist() == [1000] * 10
    pixels = source.decode(source.heldout(10000))
    # the published mean of the training part, within what 10000 other images allow
    assert np.abs(pixels.mean((0, 1, 2)) / 255 - [0.4914, 0.4822, 0.4465]).max() < 0.01


def test_zip_of_mixed_sizes():
    assert open_source(path("set5-set14.zip"), size=16).size == 16


def test_import_is_light():
    code = "import sys, ganneal.data; print([m for m in ('PIL', 'pyarrow', 'scipy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
