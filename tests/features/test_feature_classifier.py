"""Classifiers from files: a small network of each kind against PyTorch modules, and the packed ones on test images."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ganneal import features
from ganneal.errors import UsageError
from ganneal.features import Classifies

FOLDER = Path(os.environ.get("GANNEAL_DATA") or Path(__file__).resolve().parents[3] / "shared" / "data")


def packed(name: str) -> str:
    if not (FOLDER / name).exists():
        pytest.skip(f"{name} is not there; set GANNEAL_DATA to the folder of packed data sets")
    return str(FOLDER / name)


def mnist(n: int) -> tuple[Tensor, Tensor]:
    with np.load(packed("mnist.npz")) as file:
        x, y = file["x_test"][:n], file["y_test"][:n]
    return torch.from_numpy(x)[:, None].float() / 127.5 - 1, torch.from_numpy(y).long()


def cifar(n: int) -> tuple[Tensor, Tensor]:
    from PIL import Image

    mosaic = np.asarray(Image.open(packed("cifar10-test.webp")).convert("RGB"))
    tiles = mosaic.reshape(100, 32, 100, 32, 3).swapaxes(1, 2).reshape(-1, 32, 32, 3)[:n]
    with np.load(packed("cifar10-labels.npz")) as file:
        y = file["y_test"][:n]
    return torch.from_numpy(tiles.copy()).permute(0, 3, 1, 2).float() / 127.5 - 1, torch.from_numpy(y).long()


@pytest.mark.parametrize(
    ("name", "images", "first", "right"),
    [("mnist-lenet", mnist, 1000, 996), ("cifar10-resnet20", cifar, 500, 455), ("cifar10-resnet56", cifar, 200, 188)],
)
def test_accuracy_on_the_first_test_images(name: str, images, first: int, right: int) -> None:
    """So many right of the first test images; the published accuracies, 99.36, 91.73 and 93.39 %, are of all."""
    path = packed(f"{name}.npz")
    x, y = images(first)
    extractor = features.build(f"classifier('{path}')").fit(x)
    assert isinstance(extractor, Classifies)
    found = extractor.probabilities(x)
    assert int((found.argmax(1) == y).sum()) == pytest.approx(right, abs=1)  # an even one may fall to either side
    torch.testing.assert_close(found.sum(1), torch.ones(first, dtype=torch.float64))
    assert extractor(x[:3]).shape == (3, extractor.dimension) == (3, 96 if name == "mnist-lenet" else 64)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "images", "right"),
    [("mnist-lenet", mnist, 9936), ("cifar10-resnet20", cifar, 9173), ("cifar10-resnet56", cifar, 9339)],
)
def test_published_accuracy(name: str, images, right: int) -> None:
    path = packed(f"{name}.npz")
    x, y = images(10_000)
    found = features.classifier(path).fit(x).probabilities(x).argmax(1)
    assert int((found == y).sum()) == pytest.approx(right, abs=2)


def save(path: Path, state: dict[str, Tensor]) -> str:
    np.savez(path, **{k: v.numpy() for k, v in state.items() if not k.endswith("num_batches_tracked")})
    return str(path)


class LeNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 3, 5), nn.Conv2d(3, 4, 5)
        self.fc1, self.fc2, self.fc3 = nn.Linear(100, 12), nn.Linear(12, 9), nn.Linear(9, 5)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = nn.Upsample(size=(32, 32), mode="bilinear")(x)
        for conv in (self.conv1, self.conv2):
            x = nn.MaxPool2d(2)(conv(x).relu())
        x = self.fc2(self.fc1(x.flatten(1)).relu()).relu()
        return x, self.fc3(x).softmax(1)


class Block(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.stride, self.extra = stride, (outputs - inputs) // 2
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm2d(outputs), nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(self.bn1(self.conv1(x)).relu()))
        zeros = torch.zeros(len(x), self.extra, *y.shape[2:])
        return (y + torch.cat([zeros, x[:, :, :: self.stride, :: self.stride], zeros], 1)).relu()


class ResNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 4, 3, 1, 1, bias=False), nn.BatchNorm2d(4)
        widths = (4, 4, 8, 12)
        for stage in (1, 2, 3):
            blocks = [Block(widths[stage - 1], widths[stage], 1 + (stage > 1)), Block(widths[stage], widths[stage], 1)]
            setattr(self, f"layer{stage}", nn.Sequential(*blocks))
        self.linear = nn.Linear(12, 6)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
        x = ((x + 1) / 2 - mean[:, None, None]) / std[:, None, None]
        x = self.bn1(self.conv1(x)).relu()
        for stage in (self.layer1, self.layer2, self.layer3):
            x = stage(x)
        x = x.mean((2, 3))
        return x, self.linear(x).softmax(1)


@pytest.mark.parametrize(
    ("make", "shape"), [(LeNet, (1, 28, 28)), (LeNet, (1, 32, 32)), (ResNet, (3, 32, 32))], ids=["28", "32", "resnet"]
)
def test_against_modules(make: type[nn.Module], shape: tuple[int, ...], tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = make()
    with torch.no_grad():
        for name, value in [*net.named_parameters(), *net.named_buffers()]:
            if name.endswith(("bn1.weight", "bn2.weight", "running_var", "running_mean", "bias")):
                value.uniform_(0.5, 1.5)
        x = torch.rand(7, *shape) * 2 - 1
        hidden, probabilities = net.eval()(x)
    extractor = features.classifier(save(tmp_path / "net.npz", net.state_dict())).fit(x)
    assert extractor.shape == shape
    torch.testing.assert_close(extractor(x), hidden.double(), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(extractor.probabilities(x), probabilities.double(), rtol=1e-4, atol=1e-6)
    assert extractor.dimension == hidden.shape[1]


def test_files_that_are_no_known_network(tmp_path: Path) -> None:
    state = LeNet().state_dict()
    wrong = {
        "missing": {k: v for k, v in state.items() if k != "fc2.bias"},
        "extra": {**state, "fc4.weight": torch.zeros(2, 2)},
        "shape": {**state, "conv2.weight": torch.zeros(4, 3, 3, 3)},
        "gap": {k.replace("layer2.1", "layer2.2"): v for k, v in ResNet().state_dict().items()},
        "scalar": {**state, "fc1.weight": torch.tensor(1.0)},
    }
    for name, arrays in wrong.items():
        with pytest.raises(UsageError, match="are no known network; allowed: a LeNet"):
            features.classifier(save(tmp_path / f"{name}.npz", arrays))
    for name, content in (("text.npz", b"hello"), ("empty.npz", b"")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UsageError, match=f"cannot read .*{name}"):
            features.classifier(str(tmp_path / name))
    np.save(tmp_path / "one.npy", np.zeros(3))
    np.savez(tmp_path / "objects.npz", a=np.array([{}], dtype=object))
    for name in ("one.npy", "objects.npz", "absent.npz"):
        with pytest.raises(UsageError, match=f"cannot read .*{name}"):
            features.classifier(str(tmp_path / name))


def test_images_that_it_does_not_take(tmp_path: Path) -> None:
    path = save(tmp_path / "net.npz", LeNet().state_dict())
    with pytest.raises(UsageError, match=r"is a lenet; got examples of shape \[3, 32, 32\]; allowed: \[1, 28, 28\] or"):
        features.classifier(path).fit(torch.zeros(2, 3, 32, 32))
    with pytest.raises(UsageError, match="as fitted"):
        features.classifier(path).fit(torch.zeros(2, 1, 28, 28))(torch.zeros(2, 1, 32, 32))
