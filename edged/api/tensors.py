"""Tensors of the Open Inference Protocol: from JSON and from bytes, checked, and back. The same for HTTP and gRPC.

A binary tensor is *viewed*: its array lies on the body that was received, little-endian and row-major as the protocol has it, and is
copied only where it does not begin at a multiple of its element's size. Every fault of what a client sent is a ``RefusedError`` of kind
``invalid`` that names the tensor.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from edged.api.refusal import invalid
from edged.domain.tensor import FREE, Array, TensorSpec

BYTES = "BYTES"
DTYPES = MappingProxyType(
    {
        "BOOL": "bool",
        "UINT8": "uint8",
        "UINT16": "uint16",
        "UINT32": "uint32",
        "UINT64": "uint64",
        "INT8": "int8",
        "INT16": "int16",
        "INT32": "int32",
        "INT64": "int64",
        "FP16": "float16",
        "FP32": "float32",
        "FP64": "float64",
    }
)
"""The protocol's names of types, and NumPy's. ``BYTES`` has none: its elements are of any length."""
DATATYPES = MappingProxyType({dtype: datatype for datatype, dtype in DTYPES.items()})
_NAMES = {np.dtype(dtype): datatype for datatype, dtype in DTYPES.items()}
"""NumPy writes a type's name anew each time, in 15 calls."""
MAX_RANK = 16
"""No model has more dimensions; NumPy allows 64."""
_IS_LITTLE = sys.byteorder == "little"
MOST_NAME_CHARS = 256
"""Longer than any tensor's; what is refused is told with its name, in gRPC's trailers too, which hold 8 KB."""
MOST_ALONG = 1 << 48
"""No memory holds so much; Python does not write out a number of thousands of digits, as JSON may."""
LENGTH_BYTES = 4
"""Before each element of BYTES stands its length, uint32 little-endian."""
MOST_ELEMENTS = 4096
"""Of BYTES in one tensor: each takes Python a microsecond, and no model here takes more than one, a picture."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """A named tensor. ``data`` is an array of ``shape``, or, of BYTES, the elements in row-major order."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    data: Array | tuple[bytes, ...]


def named(name: str, array: Array) -> Tensor:
    """Give an engine's array as a tensor."""
    return Tensor(name, _NAMES[array.dtype], array.shape, array)


def from_bytes(name: str, datatype: str, shape: Sequence[Any], raw: memoryview) -> Tensor:
    """View ``raw``, bytes as the protocol writes them, as a tensor. Raises RefusedError."""
    sizes, count = checked(name, datatype, shape)
    if datatype == BYTES:
        return Tensor(name, BYTES, sizes, tuple(_elements(name, count, raw)))
    dtype = np.dtype(DTYPES[datatype]).newbyteorder("<")
    if len(raw) != count * dtype.itemsize:
        message = (
            f"cannot read input {name!r}: it has {len(raw)} bytes, "
            f"expected {count * dtype.itemsize} for shape {list(sizes)} of {datatype}"
        )
        raise invalid(message)
    if datatype == "BOOL" and (np.frombuffer(raw, np.uint8) > 1).any():
        message = f"cannot read input {name!r}: it has a byte above 1, expected 0 and 1 for BOOL"
        raise invalid(message)
    array = np.frombuffer(raw, dtype).reshape(sizes)
    # Runtimes take the address as it is: an element across two words is slow on one processor, and a fault on another.
    usable = array if array.flags.aligned else array.copy()
    return Tensor(name, datatype, sizes, usable.astype(DTYPES[datatype], copy=False))


