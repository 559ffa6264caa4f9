"""The library's face: `train`, `resume`, and `Run`, the handle of a run folder."""

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ganneal.data import Source, open_source
from ganneal.data.target import TargetSource, absent, is_density
from ganneal.engine import checkpoint, config, training
from ganneal.engine.config import RUNTIME, Config
from ganneal.engine.folder import create
from ganneal.engine.processes import Processes
from ganneal.engine.trainer import Trainer
from ganneal.engine.training import npz
from ganneal.errors import GannealError, RunError, UsageError
from ganneal.nets import FlowArchitecture
from ganneal.targets import Frame, is_target_text

if TYPE_CHECKING:
    from ganneal.engine.diagnosis import Diagnosis

OBJECT = "object:"
"""Prefix of a density that was given as a Python object and cannot be opened by its name."""


class Silent:
    """A watcher that says nothing."""

    def started(self, trainer: Trainer) -> None: ...

    def moved(self, trainer: Trainer, row: dict[str, Any]) -> None: ...

    def noted(self, line: str) -> None: ...


class Run:
    """A run folder: sample from it, read its verdict, continue it.

    density    the log density of a run that was given one as a Python object; needed to continue it and to weigh its
               samples, not to draw them

    >>> run = train("ring8", steps=200)                                                          # doctest: +SKIP
    >>> run.sample(64).shape                                                                     # doctest: +SKIP
    (64, 2)
    """

    def __init__(self, folder: str | Path, density: Any = None):
        self.folder, self.density = Path(folder), density
        if not (self.folder / "config.yaml").is_file():
            raise UsageError(f"{self.folder}: not a run folder (it has no config.yaml)")
        self.config: Config = config.load(self.folder / "config.yaml")

    def checkpoint(self, which: str = "last") -> Path:
        """Path of the `last` checkpoint, of the `best` one by the held-out test, or of the one with that number of
        examples."""
        folder = self.folder / "checkpoints"
        found = checkpoint.listing(folder)
        if not found:
            raise RunError(f"{self.folder}: has no checkpoint yet")
        if which == "last":
            return found[-1]
        if which == "best":
            pointer = folder / "best.json"
            return folder / checkpoint.read_json(pointer)["file"] if pointer.exists() else found[-1]
        if which.isdigit() and (path := folder / f"{int(which):012d}.safetensors") in found:
            return path
        raise UsageError(
            f"checkpoint: got '{which}'; allowed: last, best, or one of {', '.join(str(int(p.stem)) for p in found)}"
        )

    def trainer(self, which: str = "last") -> Trainer:
        """The training, in memory, as it was at a checkpoint."""
        return self._restored(self.source(), Processes(), which)

    def source(self) -> Source:
        """The data of the run, opened again."""
        return open_configured(self.config, self.folder, self.density)

    def _restored(self, source: Source, processes: Processes, which: str) -> Trainer:
        path = self.checkpoint(which)
        tree, meta = checkpoint.read(path)
        made, present = meta["config"], json.loads(self.config.model_dump_json())
        assumed = {name: field.get_default() for name, field in Config.model_fields.items()}  # keys of later versions
        if changed := [k for k in present if k not in RUNTIME and made.get(k, assumed[k]) != present[k]]:
            key = changed[0]
            raise UsageError(
                f"{self.folder / 'config.yaml'}: {key} is {present[key]!r} but {path.name} was made with "
                f"{made.get(key)!r}; restore it, or start a new run"
            )
        trainer = Trainer(self.config, source, processes)
        was, now = meta["data"], {"shape": list(source.shape), "size": source.size}
        if was != now:
            raise UsageError(
                f"{source.name}: the data have changed, {_told(now)} instead of {_told(was)}; restore them, "
                f"or start a new run"
            )
        trainer.restore(tree, meta)
        return trainer

    @property
    def finished(self) -> bool:
        """Whether training has reached its end and was judged."""
        found = checkpoint.listing(self.folder / "checkpoints")
        return bool(found) and int(found[-1].stem) >= self.config.examples and self.verdict is not None

    def resume(self, watcher: training.Watcher | None = None) -> "Run":
        """Continue an interrupted training to its end, bit for bit as if it had not been interrupted.

        A run that is already finished stays as it is; one that was killed before its first checkpoint starts anew.
        """
        processes, source = Processes(), self.source()
        if self.config.source.startswith(OBJECT) and self.density is None and not self.finished:
            raise UsageError(
                f"{self.folder}: its density was given as a Python object; pass it again: resume(folder, density=...)"
            )
        begun = bool(checkpoint.listing(self.folder / "checkpoints"))
        trainer = self._restored(source, processes, "last") if begun else Trainer(self.config, source, processes)
        if not self.finished:
            training.train(trainer, self.folder, watcher or Silent(), resumed=begun)
            if processes.first:
                self.report()
        return self

    def sample(self, n: int, seed: int = 0, member: int = 0, which: str = "last", units: bool = True) -> np.ndarray:
        """n samples: in the data's own units (uint8 pictures, table columns), or in the network's with
        `units=False`."""
        self._check_draw(n, member)
        trainer = self.trainer(which)
        x: Tensor = trainer.sample(n, seed=seed, member=member).cpu()
        return trainer.source.decode(x) if units else x.numpy()

    def to_arviz(self, n: int = 4000, seed: int = 0, member: int = 0, which: str = "last") -> Any:
        """n samples of a density's run as `arviz.InferenceData`, with the log weights log u - log q as sample
        statistics where the generator is a flow, whose density is exact. Needs the extra `arviz`.

        Raises `UsageError` for runs on data, and where ArviZ is not installed.
        """
        from ganneal.engine.judging import drawn, exact_log_q
        from ganneal.export_arviz import to_arviz

        self._check_draw(n, member)
        trainer = self.trainer(which)
        source = trainer.source
        if not isinstance(source, TargetSource):
            raise UsageError(f"{self.folder}: was trained on data; ArviZ is for samples of a density")
        points, log_q, weights = drawn(trainer, source, member, n, seed), exact_log_q(trainer, source, member), None
        if log_q is not None and (self.density is not None or not self.config.source.startswith(OBJECT)):
            weights = source.target.value_and_score(points)[0] - log_q(points)
        about = {"target": source.name, "seed": seed, "run": str(self.folder)}
        return to_arviz(source.embedded(points), None, weights, about)

    def _check_draw(self, n: int, member: int) -> None:
        if n < 1:
            raise UsageError(f"n: at least 1 sample, got {n}")
        if not 0 <= member < self.config.population:
            raise UsageError(f"member: got {member}; allowed: 0 to {self.config.population - 1}")

    @property
    def verdict(self) -> dict[str, Any] | None:
        """The contents of `verdict.json`, or None before the end of training."""
        path = self.folder / "verdict.json"
        return checkpoint.read_json(path) if path.exists() else None

    def diagnosis(self, examine: bool = True, spectrum: bool = False) -> "Diagnosis":
        """What is wrong with the training so far, with what shows it and what to try next; also of a run that is going
        on or has failed. Without `examine` from its events and verdict alone, not from its checkpoint and data; with
        `spectrum` also from the eigenvalues of its game."""
        from ganneal.dynamics import run_spectrum
        from ganneal.engine import diagnosis, events, examination, records

        looks, notes, everyone = {}, [], range(self.config.population)
        if examine:
            try:
                trainer = self.trainer()
                looks = {k: examination.examine(trainer, k) for k in everyone}
                if spectrum:
                    looks = {k: replace(looks[k], spectrum=run_spectrum(self.folder, member=k)) for k in everyone}
            except GannealError as error:
                notes.append(f"the checkpoint was not looked at{' further' if looks else ''}: {error}")
        log = events.read(self.folder / "events.jsonl")
        found = diagnosis.diagnose(records.records(self.config, log, self.verdict, looks))
        return replace(found, notes=(*found.notes, *notes))

    def report(self) -> Path:
        """Write `report.html` and return its path."""
        from ganneal.report import render

        try:
            return render(self.folder)
        except OSError as error:
            raise RunError(f"{self.folder / 'report.html'}: cannot write it ({error.strerror or error})") from None

    def __repr__(self) -> str:
        return f"Run({str(self.folder)!r})"


