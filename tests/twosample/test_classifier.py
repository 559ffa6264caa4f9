"""The classifier two-sample test: its power law, its splits, its nulls against scipy, its classifiers, its level."""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.neighbors import KNeighborsClassifier

from ganneal.errors import RunError, UsageError
from ganneal.twosample.classifier import (
    _splits,
    c2st_detectable,
    c2st_power,
    c2st_sample_size,
    c2st_test,
    fisher,
)
from ganneal.twosample.learners import train_network


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Linear(ClassifierMixin, BaseEstimator):
    """A rule that learns nothing: x where sign (first column - threshold) > 0."""

    def __init__(self, threshold: float = 0.0, sign: float = 1.0):
        self.threshold, self.sign = threshold, sign

    def fit(self, x: np.ndarray, labels: np.ndarray) -> "Linear":
        assert set(labels) == {0, 1}
        assert labels.sum() * 2 == len(labels)
        return self

    def decision_function(self, x: np.ndarray) -> np.ndarray:
        return self.sign * (x[:, 0] - self.threshold)


class Centroids(ClassifierMixin, BaseEstimator):
    """Learns with little computing: x where an example is nearer to the mean of x, f(v) = (a - b)'(v - (a + b) / 2)."""

    def fit(self, x: np.ndarray, labels: np.ndarray) -> "Centroids":
        self.a_, self.b_ = x[labels == 1].mean(0), x[labels == 0].mean(0)
        return self

    def decision_function(self, x: np.ndarray) -> np.ndarray:
        return ((x - (self.a_ + self.b_) / 2) * (self.a_ - self.b_)).sum(1)


class Broken(Linear):
    """Scores that are no numbers."""

    def decision_function(self, x: np.ndarray) -> np.ndarray:
        return np.full(len(x), np.nan)


# the law of power


@pytest.mark.parametrize(("e", "n", "power"), [(0.02, 2000, 0.557), (0.05, 1000, 0.936), (0.0641, 500, 0.891)])
def test_the_power_law(e: float, n: int, power: float) -> None:
    assert c2st_power(e, n) == pytest.approx(power, abs=6e-4)
    assert c2st_sample_size(e, c2st_power(e, n)) in (n, n + 1)
    assert c2st_detectable(n, c2st_power(e, n)) == pytest.approx(e, rel=1e-9)


def test_the_power_law_at_its_ends() -> None:
    assert c2st_power(0, 500, 0.1) == pytest.approx(0.1)  # nothing to find: the level
    assert c2st_power(0.5, 100) == 1
    assert c2st_power(-0.1, 1000) < 1e-6
    assert c2st_power(0.05, 1000, 0.01) < c2st_power(0.05, 1000, 0.05)
    assert c2st_power(c2st_detectable(400, 0.3), 400) == pytest.approx(0.3, abs=1e-9)
    assert c2st_sample_size(0.02, 0.9, 0.01) > c2st_sample_size(0.02, 0.9, 0.05) > c2st_sample_size(0.02, 0.8, 0.05)


@pytest.mark.parametrize(("e", "n"), [(0.02, 2000), (0.05, 1000), (0.0641, 500)])
def test_the_power_law_holds_for_a_fixed_rule(e: float, n: int) -> None:
    """N(0, 1) against N(-2 z, 1) with the rule x > -z has accuracy Phi(z) = 1/2 + e: 1000 tests, se 0.016."""
    z, g = stats.norm.ppf(0.5 + e), rng(1)
    found = 0
    for seed in range(1000):
        x, y = g.normal(size=n), g.normal(-2 * z, 1, size=n)  # half of each is held out
        found += c2st_test(x, y, Linear(-z), "sign", null="hypergeometric", seed=seed, level=0.05).rejected
    assert found / 1000 == pytest.approx(c2st_power(e, n), abs=0.03)


# splits


@pytest.mark.parametrize(("m", "n"), [(30, 30), (31, 12), (100, 60)])
def test_halves_are_disjoint_and_the_training_half_is_balanced(m: int, n: int) -> None:
    [((train_x, train_y), (test_x, test_y))] = _splits(m, n, None, generator())
    assert len(train_x) == len(train_y) == min(m, n) // 2
    assert sorted([*train_x.tolist(), *test_x.tolist()]) == list(range(m))
    assert sorted([*train_y.tolist(), *test_y.tolist()]) == list(range(n))


