"""The GAN game as a whole: what its losses read, what they leave alone, and where gradients do not go. Float64."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from cases import F64, Affine, Function, Quadratic, all_own, gan, numbers, quantiles
from torch import Tensor, nn

from ganneal import annealing
from ganneal.game import Draw, Tensors, bind
from ganneal.latents import Normal, Uniform
from ganneal.nets import build as network
from ganneal.objectives import OBJECTIVES
from ganneal.penalties import PENALTIES, InputGradientPenalty
from ganneal.scores import Exact, affine, exact, noise_posterior
from ganneal.scores import build as score
from ganneal.solvers import SGD, Play
from ganneal.systems.gan import GAN

ROWS = 8


@dataclass(frozen=True)
class Case:
    """One way to put the game together."""

    objective: str = "rkl"
    penalties: tuple[str, ...] = ()
    data_score: str | None = None
    model_score: str | None = None
    space: str = "data"
    noisy: bool = False
    shape: tuple[int, ...] = (2,)
    network: str = "mlp(width=6, activation=tanh)"
    more: tuple[tuple[str, Any], ...] = ()

    def made(self) -> GAN:
        torch.manual_seed(0)
        architecture = network(self.network)
        critic = architecture.critic(self.shape)
        features = critic(torch.zeros(2, *self.shape), features=True)[1].shape[1]
        penalties = tuple(PENALTIES.build(p) for p in self.penalties)
        for penalty in penalties:
            if not isinstance(penalty, InputGradientPenalty):
                critic = penalty.wrap(critic)
        nets: dict[str, nn.Module] = {"critic": critic}
        found = {}
        for player, text in (("data_score", self.data_score), ("model_score", self.model_score)):
            estimator = None if text is None else score(text)
            if isinstance(estimator, Exact):
                estimator = replace(estimator, function=lambda x: -(x**3))
            found[player] = estimator
            if estimator is not None and estimator.learned:
                net = estimator.network(
                    (features,) if player == "data_score" and self.space == "features" else self.shape
                )
                assert net is not None
                nets[player] = net
        nets["generator"] = architecture.generator(3, self.shape)
        for net in nets.values():
            for p in net.double().parameters():
                nn.init.normal_(p, std=0.5)
        return GAN(
            architectures=nets,
            objective=OBJECTIVES.build(self.objective),
            penalties=penalties,
            shape=self.shape,
            latent=3,
            data_score=found["data_score"],
            model_score=found["model_score"],
            score_space=self.space,
            features=features,
            noisy=self.noisy,
            batch_coupled=architecture.batch_coupled,
            **dict(self.more),
        )


CASES = {
    "plain": Case(),
    "r1r2, exact, affine": Case(penalties=("r1r2",), data_score="exact", model_score="affine"),
    "learned scores": Case(penalties=("gp",), data_score="dsm(width=6)", model_score="dsm(width=6)", noisy=True),
    "sliced and autoencoder": Case("nwj", data_score="dae(width=6)", model_score="ssm(width=6)"),
    "kernels": Case("jsd", data_score="stein", model_score="ssge"),
    "features": Case("nonsaturating", ("sgp",), data_score="dsm(width=6)", space="features"),
    "features, autoencoder": Case("nonsaturating", ("sgp",), data_score="dae(width=6)", space="features"),
    "features, published": Case(
        "nonsaturating", ("gp",), data_score="dae(network=published, depth=2)", space="features"
    ),
    "noise": Case(
        "relativistic", ("r1r2", "sgp(measure=anchor)"), noisy=True, model_score="noise_posterior(sigma=0.3)"
    ),
    "clipped scores": Case(data_score="exact", model_score="affine", more=(("score_clip", 0.5),)),
    "uniform latents": Case("hinge", ("spectral",), more=(("latent_law", Uniform()),)),
    "images": Case("least_squares", ("r1",), data_score="dsm(width=6)", shape=(1, 8, 8)),
    "batch norm": Case("rkl", network="dcgan(width=2, batchnorm=true)", shape=(1, 8, 8)),
}


def drawn(draw: Draw, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    size = (*shape, *draw.shape)
    if draw.kind in ("real", "normal"):
        return torch.randn(size, dtype=F64, generator=generator)
    u = torch.rand(size, dtype=F64, generator=generator)
    return u if draw.kind == "uniform" else (u - 0.5).sign()


def batches(game: GAN, leading: tuple[int, ...] = (ROWS,), seed: int = 0) -> dict[str, dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    return {p: {n: drawn(d, leading, generator) for n, d in game.draws[p].items()} for p in game.players}


def weights(game: GAN, **more: float) -> Tensors:
    penalties = {p.name: p.weight(0.0) for p in game.penalties if isinstance(p, InputGradientPenalty)}  # type: ignore[operator]
    return numbers(**{"lambda_likelihood": -0.4, "lambda_entropy": 0.7, "noise": 0.3, **penalties, **more})


def buffers_of(game: GAN) -> dict[str, Tensors]:
    return {p: {n: b.detach().clone() for n, b in game.nets[p].named_buffers()} for p in game.players}


class Recorded(Mapping[str, Tensor]):
    """A batch that remembers what was read."""

    def __init__(self, values: Mapping[str, Tensor]):
        self.values_, self.read = values, set[str]()

    def __getitem__(self, key: str) -> Tensor:
        self.read.add(key)
        return self.values_[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.values_)

    def __len__(self) -> int:
        return len(self.values_)


@pytest.mark.parametrize("name", CASES)
def test_losses_are_pure(name: str) -> None:
    """The contract: same inputs, same value; no parameter's .grad, no buffer, no batch and no global random number
    changes."""
    game = CASES[name].made()
    given, coefficients = batches(game), weights(game)
    before = {p: {n: v.clone() for n, v in game.nets[p].state_dict().items()} for p in game.players}
    copies = {p: {n: v.clone() for n, v in batch.items()} for p, batch in given.items()}
    state = torch.get_rng_state()
    for player in game.players:
        first = game.loss(player, game.nets, given[player], coefficients)
        again = game.loss(player, game.nets, given[player], coefficients)
        assert first.shape == ()
        assert first.dtype == F64
        assert first.isfinite()
        assert first == again
        bound = game.loss(player, bind(game.nets, all_own(game), buffers_of(game)), given[player], coefficients)
        torch.testing.assert_close(bound, first, rtol=1e-14, atol=1e-14)
        torch.autograd.grad(first, list(game.nets[player].parameters()), allow_unused=True)
    assert (torch.get_rng_state() == state).all()
    for p in game.players:
        assert all(v.grad is None for v in game.nets[p].parameters())
        assert all((v == before[p][n]).all() for n, v in game.nets[p].state_dict().items())
        assert all((v == copies[p][n]).all() for n, v in given[p].items())


@pytest.mark.parametrize("name", CASES)
def test_a_population_is_its_members(name: str) -> None:
    """Losses and gradients of three stacked members are those of three single evaluations, to 1e-12."""
    game, members = CASES[name].made(), 3
    generator = torch.Generator().manual_seed(5)
    stack = {p: {n: torch.stack([v] * members) for n, v in tree.items()} for p, tree in all_own(game).items()}
    stack = {
        p: {n: v + 0.2 * torch.randn(v.shape, dtype=F64, generator=generator) for n, v in tree.items()}
        for p, tree in stack.items()
    }
    buffers = {p: {n: torch.stack([b] * members) for n, b in tree.items()} for p, tree in buffers_of(game).items()}
    given = batches(game, (members, ROWS))
    coefficients = {n: torch.stack([v, v * 0.5, v * 0]) for n, v in weights(game).items()}
    optimizers = {p: SGD() for p in game.players}
    together, alone = Play(game, optimizers, population=True), Play(game, optimizers)
    state = together.start(stack, buffers)
    for player in game.players:
        losses, gradients = together.gradient(player, state, given[player], coefficients)
        for k in range(members):
            mine = alone.start(
                {p: {n: v[k] for n, v in tree.items()} for p, tree in stack.items()},
                {p: {n: b[k] for n, b in t.items()} for p, t in buffers.items()},
            )
            loss, single = alone.gradient(
                player, mine, {n: v[k] for n, v in given[player].items()}, {n: v[k] for n, v in coefficients.items()}
            )
            torch.testing.assert_close(losses[k], loss, rtol=1e-12, atol=1e-12)
            for n, g in single.items():
                torch.testing.assert_close(gradients[n][k], g, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", CASES)
def test_a_step_of_one_player_moves_nobody_else(name: str) -> None:
    """The critic's step sends nothing to the generator, and so for every pair of players."""
    game = CASES[name].made()
    play = Play(game, {p: SGD() for p in game.players})
    for player in game.players:
        state = play.start(all_own(game), buffers_of(game))
        before = state.clone()
        _, gradients = play.gradient(player, state, batches(game)[player], weights(game))
        assert set(gradients) == set(state.params[player])
        assert any(g.abs().max() > 0 for g in gradients.values())
        play.descend(player, state, gradients, numbers(**{f"lr.{player}": 0.1, "average": 0.9}))
        for other in game.players:
            same = all((v == before.params[other][n]).all() for n, v in state.params[other].items())
            assert same == (other != player)


