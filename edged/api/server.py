"""The HTTP server: uvicorn on an event loop of its own, in a thread of its own. Implements ``edged.daemon.Part``."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from weakref import WeakValueDictionary

import uvicorn
import uvloop

from edged.api import guarded
from edged.api.guarded import GuardedProtocol
from edged.api.routes import Application
from edged.api.straight import StraightProtocol
from edged.domain.errors import EdgedError
from edged.domain.health import Reason
from edged.domain.ports import Clock
from edged.telemetry import logs

BEAT_S = 1.0
AGAIN_S = 5.0
"""How soon a start that failed is tried again: an address may come late, and a port may still be held by who was here before."""
KEEP_ALIVE_S = 60
LEAVE_S = 2
"""What answers in hand get at the end."""
BACKLOG = 256
NAME = "http"

_LOG = logging.getLogger("edged.http")


@dataclass(frozen=True, slots=True)
class Listening:
    """Where the server listens, over TLS when there is a certificate, and how many connections it takes."""

    host: str
    port: int
    most_connections: int
    cert: Path | None = None
    key: Path | None = None

    @property
    def url(self) -> str:
        """For people."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.cert else 'http'}://{host}:{self.port}"


class HttpServer:
    """The part that the daemon starts, stops and watches.

    ``build`` makes the application; it is called at each start and, for what may have changed (tokens), at each reload. It raises
    EdgedError when that cannot be had.
    """

    def __init__(self, listening: Listening, build: Callable[[], Application], clock: Clock) -> None:
        self._listening, self._build, self._clock = listening, build, clock
        self._stop = threading.Event()
        self._server: uvicorn.Server | None = None
        self._application: Application | None = None
        self._reason: Reason | None = None
        self._heartbeat_ns = clock.monotonic_ns()
        self._thread = threading.Thread(target=self._run, name="edged-http", daemon=True)

    def __repr__(self) -> str:
        state = "answers" if self.working else self._reason.message if self._reason else "starts"
        return f"<HttpServer {self._listening.url}: {state}>"

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Take no more connections, and end when what is in hand is answered."""
        self._stop.set()
        server = self._server
        if server is not None:
            server.should_exit = True

    def join(self, timeout_s: float) -> bool:
        """Wait for the end."""
        if self._thread.ident is None:
            return True
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def reload(self) -> None:
        """Read the tokens again."""
        application = self._application
        if application is None:
            return
        try:
            application.access = self._build().access
        except EdgedError as error:
            # The tokens that were there go on: nobody is let in who was not before.
            self._reason = self._told("http-token", error)
        else:
            self._reason = None

    @property
    def heartbeat_ns(self) -> int:
        """Monotonic time of the event loop's last beat."""
        return self._heartbeat_ns

    @property
    def ended(self) -> bool:
        """A server has no end of its own."""
        return False

    @property
    def working(self) -> bool:
        """Whether it takes connections."""
        return self._server is not None and self._server.started

    def reasons(self) -> Sequence[Reason]:
        """Why it does not answer."""
        return (self._reason,) if self._reason is not None else ()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._application = self._build()
                listener = _bound(self._listening)
            except EdgedError as error:
                self._failed(error)
            except OSError as error:
                self._failed(error)
            else:
                self._reason = None
                self._serve(listener, self._application)
            if not self._stop.is_set():
                self._rest()

    def _serve(self, listener: socket.socket, application: Application) -> None:
        """Serve until asked to stop; comes back too when the server could not start."""
        loop = _Loop()
        try:
            asyncio.set_event_loop(loop)
            loop.run_until_complete(self._served(listener, application))
        except (Exception, SystemExit) as error:  # noqa: BLE001 - it is told, and tried again
            _LOG.exception("http.ended")
            self._failed(error)
        finally:
            self._server = None
            listener.close()
            asyncio.set_event_loop(None)
            loop.close()

    async def _served(self, listener: socket.socket, application: Application) -> None:
        server = self._server = uvicorn.Server(_settings(self._listening, application))
        connections = cast("set[GuardedProtocol]", server.server_state.connections)
        beating = asyncio.ensure_future(self._beat(application, connections))
        logs.event(_LOG, "http.listens", url=self._listening.url)
        try:
            if not self._stop.is_set():
                await server.serve(sockets=[listener])
        finally:
            beating.cancel()
            with suppress(asyncio.CancelledError):
                await beating
            for connection in tuple(connections):
                # What they hold is let go as they end, for which the loop has to run.
                connection.abort()
            await asyncio.sleep(0)

    async def _beat(self, application: Application, connections: Collection[GuardedProtocol]) -> None:
        while True:
            self._heartbeat_ns = self._clock.monotonic_ns()
            now_s = asyncio.get_running_loop().time()
            for connection in tuple(connections):
                connection.look(now_s)
            for work in application.upkeep:
                work()
            await asyncio.sleep(BEAT_S)

    def _rest(self) -> None:
        waited_s = 0.0
        while waited_s < AGAIN_S and not self._stop.wait(BEAT_S):
            waited_s += BEAT_S
            self._heartbeat_ns = self._clock.monotonic_ns()

    def _failed(self, error: BaseException) -> None:
        reason = self._told("http-down", error)
        if self._reason is None or self._reason.message != reason.message:
            logs.event(_LOG, "http.failed", level=logging.ERROR, error=reason.message)
            self._reason = reason

    def _told(self, code: str, error: BaseException) -> Reason:
        remedy = error.remedy if isinstance(error, EdgedError) else "free the port, or change [http] listen"
        why = str(error.args[0]) if isinstance(error, EdgedError) else str(error)
        message = f"cannot serve {self._listening.url}: {why}"
        return Reason(code, NAME, message, self._clock.monotonic_ns(), remedy, fatal=True)


class _Loop(uvloop.Loop):
    """Gives a connection's encryption the time of a head: who is still at it is no connection that could be counted yet."""

    async def create_server(self, *given: Any, **named: Any) -> asyncio.AbstractServer:  # type: ignore[override] # as uvloop has it
        """Listen, as uvicorn asks."""
        if named.get("ssl") is not None:
            named["ssl_handshake_timeout"] = guarded.HEAD_S
        return await super().create_server(*given, **named)


def _bound(listening: Listening) -> socket.socket:
    """Listen. Raises OSError."""
    family, _, _, _, address = socket.getaddrinfo(listening.host, listening.port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        # A daemon that starts again takes its port back from connections that linger.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def _settings(listening: Listening, application: Application) -> uvicorn.Config:
    guarded = type("Guarded", (GuardedProtocol,), {"most": listening.most_connections, "lore": WeakValueDictionary()})
    straight = cast("type[asyncio.Protocol]", type("Straight", (StraightProtocol,), {"guarded": guarded}))
    return uvicorn.Config(
        application,
        http=straight,
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        log_level="critical",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        headers=[("X-Content-Type-Options", "nosniff")],
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=LEAVE_S,
        backlog=BACKLOG,
        ssl_certfile=listening.cert,
        ssl_keyfile=listening.key,
    )
