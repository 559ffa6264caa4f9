"""Power of the tests on published problems and on altered images, each beside its level on the matching null.

    python benchmarks/power.py                          all but images; about an hour on 2 cores
    python benchmarks/power.py --problems blobs hdgm --replications 50
    python benchmarks/power.py --problems cifar --data ../shared/data

Problems (laws: ganneal.twosample.problems):

blobs           Sutherland et al. 2017: ratio 6, n = 500, level .1; published .96 at width .67 and .10 at width 10
blob            Liu et al. 2020, 9 blobs, n = 360 (40 a blob): as described, and as published code draws it
hdgm            Liu et al. 2020, d = 10, n = 1000: as described, and as published code draws it
cifar           CIFAR-10 test images against other test images that were blurred, tinted or compressed (JPEG),
                n = 200, on raw pixels and on features of a small classifier
cifar10.1       CIFAR-10 against CIFAR-10.1 v4, where its file is given (--cifar101 FILE.npy): 1000 vs 1000, as in Biggs
                et al. 2023

Tests that train take half of each sample for it: n is what the test is given in all, published figures of trained
tests often count the test half alone. `oracle` knows the densities: mean log-likelihood ratio, by permutation; no test
of that size can do better by much. All nulls use 299 relabelings. One file of results for each problem.
"""

import argparse
import io
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ganneal.engine.devices import environment
from ganneal.twosample import permutation_test
from ganneal.twosample.battery import build
from ganneal.twosample.multiplicity import wilson
from ganneal.twosample.problems import Problem, blob, blobs, hdgm

Draw = Callable[[torch.Generator], tuple[Tensor, Tensor]]
PERMUTATIONS = 299
QUICK = ("mmd", "mmdagg", "mmd_fuse", "energy", "nn", "c2st", "c2st(statistic=sign)")
TRAINED = ("mmd_o", "mmd_d", "me", "scf")
SLOW = ("mmd_o", "mmd_d")


def cases(data: Path | None, cifar101: Path | None, wanted: str) -> Iterator[dict[str, Any]]:
    """Every setting of a problem: n, level, tests, and how to draw the null and the alternative."""
    if wanted == "blobs":
        tests = ("mmd(kernel=0.67)", "mmd(kernel=10)", *QUICK, "mmd_o", "oracle")
        yield laws(blobs(6), 500, 0.1, tests)
    for published in (False, True):
        if wanted == "blob":
            yield laws(blob(published), 360, 0.05, (*QUICK, *TRAINED, "oracle"))
        if wanted == "hdgm":
            both = ("mmd", "mmd_o", "mmd_d", "c2st", "c2st(statistic=sign)", "oracle")
            yield laws(hdgm(10, published), 1000, 0.05, both if published else (*QUICK, *TRAINED, "oracle"))
    if wanted == "cifar" and data is not None:
        yield from images(data)
    if wanted == "cifar10.1" and data is not None and cifar101 is not None:
        real, other = pixels(data), np.load(cifar101, allow_pickle=False)
        for tests in (("mmd", "mmdagg", "mmd_fuse", "c2st", "c2st(statistic=sign)", "me", "scf", "mmd_o"),):
            yield {
                "problem": "cifar10.1 v4, raw pixels", "n": 1000, "level": 0.05, "tests": tests,
                "null": pair(raw(real), raw(real), 1000, same=True), "alternative": pair(raw(real), raw(other), 1000),
            }  # fmt: skip


def laws(problem: Problem, n: int, level: float, tests: tuple[str, ...]) -> dict[str, Any]:
    """A problem with known densities."""
    return {
        "problem": problem.name, "n": n, "level": level, "tests": tests, "log_ratio": problem.log_ratio,
        "null": lambda g: (problem.null(n, g), problem.null(n, g)),
        "alternative": lambda g: (problem.p(n, g), problem.q(n, g)),
    }  # fmt: skip


def images(data: Path, n: int = 200) -> Iterator[dict[str, Any]]:
    """CIFAR-10 test images against altered ones."""
    real = pixels(data)
    features = classifier_features(data)
    kept = features(real)
    tests = ("mmd", "mmdagg", "mmd_fuse", "energy", "nn", "c2st(classifier=logistic)")
    for name, change in CHANGES.items():
        altered = change(real)
        for view, a, b in (("raw pixels", raw(real), raw(altered)), ("features", kept, features(altered))):
            yield {
                "problem": f"cifar10, {name}, {view}", "n": n, "level": 0.05, "tests": tests,
                "null": pair(a, a, n, same=True) if name == "blur 0.6" else None,
                "alternative": pair(a, b, n, same=True),
            }  # fmt: skip


