"""What an objective is: two losses of the critic's outputs, and the critic that is optimal for given densities."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from jaxtyping import Float
from torch import Tensor

Loss = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Objective:
    """A pair of losses on critic outputs `real`, `fake` (each [B], high on data).

    critic      what the critic minimises
    generator   what the generator minimises
    optimum     what the optimal critic is: the log-ratio log mu/rho, its value clipped by a margin, a bounded ratio,
                or a witness
                function of a Lipschitz ball
    gibbs       whether likelihood and entropy regularisation of this game have the tempered Gibbs law as optimum. True
                only for
                reverse KL with a log-ratio critic; the others have other optima (docs/theory.md, "counter-examples")
    paired      whether the losses read `real` and `fake` example by example (relativistic objectives)
    """

    name: str
    critic: Loss
    generator: Loss
    optimum: Literal["log_ratio", "bounded_ratio", "margin", "witness"]
    gibbs: bool = False
    paired: bool = False

    def critic_loss(self, real: Float[Tensor, " b"], fake: Float[Tensor, " b"]) -> Float[Tensor, ""]:
        """Mean loss of the critic over the two batches."""
        return self.critic(real, fake)

    def generator_loss(self, real: Float[Tensor, " b"], fake: Float[Tensor, " b"]) -> Float[Tensor, ""]:
        """Mean loss of the generator; `real` is read by paired objectives only."""
        return self.generator(real, fake)
