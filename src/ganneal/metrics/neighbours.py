"""Which side is a nearest neighbour from? Leave-one-out accuracy of the 1-NN rule, split into real and fake.

    accuracy on real   share of real examples whose nearest neighbour is real
    accuracy on fake   share of samples whose nearest neighbour is a sample
                       (Xu et al. 2018, section 2; Lopez-Paz and Oquab 2017)

Both are (n - 1) / (2 n - 1), a little below 1/2, for equal laws and n examples of each. Both near 1: the laws differ.
Real low, fake high: samples lie where the data are, but closer together than data do: variety is lost. Both far below
1/2: samples are copies of these very real examples, so compare with the training data too. For a p-value take
`ganneal.twosample`, test `nn`.
"""

from dataclasses import asdict, dataclass
from typing import Any

import torch

from ganneal.twosample.neighbours import leave_one_out
from ganneal.twosample.samples import as_pair


@dataclass(frozen=True)
class NeighbourAccuracy:
    """Leave-one-out 1-NN accuracy on n real examples and on n samples; `expected` for equal laws."""

    real: float
    fake: float
    total: float
    expected: float
    n: int

    def to_dict(self) -> dict[str, Any]:
        """Every field, ready for strict JSON."""
        return asdict(self)


def neighbour_accuracy(real_features: Any, fake_features: Any, seed: int = 0) -> NeighbourAccuracy:
    """1-NN accuracy on real [m, ...] and on fake [n, ...], the larger cut at random to the size of the smaller.

    Raises UsageError for samples that are not finite, have different widths or fewer than 4 examples.
    """
    pair = as_pair(real_features, fake_features, names=("real_features", "fake_features"))
    n, generator = min(map(len, pair)), torch.Generator().manual_seed(seed)
    real, fake = (v if len(v) == n else v[torch.randperm(len(v), generator=generator)[:n]] for v in pair)
    found = leave_one_out(real, fake)
    return NeighbourAccuracy(found["x"], found["y"], found["total"], (n - 1) / (2 * n - 1), n)
