"""The tables that the tests of the dynamics laboratory share."""

import math
from typing import Any

import torch
from torch import Tensor

from ganneal.dynamics.games import GAMES, SmallGame

F64 = torch.float64


def game(name: str, objective: str | None = "wasserstein", *penalties: str, **more: Any) -> SmallGame:
    """A built game."""
    return GAMES.build(name).build(objective, penalties, **more)


def pair(real: float, squared_imaginary: float) -> list[complex]:
    """real +- sqrt(-squared_imaginary), as two numbers."""
    root = complex(0, math.sqrt(squared_imaginary)) if squared_imaginary > 0 else math.sqrt(-squared_imaginary) + 0j
    return [real + root, real - root]


def assert_spectrum(found: Tensor, expected: list[complex], tolerance: float) -> None:
    """Two sets of eigenvalues agree, each one with its own."""
    left = list(expected)
    assert len(found) == len(left)
    for z in found.tolist():
        nearest = min(left, key=lambda w: abs(w - z))
        assert abs(nearest - z) < tolerance, f"{z} is not one of {expected}"
        left.remove(nearest)
