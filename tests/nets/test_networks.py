"""Every network: shapes, float64, gradients, no buffers, and the same numbers under `vmap` as in a loop."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from ganneal.errors import UsageError
from ganneal.nets import (
    MLP,
    NETWORKS,
    Architecture,
    BatchNorm,
    DCGANGenerator,
    Denoiser,
    FeatureDenoiser,
    Field,
    ScoreMLP,
    ScoreUNet,
    build,
)

ARCHITECTURES = {
    "table": ("mlp(width=8, depth=2)", (3,)),
    "linear critic": ("mlp(width=8, depth=1, activation=silu)", (2,)),
    "digits": ("mlp(width=8)", (1, 8, 8)),
    "dcgan 8": ("dcgan(width=4)", (1, 8, 8)),
    "dcgan 28": ("dcgan(width=4)", (1, 28, 28)),
    "dcgan cropped": ("dcgan(width=4, batchnorm=true)", (2, 18, 26)),
    "dcgan 64": ("dcgan(width=2)", (3, 64, 64)),
    "residual 8": ("residual(width=4)", (1, 8, 8)),
    "residual 28": ("residual(width=4)", (1, 28, 28)),
}

FIELDS: dict[str, tuple[Callable[[], nn.Module], tuple[tuple[int, ...], ...]]] = {
    "mlp": (lambda: MLP(3, 2, 8, 2), ((3,),)),
    "field": (lambda: Field((1, 4, 4), 8), ((1, 4, 4),)),
    "denoiser": (lambda: Denoiser((3,), 8), ((3,),)),
    "feature denoiser": (lambda: FeatureDenoiser(6, 3), ((6,),)),
    "score mlp": (lambda: ScoreMLP((2,), 8), ((2,), ())),
    "score mlp image": (lambda: ScoreMLP((1, 4, 4), 8), ((1, 4, 4), ())),
    **{f"unet {n}": (lambda n=n: ScoreUNet((2, n, n), 4), ((2, n, n), ())) for n in (8, 13, 28, 64)},  # type: ignore[misc]
}


def check(make: Callable[[], nn.Module], *inputs: Tensor) -> Tensor:
    """The output of one network, after the checks that hold for all of them. `inputs` are float64."""
    nets = [make().double() for _ in range(2)]
    outputs = [net(*inputs) for net in nets]
    assert outputs[0].dtype == torch.float64
    assert not list(nets[0].buffers())

    params, _ = stack_module_state(nets)
    stacked = vmap(lambda p: functional_call(nets[0], p, inputs))({k: v.detach() for k, v in params.items()})
    torch.testing.assert_close(stacked, torch.stack(outputs), rtol=1e-9, atol=1e-9)

    outputs[0].square().sum().backward()
    silent = {name for name, p in nets[0].named_parameters() if p.grad is None or not p.grad.abs().sum() > 1e-12}
    if hasattr(nets[0], "blocks"):  # biases that the generator's last norm takes out again
        silent -= {f"blocks.{len(nets[0].blocks) - 1}.{part}.bias" for part in ("second", "shortcut")}
    assert not silent
    return outputs[0].detach()


@pytest.mark.parametrize("case", ARCHITECTURES)
def test_generator_and_critic_fit_the_shape(case: str) -> None:
    torch.manual_seed(0)
    text, shape = ARCHITECTURES[case]
    architecture = build(text)
    assert isinstance(architecture, Architecture)
    z = torch.randn(6, 5, dtype=torch.float64)
    x = check(lambda: architecture.generator(5, shape), z)
    assert x.shape == (6, *shape)
    assert len(shape) != 3 or x.abs().max() <= 1
    assert check(lambda: architecture.critic(shape), torch.randn(6, *shape, dtype=torch.float64)).shape == (6,)
    critic = architecture.critic(shape)
    logit, features = critic(x.float(), features=True)
    torch.testing.assert_close(logit, critic(x.float()))
    assert features.shape[0] == 6
    assert features.dim() == 2


@pytest.mark.parametrize("case", ARCHITECTURES)
def test_only_batch_coupled_critics_couple_the_batch(case: str) -> None:
    torch.manual_seed(1)
    text, shape = ARCHITECTURES[case]
    architecture = build(text)
    critic, x = architecture.critic(shape), torch.randn(6, *shape)
    alone = torch.allclose(critic(x)[:3], critic(x[:3]), atol=1e-6)
    assert alone is not architecture.batch_coupled


@pytest.mark.parametrize("case", FIELDS)
def test_other_networks(case: str) -> None:
    torch.manual_seed(2)
    make, shapes = FIELDS[case]
    x, *sigma = [torch.rand(5, *shape, dtype=torch.float64) + 0.1 for shape in shapes]
    output = check(make, x, *sigma)
    assert output.shape == (x.shape if case != "mlp" else (5, 2))


@pytest.mark.parametrize("shape", [(3,), (3, 4, 5)])
@pytest.mark.parametrize("affine", [True, False])
def test_batch_norm_by_reference_rows(shape: tuple[int, ...], affine: bool) -> None:
    torch.manual_seed(3)
    norm, x = BatchNorm(3, scale=affine, shift=affine).double(), torch.randn(9, *shape, dtype=torch.float64)
    for p in norm.parameters():
        nn.init.normal_(p)
    torch.testing.assert_close(norm(x, reference=9), norm(x))
    alone = torch.cat([norm(torch.cat([x[:4], x[j : j + 1]]), reference=4)[4:] for j in range(4, 9)])
    torch.testing.assert_close(norm(x, reference=4)[4:], alone)
    assert len(list(norm.parameters())) == 2 * affine


@pytest.mark.parametrize(
    "make",
    [
        lambda: DCGANGenerator(4, (1, 8, 8), 4),
        lambda: build("residual(width=2)").generator(4, (1, 8, 8)),
        lambda: FeatureDenoiser(4),
    ],
)
def test_reference_rows_free_a_sample_from_its_batch(make: Callable[[], nn.Module]) -> None:
    torch.manual_seed(4)
    net, reference, z = make().double(), torch.randn(8, 4).double(), torch.randn(5, 4).double()
    batch = net(torch.cat([reference, z]), reference=8)[8:]
    single = net(torch.cat([reference, z[2:3]]), reference=8)[8:]
    torch.testing.assert_close(batch[2:3], single)
    assert not torch.allclose(net(z)[2:3], single)


def test_gaussian_start_of_the_score_networks() -> None:
    """With a silent body the networks predict the noise in N(0, I) data: eps_hat = sigma x / (1 + sigma^2)."""
    for net, shape in ((ScoreMLP((2,), 8), (2,)), (ScoreUNet((1, 8, 8), 4), (1, 8, 8))):
        for p in net.parameters():
            nn.init.zeros_(p)
        x, sigma = torch.randn(4, *shape), torch.tensor([0.02, 0.1, 0.5, 1.0])
        torch.testing.assert_close(
            net(x, sigma), x * (sigma / (1 + sigma**2)).reshape(-1, *[1] * len(shape)), msg=type(net).__name__
        )


@pytest.mark.parametrize(
    ("text", "shape"),
    [("dcgan", (3,)), ("dcgan", (1, 4, 4)), ("residual", (64,)), ("dcgan(published=true)", (3, 28, 28))],
)
def test_shapes_that_do_not_fit(text: str, shape: tuple[int, ...]) -> None:
    for make in (lambda: build(text).critic(shape), lambda: build(text).generator(8, shape)):
        with pytest.raises(UsageError):
            make()


@pytest.mark.parametrize(
    "text",
    [
        "mpl",
        "mlp(width=0)",
        "mlp(depth=-1)",
        "mlp(activation=tan)",
        "dcgan(width=3)",
        "dcgan(published=true, width=32)",
        "3",
    ],
)
def test_requests_that_make_no_sense(text: str) -> None:
    with pytest.raises(UsageError):
        build(text)


def test_every_registered_name_is_in_the_table() -> None:
    """Flows have tests of their own, in test_flow.py."""
    assert {text.split("(")[0] for text, _ in ARCHITECTURES.values()} == set(NETWORKS) - {"flow"}
