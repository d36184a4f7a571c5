"""An inference request's body and its response's, as HTTP carries them: JSON, with tensors inside it or behind it in binary.

The JSON comes first, as long as the header ``Inference-Header-Content-Length`` says, then the binary tensors one after the other. A
length of 0 is the raw body: nothing but the one input's bytes, and all outputs come back in binary.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from edged.api.infer import InferRequest, InferResponse
from edged.api.refusal import invalid
from edged.api.regions import Reader, Regions, of_parameters
from edged.api.sequences import Step, step_of
from edged.api.tensors import BYTES, Tensor, from_bytes, from_values, to_bytes, to_values

MOST_JSON_BYTES = 8 << 20
"""Python's own objects take ten times the text's memory; more numbers than fit here come in binary."""
MOST_TENSORS = 256
"""Inputs, or outputs, of one request."""
MOST_KEPT, MOST_KEPT_BYTES = 16, 4096
"""So many JSON texts of at most this size are kept with what they say."""
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class Output:
    """How an output is given back: in binary behind the JSON, or into shared memory (region, offset, room)."""

    name: str
    is_binary: bool = False
    region: tuple[Any, Any, Any] | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """A request as it came over HTTP, and how its outputs go back; ``outputs`` empty: all, in the way of ``is_binary``."""

    request: InferRequest
    outputs: tuple[Output, ...] = ()
    is_binary: bool = False


@dataclass(frozen=True, slots=True)
class _Input:
    """An input as the JSON names it: its bytes are in a region, or so many follow, or its values are there."""

    name: str
    datatype: str
    shape: list[Any]
    region: tuple[Any, Any, Any] | None
    size: Any
    values: list[Any] | None


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the JSON of a request says. Nobody writes to it: clients send the same again and again, and it is read once."""

    inputs: tuple[_Input, ...]
    outputs: tuple[Output, ...]
    id: str
    priority: int
    timeout_us: int
    decoded: bool
    step: Step | None
    is_binary: bool


def read_call(model: str, version: str, body: memoryview, header_bytes: int | None, regions: Regions) -> Call:
    """Read a request whose JSON is ``header_bytes`` long (None: all of the body). Raises RefusedError."""
    if header_bytes is not None and header_bytes > len(body):
        message = f"cannot read the request: its JSON has {header_bytes} bytes, expected at most the body's {len(body)}"
        raise invalid(message)
    end = len(body) if header_bytes is None else header_bytes
    asked = _kept(bytes(body[:end])) if end <= MOST_KEPT_BYTES else _asked(body[:end])
    request = InferRequest(
        model,
        _tensors(asked, body[end:], regions),
        version=version,
        id=asked.id,
        outputs=tuple(one.name for one in asked.outputs) or None,
        priority=asked.priority,
        timeout_us=asked.timeout_us,
        decoded=asked.decoded,
        step=asked.step,
    )
    return Call(request, asked.outputs, asked.is_binary)


def write_response(call: Call, response: InferResponse, regions: Regions) -> tuple[bytes, int | None]:
    """Give the body, and how long its JSON is where binary tensors follow it. Raises RefusedError."""
    ways = {one.name: one for one in call.outputs}
    binary: list[bytes] = []
    outputs = []
    for tensor in response.outputs:
        way = ways.get(tensor.name, Output(tensor.name))
        told: dict[str, Any] = {"name": tensor.name, "datatype": tensor.datatype, "shape": list(tensor.shape)}
        if way.region is not None:
            told["parameters"] = _put(tensor, way.region, regions)
        elif way.is_binary or call.is_binary:
            binary.append(to_bytes(tensor))
            told["parameters"] = {"binary_data_size": len(binary[-1])}
        else:
            told["data"] = to_values(tensor)
        outputs.append(told)
    document: dict[str, Any] = {"model_name": response.model, "model_version": response.version, "outputs": outputs}
    if response.id:
        document["id"] = response.id
    header = _ENCODER.encode(document).encode("utf-8", "surrogatepass")
    return (b"".join([header, *binary]), len(header)) if binary else (header, None)


def parsed(body: memoryview) -> dict[str, Any]:
    """Read a body that is one JSON object, or nothing. Raises RefusedError."""
    return _parsed(body) if len(body) else {}


def _asked(text: bytes | memoryview) -> _Asked:
    document = _Read(_parsed(text))
    parameters = document.table("parameters")
    return _Asked(
        tuple(_input(one) for one in document.tables("inputs")),
        tuple(_output(one) for one in document.tables("outputs")),
        document.text("id"),
        parameters.whole("priority"),
        parameters.whole("timeout"),
        parameters.flag("decoded"),
        step_of(parameters.given),
        parameters.flag("binary_data_output"),
    )


_kept = lru_cache(MOST_KEPT)(_asked)


