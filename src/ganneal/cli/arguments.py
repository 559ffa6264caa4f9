"""Command lines generated from typed models, with errors that fit on one line."""

import contextlib
import io
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

import tyro
from pydantic import BaseModel, Field, create_model

from ganneal.engine.config import Config
from ganneal.errors import UsageError, nearest

Model = TypeVar("Model", bound=BaseModel)


def parse(model: type[Model], verb: str, args: list[str], example: str) -> Model:
    """The arguments of a verb as its model. Prints help and exits for --help; raises `UsageError` for anything else that is wrong."""
    options = {"--json" if name == "as_json" else f"--{name.replace('_', '-')}" for name in model.model_fields}
    for arg in args:
        word = arg.split("=", 1)[0].replace("_", "-")
        if word.startswith("--") and word != "--help" and word not in options:
            close = nearest(word, options)
            raise UsageError(f"unknown option '{arg}': {close if len(options) < 12 else close.split(' (')[0]}; see `ganneal {verb} --help`")
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return tyro.cli(model, prog=f"ganneal {verb}", args=args, description=f"{model.__doc__}\n\nExample: {example}", config=(tyro.conf.FlagCreatePairsOff,))
    except SystemExit as stop:
        if not stop.code:
            raise
        raise UsageError(f"{_gist(said.getvalue())}; see `ganneal {verb} --help`") from None


def _gist(text: str) -> str:
    """The message inside the box that the parser draws."""
    lines = [line.strip("│╭╮╰╯─ ").strip() for line in text.splitlines()]
    useful = [line for line in lines if line and not line.startswith(("Parsing error", "For full helptext", "see ")) and "--help" not in line]
    return " ".join(useful) or "cannot read the arguments"


def request_model() -> type[BaseModel]:
    """`Config` with every key optional: a key that is not given is left to the recipe."""
    fields: dict[str, Any] = {"source": (Annotated[tyro.conf.Positional[str], _shown("SOURCE", "")], Field(description=_about("source")))}
    for name in Config.model_fields:
        if name != "source":
            fields[name] = _optional(name)
    fields["steps"] = (Annotated[int | None, _shown("INT", "")], Field(None, description="Length of training in steps, instead of examples."))
    fields["config"] = (Annotated[str | None, _shown("FILE", "")], Field(None, description="YAML file with keys as in this list; flags override it."))
    return create_model("Train", __doc__="Train a generator on SOURCE, and judge it against held-out data.", **fields)


def _optional(name: str) -> tuple[Any, Any]:
    field = Config.model_fields[name]
    kind = field.annotation
    default = " ".join(field.default) if isinstance(field.default, tuple) else field.default
    choices = [str(c) for c in get_args(kind)] if get_origin(kind) is Literal else []
    word = "{" + ",".join(choices) + "}" if choices else "TEXT ..." if name == "penalty" else "INT ..." if name == "seeds" else _word(kind)
    hint = "" if default in (None, "") else f"[{default}]"
    return Annotated[kind | None, _shown(word, hint)], Field(None, description=_about(name))  # type: ignore[operator]


def _word(kind: Any) -> str:
    return "INT" if int in (kind, *get_args(kind)) else "NUMBER" if kind is float else "TEXT"


def _about(name: str) -> str:
    return Config.model_fields[name].description or ""


def _shown(word: str, hint: str) -> Any:
    return tyro.conf.arg(metavar=word, help_behavior_hint=hint)
