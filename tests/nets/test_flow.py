"""Flows: an exact density of what they make, both ways, in both kinds; and the generator that starts at the latent
law."""

import math

import pytest
import torch
from torch import Tensor
from torch.func import functional_call, jacrev, stack_module_state, vmap

from ganneal.errors import UsageError
from ganneal.nets import Flow, Generator, build

CASES = [("affine", 2), ("affine", 5), ("spline", 1), ("spline", 2), ("spline", 5)]


def made(kind: str, dim: int) -> Flow:
    torch.manual_seed(0)
    flow = Flow(dim, kind, 3, 8).double()
    for p in flow.parameters():
        p.data.add_(0.3 * torch.randn_like(p))
    return flow


@pytest.mark.parametrize(("kind", "dim"), CASES)
def test_the_density_is_that_of_the_map(kind: str, dim: int) -> None:
    """log q(G(z)) = log N(z; 0, I) - log |det dG/dz|, by the Jacobian, and the same from x alone."""
    flow = made(kind, dim)
    z = torch.randn(7, dim, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    x, log_q = flow(z, density=True)
    for row in range(len(z)):
        jacobian = jacrev(lambda v: flow(v[None])[0])(z[row])
        expected = -z[row].square().sum() / 2 - dim * math.log(2 * math.pi) / 2 - torch.linalg.slogdet(jacobian)[1]
        assert float(log_q[row].detach()) == pytest.approx(float(expected.detach()), abs=1e-8)
    assert torch.allclose(flow(x, inverse=True), log_q, atol=1e-6)
    assert torch.equal(flow(z), x)


@pytest.mark.parametrize("kind", ["affine", "spline"])
def test_the_density_integrates_to_one(kind: str) -> None:
    flow = made(kind, 2)
    grid = torch.linspace(-14, 14, 701, dtype=torch.float64)
    points = torch.cartesian_prod(grid, grid)
    with torch.no_grad():
        mass = flow(points, inverse=True).exp().sum() * (grid[1] - grid[0]) ** 2
    assert float(mass) == pytest.approx(1, abs=5e-3)


@pytest.mark.parametrize(("kind", "dim"), CASES)
def test_a_fresh_flow_is_near_the_identity(kind: str, dim: int) -> None:
    torch.manual_seed(0)
    flow, z = Flow(dim, kind, 6, 32), torch.randn(64, dim)
    assert float((flow(z) - z).abs().max()) < (1.0 if dim < 3 else 6.0)  # coordinates are permuted beyond two
    assert float((flow(z, density=True)[1] + (z.square() + math.log(2 * math.pi)).sum(1) / 2).abs().max()) < 0.5


@pytest.mark.parametrize("kind", ["affine", "spline"])
def test_flows_stack(kind: str) -> None:
    flows = [Flow(2, kind, 2, 8).double() for _ in range(3)]
    params, buffers = stack_module_state(flows)
    z = torch.randn(3, 5, 2, dtype=torch.float64)

    def one(p: dict[str, Tensor], b: dict[str, Tensor], z: Tensor) -> Tensor:
        return functional_call(flows[0], (p, b), (z,), {"density": True})[1]

    stacked = vmap(one)(params, buffers, z)
    for k, flow in enumerate(flows):
        torch.testing.assert_close(stacked[k], flow(z[k], density=True)[1])


@pytest.mark.parametrize(
    ("text", "latent", "shape", "said"),
    [
        ("flow(kind=cubic)", 2, (2,), "unknown kind 'cubic'"),
        ("flow(layers=0)", 2, (2,), "at least 1"),
        ("flow", 3, (2,), "latent=2"),
        ("flow", 64, (1, 8, 8), "use mlp"),
        ("flow(kind=affine)", 1, (1,), "use kind=spline"),
        ("mlp(skip=true)", 1, (2,), "at least 2 latent"),
    ],
)
def test_what_does_not_fit(text: str, latent: int, shape: tuple[int, ...], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        build(text).generator(latent, shape)


def test_a_skipping_generator_starts_at_the_latent_law() -> None:
    generator, z = Generator(5, (3,), 8, 2, skip=True), torch.randn(4, 5)
    assert torch.equal(generator(z), z[:, :3])
    assert not torch.equal(Generator(5, (3,), 8, 2)(z), z[:, :3])
