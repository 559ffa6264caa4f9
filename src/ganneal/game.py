"""The contract: players whose losses are pure functions of everybody's networks, and the field those losses make.

A game is anything with `nets`, `players`, `draws` and `loss`. Solvers, populations, compilation and spectra see only
this file.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn
from torch.func import functional_call

Tensors = dict[str, Tensor]
Nets = Mapping[str, Callable[..., Any]]


@dataclass(frozen=True)
class Draw:
    """A random ingredient of a batch: `real` examples, or noise of the given per-example shape."""

    kind: Literal["real", "normal", "uniform", "rademacher"]
    shape: tuple[int, ...] = ()


class Game(Protocol):
    """Players with pure losses.

    players     names in the order in which an alternating solver moves them; the last one is the generator
    nets        the architecture of each player; its parameters are only the template
    draws       for each player, what its loss reads from a batch
    averaged    players that the others see through the running average of their parameters
    """

    @property
    def players(self) -> tuple[str, ...]: ...

    @property
    def nets(self) -> Mapping[str, nn.Module]: ...

    @property
    def draws(self) -> Mapping[str, Mapping[str, Draw]]: ...

    @property
    def averaged(self) -> frozenset[str]: ...

    def loss(self, player: str, nets: Nets, batch: Mapping[str, Tensor], coefficients: Mapping[str, Tensor]) -> Tensor:
        """The scalar that `player` minimises."""
        ...

    def project(self, player: str, params: Tensors, buffers: Tensors) -> None:
        """What follows a step of `player`, in place: weight clipping, a power iteration. Elementwise over a leading
        population axis."""
        ...


@dataclass(frozen=True, eq=False)
class Bound:
    """An architecture evaluated on given parameters instead of its own. Losses only call it; a penalty on the field
    of the game also differentiates in `params`, by way of `at`."""

    module: nn.Module
    params: Tensors
    buffers: Tensors

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return functional_call(self.module, {**self.params, **self.buffers}, args, kwargs)

    def at(self, params: Tensors) -> "Bound":
        """The same architecture on other parameters."""
        return Bound(self.module, params, self.buffers)


def bind(
    nets: Mapping[str, nn.Module], params: Mapping[str, Tensors], buffers: Mapping[str, Tensors]
) -> dict[str, Bound]:
    """Every architecture on the given parameters."""
    return {name: Bound(nets[name], params[name], buffers.get(name, {})) for name in nets}


def input_gradient(net: Callable[[Tensor], Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
    """Values [B] and input gradients [B, ...] of a network that treats examples separately, in one forward pass.

    Written with `torch.func.vjp`, so that it compiles, vmaps and can be differentiated again.
    """
    y: Tensor
    y, pull = torch.func.vjp(net, x)  # type: ignore[misc]
    return y, pull(torch.ones_like(y))[0]


def sum_squares(x: Tensor) -> Tensor:
    """|x_i|^2 per example, [B]: a sum of squares, never the square of a norm (whose gradient at 0 is not a number)."""
    return x.square().flatten(1).sum(1)


def field(
    game: Game,
    params: dict[str, Tensors],
    buffers: dict[str, Tensors],
    batches: Mapping[str, Mapping[str, Tensor]],
    coefficients: Mapping[str, Tensor],
) -> dict[str, Tensors]:
    """The joint vector field of the simultaneous game: for every player, minus the gradient of its own loss in its own
    parameters."""

    def own(player: str) -> Tensors:
        def loss(mine: Tensors) -> Tensor:
            return game.loss(player, bind(game.nets, {**params, player: mine}, buffers), batches[player], coefficients)

        return {name: -g for name, g in torch.func.grad(loss)(params[player]).items()}

    return {player: own(player) for player in game.players}
