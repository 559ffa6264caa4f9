"""The picture of README.md, from a run on images: `python docs/picture.py runs/digits-1 docs/images/demo.png`."""

import json
import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from ganneal.engine.events import read
from ganneal.report import image_grid

MOMENTS = 5
SHOWN = 25


def main(run: Path, out: Path) -> None:
    """Samples at a few moments of the annealing with their beta, beside held-out data, and the verdict below."""
    events = read(run / "events.jsonl")
    steps = [e for e in events if e["event"] == "step"]
    files = [e for e in events if e["event"] == "samples" and e["examples"]]
    panels = []
    for k in np.linspace(0, len(files) - 1, MOMENTS).round().astype(int):
        beta = next(s["beta"] for s in reversed(steps) if s["examples"] <= files[k]["examples"])
        x = np.load(run / files[k]["file"])["x"][:SHOWN]
        panels.append((f"β = {beta:.2f}", f"{files[k]['examples']:,} examples", x))
    panels.append(("held-out data", "", np.load(run / files[-1]["file"])["real"][:SHOWN]))
    figure = Figure(figsize=(12, 2.75), dpi=110)
    axes = figure.subplots(1, len(panels))
    figure.subplots_adjust(left=0.01, right=0.99, top=0.86, bottom=0.16, wspace=0.08)
    for axis, (title, below, x) in zip(axes, panels, strict=True):
        axis.imshow(image_grid(x, columns=5), cmap="gray", interpolation="nearest")
        axis.set_title(title, fontsize=12)
        axis.set_xlabel(below, fontsize=9)
        axis.set(xticks=[], yticks=[])
        for spine in axis.spines.values():
            spine.set_visible(False)
    sentence = json.loads((run / "verdict.json").read_text())["sentence"].split(". ")[0].rstrip(".")
    figure.text(0.5, 0.03, f"verdict: {sentence}.", ha="center", fontsize=10)
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
