"""Batches for the coming step: data and noise for every player, from one explicit generator per member.

The order of data is a function of (seed, number of examples drawn) alone, and noise comes from generators whose state
is a tensor, so a checkpoint needs one integer and those tensors to continue bit by bit. Member k of a population draws
exactly what a single run with its seed would draw.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from torch import Tensor

from ganneal.data import Source
from ganneal.game import Draw

Plan = Sequence[Mapping[str, Draw]]
NOISE = ("normal", "uniform", "rademacher")


class Batches:
    """Draws the batches that one step consumes.

    source    what is learned; unlimited sources are sampled, finite ones are gone through in a new random order each
              epoch
    plan      for each batch of a step, what it consists of
    batch     examples in a batch, over all processes
    seeds     one per member
    stacked   whether batches carry the axis of members
    supply    where real examples come from instead of the source: n random ones from a generator
    share     (rank, processes): which contiguous part of every batch this process gets
    """

    def __init__(
        self,
        source: Source,
        plan: Plan,
        batch: int,
        seeds: Sequence[int],
        stacked: bool,
        dtype: torch.dtype,
        device: torch.device,
        share: tuple[int, int] = (0, 1),
        supply: Callable[[int, torch.Generator], Tensor] | None = None,
    ):
        self.source, self.plan, self.batch, self.stacked = source, plan, batch, stacked
        self.dtype, self.device, self.seeds = dtype, device, tuple(seeds)
        self.supply = source.sample if supply is None and source.size is None else supply
        rank, processes = share
        self.part = slice(rank * batch // processes, (rank + 1) * batch // processes)
        self.position = 0
        self.noise = [torch.Generator(device).manual_seed(mix(s, 1)) for s in self.seeds]
        self.data = [torch.Generator().manual_seed(mix(s, 2)) for s in self.seeds]
        self._orders: dict[tuple[int, int], Tensor] = {}

    def draw(self, plan: Plan | None = None) -> tuple[dict[str, Tensor], ...]:
        """One dictionary of tensors for each batch of the plan, each tensor [B, ...] or [N, B, ...]."""
        plan = self.plan if plan is None else plan
        noise = {kind: self._noise(kind, plan) for kind in NOISE}
        found = []
        for draws in plan:
            batch = {}
            for name, draw in draws.items():
                x = self._real() if draw.kind == "real" else next(noise[draw.kind])
                x = x[:, self.part] if self.part != slice(0, self.batch) else x
                batch[name] = x if self.stacked else x[0]
            found.append(batch)
        return tuple(found)

    def _noise(self, kind: str, plan: Plan) -> Iterator[Tensor]:
        """All noise of one kind from a single draw per member, cut to the shapes that the plan asks for."""
        shapes = [(self.batch, *d.shape) for draws in plan for d in draws.values() if d.kind == kind]
        if not shapes:
            return iter(())
        sizes = [math.prod(s) for s in shapes]
        block = torch.empty(len(self.seeds), sum(sizes), dtype=self.dtype, device=self.device)
        for row, generator in zip(block, self.noise, strict=True):
            row.normal_(generator=generator) if kind == "normal" else row.uniform_(generator=generator)
        if kind == "rademacher":
            block = torch.where(block < 0.5, -1.0, 1.0).to(self.dtype)
        return (part.reshape(-1, *shape) for part, shape in zip(block.split(sizes, dim=1), shapes, strict=True))

    def _real(self) -> Tensor:
        """The next examples of every member, [N, B, *shape]."""
        if self.supply is not None:
            x = torch.stack([self.supply(self.batch, generator) for generator in self.data])
        else:
            index = torch.cat([self._indices(seed) for seed in self.seeds])
            x = self.source.rows(index).unflatten(0, (len(self.seeds), self.batch))
        self.position += self.batch
        return x.to(self.device, self.dtype)

    def _indices(self, seed: int) -> Tensor:
        size = self.source.size
        assert size is not None
        first, last = self.position // size, (self.position + self.batch - 1) // size
        order = torch.cat([self._order(seed, epoch) for epoch in range(first, last + 1)])
        return order[self.position - first * size :][: self.batch]

    def _order(self, seed: int, epoch: int) -> Tensor:
        key = (seed, epoch)
        if key not in self._orders:
            for old in [k for k in self._orders if k[0] == seed and k[1] < epoch - 1]:
                del self._orders[old]
            assert self.source.size is not None
            generator = torch.Generator().manual_seed(mix(seed, 3, epoch))
            self._orders[key] = torch.randperm(self.source.size, generator=generator)
        return self._orders[key]

    def state(self) -> tuple[dict[str, Tensor], int]:
        """What resume needs: generator states as tensors, and the data position."""
        named = {"noise": self.noise, "data": self.data}
        return {f"{kind}.{k}": g.get_state() for kind, gs in named.items() for k, g in enumerate(gs)}, self.position

    def restore(self, tensors: Mapping[str, Tensor], position: int) -> None:
        """Continue exactly where `state` was taken."""
        for kind, generators in (("noise", self.noise), ("data", self.data)):
            for k, generator in enumerate(generators):
                generator.set_state(tensors[f"{kind}.{k}"].contiguous())
        self.position = position


def mix(*parts: int) -> int:
    """A seed from several numbers (splitmix64), so that streams of neighbouring seeds have nothing in common."""
    state = 0
    for part in parts:
        state = (state ^ part) + 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF
        state = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 & 0xFFFFFFFFFFFFFFFF
        state = (state ^ state >> 27) * 0x94D049BB133111EB & 0xFFFFFFFFFFFFFFFF
        state ^= state >> 31
    return state >> 1
