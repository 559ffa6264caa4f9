"""Samples to ArviZ and back from a file; what is refused, and what is said where ArviZ is missing."""

import builtins
import math
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from ganneal.errors import RunError, UsageError
from ganneal.export_arviz import save, to_arviz

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    arviz = pytest.importorskip("arviz")

SAMPLES = torch.randn(30, 3, generator=torch.Generator().manual_seed(0))


def test_names_become_variables() -> None:
    found = to_arviz(SAMPLES, ["a", "b", "c"], torch.arange(30.0), {"target": "kidney", "exact": True, "log_z": 1.5})
    assert list(found.posterior.data_vars) == ["a", "b", "c"]
    assert found.posterior["b"].dims == ("chain", "draw")
    np.testing.assert_array_equal(found.posterior["b"].values[0], SAMPLES[:, 1].double().numpy())
    np.testing.assert_array_equal(found.sample_stats["log_weight"].values, np.arange(30.0)[None])
    for told in (found.attrs, found.posterior.attrs):
        assert told["target"] == "kidney"
        assert told["inference_library"] == "ganneal"
        assert (told["exact"], told["log_z"]) == (1, 1.5)


def test_without_names_there_is_one_variable_and_chains_stay_apart() -> None:
    chains = SAMPLES.reshape(5, 6, 3)
    found = to_arviz(chains.numpy(), log_weights=torch.arange(30.0))
    assert found.posterior["x"].shape == (5, 6, 3)
    np.testing.assert_array_equal(found.posterior["x"].values[2, 4], chains[2, 4].double().numpy())
    assert found.sample_stats["log_weight"].values[2, 4] == 16
    assert "sample_stats" not in to_arviz(SAMPLES).groups()


def test_a_file_keeps_everything(tmp_path: Path) -> None:
    made = to_arviz(SAMPLES, ["a", "b", "c"], torch.arange(30.0), {"target": "kidney", "exact": False})
    path = save(made, tmp_path / "samples.nc")
    read = arviz.from_netcdf(str(path))
    for group in ("posterior", "sample_stats"):
        for name, values in made[group].data_vars.items():
            np.testing.assert_array_equal(read[group][name].values, values.values)
    for told in (read.attrs, read.posterior.attrs):
        assert told["target"] == "kidney"
        assert told["exact"] == 0
    assert len(arviz.summary(read, kind="stats")) == 3


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"samples": torch.zeros(3)}, r"samples: got shape \(3,\)"),
        ({"samples": torch.zeros(0, 3)}, "samples: got shape"),
        ({"samples": "many"}, "samples: got str"),
        ({"samples": torch.full((4, 3), math.nan)}, "samples: 12 numbers are NaN"),
        ({"names": ["a", "b"]}, "3 different names"),
        ({"names": ["a", "b", "b"]}, "3 different names"),
        ({"names": "abc"}, "3 different names"),
        ({"log_weights": torch.zeros(29)}, r"log_weights: got shape \(29,\); allowed: \(1, 30\)"),
        ({"log_weights": torch.full((30,), -math.inf)}, "log_weights: 30 numbers"),
        ({"attrs": {"config": {"a": 1}}}, "attrs: got dict for 'config'"),
    ],
)
def test_wrong_requests_are_named(change: dict, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        to_arviz(**{"samples": SAMPLES, **change})


def test_files_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"ends in \.nc"):
        save(to_arviz(SAMPLES), tmp_path / "samples.json")
    with pytest.raises(RunError, match="cannot be written"):
        save(to_arviz(SAMPLES), tmp_path / "nowhere" / "samples.nc")


@pytest.mark.parametrize("missing", ["arviz", "h5netcdf"])
def test_a_missing_library_names_the_extra(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: object, **options: object) -> object:
        if name == missing:
            raise ModuleNotFoundError(f"No module named {missing!r}", name=missing)
        return real(name, *rest, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UsageError, match=rf'{missing} is not installed; pip install "ganneal\[arviz\]"'):
        to_arviz(SAMPLES)
