"""The classifiers of the classifier two-sample test: a small network, and those of scikit-learn.

The network has one hidden layer (Lopez-Paz and Oquab 2017, section 5),

    f(x) = w' relu(W z + b) + c,   z = (x - mean) / standard deviation of the training part

trained on the logistic loss with Adam. A fifth of the training part is kept out of the gradient: the weights that do
best on it are kept, and training ends once it has not improved for a while, so that small samples are not learnt by
heart. All randomness comes from one generator.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from ganneal.errors import RunError, UsageError, nearest

HIDDEN = 20
RATE = 0.01
BATCH = 128
STEPS = 1000
LOOK = 10
"""Steps between two looks at the part that is kept out."""
PATIENCE = 10
"""Looks without improvement after which training ends."""

Learner = Callable[[Tensor, Tensor, Tensor, torch.Generator], Tensor]
"""From training examples [n, d], their labels [n] (1: of x, 0: of y), examples to judge [k, d] and a generator to
logits [k], positive where x is likelier."""
BUILT_IN = ("network", "logistic", "forest", "knn")


def learner_for(classifier: Any) -> Learner:
    """What a name or a scikit-learn classifier stands for. Raises UsageError for anything else."""
    if isinstance(classifier, str):
        if classifier not in BUILT_IN:
            raise UsageError(
                f"classifier: unknown {classifier!r}; {nearest(classifier, BUILT_IN)}, or a scikit-learn classifier"
            )
        return train_network if classifier == "network" else _named(classifier)
    able = hasattr(classifier, "decision_function") or hasattr(classifier, "predict_proba")
    if isinstance(classifier, type) or not (hasattr(classifier, "fit") and hasattr(classifier, "get_params") and able):
        raise UsageError(
            f"classifier: got {classifier!r}; allowed: {', '.join(BUILT_IN)}, or a scikit-learn classifier, which has "
            "fit, get_params, and predict_proba or decision_function"
        )
    return lambda x, labels, judged, generator: _judge(classifier, x, labels, judged, generator)


def _named(name: str) -> Learner:
    """A classifier of scikit-learn on standardised columns."""
    _scikit_learn()
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    def learner(x: Tensor, labels: Tensor, judged: Tensor, generator: torch.Generator) -> Tensor:
        last = {
            "logistic": lambda: LogisticRegression(max_iter=1000),
            "forest": RandomForestClassifier,
            "knn": lambda: KNeighborsClassifier(math.isqrt(len(x))),
        }[name]()
        return _judge(make_pipeline(StandardScaler(), last), x, labels, judged, generator)

    return learner


def _scikit_learn() -> None:
    try:
        import sklearn  # noqa: F401
    except ImportError as error:
        raise UsageError('classifier: this one needs scikit-learn; pip install "ganneal[twosample]"') from error


def _judge(classifier: Any, x: Tensor, labels: Tensor, judged: Tensor, generator: torch.Generator) -> Tensor:
    """Fit a clone and take its decision function, or the log odds of its probabilities. Those are kept away from 0 and
    1 by 1 / (n + 2), which is all that n examples can tell. A random state that is open gets a number from the
    generator."""
    _scikit_learn()
    from sklearn.base import clone

    fitted = clone(classifier)
    number = int(torch.randint(2**31 - 1, (1,), generator=generator))
    open_states = [k for k, v in fitted.get_params().items() if v is None and k.split("__")[-1] == "random_state"]
    fitted.set_params(**dict.fromkeys(open_states, number))
    fitted.fit(x.numpy(), labels.to(torch.long).numpy())
    if hasattr(fitted, "decision_function"):
        logits = torch.as_tensor(fitted.decision_function(judged.numpy()), dtype=torch.float64)
    else:
        p = torch.as_tensor(fitted.predict_proba(judged.numpy()), dtype=torch.float64)[:, -1]
        logits = p.clamp(1 / (len(x) + 2), 1 - 1 / (len(x) + 2)).logit()
    if logits.shape != (len(judged),) or not bool(logits.isfinite().all()):
        raise RunError(f"classifier: {classifier!r} gave scores of shape {tuple(logits.shape)} or none that are finite")
    return logits


@torch.enable_grad()
def train_network(x: Tensor, labels: Tensor, judged: Tensor, generator: torch.Generator) -> Tensor:
    """The network's logits [k] for `judged` [k, d] after training on x [n, d] with labels [n], at least 2 of each."""
    spread, mean = torch.std_mean(x, 0, correction=0)
    spread = torch.where(spread > 1e-12 * mean.abs(), spread, 1.0)  # a constant column may keep a rounding error
    z = (x - mean) / spread
    kept, fitted = _parts(labels, generator)
    weights = _start(x.shape[1], generator)
    optimizer = torch.optim.Adam(weights, lr=RATE)
    best, best_loss, stale = tuple(w.detach().clone() for w in weights), math.inf, 0
    order = torch.empty(0, dtype=torch.long)
    for step in range(1, STEPS + 1):
        if len(order) == 0:
            order = fitted[torch.randperm(len(fitted), generator=generator)]
        batch, order = order[:BATCH], order[BATCH:]
        optimizer.zero_grad()
        functional.binary_cross_entropy_with_logits(_logits(weights, z[batch]), labels[batch]).backward()
        optimizer.step()
        if step % LOOK == 0:
            with torch.no_grad():
                loss = float(functional.binary_cross_entropy_with_logits(_logits(weights, z[kept]), labels[kept]))
            if loss < best_loss:
                best, best_loss, stale = tuple(w.detach().clone() for w in weights), loss, 0
            else:
                stale += 1
                if stale == PATIENCE:
                    break
    return _logits(best, (judged - mean) / spread)


def _logits(weights: tuple[Tensor, ...], z: Tensor) -> Tensor:
    first, shift, second, offset = weights
    return torch.addmm(shift, z, first.T).relu_() @ second + offset


def _start(d: int, generator: torch.Generator) -> tuple[Tensor, ...]:
    """Uniform within 1 / sqrt(inputs), as torch's own layers start."""

    def uniform(bound: float, *shape: int) -> Tensor:
        values = torch.rand(*shape, dtype=torch.float64, generator=generator)
        return ((2 * values - 1) * bound).requires_grad_()

    outer, inner = 1 / math.sqrt(d), 1 / math.sqrt(HIDDEN)
    return uniform(outer, HIDDEN, d), uniform(outer, HIDDEN), uniform(inner, HIDDEN), uniform(inner, 1)


def _parts(labels: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Positions kept out, a fifth of each class, and the others."""
    kept, fitted = [], []
    for label in (1, 0):
        mine = (labels == label).nonzero().flatten()
        mine = mine[torch.randperm(len(mine), generator=generator)]
        cut = max(1, len(mine) // 5)
        kept.append(mine[:cut])
        fitted.append(mine[cut:])
    return torch.cat(kept), torch.cat(fitted)
