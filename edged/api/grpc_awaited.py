"""Calls that were begun and whose message has not come yet: each holds a thread, for so long and no longer."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import grpc

LOOK_S = 1.0


class Awaited:
    """``limit_s`` is how long a message may take to come. Thread-safe; looks on a thread of its own, between ``start`` and ``stop``."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._since_s: dict[int, tuple[float, grpc.ServicerContext]] = {}
        self._stop = threading.Event()

    def __repr__(self) -> str:
        return f"<Awaited {len(self._since_s)} messages, each for {self._limit_s:g} s>"

    def start(self) -> None:
        """Begin to look."""
        threading.Thread(target=self._run, name="edged-grpc-awaited", daemon=True).start()

    def stop(self) -> None:
        """Look no more. May be called twice."""
        self._stop.set()

    def only(self, bodies: Iterator[bytes], context: grpc.ServicerContext) -> bytes:
        """Wait for a call's one message. What gRPC raises where it will not come ends the call."""
        self._since_s[id(context)] = (time.monotonic(), context)
        try:
            return next(bodies)
        except StopIteration:
            context.abort(grpc.StatusCode.UNIMPLEMENTED, "cannot answer a call without a message, expected one")
            raise
        finally:
            del self._since_s[id(context)]

    def _run(self) -> None:
        while not self._stop.wait(min(LOOK_S, self._limit_s / 2)):
            late_s = time.monotonic() - self._limit_s
            for since_s, context in dict(self._since_s).values():
                if since_s < late_s:
                    _end(
                        context,
                        f"cannot wait for the call's message any longer, expected it within {self._limit_s:g} s",
                    )


def _end(context: Any, why: str) -> None:
    # Another thread waits in gRPC: ``abort`` cannot wake it, and ``cancel`` alone would say CANCELLED. A test holds this, of grpcio's own.
    code, _ = grpc.StatusCode.DEADLINE_EXCEEDED.value
    context._rpc_event.call.cancel(code, why)  # noqa: SLF001 - as said
