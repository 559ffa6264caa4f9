"""Small exact games that the tests of penalties share, and ways to look at them."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ganneal.game import Game, Tensors, bind, field
from ganneal.objectives import OBJECTIVES
from ganneal.penalties import PENALTIES, FieldPenalty, Weighted
from ganneal.systems import GAN, field_penalised

F64 = torch.float64


class Dirac(nn.Module):
    """D(x) = psi x."""

    def __init__(self) -> None:
        super().__init__()
        self.psi = nn.Parameter(torch.zeros((), dtype=F64))

    def forward(self, x: Tensor, features: bool = False) -> Any:
        y = self.psi * x[:, 0]
        return (y, x) if features else y


class Point(nn.Module):
    """G(z) = theta."""

    def __init__(self) -> None:
        super().__init__()
        self.theta = nn.Parameter(torch.zeros((), dtype=F64))

    def forward(self, z: Tensor) -> Tensor:
        return self.theta.expand(len(z), 1)


class Square(nn.Module):
    """D(x) = w x^2."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.zeros((), dtype=F64))

    def forward(self, x: Tensor) -> Tensor:
        return self.w * x[:, 0].square()


class Scale(nn.Module):
    """G(z) = a z."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.ones((), dtype=F64))

    def forward(self, z: Tensor) -> Tensor:
        return self.a * z


class Curved(nn.Module):
    """A smooth critic of d columns with all parameters at work; features are its hidden layer."""

    def __init__(self, d: int = 2, width: int = 5, seed: int = 0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.inner = nn.Parameter(torch.randn(d, width, dtype=F64, generator=generator))
        self.outer = nn.Parameter(torch.randn(width, dtype=F64, generator=generator))

    def forward(self, x: Tensor, features: bool = False) -> Any:
        hidden = torch.tanh(x @ self.inner)
        y = hidden @ self.outer
        return (y, hidden) if features else y


class Mapped(nn.Module):
    """A smooth generator of d columns from `latent`."""

    def __init__(self, latent: int = 2, d: int = 2, seed: int = 1) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.matrix = nn.Parameter(torch.randn(latent, d, dtype=F64, generator=generator))
        self.shift = nn.Parameter(torch.randn(d, dtype=F64, generator=generator))

    def forward(self, z: Tensor) -> Tensor:
        return torch.tanh(z @ self.matrix) + self.shift


def game(objective: str, critic: nn.Module, generator: nn.Module, *penalties: str, d: int = 1, **more: Any) -> Game:
    """The game of two networks on tables of d columns under penalties."""
    built = tuple(PENALTIES.build(text) for text in penalties)
    plain = GAN(
        architectures={"critic": critic, **more.pop("nets", {}), "generator": generator},
        objective=OBJECTIVES.build(objective),
        penalties=tuple(p for p in built if not isinstance(p, FieldPenalty)),
        shape=(d,),
        latent=more.pop("latent", d),
        **more,
    )
    return field_penalised(plain, tuple(p for p in built if isinstance(p, FieldPenalty)))


def coefficients(*penalties: str, **more: float) -> Tensors:
    """The weights of penalties at the start, as 0-d tensors, with both lambdas 0."""
    built = [PENALTIES.build(text) for text in penalties]
    weights = {p.name: p.weight(0.0) for p in built if isinstance(p, Weighted)}  # type: ignore[operator]
    values = {"lambda_likelihood": 0.0, "lambda_entropy": 0.0, **weights, **more}
    return {name: torch.tensor(value, dtype=F64) for name, value in values.items()}


def parameters(made: Game, **values: float) -> dict[str, Tensors]:
    """A copy of everybody's parameters, the named ones set."""
    return {
        player: {
            n: torch.tensor(values[n], dtype=F64) if n in values else p.detach().clone()
            for n, p in made.nets[player].named_parameters()
        }
        for player in made.players
    }


def loss(
    made: Game, player: str, params: dict[str, Tensors], batch: Mapping[str, Tensor], weights: Mapping[str, Tensor]
) -> Tensor:
    """The player's loss at parameters."""
    return made.loss(player, bind(made.nets, params, {}), batch, weights)


def random_batch(made: Game, player: str, rows: int = 7, seed: int = 0) -> Tensors:
    """What the player's loss reads; standard normal examples stand for data."""
    generator = torch.Generator().manual_seed(seed)
    found = {}
    for name, draw in made.draws[player].items():
        x = torch.empty(rows, *draw.shape, dtype=F64)
        found[name] = x.uniform_(generator=generator) if draw.kind == "uniform" else x.normal_(generator=generator)
    return found


def slopes(made: Game, player: str, params: dict[str, Tensors], batch: Any, weights: Any, h: float = 1e-5) -> Tensor:
    """Central differences of the player's loss in its own parameters, flat."""
    found = []
    for name, value in params[player].items():
        for index in range(value.numel()):
            ends = []
            for side in (h, -h):
                moved = value.clone()
                moved.view(-1)[index] += side
                at = {**params, player: {**params[player], name: moved}}
                ends.append(loss(made, player, at, batch, weights))
            found.append((ends[0] - ends[1]) / (2 * h))
    return torch.stack(found).detach()


def gradient(made: Game, player: str, params: dict[str, Tensors], batch: Any, weights: Any) -> Tensor:
    """The gradient of the player's loss in its own parameters, flat."""
    found = torch.func.grad(lambda own: loss(made, player, {**params, player: own}, batch, weights))(params[player])
    return torch.cat([g.reshape(-1) for g in found.values()])


def spectrum(made: Game, params: dict[str, Tensors], batches: Any, weights: Any) -> Tensor:
    """Eigenvalues of the Jacobian of the joint field, sorted by imaginary part."""
    keys = [(player, name) for player in params for name in params[player]]
    sizes = [params[p][n].numel() for p, n in keys]

    def flow(flat: Tensor) -> Tensor:
        tree: dict[str, Tensors] = {p: {} for p in params}
        for (p, n), part in zip(keys, flat.split(sizes), strict=True):
            tree[p][n] = part.reshape(params[p][n].shape)
        found = field(made, tree, {}, batches, weights)
        return torch.cat([found[p][n].reshape(-1) for p, n in keys])

    at = torch.cat([params[p][n].reshape(-1) for p, n in keys])
    steps = 1e-5 * torch.eye(at.numel(), dtype=F64)
    jacobian = torch.stack([(flow(at + e) - flow(at - e)) / 2e-5 for e in steps], 1)
    values = torch.linalg.eigvals(jacobian)
    return values[torch.argsort(values.imag * 1e6 + values.real)]
