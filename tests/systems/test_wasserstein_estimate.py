"""The clipped critic's loss as an estimate of a distance (Arjovsky et al. 2017), where it is known. Float64."""

import pytest
import torch
from torch import Tensor, nn

from ganneal.data import open_source
from ganneal.engine.config import complete
from ganneal.engine.trainer import Trainer
from ganneal.game import bind
from ganneal.nets import Critic
from ganneal.objectives import OBJECTIVES
from ganneal.penalties import PENALTIES
from ganneal.solvers import OPTIMIZERS, Play
from ganneal.systems import GAN, MMDGame

F64 = torch.float64


class Shift(nn.Module):
    """z -> z + b."""

    def __init__(self, b: tuple[float, ...]):
        super().__init__()
        self.b = nn.Parameter(torch.tensor(b, dtype=F64))

    def forward(self, z: Tensor) -> Tensor:
        return z + self.b


@pytest.mark.parametrize("clip", [0.01, 0.3])
@pytest.mark.parametrize("shift", [(2.0,), (-0.5, 1.5, 0.25)])
def test_a_clipped_linear_critic_tells_the_gap_of_the_means(clip: float, shift: tuple[float, ...]) -> None:
    """-loss of the critic -> c sum |mean gap|: with weights at most c, every coordinate at its bound. The sign of the
    gap is told by the sign convention: high on data."""
    d = len(shift)
    torch.manual_seed(0)
    nets = {"critic": Critic((d,), depth=0).double(), "generator": Shift(shift)}
    game = GAN(nets, OBJECTIVES.build("wasserstein"), (PENALTIES.build(f"clip(bound={clip})"),), (d,), d)
    play = Play(game, dict.fromkeys(game.players, OPTIMIZERS.build("rmsprop")))
    params = {p: {n: v.detach().clone() for n, v in net.named_parameters()} for p, net in nets.items()}
    state = play.start(params, {p: {} for p in nets})
    generator = torch.Generator().manual_seed(1)
    zero = torch.zeros((), dtype=F64)
    coefficients = {
        "lambda_likelihood": zero, "lambda_entropy": zero, "noise": zero, "lr.critic": torch.tensor(0.01, dtype=F64)
    }  # fmt: skip
    z = torch.randn(64, d, generator=generator, dtype=F64)
    batch = {"real": z.flip(0), "z": z}  # equal samples apart from the shift, so that the gap is exact
    for _ in range(120):
        loss, gradients = play.gradient("critic", state, batch, coefficients)
        play.descend("critic", state, gradients, coefficients)
    loss, _ = play.gradient("critic", state, batch, coefficients)
    expected = clip * sum(map(abs, shift))
    assert -loss.item() == pytest.approx(expected, rel=1e-9)
    told = game.signs(bind(nets, state.params, {}), batch, coefficients)["distance"]
    assert told.item() == pytest.approx(expected, rel=1e-9)


def test_the_estimate_is_logged_for_witnesses_only() -> None:
    for options, name in (
        ({"recipe": "wgan-clip"}, "distance"),
        ({"system": "mmd"}, "distance"),
        ({"objective": "jsd"}, "gap"),
    ):
        source = open_source("ring8")
        trainer = Trainer(complete({"source": "ring8", "steps": 4, "batch": 8, **options}, "toy"), source)
        trainer.check(trainer.advance(1))
        assert {"gap", "distance"} & set(trainer.seen) == {name}


def test_the_distance_of_a_mean_embedding_is_its_statistic() -> None:
    torch.manual_seed(0)
    nets = {"critic": nn.Linear(2, 3).double(), "generator": Shift((1.0, 0.0))}
    game = MMDGame(nets, OBJECTIVES.build("wasserstein"), (), (2,), 2)
    z, x = torch.randn(2, 16, 2, dtype=F64)
    signs = game.signs(nets, {"z": z, "real": x}, {})
    assert signs["distance"].item() == pytest.approx(game.distance(nets, x, z + nets["generator"].b).item(), abs=1e-12)
