"""A program on a real pseudo-terminal, and what a person would see there."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable

import pexpect
import pyte
import pytest

from fakes.waiting import LONGEST_S

READ_BYTES = 65536


class PtyScreen:
    """``edgectl`` with these words; ``said`` is all that came, and ``sent`` counts its bytes, as a slow line would carry them."""

    def __init__(self, *words: str, columns: int = 80, lines: int = 24) -> None:
        code = "import sys; from edgectl.cli import main; sys.exit(main())"
        self.said, self.sent = "", 0
        self._screen = pyte.Screen(columns, lines)
        self._stream = pyte.Stream(self._screen)
        # The terminal says how wide it is: readline, or who runs tests side by side, may have put other columns into these surroundings.
        surroundings = {name: value for name, value in os.environ.items() if name not in {"COLUMNS", "LINES"}}
        self._child = pexpect.spawn(
            sys.executable,
            ["-c", code, *words],
            dimensions=(lines, columns),
            encoding="utf-8",
            cwd="/",
            timeout=10,
            env=surroundings,
        )

    def text(self) -> str:
        """Give the screen's lines, without blanks behind them."""
        self._take(0.0)
        return "\n".join(line.rstrip() for line in self._screen.display).rstrip("\n") + "\n"

    def until(self, fact: Callable[[str], object], what: str, within_s: float = LONGEST_S) -> str:
        """Wait until the screen shows something; gives the screen."""
        deadline = time.monotonic() + within_s
        while True:
            # Asked before it is read: what a program says last is there when it has ended.
            is_over = time.monotonic() > deadline or not self._child.isalive()
            if fact(shown := self.text()):
                return shown
            if is_over:
                pytest.fail(f"did not show within {within_s} s: {what}; it shows\n{shown}")
            self._take(0.05)

    def press(self, keys: str) -> None:
        self._child.send(keys)

    def resize(self, columns: int, lines: int) -> None:
        self._screen.resize(lines, columns)
        self._child.setwinsize(lines, columns)

    def end(self, keys: str = "q") -> int | None:
        """Press these keys and wait for the end; gives the exit status."""
        if keys:
            self.press(keys)
        deadline = time.monotonic() + LONGEST_S
        while self._child.isalive() and time.monotonic() < deadline:
            self._take(0.05)
        self._take(0.0)
        self._child.close()
        return self._child.exitstatus

    @property
    def has_cursor(self) -> bool:
        return not self._screen.cursor.hidden

    def terminate(self) -> None:
        """Ask the program to end, as a service manager or a shell that ends does."""
        self._child.kill(signal.SIGTERM)

    def close(self) -> None:
        self._child.close(force=True)

    def _take(self, within_s: float) -> None:
        try:
            read = self._child.read_nonblocking(READ_BYTES, within_s)
        except (pexpect.TIMEOUT, pexpect.EOF, ValueError):  # the last for a program that has ended, and was closed
            return
        self.said += read
        self.sent += len(read.encode())
        self._stream.feed(read)
