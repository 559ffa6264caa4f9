"""A thousand modes: stacked MNIST in the protocol of VEEGAN (Srivastava et al. 2017) and PacGAN (Lin et al. 2018).

    python benchmarks/stacked_mnist.py shared/data/mnist.npz --scale smoke           half a minute
    python benchmarks/stacked_mnist.py shared/data/mnist.npz --scale cpu             one core, some ten minutes
    python benchmarks/stacked_mnist.py shared/data/mnist.npz --scale gpu --seeds 0,1,2

128,000 fixed random triples of training digits, 26,000 samples, a classifier of single digits trained here on each
channel. A mode counts when one sample lands on it; KL is that of the histogram over 1000 classes from the uniform law,
in nats. The floor is what real triples score: (1000 - 1) / 2N of sampling (.0192 at 26,000) and three times the
imbalance of the digits (.0043), .0235 together; it is also measured, with the errors of the classifier in it. Trainings
are run folders below --runs and go on where they were interrupted; finished cells are kept in --out.

Published, with networks and classifiers of their own (baselines differ two- to fourfold between papers; compare with
the row measured here): see PUBLISHED. `dcgan` is drawn from its last iterate as published, the others from the running
average.
"""

import argparse
import math
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import ganneal as gn
from ganneal.data import Source, open_source
from ganneal.engine.devices import environment
from ganneal.metrics.modes import histogram_kl, histogram_kl_floor
from sampling import Cells, interval

MODES, DIGITS = 1000, 10
SCALES: dict[str, dict[str, Any]] = {
    "smoke": {"width": 8, "batch": 16, "steps": 20, "samples": 1000, "classifier": 60, "device": "cpu"},
    "cpu": {"width": 16, "batch": 32, "steps": 2500, "samples": 26_000, "classifier": 1500, "device": "cpu"},
    "gpu": {"width": 64, "batch": 128, "steps": 50_000, "samples": 26_000, "classifier": 6000, "device": "cuda"},
}
METHODS: dict[str, Callable[[int], dict[str, Any]]] = {
    "dcgan": lambda width: {
        "objective": "nonsaturating", "penalty": "none", "network": f"dcgan(width={width}, batchnorm=true)",
        "optimizer": "adam(beta1=0.5, beta2=0.999)", "lr_generator": "0.0002", "lr_critic": "0.0002", "ema": 0.0,
    },
    "pack": lambda width: {**METHODS["dcgan"](width), "critic": "pack(size=2)"},
    "relativistic": lambda width: {
        "objective": "relativistic", "penalty": "r1r2(gamma=1, every=4)", "network": f"dcgan(width={width})",
        "optimizer": "adam(beta1=0, beta2=0.99)", "lr_generator": "cosine(0.0004->0.00002)",
        "lr_critic": "cosine(0.0004->0.00002)", "ema": 0.999,
    },
    "relativistic+pack": lambda width: {**METHODS["relativistic"](width), "critic": "pack(size=2)"},
}  # fmt: skip
PUBLISHED = (
    ("DCGAN, VEEGAN protocol", "99", "3.40", "Srivastava et al. 2017"),
    ("VEEGAN", "150", "2.95", "Srivastava et al. 2017"),
    ("DCGAN, PacGAN's own", "78.9 ± 6.5", "4.50", "Lin et al. 2018"),
    ("PacDCGAN2", "1000", ".06 ± .003", "Lin et al. 2018"),
    ("WGAN-GP", "959", ".73", "as listed by Huang et al. 2024"),
    ("MEG", "1000", ".031", "Kumar et al. 2019"),
    ("R3GAN", "1000", ".029", "Huang et al. 2024"),
)


