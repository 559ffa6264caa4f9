"""Markdown tables from the results files: `python benchmarks/tables.py annealing-digits`, `... steps`."""

import json
import statistics
import sys
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
QUANTILE = {2: 12.71, 3: 4.303, 4: 3.182, 5: 2.776}


def interval(values: list[float]) -> str:
    """Mean and half-width of a 95 % t interval."""
    half = QUANTILE[len(values)] * statistics.stdev(values) / len(values) ** 0.5
    return f"{statistics.fmean(values):.3g} ± {half:.2g}"


def annealing(found: dict[str, Any]) -> None:
    """Frechet distance and MMD^2 of every column, and the paired difference to the control l = 0."""
    rows = found["rows"]
    objectives = list(dict.fromkeys(r["objective"] for r in rows))
    floor = found["floor"]
    print(f"Frechet distance (floor {floor['frechet']:.3g}), in brackets its paired difference to l = 0.\n")
    print("| l | " + " | ".join(objectives) + " |")
    print("| --- |" + " --- |" * len(objectives))
    for column in dict.fromkeys(r["l"] for r in rows):
        cells = []
        for objective in objectives:
            score = {r["seed"]: r["frechet"] for r in rows if r["objective"] == objective and r["l"] == column}
            base = {r["seed"]: r["frechet"] for r in rows if r["objective"] == objective and r["l"] == "0"}
            change = f" ({interval([score[s] - base[s] for s in score])})" if column != "0" else ""
            cells.append(interval(list(score.values())) + change)
        print(f"| {column} | " + " | ".join(cells) + " |")


def steps(found: dict[str, Any]) -> None:
    """Every case with its bar and its floor."""
    print(
        "| case | ours, ms | other side, ms | ratio [range] | bar | floor, ms |\n| --- | --- | --- | --- | --- | --- |"
    )
    for r in found["rows"]:
        floor = f"{r['floor_ms']:.2f}" if r["floor_ms"] else ""
        ratio = f"{r['ratio']:.2f} [{r['ratio_low']:.2f}, {r['ratio_high']:.2f}]"
        print(f"| {r['case']} | {r['ours_ms']:.2f} | {r['ordinary_ms']:.2f} | {ratio} | {r['bar'] or ''} | {floor} |")


if __name__ == "__main__":
    name = sys.argv[1]
    (annealing if name.startswith("annealing") else steps)(json.loads((RESULTS / f"{name}.json").read_text()))
