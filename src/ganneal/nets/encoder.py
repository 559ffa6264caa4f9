"""Networks from examples to vectors, of the same family as a game's critic: encoders, and critics with many outputs."""

from torch import Tensor, nn

from ganneal.errors import UsageError
from ganneal.nets.architecture import Architecture


class Encoder(nn.Module):
    """x [B, *shape] -> [B, outputs]: a critic's trunk under a linear head of its own."""

    def __init__(self, trunk: nn.Module, outputs: int):
        super().__init__()
        self.trunk, self.outputs = trunk, outputs

    def forward(self, x: Tensor) -> Tensor:
        return self.trunk(x).reshape(-1, self.outputs)


def encoder(architecture: Architecture, shape: tuple[int, ...], outputs: int) -> Encoder:
    """A network x [B, *shape] -> [B, outputs] with the layers of the architecture's critic, its logit replaced by a
    linear head. Initial values come from torch's global generator.

    Raises `UsageError` for a critic whose head cannot be replaced.
    """
    trunk = architecture.critic(shape)
    body = getattr(trunk, "body", None)
    if body is not None and isinstance(body.layers[-1], nn.Linear):
        last = body.layers[-1]
        body.layers[-1] = type(last)(last.in_features, outputs)
    elif isinstance(head := getattr(trunk, "head", None), nn.Linear):
        new = nn.Linear(head.in_features, outputs)
        std = float(head.weight.detach().std())
        nn.init.normal_(new.weight, std=std)  # as wide as the family draws its own head
        nn.init.zeros_(new.bias)
        trunk.head = new
    else:
        raise UsageError("network: its critic has no linear head to make an encoder of; use mlp, dcgan or residual")
    return Encoder(trunk, outputs)