class DigitClassifier(nn.Module):
    """Grey images [B, 1, 28, 28] in [-1, 1] -> ten logits."""

    def __init__(self) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList([nn.Conv2d(1, 24, 5, 2, 2), nn.Conv2d(24, 48, 3, 2, 1)])
        self.hidden, self.head = nn.LazyLinear(96), nn.Linear(96, DIGITS)

    def forward(self, x: Tensor) -> Tensor:
        for convolution in self.convolutions:
            x = F.relu(convolution(x))
        return self.head(F.relu(self.hidden(x.flatten(1))))


def train_classifier(digits: Source, steps: int, device: torch.device, seed: int = 0) -> tuple[nn.Module, float]:
    """(classifier, accuracy on the test part): Adam on batches of 128 with small shifts and noise."""
    torch.manual_seed(seed)
    random = torch.Generator().manual_seed(seed)
    net = DigitClassifier().to(device)
    net(torch.zeros(1, *digits.shape, device=device))
    optimizer = torch.optim.Adam(net.parameters(), 2e-3)
    assert digits.labels is not None
    assert digits.heldout_labels is not None
    assert digits.size is not None
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = 2e-3 * (1 - step / steps)
        index = torch.randint(digits.size, (128,), generator=random)
        shift = torch.randint(-2, 3, (2,), generator=random).tolist()
        x = digits.rows(index).roll(tuple(shift), (2, 3)).to(device)
        x = x + 0.1 * torch.randn(x.shape, generator=random).to(device)
        loss = F.cross_entropy(net(x), digits.labels[index].to(device))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    found = classify(net, digits.heldout(10**6), device)[:, 0]
    return net.eval(), float((found == digits.heldout_labels[: len(found)]).double().mean())


@torch.no_grad()
def classify(net: nn.Module, x: Tensor, device: torch.device) -> Tensor:
    """The digit in every channel of images [n, C, H, W]: [n, C]."""
    found = [net(part.to(device).flatten(0, 1).unsqueeze(1)).argmax(1).cpu() for part in x.split(1000)]
    return torch.cat(found).reshape(len(x), -1)


def score(net: nn.Module, x: Tensor, device: torch.device) -> dict[str, float]:
    """Modes hit and KL of the histogram of images [n, 3, H, W]."""
    classes = classify(net, x, device) @ torch.tensor([100, 10, 1])
    counts = torch.bincount(classes, minlength=MODES)
    uniform = torch.full((MODES,), 1 / MODES, dtype=torch.float64)
    return {"modes": int((counts > 0).sum()), "kl": histogram_kl(counts, uniform), "samples": len(x)}


def floors(net: nn.Module, digits: Source, triples: Source, n: int, device: torch.device) -> dict[str, float]:
    """What perfect samplers score at n samples: of the uniform law and of the digits' law in theory, and real
    triples through the classifier."""
    assert digits.labels is not None
    share = torch.bincount(digits.labels, minlength=DIGITS).double() / len(digits.labels)
    imbalance = 3 * float((share * (share * DIGITS).log()).sum())
    uniform = histogram_kl_floor(torch.full((MODES,), 1 / MODES, dtype=torch.float64), n)
    real = score(net, triples.sample(n, torch.Generator().manual_seed(1)), device)
    return {"uniform": uniform, "digits": uniform + imbalance, "real": real["kl"], "real_modes": real["modes"]}


def trained(text: str, folder: Path, options: dict[str, Any]) -> gn.Run:
    """A run of those options, begun or taken up where it was interrupted."""
    if (folder / "config.yaml").is_file():
        return gn.Run(folder).resume()
    return gn.train(text, out=str(folder), **options)


