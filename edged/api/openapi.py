"""The OpenAPI document of the server: made of the table of routes and the shapes below. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from edged.api.routes import Route
from edged.api.tensors import BYTES, DTYPES

VERSION = "3.1.0"
_NAME = {"type": "string"}
_WHOLE = {"type": "integer", "minimum": 0}
_OPEN = {"type": "object"}


def _object(required: Iterable[str] = (), **properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": sorted(required), "properties": properties}


def _list(items: Any) -> dict[str, Any]:
    return {"type": "array", "items": items}


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


_DATATYPE = {"type": "string", "enum": [*DTYPES, BYTES]}
_SHAPE = _list({"type": "integer", "minimum": 1, "maximum": 1 << 31})
_SPEC = _object(("name", "datatype", "shape"), name=_NAME, datatype=_DATATYPE, shape=_list({"type": "integer"}))
_REGION = _object(("name", "key", "offset", "byte_size"), name=_NAME, key=_NAME, offset=_WHOLE, byte_size=_WHOLE)
_REASON = _object(("code", "component", "message"), code=_NAME, component=_NAME, message=_NAME, remedy=_NAME)

SCHEMAS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "Error": _object(("error",), error=_NAME),
        "Server": _object(("name", "version", "extensions"), name=_NAME, version=_NAME, extensions=_list(_NAME)),
        "Model": _object(
            ("name", "versions", "platform", "inputs", "outputs"),
            name=_NAME,
            versions=_list(_NAME),
            platform=_NAME,
            inputs=_list(_SPEC),
            outputs=_list(_SPEC),
        ),
        "Config": _object(("name", "platform", "input", "output"), name=_NAME, input=_list(_OPEN), output=_list(_OPEN)),
        "Statistics": _object(
            ("model_stats",), model_stats=_list(_object(("name", "version", "inference_count", "inference_stats")))
        ),
        "InferRequest": _object(
            ("inputs",),
            id=_NAME,
            parameters=_object(
                priority=_WHOLE,
                timeout={
                    **_WHOLE,
                    "description": "Microseconds until its run must have begun; 0: the server's own limit",
                },
                binary_data_output={"type": "boolean"},
                sequence_id={"type": ["integer", "string"], "minimum": 0, "maxLength": 128},
                sequence_start={"type": "boolean"},
                sequence_end={"type": "boolean"},
                decoded={
                    "type": "boolean",
                    "description": "An encoded picture or a window in, the decoder's answer out",
                },
            ),
            inputs=_list(
                _object(("name", "datatype", "shape"), name=_NAME, datatype=_DATATYPE, shape=_SHAPE, data=_list({}))
            ),
            outputs=_list(_object(("name",), name=_NAME, parameters=_object(binary_data={"type": "boolean"}))),
        ),
        "InferResponse": _object(
            ("model_name", "model_version", "outputs"),
            model_name=_NAME,
            model_version=_NAME,
            id=_NAME,
            outputs=_list(_object(("name", "datatype", "shape"), name=_NAME, datatype=_DATATYPE, data=_list({}))),
        ),
        "IndexRequest": _object(ready={"type": "boolean"}),
        "Index": _list(_object(("name", "version", "state", "reason"), name=_NAME, version=_NAME, state=_NAME)),
        "LoadRequest": _object(parameters=_OPEN),
        "UnloadRequest": _object(parameters=_OPEN),
        "RegisterRequest": _object(
            ("key", "byte_size"), key=_NAME, offset=_WHOLE, byte_size={"type": "integer", "minimum": 1}
        ),
        "Regions": _list(_REGION),
        "Overview": {"type": "object"},
        "Window": {"type": "object"},
        "History": {"type": "object"},
        "Settings": _OPEN,
        "Health": _object(("schema", "state", "reasons"), schema=_NAME, state=_NAME, reasons=_list(_REASON)),
        "Ready": _object(
            ("ready", "reasons", "unmet"), ready={"type": "boolean"}, reasons=_list(_REASON), unmet=_list(_REASON)
        ),
    }
)
"""What requests and answers look like, by the names that the routes give."""
_REFUSALS = ("400", "401", "403", "404", "405", "413", "429", "500", "503", "504")


def document(routes: Iterable[Route], version: str) -> dict[str, Any]:
    """Give the OpenAPI document of ``routes``."""
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    schemes = {"token": {"type": "http", "scheme": "bearer"}}
    return {
        "openapi": VERSION,
        "info": {"title": "edged", "version": version, "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"}},
        "paths": paths,
        "components": {"schemas": {name: dict(shape) for name, shape in SCHEMAS.items()}, "securitySchemes": schemes},
    }


def _operation(route: Route) -> dict[str, Any]:
    names = re.findall(r"{(\w+)}", route.path)
    described: dict[str, Any] = {
        "summary": route.summary,
        "operationId": "_".join([route.method.lower(), *re.findall(r"\w+", route.path)]),
        "parameters": [{"name": name, "in": "path", "required": True, "schema": _NAME} for name in names],
        "responses": {"200": _given(route.gives)} | {status: _given("Error") for status in _REFUSALS},
    }
    if route.takes:
        content = {"application/json": {"schema": _ref(route.takes)}}
        described["requestBody"] = {"content": content, "required": route.takes == "InferRequest"}
    if route.right != "open":
        described["security"] = [{"token": []}, {}]
    return described


def _given(schema: str) -> dict[str, Any]:
    if not schema:
        return {"description": "Empty"}
    if "/" in schema:
        return {"description": schema, "content": {schema: {}}}
    return {"description": schema, "content": {"application/json": {"schema": _ref(schema)}}}
