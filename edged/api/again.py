"""What a client asked, kept for when it asks the same again: the same head and the same JSON, byte for byte, with other numbers behind.

Programs ask like that, thousands of times on their connections. It helps where the answer is too small to be packed, or nobody asks for
that. Reading it again costs a request as much Python each time, a millisecond on a small box whose caches the model has just emptied;
this leaves the numbers' place, their run and the answer.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from starlette.requests import Request

from edged.api.bodies import Body
from edged.api.buffers import Buffers
from edged.api.handlers import Handlers
from edged.api.heads import HEADER_LENGTH, table
from edged.api.infer import Pending, Question
from edged.api.refusal import RefusedError
from edged.api.serve import Served
from edged.api.tensors import Tensor, to_bytes
from edged.api.wire import Call, write_response
from edged.domain.tensor import Array

AGAIN = "edged.again"
"""Where a connection takes a ``Known`` (see ``edged.api.repeating``)."""
LETS_IN = "edged.lets-in"
"""Where the application says whether who was let in still is."""
_HEADER_LENGTH = HEADER_LENGTH.encode("ascii")
BINARY, JSON = (b"content-type", b"application/octet-stream"), (b"content-type", b"application/json")
SPECIAL = {b"expect", b"transfer-encoding", b"content-encoding", b"upgrade"}
"""What asks for more than the numbers' way in and out."""
Headers = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class _Place:
    """Where an input's numbers lie in the body."""

    at: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def view(self, body: memoryview) -> Array:
        # Not by NumPy's constructor: that one holds no export, and the memory would be lent again under an abandoned run.
        return np.frombuffer(body, self.dtype, math.prod(self.shape), self.at).reshape(self.shape)


@dataclass(slots=True)
class _Told:
    """What stood ahead of the numbers in the answer before: all outputs are in binary, and while they are alike it stays the same."""

    about: tuple[Any, ...] = ()
    json: bytes = b""
    headers: Headers = ()

    def keep(self, about: tuple[Any, ...], body: bytes, json_bytes: int | None) -> None:
        length = (b"content-length", b"%d" % len(body))
        self.about, self.json = about, body[:json_bytes]
        self.headers = (length, JSON)
        if json_bytes is not None:
            self.headers = ((_HEADER_LENGTH, b"%d" % json_bytes), length, BINARY)


@dataclass(frozen=True, slots=True)
class Known:
    """A request that was answered. ``size`` is its body's, of which the first ``ahead`` bytes are JSON."""

    size: int
    ahead: int
    _places: tuple[_Place, ...]
    _question: Question
    _call: Call
    _handlers: Handlers
    _buffers: Buffers
    _lets_in: Callable[[], bool]
    _told: _Told = field(default_factory=_Told)

    def is_still(self) -> bool:
        """Whether who asked may still ask, and the same model answers: all has to be looked at otherwise."""
        return self._lets_in() and self._handlers.shelf.holds(self._question.request.model, self._question.served)

    def room(self) -> Body:
        """Give memory for a body. Raises RefusedError when too many wait already, or too much lies there."""
        self._question.served.check_room()
        return Body(self._buffers, self.size, self.ahead)

    def begin(self, body: memoryview) -> Pending:
        """Let it wait for its run. Raises RefusedError, also when a model that takes or gives something else was loaded meanwhile."""
        question = self._question
        served = self._handlers.shelf.get(question.request.model, question.request.version)
        if served is not question.served:
            if _kind(served) != _kind(question.served):
                message = f"cannot run {question.request.model!r}: another version was loaded meanwhile"
                raise RefusedError(message, "unready")
            question = replace(question, served=served)
        return question.again([place.view(body) for place in self._places])

    def answer(self, pending: Pending) -> tuple[Headers, bytes]:
        """Answer what is done. Raises RefusedError."""
        response = pending.answer(pending.job.outcome.result(0))
        numbers = list(map(to_bytes, response.outputs))
        kinds = [(one.name, one.datatype, one.shape) for one in response.outputs]
        about = (response.model, response.version, kinds, list(map(len, numbers)))
        if about == self._told.about:
            return self._told.headers, b"".join((self._told.json, *numbers))
        body, json_bytes = write_response(self._call, response, self._handlers.regions)
        self._told.keep(about, body, json_bytes)
        return self._told.headers, body


def known(
    request: Request, call: Call, body: memoryview, ahead: int, pending: Pending, about: tuple[Handlers, Buffers]
) -> Known | None:
    """Give what is worth keeping of a request that was answered in binary; None of one that says more than numbers."""
    handlers, buffers = about
    headers = table(request)
    lets_in: Callable[[], bool] | None = request.scope.get(LETS_IN)
    if lets_in is None or not SPECIAL.isdisjoint(headers) or headers.get(b"connection", b"keep-alive") != b"keep-alive":
        return None
    asked = call.request
    if handlers.tracer is not None or asked.decoded or asked.step is not None:
        return None
    is_binary = call.is_binary or (bool(call.outputs) and all(one.is_binary for one in call.outputs))
    if not is_binary or any(one.region for one in call.outputs):
        return None
    given = {tensor.name: tensor for tensor in asked.inputs}
    places = [_place(given[spec.name], body) for spec in pending.served.brought.inputs]
    lying = [place for place in places if place is not None]
    if len(lying) != len(places):
        return None
    kept = replace(call, request=pending.question.request)
    return Known(len(body), ahead, tuple(lying), pending.question, kept, handlers, buffers, lets_in)


def _kind(served: Served) -> tuple[object, ...]:
    return served.brought.inputs, served.brought.outputs, served.brought.remembers


def _place(tensor: Tensor, body: memoryview) -> _Place | None:
    """Give where a tensor lies on a body; None of one that does not, or whose bytes have to be looked at."""
    array = tensor.data
    if not isinstance(array, np.ndarray) or tensor.datatype == "BOOL":
        return None
    at = _address(array) - _address(np.frombuffer(body, np.uint8))
    lies = 0 <= at <= len(body) - array.nbytes and array.flags.aligned and array.flags.c_contiguous
    return _Place(at, array.shape, array.dtype) if lies else None


def _address(array: Array) -> int:
    address: int = array.__array_interface__["data"][0]
    return address
