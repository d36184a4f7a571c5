"""What a sensor says on a line, and how it is read: from bytes to dated samples. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Literal

from edged.sources.dating import Dater, dating_of
from edged.sources.framing import ByteOrder, CobsFramer, CrcName, Found, Framer, LengthName, LineFramer, RecordFramer
from edged.sources.layout import (
    Column,
    Decode,
    Rows,
    Wanted,
    document_decoder,
    line_decoder,
    record_decoder,
    record_dtype,
    wraps_after_s,
)
from edged.sources.quality import LineQuality

MAX_SAMPLES = 256
"""Samples that one binary frame may hold."""

Format = Literal["csv", "jsonl", "binary"]
Framing = Literal["records", "cobs"]


@dataclass(frozen=True, slots=True)
class Wire:
    """What a sensor says. ``fields`` are a sample's numbers on the wire, in order; ``wanted`` is what is taken of them.

    ``framing`` and what follows count for ``binary`` only.
    """

    format: Format
    fields: tuple[Column, ...]
    wanted: Wanted
    delimiter: str = ","
    framing: Framing = "records"
    sync: bytes = b""
    length: LengthName = "u8"
    crc: CrcName = "crc16-ccitt"
    order: ByteOrder = "little"

    def framer(self) -> Framer:
        """Build what cuts the bytes into frames."""
        if self.format != "binary":
            return LineFramer()
        size = record_dtype(self.fields, self.order).itemsize
        most = 1 if self.framing == "records" and self.length == "none" else MAX_SAMPLES
        sizes = range(size, size * most + 1, size)
        if self.framing == "cobs":
            return CobsFramer(sizes, self.crc, self.order)
        return RecordFramer(sizes, sync=self.sync, length=self.length, crc=self.crc, order=self.order)

    def decoder(self) -> Decode:
        """Build what turns a frame into numbers."""
        if self.format == "csv":
            return line_decoder(self.fields, self.delimiter, self.wanted)
        if self.format == "jsonl":
            return document_decoder(self.fields, self.wanted)
        return record_decoder(self.fields, self.order, self.wanted)

    def __str__(self) -> str:
        """Say what is expected on the line."""
        if self.format == "binary":
            return f"{self.framing} of {', '.join(f'{field.name} {field.type}' for field in self.fields)}"
        what = f"lines of {len(self.fields)} numbers" if self.format == "csv" else "JSON lines with"
        return f"{what} {', '.join(field.name for field in self.fields)}"


class Reading:
    """From bytes to dated samples. ``drops`` counts ``malformed`` frames and ``unordered`` samples."""

    def __init__(self, wire: Wire, quality: LineQuality, rate_hz: float | None = None) -> None:
        self.quality = quality
        self.wire = wire
        self.example_of_garbage = b""
        self._framer = wire.framer()
        self._decode = wire.decoder()
        wraps_s = wraps_after_s(wire.fields, wire.wanted) if wire.format == "binary" else None
        has_time = wire.wanted.time is not None
        self._dater = Dater(dating_of(rate_hz, has_time=has_time, wraps_s=wraps_s), has_time=has_time)
        self.drops: Counter[str] = self._dater.drops

    @property
    def samples(self) -> int:
        """How many samples were given."""
        return self._dater.samples

    def feed(self, data: bytes, now_s: float) -> tuple[Rows, Rows] | None:
        """Take bytes that arrived at ``now_s``; give times (n,) and channels (n, columns), or None."""
        for found in self._framer.feed(data):
            rows = None if found.payload is None else self._decode(found.payload)
            if rows is None:
                self._lose(found, now_s)
            else:
                self.quality.good(found.size, now_s)
                self._dater.add(rows)
        return self._dater.dated(now_s)

    def _lose(self, found: Found, now_s: float) -> None:
        self.drops["malformed"] += 1
        self._dater.lose()
        self.quality.bad(found.size if found.payload is None else found.payload, now_s)
        if found.payload is not None:
            self.example_of_garbage = found.payload[:60]
