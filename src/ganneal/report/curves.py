"""Curves as SVG in the page's own colours: lines with the range of seeds around them, on linear or logarithmic axes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from ganneal.report.verdict import number

WIDTH, HEIGHT = 560, 300
LEFT, RIGHT, TOP, BOTTOM = 52, 10, 10, 34
RATIO = 30.0
"""Largest over smallest value beyond which an axis is logarithmic."""

Line = tuple[int, str, Sequence[tuple[float, float, float, float]]]
"""Colour, label, and points (x, middle, lowest, highest)."""


@dataclass(frozen=True)
class Scale:
    """An axis from `low` to `high`, of values or of their logarithms."""

    low: float
    high: float
    log: bool

    @staticmethod
    def of(values: Sequence[float]) -> "Scale":
        """An axis that shows all values, with a little room at both ends."""
        low, high = min(values), max(values)
        log = low > 0 and high / low > RATIO
        a, b = (math.log10(low), math.log10(high)) if log else (low, high)
        room = 0.04 * (b - a) or 0.5
        return Scale(a - room, b + room, log)

    def at(self, value: float) -> float:
        """Where a value stands, 0 to 1; what lies outside stands at the end."""
        v = (math.log10(value) if value > 0 else self.low) if self.log else value
        return min(1.0, max(0.0, (v - self.low) / (self.high - self.low)))

    def ticks(self, most: int = 5) -> list[float]:
        """A few round values."""
        if self.log:
            first, last = math.ceil(self.low), math.floor(self.high)
            found = [10.0**k for k in range(first, last + 1)]
            if len(found) < 3:
                found = sorted(
                    m * 10.0**k for k in range(first - 1, last + 1) for m in (1, 2, 5)
                    if self.low <= math.log10(m * 10.0**k) <= self.high
                )  # fmt: skip
            return found[:: math.ceil(len(found) / most)]
        step = 10.0 ** math.floor(math.log10((self.high - self.low) / most))
        step = next(s * step for s in (1, 2, 5, 10) if (self.high - self.low) / (s * step) <= most)
        first = math.ceil(self.low / step)
        return [round(k * step, 12) for k in range(first, math.floor(self.high / step) + 1)]


def curves(lines: Sequence[Line]) -> Markup:
    """The picture of some lines; colours are the page's variables --c0, --c1, ..."""
    x = Scale.of([p[0] for _, _, points in lines for p in points] + [0.0])
    y = Scale.of([v for _, _, points in lines for p in points for v in p[1:]])
    across, down = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def place(px: float, py: float) -> str:
        return f"{LEFT + x.at(px) * across:.1f},{TOP + (1 - y.at(py)) * down:.1f}"

    parts = [f'<svg class="curves" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(_alt(lines))}">']
    for tick in y.ticks():
        at = TOP + (1 - y.at(tick)) * down
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}"></line>')
        parts.append(f'<text x="{LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{_short(tick)}</text>')
    for tick in x.ticks():
        at = LEFT + x.at(tick) * across
        parts.append(f'<text x="{at:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{_short(tick)}</text>')
    for colour, _, points in lines:
        band = [place(p[0], p[3]) for p in points] + [place(p[0], p[2]) for p in reversed(points)]
        parts.append(f'<polygon class="band k{colour}" points="{" ".join(band)}"></polygon>')
    for colour, label, points in reversed(lines):
        path = " ".join(place(p[0], p[1]) for p in points)
        parts.append(f'<polyline class="line k{colour}" points="{path}"><title>{escape(label)}</title></polyline>')
    parts.append("</svg>")
    return Markup("".join(parts))


def _alt(lines: Sequence[Line]) -> str:
    return "; ".join(f"{label}: from {number(points[0][1])} to {number(points[-1][1])}" for _, label, points in lines)


def _short(value: float) -> str:
    """An axis label: 12k, 3M, 0.01.

    >>> _short(12000.0), _short(2500000.0), _short(0.01), _short(0.0)
    ('12k', '2.5M', '0.01', '0')
    """
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"
