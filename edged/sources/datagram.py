"""From datagrams to samples, and what is missing between them. Pure; no loop over samples."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edged.sources.dating import LATE_STEPS, Dater
from edged.sources.framing import ByteOrder

CountType = Literal["u8", "u16", "u32", "u64"]
SampleType = Literal["i8", "u8", "i16", "u16", "i32", "f32", "f64"]

_COUNTS: dict[CountType, str] = {"u8": "B", "u16": "H", "u32": "I", "u64": "Q"}
_SAMPLES: dict[SampleType, str] = {
    "i8": "i1", "u8": "u1", "i16": "i2", "u16": "u2", "i32": "i4", "f32": "f4", "f64": "f8",
}  # fmt: skip

LATE = 64
"""A datagram of so few before the newest was overtaken on its way; one further back means that the sender started anew."""

MISSING_S = 10.0
"""More than this is not what a network loses: the sender started anew."""


@dataclass(frozen=True, slots=True)
class DatagramLayout:
    """A header of counts, then samples of ``channels`` numbers of one type, one after the other.

    ``header`` holds names and types. ``seq`` counts datagrams, ``sample`` is the number of the first sample,
    ``channels`` and ``samples`` say how many there are; any other name is skipped. ``taken`` are the places of the
    channels that are wanted.
    """

    header: tuple[tuple[str, CountType], ...]
    channels: int
    taken: tuple[int, ...]
    type: SampleType = "i16"
    order: ByteOrder = "little"
    scale: float = 1.0


class Datagrams:
    """Cuts datagrams into rows for a dater. ``drops`` counts datagrams: ``malformed``, ``late`` and ``lost``."""

    def __init__(self, layout: DatagramLayout, dater: Dater, rate_hz: float) -> None:
        sign = "<" if layout.order == "little" else ">"
        self.drops: Counter[str] = dater.drops
        self._layout = layout
        self._dater = dater
        self._header = struct.Struct(sign + "".join(_COUNTS[kind] for _, kind in layout.header))
        self._places = {name: place for place, (name, _) in enumerate(layout.header)}
        self._count = "sample" if "sample" in self._places else "seq"
        self._modulus = 1 << 8 * struct.calcsize(_COUNTS[layout.header[self._places[self._count]][1]])
        self._dtype = np.dtype(sign + _SAMPLES[layout.type])
        self._row_bytes = self._dtype.itemsize * layout.channels
        self._most_missing = MISSING_S * rate_hz
        self._next: int | None = None  # the count that the next datagram should carry

    def take(self, datagrams: Sequence[bytes]) -> None:
        """Hand the samples of datagrams, in the order of their arrival, to the dater."""
        for datagram in datagrams:
            samples = self._size(datagram)
            if not samples:
                self.drops["malformed"] += 1
            elif self._is_next(self._header.unpack_from(datagram)[self._places[self._count]], samples):
                self._add(datagram)

    def _size(self, datagram: bytes) -> int:
        """Give how many samples it holds; 0 when it is none of this layout."""
        samples, rest = divmod(len(datagram) - self._header.size, self._row_bytes)
        if samples < 1 or rest:
            return 0
        said = dict(zip(self._places, self._header.unpack_from(datagram), strict=True))
        fits = said.get("channels", self._layout.channels) == self._layout.channels
        return samples if fits and said.get("samples", samples) == samples else 0

    def _is_next(self, count: int, samples: int) -> bool:
        """Whether it comes behind all that came; leave room for what is missing before it."""
        advance = samples if self._count == "sample" else 1
        ahead = 0 if self._next is None else (count - self._next) % self._modulus
        if ahead >= self._modulus - LATE * advance:
            self.drops["late"] += 1
            return False
        missing = ahead if self._count == "sample" else ahead * samples
        if missing > self._most_missing or ahead >= self._modulus // 2:
            self._dater.lose(int(LATE_STEPS))  # a gap; how long it was tells the arrival
        elif missing:
            self.drops["lost"] += max(1, ahead // advance)
            self._dater.lose(missing)
        self._next = (count + advance) % self._modulus
        return True

    def _add(self, datagram: bytes) -> None:
        raw = np.frombuffer(datagram, self._dtype, offset=self._header.size).reshape(-1, self._layout.channels)
        rows: NDArray[np.float64] = np.zeros((len(raw), 1 + len(self._layout.taken)))
        with np.errstate(over="ignore", invalid="ignore"):  # told below
            rows[:, 1:] = raw[:, self._layout.taken].astype(np.float64) * self._layout.scale
            sound = np.isfinite(rows.astype(np.float32)).all()
        if sound:
            self._dater.add(rows)
        else:
            self.drops["malformed"] += 1
            self._dater.lose(len(rows))
