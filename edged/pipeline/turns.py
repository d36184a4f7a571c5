"""Who computes now: at most so many pipelines at once, the highest priority first, then in order of arrival.

More pipelines at work than processors only take time from each other: eight of them with an engine of 0.3 ms lost 40 % of one's frames
a second to hand-overs of the interpreter's lock. A turn is long enough for the frames that already wait, up to ``QUANTUM_NS``, unless
somebody more important comes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress

from edged.domain.places import Places
from edged.pipeline.cadence import Cadence

QUANTUM_NS = 20_000_000
"""How long a pipeline may go on with frames that already wait. With 5 ms a network of 4 ms changed hands after almost every frame, each
time with a thread to wake and another network's weights to fetch: 0.87 of one pipeline's frames a second instead of 0.99."""

Turn = AbstractContextManager[Callable[[], bool] | None]
"""Held while a pipeline computes; inside, it says whether somebody more important waits, where anybody can."""


class Turns:
    """Shared by a box's pipelines. Thread-safe."""

    def __init__(self, places: int) -> None:
        """Let ``places`` pipelines compute at once. Raises ValueError when that is not 1 or more."""
        self._places = Places(places)
        self._lock = threading.Lock()
        self._width = self._latest = 0
        """Of all who hold a turn together, and of who took one last."""
        self._cadence = Cadence()
        self._watching: list[tuple[int, threading.Lock]] = []

    def __repr__(self) -> str:
        """Say how many compute and wait."""
        return f"<Turns: {self._places!r}>"

    def turn(self, priority: int = 0, width: int = 0) -> Held:
        """Wait for a place and hold it; never taken twice by one thread. Gives what tells whether somebody more important waits.

        ``width`` is on how many processors its holder computes, for those who ``let_pass`` it.
        """
        return Held(self, self._places, priority, width)

    def let_pass(self, width: int, lead_s: float, within_s: float) -> None:
        """Wait until all who have turns are at most so wide together, and no wider one is due within ``lead_s``, or for so long."""
        until_s = time.monotonic() + within_s
        while (left_s := until_s - (now_s := time.monotonic())) > 0:
            with self._lock:
                if self._width <= width:
                    left_s = min(left_s, self._cadence.wait_s(now_s, lead_s) if self._latest > width else 0.0)
                if left_s <= 0:
                    return
                called = width, threading.Lock()
                called[1].acquire()
                self._watching.append(called)
            if called[1].acquire(timeout=left_s):
                # Not looked at again: one that always computes has its next turn by now.
                return
            with self._lock, suppress(ValueError):
                self._watching.remove(called)

    def widen(self, width: int) -> None:
        """Count a holder in, or with a negative ``width`` out."""
        with self._lock:
            self._width += width
            if width > 0:
                self._latest = width
                self._cadence.came(time.monotonic())
                return
            for called in [one for one in self._watching if self._width <= one[0]]:
                self._watching.remove(called)
                called[1].release()


class Held:
    """A place while it is held: a class of its own, since a generator's way in and out costs a request ten calls."""

    __slots__ = ("_places", "_priority", "_turns", "_width")

    def __init__(self, turns: Turns, places: Places, priority: int, width: int) -> None:
        self._turns, self._places, self._priority, self._width = turns, places, priority, width

    def __enter__(self) -> Callable[[], bool]:
        """Wait for it."""
        self._places.take(self._priority)
        if self._width:
            self._turns.widen(self._width)
        return self._is_wanted

    def __exit__(self, *_error: object) -> None:
        """Give it up."""
        if self._width:
            self._turns.widen(-self._width)
        self._places.give()

    def _is_wanted(self) -> bool:
        return self._places.is_wanted_above(self._priority)


@contextmanager
def both(first: Turn, second: Turn) -> Iterator[Callable[[], bool]]:
    """Take one turn and then the other; inside, it says whether somebody more important waits for either."""
    with first as is_first_wanted, second as is_second_wanted:
        yield lambda: any(is_wanted is not None and is_wanted() for is_wanted in (is_first_wanted, is_second_wanted))
