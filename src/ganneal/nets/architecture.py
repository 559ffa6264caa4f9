"""What a family of networks promises: a generator and a critic for any shape it fits."""

from typing import Protocol, runtime_checkable

from torch import nn

from ganneal.errors import UsageError


@runtime_checkable
class Architecture(Protocol):
    """A recipe for the two networks of a game. Initial values come from torch's global generator: fork and seed it
    around a build.

    generator(latent, shape)   z [B, latent] -> x [B, *shape], called as `net(z, reference=None)`
    critic(shape)              x [B, *shape] -> logit [B], or (logit [B], features [B, f]) with `features=True`
    batch_coupled              the critic's output for one example depends on the others (batch normalisation);
                               input-gradient penalties then mean the gradient of the sum of the batch's logits
    """

    @property
    def batch_coupled(self) -> bool: ...

    def generator(self, latent: int, shape: tuple[int, ...]) -> nn.Module: ...

    def critic(self, shape: tuple[int, ...]) -> nn.Module: ...


def image_size(family: str, shape: tuple[int, ...], smallest: int = 8) -> tuple[int, int, int]:
    """The shape as (C, H, W), or a UsageError that says which shapes `family` fits."""
    if len(shape) != 3:
        raise UsageError(f"network '{family}' is for images [C, H, W], got examples of shape {list(shape)}; use mlp")
    channels, height, width = shape
    if min(height, width) < smallest:
        raise UsageError(
            f"network '{family}' needs images of at least {smallest}x{smallest}, got {height}x{width}; use mlp"
        )
    return channels, height, width


def doublings(height: int, width: int, base: int = 4) -> int:
    """How often a grid of about `base` pixels is doubled to reach the image: the k with base <= min(H, W) / 2^k < 2
    base.
    """
    return (min(height, width) // base).bit_length() - 1


def positive(family: str, **values: int) -> None:
    """A UsageError unless every value is a whole number of at least 1."""
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise UsageError(f"network '{family}': {name} must be a whole number of at least 1, got {value!r}")
