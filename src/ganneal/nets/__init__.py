"""Networks: plain `nn.Module`s without mutable buffers, so that they stack, differentiate and compile.

`NETWORKS.build("dcgan(width=64)")` gives an `Architecture`, which makes the generator and the critic for a latent
size and a shape.
"""

from typing import Any

from ganneal.errors import UsageError
from ganneal.nets.architecture import Architecture
from ganneal.nets.dcgan import DCGANArchitecture, DCGANCritic, DCGANGenerator
from ganneal.nets.denoiser import Denoiser, FeatureDenoiser, ScoreMLP, ScoreUNet
from ganneal.nets.encoder import Encoder, encoder
from ganneal.nets.flow import Flow, FlowArchitecture
from ganneal.nets.mlp import MLP, Critic, Field, Generator, MLPArchitecture
from ganneal.nets.moments import Moments, moment_loss
from ganneal.nets.norm import BatchNorm
from ganneal.nets.residual import ResidualArchitecture, ResidualCritic, ResidualGenerator
from ganneal.parts import Registry

NETWORKS: Registry[Architecture] = Registry(
    "network",
    {"mlp": MLPArchitecture, "dcgan": DCGANArchitecture, "residual": ResidualArchitecture, "flow": FlowArchitecture},
)


def build(value: Any) -> Architecture:
    """An architecture from its text form, or an object that already is one.

    >>> build("mlp(width=64)").batch_coupled
    False
    """
    architecture = NETWORKS.build(value)
    if not isinstance(architecture, Architecture):
        raise UsageError(f"expected a network such as mlp(width=128), got {value!r}")
    return architecture


__all__ = [
    "MLP",
    "NETWORKS",
    "Architecture",
    "BatchNorm",
    "Critic",
    "DCGANArchitecture",
    "DCGANCritic",
    "DCGANGenerator",
    "Denoiser",
    "Encoder",
    "FeatureDenoiser",
    "Field",
    "Flow",
    "FlowArchitecture",
    "Generator",
    "MLPArchitecture",
    "Moments",
    "ResidualArchitecture",
    "ResidualCritic",
    "ResidualGenerator",
    "ScoreMLP",
    "ScoreUNet",
    "build",
    "encoder",
    "moment_loss",
]