def pixels(data: Path) -> np.ndarray:
    """CIFAR-10 test images uint8 [10000, 32, 32, 3]."""
    from PIL import Image

    sheet = np.asarray(Image.open(data / "cifar10-test.webp").convert("RGB"))
    rows, columns = (side // 32 for side in sheet.shape[:2])
    return sheet.reshape(rows, 32, columns, 32, 3).swapaxes(1, 2).reshape(-1, 32, 32, 3)


def raw(images: np.ndarray) -> Tensor:
    """Pixels in [0, 1], [n, d]."""
    return torch.from_numpy(images.reshape(len(images), -1) / 255.0)


def classifier_features(data: Path) -> Callable[[np.ndarray], Tensor]:
    """The 64 features of the packed ResNet-20."""
    from ganneal.features import FEATURES

    extract = FEATURES.build(f"classifier('{data / 'cifar10-resnet20.npz'}')")

    def features(images: np.ndarray) -> Tensor:
        x = torch.from_numpy(images).permute(0, 3, 1, 2).float().div(127.5).sub(1)
        return extract(x)

    return features


def pair(a: Tensor, b: Tensor, n: int, same: bool = False) -> Draw:
    """n random examples of each; with `same`, b is a changed in place, and the two take different positions."""

    def draw(generator: torch.Generator) -> tuple[Tensor, Tensor]:
        order = torch.randperm(len(a), generator=generator)
        other = order[n:] if same else torch.randperm(len(b), generator=generator)
        return a[order[:n]], b[other[:n]]

    return draw


def _each(images: np.ndarray, change: Callable[[Any], Any]) -> np.ndarray:
    from PIL import Image

    return np.stack([np.asarray(change(Image.fromarray(image)).convert("RGB")) for image in images])


def _blur(radius: float) -> Callable[[np.ndarray], np.ndarray]:
    from PIL import ImageFilter

    return lambda images: _each(images, lambda image: image.filter(ImageFilter.GaussianBlur(radius)))


def _tint(levels: int) -> Callable[[np.ndarray], np.ndarray]:
    def change(images: np.ndarray) -> np.ndarray:
        return (images.astype(int) + np.array([levels, 0, -levels])).clip(0, 255).astype(np.uint8)

    return change


def _jpeg(quality: int) -> Callable[[np.ndarray], np.ndarray]:
    from PIL import Image

    def squeeze(image: Any) -> Any:
        buffer = io.BytesIO()
        image.save(buffer, format="JPEG", quality=quality)
        return Image.open(buffer)

    return lambda images: _each(images, squeeze)


CHANGES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "blur 0.6": _blur(0.6),
    "blur 1.0": _blur(1.0),
    "tint 5": _tint(5),
    "tint 20": _tint(20),
    "jpeg 75": _jpeg(75),
    "jpeg 30": _jpeg(30),
}


def rate(text: str, draw: Draw, case: dict[str, Any], replications: int) -> dict[str, Any]:
    """Share of rejections with its interval, and seconds a test."""
    run = None if text == "oracle" else build(text)
    generator, hits, spent = torch.Generator().manual_seed(0), 0, 0.0
    for seed in range(replications):
        x, y = draw(generator)
        begun = time.perf_counter()
        if run is None:
            hits += oracle(x, y, case, seed)
        else:
            hits += run(x, y, seed=seed, level=case["level"], permutations=PERMUTATIONS).rejected
        spent += time.perf_counter() - begun
    low, high = wilson(hits, replications)
    return {"share": hits / replications, "interval": [low, high], "seconds": spent / replications}


def oracle(x: Tensor, y: Tensor, case: dict[str, Any], seed: int) -> bool:
    """The permutation test of mean log p/q on x against that on y."""
    values = case["log_ratio"](torch.cat([x, y]))
    m, n = len(x), len(y)

    def statistic(first: Tensor) -> Tensor:
        return values @ first / m - values @ (1 - first) / n

    return permutation_test(statistic, m, n, PERMUTATIONS, torch.Generator().manual_seed(seed)).pvalue <= case["level"]


def measured(case: dict[str, Any], text: str, count: int) -> dict[str, Any]:
    """One row of the results, printed."""
    row = {"problem": case["problem"], "test": text, "n": case["n"], "level": case["level"], "replications": count}
    row["power"] = rate(text, case["alternative"], case, count)
    if case["null"] is not None and text != "oracle":
        row["size"] = rate(text, case["null"], case, count)
    size = f"{row['size']['share']:.2f}" if "size" in row else "   -"
    low, high = row["power"]["interval"]
    print(
        f"{case['problem']:<34} {text:<28} n {case['n']:>5}  power {row['power']['share']:.2f} [{low:.2f}, {high:.2f}]"
        f"  size {size}  {row['power']['seconds']:7.3f} s",
        flush=True,
    )
    return row


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = ["blobs", "blob", "hdgm", "cifar", "cifar10.1"]
    parser.add_argument("--problems", nargs="+", default=names, choices=names)
    parser.add_argument("--replications", type=int, default=100)
    parser.add_argument("--slow", type=int, default=30, help="replications of tests that train a network")
    parser.add_argument(
        "--data", type=Path, default=None, help="folder with cifar10-test.webp and cifar10-resnet20.npz"
    )
    parser.add_argument("--cifar101", type=Path, default=None, help="cifar10.1_v4_data.npy")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results", help="folder")
    chosen = parser.parse_args()
    for problem in chosen.problems:
        if problem.startswith("cifar") and chosen.data is None:
            print(f"{problem}: left out, as --data is not given")
            continue
        rows: list[dict[str, Any]] = []
        for case in cases(chosen.data, chosen.cifar101, problem):
            for text in case["tests"]:
                rows.append(measured(case, text, chosen.slow if text in SLOW else chosen.replications))
                found = {"environment": environment(torch.device("cpu"), 1), "rows": rows}
                path = chosen.out / f"twosample-power-{problem}.json"
                path.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
