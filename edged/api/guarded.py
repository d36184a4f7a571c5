"""Uvicorn's connections with bounds on their number, on what precedes a body, and on time: one client must not keep others out.

httptools takes headers of any size, and uvicorn waits for the rest of a request for ever; both stand here with the limits that are theirs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, cast
from weakref import WeakValueDictionary

from httptools import HttpRequestParser
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from edged.api.again import AGAIN
from edged.api.alarm import Alarm
from edged.api.bodies import GONE, SINK, TAKE, WORTH_TAKING_BYTES, GoneError
from edged.api.repeating import Lore, Repeating

HEAD_BYTES = 32_768
MOST_HEADERS = 128
HEAD_S = 10.0
"""From the first byte of a request, or the connection's beginning, to the end of its headers."""
MESSAGE_S = 30.0
"""From there to the end of its body, whether anybody reads it or not."""
WRITE_S = 30.0
"""How long a client may take nothing of an answer that is too large for the socket's own room."""
MOST_PIPELINED = 16
SPARED = 8
"""One address takes all connections but the eighth part: whoever holds them keeps nobody else out."""
BESIDE = 8
"""So many bytes may stand beside each of a body: a chunk of one byte has five."""


@dataclass(slots=True)
class _Taking:
    """A body on its way to where it shall lie: ``is_straight`` past the parser, which only counts it."""

    cycle: RequestResponseCycle
    room: memoryview
    done: asyncio.Future[None]
    is_straight: bool
    at: int = 0

    def add(self, part: bytes) -> None:
        """Put a part there; what is more than the body was announced to be is left out, and the parser refuses it."""
        end = min(self.at + len(part), len(self.room))
        self.room[self.at : end] = part[: end - self.at]
        self.at = end


