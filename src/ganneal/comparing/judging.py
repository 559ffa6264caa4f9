"""What the samples of one run score, each number beside what a perfect sampler scores.

With known modes the score that ranks is the divergence: KL(samples || truth) over the K modes and all that lies
outside of them, K + 1 cells. A mode that is missed costs it and so does a sample between modes, so it cannot be had by
being good at one of the two; by the data processing inequality it is below KL(model || data), and it is finite for any
samples whatever. The usual numbers (modes, high-quality share, KL of the histogram alone) stand beside it, as in
Srivastava et al. (2017) and Lin et al. (2018). Without modes the score is the energy distance to held-out data,

    E^2 = 2 E|x - y| - E|x - x'| - E|y - y'|     over all pairs, a point with itself among them

(Szekely and Rizzo 2013, eq. 6.1): never below 0, and for m samples of the very law of n others (1/m + 1/n) E|y - y'|.
"""

from typing import Any

import torch
from torch import Tensor

from ganneal.data import Source
from ganneal.engine.batches import mix
from ganneal.engine.config import Config
from ganneal.engine.verdict import KERNEL, parts
from ganneal.metrics import histogram_kl, histogram_kl_floor, mode_coverage
from ganneal.twosample import mmd_test
from ganneal.twosample.energy import mean_distance
from ganneal.twosample.samples import LEAST

DRAWS = 2500
"""Samples of a run that modes are counted on (PacGAN's number)."""
REFERENCE = 4000
"""Examples of a toy that stand for its law."""
MOST = 1000
"""Samples of a run whose distance to it is measured."""
QUICK = 1000
"""Samples of a run at a look while it trains."""


class Judge:
    """Scores samples of a source. What it compares with is drawn once, the same for every cell.

    permutations, level    of the two-sample test
    """

    def __init__(self, source: Source, config: Config):
        self.source, self.config = source, config
        self.modes = source.modes if source.spread else None
        generator = torch.Generator().manual_seed(mix(0, 21))
        held = parts(source)[1]
        self.held = held.flatten(1)
        self.reference = (
            source.sample(REFERENCE, generator).flatten(1) if source.size is None else source.heldout(10**6).flatten(1)
        )
        self.reference = self.reference.double()
        self.inner = mean_distance(self.reference, self.reference)
        self.draws = max(DRAWS if self.modes is not None else 0, min(DRAWS, len(self.held)), LEAST)

    @property
    def score(self) -> str:
        """The key of the measure that ranks."""
        return "energy" if self.modes is None else "divergence"

    def row(self, x: Tensor, seed: int) -> dict[str, Any]:
        """All scores of samples x [n, *shape] of one run; None for what samples that are not finite do not have."""
        x = x.flatten(1).cpu()
        found: dict[str, Any] = {}
        if self.modes is not None:
            found |= self._coverage(x)
        if not bool(x.isfinite().all()):
            return {**found, "energy": None, "mmd": None, "p": None}
        found["energy"] = self._energy(x)
        n = len(self.held)
        if n < LEAST:
            return {**found, "mmd": None, "p": None}
        config = self.config
        test = mmd_test(
            x[:n], self.held, kernel=KERNEL, permutations=config.permutations, seed=mix(seed, 9) % 2**31,
            level=config.level,
        )  # fmt: skip
        return {**found, "mmd": test.statistic, "p": test.pvalue}

    def quick(self, x: Tensor) -> float | None:
        """The score that ranks, of some samples while a run trains."""
        x = x.flatten(1).cpu()
        if self.modes is not None:
            return float(self._coverage(x)["divergence"])
        return self._energy(x, 500) if bool(x.isfinite().all()) else None

    def perfect(self) -> dict[str, Any]:
        """What a perfect sampler scores on average with as many samples: floors, ceilings, and real data in the place
        of samples."""
        generator = torch.Generator().manual_seed(mix(0, 22))
        source, found = self.source, {}
        if self.modes is not None:
            one = mode_coverage(torch.zeros(self.draws, self.modes.shape[1]), self.modes, self.source.spread)
            found = {
                "modes": one.total,
                "high_quality": one.high_quality_ceiling,
                "kl": one.kl_floor,
                "divergence": histogram_kl_floor(self._truth(one.total, one.high_quality_ceiling), self.draws),
            }
        n = max(4, min(self.draws, len(self.held)))
        real = source.sample(n, generator) if source.size is None else source.rows(
            torch.randperm(source.size, generator=generator)[:n]
        )  # fmt: skip
        m, size = min(MOST, self.draws), len(self.reference)
        pairs = self.inner * size / max(1, size - 1)  # of two different examples
        distance = (1 / m + 1 / size) * pairs if size >= LEAST else None
        test = mmd_test(real.flatten(1), self.held, kernel=KERNEL, permutations=19) if len(self.held) >= LEAST else None
        return {**found, "energy": distance, "mmd": None if test is None else test.statistic, "p": 0.5}

    def _coverage(self, x: Tensor) -> dict[str, Any]:
        found = mode_coverage(x, self.modes, self.source.spread)
        counts = torch.tensor([*found.counts, found.samples - sum(found.counts)])
        kl = found.to_dict()["kl"]
        return {
            "modes": found.modes,
            "high_quality": found.high_quality,
            "kl": kl,
            "divergence": histogram_kl(counts, self._truth(found.total, found.high_quality_ceiling)),
        }

    @staticmethod
    def _truth(total: int, ceiling: float) -> Tensor:
        """Shares of the modes and of what lies outside of them, of the law itself."""
        return torch.tensor([*[ceiling / total] * total, 1 - ceiling], dtype=torch.float64)

    def _energy(self, x: Tensor, most: int = MOST) -> float | None:
        """E^2 of some samples to the reference; the reference's own part is made once."""
        if len(self.reference) < LEAST:
            return None
        x = x[:most].double()
        return max(0.0, 2 * mean_distance(x, self.reference) - mean_distance(x, x) - self.inner)
