"""Eigenvalues of the trained code at equilibria of exactly solvable games, against published closed forms: one table of
methods for each game, and one of all methods x all games against the block formulas."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from exact_games import F64, assert_spectrum, game, pair
from torch import Tensor

from ganneal.dynamics import GAMES, field_spectrum
from ganneal.dynamics.games import RESPONSES
from ganneal.dynamics.games.linear import Linear
from ganneal.dynamics.games.quadrature import normal_nodes, uniform_nodes, unit_nodes
from ganneal.dynamics.spectrum import _arnoldi, eigenvalues, jacobian
from ganneal.errors import UsageError
from ganneal.penalties import PENALTIES

# ---- Dirac-GAN: (objective, penalties, noise) -> eigenvalues (Mescheder, Geiger, Nowozin 2018)

LOGISTIC, WASSERSTEIN = 0.5, 1.0
DIRAC: dict[str, tuple[str, tuple[str, ...], float, list[complex]]] = {
    "logistic": ("jsd", (), 0.0, pair(0, 0.25)),
    "non-saturating": ("nonsaturating", (), 0.0, pair(0, 0.25)),
    "relativistic": ("relativistic", (), 0.0, pair(0, 0.25)),
    "reverse KL": ("rkl", (), 0.0, pair(0, 0.5)),
    "Wasserstein": ("wasserstein", (), 0.0, pair(0, 1)),
    "hinge": ("hinge", (), 0.0, pair(0, 1)),
    "least squares, a generator that feels nothing": ("least_squares", (), 0.0, [0j]),
    "R1": ("jsd", ("r1(gamma=0.3)",), 0.0, pair(-0.15, 0.25 - 0.0225)),
    "R2": ("wasserstein", ("r2(gamma=0.3)",), 0.0, pair(-0.15, 1 - 0.0225)),
    "R1 overdamped": ("jsd", ("r1(gamma=3)",), 0.0, pair(-1.5, 0.25 - 2.25)),
    "R1 + R2": ("wasserstein", ("r1r2(gamma=0.3)",), 0.0, pair(-0.3, 1 - 0.09)),
    "relativistic with R1 + R2": ("relativistic", ("r1r2(gamma=0.3)",), 0.0, pair(-0.3, 0.25 - 0.09)),
    "SGP": ("wasserstein", ("sgp(rho=0.6, measure=interpolate)",), 0.0, pair(-0.3, 1 - 0.09)),
    "instance noise": ("jsd", (), 0.8, pair(-0.16, 0.25 - 0.0256)),
    "instance noise as R1": ("jsd", (), math.sqrt(2 * 0.3), pair(-0.15, 0.25 - 0.0225)),
    "clip, idle inside": ("wasserstein", ("clip(bound=0.3)",), 0.0, pair(0, 1)),
    "NK": ("wasserstein", ("nk(eta=0.4)",), 0.0, pair(-0.4, 1 - 0.16)),
    "NK logistic": ("jsd", ("nk(eta=0.4)",), 0.0, pair(-0.1, 0.25 - 0.01)),
    "NK overdamped": ("wasserstein", ("nk(eta=2)",), 0.0, pair(-2, 1 - 4)),
    "consensus": ("jsd", ("consensus(gamma=0.7)",), 0.0, [complex(-0.175, s * 0.5) for s in (1, -1)]),
    "JARE": ("jsd", ("jare(gamma=0.7)",), 0.0, [complex(-0.175, s * 0.5) for s in (1, -1)]),
}


@pytest.mark.parametrize("case", DIRAC)
def test_dirac(case: str) -> None:
    objective, penalties, noise, expected = DIRAC[case]
    found = field_spectrum(game("dirac", objective, *penalties, noise=noise).problem)
    assert_spectrum(found.eigenvalues, expected, 1e-9)
    assert (found.neutral, found.automatic, found.complete) == (2 - len(expected), True, True)
    assert found.norm < 1e-12


@pytest.mark.parametrize(("objective", "gamma"), [("jsd", 1.0), ("wasserstein", 2.0)])
def test_critical_damping_of_r1(objective: str, gamma: float) -> None:
    """At gamma = 2 f1 the pair meets; a little below it turns, a little above it does not."""
    spectra = [
        field_spectrum(game("dirac", objective, f"r1(gamma={g})").problem) for g in (0.999 * gamma, 1.001 * gamma)
    ]
    assert spectra[0].rotation > 1e-2
    assert spectra[1].rotation == 0.0
    assert abs(spectra[0].abscissa + gamma / 2) < 1e-3 * gamma


ANNEALED = {"roth": ("jsd", "roth(gamma=geometric(2->0.02))", -0.5, -0.005),
            "r1": ("jsd", "r1(gamma=geometric(0.8->0.02))", -0.4, -0.01)}  # fmt: skip


@pytest.mark.parametrize("name", ANNEALED)
def test_annealed_penalties_trade_damping_for_sharpness(name: str) -> None:
    """Roth et al. 2017: (gamma/2) E (1-s)^2|grad y|^2 + E s^2|grad y|^2 damps the Dirac GAN by gamma/4."""
    if name not in PENALTIES:
        pytest.skip(f"there is no {name}")
    objective, penalty, first, last = ANNEALED[name]
    for progress, expected in ((0.0, first), (1.0, last)):
        found = field_spectrum(game("dirac", objective, penalty, progress=progress).problem)
        assert abs(found.eigenvalues.real.mean().item() - expected) < 1e-9


# ---- LQ uniform toy (Nagarajan and Kolter 2017; Kim, Park, Hwang 2018)

UNIFORM: dict[str, tuple[str, str, list[complex]]] = {
    "Wasserstein": ("wasserstein", "", pair(0, 4 / 9)),
    "logistic": ("jsd", "", pair(-0.05, 1 / 9 - 0.0025)),
    "NK .25": ("wasserstein", "nk(eta=0.25)", pair(-1 / 9, 4 / 9 - 1 / 81)),
    "NK 1": ("wasserstein", "nk(eta=1)", pair(-4 / 9, 4 / 9 - 16 / 81)),
    "NK 3": ("wasserstein", "nk(eta=3)", pair(-4 / 3, 4 / 9 - 16 / 9)),
    "SGP model": ("wasserstein", "sgp(rho=0.9, measure=model)", pair(-0.6, 4 / 9 - 0.36)),
    "SGP data": ("wasserstein", "sgp(rho=0.9, measure=data)", pair(-0.6, 4 / 9 - 0.36)),
    "SGP interpolate": ("wasserstein", "sgp(rho=1, measure=interpolate)", [-0.4444 + 0.4969j, -0.4444 - 0.4969j]),
    "SGP midpoint": ("wasserstein", "sgp(rho=1, measure=midpoint)", [-0.3333 + 0.5774j, -0.3333 - 0.5774j]),
    "SGP anchor 0": ("wasserstein", "sgp(rho=1, measure=anchor)", [-0.2222 + 0.6285j, -0.2222 - 0.6285j]),
    "SGP anchor 1": ("wasserstein", "sgp(rho=1, measure=anchor, anchor=1)", [-0.3009 + 0j, -1.4768 + 0j]),
}


@pytest.mark.parametrize("case", UNIFORM)
def test_lq_uniform(case: str) -> None:
    objective, penalty, expected = UNIFORM[case]
    found = field_spectrum(game("lq_uniform", objective, *([penalty] if penalty else [])).problem)
    assert_spectrum(found.eigenvalues, expected, 1e-4)


def test_only_a_penalty_at_the_origin_does_not_damp() -> None:
    """Kim, Park, Hwang 2018, Lemma 2: with mu = delta_0 the eigenvalues stay +-2i/3."""
    problem = game("lq_uniform", "wasserstein", "sgp(rho=5, measure=anchor)").problem
    for batch in problem.batches.values():
        if "penalty.alpha" in batch:
            batch["penalty.alpha"].fill_(1.0)  # every point is the anchor 0
    assert_spectrum(field_spectrum(problem).eigenvalues, pair(0, 4 / 9), 1e-9)


# ---- LQ-WGAN and the affine GAN

SIGMA = 1.5
GAUSSIAN: dict[str, tuple[str, tuple[str, ...], list[complex]]] = {
    "Wasserstein": ("lq_wgan(std=1.5)", (), [*pair(0, 4 * SIGMA**2), *pair(0, 1)]),
    "NK": ("lq_wgan(std=1.5)", ("nk(eta=0.1)",),
           [*pair(-0.4 * SIGMA**2, 4 * SIGMA**2 - 0.16 * SIGMA**4), *pair(-0.1, 0.99)]),
    "two dimensions": ("lq_wgan(dim=2)", (), [*pair(0, 4) * 2, *pair(0, 2 * 2), *pair(0, 1) * 2]),
}  # fmt: skip


@pytest.mark.parametrize("case", GAUSSIAN)
def test_lq_wgan(case: str) -> None:
    """The variance turns at 2 sigma, the mean at 1; in two dimensions a rotation of A and an antisymmetric W are
    neutral."""
    name, penalties, expected = GAUSSIAN[case]
    found = field_spectrum(game(name, "wasserstein", *penalties).problem)
    assert_spectrum(found.eigenvalues, expected, 1e-7)
    assert found.neutral == (2 if "dim=2" in name else 0)


AFFINE = {"none": ((), 0.1175), "NK": (("nk(eta=5)",), 0.0533), "consensus": (("consensus(gamma=10)",), 0.2109),
          "JARE": (("jare(gamma=10)",), 1.049)}  # fmt: skip


@pytest.mark.parametrize("case", AFFINE)
def test_affine(case: str) -> None:
    """Nie and Patel 2018: s = .7, |mu| = 2. JARE evens out the slow mode, NK overdamps it."""
    penalties, slowest = AFFINE[case]
    found = field_spectrum(game("affine(std=0.7, mean=2)", "jsd", *penalties).problem)
    assert abs(found.abscissa + slowest) < 1e-3 * max(1, slowest)
    if case == "none":
        assert_spectrum(found.eigenvalues, [-2.12748 + 0j, -0.11751 + 0j, -0.1225 + 0.48476j, -0.1225 - 0.48476j], 1e-4)


# ---- all methods x all games

METHODS: dict[str, tuple[str, ...]] = {
    "none": (),
    "r1": ("r1(gamma=0.7)",),
    "r2": ("r2(gamma=0.7)",),
    "r1r2": ("r1r2(gamma=0.3)",),
    "sgp midpoint": ("sgp(rho=0.8, measure=midpoint)",),
    "sgp interpolate": ("sgp(rho=0.8, measure=interpolate)",),
    "sgp anchor": ("sgp(rho=0.8, measure=anchor, anchor=0.5)",),
    "roth": ("roth(gamma=0.9)",),
    "nk": ("nk(eta=0.3)",),
    "jare": ("jare(gamma=0.4)",),
    "consensus": ("consensus(gamma=0.6)",),
    "nk and r2": ("nk(eta=0.3)", "r2(gamma=2)"),
    "consensus and r1": ("consensus(gamma=0.3)", "r1(gamma=2)"),
}
NAMES = ("dirac", "bilinear(frequencies=[2, 0.5])", "lq_uniform", "lq_wgan(mean=0.5)", "affine")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", NAMES)
def test_methods_by_games(name: str, method: str) -> None:
    """The Jacobian of the trained code is the block matrix of closed forms, for every objective with and without
    noise; for two objectives where the quadrature is large, and where another row has had the others."""
    if any(p.partition("(")[0] not in PENALTIES for p in METHODS[method]):
        pytest.skip("its penalty is not there")
    logistic = ("roth",)
    every = method in ("none", "r1", "nk") and not name.startswith("lq_wgan")
    for objective in RESPONSES if every else ("jsd", "wasserstein"):
        if method in logistic and objective not in ("jsd", "nonsaturating"):
            continue
        for noise in (0.0, 0.6) if objective in ("jsd", "relativistic") else (0.0,):
            if objective == "hinge" and method == "none" and noise:
                continue
            made = game(name, objective, *METHODS[method], noise=noise)
            assert made.prediction is not None
            found, automatic = jacobian(made.problem)
            assert automatic
            torch.testing.assert_close(found, made.prediction, rtol=1e-9, atol=1e-9, msg=f"{objective} {noise}")


def test_rock_paper_scissors() -> None:
    """Softmax strategies turn around the mixed equilibrium at 1/(3 sqrt 3); constants in the logits are neutral."""
    made = game("rock_paper_scissors", None)
    found = field_spectrum(made.problem)
    assert_spectrum(found.eigenvalues, pair(0, 1 / 27) * 2, 1e-12)
    assert found.neutral == 2
    assert made.prediction is not None
    torch.testing.assert_close(jacobian(made.problem)[0], made.prediction, rtol=1e-12, atol=1e-12)


def test_nk_is_stable_for_every_eta() -> None:
    """Random curvature P >= 0 and coupling B: x'' + (P + 2 eta BB') x' + BB' x = 0 has no growing root for any eta in
    [.01, 100], and the eigenvalues of the block matrix are the roots of that pencil."""
    generator = torch.Generator().manual_seed(0)
    for _ in range(60):
        m = int(torch.randint(1, 6, (), generator=generator))
        root = torch.randn(m, m, dtype=F64, generator=generator)
        b = torch.randn(m, m, dtype=F64, generator=generator)
        p, eta = root @ root.T, 10 ** float(torch.rand((), generator=generator) * 4 - 2)
        found = Linear(p, b, b).eigenvalues({"nk": eta})
        assert found.real.max() < 0
        c, k, eye = p + 2 * eta * b @ b.T, b @ b.T, torch.eye(m, dtype=F64)
        for z in found:
            pencil = (z * z * eye + z * c.to(z.dtype) + k.to(z.dtype)) / max(1.0, abs(z) ** 2, abs(z) * c.norm())
            assert torch.linalg.svdvals(pencil)[-1] < 1e-8
        companion = torch.cat([torch.cat([0 * eye, eye], 1), torch.cat([-k, -c], 1)])
        assert_spectrum(found, torch.linalg.eigvals(companion).tolist(), 1e-8 * max(1.0, found.abs().max().item()))


# ---- the quadrature behind it

RULES = {
    "uniform": (uniform_nodes(), [1, 0, 1 / 3, 0, 1 / 5, 0]),
    "normal": (normal_nodes(), [1, 0, 1, 0, 3, 0]),
    "unit": (unit_nodes(), [1, 1 / 2, 1 / 3, 1 / 4]),
}


@pytest.mark.parametrize("rule", RULES)
def test_equal_weights_give_exact_moments(rule: str) -> None:
    nodes, moments = RULES[rule]
    found = [(nodes**k).mean().item() for k in range(len(moments))]
    assert found == pytest.approx(moments, abs=1e-13)


# ---- neutral directions


def test_neutral_directions_are_projected_out_not_hidden() -> None:
    """A defective zero is no gauge: of [[0, 1], [0, 0]] + [-1] one direction is left out and one zero remains."""
    matrix = torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, -1.0]], dtype=F64)
    found, neutral = eigenvalues(matrix)
    assert neutral == 1
    assert_spectrum(found, [0j, -1 + 0j], 1e-12)
    assert eigenvalues(torch.zeros(2, 2, dtype=F64))[1] == 2


def test_a_field_that_jumps_has_no_eigenvalues() -> None:
    """(|grad| - 1)^2 at a flat critic, under every name that it has."""
    for name, penalty in (("dirac", "gp"), ("lq_uniform", "gp(weight=0.1)")):
        with pytest.raises(UsageError, match=r"not differentiable at this point.*use sgp or r1"):
            field_spectrum(game(name, "wasserstein", penalty).problem)


def test_slow_modes_of_stiff_games_are_not_neutral() -> None:
    """R1 of weight 4000: eigenvalues -f1^2/g and -g, eight digits apart."""
    for objective, slow in (("wasserstein", 1 / 4000), ("jsd", 0.25 / 4000)):
        found = field_spectrum(game("dirac", objective, "r1(gamma=4000)").problem)
        assert (found.neutral, len(found.eigenvalues)) == (0, 2)
        assert abs(found.abscissa / -slow - 1) < 1e-6


@dataclass(frozen=True)
class LinearField:
    """w' = M w at 0, all that Arnoldi's method asks of a game."""

    matrix: Tensor

    @property
    def size(self) -> int:
        return len(self.matrix)

    def flat(self) -> Tensor:
        return torch.zeros(len(self.matrix), dtype=F64)

    def field(self, w: Tensor) -> Tensor:
        return self.matrix @ w


def of_eigenvalues(pairs: list[tuple[float, float]], neutral: int) -> LinearField:
    """A matrix, not normal, with the eigenvalues a +- bi and so many zeros."""
    blocks = [torch.tensor([[a, -b], [b, a]], dtype=F64) for a, b in pairs]
    plain = torch.block_diag(*blocks, torch.zeros(neutral, neutral, dtype=F64))
    n = len(plain)
    basis = torch.randn(n, n, generator=torch.Generator().manual_seed(0), dtype=F64) / math.sqrt(n) + torch.eye(n)
    return LinearField(basis @ plain @ torch.linalg.inv(basis))


@pytest.mark.parametrize("neutral", [0, 60])
def test_arnoldi_finds_the_right_edge_or_says_that_it_is_unknown(neutral: int) -> None:
    """Zeros of neutral directions, which are further to the right, are never counted and never taken for it."""
    pairs = [(-0.1 - 3 * k / 30, 2 * math.sin(k)) for k in range(30)]
    found = _arnoldi(of_eigenvalues(pairs, neutral), 6)  # type: ignore[arg-type]
    assert (found.complete, found.neutral) == (False, None)
    assert found.eigenvalues.real.max() < -0.09
    assert abs(found.abscissa + 0.1) < 1e-6 if found.rightmost else neutral > 0 and math.isnan(found.abscissa)


def test_an_edge_that_was_not_found_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the rightmost ones do not converge, the largest ones are not taken for them."""
    from scipy.sparse import linalg

    eigs = linalg.eigs

    def stubborn(operator: Any, count: int, which: str, **more: Any) -> Any:
        if which == "LR":
            raise linalg.ArpackNoConvergence("none", np.zeros(0), np.zeros((0, 0)))
        return eigs(operator, count, which=which, **more)

    monkeypatch.setattr(linalg, "eigs", stubborn)
    found = _arnoldi(of_eigenvalues([(-0.1 - k, 1.0) for k in range(20)], 0), 6)  # type: ignore[arg-type]
    assert not found.rightmost
    assert len(found.eigenvalues)
    assert math.isnan(found.abscissa)
    assert math.isnan(found.euler)
    assert found.to_dict()["abscissa"] is None


@pytest.mark.parametrize("name", list(PENALTIES))
def test_every_penalty_has_a_place_or_says_that_it_has_none(name: str) -> None:
    try:
        made = game("dirac", "jsd", name)
    except UsageError as error:
        said = str(error)
    else:
        said = ""
        assert made.problem.field(made.problem.flat()).shape == (2,)
    assert said == "" or "has no place in a game that is solved exactly" in said or "no quadrature for" in said


REQUESTS = {
    "unknown game": (("dirak",), "did you mean 'dirac'"),
    "spectral": (("dirac", "jsd", "spectral"), "has no place in a game that is solved exactly; use r1"),
    "its own objective": (("rock_paper_scissors", "jsd"), "is its own objective"),
    "penalty without a critic": (("rock_paper_scissors", None, "r1"), "has no examples"),
    "dimensions": (("lq_wgan(dim=3)", "jsd"), "dim must be 1 or 2"),
    "frequency": (("bilinear(frequencies=-1)", "jsd"), "above 0"),
}


@pytest.mark.parametrize("case", REQUESTS)
def test_bad_requests(case: str) -> None:
    arguments, said = REQUESTS[case]
    with pytest.raises(UsageError, match="(?s).*" + said):
        game(*arguments)


def test_every_game_is_at_rest_at_its_equilibrium() -> None:
    for name in GAMES:
        problem = game(name, None).problem
        assert problem.field(problem.flat()).abs().max() < 1e-14
        assert len(problem.names) == problem.size