class GuardedProtocol(HttpToolsProtocol):
    """One connection. ``most`` is how many there may be at once, ``lore`` what they know together.

    Both are set on a subclass, as uvicorn builds connections from a class.
    """

    most = 128
    lore: ClassVar[Lore] = WeakValueDictionary()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head_bytes = 0
        self._is_in_head = True
        self._is_begun = False
        self._seen_bytes = self._passing = 0
        """Of the body: what the parser has seen, and what is left of one that nobody wants."""
        self._alarm = Alarm(self.loop)
        self._repeating = Repeating(self, self._alarm, MESSAGE_S, self.lore)
        self._began = b""
        self.room: memoryview | None = None
        """Where what comes next shall lie, when it can be read straight there; never empty."""
        self._stood: tuple[int, float] | None = None
        """While it is closing: so many bytes were left, since when."""
        self._write_timer: asyncio.TimerHandle | None = None
        self._taking: _Taking | None = None
        self._at_the_end: set[Callable[[], None]] = set()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # uvicorn's own is like this
        """Close what is one too many before a byte of it is read."""
        super().connection_made(transport)
        if len(self.connections) > self.most or self._of_one_address() > self.most - self.most // SPARED:
            transport.abort()
            return
        self._alarm.set(HEAD_S, self.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        """Let the timers go."""
        self._repeating.lost()
        self._alarm.close()
        self._let_write()
        super().connection_lost(exc)
        # Uvicorn lets it run on where the client broke the connection off: a minute in which all of this would be kept.
        self.rouse()
        self._taken(GoneError())
        for tell in tuple(self._at_the_end):
            tell()

    def data_received(self, data: bytes) -> None:
        """Look whether it is known already, and read it otherwise."""
        if self._repeating.is_busy:
            self._repeating.hold(data)
            return
        self._began = b""
        if self._is_between():
            self._began = data = self._repeating.came + data
            if self._repeating.begins(data):
                return
        self.parse(data)

    def parse(self, data: bytes) -> None:
        """Feed the parser while the head, and what stands beside a body that comes in chunks, stay within their size."""
        self._repeating.leave()
        if self._is_in_head and not self._alarm.is_set:
            self._alarm.set(HEAD_S, self.abort)
        if self._head_bytes > HEAD_BYTES:
            self.send_400_response("Request header too large.")
            return
        self._head_bytes += len(data)
        super().data_received(data)

    def on_message_begin(self) -> None:
        """Note that a request has begun, of which there may be no more than a letter."""
        self._is_begun, self._seen_bytes = True, 0
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header, or a trailer. Raises ValueError, which ends the connection with 400, for one too many."""
        if len(self.headers) >= MOST_HEADERS:
            message = f"more than {MOST_HEADERS} headers"
            raise ValueError(message)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Give the body its time, and offer to put it where the application wants it."""
        if len(self.pipeline) >= MOST_PIPELINED:
            message = f"more than {MOST_PIPELINED} requests at once"
            raise ValueError(message)
        self._is_in_head, self._head_bytes = False, 0
        self._alarm.set(MESSAGE_S, self.abort)
        super().on_headers_complete()
        # Of what came together the first head alone begins where that does.
        began, self._began = self._began, b""
        if self.cycle is not None:
            scope = cast("dict[str, Any]", self.scope)
            scope[TAKE], scope[GONE] = partial(self._take, self.cycle), self._at_the_end
            # By the parser's own judgement: what closes its connection must not keep another's open.
            if began and self.cycle.keep_alive:
                scope[AGAIN] = partial(self._repeating.learn, began, scope)
            if _can_go_straight(self.headers):
                # Until somebody says where it shall lie.
                self.flow.pause_reading()

    def on_body(self, body: bytes) -> None:
        """Put a part of a body where it is wanted, or keep it until it is."""
        self._head_bytes -= (1 + BESIDE) * len(body)
        self._seen_bytes += len(body)
        taking = self._taking
        if taking is None or taking.cycle is not self.cycle:
            super().on_body(body)
        else:
            taking.add(body)

    def arrived(self, count: int) -> None:
        """Count what was read there. Behind the body another parser goes on: this one would wait for what it has not seen."""
        if self._repeating.is_busy:
            self._repeating.arrived(count)
            return
        taking = self._taking
        if self._passing:
            self._passing -= count
            self.room = SINK[: self._passing] or None
        elif taking is not None:
            taking.at += count
            self.room = taking.room[taking.at :] or None
            taking.is_straight = self.room is not None
        else:
            return
        if self.room is None:
            self.parser = HttpRequestParser(self)
            self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
            self.on_message_complete()

    def on_message_complete(self) -> None:
        """Expect the next head."""
        self._is_in_head, self._head_bytes, self._is_begun = True, 0, False
        self._alarm.clear()
        super().on_message_complete()
        self._taken(GoneError())

    def shutdown(self) -> None:
        """Close the connection once what is in hand is answered."""
        if not self._repeating.end():
            super().shutdown()

    def rouse(self) -> None:
        """Do not close it for its silence."""
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()
            self.timeout_keep_alive_task = None

    def abort(self) -> None:
        """Break it off, also while it is being closed: that waits until the client has taken everything."""
        self.transport.abort()

    def look(self, now_s: float) -> None:
        """Break off what is closing while its client takes nothing; called now and then with the loop's time."""
        if not self.transport.is_closing():
            return
        left = self.transport.get_write_buffer_size()
        if self._stood is None or left < self._stood[0]:
            self._stood = left, now_s
        elif now_s - self._stood[1] > WRITE_S:
            self.abort()

    def on_response_complete(self) -> None:
        """Let what is left of a large body pass by, past the parser: who is refused shall cost little."""
        super().on_response_complete()
        if self.cycle.more_body and self.cycle.response_complete and _can_go_straight(self.cycle.scope["headers"]):
            self._passing = _length(self.cycle.scope["headers"]) - self._seen_bytes
            self.room = SINK[: self._passing] or None
            self.read_later()

    def read_later(self) -> None:
        """Read on after the others who came at the same time: they shall be answered before anybody's body passes."""
        self.flow.pause_reading()
        self.loop.call_soon(self._read_on)

    def _read_on(self) -> None:
        if not self.transport.is_closing():
            self.flow.resume_reading()

    def pause_writing(self) -> None:
        """Give the client time to take what was written."""
        super().pause_writing()
        self._await_reader()

    def resume_writing(self) -> None:
        """Go on writing."""
        self._let_write()
        super().resume_writing()

    def _is_between(self) -> bool:
        """Whether the next byte begins a request, and no other is in hand."""
        cycle: RequestResponseCycle | None = self.cycle
        return not self._is_begun and (cycle is None or (cycle.response_complete and not self.pipeline))

    async def _take(self, cycle: RequestResponseCycle, room: memoryview) -> None:
        """Fill ``room``, which is as long as the body, from here on without a copy in between. Raises GoneError."""
        if cycle.disconnected or self.transport.is_closing():
            raise GoneError
        if cycle.waiting_for_100_continue:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            cycle.waiting_for_100_continue = False
        is_straight = cycle.more_body and _can_go_straight(cycle.scope["headers"])
        taking = self._taking = _Taking(cycle, room, self.loop.create_future(), is_straight)
        taking.add(bytes(cycle.body))
        cycle.body = bytearray()
        if not cycle.more_body:
            self._taken(GoneError())
        self.room = (taking.room[taking.at :] or None) if is_straight else None
        self.flow.resume_reading()
        try:
            await taking.done
        finally:
            self._taking = self.room = None
            if taking.is_straight:
                # Its rest would be read as a request.
                self.transport.abort()

    def _taken(self, otherwise: Exception) -> None:
        """End the taking of a body: it is whole, or ``otherwise``."""
        taking = self._taking
        if taking is None or taking.done.done():
            return
        if taking.at == len(taking.room):
            taking.done.set_result(None)
        else:
            taking.done.set_exception(otherwise)

    def _of_one_address(self) -> int:
        """Give how many connections come from where this one does, itself among them."""
        hosts = [one.client[0] for one in cast("set[GuardedProtocol]", self.connections) if one.client is not None]
        return hosts.count(self.client[0]) if self.client is not None else 0

    def _await_reader(self, before: int | None = None) -> None:
        """Break it off when nothing was taken since ``before`` bytes were left, and look again later."""
        left = self.transport.get_write_buffer_size()
        if before is not None and left >= before:
            self.abort()
        else:
            self._write_timer = self.loop.call_later(WRITE_S, self._await_reader, left)

    def _let_write(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None


def _can_go_straight(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether a body is large, and ends where its length says. The parser has refused two lengths, and one beside chunks."""
    return _length(headers) >= WORTH_TAKING_BYTES


def _length(headers: Iterable[tuple[bytes, bytes]]) -> int:
    return next((int(value) for name, value in headers if name == b"content-length"), 0)
