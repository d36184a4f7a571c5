"""The process that an engine runs in, and the words that are exchanged with it."""

from __future__ import annotations

import json
import logging
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from edged.domain.errors import DeadlineError, DeviceError, EngineLostError
from edged.engines import sandbox_child
from edged.engines.sandbox_reaper import Reaper
from edged.telemetry import logs

ELSEWHERE = "/"
"""The working directory: a child writes nothing, and holds no folder that somebody wants to unmount."""
MAX_LOGGED_LINES = 100
"""Of what one child prints: libraries that complain at every call must not fill the log."""
MAX_LINE_BYTES = 400
MAX_WORDS_BYTES = 1_048_576
"""Of one message: a model of thousands of tensors still fits."""
TAIL_LINES = 3
LOOK_S = 0.05
"""Past the deadline: how long is looked whether the child waits for a processor. A hung one waits for a device, or runs."""
END_S = 0.2
"""From the end of its socket to its own, and from SIGKILL. A process in a call of a driver that nothing interrupts takes as long as
that: nobody waits for it, since the next rung has to see again."""

_LOG = logging.getLogger("edged.sandbox")

_STARTER = ThreadPoolExecutor(1, thread_name_prefix="edged-sandbox")
"""Starts every child: the kernel ends a child with the *thread* that started it (prctl(2), PR_SET_PDEATHSIG), and this one stays."""
_REAPER = Reaper()


