"""Waiting for what a benchmark has brought about."""

from __future__ import annotations

import time
from collections.abc import Callable

GIVE_UP_S = 60.0


def until(fact: Callable[[], object], what: str, within_s: float = GIVE_UP_S, every_s: float = 0.005) -> None:
    """Return as soon as ``fact`` holds. Raises RuntimeError when it does not within the time."""
    until_s = time.monotonic() + within_s
    while not fact():
        if time.monotonic() > until_s:
            message = f"cannot measure: {what} did not come within {within_s:g} s"
            raise RuntimeError(message)
        time.sleep(every_s)
