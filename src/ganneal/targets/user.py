"""A user's function as a `Target`.

A function takes a batch x [b, d] and returns either log u [b] as a tensor that autograd can differentiate, or a pair
(log u [b], its gradient [b, d]) as NumPy arrays, tensors, or anything `numpy.asarray` reads. Which of them, and whether
it wants float64 or float32, is found by calling it on a few points.
"""

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ganneal.errors import UsageError
from ganneal.targets.target import Target

FRAMES = 3
"""How many calls of a user's traceback an error repeats."""


class _Raised(UsageError):
    """The function itself raised, as opposed to returning what cannot be used."""


class _Detached(UsageError):
    def __init__(self, name: str):
        super().__init__(
            f"{name}: what it returns does not depend on x differentiably; use torch operations without detach(), "
            "item(), no_grad() or NumPy, or return (value, gradient)"
        )


def from_function(function: Any, dim: int | None, name: str) -> Target:
    """A target from a function of a batch, in either of the two forms above, or from an object whose `log_prob` is one.

    dim    d; where it is None, the function's attribute `dim`

    Raises `UsageError` when the dimension is missing, when the function raises (with the end of its own traceback), and
    when what it returns is none of the two forms.
    """
    dim = dimension(function, dim, name)
    call = function.log_prob if hasattr(function, "log_prob") else function
    density = recognised(call, dim, name)
    return Target(name=name, dim=dim, log_prob=density, opaque=True)


def dimension(value: Any, dim: int | None, name: str) -> int:
    """d from the argument or from the attribute `dim`, which must agree. Raises `UsageError`."""
    own = getattr(value, "dim", None)
    own = own if isinstance(own, Integral) and not isinstance(own, bool) else None
    if dim is not None and (isinstance(dim, bool) or not isinstance(dim, Integral) or dim < 1):
        raise UsageError(f"dim must be a whole number of at least 1, got {dim!r}")
    if own is not None and dim is not None and own != dim:
        raise UsageError(f"{name}: has dim = {own}, but dim={dim} was asked for")
    found = own if dim is None else dim
    if found is None or found < 1:
        raise UsageError(f"{name}: the number of dimensions of a function is not known; give dim=, such as dim=2")
    return int(found)


@dataclass(frozen=True, eq=False)
class _Differentiated:
    """log u by a function of tensors, in the precision it works in; autograd goes through it."""

    function: Callable[[Tensor], Any]
    name: str
    dim: int
    dtype: torch.dtype

    def __call__(self, x: Tensor) -> Tensor:
        # a copy: a function that changes its argument must not change ours
        value = called(lambda: self.function(x.to(self.dtype).clone()), self.name)
        value = _values(value, len(x), self.name)
        if torch.is_grad_enabled() and x.requires_grad and not value.requires_grad:
            raise _Detached(self.name)
        return value.to(x)


@dataclass(frozen=True, eq=False)
class Given:
    """log u by a function that returns its gradient too: called once, the gradient is kept for backpropagation."""

    pair: Callable[[Tensor], Any]
    name: str
    dim: int

    def __call__(self, x: Tensor) -> Tensor:
        return _Pull.apply(x, self)

    def both(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Value [b] and gradient [b, d], checked."""
        returned = self.pair(x)
        if not isinstance(returned, (tuple, list)) or len(returned) != 2:
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
    def forward(ctx: Any, x: Tensor, density: Given) -> Tensor:
        value, gradient = density.both(x.detach())
        ctx.save_for_backward(gradient)
        return value

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, outer: Tensor) -> tuple[Tensor, None]:
        return outer[:, None] * ctx.saved_tensors[0], None


@dataclass(frozen=True, eq=False)
class Call:
    """Calls the user's function on a copy of x: a tensor of some precision, or a float64 array where dtype is None."""

    function: Callable[..., Any]
    name: str
    dtype: torch.dtype | None = None

    def __call__(self, x: Tensor) -> Any:
        if self.dtype is None:
            return called(lambda: self.function(x.detach().cpu().double().clone().numpy()), self.name)
        # what is called in the forward of an autograd function has gradients off; this one may use autograd itself
        with torch.enable_grad():
            return called(lambda: self.function(x.detach().to(self.dtype).clone()), self.name)


def recognised(function: Callable[..., Any], dim: int, name: str) -> Callable[[Tensor], Tensor]:
    """Which of the forms a function has, by calling it on a batch whose length is not d."""
    points = torch.randn(3 if dim != 3 else 4, dim, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) / 2
    problems: list[UsageError] = []
    for dtype in (torch.float64, torch.float32):
        # not a leaf: changing it in place is allowed, as in any other function of tensors
        x = points.to(dtype, copy=True).requires_grad_().clone()
        try:
            returned = called(partial(function, x), name)
        except _Raised as error:
            problems.append(error)
            continue
        if isinstance(returned, Tensor):
            density = _Differentiated(function, name, dim, dtype)
            _differentiable(density, points)
            return density
        if isinstance(returned, (tuple, list)) and len(returned) == 2 and all(isinstance(v, Tensor) for v in returned):
            given = Given(Call(function, name, dtype), name, dim)
            given(points)
            return given
        break
    try:
        returned = called(lambda: function(points.clone().numpy()), name)
    except _Raised as error:
        shown = _of_its_kind([*problems, error])
        raise shown from shown.__cause__
    if isinstance(returned, (tuple, list)) and len(returned) == 2:
        given = Given(Call(function, name), name, dim)
        given(points)
        return given
    if problems and isinstance(returned, Tensor):
        raise problems[0]
    raise UsageError(
        f"{name}: returned {_kind(returned)}; allowed: a tensor [b] that autograd can differentiate, or a pair "
        "(value [b], gradient [b, d])"
    )


def _of_its_kind(problems: list[UsageError]) -> UsageError:
    """A function of tensors fails on arrays and the other way round: which error shows the user's own mistake.

    The first is that of a call with tensors, the last that with arrays."""
    tensors, arrays = (str(problems[i]).partition("\n")[0].lower() for i in (0, -1))
    return problems[0] if "numpy" not in tensors or "numpy.ndarray" in arrays else problems[-1]


def _differentiable(density: _Differentiated, points: Tensor) -> None:
    """Backpropagates once, where in-place operations, detached inputs and the like show."""
    leaf = points.to(density.dtype, copy=True).requires_grad_()
    value = density(leaf)
    (gradient,) = called(lambda: torch.autograd.grad(value.sum(), leaf, allow_unused=True), density.name)
    if gradient is None:
        raise _Detached(density.name)


def called(function: Callable[[], Any], name: str) -> Any:
    """function(), with what it raises told as a `UsageError` that ends with the user's own traceback."""
    try:
        return function()
    except UsageError:
        raise
    except Exception as error:  # a user's function may raise anything: it is told, with its traceback
        raise _Raised(f"{name}: raised {type(error).__name__}: {error}\n{last_lines(error)}") from error


def last_lines(error: BaseException) -> str:
    """The end of a traceback from where it leaves this package, without torch's own frames after the last user's."""
    here = str(Path(__file__).parent)
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith(here)]
    own = [i for i, f in enumerate(frames) if "site-packages" not in f.filename]
    frames = frames[: own[-1] + 1] if own else frames
    return "".join(traceback.format_list(frames[-FRAMES:])).rstrip()


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
