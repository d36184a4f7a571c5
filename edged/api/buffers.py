"""Memory for bodies, used again: a fresh allocation of 600 KB costs 0.25 ms, most of it faults of pages that the kernel has to zero.

A buffer is given back by its last user and lent again only when nothing lies on it any more, whatever became of the request.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import numpy as np

from edged.api.refusal import RefusedError

ALIGNMENT = 64
"""Where a tensor begins in memory, behind its header: any vector unit's width."""
KEPT_BYTES = 8_388_608
"""What is kept in all."""
LEAST_BYTES = 65_536
"""Smaller ones cost nothing."""
MOST_BYTES = 134_217_728
"""Of all bodies at once, but for one that is larger: each has its room before its bytes come, and a head costs its client nothing."""
CALM_S = 5.0
"""So long nobody asked before everything is let go."""


class Buffers:
    """Thread-safe. Within ``freeing`` what is kept is let go, so that it goes back to the box."""

    def __init__(self, freeing: Callable[[], AbstractContextManager[None]] = nullcontext) -> None:
        self._freeing = freeing
        self._free: list[bytearray] = []
        self._lock = threading.Lock()
        self._asked_s = 0.0
        self._taken = 0

    def __repr__(self) -> str:
        return f"<Buffers {len(self._free)} kept, {sum(map(len, self._free))} bytes>"

    @property
    def taken(self) -> int:
        """Bytes that are counted in."""
        return self._taken

    def take(self, size: int) -> None:
        """Count in what somebody is about to lay down; ``leave`` counts it out. Raises RefusedError when others take too much already."""
        with self._lock:
            if self._taken and self._taken + size > MOST_BYTES:
                message = f"cannot take a body of {size} bytes now: others take {self._taken}, expected at most {MOST_BYTES} together"
                raise RefusedError(message, "overloaded", remedy="come again later", retry_after_s=1.0)
            self._taken += size

    def leave(self, size: int) -> None:
        """Count out what nobody looks at any more."""
        with self._lock:
            self._taken -= size

    def lend(self, size: int, ahead: int = 0) -> tuple[bytearray, int]:
        """Give a buffer for ``size`` bytes and where they shall begin, so that byte number ``ahead`` of them lies aligned."""
        wanted = size + ALIGNMENT
        with self._lock:
            self._asked_s = time.monotonic()
            fitting = (one for one in self._free if wanted <= len(one) <= 2 * wanted)
            buffer = next(fitting, None)
            if buffer is not None:
                self._free.remove(buffer)
        buffer = buffer if buffer is not None else bytearray(wanted)
        return buffer, -(_address(buffer) + ahead) % ALIGNMENT

    def give_back(self, buffer: bytearray) -> None:
        """Keep a buffer for the next one, if it is worth it and nothing lies on it."""
        if len(buffer) < LEAST_BYTES or not _is_free(buffer):
            return
        with self._lock:
            if sum(map(len, self._free)) + len(buffer) <= KEPT_BYTES:
                self._free.append(buffer)

    def let_go(self) -> None:
        """Let everything go when nobody asked for a while; called now and then."""
        with self._lock:
            is_calm = bool(self._free) and time.monotonic() - self._asked_s > CALM_S
        if is_calm:
            with self._freeing(), self._lock:
                self._free.clear()


def _is_free(buffer: bytearray) -> bool:
    """Whether no view lies on a buffer: it cannot change its size while one does."""
    try:
        buffer.append(0)
    except BufferError:
        return False
    buffer.pop()
    return True


def _address(buffer: bytearray) -> int:
    address: int = np.frombuffer(buffer, np.uint8).__array_interface__["data"][0]
    return address
