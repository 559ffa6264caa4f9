"""TorchScript networks by path: what they are given, and what is made of what they return."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from ganneal import features
from ganneal.errors import UsageError
from ganneal.features import Classifies, Extractor

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


class Mean(nn.Module):
    """Features: the mean of each channel, and the side."""

    def forward(self, x: Tensor) -> Tensor:
        side = torch.full([x.shape[0], 1], float(x.shape[2]))
        return torch.cat([x.float().mean((2, 3)), side], 1)


class Bytes(nn.Module):
    """Takes uint8 only; features and logits at once."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if x.dtype != torch.uint8:
            raise RuntimeError("wants uint8")
        return x.float().amax((2, 3)), x.float().mean((2, 3)) / 100


class Published(nn.Module):
    """With the arguments of the Inception file of the StyleGAN projects."""

    def forward(self, x: Tensor, return_features: bool = False, no_output_bias: bool = False) -> Tensor:
        if return_features:
            return x.float().mean((2, 3))
        if no_output_bias:
            return torch.tensor([[0.25, 0.75]]).expand(x.shape[0], 2)
        return torch.tensor([[0.5, 0.5]]).expand(x.shape[0], 2)


def saved(folder: Path, module: nn.Module) -> str:
    path = folder / "net.pt"
    torch.jit.script(module).save(str(path))
    return str(path)


def test_uint8_convention(tmp_path: Path) -> None:
    """-1, 0, 1 and beyond become 0, 128, 255; the size is the image's own; one channel comes three times."""
    extractor = features.build(f"inception('{saved(tmp_path, Mean())}')").fit(torch.zeros(3, 1, 9, 9))
    assert isinstance(extractor, Extractor)
    assert (extractor.shape, extractor.dimension) == ((1, 9, 9), 4)
    x = torch.tensor([-1.0, 0.0, 1.0, 1.7, -3.0])[:, None, None, None].expand(5, 1, 9, 9)
    found = extractor(x)
    assert found.dtype == torch.float64
    assert found.tolist() == [[v, v, v, 9.0] for v in (0.0, 128.0, 255.0, 255.0, 0.0)]


def test_signed_convention(tmp_path: Path) -> None:
    """Values as they are, sides resized."""
    path = saved(tmp_path, Mean())
    x = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    for images, side in (("signed", 299.0), ("signed, side=8", 8.0)):
        found = features.build(f"inception('{path}', images={images})").fit(x)(x)
        assert found[:, 3].tolist() == [side] * 4
        torch.testing.assert_close(found[:, :3], x.mean((2, 3)).double(), atol=0.02, rtol=0)
    constant = torch.full((2, 3, 20, 20), 0.3)
    found = features.inception(path, "signed", 8).fit(constant)(constant)
    torch.testing.assert_close(found[:, :3], torch.full((2, 3), 0.3).double())


def test_features_and_logits(tmp_path: Path) -> None:
    x = torch.rand(70, 3, 5, 5, generator=torch.Generator().manual_seed(0)) * 2 - 1
    extractor = features.inception(saved(tmp_path, Bytes())).fit(x)
    assert isinstance(extractor, Classifies)
    pixels = x.add(1).mul(127.5).round()
    torch.testing.assert_close(extractor(x), pixels.amax((2, 3)).double())
    expected = (pixels.mean((2, 3)) / 100).double().softmax(1)
    torch.testing.assert_close(extractor.probabilities(x), expected, rtol=1e-5, atol=1e-6)


def test_arguments_of_the_published_file(tmp_path: Path) -> None:
    x = torch.zeros(2, 3, 4, 4)
    extractor = features.inception(saved(tmp_path, Published())).fit(x)
    assert extractor.dimension == 3
    assert extractor(x).tolist() == [[128.0] * 3] * 2
    assert extractor.probabilities(x).tolist() == [[0.25, 0.75]] * 2


def test_refusals(tmp_path: Path) -> None:
    path = saved(tmp_path, Mean())
    assert not isinstance(features.inception(path).fit(torch.zeros(2, 3, 4, 4)), Classifies)
    with pytest.raises(UsageError, match=r"allowed: images \[1 or 3, H, W\]"):
        features.inception(path).fit(torch.zeros(2, 5))
    with pytest.raises(UsageError, match="unknown images 'singed': did you mean 'signed'"):
        features.inception(path, "singed")
    with pytest.raises(UsageError, match="side = 0"):
        features.inception(path, side=0)
    (tmp_path / "text.pt").write_text("hello")
    torch.save({"a": torch.zeros(2)}, tmp_path / "pickle.pt")
    for name in ("text.pt", "pickle.pt", "absent.pt"):
        with pytest.raises(UsageError, match=f"cannot read .*{name} as a TorchScript file"):
            features.inception(str(tmp_path / name))
    other = tmp_path / "other"
    other.mkdir()
    signed = features.inception(saved(other, Bytes()), "signed", 8)
    with pytest.raises(UsageError, match=r"failed on torch.float32 images of shape \[2, 3, 8, 8\]"):
        signed.fit(torch.zeros(2, 3, 4, 4))
