"""Where a result may be written."""

import os
from pathlib import Path

from ganneal.errors import UsageError


def free_for(path: Path, endings: tuple[str, ...], force: bool) -> None:
    """Raise UsageError unless `path` ends in one of the endings, can be written, and is not there yet (or `force`)."""
    if path.suffix not in endings:
        raise UsageError(f"{path}: unknown format '{path.suffix}'; allowed: {', '.join(endings)}")
    if not (path.parent.is_dir() and os.access(path.parent, os.W_OK) and not path.is_dir()):
        raise UsageError(f"{path}: cannot be written; allowed: a file in a folder that exists and may be written to")
    if path.exists() and not force:
        raise UsageError(f"{path}: exists already; choose another name or --force")
