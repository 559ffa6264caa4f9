"""Features and class probabilities of CIFAR-10 images: from the packed ResNet weights, or from Inception weights given
by path."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import batch_norm, conv2d, pad, relu

Extractor = Callable[[Tensor], tuple[Tensor, Tensor]]
"""uint8 images [n, 3, 32, 32] -> (features [n, f], class probabilities [n, classes])."""

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class ResNet:
    """CIFAR-10 ResNet of He et al. (2016) with weightless shortcuts, evaluated from a dictionary of arrays."""

    def __init__(self, path: Path, device: torch.device):
        with np.load(path) as file:
            self.weights = {k: torch.from_numpy(file[k]).to(device) for k in file.files}
        self.mean, self.std = (torch.tensor(v, device=device).view(1, 3, 1, 1) for v in (MEAN, STD))
        self.blocks = sorted(
            {
                tuple(int(p[5:] if p.startswith("layer") else p) for p in k.split(".")[:2])
                for k in self.weights
                if k.startswith("layer")
            }
        )

    def _normed(self, x: Tensor, conv: str, norm: str, stride: int = 1) -> Tensor:
        w = self.weights
        x = conv2d(x, w[f"{conv}.weight"], stride=stride, padding=1)
        return batch_norm(
            x, w[f"{norm}.running_mean"], w[f"{norm}.running_var"], w[f"{norm}.weight"], w[f"{norm}.bias"], eps=1e-5
        )

    @torch.no_grad()
    def __call__(self, images: Tensor) -> tuple[Tensor, Tensor]:
        x = relu(self._normed((images.float() / 255 - self.mean) / self.std, "conv1", "bn1"))
        for layer, block in self.blocks:
            name = f"layer{layer}.{block}"
            stride = 2 if layer > 1 and block == 0 else 1
            y = relu(self._normed(x, f"{name}.conv1", f"{name}.bn1", stride))
            y = self._normed(y, f"{name}.conv2", f"{name}.bn2")
            if stride == 2:
                extra = y.shape[1] - x.shape[1]
                x = pad(x[:, :, ::2, ::2], (0, 0, 0, 0, extra // 2, extra - extra // 2))
            x = relu(x + y)
        features = x.mean((2, 3))
        return features, (features @ self.weights["linear.weight"].T + self.weights["linear.bias"]).softmax(1)


def inception(path: Path, device: torch.device) -> Extractor:
    """Inception-v3 as torch-fidelity defines it, with weights from a file: 2048 features, 1008 unbiased logits."""
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    net: nn.Module = (
        FeatureExtractorInceptionV3("inception", ["2048", "logits_unbiased"], feature_extractor_weights_path=str(path))
        .to(device)
        .eval()
    )

    @torch.no_grad()
    def extract(images: Tensor) -> tuple[Tensor, Tensor]:
        features, logits = net(images)
        return features, logits.softmax(1)

    return extract


def extract(extractor: Extractor, images: Tensor, device: torch.device, block: int = 500) -> tuple[Tensor, Tensor]:
    """Features and probabilities of many images, in float64 on the CPU."""
    parts = [extractor(part.to(device)) for part in images.split(block)]
    return torch.cat([p[0] for p in parts]).double().cpu(), torch.cat([p[1] for p in parts]).double().cpu()


def inception_score(probabilities: Tensor, splits: int = 10) -> tuple[float, float]:
    """exp(mean_x KL(p(y|x) || p(y))) over `splits` parts, mean and standard deviation (Salimans et al. 2016). The name
    stands for the
    formula; with a CIFAR classifier it is a classifier score and not comparable with published Inception scores."""
    scores = []
    for part in probabilities.chunk(splits):
        marginal = part.mean(0, keepdim=True)
        scores.append(
            float((part * (part.clamp_min(1e-12).log() - marginal.clamp_min(1e-12).log())).sum(1).mean().exp())
        )
    return float(np.mean(scores)), float(np.std(scores))
