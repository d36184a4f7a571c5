"""Protocol Buffers' wire format by tables of fields: bytes to plain dicts and back. Bytes are viewed, never copied, on the way in.

https://protobuf.dev/programming-guides/encoding/. The usual library's generated classes copy each tensor twice and take 18 MB; what is
needed of it here is this page. Tests hold it against the library's own encoder and decoder.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edged.api.refusal import invalid
from edged.domain.tensor import Array

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
MAX_DEPTH = 8
"""No message of the protocol nests deeper; one that does was made to exhaust the stack."""
MAX_VARINT_BYTES = 10
MOST_FIELDS = 65_536
"""In a message and all that nest in it: each takes Python a microsecond and a hundred bytes, while it may be two bytes long."""
MOST_NUMBERS = 1 << 21
"""Of its packed lists together: a picture of 800 by 800 in colour, 80 MB as Python's own numbers. What is larger comes raw."""
_SIGN, _WRAP = 1 << 63, 1 << 64
_MASK = _WRAP - 1


@dataclass(frozen=True, slots=True)
class Field:
    """One field. ``kind`` is protobuf's name of the type, or ``message``, ``map`` (its value is ``table``'s), ``enum``."""

    number: int
    name: str
    kind: str
    repeated: bool = False
    table: Table | None = None
    names: Mapping[str, int] = field(default_factory=dict)
    """Of an enum."""


@dataclass(frozen=True, slots=True)
class Table:
    """A message's fields."""

    fields: tuple[Field, ...]

    def numbered(self, number: int) -> Field | None:
        """Give the field of a number; None for one that a later version may have brought."""
        return next((one for one in self.fields if one.number == number), None)


def table(*fields: Field) -> Table:
    """Make a table."""
    return Table(fields)


@dataclass(slots=True)
class _Room:
    """What a message may still hold."""

    fields: int = MOST_FIELDS
    numbers: int = MOST_NUMBERS

    def take(self, fields: int, numbers: int) -> None:
        """Use some of it up. Raises ValueError when that is too much."""
        self.fields -= fields
        self.numbers -= numbers
        if min(self.fields, self.numbers) < 0:
            message = f"more than {MOST_FIELDS} fields, or {MOST_NUMBERS} numbers that are not raw"
            raise ValueError(message)


def decode(rows: Table, body: memoryview, depth: int = 0, room: _Room | None = None) -> dict[str, Any]:
    """Read a message. Absent fields are absent; unknown ones are skipped. Raises RefusedError for what is no message, or too much."""
    if depth > MAX_DEPTH:
        message = f"cannot read the message: it is nested deeper than {MAX_DEPTH}"
        raise invalid(message)
    found: dict[str, Any] = {}
    room = room or _Room()
    try:
        for number, wire, value in _entries(body):
            room.take(1, 0)
            row = rows.numbered(number)
            if row is not None:
                _take(found, row, wire, value, depth, room)
    except (IndexError, struct.error, UnicodeDecodeError, ValueError) as error:
        message = f"cannot read the message: {str(error)[:80]}, expected Protocol Buffers"
        raise invalid(message) from error
    return found


def encode(rows: Table, document: Mapping[str, Any]) -> bytes:
    """Write a message; what is None is left out. A name that the table does not have is a fault of the caller: KeyError."""
    by_name = {row.name: row for row in rows.fields}
    return b"".join(
        part for name, value in document.items() if value is not None for part in _written(by_name[name], value)
    )


# -- reading


def _entries(body: memoryview) -> Iterator[tuple[int, int, Any]]:
    at, end = 0, len(body)
    while at < end:
        tag, at = _varint(body, at)
        wire = tag & 7
        if wire == VARINT:
            value, at = _varint(body, at)
            yield tag >> 3, wire, value
            continue
        if wire == LENGTH:
            size, at = _varint(body, at)
        elif wire in {FIXED64, FIXED32}:
            size = 8 if wire == FIXED64 else 4
        else:
            message = f"wire type {wire}"
            raise ValueError(message)
        if size > end - at:
            message = f"a field of {size} bytes where {end - at} are left"
            raise ValueError(message)
        yield tag >> 3, wire, body[at : at + size]
        at += size


