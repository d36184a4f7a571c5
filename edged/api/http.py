"""The Open Inference Protocol over HTTP: one short answer for each row of the table, all of them on ``edged.api.handlers``."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from edged.api import words
from edged.api.again import AGAIN, Known, known
from edged.api.bodies import GONE, GoneError, read_body
from edged.api.buffers import Buffers
from edged.api.handlers import Handlers
from edged.api.heads import HEADER_LENGTH, header, table
from edged.api.infer import InferRequest, InferResponse, Pending
from edged.api.refusal import RefusedError, invalid
from edged.api.routes import Lane, Route, aside, document
from edged.api.tensors import BYTES, Tensor
from edged.api.wire import MOST_JSON_BYTES, Call, parsed, read_call, write_response
from edged.telemetry.trace import NAME as TRACEPARENT

LARGE_BYTES = 65_536
"""JSON of this size takes a millisecond to read or write, which is done aside, so that others need not wait for it."""
WORTH_PACKING_BYTES = 1024
PICTURE = "picture"
MOST_LOADING = 2
"""Models that come or go at once: each may take minutes to be tried, which holds up nothing else."""
_LOADING = Lane(MOST_LOADING)
_PACKED = "Content-Encoding"
_HEADER_LENGTH, _TRACEPARENT = HEADER_LENGTH.encode("ascii"), TRACEPARENT.encode("ascii")


@dataclass(frozen=True, slots=True)
class InferenceApi:
    """Answers over HTTP what ``handlers`` know. ``body_limit`` bytes may come in one request."""

    handlers: Handlers
    body_limit: int
    buffers: Buffers = field(default_factory=Buffers)

    def routes(self) -> Sequence[Route]:
        """Give the protocol's rows, the one that is asked most first."""
        return tuple(self._inference() + self._metadata() + self._repository() + self._memory() + self._settings())

    def _inference(self) -> list[Route]:
        models = ("/v2/models/{model}/infer", "/v2/models/{model}/versions/{version}/infer")
        return [Route("POST", model, self.infer, "read", "Infer", "InferRequest", "InferResponse") for model in models]

    def _metadata(self) -> list[Route]:
        rows = [
            Route("GET", "/v2", self.server, "read", "Server metadata", gives="Server"),
            Route("GET", "/v2/health/live", self.live, "open", "Whether the process answers"),
            Route("GET", "/v2/health/ready", self.ready, "open", "Whether every model and source is ready"),
            Route(
                "GET",
                "/v2/models/stats",
                self.statistics,
                "read",
                "Statistics of every loaded model",
                gives="Statistics",
            ),
        ]
        for model in ("/v2/models/{model}", "/v2/models/{model}/versions/{version}"):
            rows += [
                Route("GET", model, self.model, "read", "Model metadata", gives="Model"),
                Route("GET", f"{model}/ready", self.model_ready, "read", "Whether a model would answer"),
                Route(
                    "GET",
                    f"{model}/config",
                    self.config,
                    "read",
                    "Model configuration, as Triton tells it",
                    gives="Config",
                ),
                Route("GET", f"{model}/stats", self.statistics, "read", "Statistics of one model", gives="Statistics"),
            ]
        return rows

    def _repository(self) -> list[Route]:
        models = "/v2/repository/models/{model}"
        return [
            Route(
                "POST",
                "/v2/repository/index",
                self.index,
                "read",
                "Every model, with its state",
                "IndexRequest",
                "Index",
            ),
            Route(
                "POST", f"{models}/load", self.load, "control", "Load a model, or a newer version of it", "LoadRequest"
            ),
            Route("POST", f"{models}/unload", self.unload, "control", "Unload a model", "UnloadRequest"),
        ]

    def _memory(self) -> list[Route]:
        memory = "/v2/systemsharedmemory"
        region = f"{memory}/region/{{region}}"
        return [
            Route("GET", f"{memory}/status", self.memory_status, "read", "Every shared memory region", gives="Regions"),
            Route("GET", f"{region}/status", self.memory_status, "read", "One shared memory region", gives="Regions"),
            Route(
                "POST",
                f"{region}/register",
                self.memory_register,
                "control",
                "Register shared memory",
                "RegisterRequest",
            ),
            Route("POST", f"{region}/unregister", self.memory_unregister, "control", "Let one region go"),
            Route("POST", f"{memory}/unregister", self.memory_unregister, "control", "Let every region go"),
        ]

    def _settings(self) -> list[Route]:
        rows = []
        for path in ("/v2/trace/setting", "/v2/models/{model}/trace/setting"):
            rows.append(
                Route("GET", path, self.trace_settings, "read", "Trace settings, which are read-only", gives="Settings")
            )
            rows.append(Route("POST", path, self.refuse_settings, "control", "Refused: they are read-only"))
        rows.append(
            Route(
                "GET", "/v2/logging", self.log_settings, "read", "Log settings, which are read-only", gives="Settings"
            )
        )
        rows.append(Route("POST", "/v2/logging", self.refuse_settings, "control", "Refused: they are read-only"))
        return rows

    async def server(self, _request: Request) -> Response:
        """Server metadata."""
        return document(self.handlers.server())

    async def live(self, _request: Request) -> Response:
        """Empty: clients read the status alone."""
        return Response()

    async def ready(self, _request: Request) -> Response:
        """Empty, 200 or 503."""
        return Response(status_code=200 if self.handlers.is_ready() else 503)

    async def model_ready(self, request: Request) -> Response:
        """Empty, 200 or 503; 404 for a model that there is not."""
        is_ready = self.handlers.is_model_ready(*_model(request))
        return Response(status_code=200 if is_ready else 503)

    async def model(self, request: Request) -> Response:
        """Model metadata."""
        await self._wake(request)
        return document(self.handlers.model(*_model(request)))

    async def config(self, request: Request) -> Response:
        """Model configuration."""
        await self._wake(request)
        return document(self.handlers.config(*_model(request)))

    async def statistics(self, request: Request) -> Response:
        """Statistics of one model, or of all."""
        if "model" not in request.path_params:
            return document(self.handlers.statistics())
        await self._wake(request)
        return document(self.handlers.statistics(*_model(request)))

    async def index(self, request: Request) -> Response:
        """Every model; with ``{"ready": true}`` those that are ready."""
        asked = await self._parsed(request)
        ready = asked.get("ready", False)
        if not isinstance(ready, bool):
            message = "cannot read 'ready', expected true or false"
            raise invalid(message)
        return document(await aside(partial(self.handlers.index, ready_only=ready)))

    async def load(self, request: Request) -> Response:
        """Empty, when the model is warm."""
        parameters = (await self._parsed(request)).get("parameters", {})
        if not isinstance(parameters, dict):
            message = "cannot read 'parameters', expected an object"
            raise invalid(message)
        await aside(partial(self.handlers.load, request.path_params["model"], parameters), _LOADING)
        return Response()

    async def unload(self, request: Request) -> Response:
        """Empty, when its memory was given back."""
        await self._parsed(request)
        await aside(partial(self.handlers.unload, request.path_params["model"]), _LOADING)
        return Response()

    async def memory_status(self, request: Request) -> Response:
        """Regions of shared memory."""
        return document(self.handlers.regions.status(request.path_params.get("region", "")))

    async def memory_register(self, request: Request) -> Response:
        """Empty, when it is open."""
        asked = await self._parsed(request)
        region = request.path_params["region"]
        self.handlers.regions.register(region, asked.get("key"), asked.get("offset", 0), asked.get("byte_size"))
        return Response()

    async def memory_unregister(self, request: Request) -> Response:
        """Empty, when it is let go."""
        self.handlers.regions.unregister(request.path_params.get("region", ""))
        return Response()

    async def trace_settings(self, request: Request) -> Response:
        """Trace settings."""
        await self._wake(request)
        return document(self.handlers.trace_settings(request.path_params.get("model", "")))

    async def log_settings(self, _request: Request) -> Response:
        """Log settings."""
        return document(self.handlers.log_settings())

    async def refuse_settings(self, _request: Request) -> Response:
        """Refused."""
        self.handlers.refuse_settings()
        return Response()

    async def infer(self, request: Request) -> Response:
        """Inference: read, wait for a run, answer."""
        await self._wake(request)
        self.handlers.check_room(*_model(request))
        header_bytes = _header_bytes(request)
        body = await read_body(request, self.body_limit, self.buffers, header_bytes or 0)
        try:
            call = await self._call(request, body.view, header_bytes)
            return await self._answered(request, call, body.view, header_bytes or 0)
        finally:
            body.close()

    async def _answered(self, request: Request, call: Call, view: memoryview, ahead: int) -> Response:
        asked = call.request
        if self.handlers.tracer is not None:
            asked = replace(asked, traceparent=header(request, _TRACEPARENT))
        pending = self.handlers.infer(asked)
        response = pending.answer(await _found(request, pending))
        if call.request.decoded and header(request, b"accept").startswith("text/plain"):
            return _lines(response)
        write = partial(write_response, call, response, self.handlers.regions)
        is_large = not call.is_binary and sum(_bytes(one) for one in response.outputs) > LARGE_BYTES
        body, json_bytes = await aside(write) if is_large else write()
        answer = await _packed(request, body, json_bytes)
        if _PACKED not in answer.headers:
            self._learn(request, call, view, ahead, pending)
        return answer

    def _learn(self, request: Request, call: Call, body: memoryview, ahead: int, pending: Pending) -> None:
        """Offer the connection to answer the same without reading it again."""
        learn: Callable[[Known, bytes], None] | None = request.scope.get(AGAIN)
        if learn is None or not ahead:
            return
        kept = known(request, call, body, ahead, pending, (self.handlers, self.buffers))
        if kept is not None:
            learn(kept, bytes(body[:ahead]))

    async def _call(self, request: Request, body: memoryview, header_bytes: int | None) -> Call:
        model, version = _model(request)
        if header(request, b"content-type").startswith("image/"):
            picture = Tensor(PICTURE, BYTES, (1,), (bytes(body),))
            return Call(InferRequest(model, (picture,), version=version, decoded=True))
        if header_bytes == 0:
            tensor = self.handlers.raw_input(model, version, body)
            return Call(InferRequest(model, (tensor,), version=version), is_binary=True)
        read = partial(read_call, model, version, body, header_bytes, self.handlers.regions)
        is_large = (len(body) if header_bytes is None else header_bytes) > LARGE_BYTES
        return await aside(read) if is_large else read()

    async def _wake(self, request: Request) -> None:
        """Load, aside, what a pipeline runs and requests did not ask for yet."""
        model = request.path_params.get("model", "")
        if model and not self.handlers.is_at_hand(model):
            await aside(partial(self.handlers.wake, model), _LOADING)

    async def _parsed(self, request: Request) -> dict[str, Any]:
        body = await read_body(request, min(self.body_limit, MOST_JSON_BYTES), self.buffers)
        try:
            return parsed(body.view)
        finally:
            body.close()


