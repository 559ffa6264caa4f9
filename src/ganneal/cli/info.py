"""`ganneal info`."""

import json
from collections.abc import Iterable
from typing import Annotated

import tyro
from pydantic import BaseModel

from ganneal.cli.arguments import parse


class Info(BaseModel, use_attribute_docstrings=True):
    """Versions, devices, and the names of all parts."""

    as_json: Annotated[bool, tyro.conf.arg(name="json")] = False
    """Print JSON."""


def main(args: list[str]) -> int:
    """Print."""
    request = parse(Info, "info", args, "ganneal info --json")
    import torch

    from ganneal.augmentation import AUGMENTATIONS
    from ganneal.data import SOURCES
    from ganneal.engine.config import recipes
    from ganneal.engine.devices import environment
    from ganneal.features import FEATURES
    from ganneal.nets import NETWORKS
    from ganneal.objectives import OBJECTIVES
    from ganneal.penalties import PENALTIES
    from ganneal.schedules import SCHEDULES
    from ganneal.scores import SCORES
    from ganneal.solvers import OPTIMIZERS, SOLVERS
    from ganneal.systems.sight import SIGHTS
    from ganneal.targets import TARGETS
    from ganneal.twosample import KERNELS, TESTS

    parts: dict[str, Iterable[str]] = {
        "sources": SOURCES,
        "targets": TARGETS,
        "objectives": OBJECTIVES,
        "penalties": PENALTIES,
        "critics": SIGHTS,
        "augmentations": AUGMENTATIONS,
        "schedules": SCHEDULES,
        "scores": SCORES,
        "networks": NETWORKS,
        "solvers": SOLVERS,
        "optimizers": OPTIMIZERS,
        "tests": TESTS,
        "kernels": KERNELS,
        "features": FEATURES,
        "recipes": recipes(),
    }
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    found = {"environment": environment(device, 1), "parts": {kind: sorted(names) for kind, names in parts.items()}}
    if request.as_json:
        print(json.dumps(found, indent=1))
        return 0
    for key, value in found["environment"].items():
        print(f"{key:<12}{value}")
    for kind, names in found["parts"].items():
        print(f"{kind:<12}{', '.join(names)}")
    return 0
