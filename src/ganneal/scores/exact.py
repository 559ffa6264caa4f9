"""A score that is known, for targets and toy sources with a formula."""

from collections.abc import Callable
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from ganneal.errors import UsageError
from ganneal.scores.estimator import Nonparametric


@dataclass(frozen=True)
class Exact(Nonparametric):
    """A known score, made by `exact`. `dataclasses.replace(estimator, function=...)` supplies the function later."""

    function: Callable[[Tensor], Tensor] | None
    reads_samples = False

    def score(
        self,
        x: Float[Tensor, "b *shape"],
        *,
        net: Callable[..., Tensor] | None = None,
        samples: Float[Tensor, "m *shape"] | None = None,
    ) -> Float[Tensor, "b *shape"]:
        """The function at x."""
        if self.function is None:
            raise UsageError("score 'exact' needs a source with a known score: use dsm for samples alone")
        return self.function(x)


def exact(score_function: Callable[[Tensor], Tensor] | None = None) -> Exact:
    """The source's own score: `exact`. From Python, `exact(score_function)` with a pure function [B, *shape] -> [B,
    *shape].

    Written as text it has no function until a source supplies one; evaluating it before raises UsageError.
    """
    return Exact(score_function)
