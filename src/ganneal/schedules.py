"""Schedules: a coefficient as a function of training progress t in [0, 1], with its rate.

Text forms: `0.5`, `linear(-0.8->0, hold=0.2)`, `geometric(0.1->1)`, `cosine(0->1)`, `pma(0.5)`, `nma(0.5)`,
`oscillating(0.5, segments=15)`, `each(0, -0.5, linear(-0.8->0))` (one entry per member of a population).
Pure Python: the command line checks schedules without importing torch.

The monotone and oscillating forms are those of the code published with Tao et al. (2019), section 6 of our
specification: l(t) = B (1 - t/0.8) until it reaches 0, and nodes (-1)^k B (1 - k/segments) joined by straight lines.
"""

import bisect
import math
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from ganneal.errors import UsageError
from ganneal.parts import Part, Range, Registry


@runtime_checkable
class Schedule(Protocol):
    """A value for every progress t in [0, 1]. Between two neighbouring `knots` it is monotone, so its extremes lie on
    knots."""

    def __call__(self, t: float) -> float: ...

    def rate(self, t: float) -> float:
        """Derivative with respect to t (from the right at a knot)."""
        ...

    @property
    def knots(self) -> tuple[float, ...]: ...


@dataclass(frozen=True)
class Constant:
    """The same value all the way."""

    value: float

    def __call__(self, t: float) -> float:
        return self.value

    def rate(self, t: float) -> float:
        return 0.0

    @property
    def knots(self) -> tuple[float, ...]:
        return (0.0, 1.0)


@dataclass(frozen=True)
class Ramp:
    """From `start` to `end` over the first 1 - hold of training, then held at `end`.

    shape "linear":    start + (end - start) u
    shape "geometric": start (end/start)^u, both ends of one sign
    shape "cosine":    start + (end - start) (1 - cos(pi u)) / 2
    with u = min(1, t / (1 - hold)).
    """

    shape: str
    start: float
    end: float
    hold: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.hold < 1:
            raise UsageError(f"{self.shape}: hold must be in [0, 1), got {self.hold}")
        if not math.isfinite(self.end - self.start):
            raise UsageError(f"{self.shape}: its ends are too far apart, got {self.start:g}->{self.end:g}")
        if self.shape == "geometric" and not (min(self.start, self.end) > 0 or max(self.start, self.end) < 0):
            raise UsageError(f"geometric: both ends must be non-zero and of one sign, got {self.start}->{self.end}")

    def _log_ratio(self) -> float:
        return math.log(abs(self.end)) - math.log(abs(self.start))

    def _u(self, t: float) -> float:
        return min(1.0, t / (1 - self.hold))

    def __call__(self, t: float) -> float:
        u = self._u(t)
        if u == 1.0:
            return self.end
        if self.shape == "geometric":
            return math.copysign(math.exp(math.log(abs(self.start)) + u * self._log_ratio()), self.start)
        if self.shape == "cosine":
            u = (1 - math.cos(math.pi * u)) / 2
        return self.start + (self.end - self.start) * u

    def rate(self, t: float) -> float:
        u = self._u(t)
        if u == 1.0:
            return 0.0
        scale = 1 / (1 - self.hold)
        if self.shape == "geometric":
            return self(t) * self._log_ratio() * scale
        if self.shape == "cosine":
            return (self.end - self.start) * math.pi / 2 * math.sin(math.pi * u) * scale
        return (self.end - self.start) * scale

    @property
    def knots(self) -> tuple[float, ...]:
        return (0.0, 1 - self.hold, 1.0)


@dataclass(frozen=True)
class Adaptive(Ramp):
    """The slowest path of an inverse temperature that moves ahead as fast as the model follows.

    A run keeps the value: at a hundred places it takes the largest value at which importance weights from the model to
    the target at that temperature keep an effective share of at least `ess`, but never one below this ramp.
    """

    ess: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.ess < 1:
            raise UsageError(f"adaptive: ess must be between 0 and 1, got {self.ess}")
        if not self.start <= self.end:
            raise UsageError(f"adaptive: goes from hot to cold, so start <= end, got {self.start:g}->{self.end:g}")


@dataclass(frozen=True)
class Piecewise:
    """Straight lines between the points (positions[k], values[k]); positions rise from 0 to 1."""

    positions: tuple[float, ...]
    values: tuple[float, ...]

    def _segment(self, t: float) -> int:
        return min(max(bisect.bisect_right(self.positions, t) - 1, 0), len(self.positions) - 2)

    def __call__(self, t: float) -> float:
        k = self._segment(t)
        a, b = self.positions[k], self.positions[k + 1]
        return self.values[k] + (self.values[k + 1] - self.values[k]) * ((t - a) / (b - a))

    def rate(self, t: float) -> float:
        k = self._segment(t)
        return (self.values[k + 1] - self.values[k]) / (self.positions[k + 1] - self.positions[k])

    @property
    def knots(self) -> tuple[float, ...]:
        return self.positions


