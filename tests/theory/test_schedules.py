"""Schedules, clocks and their text: values, rates, knots, the published paths, and hostile texts."""

import contextlib
import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ganneal.errors import UsageError
from ganneal.nets import NETWORKS
from ganneal.objectives import OBJECTIVES
from ganneal.parts import parse
from ganneal.penalties import PENALTIES
from ganneal.schedules import SCHEDULES, Constant, Each, Schedule, schedule
from ganneal.scores import SCORES
from ganneal.solvers import OPTIMIZERS, SOLVERS
from ganneal.temperature import Clock, check_path, inverse_temperature

VALUES = {
    "0.5": {0.0: 0.5, 1.0: 0.5},
    "constant(-3)": {0.3: -3.0},
    "linear(-0.8->0)": {0.0: -0.8, 0.25: -0.6, 1.0: 0.0},
    "linear(-0.8->0, hold=0.2)": {0.0: -0.8, 0.4: -0.4, 0.8: 0.0, 0.9: 0.0, 1.0: 0.0},
    "geometric(0.1->10)": {0.0: 0.1, 0.5: 1.0, 0.75: math.sqrt(10), 1.0: 10.0},
    "geometric(-0.9->-0.1, hold=0.5)": {0.0: -0.9, 0.25: -0.3, 0.5: -0.1, 1.0: -0.1},
    "cosine(0.2->1)": {0.0: 0.2, 0.25: 0.2 + 0.8 * (1 - math.sqrt(0.5)) / 2, 0.5: 0.6, 1.0: 1.0},
    "pma(0.5)": {0.0: 0.5, 0.4: 0.25, 0.8: 0.0, 0.95: 0.0, 1.0: 0.0},
    "nma(0.5)": {0.0: -0.5, 0.4: -0.25, 0.8: 0.0, 1.0: 0.0},
    "pma(2, until=0.5)": {0.25: 1.0, 0.5: 0.0, 1.0: 0.0},
    "oscillating(1)": {0.0: 1.0, 1 / 15: -14 / 15, 2 / 15: 13 / 15, 0.5 / 15: 1 / 30, 1.0: 0.0},
    "oscillating(-2, segments=2)": {0.0: -2.0, 0.25: -0.5, 0.5: 1.0, 1.0: 0.0},
}


@pytest.mark.parametrize("text", VALUES)
def test_values(text: str) -> None:
    """Each form against values worked out by hand."""
    built = schedule(text)
    assert isinstance(built, Schedule)
    for t, value in VALUES[text].items():
        assert math.isclose(built(t), value, abs_tol=1e-12), t


def number(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high, allow_nan=False).map(lambda v: float(f"{v:.6g}"))


HOLD = number(0, 0.95)
SIZE = number(-5, 5)
POSITIVE = number(0.01, 50)
SCHEDULE_TEXTS: st.SearchStrategy[str] = st.one_of(
    SIZE.map(repr),
    SIZE.map(lambda v: f"constant({v!r})"),
    st.builds(
        lambda k, a, b, h: f"{k}({a!r}->{b!r}, hold={h!r})", st.sampled_from(["linear", "cosine"]), SIZE, SIZE, HOLD
    ),
    st.builds(
        lambda s, a, b, h: f"geometric({s}{a!r}->{s}{b!r}, {h!r})", st.sampled_from(["", "-"]), POSITIVE, POSITIVE, HOLD
    ),
    st.builds(
        lambda k, b, u: f"{k}(bound={b!r}, until={u!r})", st.sampled_from(["pma", "nma"]), SIZE, number(0.05, 0.95)
    ),
    st.builds(lambda b, n: f"oscillating({b!r}, segments={n})", SIZE, st.integers(1, 40)),
)


@settings(max_examples=150, deadline=None)
@given(SCHEDULE_TEXTS, st.floats(0, 1))
def test_rates_are_derivatives(text: str, t: float) -> None:
    """`rate` is the derivative from the right."""
    built = schedule(text)
    h = 1e-6
    assume(t + h <= 1 and not any(t < k < t + h for k in built.knots))
    slope = (built(t + h) - built(t)) / h
    bend = 1e-3 * (1 + abs(built.rate(0.0)) + abs(slope)) * max(1.0, 1 / (1 - getattr(built, "hold", 0.0)))
    assert abs(slope - built.rate(t)) < bend


