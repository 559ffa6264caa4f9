"""Made-up run folders of each kind, written the way the engine writes them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from ganneal.engine.events import EventLog
from ganneal.metrics import mode_coverage
from ganneal.twosample import mmd_test

Build = Callable[..., Path]
ENVIRONMENT = {
    "python": "3.11.7",
    "torch": "2.11.0",
    "ganneal": "0.1.0",
    "cpu": "AMD EPYC",
    "threads": 2,
    "device": "cpu",
}


def _steps(log: EventLog, total: int, members: int, rng: np.random.Generator) -> None:
    log.write("start", 0, environment=ENVIRONMENT, total=total, members=members)
    for i in range(1, 121):
        t = i / 120
        shape = (members,) if members > 1 else ()
        critic = 0.69 - 0.3 * np.exp(-6 * t) + 0.02 * rng.normal(size=shape)
        generator = 0.69 + 1.5 * np.exp(-5 * t) * np.cos(12 * t) + 0.04 * rng.normal(size=shape)
        if i == 60:
            generator = generator * np.nan
            log.write(
                "guard",
                total * i // 120,
                member=0,
                problem="not_finite",
                value=float("nan"),
                action="roll_back",
                lr_scale=0.5,
            )
        likelihood = 1 - t
        log.write(
            "step", total * i // 120, losses={"critic": critic, "generator": generator}, lambda_likelihood=likelihood,
            lambda_entropy=1.0, beta=(1 + likelihood) / 2, rate=12000 + 800 * rng.normal(),
        )  # fmt: skip


def _samples(run: Path, log: EventLog, examples: int, **arrays: Any) -> None:
    (run / "samples").mkdir(exist_ok=True)
    name = f"samples/{examples:012d}.npz"
    np.savez(run / name, **arrays)
    log.write("samples", examples, file=name)


def _digits(rng: np.random.Generator, n: int, blur: float, side: int, colour: bool) -> np.ndarray:
    """Rings of random radius: recognisable pictures at any size."""
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    radius = rng.uniform(0.3, 0.8, (n, 1, 1))
    ring = np.exp(-(((np.hypot(x, y) - radius) / 0.15) ** 2)) + blur * rng.normal(size=(n, side, side))
    grey = (255 * ring.clip(0, 1)).astype(np.uint8)
    return grey[..., None] * rng.uniform(0.3, 1, (n, 1, 1, 3)).astype(np.float32) if colour else grey


def build(run: Path, kind: str, **change: Any) -> Path:
    """A run folder: digits, photos, toy, table, curve (1-D), population or empty."""
    rng = np.random.default_rng(0)
    run.mkdir(parents=True, exist_ok=True)
    if kind == "empty":
        return run
    members, total = change.get("members", 12) if kind == "population" else 1, 960_000
    source = change.get("source", {"toy": "ring", "population": "ring", "table": "wine.csv"}.get(kind, kind))
    config = {
        "source": source, "recipe": "annealed", "seed": 0, "objective": "rkl",
        "solver": {"name": "alternating", "lr": 1e-4, "betas": [0, 0.9]},
        "schedules": {"lambda_likelihood": "linear(1->0)", "lambda_entropy": "constant(1)"}, "batch": 256,
    }  # fmt: skip
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    angles = np.arange(8) * np.pi / 4
    centres = 2 * np.stack([np.cos(angles), np.sin(angles)], 1)

    def vectors(n: int, noise: float) -> np.ndarray:
        if kind == "table":
            z = rng.normal(size=(n, 6))
            return np.stack(
                [z[:, 0], z[:, 0] * z[:, 1], np.exp(z[:, 2] / 2), z[:, 0] + 0.3 * z[:, 3], z[:, 4], z[:, 5]], 1
            ) + noise * rng.normal(size=(n, 6))
        if kind == "curve":
            return np.where(rng.random((n, 1)) < 0.4, -2, 1.5) + (0.5 + noise) * rng.normal(size=(n, 1))
        return centres[rng.integers(8, size=n)] + (0.08 + noise) * rng.normal(size=(n, 2))

    with EventLog(run / "events.jsonl") as log:
        _steps(log, total, members, rng)
        images = kind in ("digits", "photos")
        for k in range(1, 9):
            noise = 1.2 * np.exp(-k) if not images else 0.8 * np.exp(-k / 2)
            if images:
                side, colour = (8, False) if kind == "digits" else (64, True)
                arrays = {
                    "x": _digits(rng, 64, noise, side, colour).astype(np.uint8),
                    "real": _digits(rng, 64, 0, side, colour).astype(np.uint8),
                }
            else:
                arrays = {"x": vectors(2000, noise).astype(np.float32), "real": vectors(1000, 0).astype(np.float32)}
                if kind in ("toy", "population"):
                    arrays |= {"modes": centres, "spread": np.float64(0.08)}
            _samples(run, log, total * k // 8, **arrays)
        x, real = (arrays["x"][:400].reshape(len(arrays["x"][:400]), -1) for arrays in (arrays, {"x": arrays["real"]}))
        tests = [
            {**mmd_test(x + (0.5 if m == 3 else 0), real, permutations=199, seed=m).to_dict(), "member": m}
            for m in range(members)
        ]
        reference = mmd_test(real[::2], real[1::2], permutations=199).to_dict()
        modes = mode_coverage(x, centres, 0.08).to_dict() if kind in ("toy", "population") else None
        if modes and change.get("missed"):
            modes |= {"modes": 6, "counts": [0, 0, *modes["counts"][2:]]}
        verdict = {
            "tests": tests,
            "reference": reference,
            "modes": modes,
            "metrics": {"frechet": 0.0123, "seconds": 1.5},
        }
        if members == 1:
            verdict["sentence"] = mmd_test(x, real, permutations=199).sentence()
        for k in range(1, 6):
            scaled = [{**test, "statistic": test["statistic"] + 0.1 / k**2} for test in tests]
            log.write("verdict", total * k // 5, **{**verdict, "tests": scaled})
        (run / "verdict.json").write_text(json.dumps(verdict))
        log.write("end", total, reason="finished", seconds=83.2)
    return run


@pytest.fixture(scope="session")
def make_run(tmp_path_factory: pytest.TempPathFactory) -> Build:
    def make(kind: str, **change: Any) -> Path:
        return build(tmp_path_factory.mktemp(kind) / "run", kind, **change)

    return make