async def _found(request: Request, pending: Pending) -> Any:
    """Wait for what a run gives. The loop keeps its deadline while it waits in the line, and takes it out when its client goes away."""
    loop = asyncio.get_running_loop()
    over: asyncio.Future[None] = loop.create_future()
    timer = loop.call_later(pending.left_s(), pending.expire)
    gone: set[Callable[[], None]] = request.scope.get(GONE, set())
    gone.add(pending.forget)

    def tell(_outcome: object) -> None:
        with suppress(RuntimeError):  # the loop is closed, and nobody waits there any more
            loop.call_soon_threadsafe(_settle, over)

    pending.outcome.then(tell)
    try:
        await over
        return pending.outcome.result()
    except CancelledError:
        raise GoneError from None
    except asyncio.CancelledError:
        pending.forget()
        if pending.outcome.cancelled():
            raise GoneError from None
        raise
    finally:
        timer.cancel()
        gone.discard(pending.forget)
        pending.forget()


def _settle(over: asyncio.Future[None]) -> None:
    if not over.done():
        over.set_result(None)


def _model(request: Request) -> tuple[str, str]:
    return request.path_params["model"], request.path_params.get("version", "")


def _header_bytes(request: Request) -> int | None:
    value = table(request).get(_HEADER_LENGTH)
    if value is None:
        return None
    text = value.decode("latin-1")
    if not (text.isascii() and text.isdigit()) or len(text) > len(str(MOST_JSON_BYTES)):
        message = f"cannot read {HEADER_LENGTH}: {text!r:.40}, expected a number of bytes"
        raise invalid(message)
    return int(text)


