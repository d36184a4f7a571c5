"""From bytes of a line that may carry noise to frames: text lines, COBS, and records with length and CRC. Pure.

Every framer takes whatever bytes come, in pieces of any size, raises nothing, holds a bounded number of bytes, and finds
the next good frame by itself: a damaged stretch costs itself, never what follows.
"""

from __future__ import annotations

import binascii
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

CrcName = Literal["none", "crc16-ccitt", "crc16-xmodem", "crc32"]
LengthName = Literal["none", "u8", "u16"]
ByteOrder = Literal["little", "big"]

MAX_LINE_BYTES = 16_384
"""A line beyond this is noise without a line end: 1,000 columns of 16 characters are far below."""


@dataclass(frozen=True, slots=True)
class Found:
    """A stretch of ``size`` bytes of the line: a frame with its ``payload``, or garbage (None)."""

    payload: bytes | None
    size: int


class Framer(Protocol):
    """Cuts a line's bytes into frames."""

    def feed(self, data: bytes) -> list[Found]:
        """Take the next bytes and give what they complete, in the line's order."""


@dataclass(frozen=True, slots=True)
class Crc:
    """A checksum of ``size`` bytes."""

    size: int
    compute: Callable[[bytes], int]


CRCS: dict[CrcName, Crc] = {
    "none": Crc(0, lambda _: 0),
    # CRC RevEng catalogue: CRC-16/IBM-3740 (widely "CCITT-FALSE") and CRC-16/XMODEM differ in the first value only.
    "crc16-ccitt": Crc(2, lambda data: binascii.crc_hqx(data, 0xFFFF)),
    "crc16-xmodem": Crc(2, lambda data: binascii.crc_hqx(data, 0)),
    "crc32": Crc(4, binascii.crc32),
}

COBS_FULL = 0xFF
"""The code of a block of 254 bytes, the longest, behind which no zero is left out."""

_LENGTH_FORMATS: dict[LengthName, str] = {"none": "", "u8": "B", "u16": "H"}
_ORDERS: dict[ByteOrder, str] = {"little": "<", "big": ">"}


class LineFramer:
    """Lines that end in LF, CR or both.

    What comes before the first line end is left out without a word: it is the rest of a line, and may look like a whole
    one with other numbers in it. Empty lines are none.
    """

    def __init__(self, max_bytes: int = MAX_LINE_BYTES) -> None:
        self._max_bytes = max_bytes
        self._rest = _Rest(max_bytes)

    def feed(self, data: bytes) -> list[Found]:
        """Give the lines, without their ends; garbage is a line that is too long."""
        return self._rest.split(data.replace(b"\r", b"\n"), b"\n", lambda line: Found(line, len(line) + 1))

    def __repr__(self) -> str:
        """Say what waits."""
        return f"<LineFramer {len(self._rest.held)} of at most {self._max_bytes} bytes wait>"


