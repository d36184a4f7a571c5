"""In which line of a TOML file each of its keys stands.

The parser of the standard library tells no lines. A statement is what it accepts alone: lines are gathered until it does, and
what it then gives is what that statement says.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from edged.config.placed import join

if sys.version_info >= (3, 11):
    import tomllib
else:  # pragma: no cover - Python 3.10 takes this branch, and not the one above
    import tomli as tomllib


ENDS = frozenset("]}\"'")
"""One of these stands in the last line of what takes several."""


def lines_of(text: str) -> dict[str, int]:
    """Give, by key as in ``source[0].url``, the line where its statement begins. ``text`` has to be TOML."""
    lines: dict[str, int] = {}
    counts: dict[str, int] = {}
    table = ""
    for number, statement in _statements(text):
        said = tomllib.loads(statement)
        if statement.lstrip().startswith("["):
            table = _table(said, counts)
            lines.setdefault(table, number)
        else:
            lines.update(dict.fromkeys(_keys(said, table), number))
    return lines


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """Give each statement with its first line: a header, or a key and its value, however many lines that takes."""
    gathered: list[str] = []
    for number, line in enumerate(text.split("\n"), 1):
        if not gathered and (not line.strip() or line.lstrip().startswith("#")):
            continue
        gathered.append(line.rstrip("\r"))
        if len(gathered) > 1 and not ENDS & set(line):
            # Each try reads all of it anew: 20 000 lines of numbers took minutes.
            continue
        statement = "\n".join(gathered)
        try:
            tomllib.loads(statement)
        except ValueError:
            continue
        yield number - len(gathered) + 1, statement
        gathered = []


def _table(header: dict[str, Any], counts: dict[str, int]) -> str:
    """Give the key of the table that a header opens; ``counts`` keeps how many there are of each array."""
    path, part = "", header
    while part:
        ((name, child),) = part.items()
        path = join(path, name)
        is_new = isinstance(child, list)
        part = child[0] if is_new else child
        if is_new:
            counts[path] = counts.get(path, -1) + 1
        if path in counts:
            # Below an array of tables the one that was opened last is meant.
            path = join(path, counts[path])
    return path


def _keys(value: Any, key: str) -> Iterator[str]:
    """Give the keys of everything that a statement says, from the outside in."""
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for part, child in children:
        inner = join(key, part)
        yield inner
        yield from _keys(child, inner)
