"""`ganneal recipes [NAME]`."""

import json
import textwrap
from typing import Annotated

import tyro
import yaml
from pydantic import BaseModel

from ganneal.cli.arguments import parse
from ganneal.engine.config import recipes
from ganneal.errors import UsageError, nearest


class Recipes(BaseModel, use_attribute_docstrings=True):
    """List the named configurations, or show one as YAML."""

    name: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="[NAME]")] = ""
    """The recipe to show; all are listed without it."""
    as_json: Annotated[bool, tyro.conf.arg(name="json")] = False
    """Print JSON."""


def main(args: list[str]) -> int:
    """Print."""
    request = parse(Recipes, "recipes", args, "ganneal recipes digits")
    known = recipes()
    if request.name and request.name not in known:
        raise UsageError(f"unknown recipe '{request.name}': {nearest(request.name, known)}")
    shown = known[request.name] if request.name else known
    if request.as_json:
        print(json.dumps(shown, indent=1))
    elif request.name:
        print(yaml.safe_dump(shown, sort_keys=False, allow_unicode=True, width=1000), end="")
    else:
        for name, values in sorted(known.items()):
            print(textwrap.fill(values["about"], 110, initial_indent=f"{name:<22}", subsequent_indent=" " * 22))
    return 0
