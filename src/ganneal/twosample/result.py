"""The outcome of a two-sample test: numbers for a machine, one sentence for a person."""

from dataclasses import asdict, dataclass
from typing import Any, ClassVar


@dataclass(frozen=True)
class TestResult:
    """What a two-sample test found.

    statistic     the observed value; for `mmd` the unbiased estimate of MMD^2, which may be negative
    pvalue        (1 + #{T_b >= T_0}) / (B + 1): never 0, at most 1
    rejected      pvalue <= level
    m, n          sample sizes
    bandwidth     of each Gaussian kernel in the mean of kernels
    power         estimated chance that a fresh pair of samples of this size would be told apart, None where there is
                  no estimate. It is made from the same samples as the p-value, so beside a large p-value it is low by
                  construction
    detectable    the effect (unit of `statistic`) that a test of this size finds about four times in five
    """

    __test__: ClassVar[bool] = False  # the name begins with Test, but pytest has nothing to collect here

    name: str
    statistic: float
    pvalue: float
    level: float
    rejected: bool
    m: int
    n: int
    permutations: int
    seed: int
    bandwidth: tuple[float, ...] = ()
    power: float | None = None
    detectable: float | None = None

    def sentence(self) -> str:
        """The outcome in plain words.

        >>> TestResult("mmd", 0.1, 0.001, 0.05, True, 500, 400, 999, 0).sentence()
        'The samples differ (p = 0.001 at level 0.05, 500 vs 400 samples).'
        >>> same = TestResult("mmd", 0.0, 0.31, 0.05, False, 500, 500, 999, 0, detectable=0.0025)
        >>> print(same.sentence())  # doctest: +NORMALIZE_WHITESPACE
        No difference found at level 0.05 with 500 vs 500 samples (p = 0.31). This is not proof of equality: with so
        many samples, differences smaller than MMD = 0.05 are often missed.
        """
        if self.rejected:
            return f"The samples differ (p = {self.pvalue:.2g} at level {self.level:g}, {self.m} vs {self.n} samples)."
        found = (
            f"No difference found at level {self.level:g} with {self.m} vs {self.n} samples (p = {self.pvalue:.2g}). "
            "This is not proof of equality"
        )
        if self.detectable is None:
            return found + "."
        name, size = ("MMD", self.detectable**0.5) if self.name == "mmd" else ("the statistic", self.detectable)
        return f"{found}: with so many samples, differences smaller than {name} = {size:.2g} are often missed."

    def to_dict(self) -> dict[str, Any]:
        """Every field, ready for JSON."""
        return {**asdict(self), "bandwidth": list(self.bandwidth)}
