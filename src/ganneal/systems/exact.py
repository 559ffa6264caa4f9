"""A generator with a density of its own: F without a critic."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ganneal.game import Nets
from ganneal.systems.sampling import SamplingGame


@dataclass(frozen=True)
class ExactGame(SamplingGame):
    """One player, a flow: F = (1 + lambda_entropy) E[log q(G(z))] - (1 + lambda_likelihood) E[log u(G(z))], by
    reparametrisation (Rezende and Mohamed 2015, eq. 20, whose annealed free energy this is).

    log q is exact, so importance weights are too. Samples carry no noise.
    """

    exact_density = True

    def loss(self, player: str, nets: Nets, batch: Mapping[str, Tensor], coefficients: Mapping[str, Tensor]) -> Tensor:
        """The free energy."""
        x, log_q = nets["generator"](batch["z"], density=True)
        return self.free_energy(log_q, self.log_density(x), coefficients)

    @torch.no_grad()
    def weighing(
        self, nets: Nets, batch: Mapping[str, Tensor], coefficients: Mapping[str, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """(log u, log q) [B] of samples, both exact."""
        x, log_q = nets["generator"](batch["z"], density=True)
        return self.density.value_and_score(x)[0], log_q
