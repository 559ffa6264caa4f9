"""Does annealing help? The layout of Table 1 of Tao et al. (2019) at CPU scale: three objectives, eleven static
lambdas, PMA, NMA, OA.

    python benchmarks/annealing.py digits
    python benchmarks/annealing.py mnist --data ../shared/data/mnist.npz

Columns carry the paper's numbers l. As in its code the regulariser is a mean over coordinates, so lambda_likelihood =
l / d with d
coordinates, but in data space and with the sign of the theory (l < 0 is hot). Schedules start from |l| = 50. All
columns of an objective,
times all seeds, train as one population with the same hyperparameters and the same number of examples; l = 0 is the
control.
Each generator is judged on held-out data: MMD^2 and its p-value, the Frechet distance on the features of a classifier
trained here, the
KL of the class histogram. `floor` is what training data score.
"""

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from classifier import Classifier, train_classifier
from ganneal.data import Source, open_source
from ganneal.engine import config
from ganneal.engine.devices import environment
from ganneal.engine.trainer import Trainer
from ganneal.metrics import frechet_distance, histogram_kl
from ganneal.twosample import mmd_test

STATIC = (-50, -10, -1, -0.1, -0.01, 0, 0.01, 0.1, 1, 10, 50)
BOUND = 50
OBJECTIVES = {
    "RKL": ("rkl", ("r1r2(gamma=0.1)",)),
    "JSD": ("nonsaturating", ("r1r2(gamma=0.1)",)),
    "W": ("wasserstein", ("gp(weight=10)",)),
}
SETTINGS: dict[str, dict[str, Any]] = {
    "digits": {"network": "mlp(width=128, depth=2)", "latent": 16, "batch": 64},
    "mnist": {"network": "mlp(width=128, depth=2)", "latent": 32, "batch": 64},
}


def columns(d: int) -> dict[str, str]:
    """Schedule of lambda_likelihood for every column."""
    bound = BOUND / d
    schedules = {"PMA": f"pma({bound})", "NMA": f"nma({bound})", "OA": f"oscillating({bound}, segments=15)"}
    return {**{f"{value:g}": f"{value / d!r}" for value in STATIC}, **schedules}


def load(name: str, path: Path | None) -> tuple[Source, Classifier]:
    """Source and classifier. MNIST is averaged to 14x14."""
    if name == "digits":
        source = open_source("digits")
        assert source.size is not None
        assert source.labels is not None
        assert source.heldout_labels is not None
        held = source.heldout(10**6)
        return source, train_classifier(
            source.rows(torch.arange(source.size)), source.labels, held, source.heldout_labels[: len(held)]
        )
    if path is None:
        raise SystemExit("mnist: give --data path/to/mnist.npz")
    data = np.load(path)
    small = data["x_train"].reshape(-1, 14, 2, 14, 2).mean((2, 4)).round().astype(np.uint8)
    test = data["x_test"].reshape(-1, 14, 2, 14, 2).mean((2, 4)).round().astype(np.uint8)
    x, t = (torch.from_numpy(a).float().div(127.5).sub(1).unsqueeze(1) for a in (small, test))
    return open_source(small), train_classifier(
        x, torch.from_numpy(data["y_train"]).long(), t, torch.from_numpy(data["y_test"]).long()
    )


def train(
    name: str, source: Source, objective: str, steps: int, seeds: int
) -> tuple[Trainer, list[tuple[str, int]], float]:
    """One population: every column times every seed."""
    loss, penalty = OBJECTIVES[objective]
    d = int(np.prod(source.shape))
    members = [(column, schedule, seed) for column, schedule in columns(d).items() for seed in range(seeds)]
    chosen = config.make(
        {
            "source": name,
            **SETTINGS[name],
            "objective": loss,
            "penalty": penalty,
            "examples": steps * SETTINGS[name]["batch"],
            "population": len(members),
            "seeds": [m[2] for m in members],
            "lambda_likelihood": [m[1] for m in members],
            "score": "dsm(sigmas=0.2->1, at=0.5)",
            "score_clip": 1,
            "score_warmup": 32000,
            "noise": "linear(0.5->0.1, hold=0.2)",
            "lr_generator": "0.0005",
            "lr_critic": "0.001",
            "compile": "on",
            "threads": 1,
        }
    )
    trainer = Trainer(chosen, source)
    begun = time.time()
    while trainer.step < trainer.steps:
        losses = trainer.advance(min(100, trainer.steps - trainer.step))
        for trouble in trainer.check(losses):
            print(
                f"  guard: l={members[trouble.member][0]} seed {members[trouble.member][2]}: "
                f"{trouble.problem}: {trouble.action}",
                flush=True,
            )
        if trainer.step % 500 == 0:
            trainer.mark_good()
            print(f"  {objective} {trainer.step}/{trainer.steps}  {time.time() - begun:.0f} s", flush=True)
    return trainer, [(m[0], m[2]) for m in members], time.time() - begun


