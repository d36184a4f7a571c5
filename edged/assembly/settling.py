"""After the start: memory that only starting needed goes back to the box."""

from __future__ import annotations

from collections.abc import Callable

from edged.domain.ports import Clock
from edged.hardware import heap

QUIET_S = 3.0
"""From the last model that was opened on. Its source is opened after it, and the first frames load what is loaded late."""


class Settling:
    """Gives back once after each start and each exchange of a model. Owned by one thread.

    Args:
        changes: a number that is another one whenever models were opened.
        clock: for the quiet time.
        give_back: what is done then.
    """

    def __init__(self, changes: Callable[[], int], clock: Clock, give_back: Callable[[], None] | None = None) -> None:
        self._changes, self._clock = changes, clock
        self._give_back = give_back or _give_back
        self._seen = changes()
        self._due_ns: int | None = clock.monotonic_ns() + int(QUIET_S * 1e9)

    def __repr__(self) -> str:
        return f"<Settling {'settled' if self._due_ns is None else 'waits for quiet'}>"

    def tick(self) -> None:
        """Give back when it is due; takes some 20 ms then."""
        now_ns, changes = self._clock.monotonic_ns(), self._changes()
        if changes != self._seen:
            self._seen, self._due_ns = changes, now_ns + int(QUIET_S * 1e9)
        elif self._due_ns is not None and now_ns >= self._due_ns:
            self._due_ns = None
            self._give_back()


def _give_back() -> None:
    heap.drop_library_pages()
    heap.trim()
