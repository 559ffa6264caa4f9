"""Inverse temperature: what the two lambdas make of it, which paths are allowed, and schedules of beta itself. Pure
Python."""

from collections.abc import Sequence

from ganneal.errors import UsageError
from ganneal.schedules import Constant, Each, Schedule


def inverse_temperature(lambda_likelihood: float, lambda_entropy: float) -> float:
    """beta = (1 + lambda_likelihood) / (1 + lambda_entropy).

    Raises `UsageError` unless both lambdas are above -1, where a minimiser exists on unbounded space.
    """
    for name, value in (("lambda_likelihood", lambda_likelihood), ("lambda_entropy", lambda_entropy)):
        if not value > -1:
            raise UsageError(
                f"{name} = {value:g} is not allowed: it must stay above -1, where beta = (1 + "
                f"lambda_likelihood)/(1 + lambda_entropy) is positive and finite"
            )
    return (1 + lambda_likelihood) / (1 + lambda_entropy)


def check_path(lambda_likelihood: Schedule | Each, lambda_entropy: Schedule | Each) -> None:
    """Raise `UsageError` if a lambda touches -1, or beta 0, anywhere on the way. Schedules are monotone between knots,
    so knots decide."""
    for name, given in (("lambda_likelihood", lambda_likelihood), ("lambda_entropy", lambda_entropy)):
        for member in members(given):
            t, low = min(((t, member(t)) for t in member.knots), key=lambda point: point[1])
            if not low > -1:
                raise UsageError(
                    f"{name} reaches {low:g} at progress {t:g}: it must stay above -1, so that beta = (1 + "
                    f"lambda_likelihood)/(1 + lambda_entropy) stays positive and finite"
                )


def members(given: Schedule | Each) -> Sequence[Schedule]:
    """The schedules of a population, or the one schedule of all."""
    return given.members if isinstance(given, Each) else (given,)


class Clock:
    """Lambdas that realise a schedule of beta, on the likelihood clock or on the entropy clock.

    likelihood: lambda_likelihood = beta - 1, lambda_entropy = 0     (drift scaled by beta, unit noise)
    entropy:    lambda_likelihood = 0, lambda_entropy = 1/beta - 1   (unit drift, noise 1/beta: the same path of laws,
                1/beta times faster)
    """

    def __init__(self, beta: Schedule, clock: str):
        self.beta, self.clock = beta, clock

    def lambdas(self) -> tuple[Schedule, Schedule]:
        """(lambda_likelihood, lambda_entropy) as schedules. Raises `UsageError` if beta is not positive at a knot."""
        for t in self.beta.knots:
            if not self.beta(t) > 0:
                raise UsageError(f"beta = {self.beta(t):g} at progress {t:g}: an inverse temperature must be positive")
        zero = Constant(0.0)
        moved = _Mapped(self.beta, self.clock)
        return (moved, zero) if self.clock == "likelihood" else (zero, moved)

    @staticmethod
    def at(beta: float, clock: str) -> tuple[float, float]:
        """(lambda_likelihood, lambda_entropy) at one beta."""
        return (beta - 1, 0.0) if clock == "likelihood" else (0.0, 1 / beta - 1)


class _Mapped:
    """A schedule composed with beta -> beta - 1 or beta -> 1/beta - 1, both monotone, so the knots stay."""

    def __init__(self, beta: Schedule, clock: str):
        self.inner, self.clock = beta, clock

    def __call__(self, t: float) -> float:
        beta = self.inner(t)
        return beta - 1 if self.clock == "likelihood" else 1 / beta - 1

    def rate(self, t: float) -> float:
        return self.inner.rate(t) if self.clock == "likelihood" else -self.inner.rate(t) / self.inner(t) ** 2

    @property
    def knots(self) -> tuple[float, ...]:
        return self.inner.knots