@pytest.mark.parametrize("name", CASES)
def test_declared_draws_are_read(name: str) -> None:
    """Everything that a player declares in `draws` is read by its loss, and nothing else."""
    game = CASES[name].made()
    for player, batch in batches(game).items():
        seen = Recorded(batch)
        game.loss(player, game.nets, seen, weights(game))
        assert seen.read == set(batch), player


# ---- scores are constants


SCORED = {n: c for n, c in CASES.items() if c.data_score or c.model_score}


@pytest.mark.parametrize("name", SCORED)
def test_no_gradient_through_a_score(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Section 5: both factors of S are detached. The generator's gradient is the finite difference with every S
    frozen at its value, it differs from the one with S alive, and no score network receives any."""
    game = SCORED[name].made()
    batch, coefficients = batches(game)["generator"], weights(game)
    frozen: list[Tensor] = []
    surrogate = annealing.surrogate

    def remember(x: Tensor, s: Tensor) -> Tensor:
        frozen.append(s.detach())
        return surrogate(x, s)

    monkeypatch.setattr(annealing, "surrogate", remember)
    params = all_own(game)
    loss = game.loss("generator", bind(game.nets, params, buffers_of(game)), batch, coefficients)
    count = len(frozen)
    assert count == (game.data_score is not None) + (game.model_score is not None)

    moved = {p: {n: v.requires_grad_() for n, v in tree.items()} for p, tree in params.items()}
    loss = game.loss("generator", bind(game.nets, moved, buffers_of(game)), batch, coefficients)
    for player in set(game.players) - {"critic", "generator"}:
        found = torch.autograd.grad(loss, list(moved[player].values()), retain_graph=True, allow_unused=True)
        assert all(g is None or (g == 0).all() for g in found)
    gradients = torch.autograd.grad(loss, list(moved["generator"].values()))

    turn = iter(())
    monkeypatch.setattr(annealing, "surrogate", lambda x, s: surrogate(x, next(turn)))
    generator = torch.Generator().manual_seed(2)
    h = 1e-6
    for _ in range(3):
        way = [torch.randn(g.shape, dtype=F64, generator=generator) for g in gradients]
        ends = []
        for sign in (1, -1):
            turn = iter(frozen[:count])
            shifted = {n: v.detach() + sign * h * d for (n, v), d in zip(moved["generator"].items(), way, strict=True)}
            ends.append(
                game.loss(
                    "generator",
                    bind(game.nets, {**params, "generator": shifted}, buffers_of(game)),
                    batch,
                    coefficients,
                ).item()
            )
        slope = sum((g * d).sum() for g, d in zip(gradients, way, strict=True))
        assert isinstance(slope, Tensor)
        assert math.isclose((ends[0] - ends[1]) / (2 * h), slope.item(), rel_tol=1e-6, abs_tol=1e-7)


def test_signs_and_sums_of_the_regularisers() -> None:
    """L_G = L_objective - lambda_L R[s_mu] + lambda_E R[s_rho], R a mean over examples of a sum over coordinates: by
    hand on three points."""
    game = gan(
        "rkl", Quadratic(2), Affine(d=2), 2, data_score=exact(lambda x: -3 * x), model_score=exact(lambda x: 5 + 0 * x)
    )
    z = torch.tensor([[1.0, 2.0], [0.0, -1.0], [3.0, 0.5]], dtype=F64)
    loss = game.loss("generator", game.nets, {"z": z}, numbers(lambda_likelihood=0.5, lambda_entropy=-0.2))
    by_hand = -0.5 * (-3 * (1 + 4 + 0 + 1 + 9 + 0.25) / 3) + -0.2 * (5 * (1 + 2 + 0 - 1 + 3 + 0.5) / 3)
    assert math.isclose(loss.item(), by_hand, rel_tol=1e-12)


def test_feature_space_speaks_of_features() -> None:
    """In feature space the pull on x is J_f' S(f(x)): with f(x) = M x and S(f) = -f the regulariser's gradient is
    that of E|Mx|^2/2."""
    m = torch.tensor([[1.0, 0.5], [-0.3, 2.0], [0.7, 0.1]], dtype=F64)

    class Linear(nn.Module):
        def forward(self, x: Tensor, features: bool = False) -> Any:
            return (x[:, 0] * 0, x @ m.T) if features else x[:, 0] * 0

    game = gan(
        "rkl", Linear(), Affine(1.3, 0.4, 2), 2, data_score=exact(lambda f: -f), score_space="features", features=3
    )
    z = torch.randn(50, 2, dtype=F64, generator=torch.Generator().manual_seed(0))

    def loss(params: Tensors) -> Tensor:
        return game.loss(
            "generator",
            bind(game.nets, {"critic": {}, "generator": params}, {}),
            {"z": z},
            numbers(lambda_likelihood=0.5),
        )

    def half_square(params: Tensors) -> Tensor:
        x = params["a"] * z + params["b"]
        return 0.5 * (x @ m.T).square().sum(1).mean() / 2

    at = all_own(game)["generator"]
    found, truth = torch.func.grad(loss)(at), torch.func.grad(half_square)(at)
    for n in at:
        torch.testing.assert_close(found[n], truth[n], rtol=1e-12, atol=1e-12)


# ---- noise


def test_noise_enters_data_and_samples() -> None:
    """x + noise e on both sides, in values and at the penalty's points: the loss is that of the noiseless game on
    shifted batches."""
    noise = 0.3
    for objective in ("rkl", "relativistic"):
        penalties = tuple(PENALTIES.build(p) for p in ("r1r2", "gp"))
        made = [
            gan(objective, Quadratic(2), Affine(d=2), 2, penalties=penalties, noisy=noisy) for noisy in (True, False)
        ]
        params = all_own(made[0])
        params["critic"] = {
            n: p + torch.randn(p.shape, dtype=F64, generator=torch.Generator().manual_seed(1))
            for n, p in params["critic"].items()
        }
        noisy = batches(made[0])
        for player in made[0].players:
            batch = noisy[player]
            shifted = {
                n: v + noise * batch[f"{n}.noise"] if n in ("real", "z") and f"{n}.noise" in batch else v
                for n, v in batch.items()
            }
            nets = bind(made[0].nets, params, {})
            losses = [
                game.loss(player, nets, b, weights(game, noise=noise))
                for game, b in zip(made, (batch, shifted), strict=True)
            ]
            torch.testing.assert_close(losses[0], losses[1], rtol=1e-12, atol=1e-12)
            quiet = made[0].loss(player, nets, batch, weights(made[0], noise=0.0))
            torch.testing.assert_close(
                quiet, made[1].loss(player, nets, batch, weights(made[1])), rtol=1e-12, atol=1e-12
            )
            assert quiet != losses[0]


def pull(game: GAN, batch: Mapping[str, Tensor], **coefficients: float) -> float:
    """Minus the gradient of the generator's loss in its scale a."""
    params = all_own(game)

    def loss(mine: Tensors) -> Tensor:
        return game.loss(
            "generator", bind(game.nets, {**params, "generator": mine}, {}), batch, numbers(**coefficients)
        )

    return -torch.func.grad(loss)(params["generator"])["a"].item()


def noisy_batch(n: int = 60) -> dict[str, Tensor]:
    q = quantiles(n)
    z, e = q.repeat_interleave(n, 0), q.repeat(n, 1)
    return {"z": z, "z.noise": e, "real": z, "real.noise": e}


def test_a_model_score_of_samples_is_of_the_noisy_law() -> None:
    """x = a z + .5 e is N(0, a^2 + .25): the entropy's push on a is a/(a^2 + .25)."""
    game = gan("rkl", Quadratic(), Affine(1.3), noisy=True, model_score=affine(1e-12))
    assert math.isclose(pull(game, noisy_batch(), lambda_entropy=1.0, noise=0.5), 1.3 / (1.69 + 0.25), rel_tol=1e-9)


def test_a_data_score_of_samples_is_of_the_noisy_law() -> None:
    """Data N(0, 1) with noise .5 are N(0, 1.25) to the critic; the likelihood's pull on a must be -a/1.25 for beta
    to be what it is called."""
    game = gan("rkl", Quadratic(), Affine(1.3), noisy=True, data_score=affine(1e-12))
    assert math.isclose(pull(game, noisy_batch(), lambda_likelihood=1.0, noise=0.5), -1.3 / 1.25, rel_tol=1e-9)


# ---- every objective with every penalty


PENALTY_TABLE = (None, "r1", "r2", "r1r2", "gp", "sgp", "sgp(measure=anchor)", "sgp(measure=data)", "roth", "dragan",
                 "spectral", "clip")  # fmt: skip
ELSEWHERE = {"lecam", "nk", "jare", "consensus", "coverage", "isometry"}
"""Penalties that are more than a term of the critic's loss: tests/penalties/."""


@pytest.mark.parametrize("objective", tuple(OBJECTIVES))
def test_every_objective_with_every_penalty(objective: str) -> None:
    """One table: finite losses and gradients for every pair, every player, with scores for both regularisers."""
    assert {str(p).split("(")[0] for p in PENALTY_TABLE if p} == set(PENALTIES) - ELSEWHERE
    for penalty in PENALTY_TABLE:
        game = Case(objective, (penalty,) if penalty else (), "dsm(width=4)", "affine").made()
        play = Play(game, {p: SGD() for p in game.players})
        state = play.start(all_own(game), buffers_of(game))
        for player, batch in batches(game).items():
            loss, gradients = play.gradient(player, state, batch, weights(game))
            assert loss.isfinite(), (penalty, player)
            assert all(g.isfinite().all() for g in gradients.values()), (penalty, player)
            play.descend(player, state, gradients, numbers(**{f"lr.{player}": 0.01, "average": 0.9}))
        assert all(v.isfinite().all() for tree in state.params.values() for v in tree.values())


@pytest.mark.parametrize("penalty", ["r1", "gp", "r1r2", "sgp"])
def test_penalties_of_a_constant_critic_have_finite_gradients(penalty: str) -> None:
    """At grad y = 0, where a norm has no derivative."""
    game = gan("wasserstein", Quadratic(2), Affine(d=2), 2, penalties=(PENALTIES.build(penalty),))
    play = Play(game, {p: SGD() for p in game.players})
    _, gradients = play.gradient(
        "critic", play.start(all_own(game), buffers_of(game)), batches(game)["critic"], weights(game)
    )
    assert all(g.isfinite().all() for g in gradients.values())


@pytest.mark.parametrize(
    "penalties", [(), ("r1",), ("r2",), ("r1r2",), ("gp",), ("r1", "gp"), ("r2", "sgp(measure=anchor)")]
)
def test_shared_passes_change_nothing(penalties: tuple[str, ...]) -> None:
    """For a critic that treats examples separately, data and model may share a pass: the loss is that of separate
    passes."""
    shared = Case(penalties=penalties).made()
    apart = replace(shared, batch_coupled=True)
    batch = batches(shared)["critic"]
    found = [game.loss("critic", shared.nets, batch, weights(shared)) for game in (shared, apart)]
    torch.testing.assert_close(found[0], found[1], rtol=1e-12, atol=1e-12)


def test_a_batch_normalised_critic_sees_data_and_model_apart() -> None:
    """With `batch_coupled` the critic's statistics are those of one law at a time."""
    game = CASES["batch norm"].made()
    assert game.batch_coupled
    batch = batches(game)["critic"]
    with torch.no_grad():
        real, fake = game.nets["critic"](batch["real"]), game.nets["critic"](game.nets["generator"](batch["z"]))
        truth = game.objective.critic_loss(real, fake)
        torch.testing.assert_close(game.loss("critic", game.nets, batch, weights(game)), truth, rtol=1e-12, atol=1e-12)
        mixed = replace(game, batch_coupled=False).loss("critic", game.nets, batch, weights(game))
    assert (mixed - truth).abs() > 1e-3


def test_a_lazy_penalty_is_absent_between() -> None:
    """Without its coefficient a penalty costs and changes nothing."""
    game, plain = Case(penalties=("r1r2(gamma=5)",)).made(), Case().made()
    batch = batches(plain)["critic"]
    without = {n: v for n, v in weights(game).items() if n != "r1r2"}
    assert game.loss("critic", game.nets, batch, without) == plain.loss("critic", game.nets, batch, without)
    assert game.loss("critic", game.nets, batch, weights(game)) > game.loss("critic", game.nets, batch, without)


def test_latent_laws() -> None:
    """`z` is standard normal, or uniform on [-1, 1] made of a uniform draw on [0, 1]."""
    for law, kind in ((Normal(), "normal"), (Uniform(), "uniform")):
        game = gan("wasserstein", Function(lambda x: x[:, 0]), Affine(), latent_law=law)
        assert game.draws["generator"]["z"].kind == kind
        z = torch.tensor([[0.0], [0.25], [1.0]], dtype=F64)
        loss = game.loss("generator", game.nets, {"z": z}, numbers())
        assert math.isclose(loss.item(), -(z if kind == "normal" else 2 * z - 1).mean().item(), abs_tol=1e-12)


# ---- noise posterior


@pytest.mark.parametrize("d", [1, 2])
def test_noise_posterior_in_the_game(d: int) -> None:
    """The model's score from the batch's own centres, against the exact one of N(0, (1 + sigma^2) I): its mean push
    and its bias."""
    sigma, rows = 0.3, 1024
    game = gan("rkl", Quadratic(d), Affine(1.0, d=d), d, noisy=True, model_score=noise_posterior(sigma))
    pushes = []
    for seed in range(4):
        generator = torch.Generator().manual_seed(seed)
        z, e = torch.randn(2, rows, d, dtype=F64, generator=generator)
        pushes.append(pull(game, {"z": z, "z.noise": e}, lambda_entropy=1.0, noise=sigma))
    assert math.isclose(sum(pushes) / 4, d / (1 + sigma**2), rel_tol=0.15)


def test_clipped_scores() -> None:
    """Exact where |S| <= most, of length `most` beyond and in the same direction, per example; no trouble at S = 0."""
    s = torch.tensor([[[0.3, 0.4]], [[3.0, 4.0]], [[0.0, 0.0]]], dtype=F64)
    truth = torch.tensor([[[0.3, 0.4]], [[1.2, 1.6]], [[0.0, 0.0]]], dtype=F64)
    torch.testing.assert_close(annealing.clip_norm(s, 2.0), truth, rtol=1e-14, atol=0)
    assert torch.func.grad(lambda v: annealing.clip_norm(v, 2.0).sum())(s).isfinite().all()
