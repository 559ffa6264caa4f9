"""A training in memory: state, batches, schedules and guard, advanced step by step. No files, no clock, no screen."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import torch
from torch import Tensor

from ganneal import latents
from ganneal.data import Source
from ganneal.data.target import TargetSource
from ganneal.engine import devices
from ganneal.engine.assembly import Assembly, assemble, initialise, place, work
from ganneal.engine.batches import Batches, mix
from ganneal.engine.blocks import blocks
from ganneal.engine.building import network_of
from ganneal.engine.config import Config
from ganneal.engine.guard import Guard, all_finite, copy_member
from ganneal.engine.pace import DRAWS, PLACES, Pace
from ganneal.engine.processes import Processes
from ganneal.engine.replay import Replay
from ganneal.engine.treatment import advice
from ganneal.game import Bound, Tensors, bind
from ganneal.nets import BatchNorm, MLPArchitecture
from ganneal.schedules import Each
from ganneal.solvers import Play, State
from ganneal.systems import SamplingGame, WeightedGame
from ganneal.temperature import inverse_temperature

PROBE = 128
"""Examples on which the guard looks at spread and logits."""
REPLAY = 5
"""Steps between moves of the particles that stand for data."""
PARTS = ("params", "buffers", "slots", "averages", "memory")
"""The parts of a state, as a checkpoint names them."""
LAMBDAS = ("lambda_likelihood", "lambda_entropy")
REFERENCE = 256
"""Latent draws whose statistics batch normalisation uses when samples are drawn."""


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
        self.state.memory = self.assembly.solver.start(self.play, self.state)
        plan = [game.draws[p] for p in self.assembly.solver.plan(game.players)]
        self.replay: Replay | None = None
        if isinstance(source, TargetSource) and config.sampler == "replay":
            self.replay = Replay(source, mix(config.seed, 11))
        self.batches = Batches(
            source,
            plan,
            config.batch,
            config.member_seeds(),
            self.stacked,
            self.dtype,
            self.device,
            self.processes.share(config.batch),
            None if self.replay is None else self.replay.sample,
        )
        each = work(config, game) / config.population
        self.blocks = blocks(config.population if self.device.type == "cpu" else 1, each)
        self.guard = Guard(config.population)
        self.good = self.state.clone()
        self.step = 0
        self.warmup = math.ceil(config.score_warmup / config.batch) if "data_score" in game.players else 0
        self.compiled = (
            devices.should_compile(config, isinstance(network_of(config), MLPArchitecture), self.device)
            and self.processes.count == 1
        )
        self._advance = devices.compiled(self._one, self.device) if self.compiled else self._one
        schedule = config.adaptive
        self.pace = None if schedule is None else Pace(schedule, config.clock, config.population)
        self.looked = 0
        self.seen: dict[str, Tensor] = {}
        z = self._latents(PROBE, mix(config.seed, 4))
        held = source.heldout(PROBE) if self.replay is None else self.replay.sample(PROBE, _generator(config, 12))
        self._probe_batch = {"z": z, "real": held.to(self.device, self.dtype)}

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
        losses: dict[str, Tensor] = {}
        end = self.step + steps
        while self.step < end:
            self._decide()
            ahead = range(self.step, min(end, self._next_decision() or end))
            for step, row in zip(ahead, self._rows(ahead), strict=True):
                losses = self._warm(row) if step < self.warmup else self._play(self.batches.draw(), row)
                self.step += 1
        return losses

    def _rows(self, steps: Sequence[int]) -> list[dict[str, Tensor]]:
        return self.assembly.coefficients.table(
            steps, [self.progress(s) for s in steps], self.guard.lr_scale, self._probe_batch["z"]
        )

    def _next_decision(self) -> int | None:
        """The next step before which a temperature or a buffer is moved, if there are any."""
        every = [period for period, has in ((self._pace_period, self.pace), (REPLAY, self.replay)) if has]
        return min((self.step // period + 1) * period for period in every) if every else None

    @property
    def _pace_period(self) -> int:
        return max(1, self.config.steps // PLACES)

    def _decide(self) -> None:
        """Let an adaptive temperature and a buffer of particles move, at steps that depend on nothing but their
        number."""
        if self.pace is not None and self.step % self._pace_period == 0:
            if self.step:
                value, log_rho = self._weighing() if self.replay is None else self.replay.weighing()
                self.looked += 0 if self.replay is not None else value.numel()
                self.pace.move(self.progress(self.step), value, log_rho)
            self.assembly.coefficients.held = self.pace.lambdas()
        if self.replay is not None and self.step % REPLAY == 0:
            self.replay.follow(self.temperature(self.step)[2][0])

    def temperature(self, step: int) -> tuple[list[float], list[float], list[float]]:
        """(lambda_likelihood, lambda_entropy, beta) of every member, or of all, at a step."""
        pairs = [self.assembly.coefficients.values(name, self.progress(step)) for name in LAMBDAS]
        width = max(map(len, pairs))
        likelihood, entropy = (v * (width if len(v) == 1 else 1) for v in pairs)
        beta = [inverse_temperature(a, b) for a, b in zip(likelihood, entropy, strict=True)]
        return likelihood, entropy, beta

    @torch.no_grad()
    def _weighing(self) -> tuple[Tensor, Tensor]:
        """(log u, log rho) [N, B] of fresh samples of every member."""
        batch = {"z": self._latents(DRAWS, mix(self.config.seed, 10, self.step))}
        batch["z.noise"] = self._normal(DRAWS, mix(self.config.seed, 13, self.step))
        game = self.assembly.game
        assert isinstance(game, SamplingGame)
        row = self._rows([self.step])[0]

        def one(params: Any, buffers: Any, row: Any) -> tuple[Tensor, Tensor]:
            return game.weighing(bind(game.nets, params, buffers), batch, row)

        values = (torch.vmap(one) if self.stacked else one)(self.state.params, self.state.buffers, row)
        return values[0].reshape(-1, DRAWS), values[1].reshape(-1, DRAWS)

    @property
    def evaluations(self) -> int | None:
        """Rows at which the density was evaluated so far, looks of the guard and of the temperature included; None for
        examples."""
        if not isinstance(self.source, TargetSource):
            return None
        if self.replay is not None:
            return self.replay.particles.evaluations + sum(self.source.spent.values())
        game = self.assembly.game
        assert isinstance(game, SamplingGame)
        plan = self.assembly.solver.plan(game.players)
        each = sum(player in game.evaluates for player in plan) * self.config.batch * self.config.population
        return self.step * each + self.looked + sum(self.source.spent.values())

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
        signs = {name: value.reshape(-1).cpu() for name, value in self._signs().items()}
        if isinstance(self.source, TargetSource):
            signs["held"] = self.guard.held(signs["spread"], self._holding())
        self.seen = signs
        found = []
        for member, (problem, value) in self.guard.judge(finite.cpu(), signs).items():
            action = self.guard.roll_back(member)
            copy_member(self.state, self.good, member, self.stacked)
            found.append(Trouble(member, problem, value, action, self.guard.lr_scale[member]))
        for member, problem, value in self.guard.notice(signs):
            action = f"named; {advice(problem, self.config)}"
            found.append(Trouble(member, problem, value, action, self.guard.lr_scale[member]))
        for member in (~finite).nonzero().flatten().tolist():
            if self.guard.lr_scale[member] == 0:  # it stands still, but 0 times an infinite gradient is not a number
                copy_member(self.state, self.good, member, self.stacked)
        return found

    def _holding(self) -> bool:
        """Whether a temperature that was moved has come to its end."""
        schedule = None if self.config.beta is None else self.config.lambdas()
        if schedule is None or isinstance(schedule[0], Each):
            return False
        end = [member(1.0) for member in schedule]
        now = [self.assembly.coefficients.values(n, self.progress(self.step)) for n in LAMBDAS]
        return any(s(0.0) != e for s, e in zip(schedule, end, strict=True)) and all(
            max(abs(v - e) for v in values) < 1e-12 for values, e in zip(now, end, strict=True)
        )

    def finite(self) -> bool:
        """Whether all parameters of all members are finite."""
        return bool(all_finite(self.state.params, [], self.stacked).all())

    @torch.no_grad()
    def _signs(self) -> dict[str, Tensor]:
        """What the game reports to the guard, per member."""
        game, row = self.assembly.game, self._rows([self.step])[0]
        batch = self._probe_batch
        if isinstance(game, SamplingGame):  # draws of its own at every look, so that looks are independent
            keys = ("z.noise", "contrast", "proposal")
            noise = {key: self._normal(PROBE, mix(self.config.seed, 16, self.step, k)) for k, key in enumerate(keys)}
            batch = {"z": self._latents(PROBE, mix(self.config.seed, 17, self.step)), **noise}
            shared = isinstance(game, WeightedGame) and game.density.target.opaque  # proposals, then looked at once
            self.looked += PROBE * (1 if shared else self.config.population) * game.looks

        def one(params: Any, buffers: Any, row: Any) -> dict[str, Tensor]:
            return game.signs(bind(game.nets, params, buffers), batch, row)

        found: dict[str, Tensor] = (torch.vmap(one) if self.stacked else one)(
            self.state.params, self.state.buffers, row
        )
        return found

    def read(self, member: int = 0) -> tuple[dict[str, Bound], dict[str, Tensor]]:
        """One member's networks as its players see each other, and the coefficients of its last step."""
        row = self._rows([max(0, self.step - 1)])[0]
        state = self.state.map(itemgetter(member)) if self.stacked else self.state
        row = {name: value[member] for name, value in row.items()} if self.stacked else row
        return bind(self.play.game.nets, state.params, state.buffers), row

    def mark_good(self) -> None:
        """Remember the present state as the one to go back to, of every member in which no trouble is suspected."""
        trusted = self.guard.trusted()
        if len(trusted) == self.config.population:
            self.good = self.state.clone()
        else:
            for member in trusted:
                copy_member(self.good, self.state, member, self.stacked)

    def _latents(self, n: int, seed: int) -> Tensor:
        """The raw noise of n latent draws, as a batch holds it."""
        game = self.assembly.game
        found = latents.raw(game.latent_law, game.latent, n, torch.Generator().manual_seed(seed))
        return found.to(self.device, self.dtype)

    def _normal(self, n: int, seed: int) -> Tensor:
        """Standard normal noise of the shape of n examples."""
        generator = torch.Generator().manual_seed(seed)
        return torch.randn((n, *self.source.shape), generator=generator).to(self.device, self.dtype)

    def generator(self, member: int = 0, values: Tensors | None = None) -> Callable[..., Any]:
        """One member's averaged generator, or the generator with other parameters."""
        nets, averages = self.play.game.nets, self.state.averages["generator"]
        values = values or {name: v[member] if self.stacked else v for name, v in averages.items()}
        buffers = self.state.buffers.get("generator", {})
        own = {name: v[member] if self.stacked else v for name, v in buffers.items()}
        return bind({"generator": nets["generator"]}, {"generator": values}, {"generator": own})["generator"]

    def noise(self, member: int = 0) -> float:
        """Standard deviation of the noise that samples carry at present."""
        values = self.assembly.coefficients.values("noise", self.progress(max(0, self.step - 1)))
        return values[member if len(values) > 1 else 0]

    def latents(self, n: int, seed: int) -> Tensor:
        """The latent coordinates [n, latent] of `sample(n, seed)`."""
        return self.assembly.game.latent_law.of(self._latents(n, mix(seed, 6)))

    @torch.no_grad()
    def sample(self, n: int, seed: int = 0, member: int = 0, block: int = 1024, values: Any = None) -> Tensor:
        """n examples [n, *shape] of one member's averaged generator, or of one with other parameters; the same for the
        same seed whatever the block size."""
        generator = self.generator(member, values)
        coupled = any(isinstance(m, BatchNorm) for m in self.play.game.nets["generator"].modules())
        law = self.assembly.game.latent_law
        reference = law.of(self._latents(REFERENCE, mix(self.config.seed, 5))) if coupled else None
        found = []
        for z in self.latents(n, seed).split(block):
            x = (
                generator(z)
                if reference is None
                else generator(torch.cat([reference, z]), reference=REFERENCE)[REFERENCE:]
            )
            found.append(x)
        x = torch.cat(found)
        if isinstance(self.assembly.game, SamplingGame) and (noise := self.noise(member)):
            x = x + noise * self._normal(n, mix(seed, 7))  # the model of a density is the law of noisy samples
        return x.float()

    def snapshot(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """(tensors, counters): all that is needed to continue bit by bit."""
        streams, position = self.batches.state()
        tree = {name: getattr(self.state, name) for name in PARTS}
        data = {"shape": list(self.source.shape), "size": self.source.size}
        tree |= {} if self.replay is None else {"replay": self.replay.state()[0]}
        tree |= {"latents": law} if (law := self.assembly.game.latent_law.tensors) else {}
        return {**tree, "streams": streams}, {
            "step": self.step,
            "looked": self.looked,
            "spent": dict(self.source.spent) if isinstance(self.source, TargetSource) else {},
            "pace": None if self.pace is None else {"betas": self.pace.betas, "forced": self.pace.forced},
            "replay": None if self.replay is None else self.replay.state()[1],
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
        for name, value in self.assembly.game.latent_law.tensors.items():  # learned from data, but kept to the bit
            value.copy_(tree["latents"][name])
        self.state = State(**{name: put(tree.get(name, {})) for name in PARTS})
        for player in self.play.players:
            self.state.buffers.setdefault(player, {})
            self.state.slots.setdefault(player, {})
        self.guard = Guard(self.config.population, **meta["guard"])
        self.step = meta["step"]
        self.looked = meta.get("looked", 0)
        if isinstance(self.source, TargetSource):
            self.source.spent.update(meta.get("spent", {}))
        if self.pace is not None:
            self.pace = Pace(self.pace.schedule, self.pace.clock, self.pace.size, **meta["pace"])
            self.assembly.coefficients.held = self.pace.lambdas()
        if self.replay is not None:
            self.replay.restore(tree["replay"], meta["replay"])
        self.good = self.state.clone()


def _generator(config: Config, stream: int) -> torch.Generator:
    return torch.Generator().manual_seed(mix(config.seed, stream))
