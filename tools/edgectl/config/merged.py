"""Every value of the merged configuration and where it came from: a file's line, the machine's id, or edged's default."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgectl.config.lines import lines_of
from edged.config.load import Loaded
from edged.config.placed import Placed, join, name_of

DEFAULT, MACHINE_ID = "default", "/etc/machine-id"
HIDDEN = "(not shown)"
# Files that hold secrets are named, and what is in them is never read here. What looks like a secret itself stands here by mistake.
_SECRET = re.compile(
    r"(^|[._-])(password|passwd|passphrase|secret|token|api_?key|credentials?|authorization)$", re.IGNORECASE
)
_USER_INFORMATION = re.compile(r"(?<=://)[^/?#\s\"']*@")
_QUERY = re.compile(r"(?<=[?&])([^=&\s\"']+)=[^&\s\"']+")
_PROPERTY = re.compile(r"\b(user-pw|passw(?:or)?d|pw|secret|token|api[_-]?key)=(\"[^\"]*\"|\S+)", re.IGNORECASE)
"""As a GStreamer pipeline's elements have them."""


@dataclass(frozen=True, slots=True)
class Row:
    """A value: its key with names for numbers (``source.dock.url``), as it stands in TOML, and its origin."""

    key: str
    value: Any
    file: str
    line: int | None = None

    @property
    def origin(self) -> str:
        """Say where the value came from."""
        return self.file if self.line is None else f"{self.file}:{self.line}"


@dataclass(slots=True)
class _Places:
    """Lines by file; each file is read once."""

    lines: dict[Path, dict[str, int]] = field(default_factory=dict)

    def row(self, key: str, placed: Placed, value: Any) -> Row:
        if placed.file not in self.lines:
            self.lines[placed.file] = lines_of(placed.file.read_text(encoding="utf-8-sig"))
        return Row(key, value, str(placed.file), self.lines[placed.file].get(placed.key))


def rows(whole: Placed, loaded: Loaded | None) -> list[Row]:
    """Give every value: what files say first, and with ``loaded`` (a configuration without a fault of the box) the defaults behind it."""
    config = loaded.config.model_dump(mode="json") if loaded is not None else {}
    order = list(config)
    found = sorted(_walk(whole, config, "", _Places()), key=lambda row: _section(row.key, order))
    return [Row(one.key, _without_secrets(one.key, one.value), one.file, one.line) for one in found]


def _section(key: str, order: list[str]) -> int:
    """Tables stand in the order of the reference; what is not known there comes last."""
    name = re.split(r"[.\[]", key, maxsplit=1)[0]
    return order.index(name) if name in order else len(order)


def _walk(placed: Placed | None, used: Any, key: str, places: _Places) -> Iterator[Row]:
    """Go through what files say and what is used, side by side; ``used`` is None where the loader left it out."""
    value = placed.value if placed is not None else None
    if isinstance(value, dict) or (placed is None and isinstance(used, dict) and used):
        yield from _walk_table(placed, used, key, places)
    elif _holds_tables(value) or (placed is None and _holds_tables(used)):
        yield from _walk_tables(placed, used, key, places)
    elif placed is not None:
        yield places.row(key, placed, _plain(placed))
    elif used not in (None, [], {}):
        yield Row(key, used, MACHINE_ID if key == "device.id" else DEFAULT)


def _walk_table(placed: Placed | None, used: Any, key: str, places: _Places) -> Iterator[Row]:
    given: dict[str, Placed] = placed.value if placed is not None else {}
    known: dict[str, Any] = used if isinstance(used, dict) else {}
    for name in (*given, *(name for name in known if name not in given)):
        yield from _walk(given.get(name), known.get(name), join(key, name), places)


def _walk_tables(placed: Placed | None, used: Any, key: str, places: _Places) -> Iterator[Row]:
    """Go through tables in an array, which are called by their names where they have some."""
    items: list[Placed] = placed.value if placed is not None else []
    loaded: list[dict[str, Any]] = used if isinstance(used, list) else []
    by_name = {one.get("name"): one for one in loaded}
    for index, item in enumerate(items):
        name = name_of(item)
        same = by_name.get(name) if name is not None else (loaded[index] if index < len(loaded) else None)
        yield from _walk(item, same, f"{key}.{name}" if name else join(key, index), places)


def _holds_tables(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(_inner(one), dict) for one in value)


def _inner(item: Any) -> Any:
    return item.value if isinstance(item, Placed) else item


def _plain(placed: Placed) -> Any:
    return [_plain(child) for child in placed.value] if isinstance(placed.value, list) else placed.value


def _without_secrets(key: str, value: Any) -> Any:
    if _SECRET.search(key):
        return HIDDEN
    if isinstance(value, list):
        return [_without_secrets("", one) for one in value]
    if isinstance(value, dict):
        return {name: _without_secrets(name, one) for name, one in value.items()}
    if isinstance(value, str):
        return _PROPERTY.sub(r"\1=…", _QUERY.sub(r"\1=…", _USER_INFORMATION.sub("…@", value)))
    return value


def written(value: Any) -> str:
    """Write a value as its file does."""
    return value if value == HIDDEN else json.dumps(value, ensure_ascii=False, default=str)