def from_values(name: str, datatype: str, shape: Sequence[Any], values: Any) -> Tensor:
    """Build a tensor from numbers, truth values or texts: nested lists in the tensor's shape, or one flat list. Raises RefusedError.

    An integer must lie in its type's range, and a number must be finite there.
    """
    sizes, count = checked(name, datatype, shape)
    if datatype == BYTES:
        return Tensor(name, BYTES, sizes, _texts(name, count, values))
    found = _array(name, datatype, values)
    if found.size != count or found.shape not in {sizes, (count,)}:
        message = (
            f"cannot read input {name!r}: its data have shape {list(found.shape)}, expected {list(sizes)} or [{count}]"
        )
        raise invalid(message)
    return Tensor(name, datatype, sizes, _cast(name, datatype, found).reshape(sizes))


def checked(name: str, datatype: str, shape: Sequence[Any]) -> tuple[tuple[int, ...], int]:
    """Check a tensor's type and shape; gives the shape and the number of elements. Raises RefusedError."""
    if len(name) > MOST_NAME_CHARS:
        message = f"cannot read a tensor whose name has {len(name)} characters, expected at most {MOST_NAME_CHARS}"
        raise invalid(message)
    if datatype not in DTYPES and datatype != BYTES:
        message = f"cannot read tensor {name!r}: its datatype is {str(datatype)!r:.40}, expected one of {', '.join(DTYPES)}, {BYTES}"
        raise invalid(message)
    if len(shape) > MAX_RANK or not all(type(size) is int and 0 < size < MOST_ALONG for size in shape):
        message = f"cannot read tensor {name!r}: its shape is {list(shape)!r:.80}, expected at most {MAX_RANK} whole numbers above 0"
        raise invalid(message)
    count = math.prod(shape)
    if datatype == BYTES and count > MOST_ELEMENTS:
        message = f"cannot read tensor {name!r}: it has {count} elements of {BYTES}, expected at most {MOST_ELEMENTS}"
        raise invalid(message)
    return tuple(shape), count


def to_bytes(tensor: Tensor) -> bytes:
    """Give a tensor's bytes as the protocol writes them."""
    if isinstance(tensor.data, tuple):
        return b"".join(len(one).to_bytes(LENGTH_BYTES, "little") + one for one in tensor.data)
    array = tensor.data
    return (array if _IS_LITTLE else array.byteswap()).tobytes()


def to_values(tensor: Tensor) -> list[Any]:
    """Give a tensor's elements for JSON, flat, in row-major order. Raises RefusedError for what JSON cannot say."""
    if isinstance(tensor.data, tuple):
        return [one.decode("utf-8", "replace") for one in tensor.data]
    array = tensor.data
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        message = f"cannot write output {tensor.name!r} as JSON: it has numbers that are not finite, expected binary output to be asked for"
        raise invalid(message)
    values: list[Any] = array.reshape(-1).tolist()
    return values


def fitted(inputs: Sequence[Tensor], specs: Sequence[TensorSpec]) -> list[Array]:
    """Give the arrays in the engine's order, when they are what the engine takes. Raises RefusedError."""
    given = {tensor.name: tensor for tensor in inputs}
    known = {spec.name for spec in specs}
    if len(given) != len(inputs) or given.keys() != known:
        told = ", ".join(repr(tensor.name)[:80] for tensor in inputs) or "none"
        message = f"cannot run on inputs {told}: expected each of {', '.join(map(repr, sorted(known)))} once"
        raise invalid(message)
    return [_fitting(given[spec.name], spec) for spec in specs]


