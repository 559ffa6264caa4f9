"""First-order steps on dictionaries of tensors, in place. Elementwise, so stacked populations need nothing special.

Slots (the moments and the step count) are tensors in the state; powers of decay rates are computed from a count
tensor, so that a compiled step is compiled once. The learning rate arrives as a tensor: 0-d, or [N] for a population.
"""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from ganneal.errors import UsageError
from ganneal.game import Tensors
from ganneal.parts import Registry

Slots = dict[str, Tensors]


class Optimizer(Protocol):
    """`start` makes the slots for given parameters (of `members` stacked games, or of one), `descend` moves parameters
    and slots in place along minus the gradients."""

    def start(self, params: Tensors, members: int | None = None) -> Slots: ...

    def descend(self, params: Tensors, gradients: Tensors, slots: Slots, lr: Tensor) -> None: ...


def _zeros(params: Tensors) -> Tensors:
    return {name: torch.zeros_like(p) for name, p in params.items()}


def _subtract(params: list[Tensor], updates: list[Tensor], lr: Tensor) -> None:
    """params -= lr * updates, where a population's lr has one entry per member."""
    if lr.dim() == 0:
        torch._foreach_mul_(updates, lr)
        torch._foreach_sub_(params, updates)
    else:
        for p, update in zip(params, updates, strict=True):
            p.sub_(update.mul_(per_member(lr, p)))


def _laid_out(gradient: Tensor, like: Tensor) -> Tensor:
    """The gradient in the memory order of its parameter: the fused kernel pairs entries by address, and autograd
    returns gradients of channels-last convolutions in other orders."""
    return gradient if gradient.stride() == like.stride() else torch.empty_like(like).copy_(gradient)


def per_member(values: Tensor, like: Tensor) -> Tensor:
    """One value per member [N], shaped to multiply stacked tensors [N, ...]."""
    return values.view(-1, *[1] * (like.dim() - 1))


@dataclass(frozen=True)
class SGD:
    """p <- p - lr m, m <- momentum m + g. With momentum 0 the plain gradient step; momentum may be negative (Gidel et
    al. 2019)."""

    momentum: float = 0.0

    def start(self, params: Tensors, members: int | None = None) -> Slots:
        return {"velocity": _zeros(params)} if self.momentum else {}

    @torch.no_grad()
    def descend(self, params: Tensors, gradients: Tensors, slots: Slots, lr: Tensor) -> None:
        names = list(params)
        update = [gradients[n].clone() for n in names]
        if self.momentum:
            velocity = [slots["velocity"][n] for n in names]
            torch._foreach_mul_(velocity, self.momentum)
            torch._foreach_add_(velocity, update)
            update = [v.clone() for v in velocity]
        _subtract([params[n] for n in names], update, lr)


@dataclass(frozen=True)
class Adam:
    """Adam (Kingma and Ba 2015, Algorithm 1): p <- p - lr m^ / (sqrt(v^) + eps), m^ and v^ the bias-corrected
    moments."""

    beta1: float = 0.5
    beta2: float = 0.9
    eps: float = 1e-8

    def start(self, params: Tensors, members: int | None = None) -> Slots:
        first = next(iter(params.values()))
        return {
            "mean": _zeros(params),
            "square": _zeros(params),
            "count": {"steps": torch.zeros(() if members is None else members, dtype=first.dtype, device=first.device)},
        }

    @torch.no_grad()
    def descend(self, params: Tensors, gradients: Tensors, slots: Slots, lr: Tensor) -> None:
        names = list(params)
        steps = slots["count"]["steps"]
        p, g = [params[n] for n in names], [gradients[n] for n in names]
        mean, square = [slots["mean"][n] for n in names], [slots["square"][n] for n in names]
        if lr.dim() == 0 and not torch.compiler.is_compiling():
            torch._fused_adam_(
                p,
                [_laid_out(gradient, like) for gradient, like in zip(g, p, strict=True)],
                mean,
                square,
                [],
                [steps.add_(1)] * len(p),
                lr=lr,
                beta1=self.beta1,
                beta2=self.beta2,
                weight_decay=0.0,
                eps=self.eps,
                amsgrad=False,
                maximize=False,
            )
            return
        # through a view: the compiler loses what is written to a 0-d float64 tensor on the CPU
        count = steps.view(-1).add_(1)
        count = count[0] if steps.dim() == 0 else count
        torch._foreach_lerp_(mean, g, 1 - self.beta1)
        torch._foreach_mul_(square, self.beta2)
        torch._foreach_addcmul_(square, g, g, 1 - self.beta2)
        root = torch._foreach_sqrt(square)
        correction = (1 - self.beta2**count).sqrt()
        if lr.dim() == 0:
            torch._foreach_div_(root, correction)
        else:
            for r in root:
                r.div_(per_member(correction, r))
        torch._foreach_add_(root, self.eps)
        update = list(torch._foreach_div(mean, root))
        _subtract(p, update, lr / (1 - self.beta1**count))


@dataclass(frozen=True)
class RMSprop:
    """RMSprop: v <- alpha v + (1 - alpha) g^2, p <- p - lr g / (sqrt(v) + eps) (the optimizer of weight-clipped
    WGAN)."""

    alpha: float = 0.99
    eps: float = 1e-8

    def start(self, params: Tensors, members: int | None = None) -> Slots:
        return {"square": _zeros(params)}

    @torch.no_grad()
    def descend(self, params: Tensors, gradients: Tensors, slots: Slots, lr: Tensor) -> None:
        names = list(params)
        g, square = [gradients[n] for n in names], [slots["square"][n] for n in names]
        torch._foreach_mul_(square, self.alpha)
        torch._foreach_addcmul_(square, g, g, 1 - self.alpha)
        root = torch._foreach_sqrt(square)
        torch._foreach_add_(root, self.eps)
        _subtract([params[n] for n in names], list(torch._foreach_div(g, root)), lr)


def _rate(name: str, value: float, low: float = 0.0) -> float:
    if not low <= value < 1:
        raise UsageError(f"{name} must be in [{low:g}, 1), got {value}")
    return float(value)


def _positive(name: str, value: float) -> float:
    if not value > 0:
        raise UsageError(f"{name} must be above 0, got {value}")
    return float(value)


def sgd(momentum: float = 0.0) -> SGD:
    """Gradient descent with optional (also negative) momentum."""
    return SGD(_rate("sgd: momentum", momentum, -1.0))


def adam(beta1: float = 0.5, beta2: float = 0.9, eps: float = 1e-8) -> Adam:
    """Adam with the low momentum that suits games."""
    return Adam(_rate("adam: beta1", beta1), _rate("adam: beta2", beta2), _positive("adam: eps", eps))


def rmsprop(alpha: float = 0.99, eps: float = 1e-8) -> RMSprop:
    """RMSprop without momentum."""
    return RMSprop(_rate("rmsprop: alpha", alpha), _positive("rmsprop: eps", eps))


OPTIMIZERS: Registry[Optimizer] = Registry("optimizer", {"adam": adam, "sgd": sgd, "rmsprop": rmsprop})
