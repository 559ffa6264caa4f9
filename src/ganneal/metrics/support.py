"""Does a model cover the data, and does the data cover the model? Balls around the examples, as wide as their k-th
neighbour, stand for the support of a law.

    precision  share of samples inside some ball of a real example: samples that look real
    recall     share of real examples inside some ball of a sample: the variety that the model reaches
               (Kynkaanniemi et al. 2019, equations 1 and 2)
    density    (1/(k n)) sum_j #{i: y_j in the ball of x_i}: as precision, but one far-out real example, with its large
               ball, counts for little
    coverage   share of real examples with a sample in their ball: as recall, but far-out samples do not count
               (Naeem et al. 2020, equations 3 and 4)

What equal laws score is known exactly for two of them, whatever the law (own derivation; ranks of exchangeable points):
the mean of density is 1, that of coverage is 1 - (m-1)(m-2)...(m-k) / ((m+n-1)(m+n-2)...(m+n-k)), about 1 - 2^-k for
m = n. Precision and recall of equal laws depend on the law and fall with the dimension: print them for held-out data.

Balls are closed, so that an exact copy of a real example is inside its ball even where that has radius 0, as among
duplicates; the published code of Naeem et al. takes open balls.
"""

from dataclasses import asdict, dataclass
from typing import Any

import torch

from ganneal.errors import UsageError
from ganneal.metrics.distances import lower_bounds, nearest, within
from ganneal.twosample.samples import as_pair


@dataclass(frozen=True)
class Support:
    """Precision, recall, density and coverage of n samples for m real examples, by balls to the k-th neighbour.

    coverage_expected  the mean of coverage for equal laws (that of density is 1)
    """

    precision: float
    recall: float
    density: float
    coverage: float
    coverage_expected: float
    k: int
    m: int
    n: int

    def sentence(self) -> str:
        """The outcome in plain words, with what equality would score."""
        return (
            f"{self.precision:.1%} of the samples look real, {self.recall:.1%} of the real variety is reached; "
            f"density {self.density:.3g} (equal laws: 1), coverage {self.coverage:.1%} (equal laws: "
            f"{self.coverage_expected:.1%})."
        )

    def to_dict(self) -> dict[str, Any]:
        """Every field, ready for strict JSON."""
        return asdict(self)


def support(real_features: Any, fake_features: Any, k: int = 5) -> Support:
    """Precision, recall, density and coverage of fake [n, d] for real [m, d].

    Memory is bounded: 20,000 against 20,000 examples take well under a GiB beside the features. Raises UsageError for
    samples that are not finite or do not fit, and for a k that is not smaller than both sizes.
    """
    x, y = as_pair(real_features, fake_features, names=("real_features", "fake_features"))
    m, n = len(x), len(y)
    if isinstance(k, bool) or not isinstance(k, int) or not 1 <= k < min(m, n):
        raise UsageError(f"k: got {k}; allowed: whole numbers from 1 to {min(m, n) - 1}")
    real_radius, fake_radius = (nearest(v, v, k, others=True)[0][:, -1].square() for v in (x, y))
    looks_real, reached = torch.zeros(n, dtype=torch.bool), torch.zeros(m, dtype=torch.bool)
    covered, inside = 0, 0
    for rows, bounds in lower_bounds(x, y):
        in_real = within(x[rows], y, bounds, real_radius[rows, None])
        looks_real |= in_real.any(0)
        covered += int(in_real.any(1).sum())
        inside += int(in_real.sum())
        reached[rows] = within(x[rows], y, bounds, fake_radius).any(1)
    return Support(
        precision=float(looks_real.double().mean()), recall=float(reached.double().mean()), density=inside / (k * n),
        coverage=covered / m, coverage_expected=coverage_expected(m, n, k), k=k, m=m, n=n,
    )  # fmt: skip


def coverage_expected(m: int, n: int, k: int = 5) -> float:
    """The mean of coverage for equal laws without ties: 1 - (m-1)...(m-k) / ((m+n-1)...(m+n-k)).

    The m - 1 other real examples and the n samples stand around a real example in random order; none of the samples is
    in the ball if the first k are all real.

    >>> round(coverage_expected(10_000, 10_000, 5), 4)
    0.9688
    """
    missed = 1.0
    for j in range(1, k + 1):
        missed *= (m - j) / (m + n - j)
    return 1 - missed
