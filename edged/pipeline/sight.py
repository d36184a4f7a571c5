"""Whether a live camera still sees: a picture that never changes, or that is dark all over, is flagged and still inferred on."""

from __future__ import annotations

from typing import Literal

from edged.domain.health import Reason
from edged.domain.tensor import Array
from edged.pipeline.pace import NS_PER_S

Trouble = Literal["frozen-picture", "black-picture"]

GRID = 32
"""Points a side that are looked at: a change anywhere that matters moves one of 1024, and looking takes 0.02 ms."""

LOOK_EVERY_NS = NS_PER_S // 2

FROZEN_NS = 30 * NS_PER_S
"""A live sensor's noise changes some point with every key picture, of which there is one in 10 s at the latest."""

BLACK_NS = 10 * NS_PER_S
"""Longer than a shutter, a lamp that is switched, or a car in front of the lens takes."""

BLACK_MEAN, BLACK_SPREAD = 24.0, 6.0
"""Of 0..255. A dark scene at night has noise and lamps; a covered lens or a failed sensor has neither (studio black is 16)."""

REMEDIES: dict[Trouble, str] = {
    "frozen-picture": "restart the camera; what it sends does not change any more",
    "black-picture": "look at its lens and at the light; its picture is dark all over",
}


class Sight:
    """Looks at a source's pictures twice a second. One thread looks; any may ask for ``reason``."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._due_ns = 0
        self._seen: bytes | None = None
        self._since_ns: dict[Trouble, int] = {}
        self.reason: Reason | None = None

    def look(self, picture: Array, now_ns: int) -> None:
        """Take a picture, (H, W, 3) uint8, captured at about ``now_ns`` of the monotonic clock."""
        if now_ns < self._due_ns:
            return
        self._due_ns = now_ns + LOOK_EVERY_NS
        points = _points(picture)
        seen = points.tobytes()
        self._hold("frozen-picture", now_ns, holds=seen == self._seen)
        self._hold("black-picture", now_ns, holds=points.mean() <= BLACK_MEAN and points.std() <= BLACK_SPREAD)
        self._seen = seen
        self.reason = self._judged(now_ns)

    def restart(self) -> None:
        """Forget: the source was opened anew."""
        self._seen, self.reason, self._due_ns = None, None, 0
        self._since_ns.clear()

    def _hold(self, trouble: Trouble, now_ns: int, *, holds: bool) -> None:
        if holds:
            self._since_ns.setdefault(trouble, now_ns)
        else:
            self._since_ns.pop(trouble, None)

    def _judged(self, now_ns: int) -> Reason | None:
        black_ns = self._since_ns.get("black-picture")
        if black_ns is not None and now_ns - black_ns >= BLACK_NS:  # a black picture often stands still too
            return self._reason("black-picture", black_ns)
        frozen_ns = self._since_ns.get("frozen-picture")
        if frozen_ns is not None and now_ns - frozen_ns >= FROZEN_NS:
            return self._reason("frozen-picture", frozen_ns)
        return None

    def _reason(self, code: Trouble, since_ns: int) -> Reason:
        observed = "is dark all over" if code == "black-picture" else "does not change"
        message = f"the picture of {self._source!r} {observed}, expected a scene"
        return Reason(code, self._source, message, since_ns, REMEDIES[code])


def _points(picture: Array) -> Array:
    """Give up to ``GRID`` by ``GRID`` of a picture's points, evenly spread; a view, not yet a copy."""
    height, width = picture.shape[:2]
    across, down = max(1, width // GRID), max(1, height // GRID)
    return picture[down // 2 :: down, across // 2 :: across]
