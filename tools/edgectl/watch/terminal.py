"""A terminal in which only what changed is written anew, and keys are read one by one."""

from __future__ import annotations

import os
import re
import select
import sys
import termios
import tty
from collections.abc import Sequence
from types import TracebackType
from typing import Any, final

ENTER_SCREEN, LEAVE_SCREEN = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
"""The alternate screen, without a cursor: what stood there before comes back afterwards."""
CLEAR, TO_END = "\x1b[2J", "\x1b[K"
SEQUENCE = re.compile(r"\x1b(?:\[[0-9;]*[A-Za-z~]|O[A-Z])")
"""What a terminal sends for a key that is no character."""
KEY_BYTES = 64
PARTIAL = re.compile(rb"\x1b(?:\[[0-9;]*|O)?\Z")
"""What may be the beginning of one."""
ESCAPE_WAIT_S = 0.2
"""How long the rest of it may take, on a slow line or a busy box; an escape that stays alone is the key of that name."""
SEQUENCES = {
    "\x1b[A": "up",
    "\x1b[B": "down",
    "\x1b[C": "right",
    "\x1b[D": "left",
    "\x1bOA": "up",
    "\x1bOB": "down",
    "\x1bOC": "right",
    "\x1bOD": "left",
    "\x1b[5~": "page-up",
    "\x1b[6~": "page-down",
    "\x1b[H": "home",
    "\x1b[F": "end",
    "\x1b[1~": "home",
    "\x1b[4~": "end",
}
NAMED = {
    "\r": "enter",
    "\n": "enter",
    "\t": "tab",
    "\x1b": "escape",
    "\x7f": "backspace",
    "\x03": "interrupt",
    "\x04": "interrupt",
}


def difference(before: Sequence[str], after: Sequence[str]) -> str:
    """Give what a terminal that shows the lines ``before`` has to be sent to show ``after``; nothing when they are the same."""
    parts = []
    for row in range(max(len(before), len(after))):
        old = before[row] if row < len(before) else ""
        new = after[row] if row < len(after) else ""
        if old != new:
            parts.append(f"\x1b[{row + 1};1H{new}{TO_END}")
    return "".join(parts)


def keys_of(text: str) -> list[str]:
    """Name the keys in what a terminal sent; what nobody knows is left out."""
    keys, at = [], 0
    while at < len(text):
        sequence = SEQUENCE.match(text, at)
        if sequence is None:
            keys.append(NAMED.get(text[at], text[at]))
            at += 1
        else:
            keys.extend([SEQUENCES[sequence[0]]] if sequence[0] in SEQUENCES else [])
            at = sequence.end()
    return keys


@final
class Terminal:
    """Entered for as long as it is drawn on; leaves the terminal as it was. ``sent`` counts bytes."""

    def __init__(self) -> None:
        self.sent = 0
        self._shown: list[str] = []
        self._size = (0, 0)
        self._saved: list[Any] | None = None

    def __enter__(self) -> Terminal:
        descriptor = sys.stdin.fileno()
        self._saved = termios.tcgetattr(descriptor)
        tty.setcbreak(descriptor)
        quiet = termios.tcgetattr(descriptor)
        # Ctrl-C comes as a key like any other: a signal could strike while the terminal is being given back.
        quiet[3] &= ~termios.ISIG
        termios.tcsetattr(descriptor, termios.TCSADRAIN, quiet)
        self._write(ENTER_SCREEN)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._write(LEAVE_SCREEN)
        if self._saved is not None:
            termios.tcsetattr(sys.stdin.fileno(), termios.TCSADRAIN, self._saved)

    @property
    def size(self) -> tuple[int, int]:
        """Columns and lines, as they are now."""
        # Not what COLUMNS and LINES say: they stay the same when somebody pulls at the window.
        found = os.get_terminal_size(sys.stdout.fileno())
        return found.columns, found.lines

    def draw(self, lines: Sequence[str], size: tuple[int, int]) -> None:
        """Show these lines, which were made for this size; on a terminal that became larger or smaller everything is written anew."""
        # The size that the lines have: asked for again it may be another by now, and what they leave behind there would stay.
        if size != self._size:
            self._size, self._shown = size, []
            self._write(CLEAR)
        self._write(difference(self._shown, lines))
        self._shown = list(lines)

    def keys(self, within_s: float) -> list[str]:
        """Wait for keys; none when the time is over. A terminal that is gone gives ``interrupt``."""
        descriptor = sys.stdin.fileno()
        if not select.select([descriptor], [], [], max(0.0, within_s))[0]:
            return []
        read = os.read(descriptor, KEY_BYTES)
        while PARTIAL.search(read) and select.select([descriptor], [], [], ESCAPE_WAIT_S)[0]:
            more = os.read(descriptor, KEY_BYTES)
            if not more:
                break
            read += more
        return keys_of(read.decode("utf-8", "replace")) if read else ["interrupt"]

    def _write(self, text: str) -> None:
        if text:
            self.sent += len(text.encode())
            sys.stdout.write(text)
            sys.stdout.flush()
