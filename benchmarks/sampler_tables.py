"""Markdown of `samplers.py`: a table for each target, and two sentences that follow from the numbers."""

import statistics
from collections.abc import Sequence
from typing import Any

from sampler_scores import PUBLISHED
from sampling import half_width, interval

Cell = dict[str, Any]
COLUMNS = {
    "w2": "W2", "floor": "floor", "log_u_w2": "W2 of log u",
    "log_z_error": "log Z error", "ess_share": "ESS share",
    "modes_tv": "modes, total variation", "share_mean": "mean share of x > 0", "share_worst": "worst share, error",
    "mean_error": "worst mean error / sd",
    "per_second": "effective draws / s", "evaluations": "evaluations", "seconds": "seconds",
}  # fmt: skip
BASELINES = ("pt", "mala", "smc")
SOUND = {"w2": 1.15, "modes_tv": 0.06, "share_worst": 0.03, "mean_error": 0.1, "log_z_error": 0.1}
"""Draws count as those of the target up to these: W2 in floors, all others as they are. W2 alone sees neither the wells
that are missed in 32 dimensions nor the neck of the funnel."""
MEASURES = {"funnel": ("log_u_w2", "log_u_floor", "W2 of log u")}
"""What targets are compared by, where it is not W2: the funnel's has a floor that varies more than methods do."""


def tables(files: Sequence[dict[str, Any]], methods: Sequence[str]) -> None:
    """Print all of it."""
    for found in files:
        cells = [c for c in found["cells"].values() if "failed" not in c]
        table(found, cells, methods)
        for failed in (c for c in found["cells"].values() if "failed" in c):
            print(f"{failed['method']} seed {failed['seed']} failed: {failed['failed']}")
    by_target = {f["arguments"]["target"]: list(f["cells"].values()) for f in files}
    print(f"\n{where_chains_win(by_target)}\n\n{where_training_pays(by_target)}")


def table(found: dict[str, Any], cells: list[Cell], methods: Sequence[str]) -> None:
    """One target."""
    present = [k for k in COLUMNS if any(c.get(k) is not None for c in cells)]
    budget = found["arguments"]["budget"]
    print(f"\n### `{found['arguments']['target']}`, {budget:,} evaluations\n")
    print("| method | seeds | " + " | ".join(COLUMNS[k] for k in present) + " |")
    print("| --- | ---: |" + " ---: |" * len(present))
    for method in methods:
        rows = [c for c in cells if c["method"] == method]
        if rows:
            told = [told_as(k, [r.get(k) for r in rows]) for k in present]
            print(f"| {method} | {len(rows)} | " + " | ".join(told) + " |")
    if not any(c["method"] == "nuts" for c in cells):
        print("\nNUTS not run.")
    if any(c.get("share_true") for c in cells):
        print(f"\nThe true share is {next(c['share_true'] for c in cells if c.get('share_true')):.5f} in every well.")
    name = next((c["target"] for c in cells), None)
    if name:
        print(f"\nPublished: {PUBLISHED[name]}.")


def told_as(column: str, values: list[float | None]) -> str:
    """Counts in full, everything else as mean ± half-width."""
    present = [v for v in values if v is not None]
    if column == "evaluations" and present:
        return f"{statistics.fmean(present):,.0f}"
    if column == "log_z_error" and present:  # the size matters: errors of both signs must not cancel
        return "abs. " + interval([abs(v) for v in present], 2)
    return interval(values)


def where_chains_win(by_target: dict[str, list[Cell]]) -> str:
    """At equal evaluations, by the paired difference over seeds between ours and the best of the baselines."""
    lists: dict[str, list[str]] = {"chains": [], "ours": [], "neither": []}
    for name, cells in by_target.items():
        key, below, word = MEASURES.get(name.split("(")[0], ("w2", "floor", "W2"))
        own = values(cells, "annealed", key)
        rivals = {m: v for m in (*BASELINES, "nuts") if (v := values(cells, m, key)) and {*own} <= {*v}}
        if not own or not rivals:
            continue
        best = min(rivals, key=lambda m: statistics.fmean(rivals[m][s] for s in own))
        paired = [own[s] - rivals[best][s] for s in own]
        mean, half = statistics.fmean(paired), half_width(paired)
        side = "neither" if not abs(mean) > half else "chains" if mean > 0 else "ours"
        pair = f"{statistics.fmean(rivals[best].values()):.3g} against {statistics.fmean(own.values()):.3g}"
        floor = statistics.fmean(values(cells, "annealed", below).values())
        lists[side].append(f"`{name}` ({best}: {word} {pair}, floor {floor:.3g})")
    told = [
        f"{what} on {', '.join(lists[side])}"
        for side, what in (
            ("chains", "Monte Carlo is nearer to the target than the trained sampler"),
            ("ours", "the trained sampler is nearer"),
            ("neither", "there is no clear difference"),
        )
        if lists[side]
    ]
    return "At equal evaluations " + ("; ".join(told) if told else "nothing can be said yet") + "."


def where_training_pays(by_target: dict[str, list[Cell]]) -> str:
    """Number of effective draws from which on training and then drawing takes less time than the best Monte Carlo that
    is sound there."""
    pays, never, unsound = [], [], []
    for name, cells in by_target.items():
        own, seconds = values(cells, "annealed", "per_second"), values(cells, "annealed", "seconds")
        rates = {
            m: statistics.fmean(v.values())
            for b in BASELINES
            for m in (b, f"{b}@time")
            if sound(cells, m) and (v := values(cells, m, "per_second"))
        }
        if not own:
            continue
        if not sound(cells, "annealed"):
            unsound.append(f"`{name}`")
            continue
        rate, spent = statistics.fmean(own.values()), statistics.fmean(seconds.values())
        best = max(rates, key=lambda m: rates[m]) if rates else None
        if best is None:
            pays.append(f"`{name}` (no baseline is sound there)")
        elif rate > rates[best]:
            from_draws = spent / (1 / rates[best] - 1 / rate)
            pays.append(f"`{name}` from {from_draws:,.0f} effective draws on ({beside(rate, rates[best], best)})")
        else:
            never.append(f"`{name}` ({beside(rate, rates[best], best)})")
    if not (pays or never or unsound):
        return "Where training pays cannot be said yet."
    parts = [f"Training pays on {', '.join(pays)}" if pays else "Training pays on none of these targets"]
    parts += [f"it never does on {', '.join(never)}"] if never else []
    if unsound:
        parts.append(f"its draws are not those of the target on {', '.join(unsound)}")
    return "; ".join(parts) + "."


def beside(rate: float, rival: float, name: str) -> str:
    """Two rates."""
    return f"{rate:,.0f} a second against {rival:,.0f} of {name}"


def values(cells: list[Cell], method: str, key: str) -> dict[int, float]:
    """Values of a method by seed, those that are there."""
    return {c["seed"]: c[key] for c in cells if c["method"] == method and c.get(key) is not None}


def sound(cells: list[Cell], method: str) -> bool:
    """Whether a method's draws are those of the target, by all of SOUND, on average over seeds."""
    floor = values(cells, method, "floor")
    for key, most in SOUND.items():
        found = values(cells, method, key)
        if found and statistics.fmean(map(abs, found.values())) > most * (
            statistics.fmean(floor.values()) if key == "w2" else 1
        ):
            return False
    return bool(floor)