def judge(x: torch.Tensor, held: torch.Tensor, classifier: Classifier, truth: torch.Tensor) -> dict[str, float]:
    """All scores of one set of samples."""
    test = mmd_test(x, held, kernel="multiscale", permutations=999)
    counts = torch.bincount(classifier.classes(x), minlength=10)
    return {
        "mmd2": test.statistic,
        "p": test.pvalue,
        "frechet": frechet_distance(classifier.features(x), classifier.features(held)),
        "class_kl": histogram_kl(counts.double(), truth),
        "classes": int((counts > 0).sum()),
        "spread": float(x.var(0).sum().sqrt()),
    }


def interval(values: list[float]) -> tuple[float, float]:
    """Mean and half-width of a 95 % t interval."""
    quantile = {2: 12.71, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 7: 2.447, 8: 2.365}.get(len(values), 2.262)
    return statistics.fmean(values), quantile * statistics.stdev(values) / len(values) ** 0.5 if len(
        values
    ) > 1 else float("nan")


def main() -> None:
    """Train, judge, print the table, write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data_set", choices=list(SETTINGS))
    parser.add_argument("--data", type=Path)
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--objectives", nargs="+", default=list(OBJECTIVES), choices=list(OBJECTIVES))
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    source, classifier = load(chosen.data_set, chosen.data)
    held = source.heldout(1000)
    truth = torch.bincount(classifier.classes(held), minlength=10).double() / len(held)
    floor = judge(source.sample(len(held), torch.Generator().manual_seed(5)), held, classifier, truth)
    print(f"classifier accuracy {classifier.accuracy:.4f}; held-out {len(held)}; floor {floor}", flush=True)
    rows = []
    for objective in chosen.objectives:
        trainer, members, seconds = train(chosen.data_set, source, objective, chosen.steps, chosen.seeds)
        for k, (column, seed) in enumerate(members):
            scores = judge(trainer.sample(len(held), seed=100, member=k), held, classifier, truth)
            rows.append(
                {
                    "objective": objective,
                    "l": column,
                    "seed": seed,
                    "rollbacks": trainer.guard.rollbacks[k],
                    "seconds": seconds,
                    **scores,
                }
            )
    for score in ("frechet", "mmd2", "class_kl"):
        print(f"\n{score} (floor {floor[score]:.4g}), mean +- 95 % half-width over {chosen.seeds} seeds")
        for objective in chosen.objectives:
            cells = []
            for column in columns(int(np.prod(source.shape))):
                mean, half = interval([r[score] for r in rows if r["objective"] == objective and r["l"] == column])
                cells.append(f"{column}: {mean:.4g}±{half:.2g}")
            print(f"  {objective:<4} " + "  ".join(cells))
    out = chosen.out or Path(__file__).parent / "results" / f"annealing-{chosen.data_set}.json"
    out.parent.mkdir(exist_ok=True)
    arguments = {
        k: str(v) if isinstance(v, Path) and k != "data" else v
        for k, v in vars(chosen).items()
        if k not in ("out", "data")
    }
    out.write_text(
        json.dumps(
            {
                "arguments": arguments,
                "environment": environment(torch.device("cpu"), 1),
                "coordinates": int(np.prod(source.shape)),
                "classifier_accuracy": classifier.accuracy,
                "heldout": len(held),
                "floor": floor,
                "rows": rows,
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    main()
