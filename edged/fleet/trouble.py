"""What is wrong with the way to the fleet, in the words of ``out/health``."""

from __future__ import annotations

import errno
import os
import sqlite3
from dataclasses import dataclass
from pathlib import Path

FULL, READ_ONLY, CORRUPT, FAULT = "outbox-disk-full", "outbox-read-only", "outbox-corrupt", "outbox-disk-error"

# Words of SQLite's messages: before Python 3.11 its exceptions carry no code. The first that fits.
_DISK: tuple[tuple[tuple[str, ...], int, str, str], ...] = (
    (("is full",), errno.ENOSPC, FULL, "free space on the state folder's disk"),
    (("readonly", "read-only"), errno.EROFS, READ_ONLY, "mount the state folder's disk for writing"),
    (("malformed", "not a database"), -1, CORRUPT, "the file is set aside at the next try; check the disk"),
    (("",), -1, FAULT, "check the state folder, its owner and its disk"),
)
_CORRUPT = (
    "malformed",
    "not a database",
    "no such table",
    "no such column",
    "has no column",
    "unsupported file format",
)


@dataclass(frozen=True, slots=True)
class Trouble:
    """A stable code, the component, one line with what was observed, and the next step."""

    code: str
    component: str
    message: str
    remedy: str


def on_disk(error: Exception, path: Path, memory_bytes: int) -> Trouble:
    """Say what keeps the outbox from its disk."""
    text = str(error)
    if not _writable(path.parent):
        text += " (the file system is read-only)"
    for words, number, code, remedy in _DISK:
        if getattr(error, "errno", None) == number or any(word in text for word in words):
            kept = f"documents are kept in memory, at most {memory_bytes >> 20} MiB"
            return Trouble(code, "outbox", f"cannot write to the outbox {path}: {text}; {kept}", remedy)
    raise error


def _writable(folder: Path) -> bool:
    try:
        return not os.statvfs(folder).f_flag & os.ST_RDONLY
    except OSError:
        return True


def is_corrupt(error: sqlite3.Error) -> bool:
    """Whether the file itself is damaged (or is no outbox at all), rather than the disk below it."""
    return any(word in str(error) for word in _CORRUPT)
