"""A comparison on a real Ray cluster of two nodes on this machine."""

import json
from pathlib import Path

import numpy as np
import pytest

from ganneal.comparing import compare
from ganneal.errors import UsageError

TINY = {"network": "mlp(width=8, depth=1)", "batch": 8, "steps": 40, "seeds": 2, "permutations": 19}


def test_without_ray_the_error_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(UsageError, match=r"install ganneal\[cluster\]"):
        compare("ring8", objective="rkl", out=tmp_path / "it", ray="local", **TINY)
    assert not (tmp_path / "it").exists()


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_grid_on_two_nodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cells are computed on both nodes, and score what they score in this process."""
    ray = pytest.importorskip("ray", reason="ray is not installed")
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    node = {"num_cpus": 1, "object_store_memory": 100_000_000}
    data = np.random.default_rng(0).normal(size=(300, 2)).astype(np.float32)
    cluster = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
    try:
        cluster.add_node(**node)
        cluster.wait_for_nodes()
        found = compare(
            data, objective="rkl, jsd, hinge, wasserstein, nope", penalty="none; r1(gamma=1)", ray=cluster.address,
            out=tmp_path / "ray", **TINY,
        )  # fmt: skip
        assert len(found.records) == 8
        assert {r["reason"].partition(":")[0] for r in found.refused} == {"objective"}
        assert len({r["node"] for r in found.records}) == 2
        assert not ray.is_initialized()  # what was connected for it is closed
    finally:
        cluster.shutdown()
    here = compare(data, objective="rkl, jsd", penalty="none", out=tmp_path / "here", workers=0, **TINY)
    for record in here.records:
        other = next(r for r in found.records if r["choices"] == record["choices"])
        assert [row["energy"] for row in other["rows"]] == pytest.approx([row["energy"] for row in record["rows"]])
    assert json.loads((tmp_path / "ray" / "results.json").read_text())["standings"]
