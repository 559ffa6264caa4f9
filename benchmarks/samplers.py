"""Trained samplers against Monte Carlo on densities with known answers, at equal evaluations and at equal time.

    python benchmarks/samplers.py --data ../shared/data                      everything, resumable
    python benchmarks/samplers.py --targets gmm40,funnel & python benchmarks/samplers.py --targets many_well
    python benchmarks/samplers.py --export /tmp/targets.npz                  for nuts.py
    python benchmarks/samplers.py --nuts /tmp/nuts/draws                     judge the draws of nuts.py too
    python benchmarks/samplers.py --table                                    Markdown and two sentences

annealed      recipe `target`, as it comes
unannealed    the same with beta = 1 all the way
pt, mala, smc parallel tempering, adjusted Langevin chains and sequential Monte Carlo at the same evaluations, warm-up,
              pilots and adaptation included
pt@time, ...  the same in the seconds that training took `annealed` in that cell, with four times as many chains
nuts          blackjax, window adaptation, at the same evaluations of the gradient (nuts.py)

One thread a process; one file of results for each target, so that processes can share the targets between them.
W2 is that of 1000 draws to 1000 exact ones, beside that of exact draws to each other.
"""

import argparse
import json
from functools import partial
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ganneal.errors import RunError
from ganneal.targets import Target, frame_of
from sampler_methods import MCMC, Draws, chained, in_time, ours
from sampler_scores import TARGETS, score, target_of, truth_of
from sampler_tables import tables
from sampling import Cells

METHODS = ("annealed", "unannealed", *MCMC, *(f"{name}@time" for name in MCMC), "nuts")


def cell(name: str, method: str, seed: int, chosen: argparse.Namespace, cells: dict[str, Any]) -> dict[str, Any] | None:
    """Results of a method on a target; None where what it needs is not there."""
    target, text = target_of(name, chosen.data)
    try:
        draws = drawn(target, name, method, seed, chosen, cells)
    except RunError as error:
        return {"target": name, "method": method, "seed": seed, "failed": str(error)}
    if draws is None:
        return None
    truth, log_z = truth_of(target, text, seed, chosen.cache)
    return {
        "target": name,
        "text": text,
        "method": method,
        "seed": seed,
        **score(name, target, draws, truth, log_z, seed),
    }


def drawn(
    target: Target, name: str, method: str, seed: int, chosen: argparse.Namespace, cells: dict[str, Any]
) -> Draws | None:
    """The draws of a method."""
    if method in ("annealed", "unannealed"):
        options = dict(pair.split("=", 1) for pair in chosen.option)
        return ours(target, chosen.budget, seed, options | ({"beta": "1"} if method == "unannealed" else {}))
    if method in MCMC:
        return MCMC[method](target, chosen.budget, seed)
    if method.endswith("@time"):
        trained = cells.get(f"annealed/{seed}")
        if trained is None or "seconds" not in trained:
            print(f"{name} {method} seed {seed}: left out, the seconds of annealed are not known")
            return None
        return in_time(method.removesuffix("@time"), target, chosen.budget, seed, trained["seconds"])
    return no_u_turn(target, name, seed, chosen.nuts)


def no_u_turn(target: Target, name: str, seed: int, folder: Path | None) -> Draws | None:
    """Draws that nuts.py left in a folder, in the coordinates of the target."""
    path = None if folder is None else folder / f"{name}-{seed}.npz"
    if path is None or not path.is_file():
        return None
    with np.load(path) as stored:
        draws = torch.from_numpy(stored["draws"].astype(np.float64))
        told = {k: float(stored[k]) for k in ("step", "acceptance", "divergences", "compile_seconds")}
        evaluations, seconds = int(stored["evaluations"]), float(stored["seconds"])
    m, n, d = draws.shape
    inward = frame_of(target).inward(draws.view(-1, d)).view(m, n, d)
    return chained(target, inward, evaluations, seconds, {**told, "chains": n})


