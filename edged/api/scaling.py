"""How many instances of a model work: more while requests wait and each one more pays, fewer when it does not or nobody waits.

Whether one more pays is measured under the load itself: the items a second of a stretch in which somebody always waited.
"""

from __future__ import annotations

from typing import Literal

Move = Literal["more", "fewer", "stay"]

STRETCH_NS = 300_000_000
"""So long must have been waited without a break before anything is judged: a burst is over by then."""
STRETCH_ITEMS = 8
"""And so many answers an instance, or slow models would be judged by two or three."""
PAYS = 1.1
"""One more has to bring a tenth more items a second."""
CALM_NS = 30_000_000_000
"""So long nobody waited before one goes."""
AGAIN_NS = 300_000_000_000
"""When one more that did not pay is tried again: the box may have had something else to do."""


class Scaling:
    """Decides for one model; owned by who holds its lock. ``count`` is how many there are, from 1 to ``limit``."""

    def __init__(self, limit: int, now_ns: int) -> None:
        self._limit = limit
        self.count = 1
        self._rates: dict[int, float] = {}
        self._proven = 1
        self._most = limit
        self._most_until_ns = 0
        self._since_ns: int | None = None
        self._items = 0
        self._pressed_ns = now_ns

    def answered(self, now_ns: int, *, waiting: int, items: int = 1) -> Move:
        """Take note of a run that answered so many, and of how many wait then."""
        if not waiting:
            self._since_ns = None
            return self.looked(now_ns)
        self._pressed_ns = now_ns
        if self._since_ns is None:
            self._begin(now_ns)
            return "stay"
        self._items += items
        took_ns = now_ns - self._since_ns
        if took_ns < STRETCH_NS or self._items < STRETCH_ITEMS * self.count:
            return "stay"
        return self._judge(self._items / took_ns, now_ns)

    def looked(self, now_ns: int) -> Move:
        """Take note that nobody waits."""
        if self.count > 1 and now_ns - self._pressed_ns > CALM_NS:
            self._pressed_ns = now_ns
            return self._to(self.count - 1, "fewer")
        return "stay"

    def lost(self, *, for_good: bool) -> None:
        """Take note that one more could not be had; ``for_good`` says that the box has no room for it."""
        self._to(self.count - 1, "fewer")
        if for_good:
            self._limit = self.count

    def _judge(self, rate: float, now_ns: int) -> Move:
        self._rates[self.count] = rate
        self._begin(now_ns)
        if now_ns > self._most_until_ns:
            self._most = self._limit
        if self.count > self._proven and rate < PAYS * self._rates[self._proven]:
            self._most, self._most_until_ns = self._proven, now_ns + AGAIN_NS
            return self._to(self._proven, "fewer")
        self._proven = self.count
        if self.count < min(self._limit, self._most):
            return self._to(self.count + 1, "more")
        return "stay"

    def _to(self, count: int, move: Move) -> Move:
        self.count = max(1, count)
        self._proven = min(self._proven, self.count)
        self._since_ns = None
        return move

    def _begin(self, now_ns: int) -> None:
        self._since_ns, self._items = now_ns, 0
