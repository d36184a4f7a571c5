"""Calls and streams whose next message has not come yet: each holds a thread, a call for a limited time, a stream while there is room."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from operator import itemgetter
from typing import Any

import grpc

LOOK_S = 1.0

Waits = dict[int, tuple[float, grpc.ServicerContext]]
"""Since when, by the call."""


class Awaited:
    """``limit_s`` is how long a message may take to come. Thread-safe; looks on a thread of its own, between ``start`` and ``stop``."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._calls: Waits = {}
        self._streams: Waits = {}
        self._stop = threading.Event()

    def __repr__(self) -> str:
        return f"<Awaited {len(self._calls)} messages, each for {self._limit_s:g} s; {len(self._streams)} streams are silent>"

    def start(self) -> None:
        """Begin to look."""
        threading.Thread(target=self._run, name="edged-grpc-awaited", daemon=True).start()

    def stop(self) -> None:
        """Look no more. May be called twice."""
        self._stop.set()

    def only(self, bodies: Iterator[bytes], context: grpc.ServicerContext) -> bytes:
        """Wait for a call's one message. What gRPC raises where it will not come ends the call."""
        try:
            return _next(bodies, context, self._calls)
        except StopIteration:
            context.abort(grpc.StatusCode.UNIMPLEMENTED, "cannot answer a call without a message, expected one")
            raise

    def each(self, bodies: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        """Give a stream's messages as they come; it may be silent until ``make_room`` ends it."""
        while True:
            try:
                yield _next(bodies, context, self._streams)
            except StopIteration:
                return

    def make_room(self) -> bool:
        """End the stream that has been silent for longest, if that is longer than a message may take; whether there was one."""
        silent = min(dict(self._streams).values(), key=itemgetter(0), default=None)
        if silent is None or silent[0] > time.monotonic() - self._limit_s:
            return False
        why = f"cannot hold a stream that said nothing for {self._limit_s:g} s: another needs its place; begin it again"
        _end(silent[1], grpc.StatusCode.UNAVAILABLE, why)
        return True

    def _run(self) -> None:
        while not self._stop.wait(min(LOOK_S, self._limit_s / 2)):
            late_s = time.monotonic() - self._limit_s
            why = f"cannot wait for the call's message any longer, expected it within {self._limit_s:g} s"
            for since_s, context in dict(self._calls).values():
                if since_s < late_s:
                    _end(context, grpc.StatusCode.DEADLINE_EXCEEDED, why)


def _next(bodies: Iterator[bytes], context: grpc.ServicerContext, waits: Waits) -> bytes:
    waits[id(context)] = (time.monotonic(), context)
    try:
        return next(bodies)
    finally:
        del waits[id(context)]


def _end(context: Any, status: grpc.StatusCode, why: str) -> None:
    # Another thread waits in gRPC: ``abort`` cannot wake it, and ``cancel`` alone would say CANCELLED. A test holds this, of grpcio's own.
    context._rpc_event.call.cancel(status.value[0], why)  # noqa: SLF001 - as said
