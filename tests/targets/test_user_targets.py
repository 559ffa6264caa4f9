"""Densities that users bring: every form that works, and every mistake with the words that lead out of it."""

import sys
import textwrap

import numpy as np
import pytest
import torch
from torch import distributions, nn

from ganneal.errors import UsageError
from ganneal.targets import Target, check, open_target

MEAN = np.array([1.0, -2.0])


def quadratic(x):
    return -0.5 * ((x - torch.tensor(MEAN)) ** 2).sum(-1)


def single_precision(x):
    """Constants in torch's default precision and a matrix product: fails on float64."""
    away = (x - torch.tensor([1.0, -2.0])) @ torch.eye(2)
    return -0.5 * (away**2).sum(-1)


def with_arrays(x):
    return -0.5 * ((x - MEAN) ** 2).sum(axis=1), MEAN - x


def with_numpy_calls(x):
    away = np.subtract(x, MEAN)
    return list(-0.5 * np.sum(away**2, axis=1)), (-away).astype(np.float32)


def with_tensor_pair(x):
    leaf = x.detach().requires_grad_()
    value = quadratic(leaf)
    return value, torch.autograd.grad(value.sum(), leaf)[0]


def changes_its_argument(x):
    x -= torch.tensor(MEAN)
    return -0.5 * (x * x).sum(-1)


def changes_its_array(x):
    x -= MEAN
    return -0.5 * (x * x).sum(1), -x


class Net(nn.Module):
    dim = 2

    def __init__(self):
        super().__init__()
        self.mean = nn.Parameter(torch.tensor([1.0, -2.0]))

    def forward(self, x):
        return -0.5 * ((x - self.mean) ** 2).sum(-1)


class Posterior:
    dim = 2

    def log_prob(self, x):
        return quadratic(x)


class Stan:
    """BridgeStan's interface."""

    calls = 0

    def param_unc_num(self):
        return 2

    def log_density_gradient(self, theta, propto=True, jacobian=True):
        assert theta.shape == (2,)
        self.calls += 1
        if theta[0] > 50:
            raise RuntimeError("log density is not finite")
        return float(-0.5 * ((theta - MEAN) ** 2).sum()), MEAN - theta

    def param_constrain(self, theta):
        return np.array([np.exp(theta[0]), theta[1], 7.0])


def loop(x):
    """Branches and loops over rows are allowed."""
    return torch.stack([quadratic(row[None])[0] if row[0] > 0 else quadratic(row[None]).sum() for row in x])


FORMS = [
    quadratic, single_precision, with_arrays, with_numpy_calls, with_tensor_pair, changes_its_argument,
    changes_its_array, loop, Net(), Posterior(), Posterior().log_prob, Stan(),
    torch.func.vmap(lambda x: -0.5 * ((x - torch.tensor(MEAN)) ** 2).sum()),
    distributions.MultivariateNormal(torch.tensor([1.0, -2.0]), torch.eye(2)),
    distributions.Independent(distributions.Normal(torch.tensor([1.0, -2.0]), torch.ones(2)), 1),
]  # fmt: skip


@pytest.mark.parametrize("form", FORMS, ids=lambda f: getattr(f, "__name__", type(f).__name__))
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_forms_that_work(form, dtype):
    target = open_target(form, dim=2)
    assert isinstance(target, Target)
    assert target.opaque
    x = torch.tensor([[1.0, -2.0], [2.0, -2.0], [0.0, 1.0]], dtype=dtype)
    before = x.clone()
    value, score = target.value_and_score(x)
    assert torch.equal(x, before)
    assert value.dtype == score.dtype == dtype
    assert (value - value[0]).tolist() == pytest.approx([0, -0.5, -5], abs=1e-5)
    torch.testing.assert_close(score.double(), torch.from_numpy(MEAN) - x.double(), atol=1e-5, rtol=1e-5)
    # a gradient that a generator can be trained by
    leaf = x.clone().requires_grad_()
    (3 * target.log_prob(leaf)).sum().backward()
    torch.testing.assert_close(leaf.grad, 3 * score, atol=1e-5, rtol=1e-5)
    check(target, torch.Generator().manual_seed(0))


def test_arrays_are_called_once_for_value_and_gradient():
    calls = []

    def counted(x):
        calls.append(len(x))
        return with_arrays(x)

    target = open_target(counted, 2)
    calls.clear()
    target.value_and_score(torch.zeros(5, 2))
    assert calls == [5]


def test_stan_models():
    target = open_target(Stan())
    assert target.dim == 2
    value, score = target.value_and_score(torch.tensor([[60.0, 0.0], [1.0, -2.0]]))
    assert value.tolist() == [-torch.inf, 0]
    assert score.tolist() == [[0, 0], [0, 0]]
    assert target.embed(torch.tensor([[0.0, 3.0]])).tolist() == [[1, 3, 7]]
    with pytest.raises(UsageError, match="2 unconstrained parameters, but dim=3"):
        open_target(Stan(), 3)


