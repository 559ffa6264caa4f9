"""Every penalty, critic and augmentation in real trainings: populations, resume, lazy steps, and clashes that are
refused in one line."""

from typing import Any

import pytest
import torch

from ganneal.data import open_source
from ganneal.engine import checkpoint
from ganneal.engine.assembly import assemble
from ganneal.engine.config import complete
from ganneal.engine.trainer import Trainer
from ganneal.errors import UsageError

RING = open_source("ring8")
SMALL = {"source": "ring8", "batch": 8, "steps": 20, "network": "mlp(width=8, depth=1, activation=tanh)", "latent": 3,
         "precision": "float64", "compile": "off", "objective": "nonsaturating"}  # fmt: skip
CASES: dict[str, dict[str, Any]] = {
    "nk": {"penalty": ("nk", "r1")},
    "jare on one batch": {"penalty": ("jare(gamma=1, independent=false)",), "objective": "jsd"},
    "consensus": {"penalty": ("consensus",), "objective": "wasserstein"},
    "nk and sgp": {"penalty": ("nk(eta=0.5)", "sgp(rho=1)"), "objective": "wasserstein"},
    "spectral and nk": {"penalty": ("spectral", "nk(eta=0.1)"), "objective": "hinge"},
    "roth": {"penalty": ("roth",)},
    "dragan": {"penalty": ("dragan(weight=1)",)},
    "lecam": {"penalty": ("lecam(weight=0.3)", "r1(gamma=0.1)"), "objective": "wasserstein"},
    "coverage": {"penalty": ("coverage(bandwidth=linear(1->0.2))", "r1")},
    "isometry": {"penalty": ("isometry",), "noise": "0.1"},
    "pack": {"critic": "pack(size=2)", "penalty": ("gp",)},
    "minibatch": {"critic": "minibatch(kernels=3, dims=2)", "penalty": ("r1r2",)},
    "augmented": {"augment": "diffaugment(rotation, jitter)"},
    "everything": {
        "critic": "pack(size=4)",
        "augment": "jitter",
        "penalty": ("nk", "jare", "sgp", "dragan", "lecam", "isometry"),
        "objective": "relativistic",
        "noise": "linear(0.3->0)",
    },
}


def trainer(**options: Any) -> Trainer:
    return Trainer(complete({**SMALL, **options}, "toy"), RING)


@pytest.mark.parametrize("case", CASES)
def test_a_population_is_its_members(case: str) -> None:
    many = trainer(**CASES[case], population=2)
    losses = many.advance(4)
    singles = [trainer(**CASES[case], seed=seed) for seed in (0, 1)]
    apart = [single.advance(4) for single in singles]
    for player, values in losses.items():
        for k, one in enumerate(apart):
            torch.testing.assert_close(values[k], one[player], rtol=1e-5, atol=1e-7)
    for player, tensors in many.state.params.items():
        for name, value in tensors.items():
            for k, single in enumerate(singles):
                torch.testing.assert_close(value[k], single.state.params[player][name], rtol=1e-5, atol=1e-7)
    assert many.check(losses) == []


@pytest.mark.parametrize("case", CASES)
def test_resume_to_the_same_bits(case: str) -> None:
    whole, first, second = (trainer(**CASES[case]) for _ in range(3))
    whole.advance(6), first.advance(4)
    second.restore(*first.snapshot())
    second.advance(2)
    a, b = (checkpoint.flatten(t.snapshot()[0]) for t in (whole, second))
    assert a.keys() == b.keys()
    assert not [name for name in a if not torch.equal(a[name], b[name])]


@pytest.mark.parametrize(
    "text", ["nk(eta=0.4, every=3)", "lecam(weight=0.4, every=3)", "coverage(weight=0.4, every=3)"]
)
def test_lazy_penalties(text: str) -> None:
    """Absent between, three times as heavy on every third step."""
    made = trainer(penalty=(text,))
    rows = made._rows(range(4))
    name = text.split("(")[0]
    assert [name in row for row in rows] == [True, False, False, True]
    assert rows[0][name].item() == pytest.approx(1.2)


def test_a_bandwidth_has_its_own_schedule() -> None:
    made = trainer(penalty=("coverage(bandwidth=linear(1->0.2), every=2)",))
    assert [row["coverage.bandwidth"].item() for row in made._rows([0, 19])] == pytest.approx([1.0, 0.2])