def export(path: Path, data: Path | None) -> None:
    """What nuts.py needs: constants of the targets, their frames, and log u at a few points as a check."""
    told: dict[str, Tensor] = {}
    for name in TARGETS:
        target, _ = target_of(name, data)
        frame = frame_of(target)
        y = torch.randn(16, target.dim, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        x = frame.outward(y)
        told |= {
            f"{name}/centre": frame.centre, f"{name}/scale": frame.factor.diagonal(), f"{name}/x": x,
            f"{name}/log_u": target.log_prob(x),
        }  # fmt: skip
    means = target_of("gmm40", data)[0].modes
    assert means is not None
    told["gmm40/means"] = means
    if data is not None and (file := data / "uci-small.npz").is_file():
        with np.load(file) as stored:
            features = torch.from_numpy(stored["german_x"].astype(np.float64))
            told["logistic/y"] = torch.from_numpy(stored["german_y"].astype(np.float64))
        told["logistic/design"] = torch.cat([torch.ones(len(features), 1), features / features.std(0, correction=0)], 1)
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, Any] = {k: v.numpy() for k, v in told.items()}
    np.savez(path, **arrays)
    print(f"{path}: {', '.join(TARGETS)}")


def measure(name: str, methods: list[str], seeds: list[int], chosen: argparse.Namespace) -> None:
    """All cells of a target that are not there yet."""
    arguments = {"budget": chosen.budget, "option": chosen.option, "target": target_of(name, chosen.data)[1]}
    store = Cells(chosen.out / f"{name}.json", arguments)
    for seed in seeds:
        for method in methods:
            work = partial(cell, name, method, seed, chosen, store.cells)
            found = store.measure(f"{method}/{seed}", work)
            if found is None or "failed" in found:
                print(
                    f"{name:<12} {method:<11} seed {seed}: {'not run' if found is None else found['failed']}",
                    flush=True,
                )
                continue
            shown = ("w2", "floor", "log_z_error", "ess_share", "modes_tv", "share_mean", "share_worst", "mean_error")
            told = "  ".join(f"{k} {found[k]:.3g}" for k in shown if found.get(k) is not None)
            print(
                f"{name:<12} {method:<11} seed {seed}  {told}  {found['evaluations']} rows  {found['seconds']:.1f} s",
                flush=True,
            )


def main() -> None:
    """Measure what is not there yet; print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--targets", default=",".join(TARGETS))
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--seeds", default="0,1,2,3,4")
    parser.add_argument("--budget", type=int, default=512_000, help="rows at which the density is evaluated")
    parser.add_argument("--option", action="append", default=[], help="KEY=VALUE of our configuration, repeatable")
    here = Path(__file__).parent
    parser.add_argument("--data", type=Path, default=here.parents[1] / "shared/data", help="folder with uci-small.npz")
    parser.add_argument(
        "--out", type=Path, default=here / "results" / "samplers", help="folder, one file for each target"
    )
    parser.add_argument(
        "--cache", type=Path, default=Path(gettempdir()) / "ganneal-benchmarks", help="long reference runs"
    )
    parser.add_argument("--nuts", type=Path, help="folder with draws of nuts.py")
    parser.add_argument("--export", type=Path, help="write constants of the targets for nuts.py and stop")
    parser.add_argument("--table", action="store_true", help="only print the table")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    if chosen.export:
        export(chosen.export, chosen.data)
        return
    names, methods = chosen.targets.split(","), chosen.methods.split(",")
    unknown = {*names} - {*TARGETS} | {*methods} - {*METHODS}
    if unknown:
        raise SystemExit(f"unknown: {', '.join(sorted(unknown))}; allowed: {', '.join((*TARGETS, *METHODS))}")
    if not chosen.table:
        if chosen.nuts is None and "nuts" in methods:
            print("NUTS not run (see nuts.py, then --nuts FOLDER)")
            methods.remove("nuts")
        for name in names:
            measure(name, methods, [int(s) for s in chosen.seeds.split(",")], chosen)
    files = [path for name in TARGETS if (path := chosen.out / f"{name}.json").is_file()]
    print()
    tables([json.loads(path.read_text()) for path in files], METHODS)


if __name__ == "__main__":
    main()
