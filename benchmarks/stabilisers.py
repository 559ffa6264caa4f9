"""Every stabiliser on the ring of 8 and on the grid of 25: modes, high-quality share, KL, over ten seeds.

    python benchmarks/stabilisers.py                                     all rows, some hours on 2 cores; resumable
    python benchmarks/stabilisers.py --problems grid25 --methods plain nk unrolled --seeds 3 --budget 2000
    python benchmarks/stabilisers.py --table                             print what is there, train nothing

Each row is one population of `--seeds` members with the same number of gradient evaluations, `--budget`: a step of the
alternating game costs 2, of unrolled(steps=5) 7, of extragradient 4, as solvers count them. Higher derivatives inside
a penalty are not counted; `seconds` tells what they cost. A member is judged by 2,500 samples of its averaged generator
(the last iterate is in the files): a sample within 3 standard deviations of a centre, Euclidean, is of high quality,
and a mode with at least one such sample is covered. The ring has radius 2 and standard deviation .02, the grid spacing
2 and .05. Perfection is not 100 % and not 0: the ceiling and the floor are printed, and so are published rows.
"""

import argparse
import itertools
import json
import statistics
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch._dynamo.exc import TorchDynamoException

from ganneal.data import Source, open_source
from ganneal.engine import config
from ganneal.engine.checkpoint import read_json
from ganneal.engine.devices import environment
from ganneal.engine.trainer import Trainer
from ganneal.errors import UsageError
from ganneal.metrics import ModeCoverage, mode_coverage
from stabilisers_methods import GOAL, METHODS, PLAIN, PUBLISHED, Method

RESULTS = Path(__file__).parent / "results" / "stabilisers"
PROBLEMS = {"ring8": "ring8(radius=2, std=0.02)", "grid25": "grid25(spacing=2, std=0.05)"}
SAMPLES = 2500
DRAWN = 100
"""Seed of the samples that are judged."""
LOOKS = 10
RUNTIME = ("compile", "threads")
"""Options that change the speed of a row only."""


def settings(method: Method, problem: str, seeds: int, compile_it: str, threads: int) -> dict[str, Any]:
    """The keys of a row's training, but for its length."""
    source = {"source": PROBLEMS[problem], "population": seeds, "compile": compile_it, "threads": threads}
    return {key: value for key, value in {**source, **PLAIN, **method.options}.items() if value is not None}


