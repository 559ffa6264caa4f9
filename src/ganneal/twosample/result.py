"""The outcome of a test: numbers for a machine, one sentence for a person."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar


@dataclass(frozen=True)
class TestResult:
    """What a test found.

    statistic     the observed value, large where the samples differ; for `mmd` the unbiased estimate of MMD^2, which
                  may be negative
    pvalue        never 0, at most 1
    level         rejected if pvalue <= level
    m, n          sample sizes given
    permutations  relabelings (or bootstrap draws) behind the p-value; 0 for a null in closed form
    null          how the p-value was made: "permutation", "permutation, stopped early", "wild bootstrap", "binomial",
                  "normal", "chi2(5)", ...
    bandwidth     of each kernel in use
    tested        examples (of x, of y) that the statistic was computed on, where another part was trained on; None: all
    power         estimated chance that a fresh pair of samples of this size would be told apart, None where there is
                  no estimate. It is made from the same samples as the p-value, at the effect that happened to be
                  observed: too low beside a large p-value, too high beside a small one
    detectable    the effect (unit of `statistic`) that a test of this size finds at least about four times in five
    effect        size of the difference on a scale that does not depend on n, named by `effect_name`
    seconds       what it took, where somebody measured
    details       what else a report can show: locations, weights, examples; plain numbers, lists and text only
    """

    __test__: ClassVar[bool] = False  # the name begins with Test, but pytest has nothing to collect here

    name: str
    statistic: float
    pvalue: float
    level: float
    m: int
    n: int
    permutations: int = 0
    seed: int = 0
    null: str = "permutation"
    bandwidth: tuple[float, ...] = ()
    tested: tuple[int, int] | None = None
    power: float | None = None
    detectable: float | None = None
    effect: float | None = None
    effect_name: str = ""
    seconds: float | None = field(default=None, compare=False)
    details: Mapping[str, Any] = field(default_factory=dict, compare=False)

    @property
    def rejected(self) -> bool:
        """pvalue <= level."""
        return self.pvalue <= self.level

    def sentence(self) -> str:
        """The outcome in plain words.

        >>> TestResult("mmd", 0.1, 0.001, 0.05, 500, 400, 999, 0).sentence()
        'The samples differ (p = 0.001 at level 0.05, 500 vs 400 samples).'
        >>> same = TestResult("mmd", 0.0, 0.31, 0.05, 500, 500, 999, 0, detectable=0.0025)
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
        """Every field and `rejected`, ready for strict JSON: numbers that are not finite become None."""
        told = {f.name: getattr(self, f.name) for f in fields(self)}
        return _plain({**told, "rejected": self.rejected, "details": dict(self.details)})


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
