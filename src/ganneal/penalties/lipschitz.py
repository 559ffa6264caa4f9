"""Lipschitz constraints on the critic's weights: spectral normalisation and weight clipping. They act between steps,
not in the loss."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ganneal.errors import UsageError
from ganneal.game import Tensors

NORM_LAYERS = (nn.LayerNorm, nn.GroupNorm, nn.modules.batchnorm._BatchNorm)


def _matrices(net: nn.Module) -> dict[str, int]:
    """Names of the weights that act as matrices (linear, convolution), with their number of axes."""
    return {n: p.dim() for n, p in net.named_parameters() if p.dim() >= 2 and n.endswith("weight")}


class SpectralNorm(nn.Module):
    """A critic whose every matrix W is divided by its largest singular value, sigma = u^T W v (Miyato et al. 2018, eq.
    8-9).

    Convolution weights are taken as matrices [out, in*kh*kw], as published. The vectors u and v are buffers: constants
    of the loss, moved by one power iteration after each step of the critic (`iterate`), so that the loss stays a pure
    function.
    """

    def __init__(self, net: nn.Module, coefficient: float = 1.0):
        super().__init__()
        self.net, self.coefficient = net, coefficient
        self.matrices = _matrices(net)
        weights = dict(net.named_parameters())
        for name in self.matrices:
            flat = weights[name].detach().flatten(1)
            fixed = torch.Generator().manual_seed(0)  # a start in general position, the same for every member
            for side, size in (("u", flat.shape[0]), ("v", flat.shape[1])):
                self.register_buffer(self._key(side, name), torch.randn(size, generator=fixed, dtype=flat.dtype))
        for _ in range(30):
            self.iterate(dict(self.named_parameters()), dict(self.named_buffers()))

    @staticmethod
    def _key(side: str, name: str) -> str:
        return f"{side}_{name.replace('.', '_')}"

    def forward(self, x: Tensor, **options: bool) -> Tensor:
        """The wrapped critic with normalised weights; same shapes and options."""
        values: Tensors = dict(self.net.named_parameters())
        for name in self.matrices:
            w = values[name]
            u, v = getattr(self, self._key("u", name)), getattr(self, self._key("v", name))
            values[name] = w * (self.coefficient / (u @ w.flatten(1) @ v).clamp(min=1e-12))
        return functional_call(self.net, values, (x,), options)

    @torch.no_grad()
    def iterate(self, params: Tensors, buffers: Tensors) -> None:
        """One power iteration on every matrix, in place on `buffers`; a leading population axis is carried along."""
        for name, axes in self.matrices.items():
            w = params[f"net.{name}"]
            w = w.flatten(w.dim() - axes + 1)
            u, v = buffers[self._key("u", name)], buffers[self._key("v", name)]
            v.copy_(nn.functional.normalize((w.mT @ u.unsqueeze(-1)).squeeze(-1), dim=-1))
            u.copy_(nn.functional.normalize((w @ v.unsqueeze(-1)).squeeze(-1), dim=-1))


@dataclass(frozen=True)
class Spectral:
    """Spectral normalisation of the critic: each layer's largest singular value is `coefficient`."""

    coefficient: float = 1.0
    name: str = "spectral"

    def wrap(self, critic: nn.Module) -> nn.Module:
        """The critic under the constraint."""
        return SpectralNorm(critic, self.coefficient)

    def project(self, critic: nn.Module, params: Tensors, buffers: Tensors) -> None:
        """One power iteration after each step."""
        assert isinstance(critic, SpectralNorm)
        critic.iterate(params, buffers)


@dataclass(frozen=True)
class Clip:
    """Weight clipping to [-bound, bound] after each step of the critic."""

    bound: float = 0.01
    name: str = "clip"

    def wrap(self, critic: nn.Module) -> nn.Module:
        """The critic as it is: clipping acts on the parameters alone."""
        return critic

    @torch.no_grad()
    def project(self, critic: nn.Module, params: Tensors, buffers: Tensors) -> None:
        """Clamp every weight and bias in place, but not the scales and shifts of normalisation layers."""
        spared = tuple(
            f"{n}." for n, m in critic.named_modules() if isinstance(m, NORM_LAYERS) or type(m).__name__ == "BatchNorm"
        )
        for name, value in params.items():
            if not name.startswith(spared):
                value.clamp_(-self.bound, self.bound)


def spectral(coefficient: float = 1.0) -> Spectral:
    """Spectral normalisation (Miyato et al. 2018). It caps |grad y|: with a regulariser stronger than the cap the
    tails are moved by the regulariser alone, so prefer r1r2 when annealing. Costs two matrix-vector products a layer
    and step."""
    if not coefficient > 0:
        raise UsageError(f"spectral: coefficient must be positive, got {coefficient}")
    return Spectral(float(coefficient))


def clip(bound: float = 0.01) -> Clip:
    """Weight clipping after each critic step (Arjovsky et al. 2017, Algorithm 1). Normalisation layers are left alone:
    clipping their scales would switch the layer off."""
    if not bound > 0:
        raise UsageError(f"clip: bound must be positive, got {bound}")
    return Clip(float(bound))
