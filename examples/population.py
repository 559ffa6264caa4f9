"""A hot start against none, three seeds each, trained as one population.

Well under a minute on two CPU cores.

python examples/population.py
"""

import tempfile
from pathlib import Path

import ganneal as gn

SEEDS = (0, 1, 2)
HOT = "linear(-0.8->0, hold=0.3)"


def main() -> None:
    """Six games on eight modes in the plane, the same but for their schedules."""
    folder = Path(tempfile.mkdtemp(prefix="ganneal-")) / "run"
    run = gn.train(
        "ring8",
        recipe="annealed",
        lambda_likelihood=[0] * len(SEEDS) + [HOT] * len(SEEDS),
        seeds=SEEDS + SEEDS,
        steps=400,
        score_warmup=12_800,
        threads=1,  # so that it is quick on a busy machine, too
        out=str(folder),
    )
    print(run.verdict["sentence"])
    for start, name in ((0, "no annealing"), (len(SEEDS), HOT)):
        members = range(start, start + len(SEEDS))
        modes = [run.verdict["metrics"][f"modes covered, member {k}"] for k in members]
        distance = [run.verdict["tests"][k]["statistic"] for k in members]
        print(f"{name:<26} modes {', '.join(modes)}")
        print(f"{'':<26} MMD^2 {', '.join(f'{d:.4f}' for d in distance)}")
    print("So few steps prove nothing: this shows how to compare, not which is better.")
    print("report:", folder / "report.html")


if __name__ == "__main__":
    main()
