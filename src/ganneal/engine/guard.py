"""The guard: notices non-finite values, collapse and saturation, goes back to the last good state with half the
learning rate, and gives up after three times. Other signs it names without acting. It judges every member of a
population by itself."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ganneal.engine.symptoms import NAMED, PATIENCE, SIGNS
from ganneal.game import Tensors
from ganneal.solvers import State

MAX_ROLLBACKS = 3


@dataclass
class Guard:
    """What the guard remembers: learning-rate factors, rollbacks so far, how often in a row each trouble was seen, and
    the spread of samples when the hold began."""

    size: int
    lr_scale: list[float] = field(default_factory=list)
    rollbacks: list[int] = field(default_factory=list)
    strikes: dict[str, list[int]] = field(default_factory=dict)
    reference: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.lr_scale = self.lr_scale or [1.0] * self.size
        self.rollbacks = self.rollbacks or [0] * self.size
        self.strikes = {problem: [0] * self.size for problem in ("non-finite values", *SIGNS)} | self.strikes

    def state(self) -> dict[str, Any]:
        """Plain values for a checkpoint."""
        return {
            "lr_scale": self.lr_scale,
            "rollbacks": self.rollbacks,
            "strikes": self.strikes,
            "reference": self.reference,
        }

    def judge(self, finite: Tensor, signs: Mapping[str, Tensor]) -> dict[int, tuple[str, float]]:
        """Members that must go back, with the problem and the value that shows it.

        finite [N] whether all losses and parameters are finite; signs: what the game reports, [N] each, by the names in
        SIGNS (nan where there is nothing to report).
        """
        found: dict[int, tuple[str, float]] = {}
        for k, fine in enumerate(finite.tolist()):
            if self._struck("non-finite values", k, not fine) >= 1 and self.lr_scale[k] > 0:
                found[k] = ("non-finite values", float(signs["spread"][k]))
        for problem, k, value, strikes in self._strikes(signs, fatal=True):
            if strikes >= PATIENCE and k not in found and self.lr_scale[k] > 0:
                found[k] = (problem, value)
        return found

    def notice(self, signs: Mapping[str, Tensor]) -> list[tuple[int, str, float]]:
        """Signs that have just been seen often enough to be named: (member, problem, value)."""
        return [
            (k, problem, value)
            for problem, k, value, strikes in self._strikes(signs, fatal=False)
            if strikes == PATIENCE and self.lr_scale[k] > 0
        ]

    def held(self, spread: Tensor, holding: bool) -> Tensor:
        """[N] spread over that at the beginning of the hold; nan before."""
        if not holding:
            return torch.full_like(spread, float("nan"))
        self.reference = self.reference or spread.tolist()
        return spread / torch.tensor(self.reference, dtype=spread.dtype).to(spread.device)

    def _strikes(self, signs: Mapping[str, Tensor], fatal: bool) -> list[tuple[str, int, float, int]]:
        return [
            (problem, k, float(signs[sign.of][k]), self._struck(problem, k, bad))
            for problem, sign in SIGNS.items()
            if sign.fatal == fatal and sign.of in signs
            for k, bad in enumerate(sign.seen(signs[sign.of]).tolist())
        ]

    def _struck(self, problem: str, member: int, bad: bool) -> int:
        counts = self.strikes[problem]
        counts[member] = counts[member] + 1 if bad else 0
        return counts[member]

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
        return [
            k
            for k in range(self.size)
            if not any(self.strikes[problem][k] for problem in self.strikes if problem not in NAMED)
        ]

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

    for name in ("params", "buffers", "slots", "averages", "memory"):
        copy(getattr(state, name), getattr(good, name))


def all_finite(params: dict[str, Tensors], losses: list[Tensor], stacked: bool) -> Tensor:
    """[N] whether every parameter and loss of a member is finite."""
    keep: Callable[[Tensor], Tensor] = (lambda t: t.flatten(1)) if stacked else (lambda t: t.reshape(1, -1))
    checks = [torch.isfinite(keep(p)).all(1) for tensors in params.values() for p in tensors.values()]
    checks += [torch.isfinite(loss.reshape(-1)) for loss in losses]
    return torch.stack(checks).all(0)


__all__ = ["MAX_ROLLBACKS", "Guard", "all_finite", "copy_member"]
