"""The flight recorder's block: some rows of figures, a second each, as they lie on disk and as they are read back.

Each column is kept in whole steps of its unit (see ``DIGITS``), as the differences from second to second: their bytes are parted by
significance, so that those which are nearly always zero lie side by side, and packed by zlib. A column of which a second knows nothing
has a hole there. The columns' names stand in a record of their own, the table, once a file and whenever they change.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BLOCK, TABLE = b"B", b"T"
"""Kinds of record."""
MAX_COLUMNS, MAX_ROWS, MAX_TABLE_BYTES = 2000, 600, 1_000_000
"""A box of eight pipelines has some 300 columns. Whatever is read is bounded: it may come from another box's archive."""
DIGITS = (
    ("_uptime_seconds", 0),
    ("_age_seconds", 3),
    ("_seconds", 6),
    ("_seconds_sum", 6),
    ("_celsius", 1),
    ("_bytes", 0),
    ("_total", 0),
    ("_count", 0),
)
"""Decimal places that are kept, by how a name ends before its labels."""
OTHER_DIGITS = 3
_LINE = re.compile(r"\d [^\x00-\x1f\x7f-\x9f]{1,1000}")
"""Decimal places and a name. It is printed on terminals: no name of ours has a control character, or is as long as a page."""
_HEAD = struct.Struct("<36sqq?HHI")
_TIMES = 2
"""Columns before the figures: wall and monotonic time, in ms."""
_ABSENT = np.int64(-(2**63))
_LARGEST = 2.0**62
_EIGHT = 8

Numbers = NDArray[np.float64]
Wholes = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Head:
    """What is known of a block before it is unpacked.

    ``wall_ms`` and ``mono_ms`` are its first row's, ``table`` the digest of its columns.
    """

    boot: str
    wall_ms: int
    mono_ms: int
    is_synced: bool
    rows: int
    columns: int
    table: int


@dataclass(frozen=True, slots=True)
class Block:
    """Rows of one boot: ``walls_ms`` and ``monos_ms`` are (rows,), ``values`` is (rows, columns) with NaN for what was not known."""

    boot: str
    is_synced: bool
    columns: tuple[str, ...]
    walls_ms: Wholes
    monos_ms: Wholes
    values: Numbers

    def __post_init__(self) -> None:
        """Refuse what is no block."""
        rows = len(self.walls_ms)
        if not 0 < rows <= MAX_ROWS or len(self.monos_ms) != rows or self.values.shape != (rows, len(self.columns)):
            message = f"cannot build a block of {rows} rows with values {self.values.shape}, expected one value a row and column"
            raise ValueError(message)


@dataclass(frozen=True, slots=True)
class Table:
    """What the columns of blocks are called, and how many decimal places of each are kept: a later version may keep others."""

    columns: tuple[str, ...]
    digits: tuple[int, ...]

    @classmethod
    def of(cls, columns: tuple[str, ...]) -> Table:
        """Give the table of these columns, with the places that this version keeps."""
        return cls(columns, tuple(digits_of(name) for name in columns))

    def to_bytes(self) -> bytes:
        """Write it, a line each."""
        return zlib.compress(
            "\n".join(f"{digits} {name}" for name, digits in zip(self.columns, self.digits, strict=True)).encode()
        )

    @classmethod
    def from_bytes(cls, content: bytes) -> Table:
        """Read it. Raises ValueError for what is no table."""
        text = _unpacked(content, MAX_TABLE_BYTES).decode("utf-8", "replace")
        lines = text.split("\n") if text else []
        if len(lines) > MAX_COLUMNS or not all(_LINE.fullmatch(line) for line in lines):
            message = f"cannot read a table of {len(lines)} columns, expected at most {MAX_COLUMNS} with their places"
            raise ValueError(message)
        return cls(tuple(line[2:] for line in lines), tuple(int(line[0]) for line in lines))