def length(values: dict[str, Any], source: Source, budget: int) -> tuple[int, int]:
    """(steps, gradient evaluations of a step) for a budget of evaluations."""
    trial = Trainer(config.make({**values, "population": 1, "compile": "off", "examples": 1}), source)
    each = trial.assembly.solver.evaluations(trial.play.players)
    return max(1, budget // each), each


def train(
    values: dict[str, Any], source: Source, each: int
) -> tuple[Trainer, float, list[str], list[tuple[int, float, float]]]:
    """(trainer at its end, seconds of training, what the guard did, the way there: gradient evaluations, modes and
    high-quality share of the averaged generator, means over seeds)."""
    begun, judging = time.perf_counter(), 0.0
    trainer = Trainer(config.make(values), source)
    events, curve = [], []
    while trainer.step < trainer.steps:
        losses = trainer.advance(min(max(1, trainer.steps // LOOKS), trainer.steps - trainer.step))
        found = trainer.check(losses)
        events += [f"step {trainer.step}, seed {t.member}: {t.problem}: {t.action}" for t in found]
        if trainer.finite():
            trainer.mark_good()
        paused = time.perf_counter()
        scores = [judge(trainer, source, k).to_dict() for k in range(trainer.config.population)]
        modes, share = (statistics.fmean(s[k] for s in scores) for k in ("modes", "high_quality"))
        curve.append((trainer.step * each, modes, share))
        judging += time.perf_counter() - paused
    return trainer, time.perf_counter() - begun - judging, events, curve


def judge(trainer: Trainer, source: Source, member: int, averaged: bool = True) -> ModeCoverage:
    """Coverage of one member's samples, of its averaged generator or of the last iterate."""
    kept = trainer.state
    if not averaged:
        last = {**kept.averages, "generator": kept.params["generator"]}
        trainer.state = replace(kept, averages=last)
    x = trainer.sample(SAMPLES, seed=DRAWN, member=member)
    trainer.state = kept
    return mode_coverage(x, source.modes, source.spread)


def run(name: str, problem: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Train and judge one row."""
    method = METHODS[name]
    values = settings(method, problem, arguments.seeds, arguments.compile, arguments.threads)
    source = open_source(values["source"])
    steps, each = length(values, source, asked(method, arguments.budget))
    try:
        trainer, seconds, events, curve = train({**values, "examples": steps * values["batch"]}, source, each)
    except TorchDynamoException as error:
        print(f"{problem} {name}: cannot be compiled ({str(error).splitlines()[0][:80]}), eager instead", flush=True)
        values["compile"] = "off"
        trainer, seconds, events = train({**values, "examples": steps * values["batch"]}, source)
    members = range(arguments.seeds)
    judged = {
        which: [judge(trainer, source, k, which == "averaged").to_dict() for k in members]
        for which in ("averaged", "last")
    }
    return {
        "problem": problem,
        "method": name,
        "against": method.against,
        "budget": asked(method, arguments.budget),
        "evaluations_per_step": each,
        "steps": steps,
        "options": values,
        "seeds": list(trainer.config.member_seeds()),
        "seconds": seconds,
        "guard": events,
        "curve": curve,
        "environment": environment(trainer.device, 1),
        **judged,
    }


def asked(method: Method, budget: int) -> int:
    """Gradient evaluations of a run: the common budget, or the row's own."""
    return method.evaluations or budget


def place(folder: Path, problem: str, name: str) -> Path:
    """Where a row lies."""
    return folder / f"{problem}-{name}.json"


def stored(path: Path, method: Method, problem: str, arguments: argparse.Namespace) -> dict[str, Any] | None:
    """A row that was made with the same settings, or None."""
    if not path.exists():
        return None
    row: dict[str, Any] = read_json(path)
    wanted = json.loads(json.dumps(settings(method, problem, arguments.seeds, arguments.compile, arguments.threads)))
    made, wanted = ({k: v for k, v in x.items() if k not in RUNTIME} for x in (row["options"], wanted))
    return row if made == wanted and row["budget"] == asked(method, arguments.budget) else None


def line(row: dict[str, Any]) -> str:
    """A row of the table: means over seeds with standard errors, and how many seeds have all modes."""
    scores = row["averaged"]
    total = scores[0]["total"]
    modes = [s["modes"] for s in scores]
    shares = [100 * s["high_quality"] for s in scores]
    kls = [s["kl"] for s in scores if s["kl"] is not None]
    full = sum(m == total for m in modes)
    kl = spread(kls, 3) + (f" ({len(scores) - len(kls)} inf)" if len(kls) < len(scores) else "") if kls else "inf"
    acts = f"  guard {len(row['guard'])}" if row["guard"] else ""
    return (
        f"{row['method']:<20} {spread(modes, 1):>11} {full:>3}/{len(modes):<3} {spread(shares, 1):>13} "
        f"{min(shares):>7.1f} {kl:>14} {row['steps']:>7} {row['seconds']:>7.0f}{acts}"
    )


def spread(values: list[float], digits: int) -> str:
    """Mean ± standard error."""
    mean = f"{statistics.fmean(values):.{digits}f}"
    return f"{mean}±{statistics.stdev(values) / len(values) ** 0.5:.{digits}f}" if len(values) > 1 else mean


def table(problem: str, rows: list[dict[str, Any]]) -> str:
    """Everything known about a problem: ceiling and floor, our rows, published ones."""
    if not rows:
        return f"{problem}: no results yet"
    first = rows[0]["averaged"][0]
    head = (
        f"{problem}: {SAMPLES} samples, 3 standard deviations (Euclidean); a perfect sampler has {first['total']} "
        f"modes, {first['high_quality_ceiling']:.2%} high quality, KL {first['kl_floor']:.4f}"
    )
    shared = [r for r in rows if r["method"] not in GOAL]
    own = [r for r in rows if r["method"] in GOAL]
    budgets = sorted({r["budget"] for r in shared})
    titles = f"{'method':<20} {'modes':>11} {'all':>7} {'quality %':>13} {'worst':>7} {'KL':>14} {'steps':>7} {'s':>7}"
    lines = [head, titles]
    for budget in budgets:
        lines.append(f"-- {budget} gradient evaluations each")
        lines += [line(r) for r in shared if r["budget"] == budget]
    if own:
        lines.append("-- tuned, with a length of their own")
        lines += [line(r) for r in own]
    lines.append("-- published")
    for p in PUBLISHED:
        modes, share, kl = p.ring if problem == "ring8" else p.grid
        note = p.source if p.verified else f"UNVERIFIED: {p.source}"
        lines.append(f"{p.method:<20} {modes:>11} {'':>7} {share:>13} {'':>7} {kl:>14}   {note}")
    return "\n".join(lines)


def main() -> None:
    """Train the rows that are missing, print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", nargs="+", default=list(PROBLEMS), choices=list(PROBLEMS))
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--budget", type=int, default=4000, help="gradient evaluations of a run")
    parser.add_argument("--compile", choices=("on", "off"), default="off")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--table", action="store_true", help="print what is there, train nothing")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    found: dict[str, list[dict[str, Any]]] = {problem: [] for problem in arguments.problems}
    for problem, name in itertools.product(arguments.problems, arguments.methods):
        path = place(arguments.out, problem, name)
        row = (
            stored(path, METHODS[name], problem, arguments)
            if not arguments.table
            else path.exists() and read_json(path)
        )
        if not row and not arguments.table:
            try:
                row = run(name, problem, arguments)
            except UsageError as error:
                print(f"{problem} {name}: refused: {error}", flush=True)
                continue
            fresh = path.with_suffix(".part")
            fresh.write_text(json.dumps(row, indent=1))
            fresh.replace(path)
        if row:
            found[problem].append(row)
            if not arguments.table:
                print(f"{problem} {line(row)}", flush=True)
    for problem, rows in found.items():
        print(f"\n{table(problem, rows)}")


if __name__ == "__main__":
    main()
