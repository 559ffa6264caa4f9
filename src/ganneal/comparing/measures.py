"""The columns of a comparison."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Measure:
    """A column of a comparison.

    key      in the rows
    name     for people
    lower    whether less is better; None where neither is
    digits   how it is printed: "g" for four digits, "%" for a share, "d" for a count
    about    what it is, in a sentence; empty where the name says it
    """

    key: str
    name: str
    lower: bool | None
    digits: str = "g"
    about: str = ""


COUNTED = (
    "As solvers count them: derivatives inside a penalty and the pairs of a mixture are not counted; seconds tell."
)
"""What gradient evaluations leave out."""

MEASURES = {
    m.key: m
    for m in (
        Measure(
            "divergence", "KL of modes and outside", True, about="Of the shares of samples in and outside of modes."
        ),
        Measure("modes", "modes", False, "d", "With at least one good sample."),
        Measure("high_quality", "high quality", False, "%", "Samples within three standard deviations of a mode."),
        Measure("kl", "KL of modes", True, about="Of the histogram of good samples over the modes alone."),
        Measure("energy", "energy distance", True, about="To held-out data."),
        Measure("mmd", "MMD²", True, about="To held-out data."),
        Measure("p", "p-value", False, about="Of the MMD test against held-out data: the median over seeds."),
        Measure("seconds", "seconds", True, about="Of training, one run's share of its population."),
        Measure("evaluations", "gradient evaluations", True, "d", f"Of one run. {COUNTED}"),
    )
}
