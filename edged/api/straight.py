"""What clients send, read straight to where it shall lie: a picture's 600 KB are copied once, by the kernel, and not three times."""

from __future__ import annotations

import asyncio
from typing import Any

from edged.api.guarded import GuardedProtocol

ROOM_BYTES = 32_768
"""Read at once of whatever is no large body."""


class StraightProtocol(asyncio.BufferedProtocol):
    """A ``GuardedProtocol``, which reads as this does; its class is ``guarded``. uvloop asks for room, reads, and tells, in one go."""

    guarded = GuardedProtocol
    _room = memoryview(bytearray(ROOM_BYTES))
    """Shared by all connections of a loop."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._guarded = self.guarded(*args, **kwargs)
        self._is_straight = False
        self.connection_made = self._guarded.connection_made  # type: ignore[method-assign, assignment]
        self.connection_lost = self._guarded.connection_lost  # type: ignore[method-assign]
        self.pause_writing = self._guarded.pause_writing  # type: ignore[method-assign]
        self.resume_writing = self._guarded.resume_writing  # type: ignore[method-assign]

    def get_buffer(self, _sizehint: int) -> memoryview:
        """Give where the next bytes shall lie."""
        room = self._guarded.room
        self._is_straight = room is not None
        return self._room if room is None else room

    def buffer_updated(self, nbytes: int) -> None:
        """Take so many."""
        if self._is_straight:
            self._guarded.arrived(nbytes)
        else:
            self._guarded.data_received(bytes(self._room[:nbytes]))
