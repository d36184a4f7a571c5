"""A connection whose client asks what was asked before (see ``edged.api.again``): the numbers are read to their place, and answered.

The parser does not see such a request, and no task runs for it: what a connection owes its client, room, time and an answer whatever
becomes of it, is owed here in the same way.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from typing import Any, Protocol
from weakref import WeakValueDictionary

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE
from uvicorn.server import ServerState

from edged.api.again import Known
from edged.api.alarm import Alarm
from edged.api.bodies import SINK, Body
from edged.api.heads import HEADER_LENGTH
from edged.api.infer import Pending
from edged.api.routes import failed

END = b"\r\n\r\n"
OK = 200
CLOSES = ((b"connection", b"close"),)
NOTHING = memoryview(b"")
MOST_AHEAD_BYTES = 32_768
"""A head with its JSON that is longer is read each time."""
APART_S = 1.0
"""How long the JSON of a known head may be on its way. Then the parser gets what has come, and gives the rest its usual time."""
JSON_BYTES = re.compile(rb"\r\n%b:[ \t]*([0-9]{1,8})[ \t]*\r\n" % HEADER_LENGTH.encode("ascii"), re.IGNORECASE)


class Learned:
    """A request that was answered, and the bytes that stand ahead of its numbers: its head, of so many bytes, and its JSON."""

    __slots__ = ("__weakref__", "ahead", "head_bytes", "known")

    def __init__(self, head: bytes, json: bytes, known: Known) -> None:
        self.ahead, self.head_bytes, self.known = head + json, len(head), known

    def may_begin(self, data: bytes) -> bool:
        """Whether these bytes are its own as far as they go, and its head is whole."""
        return data.startswith(self.ahead) or (len(data) >= self.head_bytes and self.ahead.startswith(data))


Lore = WeakValueDictionary[tuple[str, bytes, bytes], Learned]
"""What the connections of a server know now, by their clients' address, head and JSON; the newest of a head without its JSON, too.

Who may ask hangs on nothing else.
"""


class Connection(Protocol):
    """What is needed of the connection that owns it, and uvicorn's half of it: ``edged.api.guarded`` has it, and imports this."""

    loop: asyncio.AbstractEventLoop
    transport: asyncio.Transport
    flow: FlowControl
    client: tuple[str, int] | None
    server_state: ServerState
    timeout_keep_alive: int
    room: memoryview | None
    """Where what comes next shall lie, when it can be read straight there; never empty."""

    def data_received(self, data: bytes) -> None:
        """Look at what came between two requests as if it came now."""

    def parse(self, data: bytes) -> None:
        """Leave it to the parser."""

    def rouse(self) -> None:
        """Do not close it for its silence."""

    def read_later(self) -> None:
        """Read on after the others who came at the same time."""

    def abort(self) -> None:
        """Break it off."""


