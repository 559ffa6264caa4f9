"""Generators with a density: coupling flows, by the library zuko."""

import math
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from ganneal.errors import UsageError, nearest
from ganneal.nets.architecture import positive
from ganneal.nets.mlp import Critic

KINDS = ("auto", "affine", "spline")
NEAR = 0.01
"""Factor on the initial values of what makes a flow differ from the identity."""


class Flow(nn.Module):
    """z [B, d] -> x [B, d], or (x, log q(x) [B]) with `density=True`, where z is standard normal; with `inverse=True`
    the argument is x and log q(x) [B] comes back.

    log q(x) = log N(z; 0, I) - log |det dx/dz|. The last layer of every coupling starts near zero, so the flow
    starts near the identity.
    """

    def __init__(self, dim: int, kind: str, layers: int, width: int):
        super().__init__()
        import zuko

        more: dict[str, Any] = {"bins": 8} if kind == "spline" else {}
        family = zuko.flows.NSF if kind == "spline" else zuko.flows.MAF
        self.flow = family(
            dim, transforms=layers, passes=2 if dim > 1 else None, hidden_features=(width, width), randperm=dim > 2,
            **more,
        )  # fmt: skip
        for transform in self.flow.transform.transforms:
            if hasattr(transform, "hyper"):
                last = [m for m in transform.hyper.modules() if isinstance(m, nn.Linear)][-1]
                nn.init.zeros_(last.bias)
                last.weight.data.mul_(NEAR)
            else:  # in one dimension there is nothing to condition on
                for parameter in transform.parameters():
                    parameter.data.mul_(NEAR)

    def forward(self, z: Tensor, density: bool = False, inverse: bool = False, reference: int | None = None) -> Any:
        transform = self.flow().transform
        if inverse:  # z is an x here
            base, log_det = transform.inv.call_and_ladj(z)
            return _log_normal(base) + log_det
        # the direction that the library calculates in one pass is ours from z to x, which is what training needs
        x, log_det = transform.call_and_ladj(z)
        return (x, _log_normal(z) - log_det) if density else x


def _log_normal(z: Tensor) -> Tensor:
    return -(z.square() + math.log(2 * math.pi)).sum(-1) / 2


@dataclass(frozen=True)
class FlowArchitecture:
    """`flow(kind=auto, layers=8, width=64)`: vectors, with as many latent coordinates as an example has.

    kind    affine (RealNVP: Dinh et al. 2017); spline (rational quadratic: Durkan et al. 2019), which finds many wells
            where affine couplings do not, in slower steps, and does not change a coordinate beyond 5 units of its
            frame; or auto: affine, and spline in one dimension
    The critic, where a game has one, is an MLP of twice the width. The density of samples is exact, so that importance
    weights, effective sample size and log Z are too.
    """

    kind: str = "auto"
    layers: int = 8
    width: int = 64
    batch_coupled = False

    def __post_init__(self) -> None:
        positive("flow", layers=self.layers, width=self.width)
        if self.kind not in KINDS:
            raise UsageError(f"network 'flow': unknown kind '{self.kind}': {nearest(str(self.kind), KINDS)}")

    def generator(self, latent: int, shape: tuple[int, ...]) -> Flow:
        if len(shape) != 1:
            raise UsageError(f"network 'flow' is for vectors [d], got examples of shape {list(shape)}; use mlp")
        if shape[0] == 1 and self.kind == "affine":
            raise UsageError("network 'flow(kind=affine)' in one dimension is a Gaussian; use kind=spline")
        if latent != shape[0]:
            raise UsageError(f"network 'flow' needs as many latent coordinates as dimensions: set latent={shape[0]}")
        kind = self.kind if self.kind != "auto" else "affine" if shape[0] > 1 else "spline"
        return Flow(shape[0], kind, self.layers, self.width)

    def critic(self, shape: tuple[int, ...]) -> Critic:
        return Critic(shape, 2 * self.width)
