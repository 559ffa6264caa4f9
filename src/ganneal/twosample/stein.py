"""Kernel Stein discrepancy: does a sample fit a density that is known up to a constant? (Liu, Lee and Jordan 2016;
Chwialkowski, Strathmann and Gretton 2016; the inverse multiquadric kernel: Gorham and Mackey 2017.)

    KSD^2 = E u(x, x'),   u = s(x)'s(x') k + s(x)' grad_x' k + s(x')' grad_x k + tr grad_x grad_x' k,   s = grad log p

With k = f(r^2), r = |x - x'|, d dimensions and e = x - x':

    u = f s(x)'s(x') - 2 f' (s(x) - s(x'))'e - 4 f'' r^2 - 2 d f'

E u = 0 if and only if the sample's law is p (for p smooth with tails that the kernel sees: with light-tailed kernels
the discrepancy misses samples that drift away, hence the default "imq"). Only the score is needed, no constant and no
second sample. The null is by wild bootstrap, valid as n grows: sizes in small samples are measured, not proved (level
.05, normal law in 1 and 5 dimensions, 30 and 100 examples, both kernels, 1,000 replications each: .039 to .056). As all
signs are 1 or -1, the diagonal of u adds the same to every value, and the p-value is that of either statistic.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ganneal.errors import UsageError, nearest
from ganneal.twosample.kernels import median_distance
from ganneal.twosample.permutation import permutation_pvalue
from ganneal.twosample.result import TestResult
from ganneal.twosample.samples import as_samples, check_request

TILE = 2048
Radial = Callable[[Tensor], tuple[Tensor, Tensor, Tensor]]
"""r^2 -> f, f', f''."""


def ksd_test(
    x: Any, score: Any, kernel: str = "imq", permutations: int = 1000, seed: int = 0, level: float = 0.05, *,
    bandwidth: float | None = None, change: float = 0.5,
) -> TestResult:  # fmt: skip
    """Does x [n, ...] come from the density with that score?

    score      a function x [n, d] -> grad log p(x) [n, d], or its values [n, d]
    kernel     "imq": (1 + r^2 / c^2)^(-1/2); "gaussian": exp(-r^2 / (2 c^2))
    bandwidth  c; the median distance by default
    change     chance that the random sign of the bootstrap changes from one example to the next: .5 for independent
               examples, less for the states of a Markov chain in their order, as small as their dependence is long
               (Chwialkowski et al. 2016, section 4)

    `statistic` is the unbiased KSD^2 for independent examples, and the biased one (diagonal included) for a chain.
    details: `worst`, the places of the five examples that add most to it.
    Raises UsageError for a score that is not finite or does not fit, and for unknown kernels.
    """
    x = as_samples(x, "x")
    check_request(permutations, level)
    if not 0 < change <= 0.5:
        raise UsageError(f"change: got {change}; allowed: above 0, at most 0.5 (independent examples)")
    values, radial, width = _scores(x, score), *_radial(kernel, bandwidth, x)
    n, chain = len(x), change < 0.5
    generator = torch.Generator().manual_seed(seed)
    turns = torch.rand(n, permutations, generator=generator, dtype=torch.float64) < change
    signs = 1 - 2 * (turns.cumsum(0) % 2).to(torch.float64)
    signs = torch.cat([torch.ones(n, 1, dtype=torch.float64), signs], 1)
    forms, rows, scale = _forms(x, values, radial, signs, chain)
    forms /= n * n if chain else n * (n - 1)
    observed = float(forms[0])
    return FitResult(
        name="ksd", statistic=observed, pvalue=permutation_pvalue(observed, forms[1:], 1e-12 * scale / n), level=level,
        m=n, n=n, permutations=permutations, seed=seed, null="wild bootstrap", bandwidth=(width,),
        details={"kernel": kernel, "change": change, "worst": rows.argsort(descending=True, stable=True)[:5].tolist()},
    )  # fmt: skip


