"""Table 1 of Tao et al. (2019) on CIFAR-10 in the setting of its published code: DCGAN, batch 64, 150,000 iterations.

    python benchmarks/cifar10_table1.py --data ../shared/data --scale 0.001            a smoke test on a CPU
    python benchmarks/cifar10_table1.py --data ../shared/data --objectives RKL --columns 0 OA --device cuda --precision
    bf16

Columns carry the paper's l; the code's regulariser is a mean over 2048 critic features with reversed sign, so
lambda_likelihood = -l/2048
(`--sign theory` turns it round: lambda_likelihood = +l/2048). Which PMA/NMA bound the paper used is not public;
`--bound` sets it.
Scores: with `--inception weights.pth` Inception score (10 x 5000) and FID (10,000 against 50,000); otherwise
classifier score and Frechet
distance on the packed CIFAR-10 ResNet, which compare with each other only. Every finished cell is written at once; a
rerun skips it.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import torch

from cifar_features import Extractor, ResNet, extract, inception, inception_score
from ganneal.data import open_source
from ganneal.engine import config
from ganneal.engine.checkpoint import write_atomically
from ganneal.engine.devices import environment
from ganneal.engine.trainer import Trainer
from ganneal.metrics import frechet_distance

RECIPES = {"RKL": "lgan-rkl", "JSD": "lgan-jsd", "W": "lgan-wgan-gp"}
STATIC = ("-50", "-10", "-1", "-.1", "-.01", "0", ".01", ".1", "1", "10", "50")
ITERATIONS, BATCH, FEATURES = 150_000, 64, 2048


def schedule(column: str, bound: float, sign: float) -> str:
    """lambda_likelihood of a column."""
    scaled = sign * bound / FEATURES
    named = {"PMA": f"pma({scaled!r})", "NMA": f"nma({scaled!r})", "OA": f"oscillating({scaled!r}, segments=15)"}
    return named.get(column) or repr(sign * float(column) / FEATURES)


def run(
    chosen: argparse.Namespace,
    objective: str,
    column: str,
    extractor: Extractor,
    real: tuple[torch.Tensor, torch.Tensor],
    source: Any,
) -> dict[str, Any]:
    """Train and score one cell."""
    steps = max(1, round(ITERATIONS * chosen.scale))
    lambdas = schedule(column, chosen.bound, -1.0 if chosen.sign == "code" else 1.0)
    settings = config.complete(
        {
            "source": "cifar10",
            "recipe": RECIPES[objective],
            "lambda_likelihood": lambdas,
            "examples": steps * BATCH,
            "seed": chosen.seed,
            "device": chosen.device,
            "precision": chosen.precision,
            "compile": chosen.compile,
        },
        "image",
    )
    trainer = Trainer(settings, source)
    begun, history = time.time(), []
    while trainer.step < trainer.steps:
        losses = trainer.advance(min(50, trainer.steps - trainer.step))
        history.append({"step": trainer.step, **{player: round(float(value), 4) for player, value in losses.items()}})
        if trouble := trainer.check(losses):
            print(f"  guard: {trouble[0].problem}: {trouble[0].action}", flush=True)
            if trainer.guard.lost:
                break
        if trainer.step % 1000 == 0:
            trainer.mark_good()
    seconds = time.time() - begun
    n = min(50_000, max(500, round(50_000 * min(1.0, chosen.scale * 10))))
    images = ((trainer.sample(n, seed=1).cpu() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    features, probabilities = extract(extractor, images, trainer.device)
    score, spread = inception_score(probabilities)
    return {
        "objective": objective,
        "l": column,
        "sign": chosen.sign,
        "lambda_likelihood": lambdas,
        "seed": chosen.seed,
        "steps": trainer.step,
        "scale": chosen.scale,
        "samples": n,
        "score": score,
        "score_sd_of_splits": spread,
        "frechet": frechet_distance(features[:10_000], real[0]),
        "seconds": seconds,
        "examples_per_s": trainer.step * BATCH / seconds,
        "losses": history[:: max(1, len(history) // 20)],
        "features": "inception" if chosen.inception else "packed-resnet",
        "precision": chosen.precision,
        "compiled": trainer.compiled,
        "environment": environment(trainer.device, 1),
    }


def main() -> None:
    """Run the chosen cells that are not in the results yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the packed data sets")
    parser.add_argument("--objectives", nargs="+", default=list(RECIPES), choices=list(RECIPES))
    parser.add_argument("--columns", nargs="+", default=[*STATIC, "PMA", "NMA", "OA"])
    parser.add_argument("--scale", type=float, default=1.0, help="share of the 150,000 iterations")
    parser.add_argument("--bound", type=float, default=1.0)
    parser.add_argument("--sign", choices=("code", "theory"), default="code")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--compile", default="auto")
    parser.add_argument("--inception", type=Path, help="Inception-v3 weights for torch-fidelity")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "cifar10-table1.json")
    chosen = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() and chosen.device != "cpu" else "cpu")
    extractor = (
        inception(chosen.inception, device)
        if chosen.inception
        else ResNet(chosen.data / "cifar10-resnet56.npz", device)
    )
    source = open_source(str(chosen.data / "cifar10"))
    assert source.size is not None
    count = source.size if chosen.scale >= 0.1 else 5000
    real_images = ((source.rows(torch.arange(count)) + 1) * 127.5).round().to(torch.uint8)
    real = extract(extractor, real_images, device)
    done = json.loads(chosen.out.read_text()) if chosen.out.exists() else []
    for objective in chosen.objectives:
        for column in chosen.columns:
            wanted = (objective, column, chosen.sign, chosen.seed, chosen.scale, chosen.precision)
            if any((r["objective"], r["l"], r["sign"], r["seed"], r["scale"], r["precision"]) == wanted for r in done):
                continue
            row = run(chosen, objective, column, extractor, real, source)
            done.append(row)
            chosen.out.parent.mkdir(exist_ok=True)
            write_atomically(chosen.out, json.dumps(done, indent=1).encode())
            print(
                f"{objective:<4} l={column:<5} score {row['score']:.3f}  frechet {row['frechet']:.2f}  "
                f"{row['steps']} steps in {row['seconds']:.0f} s",
                flush=True,
            )


if __name__ == "__main__":
    main()
