"""ganneal: adversarial training that can be trusted. Annealed, stabilised and tested.

>>> import ganneal as gn
>>> run = gn.train("digits", lambda_likelihood="linear(-0.8->0, hold=0.2)", seed=0)             # doctest: +SKIP
>>> run.sample(64)                                                                               # doctest: +SKIP
"""

import os
from typing import TYPE_CHECKING, Any

from ganneal.errors import GannealError, RunError, UsageError

if TYPE_CHECKING:
    from ganneal.api import Run, fit_density, resume, train
    from ganneal.comparing import compare
    from ganneal.data import open_source
    from ganneal.evaluation import evaluate
    from ganneal.twosample import mmd_test, run_tests

__version__ = "0.1.0"

# Threads that spin while they wait make a step many times slower as soon as something else wants their core; it works
# only before torch is loaded, and costs nothing on a quiet machine.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

_LAZY = {
    "Run": "api",
    "compare": "comparing",
    "evaluate": "evaluation",
    "fit_density": "api",
    "mmd_test": "twosample",
    "open_source": "data",
    "resume": "api",
    "run_tests": "twosample",
    "train": "api",
}
"""Names that need torch are imported when they are asked for: `ganneal --help` must not wait for it."""


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        from importlib import import_module

        return getattr(import_module(f"ganneal.{_LAZY[name]}"), name)
    raise AttributeError(f"module 'ganneal' has no attribute '{name}'")


__all__ = [
    "GannealError",
    "Run",
    "RunError",
    "UsageError",
    "compare",
    "evaluate",
    "fit_density",
    "mmd_test",
    "open_source",
    "resume",
    "run_tests",
    "train",
]
