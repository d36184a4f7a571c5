"""A model on a server of the Open Inference Protocol, asked over HTTP with tritonclient. Only tensors go there and come back.

What the network or the server does wrong is the engine's loss: whoever runs it goes on with another rung.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any
from urllib.parse import urlsplit

import gevent
import numpy as np
from tritonclient.http import InferInput, InferRequestedOutput
from tritonclient.utils import InferenceServerException, np_to_triton_dtype, triton_to_np_dtype

from edged.domain.errors import DeadlineError, DeviceError, EngineLostError
from edged.domain.tensor import Array, TensorSpec
from edged.engines.remote_link import MOST_BYTES, Client, addresses_of

RUNTIME = "remote"
BINARY = "binary_tensor_data"
OPEN_S = 5.0
"""What opening may take in all: connecting, the model's metadata, and a first run, which loads the model on many servers."""
REFUSALS = (InferenceServerException, HTTPException, OSError, ValueError, KeyError)
"""What tritonclient raises: the server's refusals, broken answers, the network's and TLS's faults, and answers that are no such thing."""
STUMBLES = (AttributeError, EOFError, IndexError, OverflowError, RecursionError, TypeError)
"""What it stumbles over: it takes every document for one of the protocol's."""
FAULTS = (*REFUSALS, *STUMBLES)
BYTES_A_NUMBER = 64
"""Of an answer in JSON, generously; one in binary takes less."""
MOST_NUMBERS = 2**26
"""Of a tensor: 256 MB of float32. A server that tells of more cannot be meant for a frame."""


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
    """Implements ``edged.domain.ports.Engine``. Connections belong to the thread that made them, which gevent asks for."""

    runtime = RUNTIME

    def __init__(
        self, server: Server, inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...], *, is_binary: bool
    ) -> None:
        self._server, self.inputs, self.outputs = server, inputs, outputs
        self._is_binary = is_binary
        # Once: no frame waits for a name server, and what is lost is opened anew.
        self._addresses = addresses_of(server.url)
        self._most_bytes = MOST_BYTES + BYTES_A_NUMBER * sum(math.prod(spec.shape) for spec in outputs)
        self._mine, self._is_closed = threading.local(), False

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
        """Ask no more. Connections of other threads go with them."""
        self._is_closed = True
        self.disconnect()

    def disconnect(self) -> None:
        """Let this thread's connection go; the next run makes another."""
        mine = getattr(self._mine, "client", None)
        if mine is not None:
            self._mine.client = None
            mine.close()

    def _ask(self, tensors: Sequence[Array], within_s: float) -> list[Array]:
        limit = gevent.Timeout(within_s)
        limit.start()
        try:
            return self._answers(self._result(tensors))
        except gevent.Timeout as passed:
            if passed is not limit:
                raise
            self.disconnect()
            message = f"cannot run {self._server.where}: no answer within {within_s * 1000:.0f} ms"
            raise DeadlineError(message, remedy="see the server and the network to it") from None
        except FAULTS as error:
            self.disconnect()
            message = f"cannot run {self._server.where}: {_words(error)}"
            raise EngineLostError(message, remedy="see the server and the network to it") from error
        finally:
            limit.close()

    def _result(self, tensors: Sequence[Array]) -> Any:
        server, asked = self._server, []
        for spec, tensor in zip(self.inputs, tensors, strict=True):
            given = InferInput(spec.name, list(tensor.shape), np_to_triton_dtype(tensor.dtype))
            asked.append(given.set_data_from_numpy(np.ascontiguousarray(tensor), binary_data=self._is_binary))
        wanted = [InferRequestedOutput(spec.name, binary_data=self._is_binary) for spec in self.outputs]
        mine = getattr(self._mine, "client", None)
        if mine is None:
            at = server.url, server.ca, self._addresses
            mine = self._mine.client = Client(*at, server.deadline_s, self._most_bytes)
        return mine.infer(server.model, asked, server.version, wanted, headers=_headers(server))

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

    On a thread of its own, since gevent keeps a loop for each thread that uses it, and whoever opens may be gone with the next frame.
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
    finally:
        gevent.get_hub().destroy()


def _opened(server: Server) -> RemoteEngine:
    limit = gevent.Timeout(OPEN_S)
    limit.start()
    asking = None
    try:
        asking = Client(server.url, server.ca, addresses_of(server.url), OPEN_S)
        # Not every server takes tensors as they lie in memory (MLServer does not); all of them take JSON.
        is_binary = BINARY in (asking.get_server_metadata(headers=_headers(server)).get("extensions") or ())
        told = asking.get_model_metadata(server.model, server.version, headers=_headers(server))
        engine = RemoteEngine(server, _specs(told["inputs"]), _specs(told["outputs"]), is_binary=is_binary)
    except gevent.Timeout as passed:
        if passed is not limit:
            raise
        raise _unusable(server, f"no answer within {OPEN_S:.0f} s") from None
    except FAULTS as error:
        raise _unusable(server, _words(error)) from error
    finally:
        limit.close()
        if asking is not None:
            asking.close()
    try:
        engine.prove()
    finally:
        engine.disconnect()
    return engine


def _headers(server: Server) -> Mapping[str, str]:
    return {"Authorization": f"Bearer {server.token}"} if server.token else {}


def _specs(told: Sequence[Mapping[str, Any]]) -> tuple[TensorSpec, ...]:
    """Read the tensors that a model's metadata tells of. Raises ValueError for what no frame could fill."""
    if not told:
        message = "its metadata names no tensors, expected names, types and shapes"
        raise ValueError(message)
    return tuple(TensorSpec(one["name"], _shape(one), _dtype(one)) for one in told)


def _shape(told: Mapping[str, Any]) -> tuple[int, ...]:
    # A free first axis is how many come at once, and one frame does.
    sizes = [int(size) for size in told["shape"]]
    sizes = [1, *sizes[1:]] if sizes and sizes[0] == -1 else sizes
    if not sizes or min(sizes) < 1 or math.prod(sizes) > MOST_NUMBERS:
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
