"""SCF: smooth characteristic functions compared at a few frequencies (Chwialkowski, Ramdas, Sejdinovic, Gretton 2015;
Jitkrittum, Szabo, Chwialkowski, Gretton 2016).

    T = n zbar' (S + g I)^-1 zbar,     z_i = f(x_i) - f(y_i),     f(x) = h(x) (sin x't_j, cos x't_j)_j = 1..J

h(x) = exp(-|x|^2 / (2 w^2)) smooths the difference of the characteristic functions over frequencies, so that a few
frequencies see what lies between them too: without it, two laws can agree at all of them. x is counted from the middle
of the training part. Frequencies and w ascend T on one part of the pairs, the other part decides, with the null of
`me`: exact by random signs, or chi2 with 2 J degrees of freedom.

Good where the difference is a pattern that repeats (grids, textures, periods): ME sees where, SCF at which wavelength.
"""

import math
from typing import Any

import torch
from torch import Tensor

from ganneal.twosample.mean_embedding import (
    ascend,
    best_of_groups,
    check_choice,
    decide,
    paired_parts,
    standard_scores,
    standard_units,
)
from ganneal.twosample.result import TestResult

LOW, HIGH = 3.0, 30.0
"""Frequencies to start from: phases x't that vary over the cloud by half a radian up to so many."""
TRIES, CANDIDATES = 10, 1000
"""Starts for each: random sets, and one of the best of so many single frequencies, for patterns that repeat, which a
random set would hardly hit."""


def scf_test(
    x: Any, y: Any, frequencies: int = 5, permutations: int = 1000, seed: int = 0, level: float = 0.05, *,
    share: float = 0.5, steps: int = 200, null: str = "signs",
) -> TestResult:  # fmt: skip
    """Are x [n, ...] and y [n, ...] from the same law? Smooth characteristic functions at learned frequencies; x_i and
    y_i make a pair.

    frequencies   J, how many
    permutations  random sign patterns
    share         of the pairs that train, between 0 and 1, in `steps` steps of Adam
    null          "signs": exact at every n, and for pairs that are dependent but exchangeable; "chi2": chi2_2J as
                  published, kept for comparison, which rejects far too often unless n >> J (measured at level .05,
                  J = 5: .76 of null cases with 30 pairs, .18 with 100, .07 with 500; half of them test)

    details, in order of falling score: `frequencies` [J][d] in radians per data unit; `wavelengths` [J], 2 pi / |t_j|
    in data units; `differences` [J], the modulus of the difference at t_j; `scores` [J], the larger of its two parts
    over its standard error. `bandwidth` is w, in units of each column's spread in the training part.

    Raises UsageError for samples of different sizes, for fewer than 8 pairs, and otherwise as `mmd_test` does.
    """
    train, test, generator = paired_parts(x, y, permutations, seed, level, share)
    check_choice(frequencies, "frequencies", null, 2 * frequencies, len(test[0]))
    middle, unit = standard_units(torch.cat(train))
    a, b = ((part - middle) * unit for part in train)
    both = torch.cat([a, b])
    wide, starts = float(both.square().sum(1).median().sqrt()) or 1.0, []
    log_width = torch.tensor(math.log(wide), dtype=torch.float64)
    for reach, tries in ((LOW, TRIES), (HIGH, TRIES), (LOW, 0), (HIGH, 0)):
        count = tries * frequencies or CANDIDATES
        sizes = 0.5 * (2 * reach) ** torch.rand(count, 1, dtype=torch.float64, generator=generator)
        directions = torch.randn(count, both.shape[1], dtype=torch.float64, generator=generator)
        candidates = directions * sizes / wide
        if tries:
            starts += [[chosen, log_width] for chosen in candidates.split(frequencies)]
            continue
        z = differences([candidates, log_width], a[: len(a) // 2], b[: len(b) // 2])
        scores = standard_scores(z)[0].view(-1, 2).norm(dim=1)
        starts.append([candidates[best_of_groups(scores, frequencies)], log_width])
    best = ascend(differences, starts, a, b, steps)
    z = differences(best, *((part - middle) * unit for part in test))
    told = best[0] * unit
    parts, _ = standard_scores(z)
    scores = parts.view(-1, 2).abs().amax(1)
    order = scores.argsort(descending=True, stable=True)
    details = {
        "frequencies": told[order].tolist(),
        "wavelengths": [2 * math.pi / max(float(size), 1e-300) for size in told.norm(dim=1)[order]],
        "differences": z.mean(0).view(-1, 2).norm(dim=1)[order].tolist(),
        "scores": scores[order].tolist(),
    }
    statistic, pvalue, name = decide(z, null, permutations, generator)
    return TestResult(
        name="scf", statistic=statistic, pvalue=pvalue, level=level, m=len(x), n=len(y), seed=seed, null=name,
        permutations=permutations if null == "signs" else 0, bandwidth=(float(best[1].exp()),),
        tested=(len(z), len(z)), details=details,
    )  # fmt: skip


def differences(parameters: list[Tensor], x: Tensor, y: Tensor) -> Tensor:
    """z [n, 2 J] of x and y [n, d], from frequencies [J, d] and log w: sine and cosine of each frequency side by
    side."""
    return _smooth(parameters, x) - _smooth(parameters, y)


def _smooth(parameters: list[Tensor], x: Tensor) -> Tensor:
    frequencies, log_width = parameters
    smoother = torch.exp(-0.5 * x.square().sum(1, keepdim=True) * torch.exp(-2 * log_width))
    phase = x @ frequencies.T
    return torch.stack([smoother * phase.sin(), smoother * phase.cos()], 2).flatten(1)
