"""Rock, paper, scissors between two mixed strategies: the game whose pure value is 1 and whose mixed value is 0."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ganneal.dynamics.games.networks import numbers
from ganneal.dynamics.games.quadrature import F64
from ganneal.dynamics.games.small import SmallGame
from ganneal.dynamics.problem import Problem
from ganneal.errors import UsageError
from ganneal.game import Draw, Nets, Tensors

PAYOFF = torch.tensor([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]], dtype=F64)
"""What the row player wins."""


class Strategy(nn.Module):
    """A mixture over three moves, softmax of three logits; a constant added to all of them changes nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.logits = numbers(torch.zeros(3))

    def forward(self) -> Tensor:
        """[3]."""
        return self.logits.softmax(0)


@dataclass(frozen=True)
class RockPaperScissors:
    """The `critic` plays p and wins p'Aq, the `generator` plays q and loses it."""

    players = ("critic", "generator")
    averaged: frozenset[str] = frozenset()

    @property
    def nets(self) -> Mapping[str, nn.Module]:
        """Two strategies."""
        return {player: Strategy() for player in self.players}

    @property
    def draws(self) -> Mapping[str, Mapping[str, Draw]]:
        """Nothing is random."""
        return {player: {} for player in self.players}

    def loss(self, player: str, nets: Nets, batch: Mapping[str, Tensor], coefficients: Mapping[str, Tensor]) -> Tensor:
        """Minus what the player wins in expectation."""
        won = nets["critic"]() @ PAYOFF @ nets["generator"]()
        return -won if player == "critic" else won

    def project(self, player: str, params: Tensors, buffers: Tensors) -> None:
        """Nothing follows a step."""


@dataclass(frozen=True)
class Bout:
    """Rock, paper, scissors as a laboratory game. It is its own objective."""

    name: str = "rock_paper_scissors"

    def build(
        self, objective: Any = None, penalties: Sequence[Any] = (), noise: Any = 0.0, progress: float = 1.0
    ) -> SmallGame:
        """The game at its mixed equilibrium. Raises UsageError for objectives, penalties and noise, which it has no
        critic on examples for."""
        if objective is not None or penalties or noise not in (0, 0.0, "0", "0.0"):
            got = "an objective" if objective is not None else "penalties" if penalties else "noise"
            raise UsageError(
                f"rock_paper_scissors: got {got}, but it is its own objective and has no examples; allowed: a solver "
                f"and a rate (for objectives and penalties: bilinear, dirac)"
            )
        game = RockPaperScissors()
        params = {p: {"logits": torch.zeros(3, dtype=F64)} for p in game.players}
        names = tuple(f"{side}_{move}" for side in ("p", "q") for move in ("rock", "paper", "scissors"))
        empty: dict[str, dict[str, Tensor]] = {p: {} for p in game.players}
        problem = Problem(game, params, empty, empty, {}, names)
        start = torch.tensor([1.0, 0.0, -0.5, -0.3, 0.6, 0.0], dtype=F64)
        zero = torch.zeros(3, 3, dtype=F64)
        jacobian = torch.cat([torch.cat([zero, PAYOFF / 9], 1), torch.cat([PAYOFF / 9, zero], 1)])
        return SmallGame(self.name, problem, start, jacobian)


def rock_paper_scissors() -> Bout:
    """Two softmax strategies: eigenvalues +-i/(3 sqrt 3), twice, and two neutral directions (a constant added to the
    logits of a player)."""
    return Bout()
