"""The facts of the networks published with Tao et al. (2019) and Miyato et al. (2018)."""

import torch
from torch import nn

from ganneal.nets import FeatureDenoiser, build


def shapes(layers: nn.ModuleList) -> list[tuple[int, ...]]:
    return [tuple(layer.weight.shape) for layer in layers]  # type: ignore[union-attr]


def test_dcgan_generator() -> None:
    torch.manual_seed(0)
    net = build("dcgan(published=true)").generator(128, (3, 32, 32))
    assert tuple(net.linear.weight.shape) == (4 * 4 * 512, 128)
    assert shapes(net.deconvolutions) == [(512, 256, 4, 4), (256, 128, 4, 4), (128, 64, 4, 4)]
    assert tuple(net.last.weight.shape) == (64, 3, 3, 3)
    assert [norm.weight.shape[0] for norm in net.norms] == [8192, 256, 128, 64]
    assert abs(net.linear.weight.std().item() - 0.02) < 1e-4
    assert net(torch.rand(2, 128) * 2 - 1).shape == (2, 3, 32, 32)


def test_dcgan_critic() -> None:
    architecture = build("dcgan(published=true)")
    net = architecture.critic((3, 32, 32))
    assert architecture.batch_coupled
    assert tuple(net.first.weight.shape) == (32, 3, 3, 3)
    assert shapes(net.convolutions) == [(64, 32, 4, 4), (128, 64, 4, 4), (256, 128, 4, 4), (512, 256, 4, 4)]
    assert [norm.weight is not None for norm in net.norms] == [True, True, True, False]
    assert all(norm.bias is not None for norm in net.norms)
    _, features = net(torch.randn(4, 3, 32, 32), features=True)
    assert features.shape == (4, 2048)
    # Before the activation and without a scale: every channel has mean 0 (the shift starts there) and second moment 1.
    channels = features.reshape(4, 512, 4)
    torch.testing.assert_close(channels.mean((0, 2)), torch.zeros(512), atol=1e-4, rtol=0)
    assert channels.square().mean((0, 2)).max() <= 1.0001
    assert features.min() < -0.2


def test_feature_denoiser() -> None:
    net = FeatureDenoiser()
    assert shapes(net.layers) == [(2048, 2048)] * 10
    assert len(net.norms) == 9


def test_residual_pair() -> None:
    architecture = build("residual")
    generator, critic = architecture.generator(128, (3, 32, 32)), architecture.critic((3, 32, 32))
    assert generator.base == (256, 4, 4)
    assert len(generator.blocks) == 3
    assert [block.down for block in critic.blocks] == [True, True, False, False]
    assert [block.second.weight.shape[0] for block in critic.blocks] == [128] * 4
