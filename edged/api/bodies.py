"""Bodies of requests, read within a limit of their size, and unpacked. Their time is limited by the connection."""

from __future__ import annotations

import zlib

from starlette.requests import Request

from edged.api.buffers import Buffers
from edged.api.heads import header
from edged.api.refusal import RefusedError, invalid

TAKE = "edged.take"
"""Where a connection offers to put the rest of a body straight where it shall lie (see ``edged.api.guarded``)."""
GONE = "edged.gone"
"""Where it takes what shall be called when the client has gone away."""
WORTH_TAKING_BYTES = 65_536
SINK = memoryview(bytearray(262_144))
"""Where bodies go that nobody wants; shared by all connections."""
_WINDOW = {"gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}


class GoneError(Exception):
    """The client closed the connection: nobody waits for an answer."""


class Body:
    """A request's body: ``view`` lies on memory that ``close`` gives back, for when nobody looks at it any more."""

    def __init__(self, buffers: Buffers, size: int, ahead: int = 0) -> None:
        """Make room for ``size`` bytes. Raises RefusedError when other bodies take too much already, as ``add`` does."""
        buffers.take(size)
        self._buffers, self._room = buffers, size
        try:
            self._buffer, self._begin = buffers.lend(size, ahead)
        except MemoryError:
            buffers.leave(size)
            raise
        self.size = 0

    @property
    def view(self) -> memoryview:
        """What was read of it."""
        return memoryview(self._buffer)[self._begin : self._begin + self.size]

    def room(self, size: int) -> memoryview:
        """Give the place of so many bytes, which will be written there."""
        self.size = size
        return self.view

    def add(self, part: bytes) -> None:
        """Put a part behind the others."""
        more = self.size + len(part) - self._room
        if more > 0:
            self._buffers.take(more)
            self._room += more
        end = self._begin + self.size
        if end + len(part) > len(self._buffer):
            self._buffer.extend(bytes(end + len(part) - len(self._buffer)))
        self._buffer[end : end + len(part)] = part
        self.size += len(part)

    def close(self) -> None:
        """Give the memory back. May be called twice."""
        self._buffers.leave(self._room)
        self._buffers.give_back(self._buffer)
        self._room, self._buffer = 0, bytearray()


async def read_body(request: Request, limit: int, buffers: Buffers, ahead: int = 0) -> Body:
    """Read a body of at most ``limit`` bytes, unpacked. Its byte number ``ahead`` lies at a multiple of ``ALIGNMENT`` in memory.

    Raises RefusedError: ``too-large``, ``overloaded``, ``invalid`` for what was not packed as it says; GoneError.
    """
    encoding = header(request, b"content-encoding").strip().lower()
    length = _length(header(request, b"content-length"))
    if length > limit:
        raise _too_large(limit)
    is_packed = encoding not in {"", "identity"}
    body = Body(buffers, max(length, 0), 0 if is_packed else ahead)
    try:
        await _fill(request, body, length, limit)
        if not is_packed:
            return body
        unpacked = _unpacked(body.view, encoding, limit)
    except BaseException:
        body.close()
        raise
    body.close()
    placed = Body(buffers, len(unpacked), ahead)
    placed.add(unpacked)
    return placed


async def _fill(request: Request, body: Body, length: int, limit: int) -> None:
    take = request.scope.get(TAKE)
    if take is not None and length >= WORTH_TAKING_BYTES:
        await take(body.room(length))
        return
    is_more = True
    while is_more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise GoneError
        part: bytes = message.get("body", b"")
        is_more = message.get("more_body", False)
        if body.size + len(part) > limit:
            raise _too_large(limit)
        body.add(part)


def _unpacked(packed: memoryview, encoding: str, limit: int) -> bytes:
    if encoding not in _WINDOW:
        message = f"cannot read a body of Content-Encoding {encoding!r:.40}, expected gzip, deflate or none"
        raise invalid(message)
    unpacker = zlib.decompressobj(_WINDOW[encoding])
    try:
        # No more than the limit is ever unpacked: a few bytes can stand for gigabytes.
        body = unpacker.decompress(packed, limit + 1)
    except zlib.error as error:
        message = f"cannot unpack the body as {encoding}: {error}"
        raise invalid(message) from error
    if len(body) > limit:
        raise _too_large(limit)
    if not unpacker.eof or unpacker.unused_data:
        message = f"cannot unpack the body as {encoding}: it ends too early, or goes on behind its end"
        raise invalid(message)
    return body


def _length(text: str) -> int:
    """Give the length that a request announces; -1 when it does not (chunked)."""
    return int(text) if text.isascii() and text.isdigit() else -1


def _too_large(limit: int) -> RefusedError:
    message = f"cannot take a body of more than {limit} bytes"
    return RefusedError(message, "too-large", remedy="send less, or raise [http] max_body_mb")