@pytest.mark.parametrize(("m", "n", "folds"), [(40, 40, 5), (50, 23, 3), (23, 50, 4), (20, 20, 2)])
def test_no_fold_is_tested_by_a_classifier_that_has_seen_it_or_a_later_one(m: int, n: int, folds: int) -> None:
    splits = _splits(m, n, folds, generator())
    assert len(splits) == folds - 1
    for side, count in ((0, m), (1, n)):
        for i, (train, _) in enumerate(splits):
            assert len(train[0]) == len(train[1])
            later = [j for _, test in splits[i:] for j in test[side].tolist()]
            assert not set(train[side].tolist()) & set(later)
        tested = [j for _, test in splits for j in test[side].tolist()]
        assert len(tested) == len(set(tested)) >= count * (folds - 1) // folds


@pytest.mark.parametrize(("m", "n"), [(30, 30), (40, 17)])
@pytest.mark.parametrize("folds", [None, 3])
def test_a_constant_classifier_scores_exactly_one_half(m: int, n: int, folds: int | None) -> None:
    """The majority rule cannot profit, nor lose; in an unstratified split of the same data it scores below 1/2."""
    x, y = rng().normal(size=(m, 2)), rng(1).normal(size=(n, 2))
    for strategy in ("most_frequent", "prior"):
        result = c2st_test(x, y, DummyClassifier(strategy=strategy), "sign", folds=folds, permutations=19)
        assert result.effect == 0.5
        assert result.pvalue == 1


def test_the_published_split_makes_the_majority_rule_score_below_one_half() -> None:
    labels, scores = np.repeat([0, 1], 30), []
    for seed in range(400):
        order = rng(seed).permutation(60)
        train, test = labels[order[:30]], labels[order[30:]]
        scores.append((test == int(train.mean() > 0.5)).mean())
    assert np.mean(scores) < 0.49


# statistics and nulls


