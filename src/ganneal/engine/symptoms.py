"""The table that the guard and the doctor both read: which quantity shows which problem, and from which value on."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

PATIENCE = 3
"""Collapse and saturation must be seen at this many looks in a row; non-finite values act at once."""
COLLAPSE = 0.01
"""Spread of samples over spread of data, below which a generator has collapsed."""
SATURATION = 30.0
"""Gap between the logits of data and samples, beyond which a log-ratio critic gives no gradient (e^-30 weights)."""

FAR = 15.0
"""|log rho/r| on samples beyond which a Gaussian reference says nothing about the model."""
LAG = 1.0
"""Nats by which a critic's log rho may be wrong, seen at PATIENCE looks with draws of their own."""
FEW = 0.01
"""Effective share of weighted proposals below which a handful of them are the data."""
FREEZE = 0.5
"""Spread of samples over that at the beginning of the hold, below which modes were lost in it."""


@dataclass(frozen=True)
class Sign:
    """When a quantity that a game reports is a problem, and whether the guard goes back because of it."""

    of: str
    seen: Callable[[Tensor], Tensor]
    fatal: bool


SIGNS = {
    "collapse": Sign("spread", lambda v: v < COLLAPSE, True),
    "saturated critic": Sign("gap", lambda v: v.abs() > SATURATION, True),
    "reference too far": Sign("reach", lambda v: v > FAR, False),
    "critic lag": Sign("lag", lambda v: v > LAG, False),
    "few proposals count": Sign("share", lambda v: v < FEW, False),
    "freeze-out": Sign("held", lambda v: v < FREEZE, False),
}
"""What a single look shows. The guard counts looks in a row while a run goes on, the doctor afterwards."""

ADVICE = {
    "reference too far": "the model is far from any Gaussian; try --sampler exact with --network flow, or more "
    "examples at a hot beta",
    "critic lag": "the critic does not keep up; try --solver 'alternating(n_critic=4)' or a smaller --lr-generator",
    "few proposals count": "importance weights fail in this dimension; use --sampler reference or exact",
    "freeze-out": "modes were lost when the temperature had come down; try a longer ramp, or beta adaptive(0.05->1)",
}
"""What to try where no setting of the run follows from its configuration; the rest is in `treatment.LADDERS`."""

NAMED = {problem for problem, sign in SIGNS.items() if not sign.fatal}


def streaks(seen: list[bool]) -> list[int]:
    """How many looks in a row, up to and including each one, showed the problem."""
    counts, count = [], 0
    for bad in seen:
        count = count + 1 if bad else 0
        counts.append(count)
    return counts