def raw(spec: TensorSpec, body: memoryview) -> Tensor:
    """View a body that is nothing but the tensor: its shape is the model's, with at most one free dimension. Raises RefusedError."""
    free = spec.shape.count(FREE)
    each = math.prod(size for size in spec.shape if size != FREE) * np.dtype(spec.dtype).itemsize
    if free > 1 or (free and (len(body) % each or not body)):
        message = f"cannot read a raw body of {len(body)} bytes for shape {list(spec.shape)}, expected one free dimension that it fills"
        raise invalid(message)
    shape = [len(body) // each if size == FREE else size for size in spec.shape]
    return from_bytes(spec.name, DATATYPES[spec.dtype], shape, body)


def _fitting(tensor: Tensor, spec: TensorSpec) -> Array:
    wanted = DATATYPES[spec.dtype]
    if tensor.datatype != wanted or not isinstance(tensor.data, np.ndarray):
        message = f"cannot run on input {spec.name!r}: its datatype is {tensor.datatype}, expected {wanted}"
        raise invalid(message)
    shape = tensor.shape
    fits = len(shape) == len(spec.shape) and all(
        want in {FREE, size} for size, want in zip(shape, spec.shape, strict=True)
    )
    if not fits:
        message = f"cannot run on input {spec.name!r}: its shape is {list(shape)}, expected {list(spec.shape)}"
        raise invalid(message)
    return tensor.data


def _array(name: str, datatype: str, values: Any) -> Array:
    """Give lists as an array of Python's own numbers, when all of them are of a kind that the type takes.

    Not as NumPy would guess: one long text among many short ones makes an array of texts that are all as long, 4 bytes a character.
    """
    if not isinstance(values, Sequence) or isinstance(values, str | bytes):
        message = f"cannot read input {name!r}: its data are no list, expected a list of {datatype}"
        raise invalid(message)
    try:
        found = np.array(values, dtype=object)
    except ValueError as error:
        message = f"cannot read input {name!r}: its lists are nested too deep, expected the tensor's shape"
        raise invalid(message) from error
    kinds = set(map(type, found.ravel().tolist()))
    if list in kinds:
        message = f"cannot read input {name!r}: its lists differ in length or depth, expected the tensor's shape"
        raise invalid(message)
    if not kinds <= _KINDS.get(np.dtype(DTYPES[datatype]).kind, {int}):
        message = f"cannot read input {name!r}: its data are not all of one kind, expected {datatype}"
        raise invalid(message)
    return found


_KINDS: Mapping[str, set[type]] = {"b": {bool}, "f": {int, float}}
"""What a list may hold, by NumPy's kind of the type; whole numbers otherwise."""


def _cast(name: str, datatype: str, found: Array) -> Array:
    dtype = np.dtype(DTYPES[datatype])
    if dtype.kind in "iu":
        bounds = np.iinfo(dtype)
        if found.min() < bounds.min or found.max() > bounds.max:
            message = (
                f"cannot read input {name!r}: a number is outside {bounds.min} to {bounds.max}, expected {datatype}"
            )
            raise invalid(message)
    message = f"cannot read input {name!r}: a number is not finite as {datatype}, expected finite numbers"
    try:
        with np.errstate(over="ignore"):
            cast = found.astype(dtype)
    except OverflowError as error:
        raise invalid(message) from error
    if dtype.kind == "f" and not np.isfinite(cast).all():
        raise invalid(message)
    return cast


def _texts(name: str, count: int, values: Any) -> tuple[bytes, ...]:
    flat: list[Any] = []
    _flatten(values, flat, MAX_RANK)
    if len(flat) != count or not all(isinstance(one, str | bytes) for one in flat):
        message = f"cannot read input {name!r}: expected {count} texts"
        raise invalid(message)
    return tuple(one.encode("utf-8", "surrogatepass") if isinstance(one, str) else bytes(one) for one in flat)


def _flatten(values: Any, into: list[Any], depth: int) -> None:
    if isinstance(values, list | tuple) and depth:
        for one in values:
            _flatten(one, into, depth - 1)
    else:
        into.append(values)


def _elements(name: str, count: int, body: memoryview) -> Iterator[bytes]:
    at = 0
    for _ in range(count):
        begins = at + LENGTH_BYTES
        at = begins + int.from_bytes(body[at:begins], "little")
        if begins > len(body) or at > len(body):
            message = (
                f"cannot read input {name!r}: its {len(body)} bytes end inside an element, expected {count} elements"
            )
            raise invalid(message)
        yield bytes(body[begins:at])
    if at != len(body):
        message = (
            f"cannot read input {name!r}: {len(body) - at} bytes follow its last element, expected {count} elements"
        )
        raise invalid(message)
