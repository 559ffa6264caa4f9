"""The order of data is a function of seed and position; noise comes from each member's own generator."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ganneal.data import open_source
from ganneal.engine.batches import Batches, mix
from ganneal.game import Draw

PLAN = (
    {"real": Draw("real", (2,)), "z": Draw("normal", (3,))},
    {"z": Draw("normal", (3,)), "u": Draw("uniform"), "s": Draw("rademacher", (2, 2))},
)


def numbered(size: int) -> Any:
    """A source of `size` training rows that can be told apart."""
    rows = np.arange(2.0 * (size + max(4, size // 5)))
    source = open_source(np.stack([rows, rows**2], 1), heldout=0.5)
    return source


def batches(seeds: Sequence[int] = (0,), source: Any = "ring8", batch: int = 8, **options: Any) -> Batches:
    opened = open_source(source) if isinstance(source, str) else source
    return Batches(opened, PLAN, batch, seeds, len(seeds) > 1, torch.float64, torch.device("cpu"), **options)


def rows_of(source: Any, x: torch.Tensor) -> list[int]:
    """Positions in the source of the examples of a batch."""
    table = source.rows(torch.arange(source.size)).double()
    return [int((table == row).all(1).nonzero()) for row in x]


@settings(deadline=None, max_examples=40)
@given(st.integers(2, 30), st.integers(1, 70), st.integers(1, 8), st.integers(0, 5))
def test_epochs_are_new_permutations_whatever_the_batch(size: int, batch: int, draws: int, seed: int) -> None:
    source = numbered(size)
    drawn = batches([seed], source, batch)
    found = [
        row for _ in range(draws) for row in rows_of(source, drawn.draw([{"real": Draw("real", (2,))}])[0]["real"])
    ]
    assert drawn.position == len(found) == draws * batch
    epochs = [found[k : k + source.size] for k in range(0, len(found), source.size)]
    for number, epoch in enumerate(epochs):
        order = torch.randperm(source.size, generator=torch.Generator().manual_seed(mix(seed, 3, number))).tolist()
        assert epoch == order[: len(epoch)]
        assert len(set(epoch)) == len(epoch)


@settings(deadline=None, max_examples=15)
@given(st.integers(1, 40), st.integers(0, 6))
def test_a_restored_position_continues_the_order(batch: int, draws: int) -> None:
    source = numbered(17)
    one, other = batches([3], source, batch), batches([3], source, batch)
    for _ in range(draws):
        one.draw()
    tensors, position = one.state()
    other.restore({name: value.clone() for name, value in tensors.items()}, position)
    for _ in range(3):
        for a, b in zip(one.draw(), other.draw(), strict=True):
            assert a.keys() == b.keys()
            assert all(torch.equal(a[name], b[name]) for name in a)


def test_a_member_draws_what_a_single_run_with_its_seed_draws() -> None:
    for source in ("ring8", numbered(11)):
        together = batches((4, 9, 2), source)
        alone = [batches((seed,), source) for seed in (4, 9, 2)]
        for _ in range(4):
            drawn, singles = together.draw(), [one.draw() for one in alone]
            for step, batch in enumerate(drawn):
                for name, x in batch.items():
                    assert all(torch.equal(x[k], single[step][name]) for k, single in enumerate(singles))


def test_members_of_neighbouring_seeds_have_nothing_in_common() -> None:
    drawn = batches(range(6), batch=2000).draw()
    z, s = drawn[0]["z"].flatten(1), drawn[1]["s"].flatten(1)
    for x in (z, s):
        correlation = torch.corrcoef(x) - torch.eye(6)
        assert correlation.abs().max() < 5 / x.shape[1] ** 0.5
    assert not torch.equal(drawn[0]["real"][0], drawn[0]["real"][1])


def test_noise_has_the_laws_it_is_named_after() -> None:
    first, second = batches(batch=20_000).draw()
    assert first["z"].shape == (20_000, 3)
    assert second["s"].shape == (20_000, 2, 2)
    assert second["u"].shape == (20_000,)
    assert abs(first["z"].mean()) < 0.02
    assert abs(first["z"].std() - 1) < 0.02
    assert abs(torch.corrcoef(torch.stack([first["z"].flatten(), second["z"].flatten()]))[0, 1]) < 0.02
    assert 0 <= second["u"].min() < second["u"].max() < 1
    assert abs(second["u"].mean() - 0.5) < 0.02
    assert set(second["s"].unique().tolist()) == {-1.0, 1.0}
    assert abs(second["s"].mean()) < 0.02


def test_processes_share_a_batch_without_gap_or_overlap() -> None:
    for source in ("ring8", numbered(11)):
        whole = batches((1, 2), source, 12)
        parts = [batches((1, 2), source, 12, share=(rank, 3)) for rank in range(3)]
        for _ in range(3):
            drawn, shares = whole.draw(), [part.draw() for part in parts]
            for step, batch in enumerate(drawn):
                for name, x in batch.items():
                    assert torch.equal(x, torch.cat([share[step][name] for share in shares], 1))
        assert {part.position for part in parts} == {whole.position}


def test_mixed_seeds_do_not_collide() -> None:
    seeds = {mix(a, b, c) for a in range(20) for b in range(20) for c in range(20)}
    assert len(seeds) == 8000
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert mix(1, 2) != mix(2, 1)
