"""Markdown tables from the results files: `python benchmarks/tables.py annealing-digits`, `... twosample-size`."""

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


def size(found: dict[str, Any]) -> None:
    """Every test's size with its interval; where it was above the level, the second measurement too."""
    rows = found["rows"]
    sizes = list(dict.fromkeys(r["n"] for r in rows))
    print("| test | " + " | ".join(f"n = {n} | replications" for n in sizes) + " |")
    print("| --- |" + " --- |" * 2 * len(sizes))
    for test in dict.fromkeys(r["test"] for r in rows):
        cells = []
        for r in (next(r for r in rows if r["test"] == test and r["n"] == n) for n in sizes):
            again = r.get("again")
            second = f"; again {_share(again['size'], again['interval'])}" if again else ""
            cells += [_share(r["size"], r["interval"]) + second, str(r["replications"])]
        print(f"| `{test}` | " + " | ".join(cells) + " |")


def power(found: dict[str, Any]) -> None:
    """A table for each problem: power and size of every test."""
    for problem in dict.fromkeys(r["problem"] for r in found["rows"]):
        rows = [r for r in found["rows"] if r["problem"] == problem]
        print(f"\n{problem}, n = {rows[0]['n']}, level {rows[0]['level']:g}\n")
        print("| test | power | size | replications |\n| --- | --- | --- | --- |")
        for r in rows:
            null = _share(r["size"]["share"], r["size"]["interval"]) if "size" in r else ""
            hit = _share(r["power"]["share"], r["power"]["interval"])
            print(f"| `{r['test']}` | {hit} | {null} | {r['replications']} |")


def grid(found: dict[str, Any]) -> None:
    """One table of powers: problems in rows, tests in columns."""
    tests = list(dict.fromkeys(r["test"] for r in found["rows"]))
    print("| against | " + " | ".join(f"`{t}`" for t in tests) + " |\n| --- |" + " --- |" * len(tests))
    for problem in dict.fromkeys(r["problem"] for r in found["rows"]):
        by_test = {r["test"]: r for r in found["rows"] if r["problem"] == problem}
        print(f"| {problem} | " + " | ".join(f"{by_test[t]['power']['share']:.2f}" for t in tests) + " |")


def speed(found: dict[str, Any]) -> None:
    """Every case with its bar, or its memory."""
    print("| case | ours, s | other side, s | ratio [range] | bar |\n| --- | --- | --- | --- | --- |")
    for r in found["rows"]:
        if "ratio" in r:
            ratio = f"{r['ratio']:.2f} [{r['ratio_low']:.2f}, {r['ratio_high']:.2f}]"
            bar = f"{r['bar']:.2f}" if r["bar"] else ""
            print(f"| {r['case']} | {r['ours_s']:.3f} | {r['theirs_s']:.3f} | {ratio} | {bar} |")
        else:
            print(f"| {r['case']} | {r['ours_s']:.1f} | | peak {r['peak_gib']:.2f} GiB | {r['bar']:g} GiB |")


def _share(share: float, interval: list[float]) -> str:
    return f"{share:.3f} [{interval[0]:.3f}, {interval[1]:.3f}]"


TABLES = {
    "annealing": annealing,
    "steps": steps,
    "twosample-size": size,
    "twosample-power-cifar": grid,
    "twosample-power": power,
    "twosample-speed": speed,
}

if __name__ == "__main__":
    name = sys.argv[1]
    table = next(function for prefix, function in TABLES.items() if name.startswith(prefix))
    table(json.loads((RESULTS / f"{name}.json").read_text()))
