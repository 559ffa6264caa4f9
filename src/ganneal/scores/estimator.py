"""What an estimator of the score s(x) = grad log p(x) promises, whether it trains a network or reads samples."""

import math
from collections.abc import Callable, Mapping
from typing import Protocol, runtime_checkable

from torch import Tensor, nn

from ganneal.errors import UsageError
from ganneal.game import Draw

KERNEL_DIMENSIONS = 5  # above it the error of kernel estimators is no longer small: see the table in `stein`


@runtime_checkable
class ScoreEstimator(Protocol):
    """Estimates s(x) = grad log p(x) from samples of p. All methods are pure; `net` may be any callable (see
    `game.bind`).

    learned                    brings a network (a player) and its loss
    reads_samples              `score` wants `samples` beside the query
    smooths                    adds noise of its own and gives the score of the smoothed law, so it wants clean examples
    network(shape)             the player's network, or None
    draws(shape)               the noise its loss needs
    loss(net, x, noise)        the scalar that the network minimises on samples x [B, *shape]; `noise` is keyed as
                               `draws`
    score(x, net=, samples=)   the estimate [B, *shape] at x [B, *shape], given `net` or `samples` [M, *shape]
    caution(shape)             one line where the estimator is known to fail, or None
    """

    @property
    def learned(self) -> bool: ...

    @property
    def reads_samples(self) -> bool: ...

    @property
    def smooths(self) -> bool: ...

    def network(self, shape: tuple[int, ...]) -> nn.Module | None: ...

    def draws(self, shape: tuple[int, ...]) -> dict[str, Draw]: ...

    def loss(self, net: Callable[..., Tensor], x: Tensor, noise: Mapping[str, Tensor]) -> Tensor: ...

    def score(
        self, x: Tensor, *, net: Callable[..., Tensor] | None = None, samples: Tensor | None = None
    ) -> Tensor: ...

    def caution(self, shape: tuple[int, ...]) -> str | None: ...


class Nonparametric:
    """Base of the estimators without a network."""

    learned = False
    reads_samples = True
    smooths = False

    def network(self, shape: tuple[int, ...]) -> nn.Module | None:
        return None

    def draws(self, shape: tuple[int, ...]) -> dict[str, Draw]:
        return {}

    def loss(self, net: Callable[..., Tensor], x: Tensor, noise: Mapping[str, Tensor]) -> Tensor:
        raise UsageError(f"score '{type(self).__name__}' has no network to train: call score(x, samples=...)")

    def caution(self, shape: tuple[int, ...]) -> str | None:
        return None


def needed(name: str, **given: object) -> None:
    """A UsageError for the first argument that is None."""
    for argument, value in given.items():
        if value is None:
            raise UsageError(f"score '{name}' needs {argument}: call score(x, {argument}=...)")


def positive(name: str, **values: object) -> None:
    """A UsageError unless every value is a number above 0."""
    for argument, value in values.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
            raise UsageError(f"score '{name}': {argument} must be a number above 0, got {value!r}")


def whole(name: str, **values: object) -> None:
    """A UsageError unless every value is a whole number of at least 1."""
    for argument, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise UsageError(f"score '{name}': {argument} must be a whole number of at least 1, got {value!r}")


def kernel_caution(name: str, shape: tuple[int, ...]) -> str | None:
    """The warning of kernel estimators above five dimensions."""
    d = math.prod(shape)
    if d <= KERNEL_DIMENSIONS:
        return None
    return f"{name} is a kernel estimator and fails in {d} dimensions (more than {KERNEL_DIMENSIONS}): use dsm"
