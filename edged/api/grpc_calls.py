"""Each call of the gRPC service as a row: what it takes, what it does, what it gives. Knows no gRPC: bytes in, bytes out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edged.api import grpc_messages as messages
from edged.api.access import Right
from edged.api.handlers import Handlers
from edged.api.infer import InferRequest, InferResponse
from edged.api.protobuf import Table, decode, encode
from edged.api.refusal import invalid
from edged.api.regions import Reader, Regions, of_parameters
from edged.api.sequences import step_of
from edged.api.tensors import BYTES, Tensor, from_bytes, from_values, to_bytes

Document = dict[str, Any]

_CONTENTS: Mapping[str, str] = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    BYTES: "bytes_contents",
}
"""FP16 has no field of its own: it travels raw."""


@dataclass(frozen=True, slots=True)
class Call:
    """One unary call. ``does`` is given the request and gives the response, both as plain documents."""

    name: str
    takes: Table
    gives: Table
    does: Callable[[Handlers, Document], Document]
    right: Right = "read"

    def __call__(self, handlers: Handlers, body: bytes) -> bytes:
        """Answer. Raises EdgedError."""
        return encode(self.gives, self.does(handlers, decode(self.takes, memoryview(body))))


def read_infer(body: bytes, regions: Regions) -> tuple[InferRequest, dict[str, tuple[Any, Any, Any]]]:
    """Read a ModelInferRequest: tensors are viewed; and where outputs are to be written into shared memory, by name."""
    asked = decode(messages.INFER_REQUEST, memoryview(body))
    parameters = _parameters(asked)
    outputs = asked.get("outputs", [])
    request = InferRequest(
        asked.get("model_name", ""),
        _inputs(asked, regions),
        version=asked.get("model_version", ""),
        id=asked.get("id", ""),
        outputs=tuple(one.get("name", "") for one in outputs) or None,
        priority=_whole(parameters, "priority"),
        timeout_us=_whole(parameters, "timeout"),
        decoded=_flag(parameters, "decoded"),
        step=step_of(parameters),
    )
    places = {one.get("name", ""): of_parameters(_parameters(one)) for one in outputs}
    return request, {name: place for name, place in places.items() if place is not None}


def response_document(
    response: InferResponse, regions: Regions, places: Mapping[str, tuple[Any, Any, Any]]
) -> Document:
    """Give a ModelInferResponse: outputs raw, or in shared memory where they were asked to be."""
    outputs, raw = [], []
    for tensor in response.outputs:
        told: Document = {"name": tensor.name, "datatype": tensor.datatype, "shape": list(tensor.shape)}
        body = to_bytes(tensor)
        place = places.get(tensor.name)
        if place is not None:
            regions.write(*place, body)
            told["parameters"] = {
                "shared_memory_region": {"string_param": place[0]},
                "shared_memory_offset": {"int64_param": place[1]},
                "shared_memory_byte_size": {"int64_param": len(body)},
            }
        else:
            raw.append(body)
        outputs.append(told)
    named = {"model_name": response.model, "model_version": response.version, "id": response.id or None}
    return {**named, "outputs": outputs, "raw_output_contents": raw}


def _inputs(asked: Document, regions: Regions) -> tuple[Tensor, ...]:
    raw: Sequence[memoryview] = asked.get("raw_input_contents", [])
    rows = asked.get("inputs", [])
    places = [of_parameters(_parameters(row)) for row in rows]
    if raw and (len(raw) != places.count(None) or any(row.get("contents") for row in rows)):
        message = f"cannot read the inputs: {len(raw)} come raw for {places.count(None)} of them, expected all of them raw, or none"
        raise invalid(message)
    waiting, reader = iter(raw), Reader(regions)
    found = []
    for row, place in zip(rows, places, strict=True):
        name, datatype, shape = row.get("name", ""), row.get("datatype", ""), row.get("shape", [])
        if place is not None:
            found.append(from_bytes(name, datatype, shape, reader.read(*place)))
        elif raw:
            found.append(from_bytes(name, datatype, shape, next(waiting)))
        else:
            values = row.get("contents", {}).get(_CONTENTS.get(datatype, ""), [])
            found.append(
                from_values(name, datatype, shape, [bytes(one) for one in values] if datatype == BYTES else values)
            )
    return tuple(found)


def _parameters(document: Document) -> Document:
    """Give parameters by name, each with the one value that it has."""
    return {name: next(iter(value.values()), None) for name, value in document.get("parameters", {}).items()}


def _whole(parameters: Document, name: str) -> int:
    value = parameters.get(name, 0)
    if type(value) is not int:
        message = f"cannot take {name} {value!r:.40}, expected a whole number"
        raise invalid(message)
    return value


def _flag(parameters: Document, name: str) -> bool:
    value = parameters.get(name, False)
    if type(value) is not bool:
        message = f"cannot take {name} {value!r:.40}, expected true or false"
        raise invalid(message)
    return value


def _named(asked: Document) -> tuple[str, str]:
    return asked.get("name", ""), asked.get("version", "")


def _load(handlers: Handlers, asked: Document) -> Document:
    handlers.load(asked.get("model_name", ""), asked.get("parameters"))
    return {}


def _unload(handlers: Handlers, asked: Document) -> Document:
    handlers.unload(asked.get("model_name", ""))
    return {}


def _register(handlers: Handlers, asked: Document) -> Document:
    handlers.regions.register(asked.get("name", ""), asked.get("key"), asked.get("offset", 0), asked.get("byte_size"))
    return {}


def _unregister(handlers: Handlers, asked: Document) -> Document:
    handlers.regions.unregister(asked.get("name", ""))
    return {}


def _regions(handlers: Handlers, asked: Document) -> Document:
    return {"regions": {one["name"]: one for one in handlers.regions.status(asked.get("name", ""))}}


def _trace(handlers: Handlers, asked: Document) -> Document:
    if asked.get("settings"):
        handlers.refuse_settings()
    told = handlers.trace_settings(asked.get("model_name", ""))
    return {"settings": {name: {"value": [value] if isinstance(value, str) else value} for name, value in told.items()}}


def _log(handlers: Handlers, asked: Document) -> Document:
    if asked.get("settings"):
        handlers.refuse_settings()
    return {"settings": {name: {_kind(value): value} for name, value in handlers.log_settings().items()}}


def _kind(value: Any) -> str:
    kinds = {bool: "bool_param", int: "uint32_param"}
    return kinds.get(type(value), "string_param")


CALLS: tuple[Call, ...] = (
    Call("ServerLive", messages.EMPTY, messages.LIVE, lambda handlers, _: {"live": handlers.is_live()}, "open"),
    Call("ServerReady", messages.EMPTY, messages.READY, lambda handlers, _: {"ready": handlers.is_ready()}, "open"),
    Call(
        "ModelReady",
        messages.NAMED,
        messages.READY,
        lambda handlers, asked: {"ready": handlers.is_model_ready(*_named(asked))},
        "open",
    ),
    Call("ServerMetadata", messages.EMPTY, messages.SERVER, lambda handlers, _: handlers.server()),
    Call("ModelMetadata", messages.NAMED, messages.MODEL, lambda handlers, asked: handlers.model(*_named(asked))),
    Call(
        "ModelConfig",
        messages.NAMED,
        messages.CONFIG_RESPONSE,
        lambda handlers, asked: {"config": handlers.config(*_named(asked))},
    ),
    Call(
        "ModelStatistics",
        messages.NAMED,
        messages.STATISTICS,
        lambda handlers, asked: handlers.statistics(*_named(asked)),
    ),
    Call(
        "RepositoryIndex",
        messages.INDEX_REQUEST,
        messages.INDEX,
        lambda handlers, asked: {"models": handlers.index(ready_only=asked.get("ready", False))},
    ),
    Call("RepositoryModelLoad", messages.LOAD, messages.EMPTY, _load, "control"),
    Call("RepositoryModelUnload", messages.LOAD, messages.EMPTY, _unload, "control"),
    Call("SystemSharedMemoryStatus", messages.NAME, messages.REGIONS, _regions),
    Call("SystemSharedMemoryRegister", messages.REGION, messages.EMPTY, _register, "control"),
    Call("SystemSharedMemoryUnregister", messages.NAME, messages.EMPTY, _unregister, "control"),
    Call("TraceSetting", messages.TRACE_REQUEST, messages.TRACE, _trace),
    Call("LogSettings", messages.LOG, messages.LOG, _log),
)
