"""A training in memory: state, batches, schedules and guard, advanced step by step. No files, no clock, no screen."""

import itertools
import math
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import torch
from torch import Tensor

from ganneal.data import Source
from ganneal.engine import devices
from ganneal.engine.assembly import Assembly, assemble, initialise, network_of, place, work
from ganneal.engine.batches import Batches, mix
from ganneal.engine.config import Config
from ganneal.engine.guard import Guard, all_finite, copy_member
from ganneal.engine.processes import Processes
from ganneal.game import bind
from ganneal.nets import BatchNorm, MLPArchitecture
from ganneal.solvers import Play, State

PROBE = 128
"""Examples on which the guard looks at spread and logits."""
BLOCK = 4
"""Members of a population that are stepped together on a CPU (measured: benchmarks/steps.py)."""
REFERENCE = 256
"""Latent draws whose statistics batch normalisation uses when samples are drawn."""


def blocks(members: int) -> list[slice]:
    """Members in blocks of at most BLOCK, as equal as can be, so that at most two sizes are compiled."""
    count = math.ceil(members / BLOCK)
    edges = [round(k * members / count) for k in range(count + 1)]
    return [slice(a, b) for a, b in itertools.pairwise(edges)]


@dataclass(frozen=True)
class Trouble:
    """What the guard saw in a member and did about it."""

    member: int
    problem: str
    value: float
    action: str
    lr_scale: float