class FitResult(TestResult):
    """A result whose sentence is about a sample and a density."""

    def sentence(self) -> str:
        """The outcome in plain words."""
        found = f"(p = {self.pvalue:.2g} at level {self.level:g}, {self.m} samples)"
        if self.rejected:
            return f"The sample does not come from the density {found}."
        return f"No misfit of sample and density found {found}. This is not proof that they agree."


def kernel_stein_discrepancy(x: Any, score: Any, kernel: str = "imq", bandwidth: float | None = None) -> float:
    """The unbiased KSD^2 of x [n, ...]; arguments and errors as for `ksd_test`."""
    x = as_samples(x, "x")
    radial, _ = _radial(kernel, bandwidth, x)
    ones = torch.ones(len(x), 1, dtype=torch.float64)
    return float(_forms(x, _scores(x, score), radial, ones, False)[0]) / (len(x) * (len(x) - 1))


def stein_matrix(x: Tensor, sx: Tensor, y: Tensor, sy: Tensor, radial: Radial) -> Tensor:
    """u(x_i, y_j) [m, n] from points x [m, d], y [n, d] and their scores."""
    squared = (x.square().sum(1)[:, None] + y.square().sum(1) - 2 * x @ y.T).clamp_(min=0)
    f, first, second = radial(squared)
    # (s(x) - s(y))'(x - y), term by term, so that no [m, n, d] is made
    turn = (sx * x).sum(1)[:, None] - sx @ y.T - x @ sy.T + (sy * y).sum(1)
    return f * (sx @ sy.T) - 2 * first * turn - 4 * second * squared - 2 * x.shape[1] * first


def _forms(x: Tensor, scores: Tensor, radial: Radial, signs: Tensor, diagonal: bool) -> tuple[Tensor, Tensor, float]:
    """sum_ij w_i w_j u_ij [b] for sign columns [n, b], without the diagonal unless asked for; sum_j u_ij [n]; and the
    mean of |u|."""
    x = x - x.median(0).values
    total, rows, size = torch.zeros(signs.shape[1], dtype=torch.float64), torch.zeros(len(x), dtype=torch.float64), 0.0
    pieces = [slice(start, start + TILE) for start in range(0, len(x), TILE)]
    for i, r in enumerate(pieces):
        for c in pieces[i:]:
            u = stein_matrix(x[r], scores[r], x[c], scores[c], radial)
            if r == c and not diagonal:
                u.fill_diagonal_(0)
            twice = 1 if r == c else 2
            total += twice * (signs[r] * (u @ signs[c])).sum(0)
            size += twice * float(u.abs().sum())
            rows[r] += u.sum(1)
            if r != c:
                rows[c] += u.sum(0)
    return total, rows, size / len(x) ** 2


def _scores(x: Tensor, score: Any) -> Tensor:
    values = torch.as_tensor(score(x) if callable(score) else score).detach().to(torch.float64)
    if values.shape != x.shape:
        raise UsageError(f"score: got shape {tuple(values.shape)}; allowed: that of x, {tuple(x.shape)}")
    if not bool(values.isfinite().all()):
        bad = int((~values.isfinite().all(1)).sum())
        raise UsageError(f"score: not finite at {bad} of {len(x)} examples; allowed: finite numbers")
    return values


def _radial(kernel: str, bandwidth: float | None, x: Tensor) -> tuple[Radial, float]:
    width = median_distance(x) if bandwidth is None else float(bandwidth)
    if not 0 < width < float("inf"):
        raise UsageError(f"bandwidth: got {bandwidth}; allowed: a positive number")
    square = width**2
    if kernel == "gaussian":

        def gaussian(r: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            f = (r * (-0.5 / square)).exp()
            return f, f * (-0.5 / square), f * (0.25 / square**2)

        return gaussian, width
    if kernel == "imq":

        def imq(r: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            base = 1 + r / square
            return base**-0.5, -0.5 / square * base**-1.5, 0.75 / square**2 * base**-2.5

        return imq, width
    raise UsageError(f"kernel: got {kernel!r}; {nearest(str(kernel), ('imq', 'gaussian'))}")
