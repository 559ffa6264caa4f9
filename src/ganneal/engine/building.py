"""Parts from their text, with errors that name the key of the configuration."""

from collections.abc import Callable
from typing import Any, TypeVar

from ganneal.data import Source
from ganneal.engine.config import Config
from ganneal.errors import UsageError
from ganneal.nets import Architecture
from ganneal.nets import build as build_network
from ganneal.scores import SCORES, ScoreEstimator
from ganneal.temperature import members

T = TypeVar("T")


def network_of(config: Config) -> Architecture:
    """The networks of generator and critic."""
    return part("network", build_network, config.network)


def part(key: str, build: Callable[[str], T], text: str) -> T:
    """The part that a key names; what is wrong with it is said with that key."""
    try:
        return build(text)
    except UsageError as error:
        raise UsageError(f"{key}: {error}") from None
    except (TypeError, ValueError) as error:
        raise UsageError(f"{key}: cannot make {text}: {error}") from None


def estimator(key: str, text: str, source: Source | None) -> ScoreEstimator:
    """The estimator that a key names; `exact` takes the score of the source."""
    if text.partition("(")[0] == "exact":
        if text not in ("exact", "exact()"):
            raise UsageError(f"{key}: exact takes no arguments, got {text}")
        if source is None or source.score is None:
            what = (
                "the model's score is not known" if source is None else f"the density of '{source.name}' is not known"
            )
            raise UsageError(f"{key}: exact is not available, {what}; use dsm")
        return SCORES["exact"](source.score)
    return part(key, SCORES.build, text)


def moves(lambdas: Any) -> bool:
    """Whether a schedule is anywhere different from 0."""
    return any(member(t) != 0 for member in members(lambdas) for t in member.knots)
