"""Binary records: how they are framed, found by trying what edged reads, and what their bytes may stand for. Pure.

A checksum of 16 bits that fits by chance fits one record in 65,536: three records that fit are no chance.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from edgectl.serial.text import STEADY, UNIT_ERROR, Part
from edged.domain.tensor import Array
from edged.sources.framing import (
    CRCS,
    ByteOrder,
    CobsFramer,
    CrcName,
    Found,
    LengthName,
    RecordFramer,
)
from edged.sources.layout import FieldType
from edged.sources.wire import Framing

LEAST_FRAMES = 3
LEAST_SHARE = 0.5
"""Of the bytes in frames that fit."""
MOST_BYTES = 255
"""Of a record's payload: what a length of one byte tells."""
MOST_SYNC = 4
CANDIDATES = 8
"""Sync words that are tried, the most frequent first."""
CHECKED: tuple[CrcName, ...] = ("crc16-ccitt", "crc16-xmodem", "crc32")
ORDERS: tuple[ByteOrder, ...] = ("little", "big")
LENGTHS: tuple[LengthName, ...] = ("u8", "u16", "none")
TRIED_BYTES = 1500
"""Trying every framing takes time for every byte."""
BARE_BYTES = 400
"""Without a sync word a record may begin at every byte."""
SEEN_BYTES = 6000

FLOATS: dict[FieldType, str] = {"f32": "f4", "f64": "f8"}
WHOLE: dict[FieldType, str] = {"i16": "i2", "u16": "u2", "i32": "i4", "u32": "u4", "u8": "u1", "i8": "i1"}
HEADS: tuple[FieldType | None, ...] = (None, "u32", "u16", "u8", "u64")
"""What a counter or a clock in front of the channels may be."""
DTYPES = {**FLOATS, **WHOLE, "u64": "u8"}
SIZES: dict[str, int] = {name: int(dtype[1]) for name, dtype in DTYPES.items()}
SANE = 1e-9, 1e9
"""Magnitudes that measurements have: of random bits read as float32, three of four lie outside."""
FLOAT_BITS = 0.03
"""What a sane float costs of its bits: sane ones come about by chance so seldom that they always win."""
COLUMN_BITS = 0.5
"""Fewer numbers are the simpler explanation."""
CLOCK_SCALES = (1e-3, 1e-6)


@dataclass(frozen=True, slots=True)
class Frames:
    """How records are framed, and what they hold. ``types`` go with ``parts``; they are a guess, unlike the framing."""

    framing: Framing
    sync: bytes
    length: LengthName
    crc: CrcName
    order: ByteOrder
    parts: tuple[Part, ...]
    types: tuple[FieldType, ...]
    share: float
    count: int


@dataclass(frozen=True, slots=True)
class _Framed:
    framing: Framing
    sync: bytes
    length: LengthName
    crc: CrcName
    order: ByteOrder
    payloads: tuple[bytes, ...]
    share: float


def read_frames(data: bytes, seconds: float) -> Frames | None:
    """Find out how binary records that came in so many seconds are framed; None when no framing of edged's fits."""
    few = data[:TRIED_BYTES]
    tries = [*_cobs(few), *_records(few)]
    sound = [one for one in tries if len(one.payloads) >= LEAST_FRAMES and one.share > LEAST_SHARE]
    if not sound:
        return None
    best = max(sound, key=lambda one: (round(one.share, 1), len(one.sync)))
    whole = _again(best, data[:SEEN_BYTES])
    parts, types = fields_of(whole.payloads, best.order, seconds * len(data[:SEEN_BYTES]) / len(data))
    return Frames(
        best.framing, best.sync, best.length, best.crc, best.order, parts, types, whole.share, len(whole.payloads)
    )


def _cobs(data: bytes) -> Iterator[_Framed]:
    for crc, order in product(CHECKED, ORDERS):
        yield _framed("cobs", b"", "u8", crc, order, CobsFramer(range(1, MOST_BYTES), crc, order).feed(data))


def _records(data: bytes) -> Iterator[_Framed]:
    for sync, (length, crc, order) in product(sync_words(data), product(LENGTHS, CHECKED, ORDERS)):
        sizes = _sizes(data, sync, length, crc)
        if sizes is not None:
            framer = RecordFramer(sizes, sync=sync, length=length, crc=crc, order=order)
            yield _framed("records", sync, length, crc, order, framer.feed(data if sync else data[:BARE_BYTES]))


def _again(one: _Framed, data: bytes) -> _Framed:
    if one.framing == "cobs":
        framer: CobsFramer | RecordFramer = CobsFramer(range(1, MOST_BYTES), one.crc, one.order)
    else:
        size = len(one.payloads[0])
        sizes = range(size, size + 1) if one.length == "none" else range(1, MOST_BYTES + 1)
        framer = RecordFramer(sizes, sync=one.sync, length=one.length, crc=one.crc, order=one.order)
    return _framed(one.framing, one.sync, one.length, one.crc, one.order, framer.feed(data))


def _framed(
    framing: Framing, sync: bytes, length: LengthName, crc: CrcName, order: ByteOrder, found: Sequence[Found]
) -> _Framed:
    payloads = tuple(one.payload for one in found if one.payload is not None)
    good = sum(one.size for one in found if one.payload is not None)
    share = good / max(1, sum(one.size for one in found))
    return _Framed(framing, sync, length, crc, order, payloads, share)