@pytest.mark.parametrize(("m", "n"), [(40, 40), (61, 30)])
def test_statistics_of_a_fixed_rule(m: int, n: int) -> None:
    x, y = rng().normal(0.3, 1, size=(m, 2)), rng(1).normal(size=(n, 2))
    [(_, (test_x, test_y))] = _splits(m, n, None, generator(5))
    fx, fy = x[test_x.numpy(), 0] - 0.1, y[test_y.numpy(), 0] - 0.1
    logit = c2st_test(x, y, Linear(0.1), permutations=99, seed=5)
    assert logit.statistic == pytest.approx(fx.mean() - fy.mean(), abs=1e-12)
    sign = c2st_test(x, y, Linear(0.1), "sign", permutations=99, seed=5)
    truth, called = np.repeat([1, 0], [len(fx), len(fy)]), np.concatenate([fx, fy]) > 0
    assert sign.statistic == pytest.approx(balanced_accuracy_score(truth, called), abs=1e-12)
    assert sign.effect == logit.effect == sign.statistic
    assert sign.tested == logit.tested == (m - min(m, n) // 2, n - min(m, n) // 2)
    assert sign.details["accuracy_x"] == pytest.approx((fx > 0).mean())
    assert sign.details["accuracy_y"] == pytest.approx((fy <= 0).mean())


def test_closed_forms_are_those_of_scipy_and_of_many_relabelings() -> None:
    x, y = rng(2).normal(0.4, 1, size=(50, 1)), rng(3).normal(size=(60, 1))
    sign = c2st_test(x, y, Linear(), "sign", permutations=20000, seed=1)
    exact = c2st_test(x, y, Linear(), "sign", null="hypergeometric", seed=1)
    a, b = (round(sign.details[f"accuracy_{s}"] * k) for s, k in zip("xy", sign.tested, strict=True))
    table = [[a, sign.tested[0] - a], [sign.tested[1] - b, b]]
    assert exact.pvalue == pytest.approx(stats.fisher_exact(table, alternative="greater").pvalue, rel=1e-9)
    assert sign.pvalue == pytest.approx(exact.pvalue, abs=0.015)
    assert (exact.null, exact.permutations) == ("hypergeometric", 0)
    x, y = x[:50], y[:50]
    binomial = c2st_test(x, y, Linear(), "sign", null="binomial", seed=1)
    right = round(50 * binomial.effect)
    assert binomial.pvalue == pytest.approx(stats.binomtest(right, 50, 0.5, alternative="greater").pvalue, rel=1e-9)


@pytest.mark.parametrize("m", [5, 15, 50])
@pytest.mark.parametrize("level", [0.01, 0.05, 0.2])
def test_the_binomial_null_holds_its_level_for_every_rule(m: int, level: float) -> None:
    """#right = Bin(m, q) + Bin(m, 1 - q) exactly, for equal laws and a rule that says "x" with chance q; the level is
    reached at q = 1/2 and kept at every other."""
    critical = next(c for c in range(2 * m + 2) if stats.binom.sf(c - 1, 2 * m, 0.5) <= level)
    sizes = {}
    for q in np.linspace(0, 1, 21):
        law = np.convolve(stats.binom.pmf(range(m + 1), m, q), stats.binom.pmf(range(m + 1), m, 1 - q))
        sizes[round(q, 2)] = law[critical:].sum()
    assert max(sizes.values()) <= level + 1e-12
    assert max(sizes, key=sizes.__getitem__) == 0.5


def test_fisher_is_that_of_scipy() -> None:
    for pvalues in ([0.03, 0.2, 0.5], [1.0, 1.0], [0.001] * 8, [0.4]):
        oracle = stats.combine_pvalues(pvalues, method="fisher")
        assert fisher(pvalues) == pytest.approx((oracle.statistic, oracle.pvalue), rel=1e-9)
    assert fisher([1e-300] * 10)[1] > 0
    assert fisher([0.001] * 500)[1] > 0


def test_folds_combine_their_pvalues() -> None:
    x, y = rng().normal(size=(60, 2)), rng(1).normal(0.8, 1, size=(50, 2))
    result = c2st_test(x, y, "logistic", folds=5, permutations=199)
    assert len(result.details["fold_pvalues"]) == 4
    assert (result.statistic, result.pvalue) == pytest.approx(fisher(result.details["fold_pvalues"]))
    assert result.null == "chi2(8) of 4 fold p-values"
    assert result.tested == (48, 40)
    assert result.permutations == 4 * 199
    assert result.rejected


def test_power_and_detectable() -> None:
    """Of the sign statistic by the law, of the logit statistic by its spread; in the unit of the statistic."""
    x, y = rng().normal(0.5, 1, size=(400, 1)), rng(1).normal(size=(400, 1))
    sign = c2st_test(x, y, Linear(0.25), "sign", permutations=99)
    assert sign.power == pytest.approx(c2st_power(sign.effect - 0.5, 400), abs=1e-12)
    assert sign.detectable == pytest.approx(0.5 + c2st_detectable(400), abs=1e-12)
    logit = c2st_test(x, y, Linear(0.25))
    assert logit.detectable == pytest.approx((1.645 + 0.84) * math.sqrt(2 / 200), rel=0.15)
    found = [
        c2st_test(g.normal(logit.detectable, 1, 400), g.normal(size=400), Linear(), permutations=99, seed=s).rejected
        for g in [rng(9)]
        for s in range(150)
    ]
    assert np.mean(found) == pytest.approx(0.8, abs=0.1)


# classifiers


@pytest.mark.parametrize(
    "classifier",
    ["network", "logistic", "forest", "knn", RandomForestClassifier(20), KNeighborsClassifier(), LogisticRegression()],
)
@pytest.mark.parametrize("statistic", ["logit", "sign"])
def test_a_clear_difference_is_found_in_the_right_direction(classifier: object, statistic: str) -> None:
    x, y = rng().normal(size=(100, 3)), rng(1).normal(1, 1, size=(80, 3))
    result = c2st_test(x, y, classifier, statistic, permutations=99)
    assert result.pvalue == 0.01
    assert result.effect > 0.7
    assert min(result.details["confident_x_logits"]) > 0 > max(result.details["confident_y_logits"])


def test_a_rule_that_is_always_wrong_finds_nothing() -> None:
    x, y = rng().normal(1, 1, size=(60, 1)), rng(1).normal(-1, 1, size=(60, 1))
    result = c2st_test(x, y, Linear(0, -1), permutations=99)
    assert result.pvalue == 1
    assert result.effect < 0.3


def test_the_network_learns_what_is_not_linear() -> None:
    """A disc in a ring, far from the origin and with columns of very different size."""
    angle = rng().uniform(0, 2 * np.pi, size=(2, 300))
    disc, ring = ([radius * np.cos(a), radius * np.sin(a)] for radius, a in zip((1.0, 2.5), angle, strict=True))
    x, y = (np.array(p).T * [1e-3, 1e4] + [5, 1e6] for p in (disc, ring))
    assert c2st_test(x, y, permutations=99).effect > 0.9
    assert c2st_test(x, y, "logistic", permutations=99).effect < 0.65


def test_the_network_depends_on_its_generator_only() -> None:
    x, labels = torch.randn(40, 3, generator=generator(1)).double(), torch.arange(40).remainder(2).double()
    first = train_network(x, labels, x, generator(2))
    torch.rand(7)
    with torch.no_grad():
        assert torch.equal(train_network(x, labels, x, generator(2)), first)
    assert not torch.equal(train_network(x, labels, x, generator(3)), first)
    x[:, 1] = 0.1
    assert bool(train_network(x, labels, x + 1, generator(2)).isfinite().all())


@pytest.mark.parametrize("classifier", ["network", "forest", RandomForestClassifier(5)])
def test_same_seed_same_result(classifier: object) -> None:
    x, y = rng().normal(size=(30, 2)), rng(1).normal(0.5, 1, size=(30, 2))
    assert c2st_test(x, y, classifier, seed=4) == c2st_test(torch.tensor(x), y, classifier, seed=4)
    assert c2st_test(x, y, classifier, seed=4).statistic != c2st_test(x, y, classifier, seed=5).statistic


def test_a_given_classifier_is_left_as_it_was() -> None:
    given = RandomForestClassifier(5)
    c2st_test(rng().normal(size=(20, 2)), rng(1).normal(size=(20, 2)), given, permutations=19)
    assert not hasattr(given, "estimators_")
    assert given.random_state is None


def test_it_names_the_examples_that_give_the_samples_away() -> None:
    x, y = rng().normal(size=(60, 2)), rng(1).normal(size=(70, 2))
    x[11:51, 0] += 7
    y[3:43, 0] -= 7
    result = c2st_test(x, y, "logistic", permutations=19)
    [(_, (test_x, test_y))] = _splits(60, 70, None, generator())
    assert set(result.details["confident_x"]) <= set(range(11, 51)) & set(test_x.tolist())
    assert set(result.details["confident_y"]) <= set(range(3, 43)) & set(test_y.tolist())
    assert len(result.details["confident_x"]) == 10
    assert result.details["confident_x_logits"] == sorted(result.details["confident_x_logits"], reverse=True)
    assert result.details["confident_y_logits"] == sorted(result.details["confident_y_logits"])


# level


@pytest.mark.parametrize(
    ("request_", "count"),
    [
        ({"classifier": Centroids()}, 200),
        ({"classifier": Centroids(), "statistic": "sign", "null": "hypergeometric"}, 200),
        ({"classifier": Centroids(), "folds": 4}, 150),
        ({"classifier": "knn", "statistic": "sign"}, 60),
        ({"classifier": "logistic"}, 60),
        ({"classifier": "network"}, 20),
    ],
)
def test_size_under_the_null(request_: dict, count: int) -> None:
    g, pvalues = rng(5), []
    for m, n in ((30, 30), (60, 40)):
        for seed in range(count):
            x, y = g.normal(size=(m, 2)), g.normal(size=(n, 2))
            pvalues.append(c2st_test(x, y, permutations=99, seed=seed, **request_).pvalue)
    hits = sum(p <= 0.05 for p in pvalues)
    assert stats.binomtest(hits, len(pvalues), 0.05, alternative="greater").pvalue > 0.005
    assert sum(p <= 0.5 for p in pvalues) > 0.25 * len(pvalues)  # and p-values are not stuck near 1


def test_relabeling_cross_validation_is_not_exact_and_folds_in_order_are() -> None:
    """Equal laws in 20 columns and a rule that learns means: predictions of 5-fold cross-validation that are relabeled
    as if they were fixed reject far more often than they should; this is why `folds` goes another way."""
    g, naive, ours = rng(1), 0, 0
    for seed in range(300):
        x, y = g.normal(size=(30, 20)), g.normal(size=(30, 20))
        pool, labels, f = np.concatenate([x, y]), np.repeat([1, 0], 30), np.zeros(60)
        for k in range(5):  # the rows are in random order as it is
            held_out = np.arange(60) % 5 == k
            f[held_out] = Centroids().fit(pool[~held_out], labels[~held_out]).decision_function(pool[held_out])
        relabeled = np.array([g.permutation(labels) @ f for _ in range(99)])
        naive += (1 + int((relabeled >= labels @ f).sum())) / 100 <= 0.05
        ours += c2st_test(x, y, Centroids(), folds=5, permutations=99, seed=seed).rejected
    assert stats.binomtest(naive, 300, 0.05, alternative="greater").pvalue < 0.005
    assert stats.binomtest(ours, 300, 0.05, alternative="greater").pvalue > 0.05


def test_labels_that_explain_the_difference() -> None:
    x_labels, y_labels = np.repeat([0, 1], [160, 40]), np.repeat([0, 1], [40, 160])
    x, y = rng().normal(size=200) + 3 * x_labels, rng(1).normal(size=200) + 3 * y_labels
    strata = np.concatenate([x_labels, y_labels])
    assert c2st_test(x, y, "logistic", permutations=99).rejected
    assert not c2st_test(x, y, "logistic", permutations=99, strata=strata).rejected
    assert c2st_test(x, y + 2 * (y_labels == 0), "logistic", permutations=99, strata=strata).rejected
    early = c2st_test(x, -x + 3, "logistic", permutations=5000, exceedances=10)
    assert early.null == "permutation, stopped early" or early.rejected


# errors


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"classifier": "netwrok"}, "did you mean 'network'"),
        ({"classifier": object()}, "fit, get_params"),
        ({"classifier": LogisticRegression}, "scikit-learn classifier"),
        ({"statistic": "logits"}, "did you mean 'logit'"),
        ({"null": "binominal"}, "did you mean 'binomial'"),
        ({"null": "binomial"}, "statistic='sign'"),
        ({"null": "binomial", "statistic": "sign", "y": np.arange(9.0)}, "equally many"),
        ({"folds": 1}, "from 2 to 3"),
        ({"folds": 4}, "from 2 to 3"),
        ({"folds": 2.0}, "whole numbers"),
        ({"x": np.arange(7.0)}, "at least 8"),
        ({"x": [1e200] * 12}, "overflow"),
        ({"permutations": 7}, "at least 19"),
        ({"level": 1.5}, "between 0 and 1"),
        ({"strata": [0, 1]}, "one for each"),
    ],
)
def test_wrong_requests_are_named(change: dict, words: str) -> None:
    arguments = {"x": np.arange(12.0), "y": np.arange(12.0), **change}
    with pytest.raises(UsageError, match=words):
        c2st_test(arguments.pop("x"), arguments.pop("y"), **arguments)


def test_wrong_numbers_and_broken_classifiers_are_named() -> None:
    for wrong in (lambda: c2st_power(0.6, 10), lambda: c2st_power(0.1, 0), lambda: c2st_power(0.1, 9, 1.0)):
        with pytest.raises(UsageError, match="allowed"):
            wrong()
    for wrong in (lambda: c2st_sample_size(0), lambda: c2st_sample_size(0.1, 1.0), lambda: c2st_sample_size(-0.1)):
        with pytest.raises(UsageError, match="allowed"):
            wrong()
    with pytest.raises(RunError, match="finite"):
        c2st_test(np.arange(12.0), np.arange(12.0), Broken())
