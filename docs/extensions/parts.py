"""Tables of parts, made from the registries.

`python docs/extensions/parts.py README.md` writes the short one between two marks of a page.
"""

import inspect
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ganneal.augmentation import AUGMENTATIONS
from ganneal.data import SOURCES
from ganneal.dynamics.games import GAMES
from ganneal.engine.systems import SYSTEMS
from ganneal.features import FEATURES
from ganneal.latents import LATENT_LAWS
from ganneal.nets import NETWORKS
from ganneal.objectives import OBJECTIVES
from ganneal.parts import Range, Registry
from ganneal.penalties import PENALTIES
from ganneal.schedules import SCHEDULES
from ganneal.scores import SCORES
from ganneal.solvers import OPTIMIZERS, SOLVERS
from ganneal.systems.sight import SIGHTS
from ganneal.targets import TARGETS
from ganneal.twosample import KERNELS, TESTS

KINDS: dict[str, tuple[Registry[Any], str]] = {
    "objectives": (OBJECTIVES, "what critic and generator minimise"),
    "penalties": (PENALTIES, "on the critic, the generator, and the field of their game; several may be combined"),
    "schedules": (SCHEDULES, "a coefficient as a function of progress, 0 to 1"),
    "scores": (SCORES, "estimators of grad log p, which the regularisers need"),
    "solvers": (SOLVERS, "how the losses become steps"),
    "optimizers": (OPTIMIZERS, "how one step moves parameters"),
    "networks": (NETWORKS, "pairs of generator and critic"),
    "systems": (SYSTEMS, "games with more players than one generator and one critic"),
    "critics": (SIGHTS, "what a critic sees at once"),
    "augmentations": (AUGMENTATIONS, "differentiable, of data and samples alike"),
    "latent laws": (LATENT_LAWS, "where a generator's input comes from"),
    "games": (GAMES, "solved exactly, for `ganneal dynamics`"),
    "tests": (TESTS, "two-sample tests, for `ganneal test` and `evaluate`"),
    "kernels": (KERNELS, "of the test `mmd`"),
    "features": (FEATURES, "what `ganneal evaluate` compares on"),
    "sources": (SOURCES, "data that are built in; files and arrays come beside them"),
    "targets": (TARGETS, "unnormalised densities, as `target:NAME`; functions of your own come beside them"),
}
BEGIN, END = "<!-- parts: written by `make readme` -->", "<!-- end of parts -->"
NOT_TEXT = {"seed", "size", "score_function"}
"""Arguments that are set elsewhere, or that no text can give."""


def short() -> str:
    """One row for each kind."""
    table = ["| part | names | what it is |", "| --- | --- | --- |"]
    for kind, (registry, about) in KINDS.items():
        table.append(f"| {kind} | {', '.join(f'`{name}`' for name in registry)} | {about} |")
    return "\n".join(table)


def full() -> str:
    """A section for each kind, a row for each part."""
    out = []
    for kind, (registry, about) in KINDS.items():
        out += [f"## {kind.capitalize()}", "", f"{about.capitalize()}.", "", "| text form | |", "| --- | --- |"]
        out += [f"| `{form(name, registry[name])}` | {_cell(sentence(registry[name]))} |" for name in registry]
        out.append("")
    return "\n".join(out)


def form(name: str, factory: Callable[..., Any]) -> str:
    """`name(argument=default)`: what may be written."""
    told = []
    for parameter in inspect.signature(factory).parameters.values():
        if parameter.kind is parameter.VAR_POSITIONAL:
            told.append("...")
        elif parameter.default is not parameter.empty and parameter.name not in NOT_TEXT:
            told.append(f"{parameter.name}={_value(parameter.default)}")
        elif parameter.default is parameter.empty:
            told.append("a->b" if parameter.name == "range" else parameter.name)
    return f"{name}({', '.join(told)})" if told else name


def _value(value: Any) -> str:
    if isinstance(value, Range):
        return f"{value.start:g}->{value.end:g}"
    if value is None or isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return str(list(value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def sentence(factory: Callable[..., Any]) -> str:
    """The first sentence of a docstring, on one line; the part's own text form, which stands beside it, is left out."""
    text = " ".join((inspect.getdoc(factory) or "").split("\n\n")[0].split())
    text = re.sub(r"^`\w+(?:\([^`]*)?`: (\w)", lambda found: found[1].upper(), text)
    found = re.match(r"(.+?)(?<! al)(?<!\bi\.e)(?:\.(?= [A-Z]|$)|:(?= `))", text)
    return (found[1] if found else text).rstrip(".:") + "."


def _cell(text: str) -> str:
    return re.sub(r"([|*_\[])", r"\\\1", text) if "`" not in text else text.replace("|", "\\|")


def written(page: str) -> str:
    """A page with the short table between its marks."""
    head, _, rest = page.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}\n\n{short()}\n\n{END}{tail}"


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(written(path.read_text(encoding="utf-8")), encoding="utf-8")
