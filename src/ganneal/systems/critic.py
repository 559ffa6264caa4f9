"""A critic's loss on two batches: the objective plus input-gradient penalties, in as few passes as there can be."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ganneal.game import Draw, Tensors, input_gradient, sum_squares
from ganneal.objectives import Objective
from ganneal.penalties import Constraint, InputGradientPenalty, LeCam, Penalty


@dataclass(frozen=True)
class CriticTerms:
    """What a critic minimises apart from the two batches themselves.

    batch_coupled   the critic uses batch statistics, so that the two batches must not share a pass
    """

    objective: Objective
    penalties: Sequence[Penalty]
    batch_coupled: bool = False

    def draws(self, shape: tuple[int, ...]) -> dict[str, Draw]:
        """What the penalties read from a batch of examples of a shape, besides the two batches."""
        found: dict[str, Draw] = {}
        for penalty in self._gradient_penalties():
            found |= penalty.draws(shape)
        return found

    def loss(
        self,
        critic: Callable[..., Tensor],
        real: Tensor,
        fake: Tensor,
        batch: Mapping[str, Tensor],
        coefficients: Mapping[str, Tensor],
        anchors: Tensor | None = None,
    ) -> Tensor:
        """objective.critic(y(real), y(fake)) + penalties; `anchors` are the running means of outputs on data and model
        [2], where a penalty reads them."""
        active = [p for p in self._gradient_penalties() if p.name in coefficients]
        outputs, gradients = self._evaluate(critic, real, fake, {m for p in active for m in p.measures}, batch)
        loss = self.objective.critic_loss(outputs["data"], outputs["model"])
        for penalty in active:
            terms = sum(penalty.of(sum_squares(gradients[m]), outputs[m], m) for m in penalty.measures)
            loss = loss + coefficients[penalty.name] * terms
        for anchored in self.penalties:
            if isinstance(anchored, LeCam) and anchored.name in coefficients and anchors is not None:
                loss = loss + coefficients[anchored.name] * anchored.term(outputs["data"], outputs["model"], anchors)
        return loss

    def project(self, critic: torch.nn.Module, params: Tensors, buffers: Tensors) -> None:
        """Weight clipping or a power iteration after a step of the critic."""
        for penalty in self.penalties:
            if isinstance(penalty, Constraint):
                penalty.project(critic, params, buffers)

    def _gradient_penalties(self) -> tuple[InputGradientPenalty, ...]:
        return tuple(p for p in self.penalties if isinstance(p, InputGradientPenalty))

    def _evaluate(
        self, critic: Callable[..., Tensor], real: Tensor, fake: Tensor, measures: set[str], batch: Mapping[str, Tensor]
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Critic outputs on data and model, and input gradients at `measures`, in as few passes as there can be."""
        points = {"data": real, "model": fake}
        outputs: dict[str, Tensor] = {}
        gradients: dict[str, Tensor] = {}

        def evaluate(names: list[str], differentiate: bool) -> None:
            if not names:
                return
            x = torch.cat([points[n] for n in names]) if len(names) > 1 else points[names[0]]
            if differentiate:
                with torch.autocast(x.device.type, enabled=False):  # penalties stay in full precision
                    y, g = input_gradient(critic, x)
                gradients.update(zip(names, g.chunk(len(names)), strict=True))
            else:
                y = critic(x).to(x.dtype)
            outputs.update(zip(names, y.chunk(len(names)), strict=True))

        for differentiate in (True, False):
            names = [n for n in points if (n in measures) == differentiate]
            for group in [[n] for n in names] if self.batch_coupled else [names]:
                evaluate(group, differentiate)
        for measure in measures - set(points):
            points[measure] = self._mixing(measure).points(measure, real, fake, batch)
            evaluate([measure], True)
        return outputs, gradients

    def _mixing(self, measure: str) -> InputGradientPenalty:
        return next(p for p in self._gradient_penalties() if measure in p.measures)
