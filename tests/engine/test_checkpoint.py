"""A checkpoint is whole or absent, says what is wrong with it, and the newest and the best are kept."""

import errno
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ganneal.engine import checkpoint
from ganneal.engine.events import EventLog
from ganneal.errors import RunError, UsageError

names = st.text(st.characters(categories=["L", "N"], include_characters="._-"), min_size=1, max_size=8)
trees = st.recursive(
    st.integers(0, 5).map(lambda n: torch.arange(n)),
    lambda inner: st.dictionaries(names, inner, min_size=1, max_size=4),
    max_leaves=12,
)


def same(a: Any, b: Any) -> bool:
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    return torch.equal(a, b)


@given(st.dictionaries(names, trees, max_size=4))
def test_flattening_is_undone(tree: dict[str, Any]) -> None:
    flat = checkpoint.flatten(tree)
    assert all(isinstance(value, torch.Tensor) for value in flat.values())
    assert same(checkpoint.unflatten(flat), tree)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    tree = {
        "params": {
            "critic": {
                "w": torch.randn(3, 2),
                "k": torch.randn(2, 3, 4, 4).contiguous(memory_format=torch.channels_last),
            }
        },
        "streams": {"noise.0": torch.Generator().get_state()},
        "slots": {"critic": {"count": {"steps": torch.tensor(3.0, dtype=torch.float64)}}},
    }
    path = checkpoint.write(tmp_path, 640, tree, {"step": 10})
    assert path.name == "000000000640.safetensors"
    found, meta = checkpoint.read(path)
    assert same(found, tree)
    assert (meta["step"], meta["format"]) == (10, checkpoint.FORMAT)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_tensors_are_read_into_memory_aligned_as_the_allocator_aligns(tmp_path: Path) -> None:
    """The last bits of a matrix product depend on alignment, so a resumed run needs that of the first one."""
    tree = {"a": torch.zeros(3), "b": torch.zeros(5), "c": torch.zeros(7)}
    found, _ = checkpoint.read(checkpoint.write(tmp_path, 1, tree, {}))
    assert {value.data_ptr() % 64 for value in found.values()} == {0}


def damaged(path: Path, how: str) -> None:
    data = path.read_bytes()
    path.write_bytes({"empty": b"", "truncated": data[:-5], "header": data[:20], "noise": os.urandom(300)}[how])


@pytest.mark.parametrize("how", ["empty", "truncated", "header", "noise"])
def test_a_damaged_checkpoint_is_named(tmp_path: Path, how: str) -> None:
    path = checkpoint.write(tmp_path, 1, {"a": torch.zeros(3)}, {})
    damaged(path, how)
    with pytest.raises(RunError, match=r"000000000001.safetensors: not a readable checkpoint .*delete it"):
        checkpoint.read(path)


def test_a_foreign_file_and_a_newer_format_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from safetensors.torch import save_file

    save_file({"a": torch.zeros(3)}, tmp_path / "000000000001.safetensors")
    with pytest.raises(RunError, match="not a readable checkpoint"):
        checkpoint.read(tmp_path / "000000000001.safetensors")
    monkeypatch.setattr(checkpoint, "FORMAT", 7)
    path = checkpoint.write(tmp_path, 2, {"a": torch.zeros(3)}, {})
    monkeypatch.undo()
    with pytest.raises(UsageError, match="checkpoint of format 7, this ganneal reads up to 1; use a newer version"):
        checkpoint.read(path)


@pytest.mark.parametrize("fails", ["fsync", "replace"])
def test_a_refusing_disk_leaves_the_old_file_and_no_temporary_one(
    tmp_path: Path, fails: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    checkpoint.write_atomically(path, b"old")

    def refuse(*arguments: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, fails, refuse)
    with pytest.raises(RunError, match=r"file: cannot write it \(No space left on device\)"):
        checkpoint.write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_disk_that_is_really_full(tmp_path: Path) -> None:
    """A checkpoint, and a line of the log, on a disk of 300 kB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", disk], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"cannot mount a small disk: {mounted.stderr.strip()}")
    try:
        checkpoint.write(disk, 1, {"a": torch.zeros(20_000)}, {})
        with pytest.raises(RunError, match=r"000000000002.safetensors: cannot write it \(No space left on device\)"):
            checkpoint.write(disk, 2, {"a": torch.zeros(200_000)}, {})
        assert [p.name for p in disk.iterdir()] == ["000000000001.safetensors"]
        assert checkpoint.read(disk / "000000000001.safetensors")[0]["a"].shape == (20_000,)
        with EventLog(disk / "events.jsonl") as log:
            while (disk / "events.jsonl").stat().st_size < 200_000:
                log.write("step", 1, text="x" * 1000)
            with pytest.raises(RunError, match=r"events.jsonl: cannot write it \(No space left on device\)"):
                log.write("step", 1, text="x" * 200_000)
    finally:
        subprocess.run(["umount", disk], check=True)


def test_the_newest_and_the_best_are_kept(tmp_path: Path) -> None:
    paths = [checkpoint.write(tmp_path, k, {"a": torch.zeros(1)}, {}) for k in range(10)]
    (tmp_path / "best.json").write_text("{}")
    checkpoint.prune(tmp_path, 3, paths[4])
    assert checkpoint.listing(tmp_path) == [paths[4], *paths[7:]]
    checkpoint.prune(tmp_path, 1, None)
    assert checkpoint.listing(tmp_path) == [paths[9]]
    assert (tmp_path / "best.json").exists()


def test_what_a_killed_process_left_is_no_checkpoint_and_is_swept_away(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    left = tmp_path / "checkpoints" / ".000000000009.safetensors.123.tmp"
    left.write_bytes(b"torn")
    kept = checkpoint.write(tmp_path / "checkpoints", 1, {"a": torch.zeros(1)}, {})
    assert checkpoint.listing(tmp_path / "checkpoints") == [kept]
    checkpoint.sweep(tmp_path)
    assert not left.exists()
    assert kept.exists()
