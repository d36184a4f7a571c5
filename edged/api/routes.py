"""What the server answers at which path: a table of rows, and the application that they make.

Other parts of the box (metrics, the dashboard) add rows of their own: a ``Route``'s ``answer`` takes Starlette's request and gives its
response, raises ``RefusedError`` for anything else, and runs on the event loop: what takes longer than a millisecond belongs into
``aside``. The application checks access before it, and answers every fault as ``{"error": …}``, never with a traceback.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route as StarletteRoute
from starlette.routing import Router
from starlette.types import Receive, Scope, Send

from edged.api.access import Access, Right
from edged.api.again import LETS_IN
from edged.api.bodies import GoneError
from edged.api.guesses import Guesses
from edged.api.heads import header
from edged.api.refusal import STATUS, RefusedError, refusal
from edged.domain.errors import EdgedError
from edged.telemetry.jsontext import json_text

MOST_ASIDE, MOST_WAITING = 4, 256
"""Slow things at once; others wait for one of these to end. More wait than there usually are connections."""
WAITING_OF_A_KIND = 64
"""Each that waits is a thread, also when its client has gone away: it could come again a thousand times meanwhile."""
MOST_KNOWN, MOST_KNOWN_CHARS = 256, 512
"""Paths whose rows are remembered, so many of at most this length."""
CLIENT_CLOSED = 499
"""Nobody reads it; nginx's number, for logs."""
_LOG = logging.getLogger("edged.http")

Answer = Callable[[Request], Awaitable[Response]]
Got = TypeVar("Got")


@dataclass(frozen=True, slots=True)
class Route:
    """One row. ``path`` as Starlette has it (``/v2/models/{model}``).

    ``summary``, and what it ``takes`` and ``gives`` by their names in ``edged.api.openapi.SCHEMAS`` (empty: nothing; a media type
    for what is no JSON), are for the reference and the OpenAPI document.
    """

    method: str
    path: str
    answer: Answer
    right: Right
    summary: str
    takes: str = ""
    gives: str = ""


