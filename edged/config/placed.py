"""A document that knows where each of its values stands, and how two of them become one.

The rule: tables are joined key by key; in arrays of tables, one that carries the name of an earlier file's is joined
with it and any other is added behind; of everything else the later file's value stands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Placed:
    """A value of a file; ``key`` is its path in ``file``, as people write it."""

    value: Any
    """A scalar, or a dict or a list of further placed values."""
    file: Path
    key: str


def place(value: Any, file: Path, key: str = "") -> Placed:
    """Note for every value of a document where it stands."""
    if isinstance(value, dict):
        return Placed({name: place(child, file, join(key, name)) for name, child in value.items()}, file, key)
    if isinstance(value, list):
        return Placed([place(child, file, join(key, index)) for index, child in enumerate(value)], file, key)
    return Placed(value, file, key)


def join(key: str, part: str | int) -> str:
    """Write a key path one part longer, as in ``pipeline[1].name``."""
    if isinstance(part, int):
        return f"{key}[{part}]"
    return f"{key}.{part}" if key else part


def merge(earlier: Placed, later: Placed) -> Placed:
    """Join two documents, or parts of them. A joined table keeps the earlier place: what it lacks is missing there."""
    if isinstance(earlier.value, dict) and isinstance(later.value, dict):
        joined = dict(earlier.value)
        for name, child in later.value.items():
            joined[name] = merge(joined[name], child) if name in joined else child
        return Placed(joined, earlier.file, earlier.key)
    if _holds_tables(earlier) and _holds_tables(later):
        return Placed(_merge_tables(earlier.value, later.value), earlier.file, earlier.key)
    return later


def _holds_tables(part: Placed) -> bool:
    return isinstance(part.value, list) and all(isinstance(item.value, dict) for item in part.value)


def _merge_tables(earlier: list[Placed], later: list[Placed]) -> list[Placed]:
    joined = list(earlier)
    places = {name: index for index, item in enumerate(earlier) if (name := name_of(item)) is not None}
    for item in later:
        # Each earlier table is joined once: a name that stands twice in one file stays a fault that can be told.
        place_of_name = places.pop(name_of(item) or "", None)
        if place_of_name is None:
            joined.append(item)
        else:
            joined[place_of_name] = merge(joined[place_of_name], item)
    return joined


def name_of(item: Placed) -> str | None:
    """Give the text under a table's key ``name``, or None."""
    name = item.value.get("name") if isinstance(item.value, dict) else None
    return name.value if name is not None and isinstance(name.value, str) else None


def plain(part: Placed) -> Any:
    """Give the value without its places."""
    if isinstance(part.value, dict):
        return {name: plain(child) for name, child in part.value.items()}
    if isinstance(part.value, list):
        return [plain(child) for child in part.value]
    return part.value


def find(part: Placed, path: Sequence[str | int]) -> tuple[Path, str]:
    """Give file and key of the value at ``path``; parts that do not exist are put behind the last that does."""
    for depth, step in enumerate(path):
        child = _child(part, step)
        if child is None:
            key = part.key
            for missing in path[depth:]:
                key = join(key, missing)
            return part.file, key
        part = child
    return part.file, part.key


def _child(part: Placed, step: str | int) -> Placed | None:
    known = part.value if isinstance(part.value, dict) else {}
    if isinstance(part.value, list):
        known = dict(enumerate(part.value))
    child: Placed | None = known.get(step)
    return child
