"""The gRPC server: grpcio's synchronous one with generic handlers, on threads of its own. Implements ``edged.daemon.Part``."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import grpc

from edged.api import grpc_messages as messages
from edged.api.access import Access, Right
from edged.api.grpc_awaited import Awaited
from edged.api.grpc_calls import CALLS, Call, read_infer, response_document
from edged.api.guesses import Guesses
from edged.api.handlers import Handlers
from edged.api.protobuf import encode
from edged.api.refusal import Kind, RefusedError, refusal
from edged.domain.errors import EdgedError
from edged.domain.health import Reason
from edged.pipeline.line import NEVER_STUCK_NS
from edged.telemetry import logs
from edged.telemetry.trace import NAME as TRACEPARENT

if TYPE_CHECKING:
    Handler = grpc.RpcMethodHandler[bytes, bytes]
    Row = tuple[Right, Handler | None]

NAME = "grpc"
MOST_CALLS = 128
"""At once; each that waits for its run holds a thread. More are refused by gRPC itself, RESOURCE_EXHAUSTED."""
MOST_STREAMS = MOST_CALLS // 2
"""A stream holds its thread for as long as its client likes, and single calls need some."""
MOST_CONNECTIONS = 256
"""More are closed as they come: each is an open file, which the rest of the box needs too."""
MESSAGE_S = 30.0
"""What a call's message gets to come, as over HTTP. A stream may be silent for longer while nobody else needs its place: there are fewer of
them, and an honest client may ask once in an hour."""
HANDSHAKE_MS, ALIVE_MS = 10_000, 60_000
"""What a connection's beginning may take, and when one that says nothing is asked whether anybody is there."""
LEAVE_S = 2.0
"""What is in hand gets at the end, and a stream that is ended to go."""
US_PER_S = 1_000_000
UNKNOWN: Row = ("read", None)
"""What is to be said of a call that there is not: nothing to who has no token."""

CODES: Mapping[Kind, grpc.StatusCode] = MappingProxyType(
    {
        "invalid": grpc.StatusCode.INVALID_ARGUMENT,
        "unauthenticated": grpc.StatusCode.UNAUTHENTICATED,
        "guessing": grpc.StatusCode.RESOURCE_EXHAUSTED,
        "forbidden": grpc.StatusCode.PERMISSION_DENIED,
        "not-found": grpc.StatusCode.NOT_FOUND,
        "too-large": grpc.StatusCode.RESOURCE_EXHAUSTED,
        "unsupported": grpc.StatusCode.UNIMPLEMENTED,
        "overloaded": grpc.StatusCode.UNAVAILABLE,
        "late": grpc.StatusCode.DEADLINE_EXCEEDED,
        "unready": grpc.StatusCode.UNAVAILABLE,
        "budget": grpc.StatusCode.RESOURCE_EXHAUSTED,
        "lost": grpc.StatusCode.UNAVAILABLE,
        "fault": grpc.StatusCode.INTERNAL,
    }
)

_LOG = logging.getLogger("edged.grpc")


