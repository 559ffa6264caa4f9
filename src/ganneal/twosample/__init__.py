"""Do two sets of samples come from the same distribution? Calibrated tests with p-values that are never zero."""

from ganneal.twosample.gram import Given, Gram
from ganneal.twosample.kernels import KERNELS, Kernel, median_distance
from ganneal.twosample.mmd import gram_test, mmd_test
from ganneal.twosample.permutation import permutation_pvalue, permutation_test
from ganneal.twosample.result import TestResult
from ganneal.twosample.variance import mmd_variance, power_criterion

__all__ = [
    "KERNELS",
    "Given",
    "Gram",
    "Kernel",
    "TestResult",
    "gram_test",
    "median_distance",
    "mmd_test",
    "mmd_variance",
    "permutation_pvalue",
    "permutation_test",
    "power_criterion",
]