class Application:
    """An ASGI application. ``access`` may be replaced while it runs; ``upkeep`` is called about once a second, and must be short."""

    def __init__(self, routes: Iterable[Route], access: Access, upkeep: Sequence[Callable[[], None]] = ()) -> None:
        self.access, self.guesses = access, Guesses()
        self.upkeep = tuple(upkeep)
        places: dict[str, dict[str, Route]] = {}
        for route in routes:
            places.setdefault(route.path, {})[route.method] = route
        self._router = Router(
            [StarletteRoute(path, _Place(self, methods)) for path, methods in places.items()],
            redirect_slashes=False,
            default=_Place(self, {}),
        )
        self._known: dict[str, tuple[_Place, dict[str, Any]]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; nothing else is spoken here."""
        if scope["type"] != "http":
            return
        known = self._known.get(scope["path"])
        if known is None:
            await self._router(scope, receive, send)
            return
        place, scope["path_params"] = known
        await place(scope, receive, send)

    def lets_in(self, access: Access, address: str) -> bool:
        """Whether who was let in by this still is, without another look at what it brings."""
        try:
            self.guesses.check(address)
        except RefusedError:
            return False
        return self.access is access

    def know(self, path: str, place: _Place, names: dict[str, Any]) -> None:
        """Remember what the router found: looking it up again costs a request as much as reading it."""
        if len(path) > MOST_KNOWN_CHARS:
            return
        if len(self._known) >= MOST_KNOWN:
            self._known.clear()
        self._known[path] = place, names


class _Place:
    """One path: the row of each method. An ASGI application of its own, so that Starlette leaves methods to it."""

    def __init__(self, application: Application, methods: Mapping[str, Route]) -> None:
        self._application, self._methods = application, methods

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive, send)
        if self._methods and "endpoint" in scope:
            self._application.know(scope["path"], self, scope["path_params"])
        try:
            response = await self._answer(request)
        except Exception as error:  # noqa: BLE001 - one request must not cost the others their server
            response = failed(error)
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        method = "GET" if request.method == "HEAD" else request.method
        route = self._methods.get(method)
        self._let_in(request, route.right if route is not None else "read")
        if route is not None:
            return await route.answer(request)
        if not self._methods:
            message = f"cannot find {request.url.path!r:.200}"
            raise RefusedError(message, "not-found")
        allowed = ", ".join(sorted(self._methods))
        told = {"error": f"cannot {request.method[:20]} this path, expected {allowed}"}
        return document(told, 405, {"Allow": allowed})

    def _let_in(self, request: Request, right: Right) -> None:
        guesses = self._application.guesses
        address = request.client.host if request.client is not None else ""
        host, origin, authorization = (header(request, name) for name in (b"host", b"origin", b"authorization"))
        if right != "open":
            guesses.check(address)
        access = self._application.access
        request.scope[LETS_IN] = partial(self._application.lets_in, access, address)
        try:
            access.check(right, host=host, origin=origin, authorization=authorization)
        except RefusedError as error:
            if error.kind == "unauthenticated":
                guesses.wrong(address, authorization)
            raise


def document(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Give a JSON response; a number that is none is null in it."""
    text = json_text(content, lambda _: None, ensure_ascii=False, separators=(",", ":"))
    return Response(text.encode("utf-8", "replace"), status, headers, "application/json")


def refused(error: RefusedError) -> Response:
    """Give the response that says why there is none."""
    headers: dict[str, str] = {}
    if error.retry_after_s:
        headers["Retry-After"] = str(round(error.retry_after_s))
    if error.kind == "unauthenticated":
        headers["WWW-Authenticate"] = 'Basic realm="edged", charset="UTF-8"'
    if error.kind in {"too-large", "unauthenticated"}:
        # What is left of the body is not worth reading.
        headers["Connection"] = "close"
    return document({"error": str(error)}, STATUS[error.kind], headers)


def failed(error: Exception) -> Response:
    """Give the response to a request that something came in the way of."""
    if isinstance(error, EdgedError):
        return refused(refusal(error))
    if isinstance(error, GoneError):
        return Response(status_code=CLIENT_CLOSED)
    _LOG.error("http.broken", exc_info=error)
    return document({"error": "met a fault of its own; the log has it"}, STATUS["fault"])


class Lane:
    """Slow work of one kind: ``most`` at once, and as many as may wait for those. Thread-safe."""

    def __init__(self, most: int, waiting: int = WAITING_OF_A_KIND) -> None:
        self.at_work, self._room = threading.BoundedSemaphore(most), threading.BoundedSemaphore(most + waiting)

    def enter(self) -> None:
        """Take a place among those who wait. Raises RefusedError when there is none."""
        if not self._room.acquire(blocking=False):
            message = "cannot do this now: too many wait for the same already, expected fewer"
            raise RefusedError(message, "overloaded", remedy="come again later", retry_after_s=1.0)

    def leave(self) -> None:
        """Give it up."""
        self._room.release()


async def aside(work: Callable[[], Got], lane: Lane | None = None) -> Got:
    """Do slow work on a thread of its own, a few at once, while the event loop goes on. A daemon's end does not wait for it.

    ``lane`` is that of one kind of work, which shall hold up no other; default: the one that all others share. Raises RefusedError
    when too much waits there.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Got] = loop.create_future()
    chosen = lane or _LANE
    chosen.enter()

    def settle(put: Callable[[Any], None], what: Any) -> None:
        if not done.done():
            put(what)

    def run() -> None:
        try:
            with chosen.at_work:
                outcome = _outcome(work, done)
        finally:
            chosen.leave()
        loop.call_soon_threadsafe(settle, *outcome)

    try:
        threading.Thread(target=run, name="edged-http-aside", daemon=True).start()
    except RuntimeError:
        chosen.leave()
        raise
    return await done


def _outcome(work: Callable[[], Got], done: asyncio.Future[Got]) -> tuple[Callable[[Any], None], Any]:
    """Give what came of it, and what tells that."""
    try:
        return done.set_result, work()
    except BaseException as error:  # noqa: BLE001 - it is raised where it is waited for
        return done.set_exception, error


_LANE = Lane(MOST_ASIDE, MOST_WAITING)
