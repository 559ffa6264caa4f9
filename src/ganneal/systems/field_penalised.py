"""A game whose players are also penalised with gradients of each other's losses."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn

from ganneal.errors import UsageError
from ganneal.game import Bound, Draw, Game, Nets, Tensors
from ganneal.penalties.field import FieldPenalty

OTHER = "other."
"""Prefix of the second, independent batch."""
REGULARISERS = ("lambda_likelihood", "lambda_entropy")
"""Coefficients whose loss terms are surrogates: right in value of the gradient, wrong in its derivative."""


@dataclass(frozen=True)
class FieldPenalised:
    """`game` with field penalties: L_p + sum of weight * factor * sum_q <g_q(batch 1), g_q(batch 2)>, where g_q is the
    gradient of q's plain objective in q's parameters.

    Everything else, what the guard sees included, is the game's own. The batch of a penalised player holds what the
    players q read as well, and once more under the prefix `other.` where two independent batches are wanted. The first
    batch is the player's own: the expectation of the loss is a sum, so sharing it biases nothing. Players beside critic
    and generator (encoders, a second critic, running means) are neither penalised nor read.
    """

    game: Game
    field: tuple[FieldPenalty, ...]

    def __getattr__(self, name: str) -> Any:
        if name in ("game", "field") or name.startswith("__"):  # not there yet while a copy is being made
            raise AttributeError(name)
        return getattr(self.game, name)

    @property
    def players(self) -> tuple[str, ...]:
        """The game's players."""
        return self.game.players

    @property
    def nets(self) -> Mapping[str, nn.Module]:
        """The game's architectures."""
        return self.game.nets

    @property
    def averaged(self) -> frozenset[str]:
        """The game's own."""
        return self.game.averaged

    @property
    def draws(self) -> dict[str, dict[str, Draw]]:
        """The game's draws; a penalised player also draws what the gradients read, one or two times."""
        plain = self.game.draws
        found = {player: dict(draws) for player, draws in plain.items()}
        for penalty in self.field:
            for player in self.players:
                for read in penalty.of(player):
                    found[player] = {**plain[read], **found[player]}
                    if penalty.independent:
                        found[player] |= {OTHER + name: draw for name, draw in plain[read].items()}
        return found

    def loss(self, player: str, nets: Nets, batch: Mapping[str, Tensor], coefficients: Mapping[str, Tensor]) -> Tensor:
        """The game's loss and the penalties of this step."""
        loss = self.game.loss(player, nets, batch, coefficients)
        active = [p for p in self.field if p.name in coefficients and p.of(player)]
        if not active:
            return loss
        plain = self._plain(coefficients)
        second = {name.removeprefix(OTHER): x for name, x in batch.items() if name.startswith(OTHER)}
        gradients: dict[tuple[str, bool], Tensors] = {}

        def gradient(read: str, other: bool) -> Tensors:
            if (read, other) not in gradients:
                gradients[read, other] = self._gradient(read, nets, second if other else batch, plain)
            return gradients[read, other]

        for penalty in active:
            products = [
                sum((a * b).sum() for a, b in zip(*map(dict.values, pair), strict=True))
                for pair in ((gradient(q, False), gradient(q, penalty.independent)) for q in penalty.of(player))
            ]
            loss = loss + coefficients[penalty.name] * penalty.factor * sum(products)
        return loss

    def project(self, player: str, params: Tensors, buffers: Tensors) -> None:
        """The game's own."""
        self.game.project(player, params, buffers)

    def signs(self, nets: Nets, batch: Mapping[str, Tensor], coefficients: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The game's own."""
        found: dict[str, Tensor] = self.game.signs(nets, batch, coefficients)  # type: ignore[attr-defined]
        return found

    def _plain(self, coefficients: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The coefficients of the objective alone."""
        penalties = {p.name for p in (*self.field, *getattr(self.game, "penalties", ()))}
        kept = {name: value for name, value in coefficients.items() if name not in penalties}
        return kept | {name: torch.zeros_like(kept[name]) for name in REGULARISERS if name in kept}

    def _gradient(
        self, player: str, nets: Nets, batch: Mapping[str, Tensor], coefficients: Mapping[str, Tensor]
    ) -> Tensors:
        """The gradient of the player's loss in its own parameters, differentiable in everybody's."""
        own = nets[player]
        assert isinstance(own, Bound)

        def loss(params: Tensors) -> Tensor:
            return self.game.loss(player, {**nets, player: own.at(params)}, batch, coefficients)

        device = next(iter(own.params.values())).device.type
        with torch.autocast(device, enabled=False):  # second derivatives stay in full precision
            found: Tensors = torch.func.grad(loss)(own.params)
        return found


def unpenalised(game: Game) -> Game:
    """The game without its field penalties: what one asks for losses of networks that are no parameters' functions."""
    return game.game if isinstance(game, FieldPenalised) else game


PlayedGame = TypeVar("PlayedGame", bound=Game)


def field_penalised(game: PlayedGame, penalties: tuple[FieldPenalty, ...]) -> PlayedGame:
    """The game under field penalties; the game itself if there are none. What comes back answers to every attribute of
    the game, so it counts as one of its kind.

    Raises `UsageError` if a player whose gradient is penalised does not play.
    """
    for penalty in penalties:
        needed = {name for player, reads in penalty.reads for name in (player, *reads)}
        if missing := sorted(needed - {*game.players}):
            raise UsageError(
                f"penalty: {penalty.name} needs a critic and a generator, and among the players of this system "
                f"({', '.join(game.players)}) there is no {missing[0]}; leave {penalty.name} out or use --system gan"
            )
    return cast(PlayedGame, FieldPenalised(game, penalties)) if penalties else game