def train(source: Any, watcher: training.Watcher | None = None, **options: Any) -> Run:
    """Train a generator and return its run. Options are the keys of `engine.config.Config` (also `steps` instead of
    `examples`).

    source    a text such as "digits", "ring8", "photos/" or "table.csv"; or an array or tensor of examples
    seeds     several seeds train a population; a list as a schedule gives one value to each member

    >>> run = train("digits", lambda_likelihood="linear(-0.8->0, hold=0.2)", seed=0)                # doctest: +SKIP

    Raises `UsageError` for anything that is not allowed, before any file is written.
    """
    given = {k: v for k, v in options.items() if v is not None}
    array, density = None, None
    if not isinstance(source, (str, Path)) and is_density(source):
        density, given["source"] = source, f"{OBJECT}{getattr(source, '__name__', type(source).__name__)}"
    elif not isinstance(source, (str, Path)):
        plain = source.detach().cpu() if isinstance(source, Tensor) else source
        narrow = isinstance(plain, Tensor) and plain.dtype == torch.bfloat16  # numpy has no such type
        array, given["source"] = np.asarray(plain.float() if narrow else plain), "data.npy"
    else:
        given["source"] = str(source)
    if isinstance(given.get("seeds"), Sequence | range) and "population" not in given:
        given["population"] = len(given["seeds"])
    for key in ("lambda_likelihood", "lambda_entropy", "beta"):
        if isinstance(given.get(key), (list, tuple)) and "population" not in given:
            given["population"] = len(given[key])
    asked = config.make({key: value for key, value in given.items() if key != "steps"})  # before the data are read
    opened = given["source"] if array is None and density is None else array if density is None else density
    data = open_source(opened, **_opening(asked.model_dump()))
    if isinstance(data, TargetSource):
        data.look(walls=asked.sampler != "replay")
    settled = settle(config.complete(given, data.kind), data)
    processes = Processes()
    trainer = Trainer(settled, data, processes)
    folder = Path(settled.out or ".")
    if processes.first:
        folder = create(settled, _files(array, data))
    processes.wait()
    training.train(trainer, folder, watcher or Silent())
    run = Run(folder, density) if processes.first else _Elsewhere(folder, settled)
    if processes.first:
        run.report()
    return run


