"""The library as a person uses it from Python."""

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import ganneal as gn
from ganneal.engine.trainer import Trainer

RNG = np.random.default_rng(0)
SMALL: dict[str, Any] = {"batch": 8, "network": "mlp(width=8, depth=1)", "permutations": 19}


def test_the_example_of_the_readme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = gn.train(
        "digits", objective="rkl", lambda_likelihood="linear(-0.8->0, hold=0.2)", seed=0, steps=6, score_warmup=64
    )
    assert run.folder == Path("runs/digits-1")
    x = run.sample(64)
    assert x.shape == (64, 8, 8)
    assert x.dtype == np.uint8
    assert run.verdict is not None
    assert run.verdict["sentence"]
    assert run.finished
    assert repr(run) == "Run('runs/digits-1')"
    assert gn.Run("runs/digits-1").verdict == run.verdict


ARRAYS = {
    "table": RNG.normal(size=(50, 2)),
    "list": RNG.normal(size=(50, 2)).tolist(),
    "column": RNG.normal(size=50),
    "images": RNG.integers(0, 256, (30, 8, 8), dtype=np.uint8),
    "tensor": torch.randn(50, 2, generator=torch.Generator().manual_seed(0), requires_grad=True),
    "half precision": torch.randn(50, 2, generator=torch.Generator().manual_seed(0)).bfloat16(),
}


@pytest.mark.parametrize("kind", ARRAYS)
def test_an_array_is_kept_in_the_run_folder_and_resumed_from_there(
    kind: str, train: Any, interrupted: Any, assert_same_bits: Any
) -> None:
    x = ARRAYS[kind]
    whole = train("whole", x, steps=8, log_every=2, **SMALL)
    stopped = interrupted("stopped", x, steps=8, log_every=2, at=4, **SMALL)
    kept = np.load(stopped.folder / "data.npy")
    np.testing.assert_array_equal(kept, x.detach().float().numpy() if isinstance(x, torch.Tensor) else np.asarray(x))
    assert_same_bits(whole, gn.resume(stopped.folder))
    assert whole.sample(5).shape == (5, *(kept.shape[1:] or (1,)))


def test_a_file_that_is_called_data_npy_is_read_where_it_lies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, train: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("data.npy", RNG.normal(size=(50, 2)))
    run = train("run", "data.npy", steps=2, **SMALL)
    assert not (run.folder / "data.npy").exists()
    assert run.sample(3).shape == (3, 2)


def test_seeds_make_a_population(train: Any) -> None:
    run = train("run", steps=3, seeds=range(3), **SMALL)
    assert run.config.population == 3
    assert [test["member"] for test in run.verdict["tests"]] == [0, 1, 2]
    samples = [run.sample(20, member=k) for k in range(3)]
    assert not np.array_equal(samples[0], samples[1])
    assert train("other", steps=3, seeds=[2, 0], **SMALL).sample(20, member=0) == pytest.approx(samples[2], abs=1e-4)
    with pytest.raises(gn.UsageError, match="member: got 3; allowed: 0 to 2"):
        run.sample(1, member=3)


def test_a_list_as_a_schedule_makes_a_population(train: Any) -> None:
    run = train("run", steps=3, lambda_likelihood=[0, -0.5, "linear(-0.8->0)"], **SMALL)
    assert run.config.lambda_likelihood == "each(0, -0.5, linear(-0.8->0))"
    assert run.config.population == 3


def test_numbers_and_texts_are_the_same_configuration(train: Any) -> None:
    one = train("one", steps=3, lr_critic=0.01, penalty="r1", seed=np.int64(3), **SMALL)
    other = train("other", steps="3", lr_critic="0.01", penalty=["r1"], seed="3", **SMALL)
    assert one.config.model_copy(update={"out": None}) == other.config.model_copy(update={"out": None})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"objektive": "rkl"}, "unknown key 'objektive': did you mean 'objective'"),
        ({"objective": "rlk"}, "did you mean 'rkl'"),
        ({"steps": 0}, "steps: expected at least 1, got 0"),
        ({"seeds": 3}, "seeds: expected a list, got 3"),
        ({"penalty": 3}, "penalty: expected a list, got 3"),
        ({"lambda_likelihood": {}}, "lambda_likelihood: expected text"),
        ({"lambda_likelihood": float("nan")}, "lambda_likelihood: "),
        ({"lambda_likelihood": True}, "lambda_likelihood: expected text, got True"),
        ({"recipe": 3}, "recipe: expected text, got 3"),
    ],
)
def test_a_wrong_option_is_refused_before_a_folder_is_made(
    options: dict[str, Any], message: str, train: Any, tmp_path: Path
) -> None:
    with pytest.raises(gn.UsageError, match=message):
        train("run", **options)
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("source", [np.array([{}] * 9), np.zeros((3, 2)), None, 3, {"a": 1}, np.zeros((2, 2, 2, 2, 2))])
def test_what_is_no_data_is_refused(source: Any, train: Any, tmp_path: Path) -> None:
    with pytest.raises(gn.UsageError):
        train("run", source, steps=2, **SMALL)
    assert not [*tmp_path.iterdir()]


IMAGES = RNG.integers(0, 256, (24, 8, 8, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("source", "options"),
    [("ring8", SMALL), (IMAGES, {**SMALL, "network": "dcgan(width=4)"})],
    ids=["mlp", "batch norm"],
)
def test_samples_depend_on_the_seed_alone(source: Any, options: dict[str, Any], train: Any) -> None:
    run = train("run", source, steps=3, **options)
    assert np.array_equal(run.sample(50, seed=1), run.sample(50, seed=1))
    assert not np.array_equal(run.sample(50, seed=1), run.sample(50, seed=2))
    trainer: Trainer = run.trainer()
    whole = trainer.sample(50, seed=1, block=50)
    for block in (1, 7, 64):
        torch.testing.assert_close(trainer.sample(50, seed=1, block=block), whole, rtol=1e-5, atol=1e-5)
    assert run.sample(50, seed=1, units=False) == pytest.approx(whole.numpy(), abs=1e-6)
    with pytest.raises(gn.UsageError, match="n: at least 1"):
        run.sample(0)


def test_checkpoints_by_name(train: Any) -> None:
    run = train("run", steps=20, log_every=1, checkpoint_every=8, keep=2, **SMALL)
    assert run.checkpoint("last").stem == "000000000160"
    assert run.checkpoint("152").stem == "000000000152"
    assert run.checkpoint("best").exists()
    with pytest.raises(gn.UsageError, match=r"checkpoint: got 'newest'; allowed: last, best, or one of .*152, 160"):
        run.checkpoint("newest")
    assert not np.array_equal(run.sample(9, which="152"), run.sample(9, which="last"))


def test_a_training_in_a_thread_of_its_own(train: Any, assert_same_bits: Any) -> None:
    """A notebook may train beside its main thread, where signals cannot be caught."""
    found: list[gn.Run] = []
    thread = threading.Thread(target=lambda: found.append(train("thread", steps=3, **SMALL)))
    thread.start()
    thread.join(60)
    assert_same_bits(found[0], train("main", steps=3, **SMALL))


def test_the_samples_on_disk_are_those_of_the_report(train: Any) -> None:
    run = train("run", steps=20, log_every=5, sample_every=80, **SMALL)
    found = sorted((run.folder / "samples").iterdir())
    assert [path.stem for path in found] == ["000000000000", "000000000080", "000000000160"]
    for path in found:
        with np.load(path) as arrays:
            assert arrays["x"].shape == (1000, 2)
            assert arrays["real"].shape == (60, 2)
            assert arrays["modes"].shape == (8, 2)
