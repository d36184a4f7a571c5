"""A model on a server of the Open Inference Protocol, asked over HTTP: tritonclient writes the questions and reads the answers.

Only tensors go there and come back.

What the network or the server does wrong is the engine's loss: whoever runs it goes on with another rung.
"""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any
from urllib.parse import quote, urlsplit

import numpy as np
from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput
from tritonclient.utils import InferenceServerException, np_to_triton_dtype, triton_to_np_dtype

from edged.domain.errors import DeadlineError, DeviceError, EngineLostError
from edged.domain.tensor import Array, TensorSpec
from edged.engines.remote_link import MOST_BYTES, Answer, Link, addresses_of

RUNTIME = "remote"
BINARY = "binary_tensor_data"
OPEN_S = 5.0
"""What opening may take in all: connecting, the model's metadata, and a first run, which loads the model on many servers."""
REFUSALS = (InferenceServerException, HTTPException, OSError, ValueError, KeyError)
"""The server's refusals, broken answers, the network's and TLS's faults, and answers that are no such thing."""
STUMBLES = (AttributeError, EOFError, IndexError, OverflowError, RecursionError, TypeError)
"""What tritonclient stumbles over: it takes every document for one of the protocol's."""
HEADER_LENGTH = "inference-header-content-length"
FAULTS = (*REFUSALS, *STUMBLES)
BYTES_A_NUMBER = 64
"""Of an answer in JSON, generously; one in binary takes less."""
MOST_NUMBERS = 2**25
"""Of all that goes in, or comes out: a picture of 4K has 25 million. A server that tells of more cannot be meant for a frame."""


@dataclass(frozen=True, slots=True)
class Server:
    """Where a model is, and for how long one run is waited for. ``token`` is shown to nobody."""

    url: str
    model: str
    version: str = ""
    deadline_s: float = 0.5
    token: str | None = None
    ca: Path | None = None

    def __repr__(self) -> str:
        return f"<Server {self.where}>"

    @property
    def where(self) -> str:
        """For people."""
        return f"{self.model} at {urlsplit(self.url).netloc}"


class RemoteEngine:
    """Implements ``edged.domain.ports.Engine``. It keeps as many connections as threads ever asked at once."""

    runtime = RUNTIME

    def __init__(
        self, server: Server, inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...], *, is_binary: bool
    ) -> None:
        self._server, self.inputs, self.outputs = server, inputs, outputs
        self._is_binary = is_binary
        # Once: no frame waits for a name server, and what is lost is opened anew.
        self._addresses = addresses_of(server.url)
        self._most_bytes = MOST_BYTES + BYTES_A_NUMBER * sum(math.prod(spec.shape) for spec in outputs)
        self._free: list[Link] = []
        self._is_closed = False

    def __repr__(self) -> str:
        return f"<RemoteEngine {self._server.where}>"

    def infer(self, tensors: Sequence[Array]) -> list[Array]:
        """Ask the server; within the deadline, whatever it does."""
        if self._is_closed:
            message = f"cannot run {self._server.where}: it was closed"
            raise EngineLostError(message)
        return self._ask(tensors, self._server.deadline_s)

    def prove(self) -> None:
        """Run once on nothing: a server may have metadata of a model that does not run. Raises DeviceError."""
        try:
            self._ask([np.zeros(spec.shape, spec.dtype) for spec in self.inputs], OPEN_S)
        except EngineLostError as error:
            raise _unusable(self._server, str(error.args[0])) from error

    def close(self) -> None:
        """Ask no more."""
        self._is_closed = True
        self._disconnect()

    def _disconnect(self) -> None:
        while self._free:
            self._free.pop().close()

    def _ask(self, tensors: Sequence[Array], within_s: float) -> list[Array]:
        try:
            return self._answers(self._result(tensors, time.monotonic() + within_s))
        except TimeoutError:
            self._disconnect()
            message = f"cannot run {self._server.where}: no answer within {within_s * 1000:.0f} ms"
            raise DeadlineError(message, remedy="see the server and the network to it") from None
        except FAULTS as error:
            self._disconnect()
            message = f"cannot run {self._server.where}: {_words(error)}"
            raise EngineLostError(message, remedy="see the server and the network to it") from error

    def _result(self, tensors: Sequence[Array], until_s: float) -> Any:
        server, asked = self._server, []
        for spec, tensor in zip(self.inputs, tensors, strict=True):
            given = InferInput(spec.name, list(tensor.shape), np_to_triton_dtype(tensor.dtype))
            asked.append(given.set_data_from_numpy(np.ascontiguousarray(tensor), binary_data=self._is_binary))
        wanted = [InferRequestedOutput(spec.name, binary_data=self._is_binary) for spec in self.outputs]
        body, head_bytes = InferenceServerClient.generate_request_body(asked, outputs=wanted)
        headers = {} if head_bytes is None else {HEADER_LENGTH: str(head_bytes)}
        said = _checked(self._said(_headers(server) | headers, _bytes(body), until_s))
        length = said.headers.get(HEADER_LENGTH)
        return InferenceServerClient.parse_response_body(
            said.body, header_length=None if length is None else int(length)
        )

    def _said(self, headers: Mapping[str, str], body: bytes, until_s: float) -> Answer:
        """Ask over a connection that is free, or a new one; over none again that failed."""
        server = self._server
        try:
            link = self._free.pop()
        except IndexError:
            link = Link(server.url, server.ca, self._addresses, self._most_bytes)
        try:
            said = link.ask(f"{_path(server)}/infer", headers, until_s, body)
        except BaseException:
            link.close()
            raise
        self._free.append(link)
        if self._is_closed:
            self._disconnect()
        return said

    def _answers(self, result: Any) -> list[Array]:
        """Copy what came out of the answer's buffer, which is freed with it; a tensor of another shape or type is no answer."""
        found = []
        for spec in self.outputs:
            array = result.as_numpy(spec.name)
            if array is None or array.shape != spec.shape or array.dtype != spec.dtype:
                seen = "nothing" if array is None else f"{list(array.shape)} of {array.dtype}"
                message = f"output {spec.name!r} is {seen}, expected {list(spec.shape)} of {spec.dtype}"
                raise ValueError(message)
            found.append(np.array(array))
        return found


