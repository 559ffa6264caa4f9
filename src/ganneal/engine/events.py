"""The event log of a run: `events.jsonl`, one JSON object a line, append-only, readable at any moment, also after a
crash."""

import contextlib
import json
import math
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from ganneal.errors import RunError

NOT_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}
NUMERIC = ("losses", "signs", "lambda_likelihood", "lambda_entropy", "beta", "rate", "value", "lr_scale", "seconds")


class EventLog:
    """Appends events; each is flushed at once. Numbers that are not finite are written as "nan", "inf", "-inf": the
    file stays strict JSON. Raises `RunError` if the disk refuses.

    >>> with EventLog(Path("runs/a/events.jsonl")) as log:                                       # doctest: +SKIP
    ...     log.write("step", 6400, losses={"critic": 0.69, "generator": 0.70}, beta=1.0, rate=12000.0)
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        with self._refusals():
            torn = self.path.exists() and not _ends_with_newline(self.path)
            self._file = self.path.open("a", encoding="utf-8")
            if torn:  # a process died while it wrote: keep its fragment on a line of its own
                self._file.write("\n")

    def write(self, event: str, examples: int, **keys: Any) -> dict[str, Any]:
        """Append one event with the present time, and return it as written. Tensors, arrays and paths become plain
        values."""
        entry = {"event": event, "examples": int(examples), "time": round(time.time(), 3), **_plain(keys)}
        with self._refusals():
            self._file.write(json.dumps(entry, allow_nan=False) + "\n")
            self._file.flush()
        return entry

    def close(self) -> None:
        # every event was flushed: what cannot be flushed now is one whose write has failed, and was reported
        with contextlib.suppress(OSError):
            self._file.close()

    @contextlib.contextmanager
    def _refusals(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise RunError(
                f"{self.path}: cannot write it ({error.strerror or error}); free some space, then `ganneal "
                f"resume {self.path.parent}`"
            ) from None

    def __enter__(self) -> "EventLog":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def read(path: Path | str) -> list[dict[str, Any]]:
    """The valid events of a log, in order; an absent file has none.

    A torn line is dropped where a crash leaves one: at the end, or before a `resume`. After a `resume` of `examples`
    E, all earlier events of more than E examples are void and dropped. Anything else that is not a JSON object raises
    RunError with the line number.
    """
    path = Path(path)
    if not path.exists():
        return []
    lines = [(number, line) for number, line in enumerate(path.read_bytes().split(b"\n"), 1) if line.strip()]
    events: list[dict[str, Any]] = []
    torn = 0  # number of a line that could not be read and is not yet excused
    for number, line in lines:
        try:
            entry = json.loads(line)
        except ValueError:
            entry = None
        if not isinstance(entry, dict) or "event" not in entry:
            torn = torn or number
            continue
        if entry["event"] == "resume":
            events = [e for e in events if e.get("examples", 0) <= entry.get("examples", 0)]
        elif torn:
            break
        torn = 0
        events.append({key: _numbers(value) if key in NUMERIC else value for key, value in entry.items()})
    if torn and torn != lines[-1][0]:
        raise RunError(
            f"{path}: line {torn} is not a JSON object with the key 'event'; allowed only at the end or before a resume"
        )
    return events


def _ends_with_newline(path: Path) -> bool:
    with path.open("rb") as file:
        if not file.seek(0, 2):
            return True
        file.seek(-1, 2)
        return file.read(1) == b"\n"


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    return _plain(value.tolist()) if hasattr(value, "tolist") else str(value)


def _numbers(value: Any) -> Any:
    if isinstance(value, str):
        return NOT_FINITE.get(value, value)
    if isinstance(value, list):
        return [_numbers(item) for item in value]
    return {key: _numbers(item) for key, item in value.items()} if isinstance(value, dict) else value
