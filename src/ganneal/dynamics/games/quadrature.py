"""Equally weighted nodes whose means are exact moments: on such a batch a loss that is a mean over examples is its own
expectation, and the library's own losses become exactly solvable."""

import itertools
import math
from collections.abc import Mapping

import torch
from torch import Tensor

from ganneal.errors import UsageError
from ganneal.game import Game

F64 = torch.float64


def uniform_nodes() -> Tensor:
    """[4] nodes of U(-1, 1) with the moments up to order 5: Chebyshev's quadrature with four equal weights, which are
    the roots of x^4 - 2/3 x^2 + 1/45."""
    inner, outer = (math.sqrt(1 / 3 - s * math.sqrt(1 / 9 - 1 / 45)) for s in (1, -1))
    return torch.tensor([-outer, -inner, inner, outer], dtype=F64)


def unit_nodes() -> Tensor:
    """[2] nodes of U(0, 1) with the moments up to order 3 (Gauss and Legendre)."""
    return torch.tensor([0.5 - math.sqrt(1 / 12), 0.5 + math.sqrt(1 / 12)], dtype=F64)


def normal_nodes() -> Tensor:
    """[6] nodes of N(0, 1) with the moments up to order 5: the three of Gauss and Hermite, whose weights 1/6, 2/3, 1/6
    become equal when the middle one is taken four times."""
    outer = math.sqrt(3.0)
    return torch.tensor([-outer, 0.0, 0.0, 0.0, 0.0, outer], dtype=F64)


def several(nodes: Tensor, dim: int) -> Tensor:
    """[n^dim, dim] nodes of independent coordinates."""
    return torch.tensor(list(itertools.product(nodes.tolist(), repeat=dim)), dtype=nodes.dtype)


def product(rules: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Independent ingredients of a batch: every combination of the nodes [n_k, ...] of every rule."""
    index = torch.cartesian_prod(*[torch.arange(len(rule)) for rule in rules.values()])
    index = index.reshape(-1, len(rules))
    return {name: rule[index[:, k]] for k, (name, rule) in enumerate(rules.items())}


def batches(game: Game, rules: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """For every player the nodes of what its loss reads. Ingredients of one name share their nodes in all losses, and a
    prefixed name (a second, independent batch) has the nodes of its last part: both are exact expectations.

    Raises UsageError for an ingredient that no rule is known for.
    """
    wanted = {draw for draws in game.draws.values() for draw in draws}
    known = {draw: _rule(draw, rules) for draw in wanted}
    made = product({name: rules[name] for name in rules if name in known.values()})
    return {
        player: {draw: made[known[draw]] for draw in game.draws.get(player, {})}
        for player in game.players
    }  # fmt: skip


def _rule(draw: str, rules: Mapping[str, Tensor]) -> str:
    fitting = [name for name in rules if draw == name or draw.endswith(("." + name, "_" + name, "/" + name))]
    if not fitting:
        raise UsageError(
            f"dynamics: the exact games have no quadrature for '{draw}'; allowed: parts that read {', '.join(rules)}"
        )
    return max(fitting, key=len)
