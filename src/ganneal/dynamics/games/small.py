"""A game of a few parameters, made of the library's own parts: networks of a few numbers, and a batch that is a
quadrature rule. Every objective, penalty and solver in it is the code that trains."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ganneal.dynamics.games.linear import Linear, gradient_penalties, linear
from ganneal.dynamics.games.quadrature import F64, batches, unit_nodes
from ganneal.dynamics.problem import Problem
from ganneal.errors import UsageError
from ganneal.game import Game
from ganneal.objectives import OBJECTIVES, Objective
from ganneal.penalties import PENALTIES, Clip, FieldPenalty, InputGradientPenalty, Weighted
from ganneal.schedules import Each, schedule
from ganneal.systems import GAN
from ganneal.systems.field_penalised import field_penalised


@dataclass(frozen=True, eq=False)
class SmallGame:
    """A built game.

    problem     at its equilibrium
    start       [size], where its portrait and its trajectories begin
    prediction  Jacobian [size, size] of the field at the equilibrium in closed form, or None where none is known
    conserved   a function of vectors [..., size] that the field leaves constant, or None
    """

    name: str
    problem: Problem
    start: Tensor
    prediction: Tensor | None = None
    conserved: Callable[[Tensor], Tensor] | None = None


@dataclass(frozen=True, eq=False)
class Law:
    """Mean [d] and second moment [d, d] of a law."""

    mean: Tensor
    second: Tensor


@dataclass(frozen=True, eq=False)
class Blueprint:
    """An exactly solvable GAN, before objective and penalties are chosen.

    critic, generator   fresh networks at the equilibrium
    data                the law of the data, which the generator's equals at the equilibrium
    rules               nodes of `real`, `z` and one coordinate of noise
    features            (x [n, d]) -> f [n, m], the critic's gradient in its parameters
    slopes              a law -> E[(d_x f)(d_x f)'] [m, m]
    response            [m, n], R = d/dtheta E[f] at the equilibrium
    offset              [m + n] from the equilibrium to `SmallGame.start`
    names               of the coordinates
    invariant           what the Wasserstein game without penalties conserves
    """

    name: str
    critic: Callable[[], nn.Module]
    generator: Callable[[], nn.Module]
    data: Law
    rules: Mapping[str, Tensor]
    features: Callable[[Tensor], Tensor]
    slopes: Callable[[Law], Tensor]
    response: Tensor
    offset: Tensor
    names: tuple[str, ...]
    invariant: Callable[[Tensor], Tensor] | None = None

    def build(
        self, objective: Any = None, penalties: Sequence[Any] = (), noise: Any = 0.0, progress: float = 1.0
    ) -> SmallGame:
        """The game with an objective (`wasserstein` by default), penalties and instance noise, all as parts or texts;
        schedules are read at that progress.

        Raises UsageError for parts that do not fit.
        """
        chosen: Objective = OBJECTIVES.build("wasserstein" if objective is None else objective)
        built = tuple(PENALTIES.build(p) for p in penalties)
        std = _at(schedule(noise), progress)
        dim = self.data.mean.numel()
        critic = self.critic()
        for penalty in built:
            if not isinstance(penalty, (InputGradientPenalty, FieldPenalty, Clip)):
                raise UsageError(
                    f"{self.name}: {penalty.name} has no place in a game that is solved exactly; use r1 or nk here, or "
                    f"train with {penalty.name}"
                )
        own = tuple(p for p in built if not isinstance(p, FieldPenalty))
        gan = GAN(
            architectures={"critic": critic, "generator": self.generator()},
            objective=chosen,
            penalties=own,
            shape=(dim,),
            latent=self.rules["z"].shape[1],
            noisy=std > 0,
        )
        game: Game = field_penalised(gan, tuple(p for p in built if isinstance(p, FieldPenalty)))
        zero = torch.zeros((), dtype=F64)
        weights = {p.name: _at(p.weight, progress) for p in built if isinstance(p, Weighted)}
        numbers = {"lambda_likelihood": zero, "lambda_entropy": zero, "noise": zero + std}
        params = {
            p: {n: t.detach().clone() for n, t in net.named_parameters()}
            for p, net in gan.nets.items()
        }  # fmt: skip
        problem = Problem(
            game,
            {p: params[p] for p in game.players},
            {p: dict(gan.nets[p].named_buffers()) for p in game.players},
            batches(game, self._all_rules()),
            {**numbers, **{name: zero + w for name, w in weights.items()}},
            self.names,
        )
        plain = chosen.name == "wasserstein" and not built and std == 0
        return SmallGame(
            self.name,
            problem,
            problem.flat() + self.offset,
            self._predicted(chosen, built, weights, std),
            self.invariant if plain else None,
        )

    def linear(self, objective: Objective, penalties: Sequence[Any] = (), noise: float = 0.0) -> Linear:
        """The blocks of the Jacobian at the equilibrium in closed form."""
        nodes = self.rules["real"]
        if noise:
            one = self.rules["noise"]
            x = (nodes[:, None] + noise * one[None]).reshape(-1, nodes.shape[1])
        else:
            x = nodes
        f = self.features(x)
        second = f.T @ f / len(f)
        mean = f.mean(0)
        data = Law(self.data.mean, self.data.second + noise**2 * torch.eye(len(self.data.mean), dtype=F64))
        mixing = {}
        for penalty in penalties:
            if penalty.name == "sgp":
                measure = penalty.measures[0]
                mixing[measure] = self.slopes(mixed(measure, data, penalty.anchor))
        known = gradient_penalties(self.slopes(data), mixing)
        return linear(objective.name, second, second - torch.outer(mean, mean), self.response, known)

    def _predicted(
        self, objective: Objective, penalties: Sequence[Any], weights: Mapping[str, float], noise: float
    ) -> Tensor | None:
        named = {(f"sgp.{p.measures[0]}" if p.name == "sgp" else p.name): p for p in penalties}
        if any(isinstance(p, Clip) for p in penalties):
            named = {k: p for k, p in named.items() if not isinstance(p, Clip)}  # it is idle near 0
        blocks = self.linear(objective, penalties, noise)
        if any(k not in blocks.penalised and not isinstance(p, FieldPenalty) for k, p in named.items()):
            return None
        return blocks.jacobian({k: weights[p.name] for k, p in named.items()})

    def _all_rules(self) -> dict[str, Tensor]:
        noise = self.rules["noise"]
        return {
            "real": self.rules["real"],
            "z": self.rules["z"],
            "real.noise": noise,
            "z.noise": noise,
            "penalty.alpha": unit_nodes(),
        }


def mixed(measure: str, law: Law, anchor: float | tuple[float, ...] = 0.0) -> Law:
    """The law of the points of a measure where the model's law is the data's (Kim, Park, Hwang 2018): of a x + (1 - a)
    x' with a uniform or 1/2, or of a A + (1 - a) x."""
    m, s = law.mean, law.second
    if measure in ("data", "model"):
        return law
    outer = torch.outer(m, m)
    if measure == "midpoint":
        return Law(m, (s + outer) / 2)
    if measure == "interpolate":
        return Law(m, 2 / 3 * s + outer / 3)
    at = torch.as_tensor(anchor, dtype=F64).expand(len(m))
    cross = torch.outer(at, m)
    return Law((at + m) / 2, torch.outer(at, at) / 3 + s / 3 + (cross + cross.T) / 6)


def _at(weight: Any, progress: float) -> float:
    if isinstance(weight, Each):
        raise UsageError("dynamics: each(...) is for populations; give one schedule")
    return float(weight(progress))
