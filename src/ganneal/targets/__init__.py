"""Unnormalised densities log u(x) on R^d, with what is known exactly about them: `open_target("kidney")`.

| name | d | use it for |
|---|---|---|
| `gaussian` | any | closed forms; any covariance |
| `mixture`, `ring`, `grid` | any, 2 | few known modes, masses of modes |
| `gmm40`, `gmm40_blessing` | 2, any | forty modes: coverage |
| `student` | any | heavy tails |
| `kidney`, `moons`, `banana` | 2, 2, any | curved modes, pictures |
| `funnel` | 10 | widths that change by orders of magnitude |
| `double_well`, `many_well` | any, 32 | barriers, modes of unequal mass |
| `dw4`, `lj13` | 6, 36 | particles |
| `logistic` | by data | posteriors |
| `phi4` | 64 | lattice fields |

A density of one's own is a function of a batch, a `torch.distributions.Distribution`, or a BridgeStan model: `user`
and `foreign` say how they are read, `check` what is verified before they are used.
"""

from ganneal.targets.checks import check
from ganneal.targets.escapes import Escape, escape
from ganneal.targets.frame import Frame, Framed, frame_of
from ganneal.targets.opening import TARGETS, is_target_text, open_target
from ganneal.targets.target import Target

__all__ = [
    "TARGETS",
    "Escape",
    "Frame",
    "Framed",
    "Target",
    "check",
    "escape",
    "frame_of",
    "is_target_text",
    "open_target",
]
