"""Densities of other libraries, as `Target`: `torch.distributions`, and objects with BridgeStan's interface."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ganneal.errors import UsageError
from ganneal.targets.target import Target
from ganneal.targets.user import Call, Given, called, recognised


def from_distribution(law: torch.distributions.Distribution, dim: int | None, name: str) -> Target:
    """A target from a continuous distribution on all of R^d with an empty batch shape: log Z = 0, with its sampler.

    Raises `UsageError` for discrete laws, for a support that is a part of R^d, and for batch shapes.
    """
    kind = type(law).__name__
    if law.batch_shape:
        raise UsageError(
            f"{name}: {kind} has batch shape {list(law.batch_shape)}, which is several laws; "
            f"for independent coordinates write torch.distributions.Independent(..., {len(law.batch_shape)})"
        )
    if len(law.event_shape) > 1:
        raise UsageError(f"{name}: {kind} has event shape {list(law.event_shape)}; allowed: [] or [d]")
    support = _or_none(lambda: law.support)
    inner = support
    while hasattr(inner, "base_constraint"):
        inner = inner.base_constraint
    if support is not None and not isinstance(inner, type(torch.distributions.constraints.real)):
        hint = "" if support.is_discrete else "; change variables with TransformedDistribution(.., biject_to(..).inv)"
        raise UsageError(f"{name}: {kind} lives on {support!r}; allowed: a density on all of R^d{hint}")
    d = law.event_shape[0] if law.event_shape else 1
    if dim is not None and dim != d:
        raise UsageError(f"{name}: {kind} has {d} dimensions, but dim={dim} was asked for")
    shaped = (lambda x: x) if law.event_shape else (lambda x: x[..., 0])

    def draw(n: int, generator: torch.Generator) -> Tensor:
        # distributions know the global generator only: it is set from ours, and put back
        seed = int(torch.randint(2**62, (), generator=generator, device=generator.device))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return law.sample((n,)).detach().cpu().double().reshape(n, d)

    density = recognised(lambda x: law.log_prob(shaped(x)), d, name)
    mean, variance = (_moment(law, key, d) for key in ("mean", "variance"))
    known = mean is not None and variance is not None and bool(variance.isfinite().all())
    return Target(
        name=name, dim=d, log_prob=density, log_z=0.0, mean=mean, variance=variance, draw=draw,
        centre=mean if known else None, scale=variance.sqrt() if known and variance is not None else None, opaque=True,
    )  # fmt: skip


def from_stan(model: Any, dim: int | None, name: str) -> Target:
    """A target from an object with `param_unc_num()` and `log_density_gradient(x [d]) -> (log u, gradient [d])`, the
    interface of BridgeStan (Roualdes et al. 2023): unconstrained parameters, Jacobian included.

    With `param_constrain(x)`, `embed` returns the constrained parameters. A RuntimeError of `log_density_gradient` is
    Stan's way of saying that the density is 0 there, and is read as log u = -inf.
    """
    d = int(called(model.param_unc_num, name))
    if dim is not None and dim != d:
        raise UsageError(f"{name}: the model has {d} unconstrained parameters, but dim={dim} was asked for")
    if d < 1:
        raise UsageError(f"{name}: the model has {d} unconstrained parameters; allowed: at least 1")

    def one(point: np.ndarray) -> tuple[float, np.ndarray]:
        try:
            return model.log_density_gradient(point)
        except RuntimeError:
            return -np.inf, np.zeros(d)

    def batch(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        pairs = [one(point) for point in x]
        return np.array([float(v) for v, _ in pairs]), np.array([np.asarray(g) for _, g in pairs]).reshape(-1, d)

    def embed(x: Tensor) -> Tensor:
        rows = [np.asarray(model.param_constrain(point)) for point in x.detach().cpu().double().numpy()]
        return torch.from_numpy(np.array(rows)).to(x)

    density = Given(Call(batch, name), name, d)
    return Target(
        name=name, dim=d, log_prob=density, opaque=True, embed=embed if hasattr(model, "param_constrain") else None
    )


def _moment(law: torch.distributions.Distribution, key: str, d: int) -> Tensor | None:
    value = _or_none(lambda: getattr(law, key))
    if value is None or bool(value.isnan().any()):
        return None
    return value.detach().cpu().double().reshape(d)


def _or_none(read: Callable[[], Any]) -> Any:
    """An attribute of a distribution, which may raise because this law does not have it."""
    try:
        return read()
    except (NotImplementedError, AttributeError):
        return None
