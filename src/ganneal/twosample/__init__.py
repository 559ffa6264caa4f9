"""Do two sets of samples come from the same distribution? Calibrated tests with p-values that are never zero."""

from ganneal.twosample.mmd import gaussian_gram, median_distance, mmd_test
from ganneal.twosample.permutation import permutation_pvalue, permutation_test, permuted_statistics
from ganneal.twosample.result import TestResult

__all__ = [
    "TestResult",
    "gaussian_gram",
    "median_distance",
    "mmd_test",
    "permutation_pvalue",
    "permutation_test",
    "permuted_statistics",
]