def test_anchors_follow_with_their_decay() -> None:
    """Plain steps of rate 1 - decay whatever the optimizer of the others is."""
    made = trainer(penalty=("lecam(weight=0.3, decay=0.9)",))
    assert made._rows([0])[0]["lr.anchors"].item() == pytest.approx(0.1)
    assert made.state.slots["anchors"] == {}
    losses = made.advance(1)
    moved = made.state.params["anchors"]["means"]
    means = moved / 0.1
    assert losses["anchors"].item() == pytest.approx(means.square().sum().item() / 2)


CLASHES = [
    ({"penalty": ("roth",), "objective": "wasserstein"}, "penalty: roth weighs .* wasserstein .* nonsaturating"),
    ({"penalty": ("roth",), "objective": "relativistic"}, "penalty: roth"),
    ({"penalty": ("coverage",), "objective": "hinge"}, "penalty: coverage .* hinge .* wasserstein"),
    ({"penalty": ("coverage",), "critic": "pack"}, "penalty: coverage .* packs; use critic single"),
    ({"critic": "pack(size=3)"}, "critic: pack.* divides into packs of 3, got 8; use --batch 6"),
    ({"augment": "color"}, "augment: color is for images"),
    (
        {"critic": "pack", "score_space": "features", "beta": "0.5"},
        "critic: score_space features .* --score-space data",
    ),
    ({"augment": "jitter", "score_space": "features", "beta": "0.5"}, "augment: score_space features"),
    ({"penalty": ("coverage(bandwidth=each(1, 2))",), "population": 3}, "coverage.bandwidth has 2 entries"),
    ({"penalty": ("nk", "nk(eta=1)")}, "penalty: each kind at most once"),
]


@pytest.mark.parametrize(("options", "said"), CLASHES, ids=[str(o) for o, _ in CLASHES])
def test_clashes_are_refused_in_one_line(options: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said) as error:
        assemble(complete({**SMALL, **options}, "toy"), RING)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"penalty": ("nk",)}, "penalty: nk .* sampler reference"),
        ({"penalty": ("lecam",)}, "penalty: lecam"),
        ({"penalty": ("coverage",)}, "penalty: coverage"),
        ({"critic": "pack"}, "critic: sampler reference takes single only"),
        ({"augment": "jitter"}, "augment: sampler reference takes none only"),
    ],
)
def test_samplers_of_densities_refuse_what_needs_examples(options: dict[str, Any], said: str) -> None:
    target = open_source("target:kidney")
    given = {"source": "target:kidney", "batch": 16, "steps": 4, "latent": 2, "sampler": "reference", **options}
    with pytest.raises(UsageError, match=said):
        assemble(complete(given, "target-reference"), target)


def test_a_sampler_takes_penalties_on_its_critic() -> None:
    """The reference critic is a logit, so that roth and dragan mean something there."""
    target = open_source("target:kidney")
    given = {"source": "target:kidney", "batch": 16, "steps": 4, "latent": 2, "penalty": ("roth", "dragan")}
    made = Trainer(complete({**given, "compile": "off"}, "target-reference"), target)
    assert all(loss.isfinite().all() for loss in made.advance(2).values())


COMPILED = {
    "nk": {"penalty": ("nk", "sgp")},
    "consensus": {"penalty": ("consensus",), "population": 2},
    "roth, lecam and coverage": {"penalty": ("roth", "lecam", "coverage", "isometry")},
    "pack": {"critic": "pack", "augment": "rotation", "penalty": ("dragan",)},
    "minibatch": {"critic": "minibatch(kernels=3, dims=2)", "penalty": ("r1",), "population": 2},
}


@pytest.mark.slow
@pytest.mark.parametrize("case", COMPILED)
def test_compiled_steps_are_the_steps(case: str) -> None:
    plain, fast = (trainer(**COMPILED[case], precision="float32", **{"compile": c}) for c in ("off", "on"))
    assert fast.compiled
    plain.advance(6), fast.advance(6)
    a, b = (checkpoint.flatten(t.snapshot()[0]) for t in (plain, fast))
    for name in a:
        if name.startswith("params"):
            torch.testing.assert_close(a[name], b[name], rtol=1e-3, atol=1e-4, msg=name)


def test_a_doctor_reads_the_force_under_a_field_penalty() -> None:
    """The pull on samples is that of the generator's own loss, whose second batch nobody needs to make up."""
    from ganneal.engine.examination import force

    penalised, plain = (trainer(penalty=p) for p in (("nk", "r1"), ("r1",)))
    assert force(penalised, 0) == pytest.approx(force(plain, 0))
    assert force(plain, 0) > 0
