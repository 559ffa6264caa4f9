"""A penalty on the critic's outputs, anchored at their running means."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ganneal.errors import UsageError
from ganneal.penalties.input_gradient import Weight, weight_of, whole
from ganneal.schedules import Each, Schedule


@dataclass(frozen=True)
class LeCam:
    """weight * ( E_mu (y - a_fake)^2 + E_rho (y - a_real)^2 ), with a_real, a_fake the running means of the critic's
    outputs on data and samples.

    decay    of the running means, which are a player of their own, `anchors`
    """

    weight: Schedule | Each
    decay: float = 0.99
    every: int = 1
    name: str = "lecam"

    def term(self, real: Tensor, fake: Tensor, anchors: Tensor) -> Tensor:
        """The penalty without its weight, 0-d, of outputs [B] and anchors [2] = (a_real, a_fake), held fixed."""
        a_real, a_fake = anchors.detach().unbind()
        return (real - a_fake).square().mean() + (fake - a_real).square().mean()


class Anchors(nn.Module):
    """() -> (a_real, a_fake) [2], the parameters themselves, from 0.

    The running means are a player with a quadratic loss: a plain gradient step of rate 1 - decay moves them to decay
    times the old plus 1 - decay times the batch's means. So they resume, stack and compile as any player does.
    """

    def __init__(self) -> None:
        super().__init__()
        self.means = nn.Parameter(torch.zeros(2))

    def forward(self) -> Tensor:
        return self.means


def anchor_loss(anchors: Tensor, real: Tensor, fake: Tensor) -> Tensor:
    """|a - (mean y(real), mean y(fake))|^2 / 2, the outputs held fixed."""
    return (anchors - torch.stack([real.detach().mean(), fake.detach().mean()])).square().sum() / 2


def lecam(weight: Weight = 0.1, decay: float = 0.99, every: int = 1) -> LeCam:
    """LeCam regularisation (Tseng et al. 2021, eq. 5): pulls the critic's outputs on data towards their past mean on
    samples, and the other way round. With few data it keeps the critic from running away; with a Wasserstein loss the
    generator then descends a LeCam divergence. Costs a further pass through generator and critic, for the means."""
    if not 0 <= decay < 1:
        raise UsageError(f"lecam: decay must be from 0 to below 1, got {decay:g}")
    return LeCam(weight_of("lecam", weight), float(decay), whole("lecam", "every", every))
