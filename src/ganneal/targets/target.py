"""The contract of an unnormalised density: log u(x) on R^d, and whatever is known exactly about u / Z."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ganneal.errors import UsageError

LogDensity = Callable[[Tensor], Tensor]
Draw = Callable[[int, torch.Generator], Tensor]


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Target:
    """mu = u / Z on R^d, with psi = -log u.

    name           canonical text form: `kidney`, `gaussian(dim=10)`
    dim            d, without constraints: particle systems live in coordinates of their zero-centre subspace
    log_prob       log u: x [b, d] -> [b] in the dtype and on the device of x; differentiable, each row by itself
    gradient       grad log u: x [b, d] -> [b, d], where it has a closed form; otherwise log_prob is differentiated
    log_z          log of the integral of u, where known
    mean, variance of each coordinate [d] float64, where known; inf where the moment does not exist
    membership     x [b, d] -> [b, k] in [0, 1], whose expectation under mu is `shares`: responsibilities of mixture
                   components, or indicators of wells. Columns need not sum to 1
    shares         [k] float64, exact
    members        names of the k columns, for tables
    modes          [k, d] float64, places of the modes for pictures, where there are few
    draw           exact sampler, draw(n, generator) -> float64 [n, d]; None where there is none
    reference      [n, d] float64: a stored long-run sample, where there is no exact sampler
    centre, scale  [d] float64, a frame in which a sampler starts: rough mean and standard deviation of the whole law,
                   None where they must be found by a pilot run
    embed          x [b, d] -> the user's coordinates [b, D], where those differ (particles: positions of all)
    opaque         log_prob is not pure torch (or not known to be): it is called as a black box with its gradient, never
                   compiled or vmapped
    """

    name: str
    dim: int
    log_prob: LogDensity
    gradient: Callable[[Tensor], Tensor] | None = None
    log_z: float | None = None
    mean: Tensor | None = None
    variance: Tensor | None = None
    membership: Callable[[Tensor], Tensor] | None = None
    shares: Tensor | None = None
    members: tuple[str, ...] = ()
    modes: Tensor | None = None
    draw: Draw | None = None
    reference: Tensor | None = None
    centre: Tensor | None = None
    scale: Tensor | None = None
    embed: Callable[[Tensor], Tensor] | None = None
    opaque: bool = False

    def __repr__(self) -> str:
        return f"<target {self.name}: {self.dim} dimensions>"

    def value_and_score(self, x: Float[Tensor, "b d"]) -> tuple[Float[Tensor, " b"], Float[Tensor, "b d"]]:
        """log u(x) and its gradient, both constants for differentiation: one evaluation of the target for each row."""
        if self.gradient is not None:
            x = x.detach()
            return self.log_prob(x).detach(), self.gradient(x).detach()
        if self.opaque:
            return _by_autograd(self.log_prob, x)
        value: Tensor
        value, pull = torch.func.vjp(self.log_prob, x.detach())  # type: ignore[misc]
        return value.detach(), pull(torch.ones_like(value))[0].detach()

    def score(self, x: Float[Tensor, "b d"]) -> Float[Tensor, "b d"]:
        """grad log u(x)."""
        return self.value_and_score(x)[1]

    def sample(self, n: int, generator: torch.Generator) -> Float[Tensor, "n d"]:
        """n exact samples, float64. Raises `UsageError` where the target has no exact sampler."""
        if self.draw is None:
            raise UsageError(f"{self.name}: has no exact sampler; use a reference from ganneal.diffusion")
        return self.draw(n, generator)


def _by_autograd(log_prob: LogDensity, x: Tensor) -> tuple[Tensor, Tensor]:
    """A black box and its gradient by ordinary backpropagation, whatever control flow it has inside."""
    with torch.enable_grad():
        leaf = x.detach().requires_grad_()
        value = log_prob(leaf)
        (gradient,) = torch.autograd.grad(value.sum(), leaf)
    return value.detach(), gradient
