"""How the numbers of a sample lie in a record or a line, and what they stand for. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edged.domain.errors import ConfigError
from edged.sources.jsonpath import Path, numbers_at

FieldType = Literal["u8", "i8", "u16", "i16", "u32", "i32", "u64", "i64", "f32", "f64"]
Order = Literal["little", "big"]
Rows = NDArray[np.float64]

FLOAT32_MAX = float(np.finfo(np.float32).max)
"""What is beyond is no measurement, and would be infinite for the model."""

_DTYPES: dict[FieldType, str] = {
    "u8": "u1", "i8": "i1", "u16": "u2", "i16": "i2", "u32": "u4", "i32": "i4", "u64": "u8", "i64": "i8", "f32": "f4", "f64": "f8",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Column:
    """One number of a sample on the wire: ``value = raw * scale + offset``. ``type`` counts in binary records only."""

    name: str
    type: FieldType = "f32"
    scale: float = 1.0
    offset: float = 0.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is taken from a sample: the channels in the model's order, and the sensor's time, if any.

    The scale of the time's column turns it into seconds.
    """

    columns: tuple[str, ...]
    time: str | None = None


def in_order(wanted: Wanted) -> tuple[Column, ...]:
    """Give the columns of a line of text that holds what is wanted and nothing else, the time first."""
    time = () if wanted.time is None or wanted.time in wanted.columns else (wanted.time,)
    return tuple(Column(name) for name in (*time, *wanted.columns))


Decode = Callable[[bytes], Rows | None]
"""A frame's payload to rows of (samples, time and channels) float64, or None when it is no sample.

Column 0 is the sensor's time in seconds (0 where it has none), the channels follow.
"""


def record_dtype(fields: Sequence[Column], order: Order) -> np.dtype[np.void]:
    """Give the memory layout of one sample in a binary record: fields without padding."""
    sign = "<" if order == "little" else ">"
    return np.dtype([(field.name, sign + _DTYPES[field.type]) for field in fields])


def record_decoder(fields: Sequence[Column], order: Order, wanted: Wanted) -> Decode:
    """Build the decoder of payloads of one or more samples, each as ``fields`` lie on the wire."""
    dtype = record_dtype(fields, order)
    chosen = _chosen(fields, wanted)

    def decode(payload: bytes) -> Rows | None:
        records = np.frombuffer(payload, dtype)
        rows = np.zeros((len(records), 1 + len(wanted.columns)))
        with np.errstate(over="ignore", invalid="ignore"):  # what does not fit is no sample, see below
            for place, scale, offset, name in chosen:
                rows[:, place] = records[name].astype(np.float64) * scale + offset
        return rows if _is_sound(rows) else None

    return decode


def line_decoder(fields: Sequence[Column], delimiter: str, wanted: Wanted) -> Decode:
    """Build the decoder of a line of numbers, one field after the other; a space stands for any white space."""
    chosen = [(place, scale, offset, _place(fields, name)) for place, scale, offset, name in _chosen(fields, wanted)]
    separator = None if delimiter.isspace() and delimiter != "\t" else delimiter.encode()

    def decode(line: bytes) -> Rows | None:
        texts = line.split(separator)
        if len(texts) != len(fields):
            return None
        rows = np.zeros((1, 1 + len(wanted.columns)))
        try:
            for place, scale, offset, index in chosen:
                rows[0, place] = float(texts[index]) * scale + offset
        except ValueError:
            return None
        return rows if _is_sound(rows) else None

    return decode


def document_decoder(fields: Sequence[Column], wanted: Wanted) -> Decode:
    """Build the decoder of a JSON document a sample; a column's name is its path in the document."""
    chosen = [(place, scale, offset, Path.parse(name)) for place, scale, offset, name in _chosen(fields, wanted)]
    paths = [path for *_, path in chosen]
    places = [place for place, *_ in chosen]
    scales = np.array([scale for _, scale, *_ in chosen])
    offsets = np.array([offset for *_, offset, _ in chosen])

    def decode(text: bytes) -> Rows | None:
        numbers = numbers_at(parsed(text), paths)
        if numbers is None:
            return None
        rows = np.zeros((1, 1 + len(wanted.columns)))
        with np.errstate(over="ignore", invalid="ignore"):
            rows[0, places] = np.array(numbers) * scales + offsets
        return rows if _is_sound(rows) else None

    return decode


def parsed(text: bytes) -> Any:
    """Read a JSON document; None when it is none. NaN and Infinity are none, nor is what nests too deep."""
    try:
        return json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None


def wraps_after_s(fields: Sequence[Column], wanted: Wanted) -> float | None:
    """Give after which time a binary counter begins anew; None for a signed or floating one, which does not count on."""
    time = next((field for field in fields if field.name == wanted.time), None)
    if time is None or not time.type.startswith("u"):
        return None
    return float(2 ** int(time.type[1:])) * time.scale


def _chosen(fields: Sequence[Column], wanted: Wanted) -> list[tuple[int, float, float, str]]:
    """Give place in the row, scale, offset and name of everything that is wanted."""
    known = {field.name: field for field in fields}
    missing = [name for name in (*wanted.columns, wanted.time) if name is not None and name not in known]
    if missing:
        message = (
            f"cannot find {', '.join(map(repr, missing))} in a sample: it has {', '.join(known)}, expected these names"
        )
        raise ConfigError(message, remedy="name them in the source's fields")
    chosen = [(1 + i, known[name].scale, known[name].offset, name) for i, name in enumerate(wanted.columns)]
    if wanted.time is not None:
        time = known[wanted.time]
        chosen.append((0, time.scale, time.offset, wanted.time))
    return chosen


def _place(fields: Sequence[Column], name: str) -> int:
    return [field.name for field in fields].index(name)


def _is_sound(rows: Rows) -> bool:
    """Whether every number is finite, and every channel also as a float32."""
    return bool(np.isfinite(rows).all() and (np.abs(rows[:, 1:]) <= FLOAT32_MAX).all())


def _refuse(constant: str) -> float:
    message = f"cannot take {constant} for a number"
    raise ValueError(message)
