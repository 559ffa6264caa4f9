"""Densities on the command line: a file of one's own is trained, sampled and exported; what is wrong with one is said
before anything is written."""

from pathlib import Path

import numpy as np
import pytest

from ganneal.engine.checkpoint import read_json

MODEL = """
import numpy as np
import torch

def log_prob(x):
    return -x.square().sum(1) / 2

def with_gradient(x):
    return -(x**2).sum(1) / 2, -x

def wide(x):
    return -x.square() / 2

def broken(x):
    return x + undefined

def flat(x):
    return -x[:, 0] ** 2

def nan(x):
    return x.sum(1) * float("nan")

def complicated(x):
    return torch.complex(-x.square().sum(1), x[:, 0])

def whole(x):
    return x.sum(1).long()

def detached(x):
    return -x.detach().square().sum(1)

def explosive(x):
    return x.square().sum(1)

normal = torch.distributions.MultivariateNormal(torch.zeros(2), torch.eye(2))
number = 3
"""
SMALL = (
    "--steps", "20", "--batch", "16", "--network", "flow(layers=2, width=8)", "--permutations", "99", "--reference",
    "none",
)  # fmt: skip


@pytest.fixture
def model(folder: Path) -> Path:
    path = folder / "model.py"
    path.write_text(MODEL)
    return path


@pytest.mark.parametrize("name", ["log_prob", "with_gradient"])
def test_a_density_of_ones_own_is_trained_sampled_and_exported(ganneal, model: Path, name: str) -> None:
    said = ganneal("train", f"model.py:{name}", "--dim", "2", *SMALL)
    assert said.code == 0, said.complaint
    assert "log Z = " in said.out
    assert ganneal("sample", "runs/model-1", "-n", "7", "-o", "x.csv").code == 0
    assert np.loadtxt("x.csv", delimiter=",", skiprows=1).shape == (7, 2)
    pytest.importorskip("arviz", reason="the extra arviz is not installed")
    assert ganneal("sample", "runs/model-1", "-n", "7", "-o", "x.nc").code == 0
    import arviz

    data = arviz.from_netcdf("x.nc")
    assert data.posterior["x"].shape == (1, 7, 2)
    assert data.sample_stats["log_weight"].shape == (1, 7)


def test_a_distribution_says_its_own_dimension(ganneal, model: Path) -> None:
    assert ganneal("train", "model.py:normal", *SMALL).code == 0
    found = read_json(Path("runs/model-1/verdict.json"))
    assert found["samplers"][0]["log_z_true"] == 0


def test_exact_draws_of_a_target_are_a_sample_to_test_against(ganneal, folder: Path) -> None:
    np.save("x.npy", np.random.default_rng(0).normal(size=(60, 2)))
    said = ganneal("test", "target:kidney", "x.npy", "--tests", "energy", "--json")
    assert said.code in (0, 1)
    assert '"rejected": true' in said.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("model.py:wide --dim 2", "returned shape"),
        ("model.py:nan --dim 2", "NaN"),
        ("model.py:complicated --dim 2", "complex"),
        ("model.py:whole --dim 2", "int64"),
        ("model.py:detached --dim 2", "does not depend on x differentiably"),
        ("model.py:flat --dim 2", "no finite integral: along coordinate 2"),
        ("model.py:explosive --dim 2", "no finite integral"),
        ("model.py:log_prob", "give dim="),
        ("model.py:normal --dim 3", "2"),
        ("model.py:number --dim 2", "number"),
        ("model.py:log_porb --dim 2", "log_prob"),
        ("nowhere.py:log_prob --dim 2", "nowhere.py"),
        ("target:kidny", "did you mean 'kidney'?"),
        ("target:kidney(radios=2)", "radius"),
        ("target:kidney --dim 3", "2 dimensions"),
        ("target:kidney --sampler exact --network mlp", "--network flow"),
        ("target:kidney --sampler best", "expected"),
        ("target:many_well(dim=3)", "dim"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_density_is_one_line(ganneal, model: Path, words: str, said: str) -> None:
    found = ganneal("train", *words.split())
    assert found.code == 2, found
    assert said in found.complaint
    assert found.complaint.count("\n") == 1
    assert not Path("runs").exists()


def test_an_error_of_the_users_function_keeps_its_place(ganneal, model: Path) -> None:
    found = ganneal("train", "model.py:broken", "--dim", "2")
    assert found.code == 2
    assert "NameError: name 'undefined' is not defined" in found.complaint
    assert 'model.py", line' in found.complaint
    assert "return x + undefined" in found.complaint
