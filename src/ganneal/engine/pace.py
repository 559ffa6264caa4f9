"""An inverse temperature that follows the model: the next beta keeps the effective sample size above a share."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from ganneal.schedules import Adaptive
from ganneal.temperature import Clock

PLACES = 100
"""How often in a run the temperature is decided."""
DRAWS = 1024
BISECTIONS = 40


@dataclass
class Pace:
    """The state of an adaptive schedule: beta of every member, and how often the ramp had to force it on."""

    schedule: Adaptive
    clock: str
    size: int
    betas: list[float] = field(default_factory=list)
    forced: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.betas = self.betas or [self.schedule.start] * self.size
        self.forced = self.forced or [0] * self.size

    def move(self, progress: float, log_u: Tensor, log_rho: Tensor) -> list[float]:
        """Set every member's beta from log u [N, B] and log rho [N, B] of its samples; returns the effective shares at
        the new values.

        A member whose ramp is ahead of the largest beta with enough effective samples is forced on along the ramp.
        """
        log_u, log_rho = log_u.double().cpu(), log_rho.double().cpu()
        low = torch.tensor(self.betas, dtype=torch.float64)
        high = torch.full_like(low, self.schedule.end)
        enough = effective_share(high[:, None] * log_u - log_rho) >= self.schedule.ess
        a, b = low.clone(), high.clone()
        for _ in range(BISECTIONS):
            middle = (a + b) / 2
            good = effective_share(middle[:, None] * log_u - log_rho) >= self.schedule.ess
            a, b = torch.where(good, middle, a), torch.where(good, b, middle)
        ahead = torch.where(enough, high, a)
        floor = self.schedule(progress)
        for k, value in enumerate(ahead.tolist()):
            self.forced[k] += value < floor
            self.betas[k] = max(value, floor)
        return effective_share(torch.tensor(self.betas, dtype=torch.float64)[:, None] * log_u - log_rho).tolist()

    def lambdas(self) -> dict[str, list[float]]:
        """The two lambdas of every member that realise its beta."""
        pairs = [Clock.at(beta, self.clock) for beta in self.betas]
        return {"lambda_likelihood": [p[0] for p in pairs], "lambda_entropy": [p[1] for p in pairs]}


def effective_share(log_weights: Tensor) -> Tensor:
    """(sum w)^2 / (n sum w^2) of log weights [..., n]: [...], 0 where a weight is not a number."""
    share = (2 * log_weights.logsumexp(-1) - (2 * log_weights).logsumexp(-1)).exp() / log_weights.shape[-1]
    return share.nan_to_num(0.0)
