"""At which width of its kernel MMD sees the difference: a picture and a sentence."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ganneal.report.maps import scales
from ganneal.report.panels import Panel, both, details_of
from ganneal.report.verdict import number, p_value

if TYPE_CHECKING:
    from ganneal.comparison import Comparison

Curves = Mapping[str, Sequence[tuple[float, float, float]]]
"""For each kernel triples of width / median distance, MMD^2 and p-value."""
POINTS = 400


def scale_panel(found: "Comparison") -> Panel | None:
    """At which width of the kernel MMD sees the difference, from a test with many kernels."""
    kernels = details_of(found, "kernels").get("kernels")
    if not kernels:
        return None
    import torch

    from ganneal.twosample.kernels import median_distance, some_of

    pool = some_of(torch.cat([found.x, found.y]), POINTS)  # L1 distances of many pixels take long
    median = {"gaussian": median_distance(pool), "laplace": median_distance(pool, "l1")}
    curves: dict[str, list[tuple[float, float, float]]] = {}
    for k in kernels:
        triple = float(k["width"]) / median.get(k["kernel"], 1.0), float(k["mmd2"]), float(k["pvalue"])
        curves.setdefault(k["kernel"], []).append(triple)
    level = found.battery.level
    words = said(curves, level, found.battery.rejected)
    note = (
        f"{words} Widths are multiples of the median distance between examples (Gaussian: "
        f"{number(median['gaussian'])}, Laplace: {number(median['laplace'])}, its own kind of distance). The p-values "
        "are those of single kernels, not corrected for their number; the test above is."
    )
    alt = "MMD squared and p-value over the width of the kernel. " + words
    return Panel("At which scale", note, (both(lambda dark: scales(curves, level, dark), alt, ""),), style="wide")


def said(curves: Curves, level: float, differ: bool) -> str:
    """At which widths the p-values are smallest, in words; `differ` is whether the samples do, all tests together."""
    triples = [triple for found in curves.values() for triple in found]
    least = min(p for _, _, p in triples)
    widths = [w for w, _, p in triples if p == least]
    low, high = min(widths), max(widths)
    span = f"at {low:.2g} times" if low == high else f"from {low:.2g} to {high:.2g} times"
    if least > level:
        return "No single width finds a difference."
    if not differ:
        return (
            f"The smallest p-value ({p_value(least)}, {span} the median distance) is what the best of {len(triples)} "
            "may reach by chance."
        )
    if high < 0.5:
        what = "it is in fine detail, between near neighbours"
    elif low > 0.5:
        what = "it is in the overall location, spread or shape"
    else:
        what = "small and large scales show it alike"
    largest = max((value, w) for w, value, _ in triples)[1]
    peak = "" if low == high else f", and MMD² is largest at {largest:.2g} times"
    return f"The difference is clearest {span} the median distance{peak}: {what}."