def cell(
    text: str, folder: Path, method: str, seed: int, scale: dict[str, Any], classifier: nn.Module, device: torch.device
) -> dict[str, Any]:
    """One training and its score."""
    options = {
        "recipe": "image", "steps": scale["steps"], "batch": scale["batch"], "latent": 100, "seed": seed,
        "device": scale["device"], "threads": 1 if scale["device"] == "cpu" else 0, "permutations": 19,
        **METHODS[method](scale["width"]),
    }  # fmt: skip
    begun = time.perf_counter()
    run = trained(text, folder, options)
    seconds, trainer = time.perf_counter() - begun, run.trainer()
    x = trainer.sample(scale["samples"], seed=3).cpu()
    game = run.config
    evaluations = trainer.assembly.solver.evaluations(trainer.play.players) * trainer.step
    return {
        **score(classifier, x, device), "seconds": seconds, "examples": game.examples, "evaluations": evaluations,
        "options": {k: v for k, v in options.items() if k not in ("device", "threads")},
        "doctor": [f.sentence() for f in run.diagnosis().findings],
    }  # fmt: skip


def table(found: dict[str, Any], methods: list[str], seeds: list[int]) -> str:
    """Measured rows, then published ones."""
    lines = [f"{'method':<26}{'modes':>16}{'KL':>18}{'seconds':>10}"]
    for method in methods:
        rows = [found[f"{method} {seed}"] for seed in seeds if f"{method} {seed}" in found]
        if rows:
            lines.append(
                f"{method:<26}{interval([r['modes'] for r in rows], 4):>16}{interval([r['kl'] for r in rows]):>18}"
                f"{sum(r['seconds'] for r in rows) / len(rows):>10.0f}"
            )
    lines += [f"{name:<26}{modes:>16}{kl:>18}{'':>10}  {source}" for name, modes, kl, source in PUBLISHED]
    return "\n".join(lines)


def main() -> None:
    """Train, score, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("digits", help="labelled digits with a test part: mnist.npz, or an idx file")
    parser.add_argument("--scale", choices=SCALES, default="cpu")
    parser.add_argument("--methods", default="dcgan,pack,relativistic", help=f"of {', '.join(METHODS)}")
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--steps", type=int, help="instead of the scale's")
    parser.add_argument("--runs", type=Path, default=Path("runs/stacked-mnist"))
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    scale = {**SCALES[args.scale], **({} if args.steps is None else {"steps": args.steps})}
    methods, seeds = args.methods.split(","), [int(s) for s in args.seeds.split(",")]
    if unknown := [m for m in methods if m not in METHODS]:
        parser.error(f"unknown method '{unknown[0]}'; allowed: {', '.join(METHODS)}")
    device = torch.device(scale["device"])
    if device.type == "cpu":
        torch.set_num_threads(1)
    out = args.out or Path(f"benchmarks/results/stacked-mnist-{args.scale}.json")
    cells = Cells(out, {"scale": args.scale, **scale})
    digits, text = open_source(args.digits), f'stacked("{args.digits}")'
    begun = time.perf_counter()
    classifier, accuracy = train_classifier(digits, scale["classifier"], device)
    print(f"classifier: {accuracy:.2%} of {len(digits.heldout(10**6))} test digits right, "
          f"{time.perf_counter() - begun:.0f} s", flush=True)  # fmt: skip
    floor = cells.measure(
        "floor",
        lambda: {"accuracy": accuracy, **floors(classifier, digits, open_source(text), scale["samples"], device)},
    )
    assert floor is not None
    cells.found["machine"] = environment(device, 1)
    print(f"floor of KL at {scale['samples']} samples: {floor['digits']:.4f} (uniform {floor['uniform']:.4f}); real "
          f"triples score {floor['real']:.4f} with {floor['real_modes']} modes", flush=True)  # fmt: skip
    for seed in seeds:
        for method in methods:
            folder = args.runs / args.scale / f"{method}-{scale['steps']}-{seed}"
            work = partial(cell, text, folder, method, seed, scale, classifier, device)
            found = cells.measure(f"{method} {seed}", work)
            assert found is not None
            assert math.isfinite(found["seconds"])
            print(
                f"{method} {seed}: {found['modes']} modes, KL {found['kl'] or math.inf:.4g}, {found['seconds']:.0f} s",
                flush=True,
            )
    print(table(cells.cells, methods, seeds))


if __name__ == "__main__":
    main()
