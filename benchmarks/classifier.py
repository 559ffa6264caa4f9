"""A small classifier trained on the spot, for the features of a Frechet distance and the classes of a mode
histogram."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ganneal.nets import MLP


@dataclass
class Classifier:
    """Ten classes from pixels; `features` are its last hidden activations."""

    net: MLP
    accuracy: float

    @torch.no_grad()
    def features(self, x: Tensor) -> Tensor:
        """Last hidden activations, [n, 64]."""
        return self.net.hidden(x.flatten(1))

    @torch.no_grad()
    def classes(self, x: Tensor) -> Tensor:
        """Predicted classes, [n]."""
        return self.net(x.flatten(1)).argmax(1)


def train_classifier(
    x: Tensor, y: Tensor, x_test: Tensor, y_test: Tensor, steps: int = 2000, seed: int = 0
) -> Classifier:
    """Adam on batches of 128 with a little noise on the pixels, then the accuracy on the test part."""
    torch.manual_seed(seed)
    net: nn.Module = MLP(x[0].numel(), 10, width=64, depth=2)
    optimizer = torch.optim.Adam(net.parameters(), 2e-3)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = 2e-3 * (1 - step / steps)
        index = torch.randint(len(x), (128,))
        batch = x[index] + 0.1 * torch.randn_like(x[index])
        optimizer.zero_grad()
        cross_entropy(net(batch.flatten(1)), y[index]).backward()
        optimizer.step()
    with torch.no_grad():
        accuracy = (net(x_test.flatten(1)).argmax(1) == y_test).float().mean().item()
    return Classifier(net, accuracy)