def open_engine(server: Server) -> RemoteEngine:
    """Ask a server for its model and run that once. Raises DeviceError when it is not there, or is none that a pipeline could run.

    On a thread of its own: nothing else ends the system's looking for a name.
    """
    found: SimpleQueue[RemoteEngine | DeviceError] = SimpleQueue()
    threading.Thread(target=_open, args=(server, found), name="edged-remote", daemon=True).start()
    try:
        outcome = found.get(timeout=2 * OPEN_S + 1)
    except Empty:
        raise _unusable(server, "opening it hangs") from None
    if isinstance(outcome, DeviceError):
        raise outcome
    return outcome


def _open(server: Server, found: SimpleQueue[RemoteEngine | DeviceError]) -> None:
    try:
        found.put(_opened(server))
    except DeviceError as error:
        found.put(error)


def _opened(server: Server) -> RemoteEngine:
    try:
        asking = Link(server.url, server.ca, addresses_of(server.url))
        try:
            engine = _described(server, asking, time.monotonic() + OPEN_S)
        finally:
            asking.close()
    except TimeoutError:
        raise _unusable(server, f"no answer within {OPEN_S:.0f} s") from None
    except FAULTS as error:
        raise _unusable(server, _words(error)) from error
    try:
        engine.prove()
    except DeviceError:
        engine.close()
        raise
    return engine


def _described(server: Server, asking: Link, until_s: float) -> RemoteEngine:
    """Make the engine that a server's metadata describe."""
    told = [json.loads(_checked(asking.ask(path, _headers(server), until_s)).body) for path in ("v2", _path(server))]
    # Not every server takes tensors as they lie in memory (MLServer does not); all of them take JSON.
    is_binary = BINARY in (told[0].get("extensions") or ())
    return RemoteEngine(server, _specs(told[1]["inputs"]), _specs(told[1]["outputs"]), is_binary=is_binary)


def _checked(said: Answer) -> Answer:
    """Give an answer that is one. Raises HTTPException with the server's own words, if it has any."""
    if said.status == HTTPStatus.OK:
        return said
    try:
        words = json.loads(said.body)["error"]
    except (ValueError, RecursionError, *STUMBLES, KeyError):
        words = ""
    message = f"status {said.status}{f', {words}' if words else ''}"
    raise HTTPException(message)


def _path(server: Server) -> str:
    version = f"/versions/{quote(server.version, safe='')}" if server.version else ""
    return f"v2/models/{quote(server.model, safe='')}{version}"


def _bytes(body: Any) -> bytes:
    """Give what tritonclient made: text, or bytes where tensors are in binary."""
    return body.encode() if isinstance(body, str) else bytes(body)


def _headers(server: Server) -> dict[str, str]:
    return {"Authorization": f"Bearer {server.token}"} if server.token else {}


def _specs(told: Sequence[Mapping[str, Any]]) -> tuple[TensorSpec, ...]:
    """Read the tensors that a model's metadata tells of. Raises ValueError for what no frame could fill."""
    if not told:
        message = "its metadata names no tensors, expected names, types and shapes"
        raise ValueError(message)
    specs = tuple(TensorSpec(one["name"], _shape(one), _dtype(one)) for one in told)
    count = sum(math.prod(spec.shape) for spec in specs)
    if count > MOST_NUMBERS:
        message = f"its metadata tell of {count} numbers, expected at most {MOST_NUMBERS}"
        raise ValueError(message)
    return specs


def _shape(told: Mapping[str, Any]) -> tuple[int, ...]:
    # A free first axis is how many come at once, and one frame does.
    sizes = [int(size) for size in told["shape"]]
    sizes = [1, *sizes[1:]] if sizes and sizes[0] == -1 else sizes
    if not sizes or min(sizes) < 1:
        message = (
            f"tensor {told['name']!r} has the shape {told['shape']}, expected one that is fixed but for the first axis"
        )
        raise ValueError(message)
    return tuple(sizes)


def _dtype(told: Mapping[str, Any]) -> str:
    found = triton_to_np_dtype(told["datatype"])
    if found is None or found is np.object_:
        message = f"tensor {told['name']!r} holds {told['datatype']}, expected numbers"
        raise ValueError(message)
    return str(np.dtype(found))


def _words(error: BaseException) -> str:
    if isinstance(error, KeyError):
        return f"its answer lacks {error.args[0]!r}"
    if isinstance(error, STUMBLES):
        return f"its answer is none of the protocol's ({type(error).__name__}: {str(error)[:100]})"
    told = error.message() if isinstance(error, InferenceServerException) else str(error)
    return " ".join(str(told or type(error).__name__).split())[:300]


def _unusable(server: Server, why: str) -> DeviceError:
    message = f"cannot use {server.where}: {why}"
    return DeviceError(message, remedy="see the server, and url and model in [remote]", code="remote-unusable")