def _lines(response: InferResponse) -> Response:
    """Give a decoded answer as plain text, for shells."""
    text = next((tensor for tensor in response.outputs if tensor.name == words.TEXT), None)
    if text is None or not isinstance(text.data, tuple):
        message = f"cannot answer in plain text without output {words.TEXT!r}"
        raise RefusedError(message, "invalid")
    return Response(b"".join(line + b"\n" for line in text.data), media_type="text/plain")


def _bytes(tensor: Tensor) -> int:
    return sum(map(len, tensor.data)) if isinstance(tensor.data, tuple) else int(tensor.data.nbytes)


def _takes_gzip(accepted: str) -> bool:
    """Whether gzip is among the codings, and not with the weight 0 (RFC 9110, 12.5.3)."""
    codings = (coding.replace(" ", "").lower().partition(";") for coding in accepted.split(","))
    return any(name == "gzip" and weight.rstrip("0.") != "q=" for name, _, weight in codings)


async def _packed(request: Request, body: bytes, json_bytes: int | None) -> Response:
    """Give the body, packed when the client takes that and it is worth it."""
    headers = {} if json_bytes is None else {HEADER_LENGTH: str(json_bytes)}
    if len(body) >= WORTH_PACKING_BYTES and _takes_gzip(header(request, b"accept-encoding")):
        pack = partial(gzip.compress, body, 1)
        body = await aside(pack) if len(body) > LARGE_BYTES else pack()
        headers[_PACKED] = "gzip"
    return Response(body, 200, headers, "application/json" if json_bytes is None else "application/octet-stream")
