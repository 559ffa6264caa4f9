"""From a text, a file or an object to a `Target`: the one place that knows which form belongs to which reader."""

import importlib.util
import inspect
import re
import sys
import zlib
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from ganneal.errors import UsageError, nearest
from ganneal.parts import Part, Registry, parse
from ganneal.targets import foreign, user
from ganneal.targets.banana import banana
from ganneal.targets.funnel import funnel
from ganneal.targets.gaussian import gaussian
from ganneal.targets.kidney import kidney
from ganneal.targets.lattice import phi4
from ganneal.targets.logistic import logistic
from ganneal.targets.mixtures import gmm40, gmm40_blessing, grid, mixture, ring
from ganneal.targets.moons import moons
from ganneal.targets.particles import dw4, lj13
from ganneal.targets.student import student
from ganneal.targets.target import Target
from ganneal.targets.wells import double_well, many_well

TARGETS: Registry[Target] = Registry(
    "target",
    {
        f.__name__: f
        for f in (
            gaussian, kidney, moons, ring, grid, mixture, gmm40, gmm40_blessing, student, banana, funnel, double_well,
            many_well, dw4, lj13, logistic, phi4,
        )
    },
)  # fmt: skip
PREFIX = "target:"
_IN_FILE = re.compile(r"\.py:[A-Za-z_][\w.]*$")


def is_target_text(text: str) -> bool:
    """Whether a text can only name a target: `target:kidney`, `density.py:log_prob`.

    >>> is_target_text("target:kidney"), is_target_text("folder/density.py:log_prob"), is_target_text("digits")
    (True, True, False)
    """
    text = text.strip()
    return text.startswith(PREFIX) or bool(_IN_FILE.search(text))


def open_target(value: Any, dim: int | None = None) -> Target:
    """A target from whatever says which one.

    value    a text, `kidney`, `gaussian(dim=10)`, `target:kidney`, `path/to/file.py:name`; a `Target`; a function of a
             batch x [b, d] (`ganneal.targets.user`); a `torch.distributions.Distribution`; an object with
             `param_unc_num()` and `log_density_gradient(x)`, such as a BridgeStan model; an object with `log_prob`
    dim      d, for functions, whose dimension nothing else tells; for all others it must agree

    Raises `UsageError` for unknown names, files that cannot be loaded (with the end of their own traceback), a
    dimension that is missing or does not agree, and objects that are no density.
    """
    if isinstance(value, str):
        text = value.strip().removeprefix(PREFIX).strip()
        if _IN_FILE.search(text):
            path, _, name = text.rpartition(":")
            return _opened(_from_file(Path(path).expanduser(), name), dim, text)
        return _agreeing(_registered(text), dim)
    return _opened(value, dim, getattr(value, "__qualname__", None) or type(value).__name__)


def _registered(text: str) -> Target:
    if not text:
        raise UsageError(f"the text of a target is empty; {nearest('', TARGETS)}, or file.py:name")
    if text.endswith(".py"):
        raise UsageError(f"{text}: which function of the file? write {text}:name")
    part = parse(text)
    if not isinstance(part, Part):
        raise UsageError(f"a target is written name(...), got '{text}'; {nearest('', TARGETS)}, or file.py:name")
    return TARGETS.build(part)


def _opened(value: Any, dim: int | None, name: str) -> Target:
    if isinstance(value, Target):
        return _agreeing(value, dim)
    if any(value is factory for factory in TARGETS.entries.values()):
        raise UsageError(f"{name}: is a function that makes a target; call it: {name}(), or pass '{name}'")
    if inspect.isclass(value):
        raise UsageError(f"{name}: is a class; make an object of it, {name}(...)")
    if isinstance(value, torch.distributions.Distribution):
        return foreign.from_distribution(value, dim, name)
    if hasattr(value, "param_unc_num") and hasattr(value, "log_density_gradient"):
        return foreign.from_stan(value, dim, name)
    if callable(getattr(value, "log_prob", None)) or callable(value):
        return user.from_function(value, dim, name)
    raise UsageError(
        f"{name}: a {type(value).__name__} is no target; allowed: a text, a function of a batch, a Target, a "
        "torch.distributions.Distribution, an object with log_prob or log_density_gradient"
    )


def _agreeing(target: Target, dim: int | None) -> Target:
    if dim is not None and dim != target.dim:
        raise UsageError(f"{target.name}: has {target.dim} dimensions, but dim={dim} was asked for")
    return target


def _from_file(path: Path, name: str) -> Any:
    """What a Python file calls `name` (with dots: an attribute of it). The file's folder can be imported from."""
    text = f"{path}:{name}"
    if not path.is_file():
        raise UsageError(f"{text}: there is no file '{path}' (relative to {Path.cwd()})")
    value: Any = _module(path.resolve(), text)
    for part in name.split("."):
        if not hasattr(value, part):
            public = [k for k in vars(value) if not k.startswith("_")] if hasattr(value, "__dict__") else []
            raise UsageError(f"{text}: there is no '{part}' in it; {nearest(part, public)}")
        value = getattr(value, part)
    return value


def _module(path: Path, text: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"_target_{zlib.crc32(str(path).encode()):08x}_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise UsageError(f"{text}: '{path}' cannot be read as Python")
    module = importlib.util.module_from_spec(spec)
    # dataclasses and pickle look modules up by name; the folder stays importable for imports inside functions
    sys.modules[spec.name] = module
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    try:
        spec.loader.exec_module(module)
    except SystemExit as error:
        raise UsageError(f"{text}: the file ends the program when it is imported (exit {error.code})") from error
    except Exception as error:  # a user's file may raise anything: it is told, with its traceback
        where = f" (line {error.lineno})" if isinstance(error, SyntaxError) else ""
        told = f"{text}: cannot be imported: {type(error).__name__}: {error}{where}"
        raise UsageError(f"{told}\n{user.last_lines(error)}".rstrip()) from error
    return module
