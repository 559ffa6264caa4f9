"""A run as series over the guard's looks, one record for each member: what a diagnosis reads."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ganneal.engine.config import Config
from ganneal.engine.examination import Examination

SETTLING = 0.5
"""Part of a run that is left to the transient."""


@dataclass(frozen=True)
class Record:
    """One member's run as series over the guard's looks.

    examples   [n] at each look
    losses     by player, [n]
    signs      by name, [n]; nan where there was nothing to report
    guards     the guard's events about this member
    test       its two-sample test against held-out data, once there is a verdict
    """

    config: Config
    member: int
    examples: np.ndarray
    losses: Mapping[str, np.ndarray]
    signs: Mapping[str, np.ndarray]
    guards: Sequence[Mapping[str, Any]] = ()
    test: Mapping[str, Any] | None = None
    examination: Examination | None = None
    series: int = 1
    """Series of the whole run, among which the level is divided."""

    @property
    def settled(self) -> slice:
        """The looks after the transient and the guard's last rollback."""
        returns = [g["examples"] for g in self.guards if "rolled back" in str(g.get("action"))]
        first = math.ceil(SETTLING * len(self.examples))
        return slice(max(first, int((self.examples <= max(returns, default=-1)).sum())), None)

    def late(self, name: str) -> float:
        """Median of a sign over the last third of the run; nan where it was never reported."""
        values = self.signs.get(name, np.empty(0))[-max(1, len(self.examples) // 3) :]
        values = values[np.isfinite(values)]
        return float(np.median(values)) if len(values) else math.nan


def records(
    config: Config,
    events: Sequence[Mapping[str, Any]],
    verdict: Mapping[str, Any] | None = None,
    examinations: Mapping[int, Examination] | None = None,
) -> list[Record]:
    """One record for each member, from the events of a run."""
    steps = [e for e in events if e.get("event") == "step" and e.get("losses")]
    size, tests = config.population, {t["member"]: t for t in (verdict or {}).get("tests", [])}

    def series(key: str, name: str, member: int) -> np.ndarray:
        values = [(e.get(key) or {}).get(name, math.nan) for e in steps]
        return np.array([v[member] if isinstance(v, list) else v for v in values], dtype=np.float64)

    def named(key: str) -> list[str]:
        return list(dict.fromkeys(name for e in steps for name in e.get(key) or {}))

    return [
        Record(
            config, k, np.array([e["examples"] for e in steps], dtype=np.int64),
            {name: series("losses", name, k) for name in named("losses")},
            {name: series("signs", name, k) for name in named("signs")},
            [e for e in events if e.get("event") == "guard" and e.get("member") == k],
            tests.get(k), (examinations or {}).get(k), size * (len(named("losses")) + len(named("signs"))) or 1,
        )
        for k in range(size)
    ]  # fmt: skip
