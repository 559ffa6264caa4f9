"""A page for every stabiliser, made when the documentation is built: what its docstring says, what it costs, what it
does to the eigenvalues of a game that is solved exactly, and what it was measured to do on the ring and the grid."""

import inspect
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import parts

from ganneal.augmentation import AUGMENTATIONS
from ganneal.engine.systems import SYSTEMS
from ganneal.latents import LATENT_LAWS
from ganneal.objectives import OBJECTIVES
from ganneal.parts import Registry
from ganneal.penalties import PENALTIES
from ganneal.solvers import SOLVERS
from ganneal.systems.sight import SIGHTS

PLACE = "stabilisers/generated"
ROOT = Path(__file__).parents[2]
COSTS = ROOT / "benchmarks" / "results" / "costs.json"
MEASURED = ROOT / "benchmarks" / "results" / "stabilisers"


@dataclass(frozen=True)
class Kind:
    """A group of pages: its registry, the key by which its parts are given, and what its pages show.

    studies   by part, what `ganneal.dynamics.study` is given; parts without one have no eigenvalue picture
    left_out  names that are no stabilisers
    """

    title: str
    registry: Registry[Any]
    key: str
    studies: dict[str, dict[str, Any]]
    left_out: tuple[str, ...] = ()


def _penalised(text: str, objective: str = "wasserstein", **more: Any) -> dict[str, Any]:
    return {"name": "dirac", "objective": objective, "penalties": [text], **more}


def _solved(text: str) -> dict[str, Any]:
    return {"name": "dirac", "objective": "jsd", "solver": text, "lr": 0.2}


KINDS = (
    Kind(
        "Penalties",
        PENALTIES,
        "penalty",
        {
            "r1": _penalised("r1(gamma=1)"),
            "r2": _penalised("r2(gamma=1)"),
            "r1r2": _penalised("r1r2(gamma=0.5)"),
            "sgp": {"name": "lq_uniform", "objective": "wasserstein", "penalties": ["sgp(rho=1)"]},
            "roth": _penalised("roth(gamma=2)", "jsd"),
            "nk": {"name": "lq_uniform", "objective": "wasserstein", "penalties": ["nk(eta=0.5)"]},
            "jare": {"name": "affine", "objective": "jsd", "penalties": ["jare(gamma=10)"]},
            "consensus": _penalised("consensus(gamma=0.5)"),
            "clip": _penalised("clip(bound=0.5)"),
        },
    ),
    Kind("Solvers", SOLVERS, "solver", {name: _solved(name) for name in SOLVERS}),
    Kind("What the critic sees", SIGHTS, "critic", {}, ("single",)),
    Kind("Augmentation", AUGMENTATIONS, "augment", {}, ("none",)),
    Kind("Latent laws", LATENT_LAWS, "latent_law", {}, ("normal", "uniform")),
    Kind("Systems", SYSTEMS, "system", {}, ("gan",)),
    Kind(
        "Objectives",
        OBJECTIVES,
        "objective",
        {name: {"name": "dirac", "objective": name} for name in ("jsd", "nonsaturating", "wasserstein")},
        ("rkl", "nwj", "kl"),
    ),
)


def write(source: Path) -> None:
    """All pages and pictures, into the folder of generated ones; what is there already and the same is left alone."""
    folder = source / PLACE
    folder.mkdir(parents=True, exist_ok=True)
    costs, measured = _costs(), _measured()
    files: dict[str, bytes] = {}
    listed = ["# All parts", "", "```{toctree}", ":maxdepth: 1", ""]
    table = ["", "| part | what it is | step, times plain | gradients a step |", "| --- | --- | --- | --- |"]
    for kind in KINDS:
        for name in kind.registry:
            if name in kind.left_out:
                continue
            page, picture = _page(kind, name, costs.get(name), measured)
            files[f"{kind.key}-{name}.md"] = page.encode()
            if picture is not None:
                files[f"{kind.key}-{name}.png"] = picture
            listed.append(f"{kind.key}-{name}")
            cost = costs.get(name)
            told = f"{cost['ratio']:.2f} | {cost['evaluations']}" if cost else " | "
            about = parts._cell(parts.sentence(kind.registry[name]))
            table.append(f"| [`{name}`]({kind.key}-{name}.md) | {about} | {told} |")
    files["measured.md"] = _all_measured(measured).encode()
    files["index.md"] = "\n".join([*listed, "```", *table, ""]).encode()
    for name, data in files.items():
        path = folder / name
        if not path.exists() or path.read_bytes() != data:
            path.write_bytes(data)
    for path in folder.iterdir():
        if path.name not in files:
            path.unlink()