@settings(max_examples=150, deadline=None)
@given(SCHEDULE_TEXTS)
def test_knots_contain_the_extremes(text: str) -> None:
    """Between neighbouring knots a schedule is monotone, so no value lies outside those at the knots; knots rise
    from 0 to 1."""
    built = schedule(text)
    knots = built.knots
    assert (knots[0], knots[-1]) == (0, 1)
    assert list(knots) == sorted(knots)
    at_knots = [built(k) for k in knots]
    slack = 1e-12 * (1 + max(map(abs, at_knots)))
    for a, b in pairwise(knots):
        inside = [built(a + (b - a) * u / 16) for u in range(17)]
        low, high = sorted((built(a), built(b)))
        assert all(low - slack <= v <= high + slack for v in inside)
    steps = [built(i / 400) for i in range(401)]
    assert min(steps) >= min(at_knots) - slack
    assert max(steps) <= max(at_knots) + slack


def test_knots_are_where_the_slope_jumps() -> None:
    """The end of a ramp is a knot, although the hold after it reaches no new value."""
    assert schedule("linear(0->1, hold=0.25)").knots == (0.0, 0.75, 1.0)
    assert schedule("pma(1)").knots == (0.0, 0.8, 1.0)


# ---- the published paths (section 6)


def average(f: Callable[[float], float], n: int = 150_000) -> float:
    return sum(f(i / n) for i in range(n)) / n


def test_published_oscillating_annealing() -> None:
    """Section 6: B = 1, S = 10000 of 150000: nodes 1, -.9333, .8667, ..., .0667, 0; 15 segments; average .0022, mean
    |l| .2526."""
    built = schedule("oscillating(1)")
    nodes = [built(k / 15) for k in range(16)]
    assert [round(abs(v), 4) for v in nodes] == [
        1.0,
        0.9333,
        0.8667,
        0.8,
        0.7333,
        0.6667,
        0.6,
        0.5333,
        0.4667,
        0.4,
        0.3333,
        0.2667,
        0.2,
        0.1333,
        0.0667,
        0.0,
    ]
    assert all((v > 0) == (k % 2 == 0) for k, v in enumerate(nodes[:15]))
    assert len(built.knots) == 16
    assert math.isclose(average(built), 0.0022, abs_tol=5e-5)
    assert math.isclose(average(lambda t: abs(built(t))), 0.2526, abs_tol=5e-5)


@pytest.mark.parametrize(("name", "sign"), [("pma", 1), ("nma", -1)])
def test_published_monotone_annealing(name: str, sign: int) -> None:
    """Section 6: l = B (1 - t/.8), 0 from t = .8 on; mean |l| = .4 B; PMA is B > 0 and NMA its negative."""
    bound = 0.6
    built = schedule(f"{name}({bound})")
    for i in range(101):
        t = i / 100
        assert math.isclose(built(t), sign * bound * max(0.0, 1 - t / 0.8), abs_tol=1e-12)
    assert built(0.8) == 0
    assert math.isclose(average(lambda t: abs(built(t)), 20_000), 0.4 * bound, rel_tol=1e-3)


# ---- temperature


@pytest.mark.parametrize(
    ("likelihood", "entropy", "beta"),
    [(0, 0, 1), (1, 0, 2), (-0.5, 0, 0.5), (0, 1, 0.5), (0, -0.5, 2), (1, 1, 1), (-0.8, 0.25, 0.16)],
)
def test_inverse_temperature(likelihood: float, entropy: float, beta: float) -> None:
    """beta = (1 + lambda_likelihood)/(1 + lambda_entropy)."""
    assert math.isclose(inverse_temperature(likelihood, entropy), beta)


FORBIDDEN = [
    "-1",
    "-1.5",
    "linear(-1->0)",
    "linear(0->-1)",
    "linear(-1.5->2)",
    "nma(1)",
    "pma(-1)",
    "oscillating(1.2)",
    "oscillating(-1)",
    "geometric(-0.1->-1)",
    "cosine(-1->0)",
    "each(0, -1)",
    "each(-0.5, linear(0->-1.1))",
]
ALLOWED = ["0", "-0.999", "linear(-0.99->3)", "nma(0.99)", "oscillating(0.99)", "oscillating(1)", "each(0, -0.5)", "50"]


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("text", FORBIDDEN + ALLOWED)
def test_check_path(text: str, which: int) -> None:
    """A lambda that touches -1 anywhere (so beta 0 or infinity) is refused by name; oscillating(1) only comes to
    -14/15."""
    pair = [schedule("0"), schedule("0")]
    pair[which] = schedule(text)
    if text in FORBIDDEN:
        with pytest.raises(UsageError, match=("lambda_likelihood", "lambda_entropy")[which]):
            check_path(*pair)
        members = pair[which].members if isinstance(pair[which], Each) else (pair[which],)
        lowest = min(m(k) for m in members for k in m.knots)
        with pytest.raises(UsageError):
            inverse_temperature(*((lowest, 0.0) if which == 0 else (0.0, lowest)))
    else:
        check_path(*pair)


