"""The unrolled generator's gradient: finite differences, the plain gradient at depth 0, and the gradient penalty that
it is to first order."""

from collections.abc import Mapping

import pytest
import torch
from linear_games import F64, Dirac, point_of, rates, run, started
from torch import Tensor, nn

from ganneal.dynamics import GAMES
from ganneal.game import Tensors, bind
from ganneal.objectives import OBJECTIVES
from ganneal.penalties import PENALTIES
from ganneal.solvers import SGD, Adam, Optimizer, Play, State, Unrolled
from ganneal.systems import GAN

LR, ROWS = 0.3, 6


@pytest.mark.parametrize("steps", [1, 3, 10])
@pytest.mark.parametrize("alpha", [0.02, 0.3])
def test_on_the_dirac_wgan_it_is_the_gradient_penalty(steps: int, alpha: float) -> None:
    """V = -psi theta, so that V + eta |dV/dpsi|^2 with eta = K alpha has the gradient -psi + 2 K alpha theta exactly;
    the critic's own step stays the plain one."""
    psi, theta, h = 0.7, -0.4, 0.05
    found = run(Unrolled(steps, lr=alpha), Dirac(logistic=False), torch.tensor([psi, theta], dtype=F64), 1, rates(h))
    expected = torch.tensor([psi - h * theta, theta - h * (-psi + 2 * steps * alpha * theta)], dtype=F64)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)


def game(objective: str = "jsd") -> GAN:
    torch.manual_seed(0)

    class Critic(nn.Sequential):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x)[:, 0]

    critic = Critic(nn.Linear(2, 5), nn.Tanh(), nn.Linear(5, 1)).double()
    generator = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double()
    return GAN(
        architectures={"critic": critic, "generator": generator},
        objective=OBJECTIVES.build(objective),
        penalties=(PENALTIES.build("r1r2(gamma=0.5)"),),
        shape=(2,),
        latent=3,
    )


def set_up(objective: str, optimizer: Optimizer) -> tuple[Play, State, tuple[dict[str, Tensor], ...], Tensors]:
    played = game(objective)
    play = Play(played, {p: optimizer for p in played.players})
    params = {p: {n: x.detach().clone() for n, x in net.named_parameters()} for p, net in played.nets.items()}
    state = play.start(params, {p: {} for p in played.players})
    noise = torch.Generator().manual_seed(1)

    def draw(width: int) -> Tensor:
        return torch.randn(ROWS, width, dtype=F64, generator=noise)

    batches: tuple[dict[str, Tensor], ...] = ({"real": draw(2), "z": draw(3)}, {"z": draw(3)})
    if played.objective.paired:
        batches[1]["real"] = draw(2)
    return play, state, batches, {**rates(LR), "r1r2": torch.tensor(0.5, dtype=F64)}


def by_hand(
    play: Play, state: State, theta: Tensors, batch: Mapping[str, Tensor], given: Tensors, solver: Unrolled
) -> tuple[Tensors, Tensor]:
    """(psi_K, L_G at psi_K) written with optimizers in place and autograd, for finite differences."""
    psi = {n: x.clone() for n, x in state.params["critic"].items()}
    own = play.optimizers["critic"]
    inner: Optimizer = SGD() if solver.inner == "sgd" else own if isinstance(own, Adam) else Adam()
    slots = inner.start(psi)
    if inner is own and solver.inner == "adam":
        slots = {k: {n: x.clone() for n, x in v.items()} for k, v in state.slots["critic"].items()}
    lr = torch.tensor(LR if solver.lr is None else solver.lr, dtype=F64)

    def loss(player: str, psi: Tensors) -> Tensor:
        return play.game.loss(player, bind(play.game.nets, {"critic": psi, "generator": theta}, {}), batch, given)

    for _ in range(solver.steps):
        leaves = {n: x.clone().requires_grad_() for n, x in psi.items()}
        gradients = torch.autograd.grad(loss("critic", leaves), list(leaves.values()))
        inner.descend(psi, dict(zip(psi, gradients, strict=True)), slots, lr)
    return psi, loss("generator", psi)


def loss_at(
    player: str, play: Play, psi: Tensors, theta: Tensors, batch: Mapping[str, Tensor], given: Mapping[str, Tensor]
) -> Tensor:
    """A player's loss at (psi, theta); without the penalty's weight in `given` the penalty is off."""
    nets = bind(play.game.nets, {"critic": psi, "generator": theta}, {})
    return play.game.loss(player, nets, batch, given).detach()


@pytest.mark.parametrize("objective", ["wasserstein", "jsd", "nonsaturating"])
@pytest.mark.parametrize("name", ["lq_uniform", "lq_wgan(dim=2)", "affine"])
def test_an_equilibrium_stays_where_it_is(name: str, objective: str) -> None:
    """Also where the critic's features do not vanish at the data: the data's term of V is needed for that."""
    problem = GAMES.build(name).build(objective).problem
    play, solver = problem.play(), Unrolled(5)
    state = problem.start(solver, play)
    problem.step(solver, play, state, {"critic": 0.1, "generator": 0.1})
    torch.testing.assert_close(problem.flat(state.params), problem.flat(), rtol=0, atol=1e-12)


