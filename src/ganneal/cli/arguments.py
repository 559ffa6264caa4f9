"""Command lines generated from typed models. The parser only tells words apart; what is wrong with a value is the
model's to say, so that a flag, a YAML file and Python get the same one-line errors."""

import contextlib
import io
import re
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

import tyro
from pydantic import BaseModel, Field, ValidationError, create_model

from ganneal.engine.config import Config
from ganneal.engine.problems import problem
from ganneal.errors import UsageError, nearest

Model = TypeVar("Model", bound=BaseModel)


def parse(model: type[Model], verb: str, args: list[str], example: str) -> Model:
    """The arguments of a verb as its model. Prints help and exits for --help; raises `UsageError` for anything else
    that is wrong."""
    _check_options(model, verb, args)
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            words = tyro.cli(
                _words(model),
                prog=f"ganneal {verb}",
                args=args,
                description=f"{model.__doc__}\n\nExample: {example}",
                config=(tyro.conf.FlagCreatePairsOff,),
            )
    except SystemExit as stop:
        if not stop.code:
            raise
        raise UsageError(f"{_gist(said.getvalue())}; see `ganneal {verb} --help`") from None
    try:
        return model.model_validate({name: value for name, value in words.model_dump().items() if value is not None})
    except ValidationError as error:
        raise UsageError(problem(error)) from None


def _check_options(model: type[BaseModel], verb: str, args: list[str]) -> None:
    options = {"--help", "-h"} | {
        alias
        for field in model.model_fields.values()
        for mark in _marks(field)
        for alias in getattr(mark, "aliases", None) or ()
    }
    options |= {
        "--json" if name == "as_json" else f"--{name.replace('_', '-')}"
        for name, field in model.model_fields.items()
        if tyro.conf.Positional not in _marks(field)
    }
    for arg in args:
        word = arg.split("=", 1)[0].replace("_", "-") if arg.startswith("--") else arg[:2]
        if re.match("--?[a-zA-Z]", word) and word not in options:
            close = nearest(word, options - {"-h"})
            raise UsageError(
                f"unknown option '{arg}': {close if len(options) < 12 else close.split(' (')[0]}; see "
                f"`ganneal {verb} --help`"
            )


def _words(model: type[BaseModel]) -> type[BaseModel]:
    """The model with text in place of every type but flags."""
    fields: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        kind, default, marks = field.annotation, field.default, _marks(field)
        if kind is not bool:
            text: Any = tuple[str, ...] if tuple in (get_origin(kind), *map(get_origin, get_args(kind))) else str
            kind, default = (text | None, None) if default is None else (text, str(default))
            if not any(getattr(mark, "metavar", None) for mark in marks):
                marks.append(tyro.conf.arg(metavar=_word(field.annotation)))
        form = (
            Field(description=field.description)
            if field.is_required()
            else Field(default, description=field.description)
        )
        fields[name] = (Annotated[kind, *marks] if marks else kind, form)
    return create_model(model.__name__, **fields)


def _marks(field: Any) -> list[Any]:
    """What is said to the parser about a field, without what is said to the model."""
    return [mark for mark in field.metadata if type(mark).__module__.startswith("tyro")]


def _gist(text: str) -> str:
    """The message of the parser, which it draws in a box, in our words."""
    lines = [line.strip("│╭╮╰╯─- ").strip() for line in text.splitlines()]
    said = " ".join(line for line in lines if line)
    if found := re.search(r"Unrecognized options: (.*?)(?: For full|$)", said):
        return f"unexpected argument '{found[1]}'"
    if found := re.search(r"Missing from [^:]*: (\S+)", said):
        return f"{found[1]} is missing"
    if found := re.search(r"Missing value for argument '(?:[^']*/)?([^']*)'", said):
        return f"{found[1]}: expected a value, got none"
    return said.split(" For full")[0] or "cannot read the arguments"


def request_model() -> type[BaseModel]:
    """`Config` with every key optional and unchecked: a key that is not given is left to the recipe, which then is
    checked as a whole."""
    fields: dict[str, Any] = {
        "source": (Annotated[tyro.conf.Positional[str], _shown("SOURCE", "")], Field(description=_about("source")))
    }
    for name in Config.model_fields:
        if name != "source":
            fields[name] = _optional(name)
    fields["steps"] = (
        Annotated[str | None, _shown("INT", "")],
        Field(None, description="Length of training in steps, instead of examples."),
    )
    fields["config"] = (
        Annotated[str | None, _shown("FILE", "")],
        Field(None, description="YAML file with keys as in this list; flags override it."),
    )
    return create_model("Train", __doc__="Train a generator on SOURCE, and judge it against held-out data.", **fields)


def _optional(name: str) -> tuple[Any, Any]:
    field = Config.model_fields[name]
    kind = field.annotation
    default = " ".join(field.default) if isinstance(field.default, tuple) else field.default
    choices = [str(c) for c in get_args(kind)] if get_origin(kind) is Literal else []
    word = (
        "{" + ",".join(choices) + "}"
        if choices
        else "TEXT ..."
        if name == "penalty"
        else "INT ..."
        if name == "seeds"
        else _word(kind)
    )
    hint = "" if default in (None, "") else f"[{default}]"
    text = tuple[str, ...] if name in ("penalty", "seeds") else str
    return Annotated[text | None, _shown(word, hint)], Field(None, description=_about(name))


def _word(kind: Any) -> str:
    kinds = (kind, *get_args(kind))
    return "INT" if int in kinds else "NUMBER" if float in kinds else "PATH" if Path in kinds else "TEXT"


def _about(name: str) -> str:
    return Config.model_fields[name].description or ""


def _shown(word: str, hint: str) -> Any:
    return tyro.conf.arg(metavar=word, help_behavior_hint=hint)
