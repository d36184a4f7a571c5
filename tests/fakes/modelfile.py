"""Model files of one operator, written byte by byte: real runtimes load them, and no test needs a training framework."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import flatbuffers

if TYPE_CHECKING:
    from collections.abc import Sequence

RELU = 19
CUSTOM = 32
TFLITE_TYPES = {"float32": 0, "uint8": 3, "int8": 9}


@dataclass(frozen=True)
class Tensor:
    name: str
    shape: tuple[int, ...]
    dtype: str = "float32"
    scale: float = 0.0
    zero_point: int = 0
    is_variable: bool = False


def tflite_relu(shape: tuple[int, ...] = (1, 4), dtype: str = "float32", scale: float = 0.0) -> bytes:
    """``y = max(x, 0)``: one operator that every runtime brings."""
    tensors = (Tensor("x", shape, dtype, scale), Tensor("y", shape, dtype, scale))
    return tflite_model(tensors, inputs=(0,), outputs=(1,))


def tflite_model(
    tensors: Sequence[Tensor],
    *,
    inputs: Sequence[int],
    outputs: Sequence[int],
    custom: str | None = None,
    operator_outputs: Sequence[int] | None = None,
) -> bytes:
    """One operator from ``inputs`` to ``operator_outputs``; the model's own outputs may stand in another order."""
    b = flatbuffers.Builder(1024)
    written = [_tensor(b, tensor) for tensor in tensors]
    operator = _table(b, {1: ("o", _ints(b, inputs)), 2: ("o", _ints(b, operator_outputs or outputs))})
    graph = _table(
        b,
        {
            0: ("o", _offsets(b, written)),
            1: ("o", _ints(b, inputs)),
            2: ("o", _ints(b, outputs)),
            3: ("o", _offsets(b, [operator])),
        },
    )
    number = RELU if custom is None else CUSTOM
    code_fields = {0: ("b", number), 3: ("i", number)}
    if custom is not None:
        code_fields[1] = ("o", b.CreateString(custom))
    code = _table(b, code_fields)
    empty = _table(b, {})
    model = _table(
        b,
        {
            0: ("u", 3),
            1: ("o", _offsets(b, [code])),
            2: ("o", _offsets(b, [graph])),
            4: ("o", _offsets(b, [empty])),
        },
    )
    b.Finish(model, file_identifier=b"TFL3")
    return bytes(b.Output())


def _tensor(b: flatbuffers.Builder, tensor: Tensor) -> int:
    fields = {
        0: ("o", _ints(b, tensor.shape)),
        1: ("b", TFLITE_TYPES[tensor.dtype]),
        3: ("o", b.CreateString(tensor.name)),
        5: ("b", int(tensor.is_variable)),
    }
    if tensor.scale:
        b.StartVector(4, 1, 4)
        b.PrependFloat32(tensor.scale)
        scales = b.EndVector()
        b.StartVector(8, 1, 8)
        b.PrependInt64(tensor.zero_point)
        zero_points = b.EndVector()
        fields[4] = ("o", _table(b, {2: ("o", scales), 3: ("o", zero_points)}))
    return _table(b, fields)


def _table(b: flatbuffers.Builder, fields: dict[int, tuple[str, int]]) -> int:
    b.StartObject(max(fields, default=0) + 1)
    slots = {
        "o": b.PrependUOffsetTRelativeSlot,
        "b": b.PrependInt8Slot,
        "i": b.PrependInt32Slot,
        "u": b.PrependUint32Slot,
    }
    for slot, (kind, value) in fields.items():
        slots[kind](slot, value, 0)
    return int(b.EndObject())


def _ints(b: flatbuffers.Builder, values: Sequence[int]) -> int:
    b.StartVector(4, len(values), 4)
    for value in reversed(values):
        b.PrependInt32(value)
    return int(b.EndVector())


def _offsets(b: flatbuffers.Builder, values: Sequence[int]) -> int:
    b.StartVector(4, len(values), 4)
    for value in reversed(values):
        b.PrependUOffsetTRelative(value)
    return int(b.EndVector())


def onnx_model(
    *,
    operator: str = "Relu",
    domain: str = "",
    shape: Sequence[int | str] = (1, 4),
    opset: int = 13,
    element: int = 1,
) -> bytes:
    """``y = operator(x)``; names in ``shape`` stay open. ``element`` 1 is float32, 8 is text (onnx.proto)."""
    node = _text(1, "x") + _text(2, "y") + _text(4, operator) + (_text(7, domain) if domain else b"")
    graph = _chunk(1, node) + _text(2, "graph")
    graph += _chunk(11, _value("x", shape, element)) + _chunk(12, _value("y", shape, element))
    imports = _chunk(8, _text(1, "") + _number(2, opset))
    if domain:
        imports += _chunk(8, _text(1, domain) + _number(2, 1))
    return _number(1, 8) + imports + _chunk(7, graph)


def onnx_accumulator(shape: Sequence[int | str] = (1, 2)) -> bytes:
    """``total = x + sum so far``: gives it twice, as the answer ``y`` and as ``next``, to be fed back as ``state``."""
    add = _text(1, "x") + _text(1, "state") + _text(2, "next") + _text(4, "Add")
    same = _text(1, "next") + _text(2, "y") + _text(4, "Identity")
    graph = _chunk(1, add) + _chunk(1, same) + _text(2, "graph")
    graph += b"".join(_chunk(11, _value(name, shape, 1)) for name in ("x", "state"))
    graph += b"".join(_chunk(12, _value(name, shape, 1)) for name in ("next", "y"))
    return _number(1, 8) + _chunk(8, _text(1, "") + _number(2, 13)) + _chunk(7, graph)


def _value(name: str, shape: Sequence[int | str], element: int) -> bytes:
    sizes = b"".join(_chunk(1, _number(1, size) if isinstance(size, int) else _text(2, size)) for size in shape)
    return _text(1, name) + _chunk(2, _chunk(1, _number(1, element) + _chunk(2, sizes)))


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _chunk(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _text(field: int, text: str) -> bytes:
    return _chunk(field, text.encode())
