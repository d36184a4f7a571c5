"""Writes ``model.toml``: what a person would write, in the order of the reference."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

_BARE = re.compile(r"^[A-Za-z0-9_-]+$")


def value(of: Any) -> str:
    """Write one value: text, number, truth, list or inline table.

    JSON's escapes are those of TOML's basic strings; the one character that JSON leaves bare and TOML does not is DEL.
    """
    if isinstance(of, Mapping):
        return "{ " + ", ".join(f"{key(name)} = {value(item)}" for name, item in of.items()) + " }"
    if isinstance(of, bool):
        return "true" if of else "false"
    if isinstance(of, str):
        return json.dumps(of, ensure_ascii=False).replace("\x7f", "\\u007F")
    if isinstance(of, Sequence):
        return "[" + ", ".join(value(item) for item in of) + "]"
    return repr(of)


def key(name: str) -> str:
    """Write a key, quoted where it must be."""
    return name if _BARE.match(name) else json.dumps(name)


def lines(table: Mapping[str, Any]) -> str:
    """Write a table's keys, one a line."""
    return "\n".join(f"{key(name)} = {value(item)}" for name, item in table.items())


def section(header: str, table: Mapping[str, Any]) -> str:
    """Write a header, such as ``[input]`` or ``[[variant]]``, and its keys."""
    return f"{header}\n{lines(table)}"
