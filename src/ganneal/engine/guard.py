"""The guard: notices non-finite values, collapse and saturation, goes back to the last good state with half the
learning rate, and gives up after three times. It judges every member of a population by itself."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ganneal.game import Tensors
from ganneal.solvers import State

MAX_ROLLBACKS = 3
PATIENCE = 3
"""Collapse and saturation must be seen at this many checks in a row; non-finite values act at once."""
COLLAPSE = 0.01
"""Spread of samples over spread of data, below which a generator has collapsed."""
SATURATION = 30.0
"""Gap between the logits of data and samples, beyond which a log-ratio critic gives no gradient (e^-30 weights)."""

ADVICE = {
    "non-finite values": "try a smaller learning rate, or a stronger penalty such as r1r2(gamma=1)",
    "collapse": "try a smaller --lr-generator, noise on the data, or --recipe annealed-entropy; with a negative "
    "lambda_likelihood a smaller --score-clip",
    "saturated critic": "try noise on the data, a smaller --lr-critic, or a penalty such as r1r2(gamma=0.1); with a "
    "negative lambda_likelihood a smaller --score-clip",
}


@dataclass
class Guard:
    """What the guard remembers: learning-rate factors, rollbacks so far, and how often in a row each trouble was
    seen."""

    size: int
    lr_scale: list[float] = field(default_factory=list)
    rollbacks: list[int] = field(default_factory=list)
    strikes: dict[str, list[int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.lr_scale = self.lr_scale or [1.0] * self.size
        self.rollbacks = self.rollbacks or [0] * self.size
        self.strikes = self.strikes or {problem: [0] * self.size for problem in ADVICE}

    def state(self) -> dict[str, Any]:
        """Plain values for a checkpoint."""
        return {"lr_scale": self.lr_scale, "rollbacks": self.rollbacks, "strikes": self.strikes}

    def judge(self, finite: Tensor, spread: Tensor, gap: Tensor | None) -> dict[int, tuple[str, float]]:
        """Members in trouble, with the problem and the value that shows it.

        finite [N] whether all losses and parameters are finite; spread [N] of samples relative to data (nan where the
        data have none); gap [N] of the critic's logits, or None for objectives without logits.
        """
        signs = {
            "non-finite values": (~finite, spread, 1),
            "collapse": (spread < COLLAPSE, spread, PATIENCE),
            "saturated critic": (
                gap.abs() > SATURATION if gap is not None else torch.zeros_like(finite),
                gap if gap is not None else spread,
                PATIENCE,
            ),
        }
        found: dict[int, tuple[str, float]] = {}
        for problem, (seen, value, patience) in signs.items():
            for k, bad in enumerate(seen.tolist()):
                self.strikes[problem][k] = self.strikes[problem][k] + 1 if bad else 0
                if self.strikes[problem][k] >= patience and k not in found and self.lr_scale[k] > 0:
                    found[k] = (problem, float(value[k]))
        return found

    def roll_back(self, member: int) -> str:
        """Note a rollback of `member`; returns what is done about it. After the last one the member stands still
        (learning rate 0)."""
        for counts in self.strikes.values():
            counts[member] = 0
        self.rollbacks[member] += 1
        if self.rollbacks[member] > MAX_ROLLBACKS:
            self.lr_scale[member] = 0.0
            return f"gave up after {MAX_ROLLBACKS} rollbacks"
        self.lr_scale[member] /= 2
        return "rolled back to the last good checkpoint, learning rates halved"

    def trusted(self) -> list[int]:
        """Members in which no trouble is suspected at present."""
        return [k for k in range(self.size) if not any(counts[k] for counts in self.strikes.values())]

    @property
    def lost(self) -> bool:
        """Whether no member is left in training."""
        return not any(self.lr_scale)


def copy_member(state: State, good: State, member: int, stacked: bool) -> None:
    """Copy everything of one member from a good state, in place."""

    def copy(into: dict[str, Any], source: dict[str, Any]) -> None:
        for key, value in into.items():
            if isinstance(value, dict):
                copy(value, source[key])
            elif stacked and value.dim():
                value[member].copy_(source[key][member])
            elif not stacked:
                value.copy_(source[key])

    for name in ("params", "buffers", "slots", "averages"):
        copy(getattr(state, name), getattr(good, name))


def all_finite(params: dict[str, Tensors], losses: list[Tensor], stacked: bool) -> Tensor:
    """[N] whether every parameter and loss of a member is finite."""
    keep: Callable[[Tensor], Tensor] = (lambda t: t.flatten(1)) if stacked else (lambda t: t.reshape(1, -1))
    checks = [torch.isfinite(keep(p)).all(1) for tensors in params.values() for p in tensors.values()]
    checks += [torch.isfinite(loss.reshape(-1)) for loss in losses]
    return torch.stack(checks).all(0)
