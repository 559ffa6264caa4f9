"""Every registered score: tables and images, float32 and float64, gradients, and `vmap` over a population."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, stack_module_state, vmap

from ganneal.errors import UsageError
from ganneal.game import Draw
from ganneal.scores import SCORES, Exact, ScoreEstimator, build

TABLE, IMAGE = (2,), (1, 8, 8)
CASES = {
    "dsm(width=8)": (TABLE, IMAGE),
    "dsm(sigmas=0.1->2, at=0.5, width=4, network=conv)": (IMAGE,),
    "dae(sigma=0.5, width=8)": (TABLE, IMAGE),
    "dae(sigma=1, depth=3, network=published)": (TABLE,),
    "ssm(width=8)": (TABLE, IMAGE),
    "ssm(width=8, variance_reduced=false)": (TABLE,),
    "stein": (TABLE, IMAGE),
    "ssge(keep=0.95)": (TABLE, IMAGE),
    "affine": (TABLE, IMAGE),
    "exact": (TABLE, IMAGE),
    "noise_posterior(sigma=0.3)": (TABLE, IMAGE),
}
MEMBERS, ROWS = 2, 12


def made(text: str) -> ScoreEstimator:
    estimator = build(text)
    return replace(estimator, function=lambda x: -x) if isinstance(estimator, Exact) else estimator


def drawn(draw: Draw, dtype: torch.dtype) -> Tensor:
    size = (MEMBERS, ROWS, *draw.shape)
    if draw.kind == "normal":
        return torch.randn(size, dtype=dtype)
    u = torch.rand(size, dtype=dtype)
    return u if draw.kind == "uniform" else (u - 0.5).sign()


def test_every_registered_name_is_in_the_table() -> None:
    assert {text.split("(")[0] for text in CASES} == set(SCORES)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("text", "shape"), [(text, shape) for text, shapes in CASES.items() for shape in shapes])
def test_protocol(text: str, shape: tuple[int, ...], dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    estimator = made(text)
    assert isinstance(estimator, ScoreEstimator)
    x, samples = (torch.randn(MEMBERS, ROWS, *shape, dtype=dtype) for _ in range(2))
    tolerance = {"rtol": 1e-3, "atol": 1e-3} if dtype == torch.float32 else {"rtol": 1e-8, "atol": 1e-8}

    if not estimator.learned:
        assert estimator.network(shape) is None
        assert estimator.draws(shape) == {}
        stacked = vmap(lambda a, b: estimator.score(a, samples=b))(x, samples)
        loop = torch.stack([estimator.score(a, samples=b) for a, b in zip(x, samples, strict=True)])
        with pytest.raises(UsageError):
            estimator.loss(lambda y: y, x[0], {})
    else:
        nets: list[nn.Module] = []
        for _ in range(MEMBERS):
            net = estimator.network(shape)
            assert net is not None
            nets.append(net.to(dtype))
        noise = {key: drawn(draw, dtype) for key, draw in estimator.draws(shape).items()}
        params = {k: v.detach() for k, v in stack_module_state(nets)[0].items()}

        def loss(p: dict[str, Tensor], y: Tensor, n: dict[str, Tensor]) -> Tensor:
            return estimator.loss(lambda *a, **k: functional_call(nets[0], p, a, k), y, n)

        gradients = vmap(grad(loss))(params, x, noise)
        for i, net in enumerate(nets):
            value = estimator.loss(net, x[i], {k: v[i] for k, v in noise.items()})
            assert value.shape == ()
            assert value.isfinite()
            value.backward()
            for name, p in net.named_parameters():
                assert p.grad is not None
                torch.testing.assert_close(gradients[name][i], p.grad, **tolerance)

        def score(p: dict[str, Tensor], y: Tensor, s: Tensor) -> Tensor:
            return estimator.score(y, net=lambda *a, **k: functional_call(nets[0], p, a, k), samples=s)

        stacked = vmap(score)(params, x, samples)
        loop = torch.stack([estimator.score(x[i], net=nets[i], samples=samples[i]) for i in range(MEMBERS)]).detach()
        with pytest.raises(UsageError, match="needs net"):
            estimator.score(x[0])
    assert stacked.shape == x.shape
    assert stacked.dtype == dtype
    assert stacked.isfinite().all()
    torch.testing.assert_close(stacked, loop, **tolerance)


@pytest.mark.parametrize("text", ["stein", "ssge", "noise_posterior"])
def test_kernel_estimators_warn_above_five_dimensions(text: str) -> None:
    assert build(text).caution((5,)) is None
    assert "64 dimensions" in str(build(text).caution((1, 8, 8)))
    assert build("dsm").caution((1, 8, 8)) is None


def test_reference_rows_free_a_score_from_its_batch() -> None:
    torch.manual_seed(1)
    estimator = build("dae(network=published, depth=3)")
    net, x, samples = estimator.network((4,)), torch.randn(6, 4), torch.randn(9, 4)
    assert net is not None
    together = estimator.score(x, net=net, samples=samples)
    alone = estimator.score(x[2:3], net=net, samples=samples)
    torch.testing.assert_close(together[2:3], alone)


def test_stein_out_of_sample_extends_the_estimate_at_the_samples() -> None:
    torch.manual_seed(2)
    y = torch.randn(200, 1, dtype=torch.float64)
    estimator = build("stein")
    here, again = estimator.score(y), estimator.score(y[:5] + 1e-3, samples=y)
    assert (here[:5] - again).abs().max() < 0.1 * here.abs().max()


@pytest.mark.parametrize(
    "text",
    [
        "dsm(sigmas=0.1)",
        "dsm(sigmas=0->1)",
        "dsm(at=3)",
        "dsm(network=cnov)",
        "dsm(width=0)",
        "dae(sigma=-1)",
        "dae(network=conv)",
        "ssm(depth=0)",
        "stein(eta=0)",
        "ssge(keep=1.5)",
        "noise_posterior(sigma=0)",
        "affine(jitter=0)",
        "dms",
    ],
)
def test_requests_that_make_no_sense(text: str) -> None:
    with pytest.raises(UsageError):
        build(text)


def test_networks_that_do_not_fit_the_shape() -> None:
    for text, shape in (("dsm(network=conv)", (2,)), ("dae(network=published)", (1, 8, 8))):
        with pytest.raises(UsageError):
            build(text).network(shape)
    with pytest.raises(UsageError, match="exact"):
        build("exact").score(torch.zeros(1, 2))
    assert math.isclose(build("dsm").at, 0.02)  # type: ignore[attr-defined]
