"""Bayesian logistic regression: the posterior of the weights."""

import math
import zipfile
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from ganneal.errors import UsageError, nearest
from ganneal.targets.arguments import named, positive
from ganneal.targets.target import Target

ROWS, FEATURES, SEED = 200, 4, 20_190_501
NEWTON_STEPS = 100


@named
def logistic(path: str | None = None, prior: float | None = 1.0) -> Target:
    """log u(b) = sum_i log sigmoid(+-x_i . b) + log N(b; 0, prior^2 I), + where y_i = 1.

    path     `file.npz:name` with arrays `name_x` [n, k] and `name_y` [n] of 0 and 1; without it, 200 rows with four
             features that are drawn from the model with a fixed seed
    prior    standard deviation of the Gaussian prior of all weights; `none` leaves the prior out, as public
             benchmarks and the long-run references that come with them do (those have p(y = 1) = sigmoid(-x . b):
             their sign is to be turned)

    x_i is a leading 1 and the features divided by their standard deviations, not centred. log Z is the log marginal
    likelihood, not known. `centre` and `scale` are those of Laplace's approximation. Raises `UsageError` for files it
    cannot read, labels other than 0 and 1, constant features, and `prior=none` on classes that a plane separates: the
    posterior is then improper.
    """
    x, y = _simulated() if path is None else _read(path)
    spread = None if prior is None else positive("logistic", "prior", prior)
    design = torch.cat([torch.ones(len(x), 1, dtype=torch.float64), x / x.std(0, correction=0)], 1)
    signed = design * (2 * y - 1)[:, None]
    d = design.shape[1]
    constant = 0.0 if spread is None else -d * (math.log(spread) + math.log(2 * math.pi) / 2)
    precision = 0.0 if spread is None else spread**-2

    def log_prob(b: Tensor) -> Tensor:
        likelihood = logsigmoid(b @ signed.to(b).mT).sum(-1)
        return likelihood + constant - precision / 2 * b.square().sum(-1)

    def gradient(b: Tensor) -> Tensor:
        rows = signed.to(b)
        return torch.sigmoid(-(b @ rows.mT)) @ rows - precision * b

    centre, scale = _laplace(signed, precision)
    return Target(name="logistic", dim=d, log_prob=log_prob, gradient=gradient, centre=centre, scale=scale)


def _laplace(signed: Tensor, precision: float) -> tuple[Tensor, Tensor]:
    """The maximum [d] by Newton's method with halved steps, and the standard deviations [d] of the inverse Hessian."""
    d = signed.shape[1]
    b, eye = torch.zeros(d, dtype=torch.float64), torch.eye(d, dtype=torch.float64)

    def value(b: Tensor) -> Tensor:
        return logsigmoid(signed @ b).sum() - precision / 2 * b.square().sum()

    for _ in range(NEWTON_STEPS):
        p = torch.sigmoid(-(signed @ b))
        slope = p @ signed - precision * b
        hessian = (signed * (p * (1 - p))[:, None]).mT @ signed + precision * eye
        factor, failed = torch.linalg.cholesky_ex(hessian)
        if failed or (precision == 0 and float((signed @ b).min()) > 0):
            break
        step = torch.cholesky_solve(slope[:, None], factor)[:, 0]
        if float(slope @ step) < 1e-12:
            return b, torch.cholesky_inverse(factor).diagonal().sqrt()
        size = 1.0
        while size > 1e-6 and value(b + size * step) < value(b):
            size /= 2
        b = b + size * step
    raise UsageError(
        "logistic: without a prior the posterior is improper: a plane separates the classes, or the features are "
        "linearly dependent; give prior, such as prior=1"
    )


def _simulated() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(SEED)
    x = torch.randn(ROWS, FEATURES, generator=generator, dtype=torch.float64)
    weights = torch.tensor([1.0, -2.0, 0.5, 0.0], dtype=torch.float64)
    y = torch.rand(ROWS, generator=generator, dtype=torch.float64) < torch.sigmoid(0.5 + x @ weights)
    return x, y.double()


def _read(text: str) -> tuple[Tensor, Tensor]:
    head, colon, name = text.rpartition(":")
    path = Path(head).expanduser()
    if not colon or path.suffix != ".npz":
        raise UsageError(f"logistic: path must be file.npz:name with arrays name_x and name_y, got '{text}'")
    try:
        with np.load(path) as stored:
            names = sorted(k.removesuffix("_x") for k in stored.files if f"{k.removesuffix('_x')}_y" in stored.files)
            if name not in names:
                raise UsageError(f"logistic: {path} has no '{name}_x' with '{name}_y'; {nearest(name, names)}")
            x, y = stored[f"{name}_x"], stored[f"{name}_y"]
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise UsageError(f"logistic: {path} cannot be read: {error}") from None
    if x.ndim != 2 or y.shape != x.shape[:1] or len(x) < 2 or x.dtype.kind not in "fiub":
        raise UsageError(f"logistic: {text}: must be x [n, k] and y [n], got {list(x.shape)} and {list(y.shape)}")
    if set(np.unique(y)) != {0, 1}:
        raise UsageError(f"logistic: {text}: y must hold 0 and 1, both of them; got {np.unique(y)[:5].tolist()}")
    features = torch.from_numpy(x.astype(np.float64))
    flat = features.std(0, correction=0) == 0
    if not bool(features.isfinite().all()) or bool(flat.any()):
        reason = f"feature {int(flat.nonzero()[0])} is constant" if bool(flat.any()) else "features are not finite"
        raise UsageError(f"logistic: {text}: {reason}")
    return features, torch.from_numpy(y.astype(np.float64))