@dataclass(frozen=True, slots=True)
class GrpcListening:
    """Where it listens, over TLS when there is a certificate, and the largest message."""

    host: str
    port: int
    max_message_bytes: int
    cert: Path | None = None
    key: Path | None = None

    @property
    def where(self) -> str:
        """For people, and for gRPC."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Service(grpc.GenericRpcHandler):
    """Answers calls. Every fault is a status with words in it; what is unexpected is INTERNAL, and its traceback in the log alone."""

    def __init__(self, handlers: Handlers, access: Access) -> None:
        self._handlers = handlers
        self.access = access
        self._streams = threading.BoundedSemaphore(MOST_STREAMS)
        self.awaited, self._guesses = Awaited(MESSAGE_S), Guesses()
        self._rows = self._named()

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Handler | None:
        """Give what answers a call, of which nothing but its metadata is here; bytes come in and go out."""
        right, handler = self._rows.get(handler_call_details.method, UNKNOWN)
        given = dict(handler_call_details.invocation_metadata or ()).get("authorization", "")
        try:
            # Names and origins are a browser's matter, and no browser speaks gRPC.
            self.access.check(right, host="localhost", origin="", authorization=str(given))
        except EdgedError as error:
            # As a stream, which need not be sent anything: who may not ask holds no thread until a request has come.
            return grpc.stream_stream_rpc_method_handler(partial(self._turned_away, refusal(error), str(given)))
        return handler

    def _named(self) -> Mapping[str, Row]:
        """Give gRPC's handlers by the call's path, with the right that each asks for."""
        found: dict[str, Row] = {
            "ModelInfer": ("read", self._single("read", self._infer)),
            "ModelStreamInfer": ("read", grpc.stream_stream_rpc_method_handler(self._stream)),
        }
        for call in CALLS:
            found[call.name] = (call.right, self._single(call.right, partial(self._answered, call)))
        return {f"/{messages.SERVICE}/{name}": row for name, row in found.items()}

    def _single(self, right: Right, answer: Callable[[bytes, grpc.ServicerContext], bytes]) -> Handler:
        # As a stream of one message: gRPC waits for a single one's by itself, on a thread that nobody can call back.
        def answer_one(bodies: Iterator[bytes], context: grpc.ServicerContext) -> bytes:
            if right != "open":
                self._listen_to(context)
            return answer(self.awaited.only(bodies, context), context)

        return grpc.stream_unary_rpc_method_handler(answer_one)

    def _answered(self, call: Call, body: bytes, context: grpc.ServicerContext) -> bytes:
        return _guarded(context, lambda: call(self._handlers, body))

    def _infer(self, body: bytes, context: grpc.ServicerContext) -> bytes:
        return _guarded(context, lambda: encode(messages.INFER_RESPONSE, self._run(body, context)))

    def _stream(self, bodies: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        """Answer one request after the other; a fault is told in its place, and the stream goes on."""
        self._listen_to(context)
        if not self._has_place():
            context.abort(CODES["overloaded"], f"cannot take another stream: there are {MOST_STREAMS}, expected fewer")
        try:
            for body in self.awaited.each(bodies, context):
                yield _guarded(context, partial(self._told, body, context))
        finally:
            self._streams.release()

    def _has_place(self) -> bool:
        """Take a place among the streams; where all are taken, that of one that says nothing, which ends at once."""
        return self._streams.acquire(blocking=False) or (
            self.awaited.make_room() and self._streams.acquire(timeout=LEAVE_S)
        )

    def _told(self, body: bytes, context: grpc.ServicerContext) -> bytes:
        try:
            told: dict[str, Any] = {"infer_response": self._run(body, context)}
        except EdgedError as error:
            told = {"error_message": str(refusal(error))}
        return encode(messages.STREAM_RESPONSE, told)

    def _listen_to(self, context: grpc.ServicerContext) -> None:
        """End a call of an address that tries tokens, whatever token it has."""
        try:
            self._guesses.check(_address(context))
        except RefusedError as refused:
            context.abort(CODES[refused.kind], str(refused))

    def _turned_away(
        self, refused: RefusedError, given: str, _bodies: Iterator[bytes], context: grpc.ServicerContext
    ) -> Iterator[bytes]:
        self._listen_to(context)
        if refused.kind == "unauthenticated":
            self._guesses.wrong(_address(context), given)
        context.abort(CODES[refused.kind], str(refused))
        yield b""

    def _run(self, body: bytes, context: grpc.ServicerContext) -> dict[str, Any]:
        regions = self._handlers.regions
        request, places = read_infer(body, regions)
        if self._handlers.tracer is not None:
            request = replace(request, traceparent=str(dict(context.invocation_metadata()).get(TRACEPARENT, "")))
        pending = self._handlers.infer(request.within(int(context.time_remaining() * US_PER_S)))
        # Who hangs up frees its place in the line.
        context.add_callback(pending.forget)
        return response_document(pending.result(), regions, places)


def _guarded(context: grpc.ServicerContext, does: Callable[[], bytes]) -> bytes:
    try:
        return does()
    except EdgedError as error:
        refused = refusal(error)
        if refused.retry_after_s:
            context.set_trailing_metadata((("retry-after", f"{refused.retry_after_s:.3f}"),))
        context.abort(CODES[refused.kind], str(refused))
    except Exception:  # noqa: BLE001 - no traceback may reach a client
        _LOG.exception("grpc.broken")
        context.abort(grpc.StatusCode.INTERNAL, "cannot answer: an unexpected fault, which the log tells of")
    return b""


def _address(context: grpc.ServicerContext) -> str:
    """Give who calls, of ``ipv4:192.0.2.7:4711`` or ``ipv6:%5B::1%5D:4711``, without the port."""
    host = str(context.peer()).partition(":")[2].rpartition(":")[0]
    return host.replace("%5B", "").replace("%5D", "").strip("[]")


class GrpcServer:
    """The part that the daemon starts, stops and watches. ``build`` reads the tokens; it raises EdgedError when they cannot be had."""

    ended = False
    heartbeat_ns = NEVER_STUCK_NS
    """Its threads wait for calls; none of them has a beat."""

    def __init__(
        self, listening: GrpcListening, handlers: Handlers, build: Callable[[], Access], now_ns: Callable[[], int]
    ) -> None:
        self._listening, self._handlers, self._build, self._now_ns = listening, handlers, build, now_ns
        self._server: grpc.Server | None = None
        self._service: Service | None = None
        self._reason: Reason | None = None

    def __repr__(self) -> str:
        return f"<GrpcServer {self._listening.where}: {'answers' if self.working else 'is down'}>"

    def start(self) -> None:
        """Listen; why it cannot is a reason, and a reload tries again."""
        try:
            self._service = Service(self._handlers, self._build())
            self._server = self._listen(self._service)
        except (EdgedError, RuntimeError, OSError) as error:
            self._reason = self._told(error)
            logs.event(_LOG, "grpc.failed", level=logging.ERROR, error=self._reason.message)
        else:
            self._reason = None
            logs.event(_LOG, "grpc.listens", where=self._listening.where)

    def stop(self) -> None:
        """Take no more calls, and end when those in hand are answered."""
        if self._server is not None and self._service is not None:
            self._service.awaited.stop()
            self._server.stop(LEAVE_S)

    def join(self, timeout_s: float) -> bool:
        """Wait for the end."""
        return self._server is None or not self._server.wait_for_termination(timeout_s)

    def reload(self) -> None:
        """Read the tokens again, or listen when that was not possible."""
        if self._server is None or self._service is None:
            self.start()
            return
        try:
            self._service.access = self._build()
        except EdgedError as error:
            # The tokens that were there go on: nobody is let in who was not before.
            self._reason = self._told(error)
        else:
            self._reason = None

    @property
    def working(self) -> bool:
        """Whether it takes calls."""
        return self._server is not None

    def reasons(self) -> Sequence[Reason]:
        """Why it does not answer."""
        return (self._reason,) if self._reason is not None else ()

    def _listen(self, service: Service) -> grpc.Server:
        size = self._listening.max_message_bytes
        options = [
            ("grpc.max_receive_message_length", size),
            ("grpc.max_send_message_length", size),
            ("grpc.so_reuseport", 0),
            ("grpc.max_allowed_incoming_connections", MOST_CONNECTIONS),
            # Of one connection: a client that loses its calls keeps nobody else out.
            ("grpc.max_concurrent_streams", MOST_CALLS - MOST_CALLS // 8),
            ("grpc.server_handshake_timeout_ms", HANDSHAKE_MS),
            ("grpc.keepalive_time_ms", ALIVE_MS),
        ]
        pool = ThreadPoolExecutor(MOST_CALLS, "edged-grpc")
        server = grpc.server(pool, options=options, maximum_concurrent_rpcs=MOST_CALLS)
        server.add_generic_rpc_handlers((service,))
        self._bind(server)
        server.start()
        service.awaited.start()
        return server

    def _bind(self, server: grpc.Server) -> None:
        where, cert, key = self._listening.where, self._listening.cert, self._listening.key
        if cert is not None and key is not None:
            pair = (key.read_bytes(), cert.read_bytes())
            bound = server.add_secure_port(where, grpc.ssl_server_credentials([pair]))
        else:
            bound = server.add_insecure_port(where)
        if not bound:
            message = f"cannot listen on {where}, expected a free port"
            raise RuntimeError(message)

    def _told(self, error: BaseException) -> Reason:
        remedy = error.remedy if isinstance(error, EdgedError) else "free the port, or change [grpc] listen"
        message = f"cannot serve gRPC on {self._listening.where}: {error.args[0] if error.args else error}"
        return Reason("grpc-down", NAME, message, self._now_ns(), remedy, fatal=True)
