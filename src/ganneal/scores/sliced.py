"""Sliced score matching (Song, Garg, Shi, Ermon 2019): Hyvarinen's score matching, whose trace is read along random
directions."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ganneal.game import Draw, sum_squares
from ganneal.nets.mlp import Field
from ganneal.scores.estimator import needed, whole


@dataclass(frozen=True)
class SlicedScoreMatching:
    """Sliced score matching, made by `ssm`."""

    width: int
    depth: int
    variance_reduced: bool
    learned = True
    reads_samples = False
    smooths = False

    def network(self, shape: tuple[int, ...]) -> nn.Module:
        return Field(shape, self.width, self.depth)

    def draws(self, shape: tuple[int, ...]) -> dict[str, Draw]:
        return {"score.direction": Draw("rademacher", tuple(shape))}

    def loss(
        self, net: Callable[..., Tensor], x: Float[Tensor, "b *shape"], noise: Mapping[str, Tensor]
    ) -> Float[Tensor, ""]:
        """mean over examples of w^T (ds/dx) w + |s|^2 / 2, or + (w^T s)^2 / 2."""
        w = noise["score.direction"]
        s, along = torch.func.jvp(net, (x,), (w,))  # type: ignore[misc]
        trace = (w * along).flatten(1).sum(1)
        square = sum_squares(s) if self.variance_reduced else (w * s).flatten(1).sum(1).square()
        return (trace + square / 2).mean()

    def score(
        self,
        x: Float[Tensor, "b *shape"],
        *,
        net: Callable[..., Tensor] | None = None,
        samples: Float[Tensor, "m *shape"] | None = None,
    ) -> Float[Tensor, "b *shape"]:
        """s(x): the network itself."""
        needed("ssm", net=net)
        assert net is not None
        return net(x)

    def caution(self, shape: tuple[int, ...]) -> str | None:
        return None


def ssm(width: int = 128, depth: int = 3, variance_reduced: bool = True) -> SlicedScoreMatching:
    """Sliced score matching: `ssm(width=128, depth=3, variance_reduced=true)`.

        loss = E_x E_w [ w^T (ds/dx) w + |s|^2 / 2 ]       variance_reduced
        loss = E_x E_w [ w^T (ds/dx) w + (w^T s)^2 / 2 ]   otherwise

    with one Rademacher direction w per example; per-example SUM over dimensions, and -E|s|^2/2 at the optimum. Unlike
    denoising it is unbiased for p itself, but it needs a p with a density: on data on a manifold it diverges.
    Cost: a forward-mode derivative, about twice the forward pass of `dsm`, and the noise of Hutchinson's trace
    estimate. Source: Song, Garg, Shi, Ermon 2019; Hyvarinen 2005, theorem 1 for the objective it slices.
    """
    whole("ssm", width=width, depth=depth)
    return SlicedScoreMatching(width, depth, bool(variance_reduced))