class CobsFramer:
    """Frames in COBS, each ended by a zero byte, with the checksum behind the payload.

    Consistent Overhead Byte Stuffing: Cheshire and Baker, IEEE/ACM Transactions on Networking 7(2), 1999.
    """

    def __init__(self, sizes: range, crc: CrcName = "crc16-ccitt", order: ByteOrder = "little") -> None:
        """Take payloads whose size in bytes lies in ``sizes``."""
        self._sizes = sizes
        self._crc = CRCS[crc]
        self._order = order
        whole = sizes[-1] + self._crc.size
        self._rest = _Rest(whole + whole // 254 + 1)

    def feed(self, data: bytes) -> list[Found]:
        """Give the decoded payloads; garbage is what is no COBS, has another size or a wrong checksum."""
        return self._rest.split(data, b"\0", self._judge)

    def __repr__(self) -> str:
        """Say what waits."""
        return f"<CobsFramer {len(self._rest.held)} bytes wait>"

    def _judge(self, coded: bytes) -> Found:
        frame = cobs_decoded(coded)
        payload = None if frame is None else checked(frame, self._crc, self._order)
        if payload is not None and len(payload) not in self._sizes:
            payload = None
        return Found(payload, len(coded) + 1)


class RecordFramer:
    """Records of a sync word, a length, the payload, and a checksum over length and payload.

    Each part but the payload may be absent. After a mismatch the search goes on one byte further, so that a good record
    is found wherever the garbage before it ends, at the cost of waiting until the longest record that the garbage may
    announce is there.
    """

    def __init__(
        self,
        sizes: range,
        *,
        sync: bytes = b"",
        length: LengthName = "u8",
        crc: CrcName = "crc16-ccitt",
        order: ByteOrder = "little",
    ) -> None:
        """Take payloads whose size in bytes lies in ``sizes``; without a length, all are as long as the shortest."""
        self._sizes = sizes
        self._sync = sync
        self._length = struct.Struct(_ORDERS[order] + _LENGTH_FORMATS[length])
        self._crc = CRCS[crc]
        self._order = order
        self._held = b""

    def feed(self, data: bytes) -> list[Found]:
        """Give the payloads; garbage is every byte that belongs to no record."""
        held = self._held + data
        found: list[Found] = []
        at = clean = 0  # bytes before clean are told
        while True:
            at = self._next_start(held, at)
            end = self._end(held, at)
            if end is None:
                break
            payload = self._payload(held, at, end)
            if payload is None:
                at += 1
                continue
            if at > clean:
                found.append(Found(None, at - clean))
            found.append(Found(payload, end - at))
            at = clean = end
        if at > clean:
            found.append(Found(None, at - clean))
        self._held = held[at:]
        return found

    def __repr__(self) -> str:
        """Say what waits."""
        return f"<RecordFramer {len(self._held)} bytes wait>"

    def _next_start(self, held: bytes, at: int) -> int:
        """Give the next place where a record may begin: a sync word, or what may yet become one at the end."""
        if not self._sync:
            return at
        place = held.find(self._sync, at)
        if place >= 0:
            return place
        for size in range(min(len(self._sync) - 1, len(held) - at), 0, -1):
            if held.endswith(self._sync[:size]):
                return len(held) - size
        return len(held)

    def _end(self, held: bytes, at: int) -> int | None:
        """Give where the record that may begin at ``at`` ends; None while that cannot be told or is not there yet."""
        body = at + len(self._sync)
        first = body + self._length.size
        if len(held) < first or at == len(held):
            return None
        size = self._length.unpack_from(held, body)[0] if self._length.size else self._sizes[0]
        if size not in self._sizes:
            return at
        end: int = first + size + self._crc.size
        return end if len(held) >= end else None

    def _payload(self, held: bytes, at: int, end: int) -> bytes | None:
        if end == at:
            return None
        covered = checked(held[at + len(self._sync) : end], self._crc, self._order)
        return None if covered is None else covered[self._length.size :]


class _Rest:
    """The bytes behind the last delimiter, bounded; nothing counts before the first delimiter."""

    def __init__(self, max_bytes: int) -> None:
        self.held = b""
        self._max_bytes = max_bytes
        self._is_partial = True  # what comes next is the end of something whose beginning is not known

    def split(self, data: bytes, delimiter: bytes, judge: Callable[[bytes], Found]) -> list[Found]:
        *pieces, self.held = (self.held + data).split(delimiter)
        found: list[Found] = []
        for piece in pieces:
            if self._is_partial:
                self._is_partial = False
            elif len(piece) > self._max_bytes:
                found.append(Found(None, len(piece) + 1))
            elif piece:
                found.append(judge(piece))
        if len(self.held) > self._max_bytes:
            found.append(Found(None, len(self.held)))
            self.held, self._is_partial = b"", True
        return found


def checked(frame: bytes, crc: Crc, order: ByteOrder) -> bytes | None:
    """Give the frame without the checksum at its end, or None when that is another than the bytes before it have."""
    if not crc.size:
        return frame
    if len(frame) < crc.size:
        return None
    covered = frame[: -crc.size]
    return covered if int.from_bytes(frame[-crc.size :], order) == crc.compute(covered) else None


def cobs_decoded(coded: bytes) -> bytes | None:
    """Undo COBS for one frame without its closing zero; None when it is no COBS."""
    parts: list[bytes] = []
    at = 0
    while at < len(coded):
        code = coded[at]
        block = coded[at + 1 : at + code]
        if code == 0 or len(block) != code - 1:
            return None
        at += code
        parts.append(block)
        if code != COBS_FULL and at < len(coded):
            parts.append(b"\0")
    return b"".join(parts)
