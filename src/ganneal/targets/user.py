"""Densities that a user brings, as `Target`: functions, `torch.distributions`, objects with BridgeStan's interface.

A function takes a batch x [b, d] and returns either log u [b] as a tensor that autograd can differentiate, or a pair
(log u [b], its gradient [b, d]) as NumPy arrays, tensors, or anything `numpy.asarray` reads. Which of them, and whether
it wants float64 or float32, is found by calling it on a few points.
"""

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ganneal.errors import UsageError
from ganneal.targets.target import Target

SHOWN = 6
"""Lines of a user's traceback that an error repeats."""


class _Raised(UsageError):
    """The user's function raised; says so, and remembers that it was the function."""


def from_function(function: Any, dim: int | None, name: str) -> Target:
    """A target from a function of a batch, in either of the two forms above, or from an object whose `log_prob` is one.

    dim    d; where it is None, the function's attribute `dim`

    Raises `UsageError` when the dimension is missing, when the function raises (with the end of its own traceback), and
    when what it returns is none of the two forms.
    """
    dim = dimension(function, dim, name)
    call = function.log_prob if hasattr(function, "log_prob") else function
    density = _recognised(call, dim, name)
    return Target(name=name, dim=dim, log_prob=density, opaque=True)


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
    real = ("Real", "Independent(Real(), 1)", "IndependentConstraint(Real(), 1)")
    if support is not None and repr(support) not in real:
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

    density = _recognised(lambda x: law.log_prob(shaped(x)), d, name)
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
    d = int(_called(model.param_unc_num, name))
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

    density = _Given(_Call(batch, name), name, d)
    return Target(
        name=name, dim=d, log_prob=density, opaque=True, embed=embed if hasattr(model, "param_constrain") else None
    )


def dimension(value: Any, dim: int | None, name: str) -> int:
    """d from the argument or from the attribute `dim`, which must agree. Raises `UsageError`."""
    own = getattr(value, "dim", None)
    own = own if isinstance(own, int) and not isinstance(own, bool) else None
    if dim is not None and (isinstance(dim, bool) or not isinstance(dim, int) or dim < 1):
        raise UsageError(f"dim must be a whole number of at least 1, got {dim!r}")
    if own is not None and dim is not None and own != dim:
        raise UsageError(f"{name}: has dim = {own}, but dim={dim} was asked for")
    found = own if dim is None else dim
    if found is None or found < 1:
        raise UsageError(f"{name}: the number of dimensions of a function is not known; give dim=, such as dim=2")
    return found


@dataclass(frozen=True, eq=False)
class _Differentiated:
    """log u by a function of tensors, in the precision it works in; autograd goes through it."""

    function: Callable[[Tensor], Any]
    name: str
    dim: int
    dtype: torch.dtype

    def __call__(self, x: Tensor) -> Tensor:
        # a copy: a function that changes its argument must not change ours
        value = _called(lambda: self.function(x.to(self.dtype).clone()), self.name)
        value = _values(value, len(x), self.name)
        if torch.is_grad_enabled() and x.requires_grad and not value.requires_grad:
            raise UsageError(
                f"{self.name}: what it returns does not depend on x differentiably; use torch operations without "
                "detach(), item(), no_grad() or NumPy, or return (value, gradient)"
            )
        return value.to(x)


