"""Scores only (8A): no critic; the generator moves along beta grad log u - grad log rho."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from ganneal import annealing
from ganneal.game import Draw, Nets
from ganneal.scores import ScoreEstimator
from ganneal.systems.sampling import SamplingGame


@dataclass(frozen=True, kw_only=True)
class ScoreGame(SamplingGame):
    """grad_theta F = E[J' ((1 + lambda_entropy) s_rho(x) - (1 + lambda_likelihood) grad log u(x))], with an estimator
    of the model's score s_rho that follows it (distribution matching, on a density instead of a teacher).

    Exact when the estimator is; a smoothing estimator leaves the bias of its noise level. The VALUE of the generator's
    loss is no free energy, since the entropy enters through a score alone.
    """

    model_score: ScoreEstimator

    @property
    def averaged(self) -> frozenset[str]:
        """The generator reads a learned score through its running average."""
        return frozenset({"model_score"} & set(self.architectures))

    @property
    def draws(self) -> dict[str, dict[str, Draw]]:
        """The score player reads samples and its own noise."""
        fake = self.fake()
        own = {"model_score": {**fake, **self.model_score.draws((self.dim,))}}
        return {**(own if "model_score" in self.architectures else {}), "generator": fake}

    def loss(self, player: str, nets: Nets, batch: Mapping[str, Tensor], coefficients: Mapping[str, Tensor]) -> Tensor:
        """The scalar that `player` minimises."""
        x = self.samples(nets, batch, coefficients)
        if player == "model_score":
            return self.model_score.loss(nets["model_score"], x, batch)
        fixed = x.detach()
        score = self.model_score.score(
            fixed, net=nets.get("model_score"), samples=fixed if self.model_score.reads_samples else None
        )
        entropy, likelihood = 1 + coefficients["lambda_entropy"], 1 + coefficients["lambda_likelihood"]
        return entropy * annealing.surrogate(x, score) - likelihood * self.log_density(x).mean()