CASES = {
    "one step": (Unrolled(1), SGD(), "jsd"),
    "three steps, not saturating": (Unrolled(3, lr=0.1), SGD(), "nonsaturating"),
    "paired": (Unrolled(2), SGD(), "relativistic"),
    "adam inside": (Unrolled(2, inner="adam", lr=0.05), SGD(), "jsd"),
    "adam inside and outside": (Unrolled(3, inner="adam"), Adam(0.5, 0.9, 1e-3), "jsd"),
    "sgd inside, adam outside": (Unrolled(2), Adam(), "wasserstein"),
}


@pytest.mark.parametrize("case", CASES)
def test_gradient_is_that_of_finite_differences(case: str) -> None:
    """Of L_G at psi_K held fixed, and of the whole value V through psi_K (K steps with the penalty, which is no part of
    V), at the same data and latents, in five directions."""
    solver, optimizer, objective = CASES[case]
    play, state, batches, given = set_up(objective, optimizer)
    if isinstance(optimizer, Adam):
        for _ in range(2):  # moments that are not 0
            solver.step(play, state, batches, given)
    fixed = {**batches[1], **batches[0]}
    slots = state.slots["critic"] if solver.inner == "adam" and isinstance(optimizer, Adam) else {}
    loss, gradients = play.gradient("generator", state, fixed, given, solver.objective(play), (slots,))
    theta = state.params["generator"]
    assert by_hand(play, state, theta, fixed, given, solver)[1].item() == pytest.approx(loss.item(), rel=1e-9)
    noise = torch.Generator().manual_seed(2)
    middle = by_hand(play, state, theta, fixed, given, solver)[0]
    for _ in range(5):
        d = {n: torch.randn(x.shape, dtype=F64, generator=noise) for n, x in theta.items()}
        ends = []
        for e in (1e-5, -1e-5):
            moved = {n: x + e * d[n] for n, x in theta.items()}
            psi = by_hand(play, state, moved, fixed, given, solver)[0]
            own = loss_at("generator", play, middle, moved, fixed, given)
            ends.append(own - loss_at("critic", play, psi, theta, fixed, rates(LR)))
        slope = (ends[0] - ends[1]).item() / 2e-5
        assert sum((gradients[n] * d[n]).sum() for n in d).item() == pytest.approx(slope, rel=2e-6, abs=1e-9)


def test_without_the_second_term_the_critic_is_fixed() -> None:
    """The plain gradient at psi_K, and another one than with the second term."""
    solver = Unrolled(3, second_term=False)
    play, state, batches, given = set_up("jsd", SGD())
    fixed = {**batches[1], **batches[0]}
    _, found = play.gradient("generator", state, fixed, given, solver.objective(play), ({},))
    psi, _ = by_hand(play, state, state.params["generator"], fixed, given, solver)
    ahead = State({**state.params, "critic": psi}, state.buffers, state.slots)
    _, plain = play.gradient("generator", ahead, fixed, given)
    _, full = play.gradient("generator", state, fixed, given, Unrolled(3).objective(play), ({},))
    for name in plain:
        torch.testing.assert_close(found[name], plain[name], rtol=1e-10, atol=1e-12)
    assert max((full[n] - plain[n]).abs().max() for n in plain) > 1e-3


@pytest.mark.parametrize("inner", ["sgd", "adam"])
def test_depth_0_is_the_plain_gradient_bit_by_bit(inner: str) -> None:
    play, state, batches, given = set_up("jsd", SGD())
    solver = Unrolled(0, inner="adam" if inner == "adam" else "sgd")
    loss, found = play.gradient("generator", state, batches[0], given, solver.objective(play), ({},))
    plain_loss, plain = play.gradient("generator", state, batches[0], given)
    assert torch.equal(loss, plain_loss)
    assert all(torch.equal(found[n], plain[n]) for n in plain)


def test_adam_inside_at_a_gradient_of_0() -> None:
    """A generator on the data gives the critic no gradient: the root of Adam's second moment is at 0, its derivative
    is kept finite."""
    found = run(Unrolled(2, inner="adam"), Dirac(), torch.tensor([0.3, 0.0], dtype=F64), 1, rates(0.1))
    assert found.isfinite().all()


def test_only_the_generator_is_changed() -> None:
    """The critic's step is that of simultaneous play from where it stood, and its moments count one step."""
    solver = Unrolled(4, inner="adam")
    play, state, batches, given = set_up("jsd", Adam())
    _, gradients = play.gradient("critic", state, batches[0], given)
    expected = state.clone()
    play.descend("critic", expected, gradients, given)
    solver.step(play, state, batches, given)
    for name, x in state.params["critic"].items():
        assert torch.equal(x, expected.params["critic"][name])
    assert state.slots["critic"]["count"]["steps"].item() == 1


def test_dirac_damping() -> None:
    """Where simultaneous steps spiral out the unrolled ones spiral in."""
    start = torch.tensor([0.5, 0.5], dtype=F64)
    play, state = started(Unrolled(5, lr=0.2), Dirac(), start)
    for _ in range(200):
        Unrolled(5, lr=0.2).step(play, state, ({}, {}), rates(0.1))
    assert point_of(state).norm() < 0.05 < start.norm()
