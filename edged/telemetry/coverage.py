"""What a pipeline saw of a minute, and why not of the rest: the row, its bytes on disk, and the sum of many."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

Cause = Literal["source", "engine", "paused", "thinned", "gate", "calibrating"]

CAUSES: tuple[Cause, ...] = ("source", "engine", "paused", "thinned", "gate", "calibrating")
"""Why a second was not seen, in the order of the bytes on disk. New ones go to the end; there is room for one more."""
MINUTE_MS = 60_000
MINUTES_A_DAY = 1440

_BODY = struct.Struct("<I8H")
_SUM = struct.Struct("<I")
ROW_BYTES = _BODY.size + _SUM.size
"""Of fixed size: a minute has its place in a day's file, and a power cut can tear no row but the one that is being written."""
_SPARE = 7 - len(CAUSES)


@dataclass(frozen=True, slots=True)
class Minute:
    """One minute of one pipeline: ``number`` counts from 1970 in UTC; ``blind_ms`` is in the order of ``CAUSES``.

    What is neither seen nor blind is ``down_ms``: nothing is known of it, since the daemon did not run or the clock was set. ``length_ms``
    is less than a minute's of the one that goes on, see ``so_far``.
    """

    number: int
    seen_ms: int
    blind_ms: tuple[int, ...]
    length_ms: int = MINUTE_MS

    def __post_init__(self) -> None:
        """Refuse what is no minute."""
        if len(self.blind_ms) != len(CAUSES) or min(self.seen_ms, self.number, *self.blind_ms) < 0 or self.down_ms < 0:
            message = (
                f"cannot build a minute of {self.seen_ms} ms seen and {self.blind_ms} ms blind, expected 60 s at most"
            )
            raise ValueError(message)

    @property
    def down_ms(self) -> int:
        """What nothing is known of."""
        return self.length_ms - self.seen_ms - sum(self.blind_ms)

    @property
    def so_far(self) -> Minute:
        """Give it without what nothing is known of: of the minute that goes on, that is still to come, or to be told."""
        return replace(self, length_ms=self.length_ms - self.down_ms)

    @classmethod
    def unknown(cls, number: int) -> Minute:
        """Give a minute of which nothing is known."""
        return cls(number, 0, (0,) * len(CAUSES))

    def to_bytes(self) -> bytes:
        """Give the row as it lies on disk: number, milliseconds, CRC-32; little-endian."""
        body = _BODY.pack(self.number, self.seen_ms, *self.blind_ms, *[0] * _SPARE)
        return body + _SUM.pack(zlib.crc32(body))

    @classmethod
    def from_bytes(cls, row: bytes, number: int) -> Minute:
        """Read a row; one that was torn, never written, or another minute's says nothing."""
        body, check = row[: _BODY.size], row[_BODY.size :]
        if len(row) != ROW_BYTES or _SUM.unpack(check)[0] != zlib.crc32(body):
            return cls.unknown(number)
        found, seen, *blind = _BODY.unpack(body)
        try:
            read = cls(found, seen, tuple(blind[: len(CAUSES)]))
        except ValueError:
            return cls.unknown(number)
        return read if found == number else cls.unknown(number)


@dataclass(frozen=True, slots=True)
class Seconds:
    """The sum of minutes, in seconds; ``blind`` is in the order of ``CAUSES``."""

    seen: float
    blind: tuple[float, ...]
    down: float

    def told(self) -> dict[str, object]:
        """Give it as documents carry it; causes that took no time are left out."""
        blind = {cause: value for cause, value in zip(CAUSES, self.blind, strict=True) if value}
        return {"seen_s": self.seen, "blind_s": blind, "down_s": self.down}


def total(minutes: Iterable[Minute]) -> Seconds:
    """Sum minutes up."""
    seen = down = 0
    blind = [0] * len(CAUSES)
    for minute in minutes:
        seen += minute.seen_ms
        down += minute.down_ms
        blind = [old + new for old, new in zip(blind, minute.blind_ms, strict=True)]
    return Seconds(seen / 1000, tuple(one / 1000 for one in blind), down / 1000)


def rounded_ms(parts: Sequence[float]) -> tuple[int, ...]:
    """Round so that the sum is the rounded sum: no millisecond is lost or made up."""
    before, done, found = 0.0, 0, []
    for part in parts:
        before += part
        found.append(max(0, round(before) - done))
        done += found[-1]
    return tuple(found)
