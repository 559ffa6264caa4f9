"""Schedules, learning rates and averaging weights of the coming steps, evaluated ahead and sent to the device as one
table."""

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

from ganneal.penalties import Penalty, Weighted
from ganneal.schedules import Schedule
from ganneal.temperature import members


class Coefficients:
    """All coefficients of a game as functions of progress.

    schedules   by name, one or one per member
    penalties   applied lazily: absent from the steps between, weighted by `every` where applied
    held        values, one per member, of coefficients that a run decides while it goes (an adaptive temperature)
    size        number of members of a population, or None for a single game (then coefficients are 0-d)
    """

    def __init__(self, schedules: Mapping[str, Schedule], penalties: Iterable[Penalty], ema: float, size: int | None):
        self.lazy = {p.name: p for p in penalties if isinstance(p, Weighted)}
        self.schedules = {**schedules, **{name: p.weight for name, p in self.lazy.items()}}
        for penalty in self.lazy.values():
            self.schedules |= getattr(penalty, "schedules", {})  # a kernel's bandwidth, beside the weight
        self.ema, self.size = ema, size
        self.held: dict[str, list[float]] = {}

    def values(self, name: str, progress: float) -> list[float]:
        """The values of one schedule, one per member (or a single one); those that are `held` have the last word."""
        if name in self.held:
            return self.held[name]
        return [member(progress) for member in members(self.schedules[name])]

    def table(
        self, steps: Sequence[int], progress: Sequence[float], lr_scale: Sequence[float], like: Tensor
    ) -> list[dict[str, Tensor]]:
        """For each coming step the coefficients that its losses and updates read, with the dtype and device of
        `like`."""
        names, width = [*self.schedules, "average"], self.size or 1
        rows = []
        for step, t in zip(steps, progress, strict=True):
            row = []
            for name in self.schedules:
                value = self.values(name, t)
                value = value * width if len(value) == 1 else value
                if name in self.lazy:
                    value = [v * self.lazy[name].every for v in value]
                elif name.startswith("lr."):
                    value = [v * s for v, s in zip(value, lr_scale, strict=True)]
                row.append(value)
            row.append([min(self.ema, (1 + step) / (10 + step))] * width)  # forgets the initial parameters at once
            rows.append(row)
        block = torch.tensor(rows, dtype=torch.float64).to(like.dtype).to(like.device)
        block = block if self.size else block[..., 0]
        return [
            {
                name: value
                for name, value in zip(names, row.unbind(), strict=True)
                if name not in self.lazy or step % self.lazy[name].every == 0
            }
            for step, row in zip(steps, block.unbind(), strict=True)
        ]
