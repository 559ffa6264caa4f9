"""Kernel Stein discrepancy: Stein's identity by quadrature, the kernel by autograd, size, and power."""

import math

import numpy as np
import pytest
import torch

from ganneal.errors import UsageError
from ganneal.twosample import stein
from ganneal.twosample.stein import kernel_stein_discrepancy, ksd_test, stein_matrix


def radial(kernel: str, width: float = 1.3) -> stein.Radial:
    return stein._radial(kernel, width, torch.zeros(4, 3, dtype=torch.float64))[0]


@pytest.mark.parametrize("kernel", ["imq", "gaussian"])
def test_the_kernel_is_its_definition(kernel: str) -> None:
    """u = s's'' k + s'grad_y k + s''grad_x k + tr grad_x grad_y k, by automatic differentiation."""
    f = radial(kernel)
    x, y = torch.randn(2, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    sx, sy = -(x**3), -(y**3)

    def k(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return f((a - b).square().sum())[0]

    gradient_x, gradient_y = torch.func.grad(k, 0)(x, y), torch.func.grad(k, 1)(x, y)
    trace = torch.func.jacrev(torch.func.grad(k, 0), 1)(x, y).diagonal().sum()
    expected = sx @ sy * k(x, y) + sx @ gradient_y + sy @ gradient_x + trace
    assert float(stein_matrix(x[None], sx[None], y[None], sy[None], f)) == pytest.approx(float(expected), rel=1e-10)


@pytest.mark.parametrize("kernel", ["imq", "gaussian"])
def test_stein_identity_by_quadrature(kernel: str) -> None:
    """E_p u(x, y) = 0 for every y, for a double well and its score."""
    x = torch.linspace(-4, 4, 4001, dtype=torch.float64)[:, None]
    density = torch.exp(-((x**2 - 1) ** 2) * 2)
    density /= density.sum()
    y = torch.tensor([[-1.2], [0.1], [2.0]], dtype=torch.float64)
    u = stein_matrix(x, -8 * x * (x**2 - 1), y, -8 * y * (y**2 - 1), radial(kernel))
    assert (density * u).sum(0).abs().max() < 1e-9
    wrong = stein_matrix(x, 8 * x * (x**2 - 1), y, -8 * y * (y**2 - 1), radial(kernel))
    assert (density * wrong).sum(0).abs().max() > 0.1


@pytest.mark.parametrize("n", [30, 100])
def test_size_under_the_null(n: int) -> None:
    generator = torch.Generator().manual_seed(n)
    hits = sum(
        ksd_test(torch.randn(n, 2, generator=generator), lambda v: -v, permutations=99, seed=s).rejected
        for s in range(400)
    )
    assert hits / 400 <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 400)


def test_power_for_shift_and_scale_and_nothing_for_the_truth() -> None:
    x = torch.randn(200, 2, generator=torch.Generator().manual_seed(0))
    assert not ksd_test(x, lambda v: -v).rejected
    assert ksd_test(x + 0.4, lambda v: -v).rejected
    assert ksd_test(1.5 * x, lambda v: -v).rejected
    assert ksd_test(x, -x.double()).statistic == ksd_test(x, lambda v: -v).statistic


def test_the_result_says_what_does_not_fit() -> None:
    x = torch.randn(100, 2, generator=torch.Generator().manual_seed(0))
    fits = ksd_test(x, lambda v: -v)
    assert fits.sentence().startswith("No misfit of sample and density found (p = ")
    x[[7, 30]] = torch.tensor([[4.0, 4.0], [4.2, 4.0]])
    found = ksd_test(x, lambda v: -v)
    assert set(found.details["worst"][:2]) == {7, 30}
    moved = ksd_test(x + 0.6, lambda v: -v)
    assert moved.sentence() == "The sample does not come from the density (p = 0.001 at level 0.05, 100 samples)."


def test_the_statistic_is_unbiased_and_tiles_do_not_change_it(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.randn(50, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    u = stein_matrix(x, -x, x, -x, radial("imq", 1.0))
    expected = float((u.sum() - u.diagonal().sum()) / (50 * 49))
    assert kernel_stein_discrepancy(x, -x, bandwidth=1.0) == pytest.approx(expected, rel=1e-9)
    monkeypatch.setattr(stein, "TILE", 7)
    assert kernel_stein_discrepancy(x, -x, bandwidth=1.0) == pytest.approx(expected, rel=1e-9)
    draws = [
        kernel_stein_discrepancy(torch.randn(20, 1, generator=torch.Generator().manual_seed(s)), lambda v: -v)
        for s in range(400)
    ]
    assert abs(np.mean(draws)) < 4 * np.std(draws) / 20


def test_a_markov_chain_needs_the_sign_process() -> None:
    """States of an autoregression with the right law: independent signs reject far too often, slow ones do not."""

    def chain(seed: int) -> torch.Tensor:
        generator, states = torch.Generator().manual_seed(seed), [torch.zeros(1)]
        for _ in range(400):
            states.append(0.9 * states[-1] + math.sqrt(1 - 0.81) * torch.randn(1, generator=generator))
        return torch.stack(states[101:])

    rates = [
        np.mean([ksd_test(chain(s), lambda v: -v, permutations=99, change=c).rejected for s in range(60)])
        for c in (0.5, 0.02)
    ]
    assert rates[0] > 0.3
    assert rates[1] < 0.2


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"score": lambda v: v[:, 0]}, "that of x"),
        ({"score": lambda v: v / 0}, "not finite"),
        ({"kernel": "cosine"}, "imq"),
        ({"bandwidth": -1.0}, "positive"),
        ({"change": 0.9}, "at most 0.5"),
        ({"permutations": 3}, "at least 19"),
    ],
)
def test_wrong_requests_are_named(change: dict, words: str) -> None:
    arguments = {"score": lambda v: -v, **change}
    with pytest.raises(UsageError, match=words):
        ksd_test(torch.randn(10, 2), **arguments)
