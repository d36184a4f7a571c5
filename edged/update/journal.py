"""The journal: a line before each change, each with the digest of the line before it, so that none can be altered or taken out unseen.

A line's digest is the SHA-256 of its bytes without the line end. The first line of all names 64 zeros. A torn line, which a power cut
left, is passed over: the next one goes on from the last whole line. One that lost nothing but its end is whole.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edged.domain.errors import DeviceError
from edged.domain.ports import Clock
from edged.update.disk import Disk

JOURNAL, EARLIER = "journal.ndjson", "journal.1.ndjson"
MAX_JOURNAL_BYTES = 1_048_576
"""Some thousands of lines: years of updates. The file before it is kept too."""
MAX_LINE_BYTES = 64 * 1024
"""Longer than any: what a bundle or an order says of itself is bounded."""
FIRST = "0" * 64
_WRITING = threading.Lock()
"""Models and the configuration share a journal, and each line names the one before it."""
_NS_PER_MS = 1_000_000


@dataclass(frozen=True, slots=True)
class Entry:
    """One whole line. ``broken`` says why it cannot follow the line before it; empty when it does."""

    file: Path
    number: int
    fields: dict[str, Any]
    digest: str
    broken: str = ""


class Journal:
    """Writes the journal of a state directory. Thread-safe, also with another object of the same directory; one process writes."""

    def __init__(self, directory: Path, disk: Disk, clock: Clock) -> None:
        """Nothing is written until something is noted."""
        self._file = directory / JOURNAL
        self._disk = disk
        self._clock = clock

    def note(self, **fields: Any) -> str:
        """Write a line, durably, and give its digest; called before the change that it tells of."""
        with _WRITING:
            return self._append(fields)

    def _append(self, fields: dict[str, Any]) -> str:
        file, disk = self._file, self._disk
        before, is_torn = _end(file)
        if file.exists() and file.stat().st_size > MAX_JOURNAL_BYTES:
            disk.rename(file, file.with_name(EARLIER))
            is_torn = False
        elif before is None:
            before, _ = _end(file.with_name(EARLIER))
        is_new = not file.exists()
        stamped = {"at_ms": self._clock.wall_ns() // _NS_PER_MS, "synced": self._clock.synced(), **fields}
        line = json.dumps({**stamped, "prev": before or FIRST}, separators=(",", ":")).encode()
        disk.write(file, [(b"\n" if is_torn else b"") + line + b"\n"], append=True)
        disk.sync(file)
        if is_new:
            disk.sync(file.parent)
        return _digest(line)


def read_journal(directory: Path) -> Iterator[Entry]:
    """Give every whole line, the oldest first, each held against the one before it.

    The first line that is still there may follow one that is no longer kept. Raises DeviceError when a file cannot be read.
    """
    before: str | None = None
    for file in (directory / EARLIER, directory / JOURNAL):
        for number, line in enumerate(_lines(file), 1):
            fields = _fields(line)
            if fields is None:
                continue
            digest = _digest(line)
            is_next = before is None or fields.get("prev") == before
            yield Entry(file, number, fields, digest, "" if is_next else "it does not follow the line before it")
            before = digest


def _lines(file: Path) -> list[bytes]:
    try:
        return file.read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    except OSError as error:
        message = f"cannot read {file}: {error.strerror}, expected the journal"
        raise DeviceError(message, code="disk") from error


def _end(file: Path) -> tuple[str | None, bool]:
    """Give the digest of the last whole line (None: there is none), and whether the last one has no end."""
    try:
        with file.open("rb") as stream:
            stream.seek(max(0, os.fstat(stream.fileno()).st_size - 2 * MAX_LINE_BYTES))
            tail = stream.read()
    except OSError:  # there is none yet, or the disk does not give it: writing will tell
        return None, False
    lines = tail.split(b"\n")
    last = next((line for line in reversed(lines) if _fields(line) is not None), None)
    return (_digest(last) if last is not None else None), bool(lines[-1])


def _fields(line: bytes) -> dict[str, Any] | None:
    """Give a line's fields; None for what is no line: torn by a power cut, and perhaps ended by the next writer."""
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return fields if isinstance(fields, dict) and "prev" in fields else None


def _digest(line: bytes) -> str:
    return hashlib.sha256(line).hexdigest()