class Repeating:
    """What one connection knows, and the request that it answers by it."""

    def __init__(self, connection: Connection, alarm: Alarm, message_s: float, lore: Lore) -> None:
        """``message_s`` is what a body gets to come; in ``lore`` others find what this one learns."""
        self._connection, self._alarm, self._message_s, self._lore = connection, alarm, message_s, lore
        self._learned: Learned | None = None
        self._known: Known | None = None
        """What is asked now, or was asked last."""
        self.is_busy = False
        """Whether a request is on its way in, or waits for its answer."""
        self._body: Body | None = None
        self._room, self._at = NOTHING, 0
        self._pending: Pending | None = None
        self._held = b""
        self.came = b""
        """Of a request whose head is known, and whose JSON is on its way: many clients send the two apart."""
        self._rests = False
        self._is_last = False

    def __repr__(self) -> str:
        size = self._learned.known.size if self._learned else 0
        return f"<Repeating {'a request' if self.is_busy else 'nothing'} of {size} bytes>"

    def learn(self, began: bytes, scope: dict[str, Any], known: Known, json: bytes) -> None:
        """Keep a request with this JSON whose head was parsed, and which ``began`` with these bytes, in which its head may lie whole."""
        head = began[: began.find(END) + len(END)]
        if len(head) + len(json) <= MOST_AHEAD_BYTES and _is_head(head[: -len(END)], scope):
            key = self._address, head, json
            learned = self._lore.get(key)
            # What others hold already stays there for as long as one of them is open.
            if learned is None or not learned.known.is_still():
                learned = self._lore[key] = Learned(head, json, known)
            self._lore[self._address, head, b""] = learned
            self._learned, self._known = learned, None

    def begins(self, data: bytes) -> bool:
        """Take what came between two requests, ``came`` first, when it begins a known one or may do so with more of its JSON."""
        learned = self._learned
        if learned is None or not learned.may_begin(data):
            learned = self._of_others(data)
        if learned is None or not learned.may_begin(data):
            return False
        known, ahead = learned.known, len(learned.ahead)
        if len(data) - ahead > known.size - known.ahead:
            return False
        if self._connection.flow.write_paused or not known.is_still():
            return False
        if len(data) < ahead:
            self._wait(data)
            return True
        self._learned, self._known, self.is_busy, self.came = learned, known, True, b""
        self._at = known.ahead + len(data) - ahead
        self._connection.rouse()
        self._alarm.set(self._message_s, self._connection.abort)
        try:
            self._body = body = known.room()
        except Exception as error:  # noqa: BLE001 - told to the client
            self._turn_away(known, error)
        else:
            self._room = body.room(known.size)
            self._room[known.ahead : self._at] = memoryview(data)[ahead:]
            self._look(known)
        return True

    def _of_others(self, data: bytes) -> Learned | None:
        """Give what another connection of the same address learned of this request, or last of this head."""
        return self._lore.get((self._address, *_parts(data)))

    def _wait(self, data: bytes) -> None:
        if not self.came:
            self._connection.rouse()
            self._alarm.set(APART_S, self._give_up)
        self.came = data

    def _give_up(self) -> None:
        """Leave to the parser what came."""
        self._connection.parse(self.came)

    @property
    def _address(self) -> str:
        client = self._connection.client
        return client[0] if client is not None else ""

    def arrived(self, count: int) -> None:
        """Count what was read there."""
        self._at += count
        known = self._known
        if known is None:
            return
        if self._body is not None:
            self._look(known)
        else:
            self._sink(known)

    def hold(self, data: bytes) -> None:
        """Keep what came behind the request, which is all that comes until it is answered."""
        self._held += data
        self._connection.flow.pause_reading()

    def leave(self) -> None:
        """Another kind of request begins."""
        if self._rests or self.came:
            self._rests, self.came = False, b""
            self._alarm.clear()

    def end(self) -> bool:
        """Answer the request that is in hand, and close the connection then; False when there is none, or it is answered already."""
        if self.came:
            self._give_up()
        self._is_last = self.is_busy
        return self._is_last and self._body is not None

    def lost(self) -> None:
        """Take the request out of its line: its client has gone away."""
        pending, self._known, self._learned = self._pending, None, None
        self._held = self.came = b""
        self._done()
        if pending is not None:
            pending.forget()

    def _look(self, known: Known) -> None:
        """Ask, when all has come, and wait for the rest until then."""
        rest = self._room[self._at :]
        self._connection.room = rest or None
        if rest:
            return
        try:
            self._pending = pending = known.begin(self._room)
        except Exception as error:  # noqa: BLE001 - told to the client
            self._refuse(error)
            return
        self._alarm.set(pending.left_s(), pending.expire)
        pending.job.outcome.then(self._tell)

    def _tell(self, _outcome: object) -> None:
        """Called on the thread that ran it."""
        try:
            self._connection.loop.call_soon_threadsafe(self._answer)
        except RuntimeError:
            # The loop is closed, and its connections with it.
            return

    def _answer(self) -> None:
        known, pending = self._known, self._pending
        if known is None or pending is None:
            return
        try:
            headers, body = known.answer(pending)
        except Exception as error:  # noqa: BLE001 - told to the client
            self._refuse(error)
        else:
            self._respond(OK, headers, body)

    def _turn_away(self, known: Known, error: Exception) -> None:
        """Answer before the numbers have come, and let them pass: who is refused shall cost the box little."""
        response = failed(error)
        self._write(response.status_code, response.raw_headers, bytes(response.body))
        self._sink(known)
        if self.is_busy:
            self._connection.read_later()

    def _sink(self, known: Known) -> None:
        left = known.size - self._at
        if left and not self._connection.transport.is_closing():
            self._connection.room = SINK[:left]
        else:
            self._over()

    def _refuse(self, error: Exception) -> None:
        response = failed(error)
        self._respond(response.status_code, response.raw_headers, bytes(response.body))

    def _respond(self, status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> None:
        self._done()
        self._write(status, headers, body)
        self._over()

    def _write(self, status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> None:
        connection = self._connection
        if connection.transport.is_closing():
            return
        usual = connection.server_state.default_headers
        lines = [b"%s: %s\r\n" % header for header in (*usual, *headers, *(CLOSES if self._is_last else ()))]
        connection.transport.write(b"".join((STATUS_LINE[status], *lines, b"\r\n", body)))

    def _over(self) -> None:
        """Wait for the next request, or take what has come of it."""
        self._done()
        connection = self._connection
        if self._is_last:
            connection.transport.close()
        if connection.transport.is_closing():
            return
        self._rests = True
        self._alarm.set(connection.timeout_keep_alive, connection.transport.close)
        held, self._held = self._held, b""
        if held:
            connection.flow.resume_reading()
            connection.data_received(held)

    def _done(self) -> None:
        self._pending, body, self._body, self.is_busy = None, self._body, None, False
        self._room, self._at, self._connection.room = NOTHING, 0, None
        self._alarm.clear()
        if body is not None:
            body.close()


def _parts(data: bytes) -> tuple[bytes, bytes]:
    """Give the head, and the JSON behind it; none of it where it did not come whole, or the head says its length in an odd way."""
    end = data.find(END) + len(END)
    found = JSON_BYTES.search(data, 0, end)
    ahead = end + int(found[1]) if found else end
    return data[:end], data[end:ahead] if ahead <= len(data) else b""


def _is_head(head: bytes, scope: dict[str, Any]) -> bool:
    """Whether these bytes are what the parser read, no more and no less: what follows them is the body only then."""
    first, *lines = head.split(b"\r\n")
    asked = scope["query_string"]
    target = scope["raw_path"] + (b"?" + asked if asked else b"")
    given = [(name.lower(), value.strip()) for name, _, value in (line.partition(b":") for line in lines)]
    return first == b"POST " + target + b" HTTP/1.1" and given == list(scope["headers"])