def test_distributions_keep_what_they_know():
    law = distributions.MultivariateNormal(
        torch.tensor([1.0, -2.0]).double(), torch.tensor([[2.0, 1.0], [1.0, 3.0]]).double()
    )
    target = open_target(law)
    assert (target.dim, target.log_z) == (2, 0.0)
    assert target.mean.tolist() == [1, -2]
    assert target.variance.tolist() == pytest.approx([2, 3])
    state = torch.get_rng_state()
    x = target.sample(20_000, torch.Generator().manual_seed(0))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(x, target.sample(20_000, torch.Generator().manual_seed(0)))
    # five standard errors
    assert (x.mean(0) - target.mean).abs().max() < 5 * (3 / 20_000) ** 0.5
    assert float((x - x.mean(0)).prod(1).mean()) == pytest.approx(1, abs=0.1)
    one = open_target(distributions.StudentT(torch.tensor(3.0)))
    assert one.dim == 1
    assert one.value_and_score(torch.zeros(4, 1))[0].shape == (4,)
    mixed = distributions.MixtureSameFamily(
        distributions.Categorical(torch.tensor([0.3, 0.7])),
        distributions.Independent(distributions.Normal(torch.tensor([[-3.0, 0], [3, 0]]), torch.ones(2, 2)), 1),
    )
    target = open_target(mixed)
    assert target.dim == 2
    assert float(target.mean[0]) == pytest.approx(1.2)


@pytest.mark.parametrize(
    ("law", "words"),
    [
        (distributions.Normal(torch.zeros(3), torch.ones(3)), r"Independent\(\.\.\., 1\)"),
        (distributions.Gamma(torch.tensor(2.0), torch.tensor(1.0)), "all of R"),
        (distributions.Poisson(torch.tensor(2.0)), "all of R"),
        (distributions.LKJCholesky(2), "event shape"),
        (distributions.MultivariateNormal(torch.zeros(4), torch.eye(4)), "has 4 dimensions, but dim=2"),
    ],
)
def test_distributions_that_cannot_be_targets(law, words):
    with pytest.raises(UsageError, match=words):
        open_target(law, dim=2)


def raises_inside(x):
    table = {"a": 1}
    return quadratic(x) * table["b"]


def wrong_index(x):
    return -(x[:, 0] ** 2) - x[:, 2] ** 2


def not_differentiable(x):
    return torch.tensor(np.asarray(quadratic(x.detach()))).double()


def array_alone(x):
    return -0.5 * np.sum(np.square(np.asarray(x) - MEAN), axis=1)


def needs_numpy(x):
    return -0.5 * np.square(np.asarray(x) - UNKNOWN).sum(1), -x


def overwritten(x):
    y = torch.exp(x)
    out = y.sum(-1)
    y += 1
    return -out


# the mistake, and words of the message that leads out of it
MISTAKES = [
    (lambda x: -(x**2).sum(), "a function of one point needs torch.func.vmap"),
    (lambda x: -(x**2).sum(-1, keepdim=True), "squeeze"),
    (lambda x: -(x**2), r"sum over the coordinates, sum\(-1\)"),
    (lambda x: -(x**2).sum(0), r"shape \[2\] for 3 rows"),
    (lambda x: None, "is a return missing"),
    (lambda x: 3.0, "returned a float"),
    (lambda x: "low", "returned a str"),
    (lambda x: [1.0, 2.0, 3.0], "returned a list"),
    (lambda x: -(x**2).sum().item(), "returned a float"),
    (not_differentiable, "does not depend on x differentiably"),
    (torch.no_grad()(quadratic), "does not depend on x differentiably"),
    (lambda x: torch.zeros(len(x)), "does not depend on x differentiably"),
    (lambda x: nn.Parameter(torch.ones(1)) * quadratic(x.detach()), "does not depend on x differentiably"),
    (lambda x: quadratic(x).to(torch.complex128), "complex128 numbers"),
    (lambda x: x.sum(-1) > 0, "bool numbers|differentiably"),
    (lambda x: (-x.sum(-1)).long(), "int64 numbers"),
    (array_alone, "without a gradient|return .value, gradient"),
    (lambda x: (np.zeros(len(x)), np.zeros(len(x))), r"gradient has shape \[3\] for x of shape \[3, 2\]"),
    (lambda x: (np.zeros((len(x), 1)), np.zeros((len(x), 2))), "squeeze"),
    (lambda x: (np.zeros(len(x), dtype=int), np.zeros((len(x), 2))), "int64 numbers"),
    (lambda x: (np.zeros(len(x)), np.zeros((len(x), 2)), 0), "a tuple of 3"),
    (raises_inside, "KeyError: 'b'"),
    (wrong_index, "IndexError"),
    (needs_numpy, "NameError: name 'UNKNOWN'"),
    (overwritten, "inplace|in-place"),
    (lambda: 0.0, "TypeError"),
    (lambda x, y: 0.0, "missing 1 required positional argument"),
]


