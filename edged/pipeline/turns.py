"""Who computes now: at most so many pipelines at once, the highest priority first, then in order of arrival.

More pipelines at work than processors only take time from each other: eight of them with an engine of 0.3 ms lost 40 % of one's frames
a second to hand-overs of the interpreter's lock. A turn is long enough for the frames that already wait, up to ``QUANTUM_NS``, unless
somebody more important comes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from edged.domain.places import Places

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

    def __repr__(self) -> str:
        """Say how many compute and wait."""
        return f"<Turns: {self._places!r}>"

    def turn(self, priority: int = 0) -> Held:
        """Wait for a place and hold it; never taken twice by one thread. Gives what tells whether somebody more important waits."""
        return Held(self._places, priority)


class Held:
    """A place while it is held: a class of its own, since a generator's way in and out costs a request ten calls."""

    __slots__ = ("_places", "_priority")

    def __init__(self, places: Places, priority: int) -> None:
        self._places, self._priority = places, priority

    def __enter__(self) -> Callable[[], bool]:
        """Wait for it."""
        self._places.take(self._priority)
        return self._is_wanted

    def __exit__(self, *_error: object) -> None:
        """Give it up."""
        self._places.give()

    def _is_wanted(self) -> bool:
        return self._places.is_wanted_above(self._priority)


@contextmanager
def both(first: Turn, second: Turn) -> Iterator[Callable[[], bool]]:
    """Take one turn and then the other; inside, it says whether somebody more important waits for either."""
    with first as is_first_wanted, second as is_second_wanted:
        yield lambda: any(is_wanted is not None and is_wanted() for is_wanted in (is_first_wanted, is_second_wanted))
