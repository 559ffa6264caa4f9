"""Samples in the form that ArviZ, PyMC and NumPyro share: `InferenceData`, on disk a netCDF file.

    idata = to_arviz(samples, ["mu", "tau"], log_weights, {"target": "funnel(dim=2)"})
    save(idata, "samples.nc")

Needs the extra `arviz`. Rows of a sampler are independent, so they make one chain unless samples come as [chains,
draws, d]; diagnostics of ArviZ that compare chains have nothing to say about a single one.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ganneal.errors import RunError, UsageError

if TYPE_CHECKING:
    import arviz

VARIABLE = "x"
"""Name of all coordinates together, where they have no names of their own."""


def to_arviz(
    samples: Any, names: Sequence[str] | None = None, log_weights: Any = None, attrs: Mapping[str, Any] | None = None
) -> arviz.InferenceData:
    """`InferenceData` with the samples as `posterior`.

    samples      [n, d], or [chains, draws, d]; arrays or tensors, finite
    names        of the d coordinates, one variable each; by default one variable `x` with all of them
    log_weights  log u - log q, [n] or [chains, draws]: the variable `log_weight` of `sample_stats`. ArviZ does not use
                 it by itself; samples stay unweighted
    attrs        what is to be known about them: texts, numbers or truth values, kept twice (all, `posterior`)

    Raises `UsageError` where `arviz` is not installed and for what does not fit.
    """
    values = _array(samples, "samples")
    if values.ndim == 2:
        values = values[None]
    if values.ndim != 3 or 0 in values.shape:
        raise UsageError(f"samples: got shape {values.shape}; allowed: [n, d] or [chains, draws, d]")
    chains, draws, d = values.shape
    if names is None:
        posterior = {VARIABLE: values}
    else:
        if isinstance(names, str) or len(names) != d or len(set(names)) != d:
            raise UsageError(f"names: got {names!r}; allowed: {d} different names, one for each coordinate")
        posterior = {str(name): values[:, :, i] for i, name in enumerate(names)}
    stats = None
    if log_weights is not None:
        weights = _array(log_weights, "log_weights")
        if weights.shape not in ((chains, draws), (chains * draws,)):
            raise UsageError(f"log_weights: got shape {weights.shape}; allowed: {(chains, draws)}, as samples have")
        stats = {"log_weight": weights.reshape(chains, draws)}
    told = {"inference_library": "ganneal", **{key: _attribute(key, value) for key, value in (attrs or {}).items()}}
    return _arviz().from_dict(posterior=posterior, sample_stats=stats, attrs=told, posterior_attrs=told)


def save(idata: arviz.InferenceData, path: str | Path) -> Path:
    """Writes a netCDF file through h5netcdf. Raises `UsageError` unless its name ends in .nc, `RunError` where it
    cannot be written."""
    path = Path(path)
    if path.suffix != ".nc":
        raise UsageError(f"path: got {str(path)!r}; allowed: a name that ends in .nc")
    _arviz()
    try:
        idata.to_netcdf(str(path), engine="h5netcdf")
    except OSError as error:
        raise RunError(f"{path}: cannot be written ({error})") from error
    return path


def _arviz() -> ModuleType:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # on its next major version, at import
            import arviz
            import h5netcdf  # noqa: F401
    except ImportError as error:
        raise UsageError(f'export to ArviZ: {error.name} is not installed; pip install "ganneal[arviz]"') from error
    return arviz


def _array(values: Any, name: str) -> np.ndarray:
    try:
        tensor = values.detach().cpu() if isinstance(values, torch.Tensor) else torch.as_tensor(np.asarray(values))
        array = tensor.to(torch.float64).numpy()
    except (TypeError, ValueError, RuntimeError) as error:
        raise UsageError(f"{name}: got {type(values).__name__}; allowed: an array of numbers ({error})") from error
    if not np.isfinite(array).all():
        raise UsageError(
            f"{name}: {int((~np.isfinite(array)).sum())} numbers are NaN or infinite; allowed: finite ones"
        )
    return array


def _attribute(key: str, value: Any) -> Any:
    if isinstance(value, bool):
        return int(value)  # netCDF has no truth values
    if isinstance(value, str | int | float):
        return value
    raise UsageError(f"attrs: got {type(value).__name__} for {key!r}; allowed: texts, numbers and truth values")