class Process:
    """A child and this end of its socket. One thread at a time, but for ``kill``."""

    def __init__(self, kind: str, python: Path | None, nice: int, what: str) -> None:
        """Start it. ``kind`` is the runtime, ``what`` the name for people of what it runs.

        Raises DeviceError when the interpreter cannot be started.
        """
        self.what = what
        self._tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._is_killed = False
        self._channel, theirs = socket.socketpair()
        # What it prints comes through a socket, too: of a pipe the reader could not be woken up while the child has its end open.
        self._printed, paper = socket.socketpair()
        with theirs, paper:
            try:
                command = _command(kind, theirs.fileno(), python, nice)
                self._process = _STARTER.submit(_start, command, theirs.fileno(), paper.fileno()).result()
            except OSError as error:
                self._channel.close()
                self._printed.close()
                message = f"cannot start a process for {what}: {error.strerror or error}, expected a Python interpreter at {command[0]}"
                raise DeviceError(message, remedy="mend python below [engine]", code="sandbox") from error
        self._poll = select.poll()
        self._poll.register(self._channel, select.POLLIN)
        self._listener = threading.Thread(target=self._listen, name="edged-sandbox-log", daemon=True)
        self._listener.start()

    def __repr__(self) -> str:
        status = self._process.poll()
        return f"<Process {self.pid}: {'runs' if status is None else f'ended with {status}'}>"

    @property
    def pid(self) -> int:
        """The process, and the group of its own that it leads."""
        return self._process.pid

    @property
    def runs(self) -> bool:
        """Whether it has neither ended nor been killed: what hangs in a driver ends when the device lets it."""
        return not self._is_killed and self._process.poll() is None

    @property
    def lingers(self) -> bool:
        """Whether it was killed and has not ended: it still holds its device."""
        return self._is_killed and self._process.poll() is None

    @property
    def crashed(self) -> bool:
        """Whether a signal of its own making ended it (a crash), rather than an exit or the system."""
        status = self._process.poll()
        return status is not None and status < 0 and status != -signal.SIGKILL

    def say(self, what: str, content: Any, memory: int | None = None) -> None:
        """Send words, and a memory's descriptor beside them. Raises EngineLostError when the child is gone."""
        words = json.dumps({what: content}).encode() + b"\n"
        if memory is None:
            self._send(words)
            return
        try:
            socket.send_fds(self._channel, [words[:2]], [memory])
        except OSError as error:
            raise self._lost() from error
        self._send(words[2:])

    def hear(self, within_s: float) -> tuple[str, Any]:
        """Wait for words: what, and the content. Raises DeadlineError, and EngineLostError when the child is gone."""
        heard, until_s = b"", time.monotonic() + within_s
        while not heard.endswith(b"\n"):
            heard += self._receive(MAX_WORDS_BYTES, until_s - time.monotonic(), within_s)
            if len(heard) > MAX_WORDS_BYTES:
                break
        try:
            ((what, content),) = json.loads(heard).items()
        except (ValueError, AttributeError) as error:
            self.kill()
            message = (
                f"cannot understand the child of {self.what}: it said {heard[:40]!r}, expected one JSON object a line"
            )
            raise EngineLostError(message) from error
        return what, content

    def call(self, model: int, within_s: float) -> bytes:
        """Have it run a model once, and give its answer's byte. Raises DeadlineError, and EngineLostError when the child is gone."""
        self._send(sandbox_child.RUN + bytes([model]))
        return self._receive(1, within_s, within_s)

    def kill(self) -> None:
        """End it and whatever it started, at once. May be called twice, and from any thread; what does not end is left to the reaper."""
        is_first, self._is_killed = not self._is_killed, True
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        # Shut, not closed: a thread that waits for an answer wakes up, and the number is not given to another file under it.
        with suppress(OSError):
            self._channel.shutdown(socket.SHUT_RDWR)
        if is_first:
            try:
                self._process.wait(END_S)
            except subprocess.TimeoutExpired:
                _REAPER.take(self._process)

    def close(self) -> None:
        """End it and give everything back; not while another thread is in a call."""
        self.kill()
        self._channel.close()
        self._hear_out()
        self._printed.close()

    def _send(self, words: bytes) -> None:
        try:
            self._channel.sendall(words)
        except OSError as error:
            raise self._lost() from error

    def _receive(self, most: int, left_s: float, within_s: float) -> bytes:
        if not (self._poll.poll(max(0.0, left_s) * 1000) or self._starves(within_s)):
            self.kill()
            message = f"cannot run {self.what}: it gave no answer within {within_s:.2f} s, and was ended"
            raise DeadlineError(message)
        try:
            got = self._channel.recv(most)
        except OSError as error:
            raise self._lost() from error
        if not got:
            raise self._lost()
        return got

    def _starves(self, within_s: float) -> bool:
        """Wait on, at most as long again, while it is the box that gives the child no processor; True when an answer came."""
        until_s = time.monotonic() + within_s
        while time.monotonic() < until_s:
            before_ns = _waited_ns(self.pid)
            if self._poll.poll(LOOK_S * 1000):
                return True
            if _waited_ns(self.pid) - before_ns < LOOK_S * 1e9 / 2:
                return False
        return False

    def _lost(self) -> EngineLostError:
        """Say how it ended. Its socket closes before it has ended; one that closed it and goes on is ended here."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(END_S)
        self.kill()
        status = self._process.poll()
        self._hear_out()
        said = f", after it said: {self._tail[-1]}" if self._tail else ""
        return EngineLostError(f"cannot run {self.what}: its process {_ended(status)}{said}")

    def _hear_out(self) -> None:
        """Have the listener come to its end: what was printed by now is still read."""
        with suppress(OSError):
            self._printed.shutdown(socket.SHUT_RDWR)
        self._listener.join()

    def _listen(self) -> None:
        """Read to the end, and log the beginning: a child whose paper is full would hang."""
        lines = 0
        paper = self._printed.makefile("rb")
        for line in iter(partial(paper.readline, MAX_LINE_BYTES), b""):
            text = line.decode("utf-8", "replace").strip()
            if not text:
                continue
            self._tail.append(text)
            lines += 1
            if lines <= MAX_LOGGED_LINES:
                logs.event(_LOG, "sandbox.said", level=logging.DEBUG, model=self.what, pid=self.pid, text=text)
        paper.close()
        if lines > MAX_LOGGED_LINES:
            logs.event(_LOG, "sandbox.silenced", level=logging.DEBUG, model=self.what, lines=lines - MAX_LOGGED_LINES)


def _command(kind: str, channel: int, python: Path | None, nice: int) -> list[str]:
    """Give the child's command: isolated, so that neither the environment nor the working directory decides what it imports."""
    own = python is None
    program = [sys.executable if python is None else str(python), "-I", sandbox_child.__file__]
    return [*program, str(channel), kind, str(nice), *(path for path in sys.path if path and own)]


def _start(command: list[str], channel: int, paper: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 - our own module, on the interpreter that the configuration names
        command,
        stdin=subprocess.DEVNULL,
        stdout=paper,
        stderr=subprocess.STDOUT,
        cwd=ELSEWHERE,
        pass_fds=(channel,),
        # A group of its own: a Ctrl-C at the terminal is not for it, and whatever it starts ends with it.
        start_new_session=True,
    )


def _waited_ns(pid: int) -> int:
    """Give how long the threads of a process waited for a processor so far (Documentation/scheduler/sched-stats.rst)."""
    total = 0
    for file in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        # A thread may end between being listed and being read.
        with suppress(OSError, ValueError, IndexError):
            total += int(file.read_bytes().split()[1])
    return total


def _ended(status: int | None) -> str:
    if status is None:
        return "does not end"
    if status < 0:
        return f"was ended by {signal.Signals(-status).name}"
    return f"ended with status {status}"