@dataclass(frozen=True)
class Each:
    """One schedule per member of a population."""

    members: tuple[Schedule, ...]


def constant(value: float) -> Constant:
    """The same value all the way: `constant(0.5)`, or just `0.5`."""
    return Constant(_real("constant", value))


def linear(range: Range, hold: float = 0.0) -> Ramp:
    """A straight line, then a hold: `linear(-0.8->0, hold=0.2)`."""
    return _ramp("linear", range, hold)


def geometric(range: Range, hold: float = 0.0) -> Ramp:
    """Equal ratios in equal times, then a hold: `geometric(0.1->1, hold=0.2)`."""
    return _ramp("geometric", range, hold)


def cosine(range: Range, hold: float = 0.0) -> Ramp:
    """Half a cosine wave, flat at both ends, then a hold: `cosine(0.2->1)`."""
    return _ramp("cosine", range, hold)


def adaptive(range: Range, ess: float = 0.5, hold: float = 0.2) -> Adaptive:
    """For `beta` of a target: `adaptive(0.05->1, ess=0.5)` moves on as long as the effective share of importance
    weights stays above `ess`, at the latest along a geometric ramp."""
    ramp = _ramp("geometric", range, hold)
    return Adaptive("geometric", ramp.start, ramp.end, ramp.hold, _real("adaptive", ess))


def pma(bound: float, until: float = 0.8) -> Piecewise:
    """Positive monotone annealing (Tao et al. 2019, code): bound (1 - t/until), then 0."""
    bound, until = _real("pma", bound), _real("pma", until)
    if not 0 < until < 1:
        raise UsageError(f"pma: until must be in (0, 1), got {until}")
    return Piecewise((0.0, until, 1.0), (bound, 0.0, 0.0))


def nma(bound: float, until: float = 0.8) -> Piecewise:
    """Negative monotone annealing (Tao et al. 2019, code): -bound (1 - t/until), then 0."""
    return pma(-_real("nma", bound), until)


def oscillating(bound: float, segments: int = 15) -> Piecewise:
    """Oscillating annealing (Tao et al. 2019, code): nodes (-1)^k bound (1 - k/segments) at t = k/segments."""
    bound = _real("oscillating", bound)
    if not isinstance(segments, int) or not 1 <= segments <= 10_000:
        raise UsageError(f"oscillating: segments must be a whole number from 1 to 10000, got {segments}")
    grid = [k / segments for k in range(segments + 1)]
    return Piecewise(tuple(grid), tuple((-1) ** k * bound * (1 - t) for k, t in enumerate(grid)))


def each(*members: Any) -> Each:
    """One entry per member of a population: `each(0, -0.5, linear(-0.8->0))`."""
    built = tuple(SCHEDULES.build(m) for m in members)
    if not built or not all(isinstance(m, Schedule) for m in built):
        raise UsageError("each(...) takes at least one schedule, and no each(...) inside")
    return Each(built)


def _real(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise UsageError(f"{name}: expected a finite number, got {value!r}")
    return float(value)


def _ramp(shape: str, ends: Any, hold: Any) -> Ramp:
    if not isinstance(ends, Range):
        raise UsageError(f"{shape}: expected its ends as 'start->end', got {ends!r}")
    return Ramp(shape, _real(shape, ends.start), _real(shape, ends.end), _real(shape, hold))


def _literal(value: Any) -> Any:
    if isinstance(value, Range):
        raise UsageError(f"'{value.start}->{value.end}' alone has no shape: write linear({value.start}->{value.end})")
    return each(*value) if isinstance(value, list) else Constant(_real("schedule", value))


SCHEDULES: Registry[Any] = Registry(
    "schedule",
    {f.__name__: f for f in (constant, linear, geometric, cosine, adaptive, pma, nma, oscillating, each)},
    literal=_literal,
)


def schedule(value: Any) -> Any:
    """A schedule from its text form, a number, a list (one per member) or a schedule.

    >>> schedule("linear(-0.8->0, hold=0.2)")(0.4)
    -0.4
    """
    built = SCHEDULES.build(value)
    if not isinstance(built, (Schedule, Each)):
        raise UsageError(f"expected a schedule such as 0.5 or linear(0.1->1), got {value!r}")
    return built


__all__ = ["SCHEDULES", "Adaptive", "Constant", "Each", "Part", "Piecewise", "Ramp", "Schedule", "schedule"]
