"""Made-up comparisons of methods, in a folder as `compare` writes it."""

from pathlib import Path
from typing import Any

import numpy as np

from ganneal.comparing import Results
from ganneal.comparing.folder import Folder

PERFECT = {
    "divergence": 0.0016,
    "modes": 8,
    "high_quality": 0.9889,
    "kl": 0.0014,
    "energy": 0.0036,
    "mmd": 1e-5,
    "p": 0.5,
}


def grid_results(
    path: Path, methods: int = 10, seeds: int = 8, kind: str = "toy", name: str = "ring8"
) -> Results:  # fmt: skip
    """Methods from good to bad; the last one fails at two seeds."""
    rng = np.random.default_rng(0)
    folder, records = Folder(path), []
    (path / "cells").mkdir(parents=True)
    angles = np.arange(8) * np.pi / 4
    centres = 2 * np.stack([np.cos(angles), np.sin(angles)], 1)
    if kind == "toy":
        folder.keep_reference({"x": _ring(rng, centres, 600, 0.02), "modes": centres, "spread": np.float64(0.02)})
    for k in range(methods):
        base = 0.004 * 1.9**k
        scores = base * np.exp(0.25 * rng.normal(size=seeds))
        rows = []
        for seed, score in enumerate(scores.tolist()):
            failed = k == methods - 1 and seed in (1, 5) and k > 0
            row: dict[str, Any] = {
                "seed": seed, "failed": failed, "energy": None if failed else score / 3, "mmd": score / 9,
                "p": None if failed else float(np.clip(0.5 - 0.08 * k + 0.1 * rng.normal(), 0.005, 1)),
                "troubles": [{"problem": "collapse", "action": "rolled back", "step": 400}] if failed else [],
            }  # fmt: skip
            if kind == "toy":
                row |= {
                    "divergence": 4.5 if failed else score, "modes": max(1, 8 - k // 2), "kl": score / 2,
                    "high_quality": 0.989 - 0.05 * k,
                }  # fmt: skip
            rows.append(row)
        curve = [
            {"step": 100 * t, "seconds": 2.0 * t, "scores": (scores + 4 * np.exp(-t / 3)).tolist()}
            for t in range(1, 21)
        ]
        penalty = ("no penalty", "r1r2(gamma=1)", "nk(eta=0.5) + sgp(measure=data)")[k % 3]
        records.append({
            "key": f"cell-{k}", "label": f"{('rkl', 'jsd', 'hinge')[k % 3]} · {penalty} · {k}",
            "choices": {"objective": "rkl"}, "rows": rows,
            "perfect": PERFECT if kind == "toy" else {"energy": 0.0036, "mmd": 1e-5, "p": 0.5},
            "score": "divergence" if kind == "toy" else "energy", "draws": 2500, "curve": curve, "steps": 2000,
            "seconds": 40.0 + k, "shared": 1, "compiled": False, "judging_seconds": 2.0, "evaluations": 4000,
            "per_step": 2, "cautions": ["wasserstein: needs a Lipschitz critic"] if k == 1 else [],
            "environment": {"python": "3.11", "torch": "2.11", "cores": 2, "device": "cpu"},
        })  # fmt: skip
        x = (
            _ring(rng, centres[: max(1, 8 - k // 2)], 600, 0.02 * (1 + k)).astype(np.float32)
            if kind == "toy"
            else rng.integers(0, 256, (25, 8, 8), dtype=np.uint8)
        )
        folder.finish(records[-1], x)
    return Results(
        path, {"source": name, "seeds": list(range(seeds)), "steps": 2000, "budget": None}, tuple(records),
        refused=({"label": "rkl · r1 + r1", "reason": "penalty: each kind at most once, got r1, r1"},),
        failed=({"label": "hinge · r2", "reason": "its process died (signal 9)"},),
    )  # fmt: skip


def _ring(rng: np.random.Generator, centres: np.ndarray, n: int, std: float) -> np.ndarray:
    return centres[rng.integers(len(centres), size=n)] + std * rng.normal(size=(n, 2))
