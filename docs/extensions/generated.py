"""Reference pages that are made from the code when the documentation is built, so that they cannot go stale."""

import contextlib
import io
import pkgutil
import re
from importlib import import_module
from pathlib import Path
from typing import Any

import parts
from pydantic_core import PydanticUndefined
from sphinx.util import logging

import stabilisers
from ganneal.cli import VERBS, usage
from ganneal.engine.config import Config, recipes

PLACE = "reference/generated"


def setup(app: Any) -> dict[str, bool]:
    """Hook into the build."""
    app.connect("builder-inited", _write_all)
    return {"parallel_read_safe": True}


def _write_all(app: Any) -> None:
    folder = Path(app.srcdir) / PLACE
    folder.mkdir(exist_ok=True)
    pages = {f"{name}.rst": page for name, page in api_pages().items()}
    pages |= {
        "command-line.md": command_line(),
        "configuration.md": configuration(),
        "parts.md": f"# Parts\n\n{_ABOUT_PARTS}\n\n{parts.full()}",
    }
    for name, text in pages.items():
        path = folder / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
    for path in folder.iterdir():
        if path.name not in pages:
            path.unlink()
    stabilisers.write(Path(app.srcdir))
    readme = Path(app.srcdir).parent / "README.md"
    text = readme.read_text(encoding="utf-8")
    if parts.written(text) != text:
        logging.getLogger(__name__).warning("the table of parts in README.md is stale: run `make readme`")


_ABOUT_PARTS = """Every part has a text form, `name(argument=value, ...)`, the same on the command line, in YAML and
in Python strings. Arguments that are left out have the value shown. `a->b` is a range, `[...]` a list, and a bare
number is a constant schedule. `ganneal info` prints the names. Formulas, sources and costs are on the pages of the
packages, for example {doc}`ganneal.objectives`."""


def api_pages() -> dict[str, str]:
    """A page for each package, with a section for each of its modules, and one for the modules at the top."""
    pages = {"ganneal": _page("ganneal", [f"ganneal.{m.name}" for m in _inside("ganneal") if not m.ispkg])}
    for module in _inside("ganneal"):
        name = f"ganneal.{module.name}"
        if module.ispkg and module.name not in ("cli", "recipes"):
            pages[name] = _page(name, [f"{name}.{m.name}" for m in _inside(name)])
    return pages


def _inside(package: str) -> list[pkgutil.ModuleInfo]:
    found = pkgutil.iter_modules(import_module(package).__path__)
    return sorted((m for m in found if not m.name.startswith("_")), key=lambda m: m.name)


def _page(package: str, modules: list[str]) -> str:
    out = [package, "=" * len(package), "", f".. automodule:: {package}", "   :no-members:", ""]
    for name in modules:
        label = name.rsplit(".", 1)[-1]
        out += [label, "-" * len(label), "", f".. automodule:: {name}", ""]
    return "\n".join(out)


def command_line() -> str:
    """What `ganneal --help` and `ganneal VERB --help` print."""
    out = ["# Command line", "", "```text", usage().rstrip(), "```", ""]
    for verb in VERBS:
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.suppress(SystemExit):
            import_module(f"ganneal.cli.{verb}").main(["--help"])
        text = re.sub(r"\x1b\[[0-9;]*m", "", said.getvalue())
        out += [f"## ganneal {verb}", "", "```text", text.rstrip(), "```", ""]
    return "\n".join(out)


def configuration() -> str:
    """Every key of a configuration, and the recipes."""
    out = ["# Configuration", "", _ABOUT_KEYS, "", "| key | default | meaning |", "| --- | --- | --- |"]
    for name, field in Config.model_fields.items():
        default = "" if field.default is PydanticUndefined or field.default is None else field.default
        shown = " ".join(default) if isinstance(default, tuple) else str(default)
        about = " ".join((field.description or "").split()).replace("|", "\\|")
        out.append(f"| `{name}` | {f'`{shown}`' if shown else ''} | {about} |")
    out += ["", "## Recipes", "", "`ganneal recipes NAME` prints one as YAML.", ""]
    for name, values in sorted(recipes().items()):
        out += [f"`{name}`", f": {values['about']}", ""]
    return "\n".join(out)


_ABOUT_KEYS = """The same keys are arguments of `gn.train`, keys of a YAML file (`ganneal train SOURCE --config FILE`)
and, with dashes, options of `ganneal train`. Values come from the defaults below, then the recipe, then the file, then
the options; what results is checked as a whole before anything runs and written to `config.yaml` of the run. `steps`
may be given instead of `examples`."""