@pytest.mark.parametrize(("function", "words"), MISTAKES, ids=range(len(MISTAKES)))
def test_mistakes_are_named_when_a_function_is_opened(function, words):
    with pytest.raises(UsageError, match=words):
        open_target(function, dim=2)


def test_the_user_s_own_traceback_is_kept():
    with pytest.raises(UsageError) as caught:
        open_target(raises_inside, dim=2)
    told = str(caught.value)
    assert told.startswith("raises_inside: raised KeyError: 'b'\n")
    assert 'table["b"]' in told
    assert "test_user_targets.py" in told
    assert "targets/user.py" not in told
    assert isinstance(caught.value.__cause__, KeyError)


def test_errors_during_a_run_are_told_the_same_way():
    def late(x):
        if x.abs().max() > 100:
            raise ValueError("too far")
        return quadratic(x)

    target = open_target(late, dim=2)
    with pytest.raises(UsageError, match="raised ValueError: too far"):
        target.value_and_score(torch.full((1, 2), 1000.0))


def test_the_dimension_of_a_function():
    with pytest.raises(UsageError, match="give dim="):
        open_target(quadratic)
    with pytest.raises(UsageError, match="at least 1"):
        open_target(quadratic, dim=0)
    with pytest.raises(UsageError, match="has dim = 2, but dim=3"):
        open_target(Net(), dim=3)
    assert open_target(Net()).dim == 2
    assert open_target(quadratic, dim=np.int64(2)).dim == 2


@pytest.fixture
def file(tmp_path):
    (tmp_path / "neighbour_of_target.py").write_text("SHIFT = 1.5\n")
    path = tmp_path / "density.py"
    path.write_text(
        textwrap.dedent(
            """
            from dataclasses import dataclass
            import torch
            from torch import distributions
            from neighbour_of_target import SHIFT
            from ganneal.targets import open_target

            def log_prob(x):
                return -0.5 * ((x - SHIFT) ** 2).sum(-1)

            def sized(x):
                return log_prob(x)

            sized.dim = 3

            def broken(x):
                return log_prob(x) / nothing

            @dataclass
            class Model:
                scale: float
                dim = 2

                def log_prob(self, x):
                    return -0.5 * (x / self.scale).square().sum(-1)

            law = distributions.Normal(torch.tensor(0.0), torch.tensor(2.0))
            target = open_target("kidney")
            model = Model(2.0)
            """
        )
    )
    yield path
    sys.path[:] = [p for p in sys.path if p != str(tmp_path)]


@pytest.mark.parametrize(
    ("name", "asked", "dim"),
    [("log_prob", 4, 4), ("sized", None, 3), ("law", None, 1), ("target", None, 2), ("model", None, 2),
     ("model.log_prob", 5, 5)],
)  # fmt: skip
def test_files(file, name, asked, dim):
    target = open_target(f"{file}:{name}", asked)
    assert target.dim == dim
    assert target.value_and_score(torch.zeros(2, dim))[1].shape == (2, dim)
    if name != "target":
        assert target.name == f"{file}:{name}"


def test_paths_from_here_and_with_the_prefix(file, monkeypatch):
    monkeypatch.chdir(file.parent)
    assert open_target("target:density.py:sized").name == "density.py:sized"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("log_prb", "did you mean 'log_prob'"),
        ("model.lg_prob", "there is no 'lg_prob'"),
        ("log_prob", "give dim="),
        ("Model", "is a class"),
        ("SHIFT", "a float is no target"),
    ],
)
def test_names_in_files(file, name, words):
    with pytest.raises(UsageError, match=words):
        open_target(f"{file}:{name}")


def test_errors_in_files_show_their_line(file):
    with pytest.raises(UsageError, match=r"density\.py(.|\n)*line 17, in broken"):
        open_target(f"{file}:broken", 2)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("def f(x) return x", "SyntaxError.*line 1"),
        ("import not_a_module_of_anyone", "ModuleNotFoundError"),
        ("x = 1 / 0", "ZeroDivisionError"),
        ("import sys\nsys.exit(3)", "ends the program"),
    ],
)
def test_files_that_cannot_be_loaded(tmp_path, text, words):
    (tmp_path / "f.py").write_text(text)
    with pytest.raises(UsageError, match=words):
        open_target(f"{tmp_path}/f.py:f")


def test_files_that_are_not_there(tmp_path):
    with pytest.raises(UsageError, match="there is no file"):
        open_target(f"{tmp_path}/none.py:f")
