"""What can go wrong, in two kinds: the request was wrong (exit code 2), or carrying it out failed (exit code 1)."""

import difflib
from collections.abc import Iterable


class GannealError(Exception):
    """Base of every error a user can cause; its text is one line that names the key or file, what was got and what is
    allowed."""

    exit_code = 1


class UsageError(GannealError):
    """The request itself is wrong: unknown name, value out of range, unreadable source."""

    exit_code = 2


class RunError(GannealError):
    """The request was right but carrying it out failed: full disk, diverged training, lost process."""


def nearest(name: str, allowed: Iterable[str]) -> str:
    """The end of an error message: the closest valid name, then all of them.

    >>> nearest("rlk", ["rkl", "jsd"])
    "did you mean 'rkl'? (allowed: jsd, rkl)"
    """
    names = sorted(allowed)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    listing = ", ".join(names)
    return f"did you mean '{close[0]}'? (allowed: {listing})" if close else f"allowed: {listing}"
