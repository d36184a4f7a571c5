"""One time limit at a time, set anew again and again: a timer of the event loop for each would cost more than what it limits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Alarm:
    """Calls what it was set to do once its time is over. Belongs to one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._act: Callable[[], object] | None = None
        self._due_s = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        return f"<Alarm: {f'in {self._due_s - self._loop.time():.1f} s' if self.is_set else 'not set'}>"

    @property
    def is_set(self) -> bool:
        """Whether something would be called."""
        return self._act is not None

    def set(self, seconds: float, act: Callable[[], object]) -> None:
        """Call ``act`` in so many seconds, and nothing that was set before."""
        self._act, self._due_s = act, self._loop.time() + seconds
        if self._timer is None or self._timer.when() > self._due_s:
            self._run_timer()

    def clear(self) -> None:
        """Call nothing. A timer that runs on finds nothing to do."""
        self._act = None

    def close(self) -> None:
        """Call nothing any more, and let the timer go with all that it holds."""
        self._act = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _run_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(self._due_s, self._ring)

    def _ring(self) -> None:
        self._timer = None
        act = self._act
        if act is None:
            return
        if self._loop.time() < self._due_s:
            self._run_timer()
            return
        self._act = None
        act()