@pytest.mark.parametrize("value", [math.nan, -1.0, -math.inf])
def test_inverse_temperature_refuses(value: float) -> None:
    with pytest.raises(UsageError):
        inverse_temperature(value, 0.0)
    with pytest.raises(UsageError):
        inverse_temperature(0.0, value)


@pytest.mark.parametrize("clock", ["likelihood", "entropy"])
@pytest.mark.parametrize("text", ["linear(0.2->1, hold=0.2)", "geometric(0.1->2)", "cosine(3->1)", "1", "0.05"])
def test_both_clocks_give_beta_back(text: str, clock: str) -> None:
    """lambda_L = beta - 1 or lambda_E = 1/beta - 1: `inverse_temperature` of the pair is beta everywhere; rates are
    derivatives."""
    beta = schedule(text)
    pair = Clock(beta, clock).lambdas()
    check_path(*pair)
    moving = pair[0 if clock == "likelihood" else 1]
    assert isinstance(pair[1 if clock == "likelihood" else 0], Constant)
    for i in range(201):
        t = i / 200
        assert math.isclose(inverse_temperature(pair[0](t), pair[1](t)), beta(t), rel_tol=1e-12)
        if t < 1 and not any(t < k < t + 1e-6 for k in beta.knots):
            assert math.isclose(moving.rate(t), (moving(t + 1e-6) - moving(t)) / 1e-6, rel_tol=1e-3, abs_tol=1e-3)
    low, high = sorted((min(map(moving, moving.knots)), max(map(moving, moving.knots))))
    assert all(low - 1e-12 <= moving(i / 50) <= high + 1e-12 for i in range(51))


@pytest.mark.parametrize("clock", ["likelihood", "entropy"])
@pytest.mark.parametrize("text", ["0", "linear(-0.1->1)", "linear(1->0)", "oscillating(1)", "-2"])
def test_a_path_through_beta_zero_is_refused(text: str, clock: str) -> None:
    with pytest.raises(UsageError, match="beta"):
        Clock(schedule(text), clock).lambdas()


# ---- text


@settings(max_examples=100, deadline=None)
@given(SCHEDULE_TEXTS)
def test_text_forms_round_trip(text: str) -> None:
    """Spaces do not matter, a built schedule and a parsed text build to themselves, and a member of `each` is the
    schedule alone."""
    built = schedule(text)
    spaced = text.replace("(", " ( ").replace(",", " , ").replace("->", " -> ").replace("=", " = ")
    assert schedule(spaced) == built
    assert schedule(built) is built
    assert SCHEDULES.build(parse(text)) == built
    assert schedule(f"each({text}, 0)").members == (built, Constant(0.0))
    assert schedule(f"[{text}, 0]").members == (built, Constant(0.0))
    assert schedule([text, 0]).members == (built, Constant(0.0))


REGISTRIES: dict[str, Any] = {
    "schedule": schedule,
    **{r.kind: r.build for r in (OBJECTIVES, PENALTIES, SCORES, SOLVERS, OPTIMIZERS, NETWORKS)},
}
ENTRIES = sorted({*SCHEDULES, *OBJECTIVES, *PENALTIES, *SCORES, *SOLVERS, *OPTIMIZERS, *NETWORKS})
TOKENS = [
    *ENTRIES,
    *[
        "(",
        ")",
        "[",
        "]",
        ",",
        "=",
        "->",
        "0.5",
        "-1",
        "+2",
        "1e999",
        "-0.0",
        "3",
        "1e-320",
        ".",
        "..",
        "e",
        "nan",
        "inf",
        "true",
        "none",
        "'x'",
        '"',
        "'",
        "\\",
        "é",
        "٣",
        "²",
        "#",
        "{",
        "%s",
        "--",
        ";",
    ],
    *["hold", "bound", "until", "segments", "range", "value", "gamma", "every", "measure", "__class__", "a.b"],
    "\n",
    "\0",
]


