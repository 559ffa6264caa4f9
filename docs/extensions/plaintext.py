"""Docstrings are plain text: prose, formulas set off by indentation, aligned lists. This makes them reStructuredText.

prose            paragraphs; everything but `code` is taken literally, so that |x|, y* and x_i need no escapes
name   meaning   a block of such lines, or of one, with indented continuation lines, becomes a definition list
    a = b + c    indented lines become a literal block
| a | b |        tables stay tables
>>> f(1)         examples stay examples
"""

import re
from collections.abc import Iterator
from typing import Any

_ENTRY = re.compile(r"(?P<name>\S+(?: \S+)*?) {2,}(?P<text>\S.*)")
_CODE = re.compile(r"(`+)(.+?)\1")
_SPECIAL = re.compile(r"([\\*|_`<>])")


def convert(lines: list[str]) -> list[str]:
    """The lines of a docstring as reStructuredText."""
    out: list[str] = []
    for block in _blocks(lines):
        for kind, part in _runs(block):
            out += [*_WRITERS[kind](part), ""]
    return out


def _blocks(lines: list[str]) -> Iterator[list[str]]:
    block: list[str] = []
    for line in [*lines, ""]:
        if line.strip():
            block.append(line.rstrip())
        elif block:
            yield block
            block = []


def _runs(block: list[str]) -> Iterator[tuple[str, list[str]]]:
    """A block cut into runs of one kind."""
    if block[0].lstrip().startswith(">>>"):
        yield "example", block
        return
    run: list[str] = []
    kind = ""
    for line in block:
        indented = line.startswith("  ")
        if indented and kind in ("entries", "bullets"):
            now = kind
        elif indented:
            now = "formula"
        elif line.startswith(("- ", "* ")):
            now = "bullets"
        elif line.startswith("|") and line.endswith("|"):
            now = "table"
        else:
            now = "entries" if _ENTRY.fullmatch(line) else "prose"
        if now != kind and run:
            yield kind, run
            run = []
        kind = now
        run.append(line)
    if run:
        yield kind, run


def _prose(lines: list[str]) -> list[str]:
    return [escape(" ".join(line.strip() for line in lines))]


def _formula(lines: list[str]) -> list[str]:
    cut = min(len(line) - len(line.lstrip()) for line in lines)
    return [".. code-block:: text", "   :class: formula", "", *("   " + line[cut:] for line in lines)]


def _example(lines: list[str]) -> list[str]:
    cut = len(lines[0]) - len(lines[0].lstrip())
    shown = (re.sub(r"\s*#\s*doctest:.*", "", line[cut:]) for line in lines)
    return [".. code-block:: pycon", "", *("   " + line for line in shown)]


def _entries(lines: list[str]) -> list[str]:
    """Aligned lines; a continuation line belongs to the text before it."""
    entries: list[tuple[str, str]] = []
    for line in lines:
        found = None if line.startswith("  ") else _ENTRY.fullmatch(line)
        if found:
            name, colon, rest = line.partition(": ")
            entries.append((name, rest.strip()) if colon and name.isidentifier() else (found["name"], found["text"]))
        else:
            name, text = entries[-1]
            entries[-1] = (name, f"{text} {line.strip()}")
    out = [".. rst-class:: entries", ""]
    for name, text in entries:
        out += [escape(name), "   " + escape(re.sub(r" {2,}", " ", text)), ""]
    return out


def _bullets(lines: list[str]) -> list[str]:
    items: list[str] = []
    for line in lines:
        if line.startswith(("- ", "* ")):
            items.append(line[2:])
        else:
            items[-1] += " " + line.strip()
    return ["- " + escape(item) for item in items]


def _table(lines: list[str]) -> list[str]:
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if set(line) - set("|-: ")]
    out = [".. list-table::", "   :header-rows: 1", ""]
    for row in rows:
        out += [f"   {'* -' if not k else '  -'} {escape(cell)}" for k, cell in enumerate(row)]
    return out


_WRITERS = {
    "prose": _prose,
    "formula": _formula,
    "example": _example,
    "entries": _entries,
    "bullets": _bullets,
    "table": _table,
}


def escape(text: str) -> str:
    """Prose in which only `code` means anything."""
    out, at = "", 0
    for found in _CODE.finditer(text):
        before = text[at : found.start()]
        out += _SPECIAL.sub(r"\\\1", before)
        # inline literals must not touch words
        out += ("" if not out or out[-1] in " (" else "\\ ") + f"``{found[2].strip()}``"
        at = found.end()
        if at < len(text) and not text[at].isspace() and text[at] not in ".,:;)!?-":
            out += "\\ "
    return out + _SPECIAL.sub(r"\\\1", text[at:])


def _process(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    lines[:] = convert(lines)


def setup(app: Any) -> dict[str, bool]:
    """Hook into autodoc."""
    app.connect("autodoc-process-docstring", _process)
    return {"parallel_read_safe": True}
