"""What is held of the time before an event, and how long a recording lasts. Values in, values out; times are the source's own."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

Kind = Literal["input", "result", "event", "reading"]

ROW_BYTES = 600
"""About what a row of an input or of readings takes, as it lies in memory."""


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that is recorded.

    ``at_s`` is the source's own time and ``row`` what is written of it. ``blob`` is an encoded input with the ``suffix`` of its file, or
    all of a result or an event as JSON: fifty boxes are 4 kB so, and 25 kB as objects.
    """

    kind: Kind
    at_s: float
    row: Mapping[str, Any]
    blob: bytes = b""
    suffix: str = ""

    @property
    def size_bytes(self) -> int:
        """What it takes in memory, roughly."""
        return ROW_BYTES + len(self.blob)


class PreRoll:
    """The latest items, bounded in time and in bytes; the oldest go. Owned by one thread.

    ``is_short`` says that the bytes did not suffice for the time.
    """

    def __init__(self, before_s: float, max_bytes: int) -> None:
        self._before_s, self._max_bytes = before_s, max_bytes
        self._items: deque[Item] = deque()
        self._bytes = 0
        self._inputs_s: deque[float] = deque()
        self.is_short = False

    def __repr__(self) -> str:
        return f"<PreRoll {len(self._items)} items, {self._bytes} bytes{', short' if self.is_short else ''}>"

    def add(self, item: Item) -> None:
        """Hold an item, and let go of what is too old or too much. A source that began anew leaves what was before behind."""
        if item.kind == "input":
            if self._inputs_s and item.at_s < self._inputs_s[-1]:
                self.take()
            self._inputs_s.append(item.at_s)
        self._items.append(item)
        self._bytes += item.size_bytes
        while self._inputs_s and self._inputs_s[0] < self._inputs_s[-1] - self._before_s:
            self._drop()
            self.is_short = False
        while self._bytes > self._max_bytes and self._items:
            self._drop()
            self.is_short = True

    def take(self) -> list[Item]:
        """Give all, and hold nothing any more."""
        items = list(self._items)
        self._items.clear()
        self._inputs_s.clear()
        self._bytes, self.is_short = 0, False
        return items

    def _drop(self) -> None:
        item = self._items.popleft()
        self._bytes -= item.size_bytes
        if item.kind == "input":
            self._inputs_s.popleft()


@dataclass(frozen=True, slots=True)
class Span:
    """How long a recording lasts: until its last reason has faded, and never longer than ``most_s``."""

    begun_s: float
    until_s: float
    most_s: float

    def extended(self, until_s: float) -> Span:
        """Give it with one more reason."""
        return replace(self, until_s=max(self.until_s, until_s))

    def is_over(self, now_s: float) -> bool:
        """Whether an item of this time belongs to it no more. A source that began anew ends it."""
        return not self.begun_s <= now_s <= min(self.until_s, self.begun_s + self.most_s)