class Trainer:
    """Everything of one training (or one population) that lives in memory.

    Raises `UsageError` while it is built if parts do not fit.
    """

    def __init__(self, config: Config, source: Source, processes: Processes | None = None):
        self.config, self.source, self.processes = config, source, processes or Processes()
        self.device = devices.device_of(config)
        self.dtype, autocast = devices.numbers(config)
        self.assembly: Assembly = assemble(config, source)
        game = self.assembly.game
        torch.set_num_threads(devices.threads(config, work(config, game)))
        self.stacked = config.population > 1
        self.play = Play(
            game,
            self.assembly.optimizers,
            self.stacked,
            self.processes.average if self.processes.count > 1 else None,
            autocast,
        )
        params, buffers = initialise(config, source, self.assembly, self.dtype, self.device)
        self.state = self.play.start(params, buffers, averaged=("generator",))
        plan = [game.draws[p] for p in self.assembly.solver.plan(game.players)]
        self.batches = Batches(
            source,
            plan,
            config.batch,
            config.member_seeds(),
            self.stacked,
            self.dtype,
            self.device,
            self.processes.share(config.batch),
        )
        self.blocks = blocks(config.population if self.device.type == "cpu" else 1)
        self.guard = Guard(config.population)
        self.good = self.state.clone()
        self.step = 0
        self.warmup = math.ceil(config.score_warmup / config.batch) if "data_score" in game.players else 0
        self.compiled = (
            devices.should_compile(config, isinstance(network_of(config), MLPArchitecture), self.device)
            and self.processes.count == 1
        )
        self._advance = devices.compiled(self._one, self.device) if self.compiled else self._one
        self._probe_z = self._latents(PROBE, mix(config.seed, 4))
        self._probe_x = source.heldout(PROBE).to(self.device, self.dtype)

    @property
    def steps(self) -> int:
        """Steps in all, warm-up included."""
        return self.warmup + self.config.steps

    @property
    def examples(self) -> int:
        """Examples shown to the generator so far, the unit of progress."""
        return max(0, self.step - self.warmup) * self.config.batch

    def progress(self, step: int) -> float:
        """Progress in [0, 1] at which a step reads the schedules."""
        return max(0, step - self.warmup) / max(1, self.config.steps - 1)

    def _one(
        self, state: State, batches: tuple[dict[str, Tensor], ...], coefficients: dict[str, Tensor]
    ) -> dict[str, Tensor]:
        return self.assembly.solver.step(self.play, state, batches, coefficients)

    def advance(self, steps: int) -> dict[str, Tensor]:
        """Play that many steps. Returns the losses of the last one, on the device and unread."""
        ahead = range(self.step, self.step + steps)
        rows = self.assembly.coefficients.table(
            ahead, [self.progress(s) for s in ahead], self.guard.lr_scale, self._probe_x
        )
        losses: dict[str, Tensor] = {}
        for step, row in zip(ahead, rows, strict=True):
            losses = self._warm(row) if step < self.warmup else self._play(self.batches.draw(), row)
            self.step += 1
        return losses

    def _play(self, batches: tuple[dict[str, Tensor], ...], row: dict[str, Tensor]) -> dict[str, Tensor]:
        """One step of every member. A large population is played in blocks whose activations stay in the processor's
        cache; a block's state is a view, moved in place."""
        if len(self.blocks) == 1:
            return self._advance(self.state, batches, row)
        found = []
        for part in self.blocks:
            own = tuple({name: x[part] for name, x in batch.items()} for batch in batches)
            view = self.state.map(itemgetter(part))
            found.append(self._advance(view, own, {name: value[part] for name, value in row.items()}))
        return {player: torch.cat([losses[player] for losses in found]) for player in found[0]}

    def _warm(self, coefficients: dict[str, Tensor]) -> dict[str, Tensor]:
        (batch,) = self.batches.draw([self.play.game.draws["data_score"]])
        loss, gradients = self.play.gradient("data_score", self.state, batch, coefficients)
        self.play.descend("data_score", self.state, gradients, coefficients)
        return {"data_score": loss}

    def check(self, losses: dict[str, Tensor]) -> list[Trouble]:
        """Let the guard look; members in trouble go back to the last good state."""
        if self.step <= self.warmup:
            return []
        finite = all_finite(self.state.params, list(losses.values()), self.stacked)
        spread, gap = self._probe()
        found = []
        for member, (problem, value) in self.guard.judge(
            finite.cpu(), spread.cpu(), None if gap is None else gap.cpu()
        ).items():
            action = self.guard.roll_back(member)
            copy_member(self.state, self.good, member, self.stacked)
            found.append(Trouble(member, problem, value, action, self.guard.lr_scale[member]))
        for member in (~finite).nonzero().flatten().tolist():
            if self.guard.lr_scale[member] == 0:  # it stands still, but 0 times an infinite gradient is not a number
                copy_member(self.state, self.good, member, self.stacked)
        return found

    def finite(self) -> bool:
        """Whether all parameters of all members are finite."""
        return bool(all_finite(self.state.params, [], self.stacked).all())

    @torch.no_grad()
    def _probe(self) -> tuple[Tensor, Tensor | None]:
        """Per member: spread of samples relative to data, and the mean gap between the critic's outputs on data and
        samples."""
        data = self._probe_x.flatten(1)
        scale = data.var(0, correction=0).sum().sqrt()

        def one(params: Any, buffers: Any) -> tuple[Tensor, Tensor]:
            nets = bind(self.assembly.game.nets, params, buffers)
            x = nets["generator"](self._probe_z)
            spread = x.flatten(1).var(0, correction=0).sum().sqrt()
            return spread, nets["critic"](self._probe_x).mean() - nets["critic"](x).mean()

        spread, gap = (torch.vmap(one) if self.stacked else one)(self.state.params, self.state.buffers)
        relative = spread.reshape(-1) / scale if scale > 0 else torch.full_like(spread.reshape(-1), math.nan)
        return relative, gap.reshape(-1) if self.assembly.game.objective.optimum == "log_ratio" else None

    def mark_good(self) -> None:
        """Remember the present state as the one to go back to, of every member in which no trouble is suspected."""
        trusted = self.guard.trusted()
        if len(trusted) == self.config.population:
            self.good = self.state.clone()
        else:
            for member in trusted:
                copy_member(self.good, self.state, member, self.stacked)

    def _latents(self, n: int, seed: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        shape = (n, self.config.latent)
        z = (
            torch.randn(shape, generator=generator)
            if self.config.latent_law == "normal"
            else torch.rand(shape, generator=generator) * 2 - 1
        )
        return z.to(self.device, self.dtype)

    @torch.no_grad()
    def sample(self, n: int, seed: int = 0, member: int = 0, block: int = 1024) -> Tensor:
        """n examples [n, *shape] of one member's averaged generator, the same for the same seed whatever the block
        size."""
        nets, averages = self.play.game.nets, self.state.averages["generator"]
        values = {name: v[member] if self.stacked else v for name, v in averages.items()}
        generator = bind({"generator": nets["generator"]}, {"generator": values}, {})["generator"]
        coupled = any(isinstance(m, BatchNorm) for m in nets["generator"].modules())
        reference = self._latents(REFERENCE, mix(self.config.seed, 5)) if coupled else None
        found = []
        for z in self._latents(n, mix(seed, 6)).split(block):
            x = (
                generator(z)
                if reference is None
                else generator(torch.cat([reference, z]), reference=REFERENCE)[REFERENCE:]
            )
            found.append(x)
        x = torch.cat(found)
        return x.float()

    def snapshot(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """(tensors, counters): all that is needed to continue bit by bit."""
        streams, position = self.batches.state()
        tree = {name: getattr(self.state, name) for name in ("params", "buffers", "slots", "averages")}
        data = {"shape": list(self.source.shape), "size": self.source.size}
        return {**tree, "streams": streams}, {
            "step": self.step,
            "position": position,
            "guard": self.guard.state(),
            "data": data,
        }

    def restore(self, tree: dict[str, Any], meta: dict[str, Any]) -> None:
        """Continue from a snapshot."""

        def put(node: Any) -> Any:
            return (
                {k: put(v) for k, v in node.items()} if isinstance(node, dict) else place(node, self.dtype, self.device)
            )

        self.batches.restore(tree["streams"], meta["position"])
        self.state = State(**{name: put(tree.get(name, {})) for name in ("params", "buffers", "slots", "averages")})
        for player in self.play.players:
            self.state.buffers.setdefault(player, {})
            self.state.slots.setdefault(player, {})
        self.guard = Guard(self.config.population, **meta["guard"])
        self.step = meta["step"]
        self.good = self.state.clone()
