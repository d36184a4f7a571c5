"""A program on a real pseudo-terminal, and what a person would see there."""

from __future__ import annotations

import codecs
import fcntl
import os
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Sequence

import pyte
import pytest

from fakes.waiting import LONGEST_S

READ_BYTES = 65536
LOOK_S = 0.05
EDGECTL = (sys.executable, "-c", "import sys; from edgectl.cli import main; sys.exit(main())")
ASKS = ": "
"""The blank behind a question comes when the program reads. Before it a password would be shown, and then thrown away."""


class PtyScreen:
    """``edgectl``, or another program, with these words; ``said`` is all that came, and ``sent`` counts its bytes.

    Started as any other process, since a fork of an interpreter that has threads may not live to become the program; polled, since
    select takes no file behind the first 1,024.
    """

    def __init__(self, *words: str, columns: int = 80, lines: int = 24, program: Sequence[str] = EDGECTL) -> None:
        self.said, self.sent = "", 0
        self._answered = 0
        self._screen = pyte.Screen(columns, lines)
        self._stream = pyte.Stream(self._screen)
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._ours, theirs = os.openpty()
        os.set_blocking(self._ours, False)
        self._poll = select.poll()
        self._poll.register(self._ours, select.POLLIN)
        self._tell_size()
        # The terminal says how wide it is: readline, or who runs tests side by side, may have put other columns into these surroundings.
        surroundings = {name: value for name, value in os.environ.items() if name not in {"COLUMNS", "LINES"}}
        # With --ctty it is the program's own terminal: Ctrl-C and a password's prompt find it.
        command = ["setsid", "--ctty", *program, *words]
        try:
            self._child = subprocess.Popen(
                command, stdin=theirs, stdout=theirs, stderr=theirs, cwd="/", env=surroundings
            )
        finally:
            os.close(theirs)

    @property
    def asks(self) -> bool:
        """Whether it waits for an answer to what it said since the last one."""
        return len(self.said) > self._answered and self.said.endswith(ASKS)

    @property
    def has_cursor(self) -> bool:
        return not self._screen.cursor.hidden

    @property
    def has_ended(self) -> bool:
        return self._child.poll() is not None

    @property
    def pid(self) -> int:
        return self._child.pid

    def text(self) -> str:
        """Give the screen's lines, without blanks behind them."""
        self._take(0.0)
        return "\n".join(line.rstrip() for line in self._screen.display).rstrip("\n") + "\n"

    def until(self, fact: Callable[[str], object], what: str, within_s: float = LONGEST_S) -> str:
        """Wait until the screen shows something; gives the screen."""
        deadline = time.monotonic() + within_s
        while True:
            # Asked before it is read: what a program says last is there when it has ended.
            has_ended, is_late = self.has_ended, time.monotonic() > deadline
            if fact(shown := self.text()):
                return shown
            if has_ended or is_late:
                how = f"it ended with {self._child.returncode}" if has_ended else f"it goes on after {within_s} s"
                pytest.fail(f"did not show: {what}; {how} and shows\n{shown}")
            self._take(LOOK_S)

    def press(self, keys: str) -> None:
        self._answered = len(self.said)
        os.write(self._ours, keys.encode())

    def resize(self, columns: int, lines: int) -> None:
        self._screen.resize(lines, columns)
        self._tell_size()

    def end(self, keys: str = "q") -> int | None:
        """Press these keys and wait for the end; gives the exit status, below 0 for a signal's number, None when it did not end."""
        if keys:
            self.press(keys)
        deadline = time.monotonic() + LONGEST_S
        while not self.has_ended and time.monotonic() < deadline:
            self._take(LOOK_S)
        self._take(0.0)
        status = self._child.poll()
        self.close()
        return status

    def terminate(self) -> None:
        """Ask the program to end, as a service manager or a shell that ends does."""
        self._child.terminate()

    def close(self) -> None:
        """End it whatever it does; may be called twice."""
        self._child.kill()
        self._child.wait()
        if self._ours >= 0:
            os.close(self._ours)
            self._ours = -1

    def _tell_size(self) -> None:
        size = struct.pack("HHHH", self._screen.lines, self._screen.columns, 0, 0)
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, size)

    def _take(self, within_s: float) -> None:
        """Wait for something, and show all that is there."""
        self._poll.poll(within_s * 1000)
        while read := self._read():
            said = self._decoder.decode(read)
            self.said += said
            self.sent += len(read)
            self._stream.feed(said)

    def _read(self) -> bytes:
        try:
            return os.read(self._ours, READ_BYTES)
        except OSError:  # there is nothing, or nobody at the other end any more
            return b""
