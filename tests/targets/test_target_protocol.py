"""What every registered target obeys, and the forms in which a text names one."""

import math

import pytest
import torch

from ganneal.errors import UsageError
from ganneal.targets import TARGETS, Target, check, is_target_text, open_target

SMALL = {"gmm40_blessing": "gmm40_blessing(dim=4)", "phi4": "phi4(side=3)", "many_well": "many_well(dim=6)"}
ALL = [SMALL.get(name, name) for name in TARGETS] + [
    "gaussian(dim=3, correlation=0.5)", "student(dim=3, df=3.5)", "double_well(dim=3, tilt=0.5)", "banana(dim=4)",
]  # fmt: skip


def points(target: Target, n: int = 5, seed: int = 0) -> torch.Tensor:
    """Points around the bulk."""
    z = torch.randn(n, target.dim, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return target.centre + target.scale.clamp(max=5) * z


@pytest.mark.parametrize("text", ALL)
def test_protocol(text):
    target = open_target(text)
    x = points(target)
    value, score = target.value_and_score(x)
    assert value.shape == (5,)
    assert score.shape == x.shape
    assert value.dtype == score.dtype == torch.float64
    assert not value.requires_grad
    assert not score.requires_grad
    leaf = x.clone().requires_grad_()
    (expected,) = torch.autograd.grad(target.log_prob(leaf).sum(), leaf)
    torch.testing.assert_close(score, expected, rtol=1e-8, atol=1e-8)
    single = target.log_prob(x.float())
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), value, rtol=1e-3, atol=1e-3)
    rows = torch.vmap(lambda row: target.log_prob(row[None])[0])(x)
    torch.testing.assert_close(rows, value)
    torch.testing.assert_close(target.log_prob(x.flip(0)), value.flip(0))
    for known in (target.mean, target.variance, target.centre, target.scale):
        assert known is None or (known.shape == (target.dim,) and known.dtype == torch.float64)
    if target.membership is not None:
        columns = target.membership(x)
        assert columns.shape == (5, len(target.shares)) == (5, len(target.members))
        assert columns.dtype == x.dtype
        assert ((columns >= 0) & (columns <= 1)).all()
    if target.modes is not None:
        assert target.modes.shape[1] == target.dim
        # a mode is where the gradient nearly vanishes in units of the mode's width; tails have none of it
        assert target.log_prob(target.modes).min() > target.log_prob(x + 30 * target.scale).max()


@pytest.mark.parametrize("text", ALL)
def test_text_names_the_same_target(text):
    target = open_target(text)
    again = open_target(target.name)
    assert again.name == target.name
    x = points(target)
    assert torch.equal(again.log_prob(x), target.log_prob(x))


@pytest.mark.parametrize("text", ALL)
def test_every_registered_target_passes_its_own_checks(text):
    for seed in range(3):
        assert check(open_target(text), torch.Generator().manual_seed(seed)) is None


@pytest.mark.parametrize("text", ["kidney", "gmm40", "lj13", "phi4(side=3)", "moons", "logistic"])
def test_compiled(text):
    """Without a break in the graph."""
    target = open_target(text)
    x = points(target)
    compiled = torch.compile(target.log_prob, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(x), target.log_prob(x))


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("kidney(2, lobe=0.6)", "kidney"),
        ("target:kidney(3, 0.5)", "kidney(radius=3, width=0.5)"),
        ("gaussian(2, mean=[1, 2.5])", "gaussian(dim=2, mean=[1, 2.5])"),
        (" gaussian(dim=10) ", "gaussian(dim=10)"),
        ("logistic(prior=none)", "logistic(prior=none)"),
        ("lj13(strength=0.5)", "lj13(strength=0.5)"),
    ],
)
def test_canonical_names(text, name):
    assert open_target(text).name == name


@pytest.mark.parametrize(
    ("value", "dim", "words"),
    [
        ("kidny", None, "did you mean 'kidney'"),
        ("kidney(size=2)", None, "no argument 'size'"),
        ("gaussian(dim=2)", 3, "has 2 dimensions, but dim=3"),
        ("", None, "is empty"),
        ("target:", None, "is empty"),
        ("3", None, "is written name"),
        ("density.py", None, "which function of the file"),
        (TARGETS["kidney"], None, r"call it: kidney\(\)"),
        (Target, 2, "is a class"),
        (None, None, "is no target"),
        (torch.zeros(3), 3, "is no target"),
        (7, 2, "is no target"),
    ],
)
def test_what_is_no_target(value, dim, words):
    with pytest.raises(UsageError, match=words):
        open_target(value, dim)


def test_a_target_is_returned_as_it_is():
    target = open_target("funnel(dim=3)")
    assert open_target(target) is target
    assert open_target(target, dim=3) is target


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("target:kidney", True), ("a/b.py:log_prob", True), ("~/b.py:model.log_prob", True), ("kidney", False),
        ("x.npz:key", False), ("digits", False), ("b.py", False), ("b.py:3", False), ("mosaic.webp:64", False),
    ],
)  # fmt: skip
def test_which_texts_name_targets(text, answer):
    assert is_target_text(text) is answer


def test_no_two_particles_make_infinite_forces():
    target = open_target("lj13")
    value, score = target.value_and_score(torch.zeros(1, 36))
    assert value.isfinite().all()
    assert score.isfinite().all()
    assert float(value) < -1e5
    x = 1e-3 * torch.randn(3, 36, generator=torch.Generator().manual_seed(0))
    assert ((target.score(x) * x).sum(1) > 0).all()
    assert math.isfinite(float(open_target("dw4").log_prob(torch.zeros(1, 6))))
