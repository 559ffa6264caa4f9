"""Do two sets of samples come from the same distribution, and where do they differ? Calibrated tests with p-values that
are never zero."""

from ganneal.twosample.aggregated import mmd_fuse_test, mmdagg_test
from ganneal.twosample.battery import TESTS, Battery, run_tests
from ganneal.twosample.calibrate import Calibration, calibrate
from ganneal.twosample.characteristic import scf_test
from ganneal.twosample.classifier import c2st_power, c2st_sample_size, c2st_test
from ganneal.twosample.columns import ks_test
from ganneal.twosample.conditional import conditional_test
from ganneal.twosample.deep import DeepKernel, DeepSettings, fit_deep_kernel, mmd_d_test
from ganneal.twosample.energy import energy_distance, energy_test
from ganneal.twosample.gram import Given, Gram
from ganneal.twosample.kernels import KERNELS, Kernel, median_distance
from ganneal.twosample.learned import mmd_ard_test, mmd_o_test
from ganneal.twosample.linear import mmd_linear_test
from ganneal.twosample.mean_embedding import me_test
from ganneal.twosample.mmd import gram_test, mmd_test
from ganneal.twosample.multiplicity import holm, wilson
from ganneal.twosample.neighbours import leave_one_out, nn_test
from ganneal.twosample.permutation import permutation_pvalue, permutation_test
from ganneal.twosample.planning import plan_mmd
from ganneal.twosample.random_features import mmd_features_test
from ganneal.twosample.relative import relative_test
from ganneal.twosample.result import TestResult
from ganneal.twosample.sinkhorn import sinkhorn_divergence, sinkhorn_test
from ganneal.twosample.stein import kernel_stein_discrepancy, ksd_test
from ganneal.twosample.transport import (
    sliced_wasserstein,
    sliced_wasserstein_test,
    wasserstein,
    wasserstein_test,
)
from ganneal.twosample.variance import mmd_variance, power_criterion
from ganneal.twosample.witness import witness_extremes

__all__ = [
    "KERNELS",
    "TESTS",
    "Battery",
    "Calibration",
    "DeepKernel",
    "DeepSettings",
    "Given",
    "Gram",
    "Kernel",
    "TestResult",
    "c2st_power",
    "c2st_sample_size",
    "c2st_test",
    "calibrate",
    "conditional_test",
    "energy_distance",
    "energy_test",
    "fit_deep_kernel",
    "gram_test",
    "holm",
    "kernel_stein_discrepancy",
    "ks_test",
    "ksd_test",
    "leave_one_out",
    "me_test",
    "median_distance",
    "mmd_ard_test",
    "mmd_d_test",
    "mmd_features_test",
    "mmd_fuse_test",
    "mmd_linear_test",
    "mmd_o_test",
    "mmd_test",
    "mmd_variance",
    "mmdagg_test",
    "nn_test",
    "permutation_pvalue",
    "permutation_test",
    "plan_mmd",
    "power_criterion",
    "relative_test",
    "run_tests",
    "scf_test",
    "sinkhorn_divergence",
    "sinkhorn_test",
    "sliced_wasserstein",
    "sliced_wasserstein_test",
    "wasserstein",
    "wasserstein_test",
    "wilson",
    "witness_extremes",
]