def fit_density(log_prob: Any, dim: int | None = None, watcher: training.Watcher | None = None, **options: Any) -> Run:
    """Train a sampler of an unnormalised density: `train` for a log density.

    log_prob    a function x [b, d] -> log u(x) [b] of torch tensors, one of NumPy arrays that returns (values,
                gradients), a `torch.distributions` object, a `Target`, or a text such as "target:kidney"
    dim         d, where the density does not say it

    >>> fit_density(lambda x: -x.square().sum(1) / 2, dim=3).sample(1000).shape                  # doctest: +SKIP
    (1000, 3)

    Raises `UsageError` for a density that cannot be evaluated, has no gradient, or seems to have no finite integral.
    """
    if not (is_density(log_prob) or (isinstance(log_prob, str) and is_target_text(log_prob))):
        raise UsageError(
            f"log_prob: expected a function, a density object, target:NAME or FILE.py:NAME, got {log_prob!r:.60}"
        )
    return train(log_prob, watcher, **({} if dim is None else {"dim": dim}), **options)


class _Elsewhere(Run):
    """The run as a process sees it that does not write."""

    def __init__(self, folder: Path, settled: Config):
        self.folder, self.config = folder, settled

    @property
    def verdict(self) -> None:
        """Known only to the process that writes."""


def settle(wanted: Config, source: Source) -> Config:
    """Replace what is automatic by what was decided, so that the run folder says it and `resume` repeats it."""
    from ganneal.engine import devices
    from ganneal.engine.building import network_of
    from ganneal.nets import MLPArchitecture

    network = network_of(wanted)
    closed = isinstance(source, TargetSource) and (source.target.opaque or wanted.sampler == "replay")
    if wanted.compile == "on" and (closed or isinstance(network, FlowArchitecture)):
        what = (
            "a flow" if not closed else "particles as data" if wanted.sampler == "replay" else "a density of your own"
        )
        raise UsageError(f"compile: a step with {what} cannot be compiled; use auto or off")
    compile_it = devices.should_compile(
        wanted, isinstance(network, MLPArchitecture) and not closed, devices.device_of(wanted)
    )
    latent = wanted.latent or math.prod(source.shape)
    return wanted.model_copy(update={"compile": "on" if compile_it else "off", "latent": latent})


def open_configured(settled: Config, folder: Path, density: Any = None) -> Source:
    """The source of a configuration; data given as an array lie in the run folder, and so does a density's frame."""
    given = folder / "data.npy"
    stored = folder / "frame.npz"
    if stored.is_file():
        with np.load(stored, allow_pickle=False) as arrays:
            frame = Frame(torch.from_numpy(arrays["centre"]), torch.from_numpy(arrays["factor"]))
        file, _, name = settled.source.rpartition(":")
        gone = name and file.endswith(".py") and not Path(file).is_file()  # relative to where the run was started
        if density is None and (settled.source.startswith(OBJECT) or gone):
            return TargetSource(
                name=settled.source, kind="target", shape=(len(frame.centre),), size=None, given=frame,
                target=absent(settled.source, len(frame.centre)),
            )  # fmt: skip
        opened = settled.source if density is None else density
        return open_source(opened, frame=frame, **_opening(settled.model_dump()))
    text = str(given) if settled.source == given.name and given.is_file() else settled.source
    return open_source(text, **_opening(settled.model_dump()))


def _told(data: dict[str, Any]) -> str:
    return f"{data['size'] or 'unlimited'} examples of shape {tuple(data['shape'])}"


def _opening(values: dict[str, Any]) -> dict[str, Any]:
    return {k: values[k] for k in ("size", "heldout", "dim") if values.get(k) is not None}


def _files(array: np.ndarray | None, source: Source) -> dict[str, bytes]:
    """What a run needs to be opened again, by file name: the array it was given, the frame of its density."""
    found = {} if array is None else {"data.npy": _npy(array)}
    if isinstance(source, TargetSource):
        frame = source.frame
        found["frame.npz"] = npz({"centre": frame.centre.numpy(), "factor": frame.factor.numpy()})
    return found


def _npy(array: np.ndarray) -> bytes:
    import io

    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def resume(folder: str | Path, watcher: training.Watcher | None = None, density: Any = None) -> Run:
    """Continue the training in a run folder; `density` is the Python object that a run of `fit_density` was given."""
    return Run(folder, density).resume(watcher)


__all__ = ["Run", "fit_density", "resume", "train"]
