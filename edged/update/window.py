"""When a new model may go live: in the operator's hours, and only by a clock that is right."""

from __future__ import annotations

import time

from edged.domain.ports import Clock

UNSYNCED = "the clock is not synchronised, expected it to be before anything new goes live"
_NS_PER_S = 1_000_000_000
_MINUTES_A_DAY = 24 * 60


def waits_for(window: str | None, clock: Clock) -> str | None:
    """Give why nothing may go live now; None when it may. ``window`` is HH:MM-HH:MM of local time, past midnight too."""
    if not clock.synced():
        return UNSYNCED
    local = time.localtime(clock.wall_ns() // _NS_PER_S)
    if window is None or is_open(window, local.tm_hour * 60 + local.tm_min):
        return None
    return f"it waits for its window {window}, expected local time in it"


def is_open(window: str, minute: int) -> bool:
    """Whether the window is open at a minute of the local day. From a time to itself it always is."""
    begins, ends = (int(part[:2]) * 60 + int(part[3:]) for part in window.split("-"))
    length = (ends - begins) % _MINUTES_A_DAY or _MINUTES_A_DAY
    return (minute - begins) % _MINUTES_A_DAY < length
