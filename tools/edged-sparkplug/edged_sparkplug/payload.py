"""Sparkplug B's payload as bytes: the fields of Eclipse Tahu's sparkplug_b.proto that are used here, as tables of edged's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from edged.api.protobuf import Field, decode, encode, table

Value = bool | int | float | str


class DataType(IntEnum):
    """Sparkplug's number of a type (Sparkplug 3.0, 6.4.16)."""

    INT32 = 3
    INT64 = 4
    DOUBLE = 10
    BOOLEAN = 11
    STRING = 12


_METRIC = table(
    Field(1, "name", "string"),
    Field(2, "alias", "uint64"),
    Field(3, "timestamp", "uint64"),
    Field(4, "datatype", "uint32"),
    Field(7, "is_null", "bool"),
    Field(10, "int_value", "uint32"),
    Field(11, "long_value", "uint64"),
    Field(13, "double_value", "double"),
    Field(14, "boolean_value", "bool"),
    Field(15, "string_value", "string"),
)
_PAYLOAD = table(
    Field(1, "timestamp", "uint64"),
    Field(2, "metrics", "message", repeated=True, table=_METRIC),
    Field(3, "seq", "uint64"),
)
_VALUES: Mapping[DataType, str] = {
    DataType.INT32: "int_value",
    DataType.INT64: "long_value",
    DataType.DOUBLE: "double_value",
    DataType.BOOLEAN: "boolean_value",
    DataType.STRING: "string_value",
}
_INT32 = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Metric:
    """One value of one name; None is null. ``timestamp_ms`` is when it was so, in Unix time."""

    name: str
    type: DataType
    value: Value | None
    timestamp_ms: int


def write(metrics: Sequence[Metric], timestamp_ms: int, seq: int | None = None) -> bytes:
    """Write a payload; a will has no ``seq``."""
    document = {"timestamp": timestamp_ms, "metrics": [_document(one) for one in metrics], "seq": seq}
    return encode(_PAYLOAD, document)


def read(payload: bytes) -> list[tuple[str, Any]]:
    """Read a command's metrics: name and value. Raises RefusedError, an EdgedError, for what is no payload."""
    found = decode(_PAYLOAD, memoryview(payload)).get("metrics", [])
    return [(one.get("name", ""), next((one[key] for key in _VALUES.values() if key in one), None)) for one in found]


def _document(metric: Metric) -> dict[str, Any]:
    told = {"name": metric.name, "timestamp": metric.timestamp_ms, "datatype": int(metric.type)}
    if metric.value is None:
        return {**told, "is_null": True}
    # A negative Int32 travels as its two's complement in an unsigned field (6.4.16); tables do that for 64 bits by themselves.
    value = int(metric.value) & _INT32 if metric.type is DataType.INT32 else metric.value
    return {**told, _VALUES[metric.type]: value}