def _page(kind: Kind, name: str, cost: dict[str, Any] | None, rows: list[dict[str, Any]]) -> tuple[str, bytes | None]:
    factory = kind.registry[name]
    form = parts.form(name, factory)
    out = [f"# {name}", "", f'`--{kind.key.replace("_", "-")} "{form}"`', "", _docstring(factory), ""]
    if cost is not None:
        out += [
            "## Cost",
            "",
            f"A step takes {cost['ratio']:.2f} times a plain step [{cost['ratio_low']:.2f}, {cost['ratio_high']:.2f}] "
            f"and {cost['evaluations']} gradient evaluations (`benchmarks/costs.py`; ring of 8, two layers of 128, "
            f"batch 256, one thread).",
            "",
        ]
    picture = None
    if name in kind.studies:
        picture, told = _studied(kind.studies[name])
        out += ["## On a game that is solved exactly", "", told, "", f"```{{image}} {kind.key}-{name}.png\n```", ""]
    if used := _used(kind, name, rows):
        out += ["## Measured", "", _table(used), ""]
    return "\n".join(out), picture


def _docstring(factory: Callable[..., Any]) -> str:
    """The docstring as text, its indented lines as formulas."""
    out: list[str] = []
    code = False
    for line in (inspect.getdoc(factory) or "").splitlines():
        indented = line.startswith("    ") and bool(line.strip())
        if indented != code and (indented or line.strip()):
            out.append("```text" if indented else "```")
            code = indented
        out.append(line)
    return "\n".join([*out, *(["```"] if code else [])])


def _studied(asked: dict[str, Any]) -> tuple[bytes, str]:
    from ganneal.dynamics import study
    from ganneal.report.portrait import picture

    found = study(**asked)
    method = " ".join(
        [f"--objective {asked['objective']}"]
        + [f'--penalty "{p}"' for p in asked.get("penalties", ())]
        + ([f'--solver "{asked["solver"]}"'] if "solver" in asked else [])
        + ([f"--lr {asked['lr']:g}"] if "lr" in asked else [])
    )
    words = "\n".join(f"- {line}" for line in found.words)
    return picture(found), f"`ganneal dynamics {asked['name']} {method}`:\n\n{words}"


def _costs() -> dict[str, dict[str, Any]]:
    rows = json.loads(COSTS.read_text(encoding="utf-8"))["rows"] if COSTS.is_file() else []
    return {row["part"]: row for row in rows}


def _measured() -> list[dict[str, Any]]:
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(MEASURED.glob("*.json"))]


def _used(kind: Kind, name: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of the benchmark in which this part is what differs from the plain game, and those plain games."""

    def names(row: dict[str, Any]) -> list[str]:
        value = row["options"].get(kind.key, ())
        texts = [value] if isinstance(value, str) else value
        return [text.partition("(")[0] for text in texts]

    own = [row for row in rows if name in names(row)]
    against = {(row["problem"], row["against"]) for row in own}
    plain = [row for row in rows if (row["problem"], row["method"]) in against and row not in own]
    return plain + own


def _all_measured(rows: list[dict[str, Any]]) -> str:
    """The whole benchmark, for the chooser."""
    out = ["## Measured", ""]
    for problem in sorted({row["problem"] for row in rows}):
        own = [row for row in rows if row["problem"] == problem]
        first = own[0]["averaged"][0]
        out += [
            f"{problem}: {len(own[0]['seeds'])} seeds, {own[0]['budget']} gradient evaluations each unless stated, "
            f"{first['samples']} samples of the averaged generator. A perfect sampler has {first['total']} modes, "
            f"{first['high_quality_ceiling']:.2%} high quality and a KL of {first['kl_floor']:.4f}.",
            "",
            _table(own),
            "",
        ]
    return "\n".join(out)


def _table(rows: list[dict[str, Any]]) -> str:
    out = [
        "| problem | row | modes | all modes | high quality, % | KL | seconds |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in sorted(rows, key=lambda r: (r["problem"], r["method"])):
        scores = row["averaged"]
        full = sum(s["modes"] == s["total"] for s in scores)
        modes = sum(s["modes"] for s in scores) / len(scores)
        quality = 100 * sum(s["high_quality"] for s in scores) / len(scores)
        finite = [s["kl"] for s in scores if s["kl"] is not None]
        kl = f"{sum(finite) / len(finite):.3f}" if len(finite) == len(scores) else "infinite"
        out.append(
            f"| {row['problem']} | {row['method']} | {modes:.1f} of {scores[0]['total']} | {full} of {len(scores)} "
            f"seeds | {quality:.1f} | {kl} | {row['seconds']:.0f} |"
        )
    return "\n".join(out)