def _input(one: _Read) -> _Input:
    name, datatype, shape = one.text("name"), one.text("datatype"), one.items("shape")
    parameters = one.table("parameters").given
    size, region = parameters.get("binary_data_size"), of_parameters(parameters)
    if region is not None:
        return _Input(name, datatype, shape, region, None, None)
    if size is None:
        return _Input(name, datatype, shape, None, None, one.items("data"))
    if "data" in one.given:
        message = f"cannot read input {name!r:.80}: it has data and a binary_data_size, expected one of them"
        raise invalid(message)
    return _Input(name, datatype, shape, None, size, None)


def _tensors(asked: _Asked, binary: memoryview, regions: Regions) -> tuple[Tensor, ...]:
    tensors: list[Tensor] = []
    at, reader = 0, Reader(regions)
    for one in asked.inputs:
        if one.region is not None:
            tensors.append(from_bytes(one.name, one.datatype, one.shape, reader.read(*one.region)))
        elif one.values is not None:
            values = _unwrapped(one.name, one.values, one.datatype) if asked.decoded else one.values
            tensors.append(from_values(one.name, one.datatype, one.shape, values))
        else:
            size = one.size
            if type(size) is not int or not 0 <= size <= len(binary) - at:
                message = f"cannot read input {one.name!r:.80}: binary_data_size is {size!r:.40} and {len(binary) - at} bytes are left"
                raise invalid(message)
            tensors.append(from_bytes(one.name, one.datatype, one.shape, binary[at : at + size]))
            at += size
    if at != len(binary):
        message = f"cannot read the request: {len(binary) - at} bytes follow the inputs that it names"
        raise invalid(message)
    return tuple(tensors)


def _unwrapped(name: str, values: list[Any], datatype: str) -> list[Any]:
    """Give the bytes of pictures, which JSON carries as base64."""
    if datatype != BYTES:
        return values
    try:
        return [base64.b64decode(one, validate=True) for one in values]
    except (binascii.Error, ValueError, TypeError) as error:
        message = f"cannot read input {name!r:.80}: expected a picture as base64 text"
        raise invalid(message) from error


def _output(one: _Read) -> Output:
    parameters = one.table("parameters")
    if "classification" in parameters.given:
        message = f"cannot classify output {one.text('name')!r:.80}: expected a request for decoded answers instead"
        raise invalid(message)
    return Output(one.text("name"), parameters.flag("binary_data"), of_parameters(parameters.given))


def _put(tensor: Tensor, region: tuple[Any, Any, Any], regions: Regions) -> dict[str, Any]:
    name, offset, room = region
    written = to_bytes(tensor)
    regions.write(name, offset, room, written)
    return {"shared_memory_region": name, "shared_memory_offset": offset, "shared_memory_byte_size": len(written)}


def _parsed(text: bytes | memoryview) -> dict[str, Any]:
    if len(text) > MOST_JSON_BYTES:
        message = (
            f"cannot read {len(text)} bytes of JSON, expected at most {MOST_JSON_BYTES}; send large tensors in binary"
        )
        raise invalid(message)
    try:
        found = json.loads(bytes(text), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        why = str(error) if isinstance(error, json.JSONDecodeError) else type(error).__name__
        message = f"cannot read the request's JSON: {why[:200]}"
        raise invalid(message) from error
    if not isinstance(found, dict):
        message = f"cannot read the request: its JSON is {type(found).__name__}, expected an object"
        raise invalid(message)
    return found


def _no_constant(name: str) -> Any:
    message = f"{name} is no JSON"
    raise ValueError(message)


@dataclass(frozen=True, slots=True)
class _Read:
    """A JSON object whose values are taken by the kind that is expected. Absent is empty, 0 or false; another kind is refused."""

    given: Mapping[str, Any]

    def text(self, key: str) -> str:
        """Give a text."""
        found: str = self._of(key, str, "")
        return found

    def whole(self, key: str) -> int:
        """Give a whole number."""
        found: int = self._of(key, int, 0)
        return found

    def flag(self, key: str) -> bool:
        """Give true or false."""
        found: bool = self._of(key, bool, False)  # noqa: FBT003 - what is absent
        return found

    def items(self, key: str) -> list[Any]:
        """Give a list."""
        found: list[Any] = self._of(key, list, [])
        return found

    def table(self, key: str) -> _Read:
        """Give an object."""
        return _Read(self._of(key, dict, {}))

    def tables(self, key: str) -> list[_Read]:
        """Give a list of objects."""
        found = self.items(key)
        if len(found) > MOST_TENSORS or not all(isinstance(one, dict) for one in found):
            message = f"cannot read {key!r}: expected at most {MOST_TENSORS} objects"
            raise invalid(message)
        return [_Read(one) for one in found]

    def _of(self, key: str, kind: type, absent: Any) -> Any:
        found = self.given.get(key, absent)
        if type(found) is not kind:
            message = f"cannot read {key!r}: it is {_WORDS.get(type(found), 'another thing')}, expected {_WORDS[kind]}"
            raise invalid(message)
        return found


_WORDS: Mapping[type, str] = {
    str: "text",
    int: "a whole number",
    bool: "true or false",
    list: "a list",
    dict: "an object",
}