def sync_words(data: bytes) -> list[bytes]:
    """List what records may begin with: words that come again and again, the frequent and long ones first, and none."""
    found: list[tuple[int, bytes]] = []
    for size in range(1, MOST_SYNC + 1):
        counts = Counter(data[at : at + size] for at in range(len(data) - size + 1))
        found += [(count * size, word) for word, count in counts.most_common(CANDIDATES) if count >= LEAST_FRAMES]
    words = [word for _, word in sorted(found, reverse=True)]
    # A constant length behind the sync word makes a longer word of both: what is in front of it is tried, too.
    return list(dict.fromkeys([*words[:CANDIDATES], b""]))


def _sizes(data: bytes, sync: bytes, length: LengthName, crc: CrcName) -> range | None:
    """Give the payload sizes to take. Records without a length are as long as their sync words lie apart."""
    if length != "none":
        return range(1, MOST_BYTES + 1)
    if not sync:
        return None
    at = [place for place in range(len(data)) if data.startswith(sync, place)]
    steps = Counter(int(step) for step in np.diff(at))
    if not steps:
        return None
    size = steps.most_common(1)[0][0] - len(sync) - CRCS[crc].size
    return range(size, size + 1) if 0 < size <= MOST_BYTES else None


def fields_of(
    payloads: Sequence[bytes], order: ByteOrder, seconds: float
) -> tuple[tuple[Part, ...], tuple[FieldType, ...]]:
    """Guess what the bytes of a sample stand for: channels of one type, with a counter or a clock in front of them.

    Floats are told by their magnitudes, whole numbers by how little, and how evenly, they move from sample to sample.
    """
    size = 0
    for payload in payloads:
        size = math.gcd(size, len(payload))
    data = np.frombuffer(b"".join(payloads), np.uint8).reshape(-1, size)
    best = min(_layouts(size), key=lambda types: _cost(data, types, order))
    parts = tuple(_named(data, best, order, seconds))
    return parts, best


def _layouts(size: int) -> Iterator[tuple[FieldType, ...]]:
    for head in HEADS:
        left = size - (SIZES[head] if head else 0)
        bodies: tuple[FieldType, ...] = (*FLOATS, *WHOLE)
        for body in bodies:
            if left > 0 and left % SIZES[body] == 0:
                yield (*((head,) if head else ()), *((body,) * (left // SIZES[body])))


def _values(data: Array, types: Sequence[FieldType], order: ByteOrder) -> list[Array]:
    sign = "<" if order == "little" else ">"
    dtype = np.dtype([(f"f{at}", sign + DTYPES[one]) for at, one in enumerate(types)])
    records = np.ascontiguousarray(data).view(dtype)[:, 0]
    return [records[name] for name in dtype.names or ()]


def _cost(data: Array, types: Sequence[FieldType], order: ByteOrder) -> float:
    """Say how many bits a sample takes that is told by its steps, in this layout: right ones make steps small and even."""
    columns = _values(data, types, order)
    if len(set(types)) > 1 and not _is_counting(columns[0]):
        return math.inf
    return sum(_bits(column) + COLUMN_BITS for column in columns)


def _bits(column: Array) -> float:
    """Estimate what one number takes: the entropy of steps that are spread like these, and never more than its own bits."""
    width = 8.0 * column.dtype.itemsize
    with np.errstate(invalid="ignore"):  # random bits make NaN as well
        values = column.astype(np.float64)
    if column.dtype.kind == "f":
        sizes = np.abs(values[values != 0])
        is_sane = np.isfinite(values).all() and ((sizes > SANE[0]) & (sizes < SANE[1])).all()
        return FLOAT_BITS * width if is_sane and len(sizes) else 2 * width
    steps = np.diff(values)
    spread = float(np.abs(steps - np.median(steps)).mean()) if len(steps) else 2.0**width
    return min(width, math.log2(spread + 0.5) + 2)


def _is_counting(column: Array) -> bool:
    steps = np.diff(column.astype(np.float64))
    up = steps[steps >= 0]  # it may begin anew
    return len(up) >= len(steps) - 1 and bool((up > 0).all()) and float(up.std()) < STEADY * float(up.mean())


def _named(data: Array, types: Sequence[FieldType], order: ByteOrder, seconds: float) -> Iterator[Part]:
    columns = _values(data, types, order)
    has_head = len(set(types)) > 1
    if has_head:
        yield _head(columns[0], seconds)
    for at in range(len(columns) - has_head):
        yield Part(f"c{at + 1}", "channel")


def _head(column: Array, seconds: float) -> Part:
    steps = np.diff(column.astype(np.float64))
    if (steps == 1).mean() > LEAST_SHARE:
        return Part("n", "counter")
    pace = float(steps[steps > 0].mean()) * len(column) / seconds if seconds > 0 else 0.0
    scale = next((one for one in CLOCK_SCALES if 1 / UNIT_ERROR < pace * one < UNIT_ERROR), None)
    return Part("n", "counter") if scale is None else Part("t", "time", scale)
