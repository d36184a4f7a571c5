"""Reads one TOML file, and keeps out what no file of ours looks like: too long, too deep, not text."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from edged.domain.errors import ConfigError

if sys.version_info >= (3, 11):
    import tomllib
else:  # pragma: no cover - Python 3.10 takes this branch, and not the one above
    import tomli as tomllib

MAX_FILE_BYTES = 1_048_576
"""A configuration of a hundred pipelines is about 50 KiB; a megabyte is a mistake (a log, a model)."""
MAX_DEPTH = 16
"""The deepest key, ``pipeline[0].rule[0].when.zone[0][0]``, lies 8 levels down."""
_PART = r"""(?:[\w-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*')[ \t]*"""
_LONG_KEY = re.compile(rf"""(?<![\w"'-]){_PART}(?:\.[ \t]*{_PART}){{64}}""")
"""A dotted key, of which the parser keeps every beginning: one of 200 kB took 40 GB. Texts have names with dots too, but not that many."""
_INT64 = 2**63
"""What TOML promises to keep of an integer."""
_TOO_DEEP = f"cannot read the file: nested too deeply, expected at most {MAX_DEPTH} levels"


def read_toml(file: Path) -> dict[str, Any]:
    """Give the file's document.

    Raises ConfigError, whose line leaves the file's name to the caller, when the file cannot be read, is not UTF-8, is
    not TOML (with the line), or is longer or deeper than any file of ours.
    """
    return parse_toml(_text(file))


def parse_toml(text: str) -> dict[str, Any]:
    """Give a text's document. Raises ConfigError as ``read_toml``."""
    if _LONG_KEY.search(text):
        raise ConfigError(_TOO_DEEP)
    try:
        document: dict[str, Any] = tomllib.loads(text)
        _check(document, 0)
    except RecursionError as error:
        raise ConfigError(_TOO_DEEP) from error
    except ValueError as error:
        # The parser's own errors tell the line; a number of too many digits comes as a plain ValueError.
        message = f"cannot read the file: {error}, expected TOML"
        raise ConfigError(message) from error
    return document


def _text(file: Path) -> str:
    try:
        # A pipe or a device would block for ever, or never end.
        if file.exists() and not file.is_file():
            message = "cannot read the file: it is no regular file, expected a TOML file"
            raise ConfigError(message)
        with file.open("rb") as stream:
            data = stream.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        message = f"cannot read the file: {reason}, expected a TOML file"
        raise ConfigError(message) from error
    if len(data) > MAX_FILE_BYTES:
        message = f"cannot read the file: longer than {MAX_FILE_BYTES} bytes, expected a TOML file of at most that"
        raise ConfigError(message)
    return _decoded(data)


def _decoded(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")  # some editors put a byte order mark first
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        message = (
            f"cannot read the file: byte 0x{data[error.start]:02x} in line {line} is not UTF-8, expected UTF-8 text"
        )
        raise ConfigError(message) from error


def _check(value: Any, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise RecursionError
    if isinstance(value, int) and not -_INT64 <= value < _INT64:
        message = "an integer of more than 64 bits"
        raise ValueError(message)
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for child in children:
        _check(child, depth + 1)
