"""The process that a courier starts, and both ends of its pipes: messages out, messages and blocks in, and nothing that can hang."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import subprocess
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import Any

from edged.assembly.own_child import start_child
from edged.assembly.update_child import PROGRAM
from edged.domain.errors import RetryableError
from edged.fleet.frames import Unpacker, pack, read_some

TICK_S = 0.2
SILENCE_S = 300.0
"""It tells its progress twice a second; hashing gigabytes on a slow disk is the longest that it says nothing."""
MAX_WAITING = 64
"""Blocks on their way to it; one that finds no room is asked for again."""
TAIL_BYTES = 300
PIPE_BYTES = 1024**2


class CourierChild:
    """One conversation. ``push`` may be called from any thread, everything else by the one that built it."""

    def __init__(self, order: dict[str, Any]) -> None:
        """Start it and tell it what to do. Raises RetryableError when there is no process to be had."""
        with ExitStack() as opened:
            try:
                self._log = opened.enter_context(tempfile.TemporaryFile())
                self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
                opened.callback(os.close, self._wake)
                self._process = start_child(PROGRAM, stdin=subprocess.PIPE, log=self._log, bufsize=0)
            except OSError as error:
                message = f"cannot start the update's process: {error.strerror}, expected one"
                raise RetryableError(message, code="crashed") from error
            opened.pop_all()  # closed in end
        assert self._process.stdin is not None  # noqa: S101 - pipes, as asked for above
        assert self._process.stdout is not None  # noqa: S101
        self._in, self._out = self._process.stdin.fileno(), self._process.stdout.fileno()
        os.set_blocking(self._in, False)
        with suppress(OSError):
            fcntl.fcntl(self._in, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        self._lock = threading.Lock()
        self._waiting: deque[bytes] = deque()
        self._sending = memoryview(b"")
        self.push(order)

    def push(self, message: Any) -> None:
        """Send something, soon; a block is dropped while too many wait."""
        with self._lock:
            # Once it has ended the number may be another file's.
            if len(self._waiting) < MAX_WAITING and self._wake >= 0:
                self._waiting.append(pack(message))
                os.eventfd_write(self._wake, 1)

    def converse(self, hear: Callable[[dict[str, Any]], bool], cancelled: Callable[[], bool]) -> None:
        """Hand each message to ``hear`` until it says that it has heard enough.

        Raises RetryableError: ``cancelled``, ``crashed``, and whatever ``hear`` does.
        """
        unpacker, heard_s = Unpacker(), time.monotonic()
        while True:
            if cancelled():
                message = "cannot wait for the update's process: it was cancelled"
                raise RetryableError(message, code="cancelled")
            if self._ready():
                piece = read_some(self._out)
                if not piece:
                    raise self._died()
                heard_s = time.monotonic()
                if any(hear(message) for message in _messages(unpacker, piece)):
                    return
            elif time.monotonic() - heard_s > SILENCE_S:
                message = (
                    f"cannot wait for the update's process: it said nothing for {SILENCE_S:.0f} s, expected progress"
                )
                raise RetryableError(message, code="crashed")

    def end(self) -> None:
        """End it, at once, and whatever it started."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._log):
            with suppress(OSError):
                if pipe is not None:
                    pipe.close()
        with self._lock:
            os.close(self._wake)
            self._wake = -1

    def _ready(self) -> bool:
        """Send what there is room for, and tell whether it said something."""
        poll = select.poll()
        poll.register(self._out, select.POLLIN)
        poll.register(self._wake, select.POLLIN)
        if self._sending or self._waiting:
            poll.register(self._in, select.POLLOUT)
        ready = dict(poll.poll(TICK_S * 1000))
        if self._wake in ready:
            os.eventfd_read(self._wake)
        if ready.get(self._in, 0) & select.POLLOUT:
            self._send()
        return self._out in ready

    def _send(self) -> None:
        with suppress(BlockingIOError, BrokenPipeError):  # that it is gone is found where it is read from
            while self._sending or self._waiting:
                if not self._sending:
                    with self._lock:
                        self._sending = memoryview(self._waiting.popleft())
                self._sending = self._sending[os.write(self._in, self._sending) :]

    def _died(self) -> RetryableError:
        status = self._process.wait()
        self._log.seek(0, os.SEEK_END)
        self._log.seek(max(0, self._log.tell() - TAIL_BYTES))
        lines = [line.strip() for line in self._log.read().decode("utf-8", "replace").splitlines() if line.strip()]
        told = f": {lines[-1]}" if lines else ""
        message = f"cannot wait for the update's process: it ended with status {status}{told}, expected an answer"
        return RetryableError(message, code="crashed")


def _messages(unpacker: Unpacker, piece: bytes) -> list[Any]:
    try:
        return list(unpacker.feed(piece))
    except ValueError as error:
        message = f"cannot follow the update's process: it said something else than a message: {error}"
        raise RetryableError(message, code="crashed") from error
