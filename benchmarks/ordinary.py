"""The same games written the ordinary way: live modules, `optim.Adam`, `loss.backward()`, `.item()` at every step, and
the penalty by
`autograd.grad(create_graph=True)`. The opponent of benchmarks/steps.py; objective, networks, penalty and order of
steps are those of ganneal."""

from collections.abc import Callable

import torch
from torch import nn
from torch.nn.functional import softplus

from ganneal.data import Source


def ordinary_step(
    generator: nn.Module, critic: nn.Module, source: Source, batch: int, latent: int, gamma: float, lr: float = 2e-4
) -> Callable[[], None]:
    """One critic and one generator step of reverse KL with optional R1 on every step, eager."""
    g_optimizer = torch.optim.Adam(generator.parameters(), lr, betas=(0.5, 0.9))
    c_optimizer = torch.optim.Adam(critic.parameters(), lr, betas=(0.5, 0.9))
    order = torch.Generator().manual_seed(0)

    def step() -> None:
        real = source.sample(batch, order)
        fake = generator(torch.randn(batch, latent)).detach()
        c_optimizer.zero_grad()
        if gamma:
            real = real.requires_grad_().view_as(real)
        y_real, y_fake = critic(real), critic(fake)
        loss = softplus(-y_real).mean() + softplus(y_fake).mean()
        if gamma:
            (slope,) = torch.autograd.grad(y_real.sum(), real, create_graph=True)
            loss = loss + gamma / 2 * slope.square().flatten(1).sum(1).mean()
        loss.backward()
        c_optimizer.step()
        loss.item()

        g_optimizer.zero_grad()
        loss = -critic(generator(torch.randn(batch, latent))).mean()
        loss.backward()
        g_optimizer.step()
        loss.item()

    return step