def packed(block: Block) -> bytes:
    """Write a block; what its columns are stands in ``Table.of(block.columns)``."""
    table = Table.of(block.columns)
    wholes = np.vstack([block.walls_ms, block.monos_ms, _wholes(block.values, table.digits)])
    steps = np.diff(wholes, axis=1, prepend=np.int64(0))
    # Zigzag, so that small steps down are small numbers too; arithmetic modulo 2^64 makes every jump of 64 bits reversible.
    unsigned = np.ascontiguousarray((steps << 1) ^ (steps >> 63), "<i8")
    planes = unsigned.view(np.uint8).reshape(*unsigned.shape, _EIGHT).transpose(2, 0, 1)
    names = zlib.crc32(table.to_bytes())
    first = int(block.walls_ms[0]), int(block.monos_ms[0])
    head = _HEAD.pack(block.boot.encode(), *first, block.is_synced, len(block.walls_ms), len(block.columns), names)
    return head + zlib.compress(planes.tobytes())


def read_head(content: bytes) -> Head:
    """Read what stands before a block. Raises ValueError when it is none."""
    if len(content) < _HEAD.size:
        message = f"cannot read a block of {len(content)} bytes, expected at least {_HEAD.size}"
        raise ValueError(message)
    boot, wall_ms, mono_ms, is_synced, rows, columns, names = _HEAD.unpack_from(content)
    if not 0 < rows <= MAX_ROWS or columns > MAX_COLUMNS:
        message = (
            f"cannot read a block of {rows} rows and {columns} columns, expected at most {MAX_ROWS} and {MAX_COLUMNS}"
        )
        raise ValueError(message)
    told = boot.rstrip(b"\0").decode("ascii", "replace")
    return Head(told, wall_ms, mono_ms, is_synced, rows, columns, names)


def unpacked(content: bytes, table: Table, wanted: Sequence[int] | None = None) -> Block:
    """Read a block back, of its columns those with the numbers ``wanted``. Raises ValueError when it is none, or not of this table."""
    head = read_head(content)
    if len(table.columns) != head.columns:
        message = f"cannot read a block of {head.columns} columns with {len(table.columns)} names, expected one each"
        raise ValueError(message)
    chosen = list(range(head.columns) if wanted is None else wanted)
    shape = (_EIGHT, _TIMES + head.columns, head.rows)
    data = _unpacked(content[_HEAD.size :], int(np.prod(shape)))
    planes = np.frombuffer(data, np.uint8).reshape(shape)[:, [0, 1, *(_TIMES + number for number in chosen)]]
    unsigned = np.ascontiguousarray(planes.transpose(1, 2, 0)).view("<u8")[..., 0]
    steps = (unsigned >> np.uint64(1)).astype(np.int64) ^ -(unsigned & np.uint64(1)).astype(np.int64)
    wholes = np.cumsum(steps, axis=1, dtype=np.int64)
    names = tuple(table.columns[number] for number in chosen)
    digits = tuple(table.digits[number] for number in chosen)
    return Block(head.boot, head.is_synced, names, wholes[0], wholes[1], _values(wholes[_TIMES:], digits))


def digits_of(column: str) -> int:
    """Give how many decimal places of a column are kept."""
    name = column.partition("{")[0]
    return next((digits for ending, digits in DIGITS if name.endswith(ending)), OTHER_DIGITS)


def _scales(digits: Sequence[int]) -> Numbers:
    scales: Numbers = 10.0 ** np.array(digits, np.float64)[:, np.newaxis]
    return scales


def _wholes(values: Numbers, digits: Sequence[int]) -> Wholes:
    """Give (columns, rows) in whole steps; what is no number, or larger than anything that is measured, is a hole."""
    scaled = np.rint(values.T * _scales(digits))
    known = np.abs(scaled) < _LARGEST  # False for NaN, too
    return np.where(known, np.where(known, scaled, 0).astype(np.int64), _ABSENT)


def _values(wholes: Wholes, digits: Sequence[int]) -> Numbers:
    values: Numbers = np.where(wholes == _ABSENT, np.nan, wholes / _scales(digits)).T
    return values


def _unpacked(content: bytes, expected_bytes: int) -> bytes:
    """Unpack, at most so much. Raises ValueError when it is no such thing."""
    unpacking = zlib.decompressobj()
    try:
        return unpacking.decompress(content, expected_bytes)
    except zlib.error as error:
        message = f"cannot unpack a record: {error}, expected what was packed by edged"
        raise ValueError(message) from error
