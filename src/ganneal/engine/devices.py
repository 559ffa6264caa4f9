"""Where and how a training computes: device, numbers, threads, compilation. All choices depend on the configuration
alone, never on a stopwatch, so that the same seed gives the same bits."""

import os
from collections.abc import Callable
from pathlib import Path
from types import FunctionType, MethodType
from typing import Any

import torch

from ganneal.engine.config import Config
from ganneal.errors import UsageError

THREAD_WORK = 4e8
"""Multiply-adds of a step below which a second thread costs more than it brings (measured: benchmarks/steps.py)."""
COMPILE_STEPS = {"cpu": 60_000, "cuda": 5_000}
"""Steps above which compiling small dense networks pays for itself twice over. A cold compilation takes 10-50 s and
saves about half of a 1-3 ms step (benchmarks/steps.py); convolutions gain too little on a CPU."""


def device_of(config: Config) -> torch.device:
    """The device. Raises `UsageError` if cuda is asked for and absent."""
    if config.device == "cuda" and not torch.cuda.is_available():
        raise UsageError("device: cuda is not available here; use cpu or auto")
    use_cuda = config.device == "cuda" or (config.device == "auto" and torch.cuda.is_available())
    return torch.device("cuda", torch.cuda.current_device()) if use_cuda else torch.device("cpu")


def numbers(config: Config) -> tuple[torch.dtype, torch.dtype | None]:
    """(dtype of parameters and data, dtype for autocast or None)."""
    dtype = torch.float64 if config.precision == "float64" else torch.float32
    return dtype, torch.bfloat16 if config.precision == "bf16" else None


def threads(config: Config, work: float) -> int:
    """The number of CPU threads: as configured, or one for small steps and all cores for large ones."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return config.threads or (1 if work < THREAD_WORK else available)


def should_compile(config: Config, dense: bool, device: torch.device) -> bool:
    """Whether the run is long enough to pay for the compiler."""
    if config.compile != "auto":
        return config.compile == "on"
    return (dense or device.type == "cuda") and config.steps >= COMPILE_STEPS[device.type]


def compiled(method: Callable[..., Any], device: torch.device) -> Any:
    """The method, compiled whole. The compiler's cache lives across runs, in the user's cache folder unless set
    otherwise.

    The trainer always passes tensors of the same shapes, so of the guards that would check this at every step only
    those on names are kept: which coefficients are present tells lazy steps from others.
    """
    if "TORCHINDUCTOR_CACHE_DIR" not in os.environ:
        home = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(home / "ganneal" / "inductor")
    import torch._dynamo

    torch._dynamo.config.trace_autograd_ops = True
    options: dict[str, Any] = {
        "guard_filter_fn": lambda guards: [g.guard_type.startswith("DICT") or "coefficients" in g.name for g in guards]
    }
    if device.type == "cpu":
        options["cpp_wrapper"] = True
    return torch.compile(_with_own_code(method), fullgraph=True, dynamic=False, options=options)


def _with_own_code(method: Callable[..., Any]) -> MethodType:
    """The method of this one object. The compiler keeps its results by code object, and without most guards it would
    hand this training the step of another one that has other losses and the same names."""
    assert isinstance(method, MethodType)
    function = method.__func__
    assert isinstance(function, FunctionType)
    own = FunctionType(function.__code__.replace(), function.__globals__, function.__name__)
    return MethodType(own, method.__self__)


def environment(device: torch.device, processes: int) -> dict[str, Any]:
    """What a result depends on, for the record."""
    import platform

    from ganneal import __version__

    cpu = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        names = [
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ]
        cpu = names[0] if names else cpu
    found = {
        "ganneal": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "system": platform.platform(),
        "cpu": cpu,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": str(device),
        "processes": processes,
    }
    return {**found, "gpu": torch.cuda.get_device_name(device)} if device.type == "cuda" else found