@dataclass(frozen=True, eq=False)
class _Given:
    """log u by a function that returns its gradient too: called once, the gradient is kept for backpropagation."""

    pair: Callable[[Tensor], Any]
    name: str
    dim: int

    def __call__(self, x: Tensor) -> Tensor:
        return _Pull.apply(x, self)

    def both(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Value [b] and gradient [b, d], checked."""
        returned = self.pair(x)
        if not isinstance(returned, tuple) or len(returned) != 2:
            raise UsageError(f"{self.name}: must return (value, gradient), got {_kind(returned)}")
        value = _values(_tensor(returned[0], self.name), len(x), self.name)
        gradient = _tensor(returned[1], self.name)
        if gradient.shape != x.shape:
            raise UsageError(
                f"{self.name}: the gradient has shape {list(gradient.shape)} for x of shape {list(x.shape)}; "
                "allowed: the shape of x"
            )
        return value.detach().to(x), _real(gradient, self.name).detach().to(x)


class _Pull(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, density: _Given) -> Tensor:
        value, gradient = density.both(x.detach())
        ctx.save_for_backward(gradient)
        return value

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, outer: Tensor) -> tuple[Tensor, None]:
        return outer[:, None] * ctx.saved_tensors[0], None


@dataclass(frozen=True, eq=False)
class _Call:
    """Calls the user's function on a copy of x: a tensor of some precision, or a float64 array where dtype is None."""

    function: Callable[..., Any]
    name: str
    dtype: torch.dtype | None = None

    def __call__(self, x: Tensor) -> Any:
        if self.dtype is None:
            return _called(lambda: self.function(x.detach().cpu().double().clone().numpy()), self.name)
        # what is called in the forward of an autograd function has gradients off; this one may use autograd itself
        with torch.enable_grad():
            return _called(lambda: self.function(x.detach().to(self.dtype).clone()), self.name)


def _recognised(function: Callable[..., Any], dim: int, name: str) -> Callable[[Tensor], Tensor]:
    """Which of the forms a function has, by calling it on a batch whose length is not d."""
    points = torch.randn(3 if dim != 3 else 4, dim, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) / 2
    problems: list[UsageError] = []
    for dtype in (torch.float64, torch.float32):
        # not a leaf: changing it in place is allowed, as in any other function of tensors
        x = points.to(dtype).requires_grad_().clone()
        try:
            returned = _called(partial(function, x), name)
        except _Raised as error:
            problems.append(error)
            continue
        if isinstance(returned, Tensor):
            density = _Differentiated(function, name, dim, dtype)
            density(points.to(dtype).requires_grad_())
            return density
        if isinstance(returned, tuple) and len(returned) == 2 and all(isinstance(v, Tensor) for v in returned):
            given = _Given(_Call(function, name, dtype), name, dim)
            given(points)
            return given
        break
    try:
        returned = _called(lambda: function(points.clone().numpy()), name)
    except _Raised as error:
        # a function of tensors fails on arrays and the other way round: the error worth showing is that of its own kind
        of_tensors = (
            "numpy" not in str(problems[0]).partition("\n")[0] or "numpy.ndarray" in str(error).partition("\n")[0]
        )
        shown = problems[0] if of_tensors else error
        raise shown from shown.__cause__
    if isinstance(returned, tuple) and len(returned) == 2:
        given = _Given(_Call(function, name), name, dim)
        given(points)
        return given
    if problems and isinstance(returned, Tensor):
        raise problems[0]
    raise UsageError(
        f"{name}: returned {_kind(returned)}; allowed: a tensor [b] that autograd can differentiate, or a pair "
        "(value [b], gradient [b, d])"
    )


def _called(function: Callable[[], Any], name: str) -> Any:
    try:
        return function()
    except UsageError:
        raise
    except Exception as error:
        raise _Raised(f"{name}: raised {type(error).__name__}: {error}\n{last_lines(error)}") from error


def last_lines(error: BaseException) -> str:
    """The end of a traceback from where it leaves this package, without torch's own frames after the last user's."""
    here = str(Path(__file__).parent)
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith(here)]
    own = [i for i, f in enumerate(frames) if "site-packages" not in f.filename]
    frames = frames[: own[-1] + 1] if own else frames
    return "".join(traceback.format_list(frames[-SHOWN // 2 :])).rstrip()


def _values(value: Any, b: int, name: str) -> Tensor:
    """log u as a real tensor [b], or a `UsageError` that says how to get there."""
    if not isinstance(value, Tensor):
        raise UsageError(f"{name}: returned {_kind(value)}; allowed: a tensor [b]")
    if value.shape == (b,):
        return _real(value, name)
    hint = "return one number for each row"
    if value.dim() == 0:
        hint = "sum over the last dimension only, sum(-1); a function of one point needs torch.func.vmap around it"
    elif value.shape == (b, 1):
        hint = "drop the last dimension, such as with squeeze(-1)"
    elif value.dim() == 2 and value.shape[0] == b:
        hint = "sum over the coordinates, sum(-1)"
    raise UsageError(f"{name}: returned shape {list(value.shape)} for {b} rows; allowed: [{b}]; {hint}")


def _real(value: Tensor, name: str) -> Tensor:
    if not value.dtype.is_floating_point:
        raise UsageError(f"{name}: returned {str(value.dtype).removeprefix('torch.')} numbers; allowed: real floats")
    return value


def _tensor(value: Any, name: str) -> Tensor:
    if isinstance(value, Tensor):
        return value
    found = np.asarray(value)
    if found.dtype == object or found.dtype.kind not in "fciub":
        raise UsageError(f"{name}: returned {_kind(value)} that is no array of numbers")
    return torch.from_numpy(np.array(found))


def _kind(value: Any) -> str:
    if value is None:
        return "nothing (is a return missing?)"
    if isinstance(value, tuple):
        return f"a tuple of {len(value)}"
    if isinstance(value, np.ndarray):
        return f"an array {list(value.shape)} without a gradient"
    return f"a {type(value).__name__}" + (f" {list(value.shape)}" if isinstance(value, Tensor) else "")


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
