"""What the pages have in common: templates, filters and styles, JSON inside of a page, and files that appear whole."""

import json
import os
from contextlib import suppress
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import DictLoader, Environment, StrictUndefined
from markupsafe import Markup

from ganneal.errors import RunError
from ganneal.report.verdict import number, p_value, percent

TEMPLATES = ("page.html", "comparison.html", "grid.html")
PIECES = ("page.css", "page.js", "comparison.css", "grid.css", "uplot.min.js", "uplot.min.css")


def environment() -> Environment:
    """The templates of both pages, all text escaped; a style or script X.Y is the global `X_Y`."""
    folder = files("ganneal.report")
    made = Environment(
        loader=DictLoader({name: folder.joinpath(name).read_text(encoding="utf-8") for name in TEMPLATES}),
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined,
    )  # fmt: skip
    made.filters |= {
        "number": number,
        "p_value": p_value,
        "percent": percent,
        "share": lambda v: number(v) if v is None else f"{100 * v:.1f} %",
    }
    for name in PIECES:
        made.globals[name.replace(".", "_")] = Markup(folder.joinpath(name).read_text(encoding="utf-8"))
    return made


def script(value: Any) -> Markup:
    """JSON for a script tag: no `<`, `>` or `&`, so that no text can end the tag."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def write_page(path: Path, page: str) -> Path:
    """Write a page; the file appears whole or not at all."""
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.tmp")
    try:
        temporary.write_text(page, encoding="utf-8")
        os.replace(temporary, path)
    except OSError as error:
        raise RunError(f"{path}: cannot write it ({error.strerror or error})") from None
    finally:
        with suppress(OSError):  # what could not be made cannot be removed
            temporary.unlink(missing_ok=True)
    return path