def survives(build: Callable[[Any], Any], text: Any) -> None:
    """Building ends in an object or in a `UsageError`."""
    with contextlib.suppress(UsageError):
        build(text)


@pytest.mark.parametrize("kind", list(REGISTRIES))
def test_hostile_texts(kind: str) -> None:
    """Random token soup and random characters: an object or a UsageError, never anything else."""

    @settings(max_examples=200, deadline=None)
    @given(st.one_of(st.lists(st.sampled_from(TOKENS), max_size=12).map("".join), st.text(max_size=30)))
    def check(text: str) -> None:
        survives(REGISTRIES[kind], text)

    check()


ODD = (None, True, {}, {"a": 1}, object(), b"1", math.nan, math.inf, (), [], [None], [[1]], 1j, "", " ", "(" * 5000)
DEEP = ("[" * 5000, "each(" * 5000, "x" * 20_000, "linear(0->1" + ")" * 100, "each(" * 19 + "1" + ")" * 19)


@pytest.mark.parametrize("value", ODD + DEEP)
def test_hostile_values(value: Any) -> None:
    """Whatever Python or YAML may hand over instead of a schedule."""
    with pytest.raises(UsageError):
        schedule(value)


ESCAPES = {
    "int() of more than 4300 digits": ("schedule", "9" * 5000),
    "float of a long integer": ("schedule", "9" * 400),
    "until too long": ("schedule", f"pma(1, until={'9' * 400})"),
    "word for a number: spectral": ("penalty", "spectral(coefficient=abc)"),
    "list for a number: clip": ("penalty", "clip([1])"),
    "none for a number: clip": ("penalty", "clip(none)"),
    "long integer: spectral": ("penalty", f"spectral({'9' * 400})"),
    "word for a number: sgd": ("optimizer", "sgd(abc)"),
    "list for a number: adam": ("optimizer", "adam(beta1=[1])"),
    "word for a number: adam": ("optimizer", "adam(eps=abc)"),
    "none for a number: rmsprop": ("optimizer", "rmsprop(none)"),
    "part for a number: sgd": ("optimizer", "sgd(momentum=adam)"),
    "long integer: stein": ("score", f"stein(eta={'9' * 400})"),
    "list for a name: mlp": ("network", "mlp(activation=[1])"),
}


@pytest.mark.parametrize("case", ESCAPES)
def test_hostile_texts_that_once_escaped(case: str) -> None:
    """Each of these ended in a ValueError, an OverflowError or a TypeError."""
    kind, text = ESCAPES[case]
    with pytest.raises(UsageError):
        REGISTRIES[kind](text)


MEANINGLESS = {
    "infinite bound": ("penalty", "clip(1e999)"),
    "bound of the wrong kind": ("penalty", "clip(true)"),
    "anchor that is a word": ("penalty", "sgp(measure=anchor, anchor=foo)"),
    "negative eps": ("optimizer", "adam(eps=-1)"),
    "function that is a number": ("score", "exact(1)"),
    "flag that is a number": ("network", "mlp(bounded=3)"),
}


@pytest.mark.parametrize("case", MEANINGLESS)
def test_meaningless_arguments_are_refused(case: str) -> None:
    kind, text = MEANINGLESS[case]
    with pytest.raises(UsageError):
        REGISTRIES[kind](text)


WIDE = "geometric(1e-300->1e300)"


@pytest.mark.parametrize("text", [WIDE, "linear(-1e308->1e308)", "cosine(-1e308->1e308)", "pma(1e308, until=1e-300)"])
def test_values_between_finite_ends_are_finite(text: str) -> None:
    """Ends whose difference or ratio is no number are refused; otherwise everything between is finite."""
    with contextlib.suppress(UsageError):
        built = schedule(text)
        assert all(math.isfinite(built(i / 8)) for i in range(9))


def test_geometric_between_small_ends() -> None:
    """Two small numbers of one sign, whose product underflows."""
    assert math.isclose(schedule("geometric(1e-200->1e-180)")(0.5), 1e-190)


def test_segments_are_limited() -> None:
    """A few characters must not ask for any amount of memory."""
    with pytest.raises(UsageError):
        schedule("oscillating(1, segments=1000000)")