def _varint(body: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = body[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:  # noqa: PLR2004 - the bit that says whether more follow
            return value & _MASK, at
        shift += 7
        if shift >= 7 * MAX_VARINT_BYTES:
            message = "a number of more than ten bytes"
            raise ValueError(message)


def _take(found: dict[str, Any], row: Field, wire: int, value: Any, depth: int, room: _Room) -> None:
    if row.kind == "map":
        key, one = _map_entry(row, value, wire, depth, room)
        found.setdefault(row.name, {})[key] = one
    elif row.repeated and wire == LENGTH and row.kind in _SCALARS:
        found.setdefault(row.name, []).extend(_packed(row, value, room))
    elif row.repeated:
        found.setdefault(row.name, []).append(_single(row, wire, value, depth, room))
    else:
        found[row.name] = _single(row, wire, value, depth, room)


def _single(row: Field, wire: int, value: Any, depth: int, room: _Room) -> Any:
    expected = _SCALARS[row.kind].wire if row.kind in _SCALARS else LENGTH
    if wire != expected:
        message = f"{row.name} of wire type {wire}"
        raise ValueError(message)
    if row.kind == "message":
        assert row.table is not None  # noqa: S101 - such a field has one
        return decode(row.table, value, depth + 1, room)
    if row.kind == "string":
        return str(value, "utf-8")
    return value if row.kind == "bytes" else _SCALARS[row.kind].read(value)


def _map_entry(row: Field, value: Any, wire: int, depth: int, room: _Room) -> tuple[str, Any]:
    entry = decode(_entry(row), value, depth + 1, room) if wire == LENGTH else {}
    return entry.get("key", ""), entry.get("value", {})


def _packed(row: Field, value: memoryview, room: _Room) -> list[Any]:
    scalar = _SCALARS[row.kind]
    if scalar.wire != VARINT:
        numbers = np.frombuffer(value, scalar.dtype)
        room.take(0, len(numbers))
        return list(numbers.tolist())
    octets = np.frombuffer(value, np.uint8)
    ends = np.flatnonzero(octets < 0x80)  # noqa: PLR2004 - the bit that says whether more follow
    room.take(0, len(ends))
    return list(_varints(octets, ends).astype(scalar.dtype).tolist())


def _varints(octets: Array, ends: Array) -> Array:
    """Give the numbers (uint64) that end at ``ends``, as ``_varint`` reads them one by one."""
    sizes = np.diff(ends, prepend=-1)
    if len(octets) and (octets[-1] > 0x7F or sizes.max() > MAX_VARINT_BYTES):  # noqa: PLR2004 - as above
        message = "a number that does not end, or takes more than ten bytes"
        raise ValueError(message)
    found = np.zeros(len(ends), np.uint64)
    for place in range(int(sizes.max(initial=0))):
        has = sizes > place
        part = (octets[(ends - sizes + 1 + place)[has]] & 0x7F).astype(np.uint64)
        found[has] |= part << np.uint64(7 * place)
    return found


# -- writing


def _written(row: Field, value: Any) -> Iterator[bytes]:
    if row.kind == "map":
        for key, one in value.items():
            yield from _delimited(row.number, encode(_entry(row), {"key": key, "value": one}))
    elif row.repeated and row.kind in _SCALARS:
        if len(value):
            yield from _delimited(row.number, b"".join(_SCALARS[row.kind].write(one) for one in value))
    elif row.repeated:
        for one in value:
            yield from _one(row, one)
    else:
        yield from _one(row, value)


def _one(row: Field, value: Any) -> Iterator[bytes]:
    if row.kind == "message":
        assert row.table is not None  # noqa: S101 - such a field has one
        yield from _delimited(row.number, encode(row.table, value))
    elif row.kind == "string":
        yield from _delimited(row.number, value.encode("utf-8", "surrogateescape"))
    elif row.kind == "bytes":
        yield from _delimited(row.number, value)
    else:
        scalar = _SCALARS[row.kind]
        yield _number(row.number << 3 | scalar.wire)
        yield scalar.write(row.names[value] if row.kind == "enum" else value)


def _delimited(number: int, body: bytes) -> Iterator[bytes]:
    yield _number(number << 3 | LENGTH) + _number(len(body))
    yield body


def _number(value: int) -> bytes:
    value &= _MASK
    out = bytearray()
    while value > 0x7F:  # noqa: PLR2004 - seven bits a byte
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


@dataclass(frozen=True, slots=True)
class _Scalar:
    """How a number travels. ``dtype`` is NumPy's, of many that lie packed."""

    wire: int
    read: Callable[[Any], Any]
    write: Callable[[Any], bytes]
    dtype: str


def _signed(value: int) -> int:
    return value - _WRAP if value & _SIGN else value


def _signed32(value: int) -> int:
    low = value & 0xFFFFFFFF
    return low - (1 << 32) if low & 0x80000000 else low


_SCALARS: Mapping[str, _Scalar] = {
    "bool": _Scalar(VARINT, bool, lambda value: _number(int(value)), "bool"),
    "int32": _Scalar(VARINT, _signed32, _number, "i4"),
    "int64": _Scalar(VARINT, _signed, _number, "i8"),
    "uint32": _Scalar(VARINT, lambda value: value & 0xFFFFFFFF, _number, "u4"),
    "uint64": _Scalar(VARINT, int, _number, "u8"),
    "enum": _Scalar(VARINT, _signed32, _number, "i4"),
    "float": _Scalar(
        FIXED32, lambda value: struct.unpack("<f", value)[0], lambda value: struct.pack("<f", value), "<f4"
    ),
    "double": _Scalar(
        FIXED64, lambda value: struct.unpack("<d", value)[0], lambda value: struct.pack("<d", value), "<f8"
    ),
}


def _entry(row: Field) -> Table:
    return Table((Field(1, "key", "string"), Field(2, "value", "message", table=row.table)))


def text(number: int, name: str, *, repeated: bool = False) -> Field:
    """Make a field of text."""
    return Field(number, name, "string", repeated)


def texts(*names: str) -> Sequence[Field]:
    """Make fields of text, numbered from 1."""
    return [text(number, name) for number, name in enumerate(names, 1)]
