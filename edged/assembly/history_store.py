"""The flight recorder's files: history/<number>.ring, a ring of the last day.

A block of a minute is written behind the newest file, in one piece, and synced: its thread holds up nobody. A power cut costs the minute
in hand; whoever reads looks past what it tore.
"""

from __future__ import annotations

import errno
import logging
import os
import re
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from edged.fleet.synced import sync
from edged.telemetry import logs
from edged.telemetry.history import BLOCK, TABLE, Block, Head, Table, packed, read_head, unpacked
from edged.telemetry.ring import DAY, HEAD_BYTES, Limits, framed, records

FOLDER, SUFFIX = "history", ".ring"
MINUTE_MS = 60_000
_NUMBER = re.compile(r"[0-9]{8,12}")

_LOG = logging.getLogger("edged.history")


@dataclass(slots=True)
class _Open:
    """The file that is being written."""

    number: int
    size: int = 0
    rows: int = 0
    tables: set[int] = field(default_factory=set)
    """Digests of the columns that stand in it."""


class HistoryStore:
    """The ring below a state directory. One thread writes; readers may be other processes, and disturb nobody."""

    def __init__(self, state: Path, limits: Limits = DAY) -> None:
        self._folder, self._limits = state / FOLDER, limits
        self._current: _Open | None = None
        self._is_refused = False

    def __repr__(self) -> str:
        return f"<HistoryStore {self._folder}>"

    # -- writing

    def append(self, block: Block) -> bool:
        """Keep a block. A disk that takes nothing is logged once, and costs the block; whether it was kept."""
        try:
            self._append(block)
        except OSError as error:
            self._current = None
            if not self._is_refused:
                logs.event(_LOG, "history.unkept", level=logging.WARNING, reason=error, folder=self._folder)
            self._is_refused = True
            return False
        self._is_refused = False
        return True

    def _append(self, block: Block) -> None:
        names, body = Table.of(block.columns).to_bytes(), framed(BLOCK, packed(block))
        rows = len(block.walls_ms)
        current = self._current = self._current or self._newest()
        digest = zlib.crc32(names)
        record = body if digest in current.tables else framed(TABLE, names) + body
        if not self._limits.fits(current.size, current.rows, len(record), rows):
            record = framed(TABLE, names) + body
            current = self._current = self._begun(current)
            if not self._limits.fits(0, 0, len(record), rows):
                # Thousands of columns of noise: no box has them, and a ring that outgrows its bounds would be worse.
                raise OSError(errno.EFBIG, f"a block of {len(record)} bytes")
        file = self._file(current.number)
        _write(file, record)
        current.size, current.rows = file.stat().st_size, current.rows + rows
        current.tables.add(digest)

    def _newest(self) -> _Open:
        """Go on with the newest file: a daemon that ends again and again must not push a day out of the ring."""
        self._folder.mkdir(parents=True, exist_ok=True)
        numbers = self.numbers()
        if not numbers:
            return _Open(1)
        found = _Open(numbers[-1])
        data = self._file(found.number).read_bytes()
        found.size = len(data)
        for kind, content in records(data):
            if kind == TABLE:
                found.tables.add(zlib.crc32(content))
            elif (head := _head(content)) is not None:
                found.rows += head.rows
        return found

    def _begun(self, before: _Open) -> _Open:
        """Begin another file; the oldest goes first, so that the bound holds at every moment."""
        is_empty = before.size == 0
        for number in () if is_empty else self._limits.doomed(self.numbers()):
            self._file(number).unlink(missing_ok=True)
        return _Open(before.number + (not is_empty))

    # -- reading

    def numbers(self) -> list[int]:
        """Give the files by number, the oldest first."""
        return sorted(int(file.stem) for file in self._folder.glob(f"*{SUFFIX}") if _NUMBER.fullmatch(file.stem))

    def files(self) -> list[Path]:
        """Give the files, the oldest first."""
        return [self._file(number) for number in self.numbers()]

    def heads(self) -> Iterator[Head]:
        """Give what is known of every block before it is unpacked, in the order of writing."""
        for file in self.files():
            for kind, content in records(_content(file, self._limits)):
                if kind == BLOCK and (head := _head(content)) is not None:
                    yield head

    def blocks(self, is_near: Callable[[Head], bool], wanted: Callable[[str], bool]) -> Iterator[Block]:
        """Give the blocks whose heads are near, in the order of writing, with the wanted columns alone. One file is held at a time."""
        chosen: dict[tuple[str, ...], list[int]] = {}
        for content, table in self._near(is_near):
            columns = table.columns
            if columns not in chosen:
                chosen[columns] = [number for number, name in enumerate(columns) if wanted(name)]
            with suppress(ValueError):  # as below
                yield unpacked(content, table, chosen[columns])

    def columns(self, is_near: Callable[[Head], bool]) -> list[str]:
        """Name the columns of those blocks, in the order of coming; nothing is unpacked."""
        return list(dict.fromkeys(name for _, table in self._near(is_near) for name in table.columns))

    def _near(self, is_near: Callable[[Head], bool]) -> Iterator[tuple[bytes, Table]]:
        """Give each block that is near, packed, with its table."""
        for file in self.files():
            tables: dict[int, Table] = {}
            for kind, content in records(_content(file, self._limits)):
                # What is whole by its checksum, and no block all the same, is of another version, or not ours.
                with suppress(ValueError):
                    if kind == TABLE:
                        tables[zlib.crc32(content)] = Table.from_bytes(content)
                    elif kind == BLOCK and is_near(head := read_head(content)) and head.table in tables:
                        yield content, tables[head.table]

    def _file(self, number: int) -> Path:
        return self._folder / f"{number:08d}{SUFFIX}"


def _write(file: Path, record: bytes) -> None:
    is_new = not file.exists()
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
    try:
        left = memoryview(record)
        while left:
            left = left[os.write(descriptor, left) :]
        os.fdatasync(descriptor)
    finally:
        os.close(descriptor)
    if is_new:
        sync(file.parent)


def _content(file: Path, limits: Limits) -> bytes:
    """Read a file of the ring; one that has just gone, or may not be read, gives nothing."""
    try:
        with file.open("rb") as stream:
            return stream.read(max(limits.file_bytes, HEAD_BYTES))
    except OSError:
        return b""


def _head(content: bytes) -> Head | None:
    try:
        return read_head(content)
    except ValueError:
        return None
