"""A request's headers by name: looked up eight times for each request, in a table made once and not by a walk of the list each time."""

from __future__ import annotations

from starlette.requests import Request

HEADER_LENGTH = "inference-header-content-length"
"""The protocol's: so many bytes of a body are JSON, and binary tensors follow it."""
_TABLE = "edged.headers"


def table(request: Request) -> dict[bytes, bytes]:
    """Give the headers by their names in lower case, of equal ones the first."""
    scope = request.scope
    found: dict[bytes, bytes] | None = scope.get(_TABLE)
    if found is None:
        found = scope[_TABLE] = dict(reversed(scope["headers"]))
    return found


def header(request: Request, name: bytes) -> str:
    """Give a header; empty where there is none."""
    return table(request).get(name, b"").decode("latin-1")
