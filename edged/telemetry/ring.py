"""Records in a ring of files: how they are framed, found again behind torn ones, and which file has to go. Bytes and numbers only.

A record is ``MAGIC``, kind, length, CRC-32 of what follows, content. A power cut leaves a torn record at a file's end, at which the next
writer goes on: who reads looks for the next whole one, so that damage costs the record that has it and no other.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

MAGIC = b"\xabEDH"
_HEAD = struct.Struct("<4scII")
HEAD_BYTES = _HEAD.size


@dataclass(frozen=True, slots=True)
class Limits:
    """How large a ring may be: so many files of so many bytes, each of at most so many rows."""

    files: int
    file_bytes: int
    file_rows: int

    def __post_init__(self) -> None:
        """Refuse what could hold nothing."""
        if self.files < 2 or self.file_bytes <= HEAD_BYTES or self.file_rows < 1:  # noqa: PLR2004 - one is always being written
            message = f"cannot build a ring of {self}, expected at least two files with room for a record"
            raise ValueError(message)

    @property
    def max_bytes(self) -> int:
        """What all files together take at most."""
        return self.files * self.file_bytes

    def fits(self, size: int, rows: int, more: int, more_rows: int) -> bool:
        """Whether a record of ``more`` bytes may go behind the ``size`` that a file has."""
        return size + more <= self.file_bytes and rows + more_rows <= self.file_rows

    def doomed(self, numbers: Sequence[int]) -> Sequence[int]:
        """Give the files that have to go before another one is begun: the oldest, by number, since clocks may have been wrong."""
        return sorted(numbers)[: max(0, len(numbers) - self.files + 1)]


DAY = Limits(files=25, file_bytes=800_000, file_rows=3600)
"""A row a second: 24 hours and the one that is being written, in 20 MB at most. What takes more room reaches back less far."""


def framed(kind: bytes, content: bytes) -> bytes:
    """Give a record."""
    return _HEAD.pack(MAGIC, kind, len(content), zlib.crc32(kind + content)) + content


def records(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Give kind and content of every whole record, in their order."""
    at = data.find(MAGIC)
    while at >= 0:
        content = _content(data, at)
        if content is not None:
            yield data[at + 4 : at + 5], content
            at += HEAD_BYTES + len(content)
        else:
            at += 1
        at = data.find(MAGIC, at)


def _content(data: bytes, at: int) -> bytes | None:
    """Give the content of the record that begins here; None when it is torn, damaged, or none."""
    if at + HEAD_BYTES > len(data):
        return None
    _, kind, length, check = _HEAD.unpack_from(data, at)
    content = data[at + HEAD_BYTES : at + HEAD_BYTES + length]
    return content if len(content) == length and zlib.crc32(kind + content) == check else None
